/* frame_guard.c - see frame_guard.h */
#include "bridge/frame_guard.h"
#include "common/utf8.h"

#include <stdlib.h>
#include <string.h>

#define PROTOCOL_ERROR 1002
#define INVALID_PAYLOAD 1007
#define INTERNAL_ERROR 1011

#define OPCODE_CLOSE 0x8
#define OPCODE_PING 0x9

struct guarded {
	struct frame_guard guard;
	const struct frame_guard_owner *owner;
	void *user;
};

static struct guarded **table; /* by descriptor */
static int table_size;

/* ---- frames ------------------------------------------------------------------------------- */

/* Bytes of the head that hold the length, counted from the first byte of the frame. */
static size_t head_size(uint8_t second)
{
	uint8_t length = second & 0x7f;
	return length == 127 ? 10 : length == 126 ? 4 : 2;
}

static bool is_control(const struct frame_guard *g)
{
	return (g->head[0] & 0x08) != 0;
}

/* The byte of the head that has just come. NULL: it is fine. */
static const char *check_head(const struct frame_guard *g, uint8_t byte)
{
	switch (g->head_len) {
	case 1:
		if (byte & 0x70)
			return "no extension was agreed on";
		return is_control(g) && !(byte & 0x80) ? "control frames come whole" : NULL;
	case 2:
		if (!(byte & 0x80))
			return "client frames must be masked";
		return is_control(g) && (byte & 0x7f) > CONTROL_PAYLOAD_MAX ? "control frames have at most 125 bytes"
		                                                            : NULL;
	case 3:
		return (g->head[1] & 0x7f) == 127 && (byte & 0x80) ? "a length has at most 63 bits" : NULL;
	default:
		return NULL;
	}
}

/* RFC 6455 7.4, and what was registered later. */
static bool close_code_valid(unsigned code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static void check_close(struct frame_guard *g, const uint8_t *payload, size_t n)
{
	g->violation_code = PROTOCOL_ERROR;
	if (n == 1)
		g->violation = "half a close code";
	else if (n >= 2 && !close_code_valid((unsigned)payload[0] << 8 | payload[1]))
		g->violation = "no close code";
	if (g->violation != NULL || n < 2 || utf8_valid((const char *)payload + 2, n - 2, NULL))
		return;
	g->violation = "the close reason is not UTF-8";
	g->violation_code = INVALID_PAYLOAD;
}

void frame_guard_end(struct frame_guard *g)
{
	free(g->control);
	g->control = NULL;
	g->control_len = 0;
}

static void keep_control(struct frame_guard *g, const uint8_t *bytes, size_t n)
{
	if (g->control == NULL && (g->control = malloc(4 + CONTROL_PAYLOAD_MAX)) == NULL) {
		g->violation = "out of memory";
		g->violation_code = INTERNAL_ERROR;
		return;
	}
	memcpy(g->control + g->control_len, bytes, n);
	g->control_len += (uint8_t)n;
}

/* All of a control frame is there. */
static void take_control(struct frame_guard *g, void (*on_ping)(void *user, const uint8_t *payload, size_t n),
                         void *user)
{
	const uint8_t *key = g->control;
	uint8_t *payload = g->control + 4;
	size_t n = g->control_len - 4u;
	for (size_t i = 0; i < n; i++)
		payload[i] ^= key[i % 4];
	if (g->taken)
		on_ping(user, payload, n);
	else if ((g->head[0] & 0x0f) == OPCODE_CLOSE)
		check_close(g, payload, n);
	frame_guard_end(g);
}

size_t frame_guard_scan(struct frame_guard *g, uint8_t *bytes, size_t n,
                        void (*on_ping)(void *user, const uint8_t *payload, size_t n), void *user)
{
	size_t at = 0;
	size_t kept = 0;  /* bytes for the parser */
	size_t begin = 0; /* of those: where the frame under way begins, as far as it is in here */
	if (g->violation != NULL)
		return 0;
	while (at < n) {
		size_t step = 1;
		if (g->payload_left > 0) {
			step = n - at < g->payload_left ? n - at : (size_t)g->payload_left;
			g->payload_left -= step;
			if (is_control(g))
				keep_control(g, bytes + at, step);
			if (is_control(g) && g->payload_left == 0 && g->violation == NULL)
				take_control(g, on_ping, user);
		} else {
			if (g->head_len == 0) {
				begin = kept;
				g->taken = on_ping != NULL && (bytes[at] & 0x0f) == OPCODE_PING;
			}
			g->head[g->head_len++] = bytes[at];
			g->violation = check_head(g, bytes[at]);
			g->violation_code = PROTOCOL_ERROR;
			if (g->head_len >= 2 && g->head_len >= head_size(g->head[1])) {
				uint64_t length = g->head[1] & 0x7f;
				if (length >= 126) {
					length = 0;
					for (size_t i = 2; i < g->head_len; i++)
						length = length << 8 | g->head[i];
				}
				g->payload_left = length + 4; /* the masking key */
				g->head_len = 0;
			}
		}
		if (g->violation != NULL)
			return begin;
		if (!g->taken) {
			if (kept != at)
				memmove(bytes + kept, bytes + at, step);
			kept += step;
		}
		at += step;
	}
	return kept;
}

/* ---- descriptors -------------------------------------------------------------------------- */

static void drop(int fd)
{
	if (table[fd] != NULL)
		frame_guard_end(&table[fd]->guard);
	free(table[fd]);
	table[fd] = NULL;
}

bool frame_guard_start(int fd, const struct frame_guard_owner *owner, void *user)
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
	g->owner = owner;
	g->user = user;
	drop(fd);
	table[fd] = g;
	return true;
}

void frame_guard_stop(int fd)
{
	if (fd >= 0 && fd < table_size)
		drop(fd);
}

bool frame_guard_refused(int fd)
{
	return fd >= 0 && fd < table_size && table[fd] != NULL && table[fd]->guard.violation != NULL;
}

static void tell(struct guarded *g)
{
	g->owner->on_violation(g->user, g->guard.violation_code, g->guard.violation);
}

bool frame_guard_feed(int fd, const uint8_t *bytes, size_t n)
{
	struct guarded *g = fd < table_size ? table[fd] : NULL;
	if (g == NULL || g->guard.violation != NULL)
		return g == NULL;
	/* without on_ping nothing is moved, so nothing is written */
	(void)frame_guard_scan(&g->guard, (uint8_t *)(uintptr_t)bytes, n, NULL, NULL);
	if (g->guard.violation == NULL)
		return true;
	tell(g);
	return false;
}

size_t frame_guard_filter(int fd, uint8_t *bytes, size_t n)
{
	if (fd >= table_size || table[fd] == NULL)
		return n;
	struct guarded *g = table[fd];
	bool before = g->guard.violation != NULL;
	size_t left = frame_guard_scan(&g->guard, bytes, n, g->owner->on_ping, g->user);
	if (g->guard.violation != NULL && !before)
		tell(g);
	return left;
}
