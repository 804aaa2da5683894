/*
 * json_object.c - collects the members; each key is compared with those before it.
 */
#include "json_object.h"

#include <string.h>

/* Both spans have passed the reader, so no key is longer without its escapes. */
static bool same_key(const struct json_member *a, const struct json_member *b)
{
	char plain_a[JSON_OBJECT_KEY_MAX], plain_b[JSON_OBJECT_KEY_MAX];
	size_t len_a, len_b;

	if (!a->key_escaped && !b->key_escaped)
		return a->key_len == b->key_len && memcmp(a->key, b->key, a->key_len) == 0;
	len_a = json_unescape(a->key, a->key_len, plain_a);
	len_b = json_unescape(b->key, b->key_len, plain_b);
	return len_a == len_b && memcmp(plain_a, plain_b, len_a) == 0;
}

bool json_object_read(struct json_object *out, const char *text, size_t len)
{
	struct json_reader reader;
	struct json_member member;
	enum json_status status;

	out->count = 0;
	json_reader_start(&reader, text, len);
	while ((status = json_reader_next(&reader, &member)) == JSON_MEMBER) {
		if (out->count == JSON_OBJECT_MEMBERS_MAX || member.key_len > JSON_OBJECT_KEY_MAX)
			return false;
		for (size_t i = 0; i < out->count; i++) {
			if (same_key(&out->members[i], &member))
				return false;
		}
		out->members[out->count++] = member;
	}
	return status == JSON_END;
}

const struct json_member *json_object_get(const struct json_object *o, const char *name)
{
	for (size_t i = 0; i < o->count; i++) {
		const struct json_member *m = &o->members[i];

		if (json_span_equals(m->key, m->key_len, m->key_escaped, name))
			return m;
	}
	return NULL;
}

bool json_member_is(const struct json_member *m, const char *text)
{
	return m->type == JSON_STRING && json_span_equals(m->value, m->value_len, m->value_escaped, text);
}
