/*
 * presence.h - who is online, and who is told.
 *
 * Online is who has a live client (users.h); that is announced with the next flush. Who has none any more is
 * announced as offline after plugin_opt_presence_grace, and not at all when back before that. A flush comes
 * from the tick, at most every PRESENCE_FLUSH_MS: for each change one retained event on
 * <root>/users/<id>/presence, and lines on <root>/bridges/all (common/roster.h). Several changes of one
 * identity between two flushes are the last one, or none.
 *
 * Ghosts: a broker that has crashed finds in its database retained events of people who were online then.
 * Nothing that this process has not announced passes as online, which presence_shows decides for each
 * delivery. What it refuses it notes, and after a settling time of presence_grace from the first tick whoever
 * is noted and has not come is announced as offline, which replaces the retained event and reaches the
 * subscribers who were told otherwise before the crash.
 *
 * Memory: one entry for each identity that is online, in its grace, or noted as a ghost (at most
 * PRESENCE_GHOSTS_MAX). A change that finds no memory is tried again in the next flush.
 */
#ifndef CHAT_PRESENCE_H
#define CHAT_PRESENCE_H

#include "common/identity.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct options;
struct presence; /* private */

#define PRESENCE_FLUSH_MS 100
#define PRESENCE_FLUSH_CHANGES 4096 /* more wait for the next flush */
#define PRESENCE_GHOSTS_MAX 65536
#define PRESENCE_OFFLINE_EXPIRY_S 86400 /* how long an offline event is retained */

/* options: borrowed until presence_stop. */
void presence_start(const struct options *options);

/* Forgets everybody and announces nothing. */
void presence_stop(void);

/* This identity has its first live client now, or has lost its last one. */
void presence_came(const struct identity *who);
void presence_left(const struct identity *who);

/* Announces what is due. Cheap when called often. */
void presence_tick(uint64_t now_ms);

/* May a payload be delivered on the presence topic of this (encoded) address? note: the broker has just read
 * it from what it retains, so that a ghost is to be corrected. */
bool presence_shows(const char *level, size_t level_len, const void *payload, size_t len, bool note);

/* Writes entry lines of those who have been announced as online, as many as fit, from *at on (NULL: from the
 * first). Returns their bytes; *at is NULL when there are no more. Nothing else may be called in between. */
size_t presence_list(const struct presence **at, char *out, size_t cap);

#endif
