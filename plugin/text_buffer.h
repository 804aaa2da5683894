/*
 * text_buffer.h - text that grows as it is written: answers and files of JSON.
 *
 * Once something did not fit (the bound, or no memory), nothing that follows is written, and failed says so:
 * one look at the end is enough. From libc's allocator, so that any thread may free it.
 */
#ifndef CHAT_TEXT_BUFFER_H
#define CHAT_TEXT_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text_buffer {
	char *at; /* NULL while empty; not NUL-terminated */
	size_t len, cap;
	size_t max; /* bytes */
	bool failed;
};

/* Empty, and never longer than max. */
struct text_buffer text_buffer_new(size_t max);

/* Gives the memory back; empty again, with the same bound. */
void text_buffer_free(struct text_buffer *b);

void text_put(struct text_buffer *b, const char *bytes, size_t len);
void text_puts(struct text_buffer *b, const char *text);

/* A JSON string with its quotes. text is valid UTF-8. */
void text_put_string(struct text_buffer *b, const char *text);
void text_put_number(struct text_buffer *b, uint64_t n);

/* ,"name":"text" and ,"name":n; the comma is left out right behind a '{'. */
void text_put_member(struct text_buffer *b, const char *name, const char *text);
void text_put_count(struct text_buffer *b, const char *name, uint64_t n);

/* ,"name":"2026-11-26T18:00:00.000Z" from milliseconds since 1970. */
void text_put_time(struct text_buffer *b, const char *name, uint64_t real_ms);

/* ,"name": and nothing of the value yet. */
void text_put_name(struct text_buffer *b, const char *name);

#endif
