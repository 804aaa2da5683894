/*
 * text.h - the text of a measured message, and where it is found again in what a server
 * delivers: 16 characters of 6 bits each (A-Z a-z 0-9 - _), then 'x' up to the size:
 *
 *   '#', two of the run, three of the author and whether it is a probe, five of the number,
 *   five of the time in microseconds (its lowest 30 bits)
 *
 * Nothing in it needs escaping in JSON, so a server that passes texts on delivers these bytes,
 * wherever in its frame. Pure: no allocation, no I/O.
 */
#ifndef BENCH_TEXT_H
#define BENCH_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_HEAD 16u /* bytes before the filling */
#define TEXT_RUN_MAX 0xfffu
#define TEXT_AUTHOR_MAX 0x1ffffu
#define TEXT_NUMBER_MAX 0x3fffffffu
#define TEXT_TIME_SPAN_US (UINT64_C(1) << 30) /* 17 minutes: who is found later seems younger by that */

struct text {
	bool probe;
	uint32_t author;
	uint32_t number;
	uint64_t time_us;
};

/* Writes exactly size bytes, size >= TEXT_HEAD. */
void text_write(uint8_t *out, size_t size, uint16_t run, const struct text *t);

/* Finds a text of that run in n bytes; its time is the last one not after now_us that fits.
 * *hint is where the last one stood: tried first, then updated; start with 0. */
bool text_find(const uint8_t *frame, size_t n, uint16_t run, uint64_t now_us, size_t *hint, struct text *out);

#endif
