/* closed_rooms.c - see closed_rooms.h */
#include "bridge/closed_rooms.h"
#include "bridge/bridge.h"
#include "bridge/keyed_hash.h"
#include "bridge/log.h"

#include <stdlib.h>
#include <string.h>

struct closed_room {
	UT_hash_handle hh;
	char name[ROOM_MAX + 1];
};

static struct closed_room *find(const struct closed_rooms *c, const char *name, size_t len)
{
	struct closed_room *room;
	HASH_FIND(hh, c->all, name, len, room);
	return room;
}

bool closed_rooms_has(const struct closed_rooms *c, const char *name, size_t len)
{
	return c->all != NULL && find(c, name, len) != NULL;
}

static void add(struct closed_rooms *c, struct mqtt_span name)
{
	if (!room_name_valid(name.at, name.len) || find(c, name.at, name.len) != NULL)
		return;
	struct closed_room *room = calloc(1, sizeof *room);
	if (room != NULL) {
		memcpy(room->name, name.at, name.len);
		HASH_ADD_KEYPTR(hh, c->all, room->name, name.len, room);
		if (room->hh.tbl != NULL) /* HASH_NONFATAL_OOM: not added */
			return;
	}
	free(room);
	log_line(LOG_LEVEL_ERROR, "out of memory: a closed room may be joined");
}

static void forget(struct closed_rooms *c, struct closed_room *room)
{
	HASH_DEL(c->all, room);
	free(room);
}

void closed_rooms_stop(struct closed_rooms *c)
{
	while (c->all != NULL)
		forget(c, c->all);
}

static struct mqtt_span next_word(struct mqtt_span *text)
{
	const char *blank = text->len > 0 ? memchr(text->at, ' ', text->len) : NULL;
	struct mqtt_span word = {text->at, blank != NULL ? (size_t)(blank - text->at) : text->len};
	size_t used = word.len + (blank != NULL ? 1 : 0);
	*text = (struct mqtt_span){text->at + used, text->len - used};
	return word;
}

static void on_answer(struct sync_question *q, struct mqtt_span rest, struct mqtt_span body)
{
	struct closed_rooms *c = (struct closed_rooms *)((char *)q - offsetof(struct closed_rooms, question));
	(void)body;
	/* what has been told since the connection came up is in the answer */
	closed_rooms_stop(c);
	while (rest.len > 0)
		add(c, next_word(&rest));
}

static void on_up(struct sync_part *part)
{
	struct closed_rooms *c = (struct closed_rooms *)((char *)part - offsetof(struct closed_rooms, part));
	c->question.on_answer = on_answer;
	if (!sync_ask(&c->bridge->sync, &c->question, "closed"))
		log_line(LOG_LEVEL_ERROR, "out of memory: it is not known which rooms are closed");
}

static void on_told(struct sync_part *part, struct mqtt_span rest, struct mqtt_span body)
{
	struct closed_rooms *c = (struct closed_rooms *)((char *)part - offsetof(struct closed_rooms, part));
	struct mqtt_span how = next_word(&rest);
	(void)body;
	if (how.len == 6 && memcmp(how.at, "closed", 6) == 0) {
		add(c, rest);
		return;
	}
	struct closed_room *room = rest.len > 0 ? find(c, rest.at, rest.len) : NULL;
	if (room != NULL)
		forget(c, room);
}

void closed_rooms_start(struct closed_rooms *c, struct bridge *b)
{
	memset(c, 0, sizeof *c);
	c->bridge = b;
	c->part = (struct sync_part){.word = "room", .on_up = on_up, .on_told = on_told};
	sync_add_part(&b->sync, &c->part);
}
