/*
 * ulid.c - the generator and the base 32 alphabet of message ids.
 */
#include "ulid.h"

#include <string.h>

#define TIME_MAX ((UINT64_C(1) << 48) - 1)
#define TIME_CHARS 10 /* of the 26; the other 16 are the random part */

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* The value of a character of the alphabet, -1 for any other. */
static int value_of(char c)
{
	const char *found = c ? strchr(alphabet, c) : NULL;

	return found ? (int)(found - alphabet) : -1;
}

/* Adds one to the big-endian number; false when it ran over (and is zero now). */
static bool increment(uint8_t number[ULID_RANDOM])
{
	for (int i = ULID_RANDOM - 1; i >= 0; i--) {
		if (++number[i] != 0)
			return true;
	}
	return false;
}

/* Adds one and the last eight bytes of random, the same way. */
static bool leap(uint8_t number[ULID_RANDOM], const uint8_t random[ULID_RANDOM])
{
	unsigned carry = 0;

	for (int i = ULID_RANDOM - 1; i >= 0; i--) {
		carry += number[i] + (i >= ULID_RANDOM - 8 ? random[i] : 0u);
		number[i] = (uint8_t)carry;
		carry >>= 8;
	}
	return increment(number) && carry == 0;
}

/* Five bytes are eight characters. */
static void put_40_bits(const uint8_t in[5], char *out)
{
	uint64_t bits = 0;

	for (int i = 0; i < 5; i++)
		bits = bits << 8 | in[i];
	for (int i = 7; i >= 0; i--) {
		out[i] = alphabet[bits & 31];
		bits >>= 5;
	}
}

uint64_t ulid_next(struct ulid_clock *clock, uint64_t now_ms, const uint8_t random[ULID_RANDOM],
                   char out[ULID_LEN + 1])
{
	uint64_t ms;
	bool fresh = true;

	if (now_ms > TIME_MAX)
		now_ms = TIME_MAX;
	if (now_ms > clock->last_ms)
		clock->last_ms = now_ms;
	else if (clock->passed ? leap(clock->last_random, random) : increment(clock->last_random))
		fresh = false;
	else if (clock->last_ms < TIME_MAX)
		clock->last_ms++;
	else { /* the very last id of the year 10889 repeats, for there is none behind it */
		memset(clock->last_random, 0xff, ULID_RANDOM);
		fresh = false;
	}
	if (fresh) {
		memcpy(clock->last_random, random, ULID_RANDOM);
		clock->last_random[0] &= 0x7f;
	}
	clock->passed = false;

	ms = clock->last_ms;
	for (int i = TIME_CHARS - 1; i >= 0; i--) {
		out[i] = alphabet[ms & 31];
		ms >>= 5;
	}
	put_40_bits(clock->last_random, out + TIME_CHARS);
	put_40_bits(clock->last_random + 5, out + TIME_CHARS + 8);
	out[ULID_LEN] = '\0';
	return clock->last_ms;
}

bool ulid_valid(const char *s, size_t n)
{
	if (n != ULID_LEN || s[0] > '7')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (value_of(s[i]) < 0)
			return false;
	}
	return true;
}

uint64_t ulid_milliseconds(const char *s)
{
	uint64_t ms = 0;

	for (int i = 0; i < TIME_CHARS; i++)
		ms = ms << 5 | (uint64_t)value_of(s[i]);
	return ms;
}

void ulid_clock_pass(struct ulid_clock *clock, const char *id)
{
	uint64_t ms = ulid_milliseconds(id), bits;
	uint8_t random[ULID_RANDOM];

	for (int half = 0; half < 2; half++) {
		bits = 0;
		for (int i = 0; i < 8; i++)
			bits = bits << 5 | (uint64_t)value_of(id[TIME_CHARS + 8 * half + i]);
		for (int i = 4; i >= 0; i--) {
			random[5 * half + i] = (uint8_t)bits;
			bits >>= 8;
		}
	}
	if (ms < clock->last_ms || (ms == clock->last_ms && memcmp(random, clock->last_random, ULID_RANDOM) < 0))
		return;
	clock->last_ms = ms;
	memcpy(clock->last_random, random, ULID_RANDOM);
	clock->passed = true;
}
