/*
 * chunk.h - bytes that several outboxes share: ready-made WebSocket frames, each made once however
 * many read it. Pure but for malloc; a chunk belongs to one thread at a time.
 */
#ifndef CHAT_BRIDGE_CHUNK_H
#define CHAT_BRIDGE_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_HEAD_MAX 10 /* bytes before the payload of an unmasked WebSocket frame */

enum frame_opcode { FRAME_TEXT = 0x1, FRAME_PING = 0x9, FRAME_PONG = 0xa };

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

/* The payload of the frame that begins at the byte `at` of the chunk, as chunk_append_frame wrote it;
 * *next is where the following one begins. */
const char *chunk_frame_payload(const struct chunk *c, uint32_t at, size_t *len, uint32_t *next);

#endif
