/*
 * seen.h - ids of messages that have been here already: with other nodes, a link may bring one twice.
 *
 * A direct message travels in two copies with one id, for its recipient and for its author's own devices: so
 * it is remembered which of its ways an id has come. Bounded: beyond SEEN_MAX the oldest is forgotten. Out of
 * memory: not remembered, which the log says.
 */
#ifndef CHAT_SEEN_H
#define CHAT_SEEN_H

#include "common/ulid.h"

#include <stdint.h>

#define SEEN_MAX 65536 /* about 8 MB */

/* Ways of a message, as bits. */
enum seen_way {
	SEEN_ROOM = 1,
	SEEN_RECIPIENT = 2, /* the copy for the recipient, that of a message to oneself included */
	SEEN_AUTHOR = 4,
	SEEN_ALL = 7,
};

struct seen {
	unsigned ways;
	uint64_t n; /* its number in history, 0: none */
};

/* Forgets everything. */
void seen_stop(void);

/* NULL for an id (ULID_LEN bytes) that is not remembered. Good until the next seen_add. */
const struct seen *seen_find(const char *id);

/* It has come these ways, too; n counts with the first. */
void seen_add(const char *id, unsigned ways, uint64_t n);

#endif
