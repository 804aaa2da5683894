/*
 * schema.h - the payload of a `…/send` publish: checked as it was sent, written as it is delivered.
 *
 * Everything is borrowed and nothing is allocated: struct schema_message points into the
 * payload and the scratch memory and is good for as long as both are. What JSON Schema can say
 * of these rules stands in config/message.schema.json.
 *
 * One pass over the payload; the time is proportional to its length (and to SCHEMA_MEMBERS_MAX).
 */
#ifndef CHAT_SCHEMA_H
#define CHAT_SCHEMA_H

#include "common/errors.h"
#include "common/identity.h"
#include "common/reply.h"
#include "common/timestamp.h"
#include "common/topic.h"
#include "common/ulid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCHEMA_PAYLOAD_MAX 262144 /* bytes; more is too_long unread */
#define SCHEMA_MEMBERS_MAX 32     /* of the object, where unknown ones are dropped; more is unknown_field */
#define SCHEMA_TYPING_MAX 512     /* bytes of any typing event, with its NUL */

struct schema_limits {
	uint32_t max_message_chars; /* Unicode scalar values */
	bool drop_unknown;          /* unknown fields are ignored, whatever their value; else refused */
};

/* Where it was published to: a room (recipient NULL) or an identity (room NULL). The room is
 * valid, the identity parsed: the caller has checked the topic. */
struct schema_target {
	const char *room;
	size_t room_len;
	const struct identity *recipient;
};

enum schema_type { SCHEMA_MESSAGE, SCHEMA_TYPING };

struct schema_message {
	enum schema_type type;
	const char *message; /* escapes undone; NULL for SCHEMA_TYPING */
	size_t message_len;
	bool message_plain; /* its bytes are the inside of a JSON string as they are */
	const char *ref;    /* escapes undone; NULL where none was sent */
	size_t ref_len;
};

/* What was wrong, for the answer to the author. Both NUL-terminated, "" for none. */
struct schema_fault {
	char field[REPLY_FIELD_MAX + 1];
	char ref[REPLY_REF_MAX + 1]; /* whenever the text parses and has one valid ref */
};

/*
 * Checks a payload (any bytes; NULL where len is 0). CHAT_OK: *out is filled. Else the first
 * error, in this order, and what *out holds means nothing:
 *
 *  1. too_long: more than SCHEMA_PAYLOAD_MAX or scratch_cap bytes
 *  2. invalid_json, invalid_utf8 (whichever comes first in the text), not_an_object
 *  3. duplicate_key; field where the key is a known one. Two refs count as none.
 *  4. unknown_field; field where the key is 1 to 64 bytes of printable ASCII. Where unknown fields
 *     are dropped: only for an object of more than SCHEMA_MEMBERS_MAX members.
 *  5. wrong_type of message, to, room, from, timestamp, ref, type
 *  6. unknown_type, 7. invalid_ref
 *  8. invalid_character: U+0000 in message, to, room, from, timestamp
 *  9. invalid_email (to), invalid_room, invalid_email (from), invalid_timestamp, sender_mismatch,
 *     address_mismatch (field: the one that does not fit the target)
 * 10. missing_field, empty_message, too_long (field message); for typing: unknown_field where there
 *     is a message or a timestamp, also where unknown fields are dropped
 *
 * *fault is filled in either case, with field "" for CHAT_OK. scratch takes unescaped text:
 * as many bytes as the payload has are always enough.
 */
enum chat_error schema_parse(const char *payload, size_t len, const struct schema_limits *limits,
                             const struct identity *author, const struct schema_target *target, char *scratch,
                             size_t scratch_cap, struct schema_message *out, struct schema_fault *fault);

/* True when well-formed UTF-8 is empty or White_Space alone (the Unicode property). */
bool schema_blank(const char *s, size_t len);

/* The ref of a payload that is refused for a reason outside of it (rate, topic): filled by the
 * rule of struct schema_fault. Much cheaper than it looks: one walk, nothing is kept. */
void schema_find_ref(const char *payload, size_t len, char ref[REPLY_REF_MAX + 1]);

/* Bytes of the canonical form of a SCHEMA_MESSAGE, no NUL counted. Never more than the
 * payload's length plus 1024. */
size_t schema_canonical_size(const struct schema_message *m, const struct identity *author,
                             const struct schema_target *target);

/* Writes exactly that many bytes, no NUL:
 *   {"id":…,"sender":…,"room":…,"message":…,"timestamp":…}, or "to" instead of "room".
 * id has ULID_LEN, timestamp TIMESTAMP_LEN bytes. Returns the end of what it wrote. */
char *schema_canonical_write(const struct schema_message *m, const struct identity *author,
                             const struct schema_target *target, const char *id, const char *timestamp,
                             char *out);

/* {"type":"typing","sender":U,"room":R}, for a recipient without "room"; NUL-terminated. Returns the length
 * without the NUL. */
size_t schema_typing_write(const struct identity *author, const struct schema_target *target,
                           char out[SCHEMA_TYPING_MAX]);

#endif
