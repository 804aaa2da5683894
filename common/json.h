/*
 * json.h - a strict reader for one flat JSON object (RFC 8259), and string output.
 *
 * Why not cJSON here: this is the hot path, and the contract refuses what cJSON
 * lets through unseen (duplicate keys, U+0000 that ends a C string early, control
 * characters and bytes below 0x20 as white space, ill-formed UTF-8, lenient numbers).
 *
 * Pure, no allocation, any bytes. The reader borrows the text; members point into it.
 */
#ifndef CHAT_JSON_H
#define CHAT_JSON_H

#include <stdbool.h>
#include <stddef.h>

#define JSON_DEPTH_MAX 64 /* nesting that is still read (and then refused by type) */

enum json_type { JSON_STRING, JSON_NUMBER, JSON_TRUE, JSON_FALSE, JSON_NULL, JSON_OBJECT, JSON_ARRAY };

enum json_status {
	JSON_MEMBER,     /* *out holds the next member */
	JSON_END,        /* the object is closed and nothing but white space follows */
	JSON_INVALID,    /* not JSON; also a BOM, bytes after the value, nesting beyond JSON_DEPTH_MAX */
	JSON_BAD_UTF8,   /* ill-formed UTF-8, also lone surrogates written as \u escapes */
	JSON_NOT_OBJECT, /* well-formed JSON, but no object */
};

struct json_reader {
	const char *at;
	const char *end;
	int state; /* private */
};

/* Spans are raw: for strings the bytes between the quotes with escapes still in them. */
struct json_member {
	const char *key;
	size_t key_len;
	bool key_escaped; /* the key holds a backslash */
	enum json_type type;
	const char *value;
	size_t value_len;
	bool value_escaped;
};

void json_reader_start(struct json_reader *r, const char *text, size_t len);

/* Call until it answers something other than JSON_MEMBER; that answer then stays.
 * A whole-text verdict needs the whole walk: members before a syntax error are handed out. */
enum json_status json_reader_next(struct json_reader *r, struct json_member *out);

/* Walks over the elements of an array: its span, as json_reader_next handed it out. One reader, one walk. */
void json_array_start(struct json_reader *r, const char *span, size_t len);

/* As json_reader_next, with an element for a member: it has no key. The spans of objects and arrays, in
 * elements as in members, are texts that a reader of their own can be started on. */
enum json_status json_array_next(struct json_reader *r, struct json_member *out);

/* Undoes the escapes of a raw span that json_reader_next handed out. Writes at most
 * n bytes to out (which may be the same memory as raw), returns how many. */
size_t json_unescape(const char *raw, size_t n, char *out);

/* True when the raw span means exactly the NUL-terminated text (escapes undone). */
bool json_span_equals(const char *raw, size_t n, bool escaped, const char *text);

/* Bytes that s takes as the inside of a JSON string: '"' and '\\' escaped, controls as
 * \b \f \n \r \t or \u00xx (lower-case hex), all else as it is. s must be valid UTF-8. */
size_t json_escaped_size(const char *s, size_t n);

/* Writes that many bytes, no quotes, no NUL; returns the end of what it wrote. */
char *json_escape(const char *s, size_t n, char *out);

/* The string member of that name of a flat object, with its NUL; "" where there is none, where it needs
 * unescaping (nothing in canonical ids and names does) or does not fit into cap bytes. */
void json_member_text(const char *text, size_t len, const char *name, char *out, size_t cap);

#endif
