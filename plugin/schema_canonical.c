/*
 * schema_canonical.c - is this what a plugin writes?
 */
#include "schema_canonical.h"

#include "common/json.h"

#include <string.h>

/* The next member, which must be this string without escapes; its value may have some where escaped is
 * not NULL. */
static bool next_string(struct json_reader *reader, const char *key, bool *escaped, struct json_member *m)
{
	if (json_reader_next(reader, m) != JSON_MEMBER || m->type != JSON_STRING || m->key_escaped ||
	    !json_span_equals(m->key, m->key_len, false, key) || (m->value_escaped && !escaped))
		return false;
	if (escaped)
		*escaped = m->value_escaped;
	return true;
}

/* An address as an identity stores it. */
static bool read_address(const struct json_member *m, struct identity *who)
{
	return identity_parse(m->value, m->value_len, who) && who->len == m->value_len &&
	       memcmp(who->text, m->value, who->len) == 0;
}

static bool read_room(const struct json_member *m, struct schema_target *target)
{
	*target = (struct schema_target){.room = m->value, .room_len = m->value_len};
	return room_name_valid(m->value, m->value_len);
}

/* "room" or "to". */
static bool read_target(struct json_reader *reader, struct schema_canonical *out)
{
	struct json_reader before = *reader;
	struct json_member m;

	if (next_string(reader, "room", NULL, &m))
		return read_room(&m, &out->target);
	*reader = before;
	out->target = (struct schema_target){.recipient = &out->to};
	return next_string(reader, "to", NULL, &m) && read_address(&m, &out->to);
}

/* The id's time is the timestamp's. */
static bool same_time(const char *id, const struct json_member *timestamp)
{
	char text[TIMESTAMP_LEN + 1];

	timestamp_format(ulid_milliseconds(id), text);
	return timestamp->value_len == TIMESTAMP_LEN && memcmp(timestamp->value, text, TIMESTAMP_LEN) == 0;
}

static bool read_text(const struct json_member *m, char *scratch, struct schema_message *out)
{
	char *plain = scratch, *again = scratch + SCHEMA_CANONICAL_MAX;

	*out = (struct schema_message){.message = m->value, .message_len = m->value_len, .message_plain = true};
	if (m->value_escaped) {
		out->message_len = json_unescape(m->value, m->value_len, plain);
		out->message = plain;
		out->message_plain = false;
		/* one text has one form; compared only where it fits */
		if (json_escaped_size(plain, out->message_len) != m->value_len)
			return false;
		(void)json_escape(plain, out->message_len, again);
		if (memcmp(again, m->value, m->value_len) != 0 || memchr(plain, '\0', out->message_len))
			return false;
	}
	return !schema_blank(out->message, out->message_len);
}

bool schema_canonical_read(const char *payload, size_t len, char *scratch, struct schema_canonical *out)
{
	struct json_member id, sender, text, timestamp, none;
	struct schema_message message;
	struct json_reader reader;
	bool escaped;

	if (!payload || len == 0 || len > SCHEMA_CANONICAL_MAX)
		return false;
	json_reader_start(&reader, payload, len);
	if (!next_string(&reader, "id", NULL, &id) || !ulid_valid(id.value, id.value_len) ||
	    !next_string(&reader, "sender", NULL, &sender) || !read_address(&sender, &out->sender) ||
	    !read_target(&reader, out) || !next_string(&reader, "message", &escaped, &text) ||
	    !next_string(&reader, "timestamp", NULL, &timestamp) || !same_time(id.value, &timestamp) ||
	    json_reader_next(&reader, &none) != JSON_END || !read_text(&text, scratch, &message))
		return false;
	out->id = id.value;
	/* The members are there, in their order and with the right bytes: that the whole is not longer leaves no
	 * room for anything between them. */
	return schema_canonical_size(&message, &out->sender, &out->target) == len;
}

bool schema_typing_read(const char *payload, size_t len, bool room, struct schema_canonical *out)
{
	char again[SCHEMA_TYPING_MAX];
	struct json_reader reader;
	struct json_member m;

	if (!payload || len == 0 || len >= SCHEMA_TYPING_MAX)
		return false;
	json_reader_start(&reader, payload, len);
	out->target = (struct schema_target){.recipient = &out->to};
	if (!next_string(&reader, "type", NULL, &m) || !next_string(&reader, "sender", NULL, &m) ||
	    !read_address(&m, &out->sender) ||
	    (room && (!next_string(&reader, "room", NULL, &m) || !read_room(&m, &out->target))))
		return false;
	return schema_typing_write(&out->sender, &out->target, again) == len && memcmp(again, payload, len) == 0;
}
