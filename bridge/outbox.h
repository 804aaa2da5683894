/*
 * outbox.h - what a session still has to be sent.
 *
 * Frames are made once, into reference-counted chunks, and every reader's outbox holds
 * segments (byte ranges) of them: a room's message exists once however many read it.
 * A flush hands everything to the socket in as few writes as possible: one loopback send costs
 * about the same for 200 bytes and for 4000, so writing frame by frame would be the limit.
 *
 * Writing goes through lws_write(LWS_WRITE_RAW), which sends ready-made frames as they
 * are. The rule that keeps frames whole: never write while libwebsockets still holds a
 * partial write of this connection.
 *
 * Bounds: the owner refuses to push beyond outbox_bytes (plugin_opt_outbox_bytes).
 */
#ifndef CHAT_BRIDGE_OUTBOX_H
#define CHAT_BRIDGE_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lws;

#define FRAME_HEAD_MAX 10       /* bytes before the payload of an unmasked WebSocket frame */
#define OUTBOX_WRITE_MAX 65536u /* bytes handed to one write; equals the vhost's tx_packet_size */

enum frame_opcode { FRAME_TEXT = 0x1, FRAME_PING = 0x9 };

/* Bytes that several outboxes share. Grows only at its end, and only by its first owner. */
struct chunk {
	uint32_t refs;
	uint32_t len;
	uint32_t cap;
	uint8_t bytes[];
};

/* One reference, empty; NULL when out of memory. */
struct chunk *chunk_new(size_t cap);

/* The text without its NUL, as it is: no frame. NULL when out of memory. */
struct chunk *chunk_of_text(const char *text);
void chunk_release(struct chunk *c);

/* Appends a final frame. False when it does not fit (nothing appended). */
bool chunk_append_frame(struct chunk *c, enum frame_opcode opcode, const void *payload, size_t len);

static inline size_t frame_size(size_t payload_len)
{
	return payload_len + (payload_len < 126 ? 2u : payload_len < 65536 ? 4u : 10u);
}

struct segment {
	struct chunk *chunk; /* one reference */
	uint32_t start, end;
};

/* All zero is an empty outbox. */
struct outbox {
	struct segment *segments; /* ring of cap entries; NULL while empty */
	uint32_t head, count, cap;
	uint32_t bytes;
};

enum outbox_result {
	OUTBOX_EMPTY,   /* everything is with the kernel */
	OUTBOX_BLOCKED, /* the connection takes no more for now; a WRITEABLE callback will come */
	OUTBOX_BROKEN,  /* the connection is gone */
};

/* Adds a range, merging it with the last one where they touch. Takes its own reference. */
bool outbox_push(struct outbox *o, struct chunk *c, uint32_t start, uint32_t end);

enum outbox_result outbox_flush(struct outbox *o, struct lws *wsi);

/* Writes a range straight from its chunk; only with an empty outbox. What the kernel does
 * not take, libwebsockets keeps (at most OUTBOX_WRITE_MAX), the rest goes to the outbox. */
enum outbox_result outbox_write_through(struct outbox *o, struct lws *wsi, struct chunk *c, uint32_t start,
                                        uint32_t end);

/* Drops what is there. */
void outbox_clear(struct outbox *o);

#endif
