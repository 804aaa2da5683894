/* outbox.c - see outbox.h */
#include "bridge/outbox.h"

#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENTS_FIRST 4

static uint64_t all_bytes;

uint64_t outbox_all_bytes(void)
{
	return all_bytes;
}

static struct segment *segment_at(const struct outbox *o, uint32_t i)
{
	return &o->segments[(o->head + i) & (o->cap - 1)]; /* cap is a power of two */
}

const struct segment *outbox_segment(const struct outbox *o, uint32_t i)
{
	return segment_at(o, i);
}

static bool grow(struct outbox *o)
{
	uint32_t cap = o->cap > 0 ? o->cap * 2 : SEGMENTS_FIRST;
	struct segment *segments = malloc(cap * sizeof *segments);
	if (segments == NULL)
		return false;
	for (uint32_t i = 0; i < o->count; i++)
		segments[i] = *segment_at(o, i);
	free(o->segments);
	o->segments = segments;
	o->head = 0;
	o->cap = cap;
	return true;
}

bool outbox_push(struct outbox *o, struct chunk *c, uint32_t start, uint32_t end)
{
	if (o->count > 0) {
		struct segment *last = segment_at(o, o->count - 1);
		if (last->chunk == c && last->end == start) {
			last->end = end;
			o->bytes += end - start;
			all_bytes += end - start;
			return true;
		}
	}
	if (o->count == o->cap && !grow(o))
		return false;
	if (o->count == 0)
		o->begun = start;
	*segment_at(o, o->count) = (struct segment){c, start, end};
	o->count++;
	o->bytes += end - start;
	all_bytes += end - start;
	c->refs++;
	return true;
}

void outbox_clear(struct outbox *o)
{
	for (uint32_t i = 0; i < o->count; i++)
		chunk_release(segment_at(o, i)->chunk);
	free(o->segments);
	all_bytes -= o->bytes;
	memset(o, 0, sizeof *o);
}

uint32_t outbox_frames(const struct outbox *o)
{
	uint32_t frames = 0;
	for (uint32_t i = 0; i < o->count; i++) {
		const struct segment *s = segment_at(o, i);
		uint32_t at = i == 0 ? o->begun : s->start;
		while (at < s->end) {
			size_t len;
			(void)chunk_frame_payload(s->chunk, at, &len, &at);
			frames += at > s->start;
		}
	}
	return frames;
}

static void drop_first(struct outbox *o)
{
	chunk_release(segment_at(o, 0)->chunk);
	o->head = (o->head + 1) & (o->cap - 1);
	o->count--;
	if (o->count > 0)
		o->begun = segment_at(o, 0)->start;
}

void outbox_cut(struct outbox *o)
{
	if (o->count == 0)
		return;
	struct segment *first = segment_at(o, 0);
	uint32_t end = o->begun;
	while (end < first->start) {
		size_t len;
		(void)chunk_frame_payload(first->chunk, end, &len, &end);
	}
	if (end == first->start) {
		outbox_clear(o);
		return;
	}
	for (uint32_t i = 1; i < o->count; i++)
		chunk_release(segment_at(o, i)->chunk);
	first->end = end;
	o->count = 1;
	all_bytes -= o->bytes - (end - first->start);
	o->bytes = end - first->start;
}

/* Takes n bytes off the front. */
static void consume(struct outbox *o, uint32_t n)
{
	o->bytes -= n;
	all_bytes -= n;
	while (n > 0) {
		struct segment *first = segment_at(o, 0);
		uint32_t len = first->end - first->start;
		if (n < len) {
			first->start += n;
			return;
		}
		n -= len;
		drop_first(o);
	}
}

/* lws_write takes all or fails: what the kernel refuses, it keeps and sends by itself.
 * Its prototype wants a pointer to non-const, but a raw write only reads. */
static enum outbox_result write_raw(struct lws *wsi, const uint8_t *bytes, size_t n)
{
	if (lws_write(wsi, (unsigned char *)(uintptr_t)bytes, n, LWS_WRITE_RAW) < 0)
		return OUTBOX_BROKEN;
	return lws_partial_buffered(wsi) ? OUTBOX_BLOCKED : OUTBOX_EMPTY;
}

enum outbox_result outbox_flush(struct outbox *o, struct lws *wsi)
{
	static uint8_t gathered[OUTBOX_WRITE_MAX]; /* one thread, never kept */

	while (o->count > 0) {
		struct segment *first = segment_at(o, 0);
		const uint8_t *bytes = first->chunk->bytes + first->start;
		uint32_t n = first->end - first->start;
		if (n > OUTBOX_WRITE_MAX)
			n = OUTBOX_WRITE_MAX;
		if (o->count > 1 && n < OUTBOX_WRITE_MAX) {
			/* many small pieces: a copy costs far less than a system call each */
			n = 0;
			for (uint32_t i = 0; i < o->count && n < OUTBOX_WRITE_MAX; i++) {
				struct segment *s = segment_at(o, i);
				uint32_t part = s->end - s->start;
				if (part > OUTBOX_WRITE_MAX - n)
					part = OUTBOX_WRITE_MAX - n;
				memcpy(gathered + n, s->chunk->bytes + s->start, part);
				n += part;
			}
			bytes = gathered;
		}
		enum outbox_result r = write_raw(wsi, bytes, n);
		if (r == OUTBOX_BROKEN)
			return r;
		consume(o, n);
		if (r == OUTBOX_BLOCKED)
			return r;
	}
	free(o->segments); /* idle sessions hold nothing */
	memset(o, 0, sizeof *o);
	return OUTBOX_EMPTY;
}

enum outbox_result outbox_write_through(struct outbox *o, struct lws *wsi, struct chunk *c, uint32_t start,
                                        uint32_t end)
{
	const uint32_t begun = start;
	while (start < end) {
		uint32_t n = end - start < OUTBOX_WRITE_MAX ? end - start : OUTBOX_WRITE_MAX;
		enum outbox_result r = write_raw(wsi, c->bytes + start, n);
		if (r == OUTBOX_BROKEN)
			return r;
		start += n;
		if (r == OUTBOX_BLOCKED) {
			if (start < end && !outbox_push(o, c, start, end))
				return OUTBOX_BROKEN;
			o->begun = begun;
			return r;
		}
	}
	return OUTBOX_EMPTY;
}
