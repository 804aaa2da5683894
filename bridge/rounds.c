/* rounds.c - see rounds.h */
#include "bridge/rounds.h"
#include "bridge/bridge.h"
#include "bridge/counters.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define CHUNK_BYTES 16384u       /* a quiet room's chunk */
#define CHUNK_BYTES_BUSY 131072u /* one that fills within a round */
#define CHUNK_IDLE_MS 2000
#define SLICE_WRITES 128u    /* about a millisecond of sends */
#define PACE_FROM_NS 100000u /* rounds that took less are not paced */
#define PACE_MAX_NS 3000000u

/* ---- gathering ------------------------------------------------------------------------- */

/* Space for n more bytes in the room's chunk; what has been gathered stays where it is. */
static bool reserve(struct rounds *r, struct room_round *room, size_t n)
{
	if (room->chunk != NULL && room->chunk->cap - room->chunk->len >= n)
		return true;
	bool busy = room->dirty || room->sending;
	size_t cap = busy ? CHUNK_BYTES_BUSY : CHUNK_BYTES;
	if (busy)
		rounds_settle(r); /* the old chunk is full: its frames leave first */
	struct chunk *fresh = chunk_new(n > cap ? n : cap);
	if (fresh == NULL)
		return false;
	chunk_release(room->chunk);
	room->chunk = fresh;
	return true;
}

static bool remember_frame(struct room_round *room, struct frame frame)
{
	if (room->frame_count == room->frame_cap) {
		uint32_t cap = room->frame_cap > 0 ? room->frame_cap * 2 : 16;
		struct frame *frames = realloc(room->frames, cap * sizeof *frames);
		if (frames == NULL)
			return false;
		room->frames = frames;
		room->frame_cap = cap;
	}
	room->frames[room->frame_count++] = frame;
	return true;
}

bool rounds_gather(struct rounds *r, struct room *room, const struct mqtt_publish *p,
                   const struct message_marks *marks, struct session *author)
{
	struct room_round *round = &room->round;
	if (!reserve(r, round, frame_size(p->payload.len)))
		return false;
	struct frame frame = {.arrival = ++r->arrivals,
	                      .start = round->chunk->len,
	                      .order = marks->order,
	                      .sent_ms = marks->order == ORDER_LATE ? 0 : marks->sent_ms};
	if (author != NULL && !author->echo) {
		frame.origin = author->number;
		author->own_round = r->number;
	}
	(void)chunk_append_frame(round->chunk, FRAME_TEXT, p->payload.at, p->payload.len); /* reserved above */
	frame.end = round->chunk->len;
	if (!remember_frame(round, frame)) {
		round->chunk->len = frame.start;
		return false;
	}
	if (!round->dirty) {
		round->dirty = true;
		round->start = frame.start;
		round->next_dirty = r->dirty;
		r->dirty = room;
	}
	return true;
}

/* ---- handing out ----------------------------------------------------------------------- */

static void push_frame(struct session *s, const struct room *room, struct frame *frame)
{
	if (frame->origin == s->number)
		frame->left_out = true;
	else
		session_deliver(s, room, room->round.chunk, frame->start, frame->end, frame->order);
}

static void push_frames(struct session *s, const struct room *room)
{
	for (uint32_t i = 0; i < room->round.sent; i++)
		push_frame(s, room, &room->round.frames[i]);
}

/* A session in several rooms gets all of them in the order of arrival. */
static void push_merged(struct session *s)
{
	uint32_t at[SESSION_ROOMS_MAX] = {0};
	for (;;) {
		const struct room *next = NULL;
		uint32_t which = 0;
		for (uint32_t i = 0; i < s->room_count; i++) {
			const struct room *room = s->rooms[i].room;
			if (!room->round.sending || at[i] >= room->round.sent)
				continue;
			if (next == NULL || room->round.frames[at[i]].arrival < next->round.frames[at[which]].arrival) {
				next = room;
				which = i;
			}
		}
		if (next == NULL)
			return;
		push_frame(s, next, &next->round.frames[at[which]++]);
	}
}

/* False: this member gets nothing. */
static bool serve(struct rounds *r, struct room *room, struct session *s)
{
	struct room_round *round = &room->round;
	if (s->state == SESSION_CLOSING || s->state == SESSION_GONE || s->own_rooms || s->silent)
		return false;
	r->deliveries += round->sent;
	r->writes++;
	round->served++;
	if (s->room_count > 1) {
		if (s->several_round != r->sending) {
			s->several_round = r->sending;
			s->next_several = r->several;
			r->several = s;
		}
	} else if (s->own_round >= r->sending /* or in the next round as well */ || s->replay != NULL) {
		push_frames(s, room);
	} else {
		session_write_now(s, round->chunk, round->send_start, round->send_end);
	}
	return true;
}

/* Each round begins with another member, far from the last one's (multiples of the golden ratio), so that
 * nobody is always the last to hear. */
static void enter_room(struct rounds *r, struct room *room)
{
	r->at = room;
	r->left = room != NULL ? room->member_count : 0;
	r->member = (uint32_t)(((uint64_t)((uint32_t)r->sending * 2654435769u) * r->left) >> 32);
}

/* True when the round has come to its end. */
static bool hand_out(struct rounds *r, uint32_t writes)
{
	while (r->at != NULL) {
		struct room *room = r->at;
		for (; r->left > 0 && writes > 0; r->left--) {
			uint32_t ahead = r->member + 4;
			if (ahead < room->member_count)
				__builtin_prefetch(room->members[ahead]);
			writes -= serve(r, room, room->members[r->member]);
			if (++r->member == room->member_count)
				r->member = 0;
		}
		if (r->left > 0)
			return false;
		enter_room(r, room->round.next_sending);
	}
	for (; r->several != NULL && writes > 0; writes--) {
		struct session *s = r->several;
		r->several = s->next_several;
		push_merged(s);
	}
	return r->several == NULL;
}

static void begin(struct rounds *r)
{
	r->under_way = true;
	r->sending = r->number++;
	r->rooms = r->dirty;
	r->dirty = NULL;
	r->several = NULL;
	r->took_ns = r->writes = r->deliveries = 0;
	for (struct room *room = r->rooms; room != NULL; room = room->round.next_sending) {
		struct room_round *round = &room->round;
		round->next_sending = round->next_dirty;
		round->dirty = false;
		round->sending = true;
		round->send_start = round->start;
		round->send_end = round->chunk->len;
		round->sent = round->frame_count;
		round->served = 0;
	}
	enter_room(r, r->rooms);
}

static uint64_t real_ms(void)
{
	struct timespec t;
	if (clock_gettime(CLOCK_REALTIME, &t) != 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* One step for each message, whoever many got it. */
static void count_frames(struct rounds *r, const struct room_round *room, uint64_t now_real_ms)
{
	for (uint32_t i = 0; i < room->sent; i++) {
		const struct frame *frame = &room->frames[i];
		uint32_t sessions = room->served - frame->left_out;
		count_more(COUNTER_DELIVERED_ROOM, sessions);
		reports_delivered(&r->bridge->reports, frame->sent_ms, now_real_ms, sessions);
	}
}

static void end(struct rounds *r)
{
	uint64_t now_real_ms = real_ms();
	while (r->rooms != NULL) {
		struct room_round *room = &r->rooms->round;
		r->rooms = room->next_sending;
		count_frames(r, room, now_real_ms);
		room->frame_count -= room->sent;
		memmove(room->frames, room->frames + room->sent, room->frame_count * sizeof *room->frames);
		room->sent = 0;
		room->sending = false;
		room->last_use_ms = r->bridge->loop.now_ms;
		if (!room->dirty && room->chunk->cap - room->chunk->len < room->chunk->cap / 8) {
			chunk_release(room->chunk);
			room->chunk = NULL;
		}
	}
	r->under_way = false;
}

/* A slice of the round under way. */
static void advance(struct rounds *r, uint32_t writes)
{
	r->serving = true;
	bool over = hand_out(r, writes);
	r->serving = false;
	if (over)
		end(r);
}

void rounds_settle(struct rounds *r)
{
	if (r->serving)
		return; /* asked for by what a write has led to: this member has been served */
	while (r->under_way || r->dirty != NULL) {
		if (!r->under_way)
			begin(r);
		advance(r, UINT32_MAX);
	}
}

void rounds_settle_room(struct rounds *r, const struct room *room)
{
	if (room->round.dirty || room->round.sending)
		rounds_settle(r);
}

/* ---- pacing ---------------------------------------------------------------------------- */

/* Wakes the loop. False when there is no timer: do not wait. */
static bool wake_in(struct rounds *r, uint64_t ns)
{
	struct itimerspec wait = {.it_value = {.tv_nsec = ns > 0 ? (long)ns : 1}};
	return timerfd_settime(r->pace.fd, 0, &wait, NULL) == 0;
}

/* What has been gathered waits for its time. */
static bool wait_for_turn(struct rounds *r, uint64_t now)
{
	r->pacing = now < r->next_ns && wake_in(r, r->next_ns - now);
	return r->pacing;
}

/* The first round after a pause leaves at once. After one that took long, the next waits: what
 * arrives meanwhile shares its writes, and the broker gets its turn on the core. It waits as long
 * again where each write carried one message; where many shared a write already, so much less. */
void rounds_flush(struct rounds *r)
{
	if (!r->under_way && (r->dirty == NULL || r->pacing))
		return;
	uint64_t start = loop_now_ns();
	if (!r->under_way) {
		if (wait_for_turn(r, start))
			return;
		begin(r);
	}
	advance(r, SLICE_WRITES);
	uint64_t now = loop_now_ns();
	r->took_ns += now - start;
	if (!r->under_way && r->took_ns > PACE_FROM_NS && r->writes > 0) {
		uint64_t pause = r->took_ns < PACE_MAX_NS ? r->took_ns : PACE_MAX_NS;
		r->next_ns = now + pause * r->writes / r->deliveries;
	}
	if (r->under_way || r->dirty != NULL) {
		if (!r->under_way && wait_for_turn(r, now))
			return;
		if (!wake_in(r, 0))
			rounds_settle(r);
	}
}

static void on_pace(struct watcher *w, uint32_t events)
{
	struct rounds *r = (struct rounds *)((char *)w - offsetof(struct rounds, pace));
	uint64_t expirations;
	(void)events;
	if (read(w->fd, &expirations, sizeof expirations) == (ssize_t)sizeof expirations)
		r->pacing = false;
}

/* ---- rooms come and go ----------------------------------------------------------------- */

void rounds_tick_room(struct rounds *r, struct room *room)
{
	struct room_round *round = &room->round;
	if (round->chunk == NULL || round->dirty || round->sending ||
	    r->bridge->loop.now_ms <= round->last_use_ms + CHUNK_IDLE_MS)
		return;
	chunk_release(round->chunk);
	free(round->frames);
	memset(round, 0, sizeof *round);
}

void rounds_forget(struct rounds *r, struct room *room)
{
	if (room->round.sending)
		rounds_settle(r);
	for (struct room **at = &r->dirty; *at != NULL; at = &(*at)->round.next_dirty)
		if (*at == room) {
			*at = room->round.next_dirty;
			break;
		}
	chunk_release(room->round.chunk);
	free(room->round.frames);
	memset(&room->round, 0, sizeof room->round);
}

bool rounds_start(struct rounds *r, struct bridge *b)
{
	memset(r, 0, sizeof *r);
	r->bridge = b;
	r->number = 1;
	r->pace.on_ready = on_pace;
	r->pace.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (r->pace.fd < 0 || !loop_watch(&b->loop, &r->pace)) {
		log_line(LOG_LEVEL_ERROR, "timerfd: %s", strerror(errno));
		return false;
	}
	return true;
}

void rounds_stop(struct rounds *r)
{
	loop_unwatch(&r->bridge->loop, &r->pace);
	(void)close(r->pace.fd);
}
