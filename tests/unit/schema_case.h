/*
 * schema_case.h - what the tests of the message schema share: asking schema_parse from memory
 * with nothing behind it, and the parties of a dialogue.
 */
#ifndef TEST_SCHEMA_CASE_H
#define TEST_SCHEMA_CASE_H

#include "plugin/schema.h"

#include "tests/unit/guarded.h"

#define SLOT_PAYLOAD 0
#define SLOT_SCRATCH 1
#define SLOT_CANONICAL 2
#define SLOT_TARGET 3

#define TEST_ID "01JDABCDEFGHJKMNPQRSTVWXYZ"
#define TEST_TIME "2026-11-22T14:07:31.482Z"

/* A question and its answer. alice@x.org asks; the limits are the defaults. */
struct schema_case {
	struct identity author, recipient;
	struct schema_target target;
	struct schema_limits limits;
	const char *payload; /* as it was asked */
	char *scratch;
	size_t len;
	struct schema_message out;
	struct schema_fault fault;
};

static inline void case_identity(struct identity *id, const char *text)
{
	assert_true(identity_parse(text, strlen(text), id));
}

static inline struct schema_case *to_room(struct schema_case *c, const char *room)
{
	memset(c, 0, sizeof(*c));
	case_identity(&c->author, "alice@x.org");
	c->limits.max_message_chars = 4000;
	c->target.room = guarded_text(SLOT_TARGET, room);
	c->target.room_len = strlen(room);
	return c;
}

static inline struct schema_case *to_person(struct schema_case *c, const char *recipient)
{
	to_room(c, "");
	case_identity(&c->recipient, recipient);
	c->target = (struct schema_target){.recipient = &c->recipient};
	return c;
}

static inline enum chat_error ask_bytes(struct schema_case *c, const char *payload, size_t n)
{
	char ref[REPLY_REF_MAX + 1];
	enum chat_error error;

	c->payload = guarded(SLOT_PAYLOAD, payload, n);
	c->scratch = guarded_space(SLOT_SCRATCH, n);
	c->len = n;
	memset(&c->out, 0xee, sizeof(c->out));
	memset(&c->fault, 0xee, sizeof(c->fault));
	error =
	    schema_parse(c->payload, n, &c->limits, &c->author, &c->target, c->scratch, n, &c->out, &c->fault);
	assert_non_null(memchr(c->fault.field, 0, sizeof(c->fault.field)));
	assert_non_null(memchr(c->fault.ref, 0, sizeof(c->fault.ref)));
	memset(ref, 0xee, sizeof(ref));
	schema_find_ref(c->payload, n, ref);
	assert_string_equal(ref, c->fault.ref);
	return error;
}

static inline enum chat_error ask(struct schema_case *c, const char *payload)
{
	return ask_bytes(c, payload, strlen(payload));
}

/* The canonical form of what was accepted, NUL-terminated; lives until the next question. */
static inline const char *canonical(const struct schema_case *c)
{
	size_t n = schema_canonical_size(&c->out, &c->author, &c->target);
	char *out = guarded_space(SLOT_CANONICAL, n);
	static char text[GUARDED_BYTES];

	assert_true(n <= c->len + 1024);
	assert_ptr_equal(schema_canonical_write(&c->out, &c->author, &c->target, TEST_ID, TEST_TIME, out),
	                 out + n);
	memcpy(text, out, n);
	text[n] = '\0';
	return text;
}

#endif
