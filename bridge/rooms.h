/*
 * rooms.h - who is in which room, and how a room's messages reach them.
 *
 * With `fanout shared` the bridge's own connection subscribes each room once; a message
 * that arrives is framed once into the room's chunk and at the end of the loop round every
 * member gets what the round has brought, in one write. With `fanout session` each
 * session subscribes for itself and this file only keeps the membership.
 *
 * No silent loss: the plugin numbers each room's messages (user property `seq`). A gap
 * means the broker has dropped something on the way here; all members are then closed with
 * 1013, so that they come back and resume, and the log says how many were lost.
 */
#ifndef CHAT_BRIDGE_ROOMS_H
#define CHAT_BRIDGE_ROOMS_H

#include "bridge/log.h"
#include "bridge/message_marks.h"
#include "bridge/mqtt_link.h"
#include "bridge/outbox.h"
#include "common/topic.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

struct bridge;
struct session;

/* A frame of this round. */
struct frame {
	uint64_t arrival; /* across all rooms: a session in several rooms gets them in this order */
	uint64_t origin;  /* number of the session that must not get it: the author's; else 0 */
	uint64_t sent_ms;
	uint32_t start, end;
	uint64_t order; /* message_marks.h */
	bool left_out;  /* one member has not got it: its author */
};

enum room_subscription { ROOM_UNSUBSCRIBED, ROOM_SUBSCRIBING, ROOM_SUBSCRIBED };

struct room {
	UT_hash_handle hh;
	char name[ROOM_MAX + 1];
	uint8_t name_len;
	enum room_subscription subscription;
	uint16_t subscribe_id; /* packet id of the SUBSCRIBE under way */
	enum room_subscription typing_subscription;
	uint16_t typing_subscribe_id;
	bool have_seq;
	uint64_t seq;             /* of the last message */
	struct session **members; /* in no order; a session knows its index */
	uint32_t member_count, member_cap;
	uint32_t shared_members; /* those that do not subscribe themselves */
	uint32_t typing_members;
	/* this round */
	struct room *next_dirty;
	bool dirty;
	struct chunk *chunk; /* where frames are made; the round's are [start, chunk->len) */
	uint32_t start;
	struct frame *frames;
	uint32_t frame_count, frame_cap;
	uint32_t served;      /* members that were handed the frames */
	uint64_t last_use_ms; /* of the chunk, to give it back when the room is quiet */
};

struct rooms {
	struct bridge *bridge;
	struct mqtt_link link; /* the bridge's own connection */
	struct room *by_name;
	struct room *dirty;
	uint16_t next_packet_id;
	uint64_t retry_ms; /* when to try to connect again, 0: connected or under way */
	unsigned retry_delay_ms;
	bool was_up;
	uint64_t round; /* numbers the rounds, from 1 */
	uint64_t arrivals;
	struct session *several; /* this round: members of more than one room */
	uint64_t next_flush_ns;  /* pacing: no new round of writes before this */
	struct watcher pace;     /* timerfd that ends the wait */
	bool pacing;
	uint64_t writes;     /* members served, once a round */
	uint64_t deliveries; /* frames handed to members, their own included */
};

/* Only the broker refuses later: false when out of descriptors or memory. */
bool rooms_start(struct rooms *r, struct bridge *b);
void rooms_stop(struct rooms *r);

/* True when the bridge's own connection stands. */
bool rooms_ready(const struct rooms *r);

/* Makes s a member. True: messages flow from now on. False: not yet; with `fanout shared`
 * session_room_ready(s, room) will say when. NULL in *out: out of memory.
 * s must record its index, which is room->member_count - 1 on return. */
bool rooms_join(struct rooms *r, struct session *s, const char *name, size_t len, struct room **out);

/* index: the member's place in room->members. */
void rooms_leave(struct rooms *r, struct room *room, uint32_t index);

struct room *rooms_find(struct rooms *r, const char *name, size_t len);

/* Hands out what has arrived so far, whatever the pacing says; before a member changes. */
void rooms_settle(struct rooms *r);

/* End of a round: every member gets what its rooms have received. */
void rooms_flush(struct rooms *r);

/* Once a second: reconnect, give back the memory of quiet rooms. */
void rooms_tick(struct rooms *r);

/* The next packet id of the bridge's own connection, never 0. */
uint16_t rooms_packet_id(struct rooms *r);

/* CONNECT of the bridge's own connection. */
void rooms_identify(struct rooms *r, struct mqtt_connect *out);

/* A typing event for the members that want them. */
void rooms_typing(struct rooms *r, struct room *room, const char *payload, size_t len);

/* Members that want typing events have become more (+1) or fewer (-1). */
void rooms_want_typing(struct rooms *r, struct room *room, int change);

#endif
