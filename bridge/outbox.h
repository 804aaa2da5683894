/*
 * outbox.h - what a session still has to be sent.
 *
 * Frames are made once, into reference-counted chunks, and every reader's outbox holds
 * segments (byte ranges) of them: a room's message exists once however many read it.
 * A flush hands everything to the socket in as few writes as possible: one loopback send costs
 * about the same for 200 bytes and for 4000, so writing frame by frame would be the limit.
 *
 * Writing goes through lws_write(LWS_WRITE_RAW), which sends ready-made frames as they
 * are. The rules that keep frames whole: every range pushed begins and ends with a frame, and nothing is
 * written while libwebsockets still holds a partial write of this connection.
 *
 * Bounds: the owner refuses to push beyond outbox_bytes (plugin_opt_outbox_bytes).
 */
#ifndef CHAT_BRIDGE_OUTBOX_H
#define CHAT_BRIDGE_OUTBOX_H

#include "bridge/chunk.h"

#include <stdbool.h>
#include <stdint.h>

struct lws;

#define OUTBOX_WRITE_MAX 65536u /* bytes handed to one write; equals the vhost's tx_packet_size */

struct segment {
	struct chunk *chunk; /* one reference */
	uint32_t start, end;
};

/* All zero is an empty outbox. */
struct outbox {
	struct segment *segments; /* ring of cap entries; NULL while empty */
	uint32_t head, count, cap;
	uint32_t bytes;
	uint32_t begun; /* where the first range began before writes took bytes off it: a frame begins there */
};

enum outbox_result {
	OUTBOX_EMPTY,   /* everything is with the kernel */
	OUTBOX_BLOCKED, /* the connection takes no more for now; a WRITEABLE callback will come */
	OUTBOX_BROKEN,  /* the connection is gone */
};

/* Adds a range, merging it with the last one where they touch. Takes its own reference. */
bool outbox_push(struct outbox *o, struct chunk *c, uint32_t start, uint32_t end);

/* The i-th range of count. */
const struct segment *outbox_segment(const struct outbox *o, uint32_t i);

enum outbox_result outbox_flush(struct outbox *o, struct lws *wsi);

/* Writes a range straight from its chunk; only with an empty outbox. What the kernel does
 * not take, libwebsockets keeps (at most OUTBOX_WRITE_MAX), the rest goes to the outbox. */
enum outbox_result outbox_write_through(struct outbox *o, struct lws *wsi, struct chunk *c, uint32_t start,
                                        uint32_t end);

/* What all outboxes of the process hold. */
uint64_t outbox_all_bytes(void);

/* How many frames there are, one that has begun to leave included. */
uint32_t outbox_frames(const struct outbox *o);

/* Drops what is there. */
void outbox_clear(struct outbox *o);

/* Drops what is there but the rest of a frame of which a write has taken the beginning: a close frame behind
 * half a frame would be read as its other half. */
void outbox_cut(struct outbox *o);

#endif
