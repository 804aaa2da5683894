/*
 * frame_guard.h - sees to it that a client's frames are as RFC 6455 wants them, and takes out its pings.
 *
 * libwebsockets before 5.0 accepts unmasked frames (5.1); ends the connection without a close frame on
 * a control frame of more than 125 bytes (5.5), a length beyond 63 bits (5.2) or a close reason that is not
 * UTF-8; sends back a close frame of one byte, or with a code beyond 4999, as it is (5.5.1, 7.4); and drops
 * every ping that comes before the pong for an earlier one has left, so that the newest may stay without an
 * answer (5.5.2). It offers no hook below its parser. So the process has a recv() of its own
 * (socket_calls.c): the real call, then a walk over the frames in what was read. A guarded descriptor that
 * sends such a frame gets its bytes cut before it, and the owner is told once, with code and reason. Pings
 * are taken out of the bytes and given to the owner, who answers them; the parser never sees them.
 *
 * Cost: a few instructions per frame, none per byte but for control frames and for what stands behind a ping
 * in the same read. Only descriptors given to frame_guard_start are looked at.
 */
#ifndef CHAT_BRIDGE_FRAME_GUARD_H
#define CHAT_BRIDGE_FRAME_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTROL_PAYLOAD_MAX 125 /* RFC 6455 5.5 */

/* Called inside recv(): both may only take a note. */
struct frame_guard_owner {
	/* code: of the close frame that it deserves; reason: static text. Once. */
	void (*on_violation)(void *user, uint16_t code, const char *reason);
	/* A whole ping, unmasked; borrowed. NULL: pings stay in the bytes, and the parser answers them. */
	void (*on_ping)(void *user, const uint8_t *payload, size_t n);
};

/* The state of one connection's frames. Zero: at the start of a frame. */
struct frame_guard {
	uint64_t payload_left; /* payload and masking key still to come */
	uint8_t head[10];      /* of the frame under way, without the key */
	uint8_t head_len;      /* what is there of it; 0 when it is complete */
	bool taken;            /* the frame under way is a ping that the parser does not see */
	uint8_t control_len;
	uint16_t violation_code;
	uint8_t *control;      /* key and payload of a control frame, owned while one is under way */
	const char *violation; /* NULL, or what was wrong (static text) */
};

/* Pure but for its owner. Looks at n bytes and takes the pings out of them in place; on_ping NULL: they stay.
 * Returns how many bytes are left for the parser; all before a frame that is refused (g->violation). */
size_t frame_guard_scan(struct frame_guard *g, uint8_t *bytes, size_t n,
                        void (*on_ping)(void *user, const uint8_t *payload, size_t n), void *user);

/* Frees what a frame under way has taken. */
void frame_guard_end(struct frame_guard *g);

/* owner: borrowed until frame_guard_stop. False when out of memory. */
bool frame_guard_start(int fd, const struct frame_guard_owner *owner, void *user);

/* The first bytes of a connection that were read before the guard started; the parser has their pings.
 * False when a frame in them is refused; the owner has been told. */
bool frame_guard_feed(int fd, const uint8_t *bytes, size_t n);

/* Has a frame of it been refused? Nothing that it sends is read any more, its close frame included. */
bool frame_guard_refused(int fd);

/* What was read from a descriptor: how many bytes are left to pass on; all, where it is not guarded. */
size_t frame_guard_filter(int fd, uint8_t *bytes, size_t n);

void frame_guard_stop(int fd);

#endif
