/* holes.c - see holes.h. */
#include "bench/holes.h"

#include <stdio.h>
#include <string.h>

bool holes_fill(char *out, size_t cap, const char *text, uint32_t n, uint32_t room)
{
	size_t at = 0;

	while (*text != 0) {
		bool is_n = strncmp(text, "{n}", 3) == 0, is_room = strncmp(text, "{room}", 6) == 0;
		char piece[16];
		size_t length;

		if (is_n || is_room)
			(void)snprintf(piece, sizeof(piece), "%u", is_n ? n : room);
		else
			(void)snprintf(piece, sizeof(piece), "%c", *text);
		text += is_n ? 3 : is_room ? 6 : 1;
		length = strlen(piece);
		if (at + length >= cap)
			return false;
		memcpy(out + at, piece, length);
		at += length;
	}
	if (at >= cap)
		return false;
	out[at] = 0;
	return true;
}
