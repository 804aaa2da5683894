/* replay.c - see replay.h */
#include "bridge/replay.h"
#include "bridge/bridge.h"
#include "bridge/counters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_AT 7 /* bytes before the id in a canonical message: {"id":" */

struct place {
	struct room *room; /* NULL: the inbox */
	bool own;          /* its live messages come over the session's own connection */
	bool known;        /* the position is known */
	bool read;         /* as far as the position, or as far as it can be */
	bool dropped;      /* something of it, while an answer was awaited: ask again */
	bool live;         /* nothing is held any more */
	bool failed;       /* history could not be read */
	bool left;         /* so is the session's membership; room is not valid any more */
	struct history_replay progress;
	uint32_t count;
};

struct held {
	const struct room *room;
	struct chunk *chunk; /* one reference */
	uint32_t start, end;
	uint64_t order; /* message_marks.h */
};

/* How far history went when it was asked. */
struct position {
	uint64_t n;
	const char *id; /* the newest; "" for none */
};

struct replay {
	struct sync_question shared; /* first: an answer finds the replay by it */
	struct session *session;
	bool started;
	bool positioned; /* every position has been known once */
	struct place *places;
	uint32_t place_count;
	uint64_t own_token;
	bool asking_own, asking_shared; /* an answer is awaited */
	struct held *held;
	uint32_t held_count, held_cap, held_bytes;
	struct history_question *question; /* NULL: none under way */
	struct place *reading;             /* whose question it is */
};

/* ---- held messages ------------------------------------------------------------------------- */

static void drop_held(struct replay *p, uint32_t i)
{
	p->held_bytes -= p->held[i].end - p->held[i].start;
	chunk_release(p->held[i].chunk);
}

/* Keeps those for which keep() is true, in order. */
static void sift_held(struct replay *p, const struct room *room,
                      bool (*keep)(const struct held *, const struct position *),
                      const struct position *position)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < p->held_count; i++) {
		if (p->held[i].room == room && !keep(&p->held[i], position))
			drop_held(p, i);
		else
			p->held[kept++] = p->held[i];
	}
	p->held_count = kept;
}

static bool keep_none(const struct held *h, const struct position *position)
{
	(void)h;
	(void)position;
	return false;
}

static bool keep_late(const struct held *h, const struct position *position)
{
	(void)position;
	return h->order == ORDER_LATE;
}

/* What is not within the position. */
static bool keep_newer(const struct held *h, const struct position *position)
{
	size_t len;
	uint32_t next;
	if (h->order != ORDER_BY_ID)
		return h->order > position->n; /* ORDER_LATE is greater than any */
	const char *id = position->id;
	const char *payload = chunk_frame_payload(h->chunk, h->start, &len, &next);
	return id[0] == '\0' || len < ID_AT + ULID_LEN || memcmp(payload + ID_AT, id, ULID_LEN) > 0;
}

static bool hold(struct replay *p, const struct room *room, struct chunk *c, uint32_t start, uint32_t end,
                 uint64_t order)
{
	if (p->held_count == p->held_cap) {
		uint32_t cap = p->held_cap > 0 ? p->held_cap * 2 : 16;
		struct held *held = realloc(p->held, cap * sizeof *held);
		if (held == NULL)
			return false;
		p->held = held;
		p->held_cap = cap;
	}
	c->refs++;
	p->held[p->held_count++] = (struct held){room, c, start, end, order};
	p->held_bytes += end - start;
	return true;
}

/* ---- positions ------------------------------------------------------------------------------- */

/* Asks for the places whose position is not known, once for each connection, where no answer is awaited yet.
 */
static void ask(struct replay *p)
{
	struct session *s = p->session;
	bool own = false, shared = false;
	for (uint32_t i = 0; i < p->place_count; i++) {
		own |= !p->places[i].known && p->places[i].own;
		shared |= !p->places[i].known && !p->places[i].own;
	}
	own &= !p->asking_own;
	shared &= !p->asking_shared;
	p->asking_own |= own;
	p->asking_shared |= shared;
	if ((shared && !sync_ask(&s->bridge->sync, &p->shared, "position")) ||
	    (own && !session_ask_position(s, ++p->own_token)))
		session_close(s, CLOSE_INTERNAL, "out of memory");
}

static void read_next(struct replay *p);

static void take_position(struct replay *p, bool own, uint64_t n, const char *id)
{
	bool all = true;
	for (uint32_t i = 0; i < p->place_count; i++) {
		struct place *place = &p->places[i];
		if (!place->known && place->own == own) {
			/* what was dropped after the question may be beyond its answer */
			place->known = !place->dropped;
			place->dropped = place->read = false;
			place->progress.upto = n;
			if (place->known)
				sift_held(p, place->room, keep_newer, &(struct position){n, id});
		}
		all &= place->known;
	}
	if (own)
		p->asking_own = false;
	else
		p->asking_shared = false;
	if (!all)
		ask(p);
	if (all && !p->positioned) {
		p->positioned = true;
		sessions_resume_later(p->session);
	}
	read_next(p);
}

void replay_own_position(struct session *s, const char *text, size_t len)
{
	static const char verb[] = "position ";
	struct replay *p = s->replay;
	char id[ULID_LEN + 1], token[24];
	uint64_t n;
	int token_len = p != NULL ? snprintf(token, sizeof token, "%llu ", (unsigned long long)p->own_token) : 0;
	size_t head = sizeof verb - 1 + (size_t)token_len;
	/* an answer with another token is to a question that has been asked again since */
	if (p == NULL || len < head || memcmp(text, verb, sizeof verb - 1) != 0 ||
	    memcmp(text + sizeof verb - 1, token, (size_t)token_len) != 0 ||
	    !sync_read_position((struct mqtt_span){text + head, len - head}, &n, id))
		return;
	take_position(p, true, n, id);
}

static void on_shared_position(struct sync_question *q, struct mqtt_span rest, struct mqtt_span body)
{
	struct replay *p = (struct replay *)q; /* its first member */
	char id[ULID_LEN + 1];
	uint64_t n;
	(void)body;
	rounds_settle_session(&p->session->bridge->rounds,
	                      p->session); /* what has come before the answer must be held by now */
	if (session_leaving(p->session))
		return;
	if (sync_read_position(rest, &n, id))
		take_position(p, false, n, id);
	else
		session_close(p->session, CLOSE_INTERNAL, "no position");
}

/* ---- reading ---------------------------------------------------------------------------------- */

static void release_held(struct replay *p, const struct room *room)
{
	struct session *s = p->session;
	for (uint32_t i = 0; i < p->held_count; i++)
		if (p->held[i].room == room)
			session_send_shared(s, p->held[i].chunk, p->held[i].start, p->held[i].end);
	sift_held(p, room, keep_none, NULL);
}

static void send_recovered(struct session *s, const struct room *room, bool complete, uint32_t count)
{
	char frame[ROOM_MAX + 128];
	int n;
	if (room != NULL)
		n = snprintf(frame, sizeof frame,
		             "{\"type\":\"recovered\",\"room\":\"%s\",\"complete\":%s,\"count\":%u}", room->name,
		             complete ? "true" : "false", count);
	else
		n = snprintf(frame, sizeof frame,
		             "{\"type\":\"recovered\",\"inbox\":true,\"complete\":%s,\"count\":%u}",
		             complete ? "true" : "false", count);
	session_send_text(s, frame, (size_t)n);
}

/* A page, what waits before it and what is held (half of it at most) are together within outbox_bytes. */
static uint32_t page_bytes(const struct session *s)
{
	uint32_t quarter = s->bridge->settings.outbox_bytes / 4;
	return quarter < REPLAY_PAGE_BYTES ? quarter : REPLAY_PAGE_BYTES;
}

static void finish_place(struct replay *p, struct place *place)
{
	place->live = true;
	count(place->failed              ? COUNTER_RECOVERY_FAILED
	      : place->progress.complete ? COUNTER_RECOVERY_COMPLETE
	                                 : COUNTER_RECOVERY_PART);
	send_recovered(p->session, place->room, place->progress.complete, place->count);
	release_held(p, place->room);
}

static void on_page(struct history_question *q)
{
	struct replay *p = q->owner;
	struct session *s = p->session;
	struct place *place = p->reading;
	p->question = NULL;
	p->reading = NULL;
	if (session_leaving(s))
		return;
	if (!place->left) {
		struct chunk *frames = q->replay.frames;
		uint64_t upto = place->progress.upto; /* which may have grown meanwhile */
		place->progress = q->replay;
		place->progress.upto = upto;
		place->progress.frames = NULL;
		place->count += q->replay.count;
		if (frames != NULL)
			session_send_shared(s, frames, 0, frames->len);
		if (q->status == HISTORY_FAILED) {
			place->progress.complete = false;
			place->failed = true;
		}
		place->read = q->status == HISTORY_FAILED || (!q->replay.more && q->replay.upto == upto);
	}
	if (!session_leaving(s))
		read_next(p);
}

/* Reads on, as long as the client takes what it is sent. May end the replay. */
static void read_next(struct replay *p)
{
	struct session *s = p->session;
	if (!p->started || p->question != NULL || session_leaving(s) || s->blocked ||
	    s->outbox.bytes > page_bytes(s))
		return;
	for (uint32_t i = 0; i < p->place_count; i++)
		if (p->places[i].read && p->places[i].known && !p->places[i].live) {
			finish_place(p, &p->places[i]);
			if (session_leaving(s) || s->outbox.bytes > page_bytes(s))
				return;
		}
	struct place *place = NULL;
	bool all_live = true;
	for (uint32_t i = 0; i < p->place_count; i++) {
		struct place *at = &p->places[i];
		all_live &= at->live;
		/* the one that has been begun first, so that one place follows the other */
		if (!at->live && at->known && (place == NULL || (at->progress.started && !place->progress.started)))
			place = at;
	}
	if (all_live) {
		replay_end(s);
		return;
	}
	if (place == NULL)
		return; /* the next position starts it again */
	struct history_question *q = history_question_new(p, on_page);
	if (q == NULL) {
		session_close(s, CLOSE_INTERNAL, "out of memory");
		return;
	}
	q->is_replay = true;
	q->replay = place->progress;
	q->replay.page_bytes = page_bytes(s);
	p->question = q;
	p->reading = place;
	history_submit(&s->bridge->history, q);
}

void replay_continue(struct session *s)
{
	if (s->replay != NULL)
		read_next(s->replay);
}

/* ---- live messages ----------------------------------------------------------------------------- */

/* Too much is held: history shall give it. What has come before a question is within its answer. */
static void drop_and_ask(struct replay *p)
{
	struct session *s = p->session;
	for (uint32_t i = 0; i < p->place_count; i++) {
		struct place *place = &p->places[i];
		if (place->live)
			continue;
		sift_held(p, place->room, keep_late, NULL);
		place->dropped = place->own ? p->asking_own : p->asking_shared;
		place->known = place->read = false;
	}
	if (p->held_bytes > s->bridge->settings.outbox_bytes / 2)
		session_close(s, CLOSE_TOO_SLOW, "too slow, resume with since");
	else
		ask(p);
}

bool replay_takes(struct session *s, const struct room *room, struct chunk *c, uint32_t start, uint32_t end,
                  uint64_t order)
{
	struct replay *p = s->replay;
	if (p == NULL || (!p->started && order != ORDER_LATE))
		return p != NULL;
	bool waits = !p->started;
	for (uint32_t i = 0; i < p->place_count && !waits; i++)
		waits = p->places[i].room == room && !p->places[i].left && !p->places[i].live;
	if (!waits)
		return false;
	if (!hold(p, room, c, start, end, order)) {
		session_close(s, CLOSE_INTERNAL, "out of memory");
		return true;
	}
	if (p->started && p->held_bytes > s->bridge->settings.outbox_bytes / 2)
		drop_and_ask(p);
	return true;
}

void replay_leave(struct session *s, const struct room *room)
{
	struct replay *p = s->replay;
	if (p == NULL)
		return;
	sift_held(p, room, keep_none, NULL);
	for (uint32_t i = 0; i < p->place_count; i++)
		if (p->places[i].room == room && !p->places[i].left) {
			count_more(COUNTER_RECOVERY_LEFT, !p->places[i].live);
			p->places[i].left = p->places[i].live = p->places[i].known = true;
		}
}

bool replay_lets_publish(const struct session *s)
{
	return s->replay == NULL || s->replay->positioned;
}

/* ---- beginning and end ---------------------------------------------------------------------------- */

bool replay_prepare(struct session *s)
{
	struct replay *p = calloc(1, sizeof *p);
	if (p == NULL)
		return false;
	p->shared.on_answer = on_shared_position;
	p->session = s;
	p->own_token = SESSION_TOKEN_FIRST(s);
	s->replay = p;
	return true;
}

static void add_place(struct replay *p, struct room *room, enum history_view kind, const char *name, bool own)
{
	struct place *place = &p->places[p->place_count++];
	place->room = room;
	place->own = own;
	place->progress.place.kind = kind;
	(void)snprintf(place->progress.place.name, sizeof place->progress.place.name, "%s", name);
	memcpy(place->progress.since, p->session->since, sizeof place->progress.since);
}

void replay_start(struct session *s)
{
	struct replay *p = s->replay;
	p->places = calloc(s->room_count + 1, sizeof *p->places);
	if (p->places == NULL) {
		session_close(s, CLOSE_INTERNAL, "out of memory");
		return;
	}
	for (uint32_t i = 0; i < s->room_count; i++)
		add_place(p, s->rooms[i].room, VIEW_ROOM, s->rooms[i].room->name, s->own_rooms);
	add_place(p, NULL, VIEW_MAILBOX, s->who->identity->text, true);
	p->started = true;
	ask(p);
}

void replay_end(struct session *s)
{
	struct replay *p = s->replay;
	if (p == NULL)
		return;
	s->replay = NULL;
	for (uint32_t i = 0; i < p->place_count; i++)
		count_more(COUNTER_RECOVERY_LEFT, !p->places[i].live);
	history_cancel(p->question);
	for (uint32_t i = 0; i < p->held_count; i++)
		chunk_release(p->held[i].chunk);
	sync_forget(&s->bridge->sync, &p->shared);
	free(p->places);
	free(p->held);
	free(p);
}
