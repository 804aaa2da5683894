/* text.c - see text.h. */
#include "bench/text.h"

#include <string.h>

#define MARK 6u /* "#l" and the run */

static uint8_t *put_hex(uint8_t *at, uint64_t value, unsigned digits)
{
	for (unsigned shift = 4 * digits; shift > 0; shift -= 4)
		*at++ = (uint8_t) "0123456789abcdef"[value >> (shift - 4) & 15];
	return at;
}

/* *bad gets a bit beyond the fourth when something else than such a digit is met. */
static uint64_t get_hex(const uint8_t *at, unsigned digits, unsigned *bad)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < digits; i++) {
		unsigned c = at[i];
		unsigned digit = c <= '9' ? c - '0' : c >= 'a' ? c - 'a' + 10 : 16;

		*bad |= digit;
		value = value << 4 | (digit & 15);
	}
	return value;
}

static void put_mark(uint8_t *out, uint16_t run)
{
	out[0] = '#';
	out[1] = 'l';
	(void)put_hex(out + 2, run, 4);
}

void text_write(uint8_t *out, size_t size, uint16_t run, const struct text *t)
{
	uint8_t *at = out + MARK;

	put_mark(out, run);
	*at++ = t->probe ? 'p' : 'd';
	at = put_hex(at, t->author, 5);
	at = put_hex(at, t->number, 8);
	at = put_hex(at, t->time_us, 9);
	memset(at, 'x', size - TEXT_HEAD);
}

bool text_find(const uint8_t *frame, size_t n, uint16_t run, size_t *hint, struct text *out)
{
	uint8_t mark[MARK];
	const uint8_t *at = frame + *hint;
	unsigned bad = 0;

	if (n < TEXT_HEAD)
		return false;
	put_mark(mark, run);
	if (*hint > n - TEXT_HEAD || memcmp(at, mark, MARK) != 0) {
		at = memmem(frame, n, mark, MARK);
		if (at == NULL || (size_t)(at - frame) > n - TEXT_HEAD)
			return false;
		*hint = (size_t)(at - frame);
	}
	out->probe = at[6] == 'p';
	out->author = (uint32_t)get_hex(at + 7, 5, &bad);
	out->number = (uint32_t)get_hex(at + 12, 8, &bad);
	out->time_us = get_hex(at + 20, 9, &bad);
	return bad < 16;
}
