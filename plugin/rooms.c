/*
 * rooms.c - how many messages each room has had.
 */
#include "rooms.h"

#include "common/topic.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

struct room {
	UT_hash_handle hh;
	struct room *prev, *next; /* longest silent first */
	uint64_t seq;
	char name[ROOM_MAX];
};

static struct {
	struct room *all;
	struct room *by_use;
} state;

void rooms_start(void)
{
	state.all = NULL;
	state.by_use = NULL;
}

static void forget(struct room *room)
{
	DL_DELETE(state.by_use, room);
	HASH_DEL(state.all, room);
	free(room);
}

void rooms_stop(void)
{
	while (state.by_use)
		forget(state.by_use);
}

uint64_t rooms_next(const char *name, size_t len)
{
	struct room *room;

	HASH_FIND(hh, state.all, name, len, room);
	if (room) {
		/* Most messages go to the room of the last one. */
		if (room->next) {
			DL_DELETE(state.by_use, room);
			DL_APPEND(state.by_use, room);
		}
		return ++room->seq;
	}
	if (len > ROOM_MAX)
		return 0;
	if (HASH_COUNT(state.all) >= ROOMS_REMEMBERED)
		forget(state.by_use);
	room = calloc(1, sizeof(*room));
	if (!room)
		return 0;
	memcpy(room->name, name, len);
	HASH_ADD_KEYPTR(hh, state.all, room->name, len, room);
	if (!TABLE_HAS(room)) {
		free(room);
		return 0;
	}
	DL_APPEND(state.by_use, room);
	room->seq = 1;
	return 1;
}
