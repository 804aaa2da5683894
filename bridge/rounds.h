/*
 * rounds.h - how the messages of rooms leave: gathered, then handed to every member in one write each.
 *
 * What arrives for a room is framed once, into the room's chunk. A round hands what has been gathered by its
 * beginning to all members of those rooms; what comes meanwhile is the next round's. A round of thousands of
 * members is handed out in slices of SLICE_WRITES writes, and between two of them the loop reads, pings and
 * confirms as ever: acks, pings and direct messages wait for a slice, not for ten thousand readers, and what
 * a room's authors say meanwhile shares the next round. Messages of other rooms wait for the round's end.
 *
 * Pacing: the first round after a pause leaves at once. After one that took long, the next waits; see
 * rounds_flush.
 *
 * Who joins, leaves or is replaced asks for rounds_settle first, so that the members of a room whose round
 * has begun never change. Everything here belongs to the loop's thread.
 */
#ifndef CHAT_BRIDGE_ROUNDS_H
#define CHAT_BRIDGE_ROUNDS_H

#include "bridge/loop.h"
#include "bridge/message_marks.h"

#include <stdbool.h>
#include <stdint.h>

struct bridge;
struct chunk;
struct room;
struct session;

/* A message that has been gathered. */
struct frame {
	uint64_t arrival; /* across all rooms: a session in several rooms gets them in this order */
	uint64_t origin;  /* number of the session that must not get it: the author's; else 0 */
	uint64_t sent_ms;
	uint64_t order; /* message_marks.h */
	uint32_t start, end;
	bool left_out; /* one member has not got it: its author */
};

/* A room's part in rounds, within struct room. All zero: nothing gathered, nothing under way. */
struct room_round {
	struct chunk *chunk; /* where frames are made; those that have been gathered are [start, chunk->len) */
	uint32_t start;
	struct frame
	    *frames; /* first the `sent` of the round under way, then those that have been gathered since */
	uint32_t frame_count, frame_cap;
	bool dirty; /* something has been gathered */
	struct room *next_dirty;
	bool sending; /* its round is under way */
	struct room *next_sending;
	uint32_t send_start, send_end, sent;
	uint32_t served;      /* members that were handed the frames */
	uint64_t last_use_ms; /* of the chunk, to give it back when the room is quiet */
};

struct rounds {
	struct bridge *bridge;
	struct room *dirty;
	uint64_t number;   /* of the round that gathers, from 1 */
	uint64_t arrivals; /* messages gathered so far */
	/* the round under way */
	bool under_way;
	bool serving;     /* members are being written to at this moment */
	uint64_t sending; /* its number */
	struct room *rooms;
	struct room *at;         /* the room whose members are being served … */
	uint32_t member, left;   /* … the next of them, and how many there are still */
	struct session *several; /* members of more than one room, who are served last */
	uint64_t took_ns;
	uint64_t writes, deliveries; /* members served; frames handed to them */
	/* pacing */
	uint64_t next_ns;    /* no new round before this */
	struct watcher pace; /* timerfd that ends the wait, and wakes the loop for the next slice */
	bool pacing;
};

/* False with a log line when out of descriptors. */
bool rounds_start(struct rounds *r, struct bridge *b);
void rounds_stop(struct rounds *r);

/* Gathers a message. False when out of memory: nothing has been gathered. author: the session of this bridge
 * that has said it, or NULL. May hand out what was gathered before. */
bool rounds_gather(struct rounds *r, struct room *room, const struct mqtt_publish *p,
                   const struct message_marks *marks, struct session *author);

/* Hands out at once all that has been gathered: before a member changes, or something must come behind it. */
void rounds_settle(struct rounds *r);

/* The same when the room has a part in it. */
void rounds_settle_room(struct rounds *r, const struct room *room);

/* At the end of each round of the loop: a slice of the round under way, or the beginning of the next one. */
void rounds_flush(struct rounds *r);

/* Once a second for each room: gives back the memory of one that is quiet. */
void rounds_tick_room(struct rounds *r, struct room *room);

/* The room ends. What was gathered goes to nobody. */
void rounds_forget(struct rounds *r, struct room *room);

#endif
