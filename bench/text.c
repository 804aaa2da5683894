/* text.c - see text.h. */
#include "bench/text.h"

#include <string.h>

#define MARK 3u /* '#' and the run */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static uint8_t *put(uint8_t *at, uint32_t value, unsigned count)
{
	for (unsigned shift = 6 * count; shift > 0; shift -= 6)
		*at++ = (uint8_t)digits[value >> (shift - 6) & 63];
	return at;
}

static unsigned digit(unsigned c)
{
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : 64;
}

/* *bad gets a bit beyond the sixth when something else than such a digit is met. */
static uint32_t get(const uint8_t *at, unsigned count, unsigned *bad)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < count; i++) {
		unsigned d = digit(at[i]);

		*bad |= d;
		value = value << 6 | (d & 63);
	}
	return value;
}

static void put_mark(uint8_t *out, uint16_t run)
{
	out[0] = '#';
	(void)put(out + 1, run, 2);
}

void text_write(uint8_t *out, size_t size, uint16_t run, const struct text *t)
{
	uint8_t *at = out + MARK;

	put_mark(out, run);
	at = put(at, t->author << 1 | t->probe, 3);
	at = put(at, t->number, 5);
	at = put(at, (uint32_t)(t->time_us % TEXT_TIME_SPAN_US), 5);
	memset(at, 'x', size - TEXT_HEAD);
}

bool text_find(const uint8_t *frame, size_t n, uint16_t run, uint64_t now_us, size_t *hint, struct text *out)
{
	uint8_t mark[MARK];
	const uint8_t *at = frame + *hint;
	unsigned bad = 0;
	uint32_t who;

	if (n < TEXT_HEAD)
		return false;
	put_mark(mark, run);
	if (*hint > n - TEXT_HEAD || memcmp(at, mark, MARK) != 0) {
		at = memmem(frame, n, mark, MARK);
		if (at == NULL || (size_t)(at - frame) > n - TEXT_HEAD)
			return false;
		*hint = (size_t)(at - frame);
	}
	who = get(at + 3, 3, &bad);
	out->probe = (who & 1) != 0;
	out->author = who >> 1;
	out->number = get(at + 6, 5, &bad);
	out->time_us = now_us - (now_us - get(at + 11, 5, &bad)) % TEXT_TIME_SPAN_US;
	return bad < 64;
}
