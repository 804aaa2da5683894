/*
 * text_buffer.c - see text_buffer.h
 */
#include "text_buffer.h"

#include "common/json.h"
#include "common/timestamp.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 512

struct text_buffer text_buffer_new(size_t max)
{
	return (struct text_buffer){.max = max};
}

void text_buffer_free(struct text_buffer *b)
{
	free(b->at);
	*b = text_buffer_new(b->max);
}

/* Where n more bytes go, or NULL. */
static char *reserve(struct text_buffer *b, size_t n)
{
	size_t cap = b->cap > 0 ? b->cap : FIRST_CAP;
	char *grown;

	if (b->failed || n > b->max - b->len) {
		b->failed = true;
		return NULL;
	}
	while (cap - b->len < n)
		cap *= 2;
	if (cap > b->cap) {
		grown = realloc(b->at, cap);
		if (!grown) {
			b->failed = true;
			return NULL;
		}
		b->at = grown;
		b->cap = cap;
	}
	b->len += n;
	return b->at + b->len - n;
}

void text_put(struct text_buffer *b, const char *bytes, size_t len)
{
	char *at = len > 0 ? reserve(b, len) : NULL;

	if (at)
		memcpy(at, bytes, len);
}

void text_puts(struct text_buffer *b, const char *text)
{
	text_put(b, text, strlen(text));
}

void text_put_string(struct text_buffer *b, const char *text)
{
	size_t len = strlen(text), size = json_escaped_size(text, len);
	char *at = reserve(b, size + 2);

	if (!at)
		return;
	at[0] = '"';
	(void)json_escape(text, len, at + 1);
	at[size + 1] = '"';
}

void text_put_number(struct text_buffer *b, uint64_t n)
{
	char text[24];

	text_put(b, text, (size_t)snprintf(text, sizeof(text), "%" PRIu64, n));
}

void text_put_name(struct text_buffer *b, const char *name)
{
	if (b->len > 0 && b->at[b->len - 1] != '{')
		text_put(b, ",", 1);
	text_put_string(b, name);
	text_put(b, ":", 1);
}

void text_put_member(struct text_buffer *b, const char *name, const char *text)
{
	text_put_name(b, name);
	text_put_string(b, text);
}

void text_put_count(struct text_buffer *b, const char *name, uint64_t n)
{
	text_put_name(b, name);
	text_put_number(b, n);
}

void text_put_time(struct text_buffer *b, const char *name, uint64_t real_ms)
{
	char text[TIMESTAMP_LEN + 1];

	timestamp_format(real_ms, text);
	text_put_member(b, name, text);
}
