/*
 * presence_frame.h - the text of presence frames. Pure: no allocation, no I/O.
 *
 *   {"type":"presence","user":U,"status":"online"|"offline","timestamp":T}
 *   {"type":"presence","users":[{"user":U,"status":S,"timestamp":T},...]}
 */
#ifndef CHAT_PRESENCE_FRAME_H
#define CHAT_PRESENCE_FRAME_H

#include "common/identity.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PRESENCE_SINGLE_MAX 20   /* people at a time who get a frame each */
#define PRESENCE_USERS_MAX 500   /* people in one frame */
#define PRESENCE_FRAME_MAX 60000 /* bytes of one frame: well under the smallest outbox */

#define PRESENCE_SINGLE_BYTES                                                                                \
	128 /* a frame for one person takes no more than these and twice the address                             \
	     */

struct presence_entry {
	const char *address; /* borrowed; no NUL needed */
	uint8_t address_len;
	bool online;
	uint64_t ms; /* since 1970: when it came online or went offline */
};

/* Writes one frame for the first of the n entries, in their order, and returns how many it holds: one, or
 * with together as many as one frame may. n: at least 1. out: PRESENCE_FRAME_MAX bytes; no NUL. */
size_t presence_frame(const struct presence_entry *entries, size_t n, bool together, char *out, size_t *len);

/* {"user":U,"status":"online","since":T}: how GET /users names somebody. At most PRESENCE_USER_MAX bytes;
 * returns their end. */
#define PRESENCE_USER_MAX (2 * IDENTITY_MAX + 96)
char *presence_user(const struct presence_entry *e, char *out);

#endif
