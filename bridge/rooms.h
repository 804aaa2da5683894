/*
 * rooms.h - who is in which room, and the subscriptions that bring its messages.
 *
 * With `fanout shared` the bridge's own connection subscribes each room once; what
 * arrives is handed to the members in rounds (rounds.h). With `fanout session` each
 * session subscribes for itself and this file only keeps the membership.
 *
 * No silent loss: the plugin numbers each room's messages (user property `seq`). A gap
 * means the broker has dropped something on the way here; all members are then closed with
 * 1013, so that they come back and resume, and the log says how many were lost.
 */
#ifndef CHAT_BRIDGE_ROOMS_H
#define CHAT_BRIDGE_ROOMS_H

#include "bridge/keyed_hash.h"
#include "bridge/log.h"
#include "bridge/mqtt_link.h"
#include "bridge/rounds.h"
#include "common/topic.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bridge;
struct session;

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
	uint64_t seq;                /* of the last message */
	struct room_member *members; /* in no order; a session knows its index */
	uint32_t member_count, member_cap;
	uint32_t shared_members; /* those that do not subscribe themselves */
	uint32_t typing_members;
	uint64_t first_seq;      /* of the first message since it was subscribed; 0: none yet */
	uint64_t kept_until_ms;  /* it stays subscribed without members until then; 0: it does not */
	struct room_round round; /* what is gathered for them and under way */
};

struct rooms {
	struct bridge *bridge;
	struct mqtt_link link; /* the bridge's own connection */
	struct room *by_name;
	uint16_t next_packet_id;
	uint64_t retry_ms; /* when to try to connect again, 0: connected or under way */
	unsigned retry_delay_ms;
	bool was_up;
};

void rooms_start(struct rooms *r, struct bridge *b);
void rooms_stop(struct rooms *r);

/* True when the bridge's own connection stands. */
bool rooms_ready(const struct rooms *r);

/* Makes s a member. True: messages flow from now on. False: not yet; with `fanout shared`
 * session_room_ready(s, room) will say when. NULL in *out: out of memory.
 * s must record its index, which is room->member_count - 1 on return. */
bool rooms_join(struct rooms *r, struct session *s, const char *name, size_t len, struct room **out);

/* index: the member's place in room->members. */
void rooms_leave(struct rooms *r, struct room *room, uint32_t index);

/* Its members leave for another room: the subscription stays for ROOM_KEPT_MS. */
#define ROOM_KEPT_MS 60000
void rooms_keep(struct rooms *r, struct room *room);

/* A message could not be handed on: as after a gap. */
void rooms_lose_one(struct rooms *r, struct room *room);

struct room *rooms_find(struct rooms *r, const char *name, size_t len);

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
