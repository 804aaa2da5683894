/*
 * frame_guard.h - sees to it that a client's frames have heads as RFC 6455 wants them.
 *
 * libwebsockets before 5.0 accepts unmasked frames (5.1), and ends the connection without
 * a close frame on a control frame of more than 125 bytes (5.5) or a length beyond 63 bits (5.2);
 * it offers no hook below its parser. So the process has a recv() of its own (socket_calls.c): the real
 * call, then a walk over the frame heads in what was read. A guarded descriptor that sends such a
 * frame gets its bytes cut before it, and the owner is told once, with the reason.
 *
 * Cost: a few instructions per frame, none per byte. Only descriptors given to
 * frame_guard_start are looked at.
 */
#ifndef CHAT_BRIDGE_FRAME_GUARD_H
#define CHAT_BRIDGE_FRAME_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The state of one connection's frames. Zero: at the start of a frame. */
struct frame_guard {
	uint64_t payload_left; /* payload and masking key still to come */
	uint8_t head[10];      /* of a frame head that is not complete: without the key */
	uint8_t head_len;
	const char *violation; /* NULL, or what was wrong (static text) */
};

/* Pure. How many of the n bytes are fine; less than n: the next frame is refused. */
size_t frame_guard_scan(struct frame_guard *g, const uint8_t *bytes, size_t n);

/* on_violation runs inside recv(), so it must only take a note. False when out of memory. */
bool frame_guard_start(int fd, void (*on_violation)(void *user, const char *violation), void *user);

/* The first bytes of a connection that were read before the guard started. NULL: they are fine. */
const char *frame_guard_feed(int fd, const uint8_t *bytes, size_t n);

/* What was read from a descriptor: how many of the bytes may be passed on; all, where it is not guarded. */
size_t frame_guard_filter(int fd, const uint8_t *bytes, size_t n);

void frame_guard_stop(int fd);

#endif
