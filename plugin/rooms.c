/*
 * rooms.c - how many messages each room has had.
 */
#include "rooms.h"

#include "common/topic.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>

struct room {
	struct table_entry entry;
	uint64_t seq;
	char name[ROOM_MAX];
};

static struct {
	struct table all; /* oldest: silent for longest */
} state;

static void forget(struct room *room)
{
	table_remove(&state.all, room);
	free(room);
}

void rooms_stop(void)
{
	struct room *room;

	while ((room = table_oldest(&state.all)))
		forget(room);
}

uint64_t rooms_next(const char *name, size_t len)
{
	struct room *room = table_find(&state.all, name, len);

	if (room) {
		table_renew(&state.all, room);
		return ++room->seq;
	}
	if (len > ROOM_MAX)
		return 0;
	if (table_count(&state.all) >= ROOMS_REMEMBERED)
		forget(table_oldest(&state.all));
	room = calloc(1, sizeof(*room));
	if (!room)
		return 0;
	memcpy(room->name, name, len);
	if (!table_add(&state.all, room, room->name, len)) {
		free(room);
		return 0;
	}
	room->seq = 1;
	return room->seq;
}

bool rooms_known(const char *name, size_t len)
{
	return table_find(&state.all, name, len) != NULL;
}

void rooms_forget(const char *name, size_t len)
{
	struct room *room = table_find(&state.all, name, len);

	if (room)
		forget(room);
}
