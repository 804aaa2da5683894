/* roster.c - see roster.h */
#include "bridge/roster.h"
#include "bridge/bridge.h"
#include "bridge/keyed_hash.h"
#include "bridge/log.h"
#include "bridge/presence_frame.h"
#include "common/roster.h"

#include <stdlib.h>
#include <string.h>

#define ASK_AGAIN_MS 5000
#define USERS_LARGE 65536 /* bytes of /users from which on it may be a little old */
#define USERS_LARGE_MS 100

struct person {
	UT_hash_handle hh;
	uint64_t ms;       /* since when it is what it is */
	uint64_t shown_ms; /* what has been published */
	struct person *next_changed;
	bool online, shown; /* now, as published */
	bool changed;
	uint8_t len;
	char address[];
};

/* Some whole frames. Held by its predecessors, by readers that stand on it, and by the roster. */
struct piece {
	uint32_t refs;
	struct piece *next;
	struct chunk *chunk; /* NULL: a place in the list where nothing is said */
	uint64_t end;        /* bytes of steps published up to here */
};

/* ---- the list -------------------------------------------------------------------------- */

/* One reference; takes over that to c. */
static struct piece *piece_new(struct chunk *c, uint64_t end)
{
	struct piece *p = calloc(1, sizeof *p);
	if (p == NULL) {
		chunk_release(c);
		return NULL;
	}
	p->refs = 1;
	p->chunk = c;
	p->end = end;
	return p;
}

static void piece_release(struct piece *p)
{
	while (p != NULL && --p->refs == 0) {
		struct piece *next = p->next;
		chunk_release(p->chunk);
		free(p);
		p = next;
	}
}

/* Takes over the reference to next. */
static void piece_link(struct piece **last, struct piece *next)
{
	(*last)->next = next;
	*last = next;
}

/* A chunk with a frame for each of the entries, or with one for as many as one takes: *taken. */
static struct chunk *make_frames(const struct presence_entry *entries, size_t n, bool together, size_t *taken)
{
	static char text[PRESENCE_FRAME_MAX]; /* one thread, never kept */
	size_t len, size = 0;
	if (together) {
		*taken = presence_frame(entries, n, true, text, &len);
		struct chunk *c = chunk_new(frame_size(len));
		if (c != NULL)
			(void)chunk_append_frame(c, FRAME_TEXT, text, len); /* made to fit */
		return c;
	}
	for (size_t i = 0; i < n; i++)
		size += frame_size(PRESENCE_SINGLE_BYTES + 2 * (size_t)entries[i].address_len);
	struct chunk *c = chunk_new(size);
	for (size_t i = 0; i < n && c != NULL; i++) {
		(void)presence_frame(entries + i, 1, false, text, &len);
		(void)chunk_append_frame(c, FRAME_TEXT, text, len); /* made to fit */
	}
	*taken = n;
	return c;
}

/* Frames for the entries, linked behind *last, which then is the last of them. False when out of memory;
 * what was linked stays. counted: they are a step. */
static bool append_frames(struct roster *r, struct piece **last, const struct presence_entry *entries,
                          size_t n, bool counted)
{
	bool together = n > PRESENCE_SINGLE_MAX;
	for (size_t at = 0, taken; at < n; at += taken) {
		struct chunk *c = make_frames(entries + at, n - at, together, &taken);
		if (c == NULL)
			return false;
		if (counted)
			r->published_bytes += c->len;
		struct piece *p = piece_new(c, r->published_bytes);
		if (p == NULL)
			return false;
		piece_link(last, p);
	}
	return true;
}

/* ---- readers --------------------------------------------------------------------------- */

static bool has_room(const struct session *s, uint32_t len)
{
	return s->outbox.bytes + len <= s->bridge->settings.outbox_bytes / 2 ||
	       (s->outbox.bytes == 0 && !s->blocked);
}

void roster_feed(struct session *s)
{
	struct presence_place *place = &s->presence;
	bool moved = false;
	while (place->at != NULL && place->at->next != NULL && !session_leaving(s)) {
		struct piece *next = place->at->next;
		if (next->chunk != NULL && !has_room(s, next->chunk->len))
			break;
		next->refs++;
		piece_release(place->at);
		place->at = next;
		moved = true;
		if (next->chunk != NULL)
			session_send_shared(s, next->chunk, 0, next->chunk->len);
	}
	if (place->at == NULL || place->at->next == NULL)
		place->behind_since_ms = 0;
	else if (moved || place->behind_since_ms == 0)
		place->behind_since_ms = s->bridge->loop.now_ms;
}

bool roster_stuck(const struct session *s)
{
	return s->presence.behind_since_ms != 0 &&
	       s->bridge->loop.now_ms - s->presence.behind_since_ms > s->bridge->settings.outbox_ms;
}

/* One more array of entries than people would be needed for nothing: never 0 bytes. */
static struct presence_entry *entries_new(size_t n)
{
	return malloc((n + 1) * sizeof(struct presence_entry));
}

/* What has been published, followed by what will be. False when out of memory. */
static bool make_snapshot(struct roster *r)
{
	struct presence_entry *entries = entries_new(r->count);
	struct piece *first = piece_new(NULL, r->published_bytes);
	struct piece *here = piece_new(NULL, r->published_bytes);
	struct piece *last = first;
	size_t n = 0;
	if (entries != NULL)
		for (struct person *p = r->people; p != NULL; p = p->hh.next)
			if (p->shown)
				entries[n++] = (struct presence_entry){p->address, p->len, true, p->shown_ms};
	bool fine =
	    entries != NULL && first != NULL && here != NULL && append_frames(r, &last, entries, n, false);
	free(entries);
	if (!fine) {
		piece_release(first);
		piece_release(here);
		return false;
	}
	/* both lists go on from here: held by the two before it, and as the last */
	here->refs += 2;
	piece_link(&last, here);
	struct piece *before = r->last;
	piece_link(&r->last, here);
	piece_release(before);
	r->snapshot = first;
	return true;
}

static void start_reading(struct roster *r, struct session *s)
{
	if (r->snapshot == NULL && !make_snapshot(r)) {
		session_close(s, CLOSE_INTERNAL, "out of memory");
		return;
	}
	r->snapshot->refs++;
	s->presence.at = r->snapshot;
	roster_feed(s);
}

void roster_join(struct roster *r, struct session *s)
{
	struct presence_place *place = &s->presence;
	if (place->listed)
		return;
	place->listed = true;
	place->prev = NULL;
	place->next = r->readers;
	if (r->readers != NULL)
		r->readers->presence.prev = s;
	r->readers = s;
	if (r->complete)
		start_reading(r, s);
}

void roster_leave(struct roster *r, struct session *s)
{
	struct presence_place *place = &s->presence;
	if (!place->listed)
		return;
	if (r->feeding == s)
		r->feeding = place->next;
	if (place->prev != NULL)
		place->prev->presence.next = place->next;
	else
		r->readers = place->next;
	if (place->next != NULL)
		place->next->presence.prev = place->prev;
	piece_release(place->at);
	*place = (struct presence_place){0};
}

/* ---- steps ----------------------------------------------------------------------------- */

static void forget(struct roster *r, struct person *p)
{
	HASH_DEL(r->people, p);
	free(p);
	r->count--;
}

/* What has changed is published now. Whoever is offline is of no more use. */
static void settle(struct roster *r)
{
	struct person *p = r->changed;
	r->changed = NULL;
	r->changed_count = 0;
	while (p != NULL) {
		struct person *next = p->next_changed;
		p->changed = false;
		p->shown = p->online;
		p->shown_ms = p->ms;
		if (!p->online)
			forget(r, p);
		p = next;
	}
	piece_release(r->snapshot);
	r->snapshot = NULL;
}

/* due: what every reader should have by now: the bytes published before the step that is being made. */
static void feed_all(struct roster *r, uint64_t due)
{
	/* one that is closed here may change who else reads */
	for (struct session *s = r->readers; s != NULL; s = r->feeding) {
		r->feeding = s->presence.next;
		if (session_leaving(s)) {
			roster_leave(r, s);
			continue;
		}
		if (s->presence.at == NULL)
			start_reading(r, s);
		else
			roster_feed(s);
		if (s->presence.at != NULL && s->presence.at->end + r->bridge->settings.outbox_bytes < due)
			session_close(s, CLOSE_TOO_SLOW, "too slow, resume with since");
	}
}

/* Readers that would not know what they have missed. */
static void lose_readers(struct roster *r)
{
	static struct log_limit limit;
	log_limited(&limit, r->bridge->loop.now_ms, LOG_LEVEL_ERROR,
	            "out of memory: presence cannot be told, its readers are closed with 1013");
	for (struct session *s = r->readers; s != NULL; s = s->presence.next)
		session_close(s, CLOSE_OVERLOADED, "presence was lost, connect again");
}

/* False when nobody was seen to come or go. */
static bool publish(struct roster *r)
{
	struct presence_entry *entries = entries_new(r->changed_count);
	size_t n = 0;
	for (struct person *p = r->changed; p != NULL && entries != NULL; p = p->next_changed)
		if (p->online != p->shown)
			entries[n++] = (struct presence_entry){p->address, p->len, p->online, p->ms};
	struct piece *last = r->last;
	uint64_t due = r->published_bytes;
	bool fine = entries != NULL && append_frames(r, &last, entries, n, true);
	free(entries);
	if (last != r->last) {
		last->refs++;
		piece_release(r->last);
		r->last = last;
	}
	settle(r);
	if (!fine)
		lose_readers(r);
	feed_all(r, due);
	return n > 0;
}

static void on_window(uv_timer_t *timer);

/* The plugin's answer ends early when it runs out of memory. */
static void ask(struct roster *r)
{
	sync_forget(&r->bridge->sync, &r->question);
	if (!sync_ask(&r->bridge->sync, &r->question, "roster"))
		log_line(LOG_LEVEL_ERROR, "out of memory: it is not known who is online");
	(void)uv_timer_start(&r->window, on_window, ASK_AGAIN_MS, 0); /* fails only while it is being closed */
}

static void step(struct roster *r)
{
	r->window_open =
	    r->changed != NULL && publish(r) && uv_timer_start(&r->window, on_window, PRESENCE_WINDOW_MS, 0) == 0;
}

static void on_window(uv_timer_t *timer)
{
	struct roster *r = timer->data;
	r->bridge->loop.now_ms = loop_now_ns() / 1000000u;
	if (r->complete)
		step(r);
	else
		ask(r);
}

/* ---- what the plugin tells ------------------------------------------------------------- */

static struct person *person_new(struct roster *r, const struct roster_entry *e)
{
	struct person *p = calloc(1, sizeof *p + e->address_len + 1);
	if (p == NULL)
		return NULL;
	p->len = (uint8_t)e->address_len;
	memcpy(p->address, e->address, e->address_len);
	HASH_ADD_KEYPTR(hh, r->people, p->address, p->len, p);
	if (p->hh.tbl == NULL) { /* HASH_NONFATAL_OOM: not added */
		free(p);
		return NULL;
	}
	r->count++;
	return p;
}

static void apply(struct roster *r, const struct roster_entry *e)
{
	struct person *p;
	HASH_FIND(hh, r->people, e->address, e->address_len, p);
	if (p == NULL && !e->online)
		return;
	if (p == NULL && (p = person_new(r, e)) == NULL) {
		static struct log_limit limit;
		log_limited(&limit, r->bridge->loop.now_ms, LOG_LEVEL_ERROR,
		            "out of memory: %.*s is not shown as online", (int)e->address_len, e->address);
		return;
	}
	if (p->online == e->online && p->ms == e->ms)
		return;
	p->online = e->online;
	p->ms = e->ms;
	r->users_stale = true;
	if (p->changed)
		return;
	p->changed = true;
	p->next_changed = NULL;
	if (r->changed != NULL)
		r->changed_last->next_changed = p;
	else
		r->changed = p;
	r->changed_last = p;
	r->changed_count++;
}

static void apply_all(struct roster *r, struct mqtt_span lines)
{
	struct roster_reader reader = {lines.at, lines.at + lines.len};
	struct roster_entry entry;
	enum roster_status status;
	while ((status = roster_read_entry(&reader, &entry)) == ROSTER_ENTRY)
		apply(r, &entry);
	if (status == ROSTER_BAD)
		log_line(LOG_LEVEL_ERROR, "the plugin tells of presence what cannot be read");
}

static struct roster *roster_of(struct sync_part *part)
{
	return (struct roster *)((char *)part - offsetof(struct roster, part));
}

static void on_told(struct sync_part *part, struct mqtt_span rest, struct mqtt_span body)
{
	struct roster *r = roster_of(part);
	(void)rest;
	apply_all(r, body);
	if (r->complete && !r->window_open)
		step(r);
}

static void on_answer(struct sync_question *q, struct mqtt_span rest, struct mqtt_span body)
{
	struct roster *r = (struct roster *)((char *)q - offsetof(struct roster, question));
	apply_all(r, body);
	if (rest.len != strlen("last") || memcmp(rest.at, "last", rest.len) != 0)
		return;
	sync_forget(&r->bridge->sync, q);
	r->last = piece_new(NULL, r->published_bytes);
	if (r->last == NULL) {
		log_line(LOG_LEVEL_ERROR, "out of memory: presence cannot be told");
		return; /* it is asked again */
	}
	(void)uv_timer_stop(&r->window); /* cannot fail */
	r->visited = true;               /* which was asked for first */
	r->complete = true;
	settle(r);
	feed_all(r, r->published_bytes);
}

/* The broker may have kept, over a crash, that people are online who are not. Looking through it is for the
 * broker to do, and for the plugin to see; we get nothing of it. */
static void on_up(struct sync_part *part)
{
	struct roster *r = roster_of(part);
	if (!r->visited)
		sync_visit(&r->bridge->sync, "users/+/presence");
	ask(r);
}

static void clear(struct roster *r)
{
	struct person *p, *next;
	HASH_ITER(hh, r->people, p, next)
	{
		HASH_DEL(r->people, p);
		free(p);
	}
	r->changed = NULL;
	r->changed_count = r->count = 0;
	r->complete = r->window_open = false;
	(void)uv_timer_stop(&r->window); /* cannot fail */
	for (struct session *s = r->readers; s != NULL; s = s->presence.next) {
		piece_release(s->presence.at);
		s->presence.at = NULL;
		s->presence.behind_since_ms = 0;
	}
	piece_release(r->last);
	piece_release(r->snapshot);
	r->last = r->snapshot = NULL;
	chunk_release(r->users);
	r->users = NULL;
}

static void on_down(struct sync_part *part)
{
	clear(roster_of(part));
}

/* ---- GET /users ------------------------------------------------------------------------ */

static int by_address(const void *a, const void *b)
{
	const struct person *one = *(struct person *const *)a, *other = *(struct person *const *)b;
	return strcmp(one->address, other->address);
}

/* Those who are online, by address. NULL when out of memory. */
static struct person **sorted(struct roster *r, size_t *n)
{
	struct person **all = malloc((r->count + 1) * sizeof(struct person *));
	*n = 0;
	if (all == NULL)
		return NULL;
	for (struct person *p = r->people; p != NULL; p = p->hh.next)
		if (p->online)
			all[(*n)++] = p;
	qsort(all, *n, sizeof(struct person *), by_address);
	return all;
}

static struct chunk *make_users(struct roster *r)
{
	size_t n, size = 3;
	struct person **all = sorted(r, &n);
	for (size_t i = 0; i < n; i++)
		size += PRESENCE_USER_MAX - 2 * IDENTITY_MAX + 2 * (size_t)all[i]->len + 1;
	struct chunk *c = all != NULL ? chunk_new(size + 1) : NULL;
	if (c != NULL) {
		char *at = stpcpy((char *)c->bytes, "[");
		for (size_t i = 0; i < n; i++) {
			struct presence_entry e = {all[i]->address, all[i]->len, true, all[i]->ms};
			at = presence_user(&e, i > 0 ? stpcpy(at, ",") : at);
		}
		c->len = (uint32_t)(stpcpy(at, "]\n") - (char *)c->bytes);
	}
	free(all);
	return c;
}

bool roster_complete(const struct roster *r)
{
	return r->complete;
}

struct chunk *roster_users(struct roster *r)
{
	uint64_t now = r->bridge->loop.now_ms;
	if (!r->complete)
		return NULL;
	bool may_be_old = r->users != NULL && r->users->len > USERS_LARGE && now - r->users_ms < USERS_LARGE_MS;
	if (r->users != NULL && (!r->users_stale || may_be_old))
		return r->users;
	struct chunk *fresh = make_users(r);
	if (fresh == NULL)
		return NULL;
	chunk_release(r->users);
	r->users = fresh;
	r->users_ms = now;
	r->users_stale = false;
	return fresh;
}

/* ---- life ------------------------------------------------------------------------------ */

bool roster_start(struct roster *r, struct bridge *b)
{
	memset(r, 0, sizeof *r);
	r->bridge = b;
	r->part = (struct sync_part){.word = "presence", .on_up = on_up, .on_told = on_told, .on_down = on_down};
	r->question = (struct sync_question){.several = true, .on_answer = on_answer};
	if (uv_timer_init(&b->loop.uv, &r->window) != 0)
		return false;
	r->window.data = r;
	sync_add_part(&b->sync, &r->part);
	return true;
}

void roster_stop(struct roster *r)
{
	clear(r);
	uv_close((uv_handle_t *)&r->window, NULL);
}
