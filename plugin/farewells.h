/*
 * farewells.h - the offline events that the broker retains: not more of them than somebody may still need.
 *
 * A broker lets go of a retained message that has expired only when somebody subscribes to it, and each
 * identity that was ever online leaves one. So the oldest are taken back here: beyond FAREWELLS_MAX, and
 * after PRESENCE_OFFLINE_EXPIRY_S.
 */
#ifndef CHAT_FAREWELLS_H
#define CHAT_FAREWELLS_H

#include "common/identity.h"

#include <stdint.h>

#define FAREWELLS_MAX 10000
#define FAREWELLS_AT_ONCE 256 /* taken back in one tick */

struct options;

/* options: borrowed until farewells_stop. */
void farewells_start(const struct options *options);
void farewells_stop(void);

/* An offline event of this identity is retained; or no longer, for it is online. Out of memory: it stays
 * until it has expired and somebody subscribes. */
void farewells_add(const struct identity *who, uint64_t now_ms);
void farewells_forget(const struct identity *who);

void farewells_tick(uint64_t now_ms);

#endif
