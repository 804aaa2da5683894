/*
 * log_object.c - a log line as one JSON object.
 */
#include "log_object.h"

#include "json.h"
#include "utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The inside of a JSON string, as much of it as fits; no NUL. */
static size_t put_text(const char *s, size_t n, char *out, size_t cap)
{
	size_t at = 0, len = 0, bytes, size;
	uint32_t code;

	while (at < n) {
		bytes = utf8_decode(s + at, n - at, &code);
		if (bytes == 0) {
			if (len + 1 > cap)
				break;
			out[len++] = '?';
			at++;
			continue;
		}
		size = json_escaped_size(s + at, bytes);
		if (len + size > cap)
			break;
		(void)json_escape(s + at, bytes, out + len);
		len += size;
		at += bytes;
	}
	return len;
}

void log_field_text(struct log_fields *f, const char *name, const char *value)
{
	char text[LOG_FIELDS_MAX];
	size_t len = put_text(value, strlen(value), text, sizeof(text));
	int n = snprintf(f->text + f->len, sizeof(f->text) - f->len, "%s\"%s\":\"%.*s\"", f->len > 0 ? "," : "",
	                 name, (int)len, text);

	if (n > 0 && (size_t)n < sizeof(f->text) - f->len)
		f->len += (size_t)n;
	f->text[f->len] = '\0';
}

void log_field_number(struct log_fields *f, const char *name, uint64_t value)
{
	int n = snprintf(f->text + f->len, sizeof(f->text) - f->len, "%s\"%s\":%" PRIu64, f->len > 0 ? "," : "",
	                 name, value);

	if (n > 0 && (size_t)n < sizeof(f->text) - f->len)
		f->len += (size_t)n;
	f->text[f->len] = '\0';
}

size_t log_object_write(const char *program, const char *level, const char *text, size_t len,
                        const char *fields, char *out, size_t cap)
{
	int head = snprintf(out, cap, "{\"program\":\"%s\",\"level\":\"%s\",\"text\":\"", program, level);
	size_t at = head > 0 ? (size_t)head : 0, tail;

	tail = 2 + (fields[0] != '\0' ? 1 + strlen(fields) : 0); /* "," and fields, and "} */
	if (at + tail + 1 > cap) {
		fields = "";
		tail = 2;
	}
	at += put_text(text, len, out + at, cap - at - tail - 1);
	at += (size_t)snprintf(out + at, cap - at, "\"%s%s}", fields[0] != '\0' ? "," : "", fields);
	return at;
}
