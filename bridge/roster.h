/*
 * roster.h - who is online, as the plugin tells it, and how sessions that opted in to presence learn it.
 *
 * When the bridge's own connection comes up the plugin is asked for the whole roster; from then on it
 * tells what changes. Until the answer is whole nobody is shown anybody; it is asked for again where it
 * does not come. When the connection goes, all is forgotten (and all sessions are closed).
 *
 * What sessions are told is published in steps: the first change at once, then what PRESENCE_WINDOW_MS
 * have brought, and only what is different by then. A session gets a snapshot of what has been published,
 * then every step after it. Snapshots and steps are made once, as pieces of whole frames in one
 * list that all readers walk, each as fast as its socket takes it: a piece goes into an outbox only where
 * the outbox has room, and lives until the last reader has passed it. A reader that is more than
 * outbox_bytes behind when the next step is made, or does not move for outbox_ms, is closed with 4001.
 *
 * Cost: a change is one hash lookup; a step, its frames once and one reference for each reader.
 */
#ifndef CHAT_BRIDGE_ROSTER_H
#define CHAT_BRIDGE_ROSTER_H

#include "bridge/outbox.h"
#include "bridge/sync.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct bridge;
struct session;
struct person;
struct piece;

#define PRESENCE_WINDOW_MS 500

struct roster {
	struct bridge *bridge;
	struct sync_part part;
	struct sync_question question;
	struct person *people;  /* online, or offline and not published as such yet */
	struct person *changed; /* since the last step, in that order */
	struct person *changed_last;
	uint32_t changed_count;
	uint32_t count;         /* of people */
	bool complete;          /* the plugin's answer is whole */
	bool visited;           /* the broker has been made to look through retained presence */
	bool window_open;       /* the last step is less than a window ago */
	uv_timer_t window;      /* until complete: when to ask again */
	struct piece *last;     /* of the list; NULL until complete */
	struct piece *snapshot; /* leads to what has been published; NULL: to be made */
	uint64_t published_bytes;
	struct session *readers;
	struct session *feeding; /* while all are fed: the next */
	struct chunk *users;     /* what GET /users says; NULL: to be made */
	uint64_t users_ms;       /* when that was made */
	bool users_stale;
};

/* What a session holds; zeroed. */
struct presence_place {
	bool listed;
	struct session *prev, *next; /* readers */
	struct piece *at;            /* the last piece that it was given; NULL: it waits for the roster */
	uint64_t behind_since_ms;    /* 0: it has everything; else when it last moved */
};

/* False when memory runs out at the start. Before the connection is opened. */
bool roster_start(struct roster *r, struct bridge *b);

/* When no session is left. */
void roster_stop(struct roster *r);

/* The body of GET /users; the reference stays here. NULL: who is online is not known yet, or there is no
 * memory (roster_complete says which). */
struct chunk *roster_users(struct roster *r);
bool roster_complete(const struct roster *r);

/* A session that wants presence reads from now on: a snapshot first. Idempotent. May close it. */
void roster_join(struct roster *r, struct session *s);

/* It no longer does. Idempotent, also for one that never did. */
void roster_leave(struct roster *r, struct session *s);

/* Its outbox may have room again. */
void roster_feed(struct session *s);

/* Has it not moved for too long? */
bool roster_stuck(const struct session *s);

#endif
