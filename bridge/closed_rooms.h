/*
 * closed_rooms.h - rooms into which the plugin lets nobody: it says which, this keeps them.
 *
 * Asked for when the connection comes up ("closed": names with blanks between), then told of each change
 * ("room closed <name>", "room open <name>"). Until they are known, and for rooms that nobody here is in, the
 * plugin refuses the subscription.
 */
#ifndef CHAT_BRIDGE_CLOSED_ROOMS_H
#define CHAT_BRIDGE_CLOSED_ROOMS_H

#include "bridge/sync.h"

#include <stdbool.h>
#include <stddef.h>

struct closed_room;

struct closed_rooms {
	struct bridge *bridge;
	struct sync_part part;
	struct sync_question question;
	struct closed_room *all;
};

void closed_rooms_start(struct closed_rooms *c, struct bridge *b);
void closed_rooms_stop(struct closed_rooms *c);

bool closed_rooms_has(const struct closed_rooms *c, const char *name, size_t len);

#endif
