/*
 * rounds.h - how the messages of rooms leave: gathered, then handed to every member in one write each.
 *
 * What arrives for a room is framed once, into the room's chunk. Members have their turns one after the
 * other, in rounds over all rooms that have something; in its turn a member gets, in one write, all that has
 * been gathered by that moment. What comes in the middle of a round leaves with the turns that are still to
 * come, and with the next round for the others: every member waits half a round on average, and a write
 * carries what has come since that member's last one.
 *
 * A round of thousands of members is handed out in slices of at most SLICE_MAX writes, and between two of
 * them the loop reads, pings and confirms as ever: acks, pings and direct messages wait for a slice, not for
 * ten thousand readers. A room's turn comes when those before it have had theirs.
 *
 * Pacing: the first round after a pause leaves at once. After one that took long, the next waits; see
 * rounds_flush.
 *
 * A member's place is the number of the room's frame that it gets next (struct room_member). Frames are
 * forgotten when a whole round has passed since they came. Everything here belongs to the loop's thread.
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
	uint32_t ranges_from, ranges_to; /* writes that begin, and that end, with this frame */
	bool left_out;                   /* one member has not got it: its author */
};

/* A room's part in rounds, within struct room. All zero: nothing gathered, nothing under way. */
struct room_round {
	struct chunk *chunk;  /* where frames are made */
	struct chunk *before; /* NULL, or the one that is full: frames up to before_end are there */
	uint64_t before_end;
	struct frame *frames; /* those that a member may still have to get */
	uint32_t frame_count, frame_cap;
	uint64_t first;   /* number of the first of them; the room counts its frames from 0 */
	uint64_t covered; /* all members have got what stands before it by the end of the round under way */
	uint32_t ranges;  /* writes that began before the first of them and go beyond it */
	bool waiting;     /* it has a part in the next round … */
	bool under_way;   /* … and in this one … */
	bool queued;      /* … in which its members' turns are still to come */
	bool begun;       /* something has come since their turns began */
	struct room *next_waiting, *next_under_way;
	uint32_t first_member; /* whose turn was the first */
	uint64_t last_use_ms;  /* of the chunk, to give it back when the room is quiet */
};

/* A place in a room. */
struct room_member {
	struct session *session;
	uint64_t next; /* number of the frame that it gets next */
};

struct rounds {
	struct bridge *bridge;
	struct room *waiting; /* rooms of the next round */
	uint64_t arrivals;    /* messages gathered so far */
	/* the round under way */
	bool under_way;
	bool serving;    /* members are being written to at this moment */
	uint64_t number; /* its number, or the last one's */
	struct room *rooms;
	struct room *at;         /* the room whose members have their turns … */
	uint32_t member;         /* … the next of them … */
	uint32_t count, left;    /* … of so many members, so many are still to come */
	struct session *several; /* members of more than one room, who are served last */
	uint32_t members;        /* of all its rooms */
	uint64_t took_ns;
	uint64_t writes, deliveries; /* members served; frames handed to them */
	/* pacing */
	uint64_t next_ns;    /* no new round before this */
	struct watcher pace; /* timerfd that ends the wait */
	bool pacing;
	uv_idle_t busy; /* runs while another slice is due */
};

/* False with a log line when out of descriptors. */
bool rounds_start(struct rounds *r, struct bridge *b);
void rounds_stop(struct rounds *r);

/* Gathers a message. False when out of memory: nothing has been gathered. author: the session of this bridge
 * that has said it, or NULL. May hand out what was gathered before. */
bool rounds_gather(struct rounds *r, struct room *room, const struct mqtt_publish *p,
                   const struct message_marks *marks, struct session *author);

/* Hands out at once all that has been gathered: something must come behind it. */
void rounds_settle(struct rounds *r);

/* The same for one session. */
void rounds_settle_session(struct rounds *r, struct session *s);

/* `from` gets nothing any more; what it has not got yet of the rooms that both are in is given to `to`, which
 * has been passed over until now. */
void rounds_take_over(struct rounds *r, struct session *from, struct session *to);

/* What room_member.next is for who comes now: what has been gathered before is not for them. */
uint64_t rounds_join(const struct room *room);

/* Before a member's place is taken by the room's last member: both get what they have not got yet. */
void rounds_leave(struct rounds *r, struct room *room, uint32_t index);

/* At the end of each round of the loop: a slice of the round under way, or the beginning of the next one. */
void rounds_flush(struct rounds *r);

/* Once a second for each room: gives back the memory of one that is quiet. */
void rounds_tick_room(struct rounds *r, struct room *room);

/* The room ends. What was gathered goes to nobody. */
void rounds_forget(struct rounds *r, struct room *room);

#endif
