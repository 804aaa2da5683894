/*
 * frame_guard.h - sees to it that a client masks its frames (RFC 6455 5.1).
 *
 * libwebsockets before 5.0 accepts unmasked frames and offers no hook below its parser.
 * So this file defines recv() for the process: the real call, then a walk over the frame
 * heads in what was read. A guarded descriptor that sends an unmasked frame gets its bytes
 * cut before that frame, and the owner is told once.
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
	bool violated;
};

/* Pure. How many of the n bytes are fine; less than n: the next frame is not masked. */
size_t frame_guard_scan(struct frame_guard *g, const uint8_t *bytes, size_t n);

/* on_violation runs inside recv(), so it must only take a note. False when out of memory. */
bool frame_guard_start(int fd, void (*on_violation)(void *user), void *user);

/* The first bytes of a connection that were read before the guard started. False: violated. */
bool frame_guard_feed(int fd, const uint8_t *bytes, size_t n);

void frame_guard_stop(int fd);

#endif
