/*
 * typing.h - at most one typing event a second from one author to one target.
 */
#ifndef CHAT_TYPING_H
#define CHAT_TYPING_H

#include "common/identity.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TYPING_MS 1000
#define TYPING_REMEMBERED 65536 /* pairs; beyond, the oldest is forgotten */

/* Forgets everything. */
void typing_stop(void);

/* True when the event may pass; it then counts as passed. target: the topic it goes to. */
bool typing_pass(const struct identity *author, const char *target, size_t len, uint64_t now_ms);

/* Drops what is older than a second. */
void typing_tidy(uint64_t now_ms);

#endif
