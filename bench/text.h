/*
 * text.h - the text of a measured message, and where it is found again in what a server
 * delivers: "#l", four hex digits of the run, 'd' (data) or 'p' (probe), five of the author,
 * eight of the number, nine of the time in microseconds, then 'x' up to the size.
 *
 * Nothing in it needs escaping in JSON, so a server that passes texts on delivers these bytes,
 * wherever in its frame. Pure: no allocation, no I/O.
 */
#ifndef BENCH_TEXT_H
#define BENCH_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_HEAD 29u /* bytes before the filling */
#define TEXT_AUTHOR_MAX 0xfffffu
#define TEXT_TIME_MAX_US 0xfffffffffull /* 19 hours */

struct text {
	bool probe;
	uint32_t author;
	uint32_t number;
	uint64_t time_us;
};

/* Writes exactly size bytes, size >= TEXT_HEAD. */
void text_write(uint8_t *out, size_t size, uint16_t run, const struct text *t);

/* Finds a text of that run in n bytes. *hint is where the last one stood: tried first, then
 * updated; start with 0. */
bool text_find(const uint8_t *frame, size_t n, uint16_t run, size_t *hint, struct text *out);

#endif
