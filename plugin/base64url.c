/*
 * base64url.c - six bits a character, gathered until there is a byte.
 */
#include "base64url.h"

#include <stdint.h>

/* 0 to 63, or -1. */
static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-')
		return 62;
	if (c == '_')
		return 63;
	return -1;
}

bool base64url_decode(const char *s, size_t n, void *out, size_t *len)
{
	uint8_t *bytes = out;
	uint32_t bits = 0; /* gathered and not yet written: fewer than 8 between two characters */
	unsigned have = 0;
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		int value = value_of(s[i]);

		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
		have += 6;
		if (have >= 8) {
			have -= 8;
			bytes[used++] = (uint8_t)(bits >> have);
			bits &= (1U << have) - 1;
		}
	}
	/* a whole character too many, or bits that belong to no byte */
	if (have == 6 || bits != 0)
		return false;
	*len = used;
	return true;
}
