/* frame_guard.c - see frame_guard.h */
#include "bridge/frame_guard.h"

#include <stdlib.h>

struct guarded {
	struct frame_guard guard;
	void (*on_violation)(void *user, const char *violation);
	void *user;
};

static struct guarded **table; /* by descriptor */
static int table_size;

/* Bytes of the head that hold the length, counted from the first byte of the frame. */
static size_t head_size(uint8_t second)
{
	uint8_t length = second & 0x7f;
	return length == 127 ? 10 : length == 126 ? 4 : 2;
}

size_t frame_guard_scan(struct frame_guard *g, const uint8_t *bytes, size_t n)
{
	size_t at = 0;
	if (g->violation != NULL)
		return 0;
	while (at < n) {
		if (g->payload_left > 0) {
			size_t step = n - at < g->payload_left ? n - at : (size_t)g->payload_left;
			g->payload_left -= step;
			at += step;
			continue;
		}
		g->head[g->head_len++] = bytes[at];
		if (g->head_len == 2)
			g->violation = !(bytes[at] & 0x80) ? "client frames must be masked"
			               : (g->head[0] & 0x08) && (bytes[at] & 0x7f) > 125
			                   ? "control frames have at most 125 bytes"
			                   : NULL;
		else if (g->head_len == 3 && (g->head[1] & 0x7f) == 127 && (bytes[at] & 0x80))
			g->violation = "a length has at most 63 bits";
		if (g->violation != NULL)
			/* the bytes of its head that are still here go as well */
			return at + 1 >= g->head_len ? at + 1 - g->head_len : 0;
		at++;
		if (g->head_len < 2 || g->head_len < head_size(g->head[1]))
			continue;
		uint64_t length = g->head[1] & 0x7f;
		if (length >= 126) {
			length = 0;
			for (size_t i = 2; i < head_size(g->head[1]); i++)
				length = length << 8 | g->head[i];
		}
		g->payload_left = length + 4; /* the masking key */
		g->head_len = 0;
	}
	return n;
}

bool frame_guard_start(int fd, void (*on_violation)(void *user, const char *violation), void *user)
{
	if (fd >= table_size) {
		int size = table_size > 0 ? table_size : 1024;
		while (size <= fd)
			size *= 2;
		struct guarded **grown = realloc(table, (size_t)size * sizeof *grown);
		if (grown == NULL)
			return false;
		for (int i = table_size; i < size; i++)
			grown[i] = NULL;
		table = grown;
		table_size = size;
	}
	struct guarded *g = calloc(1, sizeof *g);
	if (g == NULL)
		return false;
	g->on_violation = on_violation;
	g->user = user;
	free(table[fd]);
	table[fd] = g;
	return true;
}

void frame_guard_stop(int fd)
{
	if (fd < 0 || fd >= table_size)
		return;
	free(table[fd]);
	table[fd] = NULL;
}

const char *frame_guard_feed(int fd, const uint8_t *bytes, size_t n)
{
	if (fd >= table_size || table[fd] == NULL || frame_guard_scan(&table[fd]->guard, bytes, n) == n)
		return NULL;
	return table[fd]->guard.violation;
}

size_t frame_guard_filter(int fd, const uint8_t *bytes, size_t n)
{
	if (fd >= table_size || table[fd] == NULL)
		return n;
	struct guarded *g = table[fd];
	bool before = g->guard.violation != NULL;
	size_t fine = frame_guard_scan(&g->guard, bytes, n);
	if (fine < n && !before)
		g->on_violation(g->user, g->guard.violation);
	return fine;
}
