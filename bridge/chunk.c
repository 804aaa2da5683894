/* chunk.c - see chunk.h */
#include "bridge/chunk.h"

#include <stdlib.h>
#include <string.h>

struct chunk *chunk_new(size_t cap)
{
	if (cap > UINT32_MAX)
		return NULL;
	struct chunk *c = malloc(sizeof *c + cap);
	if (c == NULL)
		return NULL;
	c->refs = 1;
	c->len = 0;
	c->cap = (uint32_t)cap;
	return c;
}

struct chunk *chunk_of_text(const char *text)
{
	size_t len = strlen(text);
	struct chunk *c = chunk_new(len);
	if (c == NULL)
		return NULL;
	memcpy(c->bytes, text, len);
	c->len = (uint32_t)len;
	return c;
}

void chunk_release(struct chunk *c)
{
	if (c != NULL && --c->refs == 0)
		free(c);
}

bool chunk_append_frame(struct chunk *c, enum frame_opcode opcode, const void *payload, size_t len)
{
	if (frame_size(len) > c->cap - c->len)
		return false;
	uint8_t *at = c->bytes + c->len;
	*at++ = (uint8_t)(0x80u | opcode);
	if (len < 126) {
		*at++ = (uint8_t)len;
	} else if (len < 65536) {
		*at++ = 126;
		*at++ = (uint8_t)(len >> 8);
		*at++ = (uint8_t)len;
	} else {
		*at++ = 127;
		for (int shift = 56; shift >= 0; shift -= 8)
			*at++ = (uint8_t)((uint64_t)len >> shift);
	}
	if (len > 0)
		memcpy(at, payload, len);
	c->len += (uint32_t)frame_size(len);
	return true;
}

const char *chunk_frame_payload(const struct chunk *c, uint32_t at, size_t *len, uint32_t *next)
{
	const uint8_t *head = c->bytes + at;
	size_t n = head[1], size = 2;
	if (n == 126) {
		n = (size_t)head[2] << 8 | head[3];
		size = 4;
	} else if (n == 127) {
		n = 0;
		for (int i = 0; i < 8; i++)
			n = n << 8 | head[2 + i];
		size = 10;
	}
	*len = n;
	*next = at + (uint32_t)(size + n);
	return (const char *)head + size;
}
