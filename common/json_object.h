/*
 * json_object.h - a JSON object as a whole: its members in a table, no key twice.
 *
 * For small texts that are looked at from several sides (a token's header and claims, a key set), on top of
 * the reader in json.h. The hot path has no use for it: it walks once.
 *
 * Pure, no allocation. The table borrows the text.
 */
#ifndef CHAT_JSON_OBJECT_H
#define CHAT_JSON_OBJECT_H

#include "json.h"

#define JSON_OBJECT_MEMBERS_MAX 64
#define JSON_OBJECT_KEY_MAX 256 /* bytes of a key as it is written, escapes included */

struct json_object {
	size_t count;
	struct json_member members[JSON_OBJECT_MEMBERS_MAX];
};

/* True and *out filled when the len bytes at text are one JSON object within the bounds above and no key
 * comes twice, however it is written. Else false, and *out means nothing. Nested objects are not looked into.
 */
bool json_object_read(struct json_object *out, const char *text, size_t len);

/* The member of that name, or NULL. Borrowed from o. */
const struct json_member *json_object_get(const struct json_object *o, const char *name);

/* True when the member is a string that means exactly text. */
bool json_member_is(const struct json_member *m, const char *text);

#endif
