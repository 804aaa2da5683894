/* frame_guard.c - see frame_guard.h */
#undef _FORTIFY_SOURCE /* its header would define recv() inline, and here it is defined for real */
#include "bridge/frame_guard.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/types.h>

struct guarded {
	struct frame_guard guard;
	void (*on_violation)(void *user);
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
	if (g->violated)
		return 0;
	while (at < n) {
		if (g->payload_left > 0) {
			size_t step = n - at < g->payload_left ? n - at : (size_t)g->payload_left;
			g->payload_left -= step;
			at += step;
			continue;
		}
		g->head[g->head_len++] = bytes[at];
		if (g->head_len == 2 && !(bytes[at] & 0x80)) {
			g->violated = true;
			return at > 0 ? at - 1 : 0; /* its first byte goes as well, where it is still here */
		}
		at++;
		if (g->head_len < 2 || g->head_len < head_size(g->head[1]))
			continue;
		uint64_t length = g->head[1] & 0x7f;
		if (length >= 126) {
			length = 0;
			for (size_t i = 2; i < head_size(g->head[1]); i++)
				length = length << 8 | g->head[i];
		}
		/* a length with its top bit set is refused by the parser behind us */
		g->payload_left = (length & 0x7fffffffffffffffu) + 4; /* the masking key */
		g->head_len = 0;
	}
	return n;
}

bool frame_guard_start(int fd, void (*on_violation)(void *user), void *user)
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

bool frame_guard_feed(int fd, const uint8_t *bytes, size_t n)
{
	return fd >= table_size || table[fd] == NULL || frame_guard_scan(&table[fd]->guard, bytes, n) == n;
}

/* Stands in for the C library's. Everything but guarded stream sockets passes untouched. */
__attribute__((visibility("default"))) ssize_t recv(int fd, void *buffer, size_t len, int flags)
{
	ssize_t n = recvfrom(fd, buffer, len, flags, NULL, NULL);
	if (n <= 0 || fd >= table_size || table[fd] == NULL || (flags & MSG_PEEK))
		return n;
	struct guarded *g = table[fd];
	bool before = g->guard.violated;
	size_t fine = frame_guard_scan(&g->guard, buffer, (size_t)n);
	if (fine == (size_t)n)
		return n;
	if (!before)
		g->on_violation(g->user);
	if (fine > 0)
		return (ssize_t)fine;
	errno = EAGAIN; /* nothing for the parser; the owner closes the connection at the end of the round */
	return -1;
}
