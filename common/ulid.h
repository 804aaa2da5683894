/*
 * ulid.h - message ids: 48 bits of milliseconds and 80 random bits in 26
 * characters of Crockford's base 32 (github.com/ulid/spec), strictly increasing
 * for one generator even within a millisecond and when the clock steps back.
 *
 * Pure: time and randomness are arguments. No allocation.
 */
#ifndef CHAT_ULID_H
#define CHAT_ULID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ULID_LEN 26    /* characters, without a NUL */
#define ULID_RANDOM 10 /* bytes */

/* All zero is a fresh generator. */
struct ulid_clock {
	uint64_t last_ms;
	uint8_t last_random[ULID_RANDOM];
	bool passed; /* the last id is another generator's */
};

/* Writes the next id (NUL-terminated) and returns its milliseconds: now_ms, or
 * the last id's when the clock has not moved on (the random part is then the
 * last one plus one; on overflow the time part is). Behind another
 * generator's id it is that plus a random number of 64 bits instead: that
 * generator goes on with one more itself, and so may a third. The caller gives fresh
 * random bytes at each call; the top bit of them is cleared, which leaves
 * 2^79 increments of room within a millisecond. */
uint64_t ulid_next(struct ulid_clock *clock, uint64_t now_ms, const uint8_t random[ULID_RANDOM],
                   char out[ULID_LEN + 1]);

/* 26 characters of the alphabet (upper case), the first at most '7'. */
bool ulid_valid(const char *s, size_t n);

/* From here on the generator's ids are larger than this valid one too. */
void ulid_clock_pass(struct ulid_clock *clock, const char *id);

/* The milliseconds in a valid id. */
uint64_t ulid_milliseconds(const char *s);

#endif
