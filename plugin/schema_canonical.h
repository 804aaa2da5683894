/*
 * schema_canonical.h - is this what a plugin writes? For what other nodes send: bytes that pass unchanged
 * must be exactly those that schema.h would have written.
 *
 * Pure: nothing is allocated, everything is borrowed and points into the payload.
 */
#ifndef CHAT_SCHEMA_CANONICAL_H
#define CHAT_SCHEMA_CANONICAL_H

#include "schema.h"

#define SCHEMA_CANONICAL_MAX (SCHEMA_PAYLOAD_MAX + 1024) /* bytes of any canonical message */
#define SCHEMA_SCRATCH (2 * (size_t)SCHEMA_CANONICAL_MAX)

struct schema_canonical {
	const char *id; /* ULID_LEN bytes */
	struct identity sender;
	struct schema_target target; /* recipient points to `to` */
	struct identity to;
};

/* True when the payload is a canonical message: valid names, an id and a timestamp that tell the same time,
 * text that is neither empty nor white space alone, in the one form that schema_canonical_write gives it. How
 * long a text may be is the author's node's business. scratch: SCHEMA_SCRATCH bytes. *out must stay where it
 * is. */
bool schema_canonical_read(const char *payload, size_t len, char *scratch, struct schema_canonical *out);

/* The same of a typing event, for a room or (room false) an inbox. */
bool schema_typing_read(const char *payload, size_t len, bool room, struct schema_canonical *out);

#endif
