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
/* A round is handed out in about two dozen slices: what arrives joins it at the next one, but each costs the
 * loop's own calls once more. */
#define SLICES 24u
#define SLICE_MIN 16u
#define SLICE_MAX 128u       /* half a millisecond of sends and more */
#define PACE_FROM_NS 100000u /* rounds that took less are not paced */
#define PACE_MAX_NS 3000000u

static void settle_room(struct rounds *r, struct room *room);

/* ---- gathering ------------------------------------------------------------------------- */

/* The number that the room's next frame will have. */
static uint64_t end_of(const struct room_round *round)
{
	return round->first + round->frame_count;
}

static struct frame *frame_at(const struct room_round *round, uint64_t number)
{
	return &round->frames[number - round->first];
}

/* Space for n more bytes in the room's chunk; what has been gathered stays where it is. */
static bool reserve(struct rounds *r, struct room *room, size_t n)
{
	struct room_round *round = &room->round;
	if (round->chunk != NULL && round->chunk->cap - round->chunk->len >= n)
		return true;
	size_t cap = round->frame_count > 0 ? CHUNK_BYTES_BUSY : CHUNK_BYTES;
	struct chunk *fresh = chunk_new(n > cap ? n : cap);
	if (fresh == NULL)
		return false;
	if (round->before != NULL)
		settle_room(r, room); /* more than two chunks within a round */
	if (round->frame_count > 0) {
		round->before = round->chunk;
		round->before_end = end_of(round);
	} else {
		chunk_release(round->chunk);
	}
	round->chunk = fresh;
	return true;
}

static bool remember_frame(struct room_round *round, struct frame frame)
{
	if (round->frame_count == round->frame_cap) {
		uint32_t cap = round->frame_cap > 0 ? round->frame_cap * 2 : 16;
		struct frame *frames = realloc(round->frames, cap * sizeof *frames);
		if (frames == NULL)
			return false;
		round->frames = frames;
		round->frame_cap = cap;
	}
	round->frames[round->frame_count++] = frame;
	return true;
}

bool rounds_gather(struct rounds *r, struct room *room, const struct mqtt_publish *p,
                   const struct message_marks *marks, struct session *author)
{
	struct room_round *round = &room->round;
	if (!reserve(r, room, frame_size(p->payload.len)))
		return false;
	struct frame frame = {.arrival = ++r->arrivals,
	                      .start = round->chunk->len,
	                      .order = marks->order,
	                      .sent_ms = marks->order == ORDER_LATE ? 0 : marks->sent_ms};
	if (author != NULL && !author->echo)
		frame.origin = author->number;
	(void)chunk_append_frame(round->chunk, FRAME_TEXT, p->payload.at, p->payload.len); /* reserved above */
	frame.end = round->chunk->len;
	if (!remember_frame(round, frame)) {
		round->chunk->len = frame.start;
		return false;
	}
	if (frame.origin != 0)
		author->own_arrival = frame.arrival;
	round->begun |= round->under_way && !round->queued;
	if (!round->queued && !round->waiting) {
		round->waiting = true;
		round->next_waiting = r->waiting;
		r->waiting = room;
	}
	return true;
}

/* ---- handing out ----------------------------------------------------------------------- */

/* Members who get nothing; of what they were not given they keep no account. */
static bool passed_over(const struct session *s)
{
	return s->state == SESSION_CLOSING || s->state == SESSION_GONE || s->own_rooms || s->silent;
}

/* For the counts: one member gets all of these. */
static void note_range(struct rounds *r, struct room_round *round, uint64_t from, uint64_t to)
{
	r->deliveries += to - from;
	frame_at(round, from)->ranges_from++;
	frame_at(round, to - 1)->ranges_to++;
}

static struct chunk *chunk_of(const struct room_round *round, uint64_t number)
{
	return number < round->before_end ? round->before : round->chunk;
}

static void push_frame(struct session *s, const struct room *room, uint64_t number)
{
	struct frame *frame = frame_at(&room->round, number);
	if (frame->origin == s->number)
		frame->left_out = true;
	else
		session_deliver(s, room, chunk_of(&room->round, number), frame->start, frame->end, frame->order);
}

/* All in one write, or in two around the end of a chunk. */
static void write_range(struct session *s, const struct room_round *round, uint64_t from, uint64_t to)
{
	if (from < round->before_end) {
		uint64_t split = to < round->before_end ? to : round->before_end;
		session_write_now(s, round->before, frame_at(round, from)->start, frame_at(round, split - 1)->end);
		from = split;
	}
	if (from < to)
		session_write_now(s, round->chunk, frame_at(round, from)->start, frame_at(round, to - 1)->end);
}

/* A member of this room alone. True: it has been written to. */
static bool serve_one(struct rounds *r, struct room *room, struct room_member *m)
{
	struct room_round *round = &room->round;
	struct session *s = m->session;
	uint64_t from = m->next;
	uint64_t to = end_of(round);
	m->next = to;
	if (from == to || passed_over(s))
		return false;
	note_range(r, round, from, to);
	if (s->replay == NULL && s->own_arrival < frame_at(round, from)->arrival)
		write_range(s, round, from, to);
	else
		for (uint64_t number = from; number < to; number++)
			push_frame(s, room, number);
	return true;
}

/* A session in several rooms gets all of them in the order of arrival. */
static bool serve_several(struct rounds *r, struct session *s)
{
	uint64_t at[SESSION_ROOMS_MAX], to[SESSION_ROOMS_MAX];
	uint32_t count = s->room_count;
	bool over = passed_over(s);
	bool any = false;
	for (uint32_t i = 0; i < count; i++) {
		struct room *room = s->rooms[i].room;
		struct room_member *m = &room->members[s->rooms[i].index];
		at[i] = m->next;
		to[i] = m->next = end_of(&room->round);
		if (over)
			at[i] = to[i];
		else if (at[i] < to[i])
			note_range(r, &room->round, at[i], to[i]);
	}
	for (;;) {
		const struct room *next = NULL;
		uint64_t first = 0;
		uint32_t which = 0;
		for (uint32_t i = 0; i < count; i++) {
			const struct room *room = s->rooms[i].room;
			if (at[i] == to[i])
				continue;
			uint64_t arrival = frame_at(&room->round, at[i])->arrival;
			if (next == NULL || arrival < first) {
				next = room;
				first = arrival;
				which = i;
			}
		}
		if (next == NULL)
			return any;
		push_frame(s, next, at[which]++);
		any = true;
	}
}

/* In its turn. True: it has been written to. */
static bool serve(struct rounds *r, struct room *room, struct room_member *m)
{
	struct session *s = m->session;
	if (m->next == end_of(&room->round))
		return false;
	if (s->room_count == 1)
		return serve_one(r, room, m);
	if (s->several_round != r->number) {
		s->several_round = r->number;
		s->next_several = r->several;
		r->several = s;
	}
	return false;
}

/* A busy room's rounds all begin with the same member, so that the time between two turns is the same for
 * all; each time it has been quiet with another one, far from the last (multiples of the golden ratio), so
 * that nobody is always the last to hear. */
static void enter_room(struct rounds *r, struct room *room)
{
	r->at = room;
	if (room == NULL)
		return;
	struct room_round *round = &room->round;
	round->queued = false;
	round->covered = end_of(round);
	r->left = r->count = round->frame_count > 0 ? room->member_count : 0;
	if (!round->begun)
		round->first_member = (uint32_t)(((uint64_t)((uint32_t)r->number * 2654435769u) * r->count) >> 32);
	round->begun = false;
	r->member = round->first_member < r->count ? round->first_member : 0;
}

/* True when the round has come to its end. */
static bool hand_out(struct rounds *r, uint32_t writes)
{
	while (r->at != NULL) {
		struct room *room = r->at;
		for (; r->left > 0 && writes > 0; r->left--) {
			uint32_t ahead = r->member + 4;
			if (ahead < r->count)
				__builtin_prefetch(room->members[ahead].session);
			bool written = serve(r, room, &room->members[r->member]);
			writes -= written;
			r->writes += written;
			if (++r->member == r->count)
				r->member = 0;
		}
		if (r->left > 0)
			return false;
		enter_room(r, room->round.next_under_way);
	}
	while (r->several != NULL && writes > 0) {
		struct session *s = r->several;
		r->several = s->next_several;
		bool written = serve_several(r, s);
		writes -= written;
		r->writes += written;
	}
	return r->several == NULL;
}

static void begin(struct rounds *r)
{
	r->under_way = true;
	r->number++;
	r->rooms = r->waiting;
	r->waiting = NULL;
	r->members = 0;
	r->took_ns = r->writes = r->deliveries = 0;
	for (struct room *room = r->rooms; room != NULL; room = room->round.next_under_way) {
		struct room_round *round = &room->round;
		round->next_under_way = round->next_waiting;
		round->waiting = false;
		round->under_way = round->queued = true;
		r->members += room->member_count;
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

/* All members have what stands before that number. Counted in one step for each message, whoever many got it.
 */
static void forget_frames(struct rounds *r, struct room_round *round, uint64_t until)
{
	uint64_t now_real_ms = real_ms();
	uint32_t count = until > round->first ? (uint32_t)(until - round->first) : 0;
	for (uint32_t i = 0; i < count; i++) {
		const struct frame *frame = &round->frames[i];
		round->ranges += frame->ranges_from;
		uint32_t sessions = round->ranges - frame->left_out;
		round->ranges -= frame->ranges_to;
		count_more(COUNTER_DELIVERED_ROOM, sessions);
		reports_delivered(&r->bridge->reports, frame->sent_ms, now_real_ms, sessions);
	}
	round->first += count;
	round->frame_count -= count;
	if (count > 0 && round->frame_count > 0)
		memmove(round->frames, round->frames + count, round->frame_count * sizeof *round->frames);
	if (round->before != NULL && round->first >= round->before_end) {
		chunk_release(round->before);
		round->before = NULL;
	}
	round->last_use_ms = r->bridge->loop.now_ms;
}

static void end(struct rounds *r)
{
	while (r->rooms != NULL) {
		struct room_round *round = &r->rooms->round;
		r->rooms = round->next_under_way;
		round->under_way = false;
		forget_frames(r, round, round->covered);
		struct chunk *chunk = round->chunk;
		if (round->frame_count == 0 && chunk != NULL && chunk->cap - chunk->len < chunk->cap / 8) {
			chunk_release(chunk);
			round->chunk = NULL;
		}
	}
	r->under_way = false;
}

/* A slice of the round under way. */
static void advance(struct rounds *r)
{
	r->serving = true;
	uint32_t slice = r->members / SLICES;
	bool over = hand_out(r, slice < SLICE_MIN ? SLICE_MIN : slice < SLICE_MAX ? slice : SLICE_MAX);
	r->serving = false;
	if (over)
		end(r);
}

/* ---- out of turn ----------------------------------------------------------------------- */

void rounds_settle_session(struct rounds *r, struct session *s)
{
	if (r->serving)
		return; /* asked for by what a write has led to: this member has been served */
	r->serving = true;
	if (s->room_count > 1)
		r->writes += serve_several(r, s);
	else if (s->room_count == 1)
		r->writes += serve_one(r, s->rooms[0].room, &s->rooms[0].room->members[s->rooms[0].index]);
	r->serving = false;
}

static struct room_member *member_of(const struct session *s, const struct room *room)
{
	for (uint32_t i = 0; i < s->room_count; i++)
		if (s->rooms[i].room == room)
			return &s->rooms[i].room->members[s->rooms[i].index];
	return NULL;
}

void rounds_take_over(struct rounds *r, struct session *from, struct session *to)
{
	for (uint32_t i = 0; i < to->room_count; i++) {
		struct room *room = to->rooms[i].room;
		const struct room_member *before = r->serving ? NULL : member_of(from, room);
		room->members[to->rooms[i].index].next = before != NULL ? before->next : end_of(&room->round);
	}
	rounds_settle_session(r, to); /* a place may be one that the round has passed */
}

static void settle_room(struct rounds *r, struct room *room)
{
	for (uint32_t i = 0; i < room->member_count; i++)
		rounds_settle_session(r, room->members[i].session);
	forget_frames(r, &room->round, end_of(&room->round));
}

void rounds_settle(struct rounds *r)
{
	if (r->serving)
		return;
	for (struct room *room = r->rooms; room != NULL; room = room->round.next_under_way)
		settle_room(r, room);
	for (struct room *room = r->waiting; room != NULL; room = room->round.next_waiting)
		settle_room(r, room);
}

/* ---- members come and go ---------------------------------------------------------------- */

uint64_t rounds_join(const struct room *room)
{
	return end_of(&room->round);
}

/* The order of the rooms' visit that is under way: the last place goes. */
static void take_out_last(struct rounds *r, const struct room *room)
{
	uint32_t last = room->member_count - 1;
	if (r->at != room || last >= r->count)
		return; /* who has come since the visit began has no turn in it */
	uint32_t turns_before = (last + r->count - r->member) % r->count;
	if (turns_before < r->left)
		r->left--;
	r->count = last;
	if (r->member == last)
		r->member = 0;
}

void rounds_leave(struct rounds *r, struct room *room, uint32_t index)
{
	struct session *s = room->members[index].session;
	rounds_settle_session(r, s);
	if (s->several_round == r->number)
		for (struct session **at = &r->several; *at != NULL; at = &(*at)->next_several)
			if (*at == s) {
				*at = s->next_several;
				break;
			}
	s->several_round = 0;
	rounds_settle_session(r, room->members[room->member_count - 1].session); /* it may miss its turn */
	take_out_last(r, room);
}

/* ---- pacing ---------------------------------------------------------------------------- */

static void on_busy(uv_idle_t *handle)
{
	(void)handle; /* that it runs keeps the loop from sleeping */
}

static void stay_awake(struct rounds *r, bool awake)
{
	if (awake)
		(void)uv_idle_start(&r->busy, on_busy); /* fails only without a callback */
	else
		(void)uv_idle_stop(&r->busy);
}

/* Wakes the loop, in more than no time. False when there is no timer: do not wait. */
static bool wake_in(struct rounds *r, uint64_t ns)
{
	struct itimerspec wait = {.it_value = {.tv_nsec = (long)ns}};
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
 * again where a write carried one message or two; where more shared it already, less by the square. */
void rounds_flush(struct rounds *r)
{
	bool idle = !r->under_way && (r->waiting == NULL || r->pacing);
	uint64_t start = idle ? 0 : loop_now_ns();
	if (idle || (!r->under_way && wait_for_turn(r, start))) {
		stay_awake(r, false);
		return;
	}
	if (!r->under_way)
		begin(r);
	advance(r);
	uint64_t now = loop_now_ns();
	r->took_ns += now - start;
	if (!r->under_way && r->took_ns > PACE_FROM_NS && r->writes > 0) {
		uint64_t pause = r->took_ns < PACE_MAX_NS ? r->took_ns : PACE_MAX_NS;
		if (r->deliveries > 2 * r->writes)
			pause = pause * 4 * r->writes / r->deliveries * r->writes / r->deliveries;
		r->next_ns = now + pause;
	}
	stay_awake(r, r->under_way || (r->waiting != NULL && !wait_for_turn(r, now)));
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
	if (round->chunk == NULL || round->frame_count > 0 || round->waiting || round->under_way ||
	    r->bridge->loop.now_ms <= round->last_use_ms + CHUNK_IDLE_MS)
		return;
	chunk_release(round->chunk);
	round->chunk = NULL;
	free(round->frames);
	round->frames = NULL;
	round->frame_cap = 0;
}

void rounds_forget(struct rounds *r, struct room *room)
{
	struct room_round *round = &room->round;
	if (r->at == room)
		enter_room(r, round->next_under_way);
	for (struct room **at = &r->rooms; round->under_way && *at != NULL; at = &(*at)->round.next_under_way)
		if (*at == room) {
			*at = round->next_under_way;
			break;
		}
	for (struct room **at = &r->waiting; round->waiting && *at != NULL; at = &(*at)->round.next_waiting)
		if (*at == room) {
			*at = round->next_waiting;
			break;
		}
	chunk_release(round->before);
	chunk_release(round->chunk);
	free(round->frames);
	memset(round, 0, sizeof *round);
}

bool rounds_start(struct rounds *r, struct bridge *b)
{
	memset(r, 0, sizeof *r);
	r->bridge = b;
	if (uv_idle_init(&b->loop.uv, &r->busy) != 0)
		return false;
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
	uv_close((uv_handle_t *)&r->busy, NULL);
	loop_unwatch(&r->bridge->loop, &r->pace);
	(void)close(r->pace.fd);
}
