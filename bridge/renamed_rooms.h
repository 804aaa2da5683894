/*
 * renamed_rooms.h - rooms that have another name by now: the plugin says which, this keeps them and moves who
 * is there.
 *
 * All names are asked for ("renamed": pairs of an old name and what it leads to) when the connection comes up
 * and whenever the plugin says that there is a change. Members of a room whose name is old join the new one
 * and leave the old one (session_renames.c).
 *
 * The bridge stays subscribed to the old name for ROOM_KEPT_MS (rooms.h): until its subscription of the new
 * one has begun, it gets copies there of what is said under the new name; and messages with QoS 2 that were
 * accepted under the old one.
 *
 * Until the names are known a session may join under an old one: it is moved then.
 */
#ifndef CHAT_BRIDGE_RENAMED_ROOMS_H
#define CHAT_BRIDGE_RENAMED_ROOMS_H

#include "bridge/copies.h"
#include "bridge/sync.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct message_marks;
struct mqtt_publish;
struct renamed_room;
struct room;

struct renamed_rooms {
	struct bridge *bridge;
	struct sync_part part, members;
	struct sync_question question, count;
	bool again; /* another change while the answer is awaited */
	struct renamed_room *all;
	struct copies copies; /* on the bridge's own connection */
};

void renamed_rooms_start(struct renamed_rooms *r, struct bridge *b);
void renamed_rooms_stop(struct renamed_rooms *r);

/* What a room with this name is called now; NULL: so. Good for this call of the loop. */
const char *renamed_rooms_now(const struct renamed_rooms *r, const char *name, size_t len);

/* Is this copy, on the topic of an old name over the bridge's own connection, of a message that has not come
 * and will not come on the room's own topic? */
bool renamed_rooms_want(struct renamed_rooms *r, const struct message_marks *copy);

/* A message on the topic of a room, over the bridge's own connection. True: the name is an old one, and it
 * has gone to the members of the room, if it had to. */
bool renamed_rooms_take(struct renamed_rooms *r, const char *name, size_t len, const struct mqtt_publish *p);

/* The message with the room's name in it, in memory of the caller's (*out, from malloc). False when out of
 * memory. */
bool renamed_rooms_say(const struct mqtt_publish *p, const struct room *room, struct mqtt_span *out);

#endif
