/*
 * log_object.h - a log line as one JSON object, for plugin_opt_log_format json:
 *
 *   {"program":"chat-bridge","level":"info","text":"session of … closed:
 * …","event":"session_closed","code":1000,…}
 *
 * program, level and text are always there; what a program has to look for in the text, some lines have as
 * fields of their own. Pure, no allocation. Bytes that are no UTF-8 become '?'.
 */
#ifndef CHAT_LOG_OBJECT_H
#define CHAT_LOG_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_FIELDS_MAX 640 /* bytes */

/* In a bridge's line, between text and fields. */
#define LOG_FIELDS_MARK '\x1f'

/* Members of an object with commas between; NUL-terminated. All zero: none. One that does not fit is left
 * out. */
struct log_fields {
	size_t len;
	char text[LOG_FIELDS_MAX + 1];
};

/* name: static text that needs no escapes. */
void log_field_text(struct log_fields *f, const char *name, const char *value);
void log_field_number(struct log_fields *f, const char *name, uint64_t value);

/* Writes the object with a NUL, and as much of the text as fits into cap bytes. program and level as name
 * above; fields: as of a struct log_fields. What does not fit at all without its fields is written without
 * them. Returns the length. cap: at least 128. */
size_t log_object_write(const char *program, const char *level, const char *text, size_t len,
                        const char *fields, char *out, size_t cap);

#endif
