/*
 * history_schema.c - names of places.
 */
#include "history_schema.h"

#include <string.h>

size_t history_pair_name(const struct identity *a, const struct identity *b, char out[HISTORY_PLACE_MAX + 1])
{
	if (strcmp(a->text, b->text) > 0) {
		const struct identity *swap = a;

		a = b;
		b = swap;
	}
	memcpy(out, a->text, a->len);
	out[a->len] = '_';
	memcpy(out + a->len + 1, b->text, (size_t)b->len + 1);
	return (size_t)a->len + 1 + b->len;
}

size_t history_pair_second(const char *name, size_t len)
{
	const char *at = memchr(name, '@', len);
	const char *joint = at ? memchr(at, '_', len - (size_t)(at - name)) : NULL;
	size_t second = joint ? (size_t)(joint - name) + 1 : 0;

	return second < len ? second : 0;
}
