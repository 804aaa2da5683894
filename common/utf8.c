/*
 * utf8.c - the well-formed byte sequences of Unicode table 3-7.
 */
#include "utf8.h"

#include <string.h>

static bool is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

size_t utf8_decode(const char *s, size_t n, uint32_t *code)
{
	const unsigned char *u = (const unsigned char *)s;
	uint32_t value;

	if (u[0] < 0x80) {
		*code = u[0];
		return 1;
	}
	if (u[0] < 0xc2) /* a stray tail, or an overlong lead */
		return 0;
	if (u[0] < 0xe0) {
		if (n < 2 || !is_tail(u[1]))
			return 0;
		*code = (uint32_t)(u[0] & 0x1f) << 6 | (u[1] & 0x3f);
		return 2;
	}
	if (u[0] < 0xf0) {
		if (n < 3 || !is_tail(u[1]) || !is_tail(u[2]))
			return 0;
		value = (uint32_t)(u[0] & 0x0f) << 12 | (uint32_t)(u[1] & 0x3f) << 6 | (u[2] & 0x3f);
		if (value < 0x800 || (value >= 0xd800 && value <= 0xdfff))
			return 0;
		*code = value;
		return 3;
	}
	if (u[0] > 0xf4 || n < 4 || !is_tail(u[1]) || !is_tail(u[2]) || !is_tail(u[3]))
		return 0;
	value = (uint32_t)(u[0] & 0x07) << 18 | (uint32_t)(u[1] & 0x3f) << 12 | (uint32_t)(u[2] & 0x3f) << 6 |
	        (u[3] & 0x3f);
	if (value < 0x10000 || value > 0x10ffff)
		return 0;
	*code = value;
	return 4;
}

size_t utf8_encode(uint32_t code, char out[4])
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		if (code >= 0xd800 && code <= 0xdfff)
			return 0;
		out[0] = (char)(0xe0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3f));
		out[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	if (code > 0x10ffff)
		return 0;
	out[0] = (char)(0xf0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3f));
	out[2] = (char)(0x80 | (code >> 6 & 0x3f));
	out[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

bool utf8_valid(const char *s, size_t n, size_t *chars)
{
	size_t count = 0;
	size_t at = 0;

	while (at < n) {
		uint64_t eight;
		uint32_t code;
		size_t len;

		if (n - at >= sizeof(eight)) { /* plain ASCII goes by eight bytes at a time */
			memcpy(&eight, s + at, sizeof(eight));
			if (!(eight & UINT64_C(0x8080808080808080))) {
				at += sizeof(eight);
				count += sizeof(eight);
				continue;
			}
		}
		len = utf8_decode(s + at, n - at, &code);
		if (len == 0)
			return false;
		at += len;
		count++;
	}
	if (chars)
		*chars = count;
	return true;
}

bool unicode_white_space(uint32_t code)
{
	if (code <= 0x20)
		return code == 0x20 || (code >= 0x09 && code <= 0x0d);
	switch (code) {
	case 0x85:
	case 0xa0:
	case 0x1680:
	case 0x2028:
	case 0x2029:
	case 0x202f:
	case 0x205f:
	case 0x3000:
		return true;
	default:
		return code >= 0x2000 && code <= 0x200a;
	}
}
