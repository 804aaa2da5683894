/* renamed_rooms.c - see renamed_rooms.h */
#include "bridge/renamed_rooms.h"
#include "bridge/bridge.h"
#include "bridge/keyed_hash.h"
#include "bridge/log.h"
#include "common/canonical_room.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct renamed_room {
	UT_hash_handle hh;
	char name[ROOM_MAX + 1];
	char now[ROOM_MAX + 1];
};

/* ---- the names ------------------------------------------------------------------------------- */

static struct renamed_room *find(const struct renamed_rooms *r, const char *name, size_t len)
{
	struct renamed_room *room;
	HASH_FIND(hh, r->all, name, len, room);
	return room;
}

const char *renamed_rooms_now(const struct renamed_rooms *r, const char *name, size_t len)
{
	const struct renamed_room *room = r->all != NULL ? find(r, name, len) : NULL;
	return room != NULL ? room->now : NULL;
}

static void add(struct renamed_rooms *r, struct mqtt_span name, struct mqtt_span now)
{
	if (!room_name_valid(name.at, name.len) || !room_name_valid(now.at, now.len) ||
	    find(r, name.at, name.len) != NULL)
		return;
	struct renamed_room *room = calloc(1, sizeof *room);
	if (room != NULL) {
		memcpy(room->name, name.at, name.len);
		memcpy(room->now, now.at, now.len);
		HASH_ADD_KEYPTR(hh, r->all, room->name, name.len, room);
		if (room->hh.tbl != NULL) /* HASH_NONFATAL_OOM: not added */
			return;
	}
	free(room);
	log_line(LOG_LEVEL_ERROR, "out of memory: who is in a renamed room stays under its old name");
}

static void forget_all(struct renamed_rooms *r)
{
	while (r->all != NULL) {
		struct renamed_room *room = r->all;
		HASH_DEL(r->all, room);
		free(room);
	}
}

void renamed_rooms_stop(struct renamed_rooms *r)
{
	forget_all(r);
	copies_clear(&r->copies);
}

/* ---- messages --------------------------------------------------------------------------------- */

bool renamed_rooms_want(struct renamed_rooms *r, const struct message_marks *copy)
{
	struct mqtt_span name = copy->copy;
	const struct room *room = rooms_find(&r->bridge->rooms, name.at, name.len);
	if (copy->seq == 0) /* with QoS 2: it comes on the room's own topic when it is released */
		return room == NULL || room->subscription != ROOM_SUBSCRIBED;
	return copies_want(&r->copies, name.at, name.len, copy->seq, copy->sent_ms,
	                   room != NULL ? room->first_seq : 0);
}

bool renamed_rooms_say(const struct mqtt_publish *p, const struct room *room, struct mqtt_span *out)
{
	char *body = malloc(p->payload.len + room->name_len);
	size_t len = body != NULL
	                 ? canonical_room_put(p->payload.at, p->payload.len, room->name, room->name_len, body)
	                 : 0;
	if (len == 0)
		free(body);
	*out = (struct mqtt_span){len > 0 ? body : NULL, len};
	return len > 0;
}

bool renamed_rooms_take(struct renamed_rooms *r, const char *name, size_t len, const struct mqtt_publish *p)
{
	struct bridge *b = r->bridge;
	const char *now = renamed_rooms_now(r, name, len);
	struct room *room = now != NULL ? rooms_find(&b->rooms, now, strlen(now)) : NULL;
	if (room == NULL)
		return now != NULL; /* nobody here is in it */
	struct message_marks marks = message_marks_read(p, b->settings.index);
	/* what is no copy may be live: the name is no old one any more, and the bridge does not know it yet */
	if (marks.copy.len == 0)
		copies_note(&r->copies, name, len, marks.seq);
	else if (!renamed_rooms_want(r, &marks))
		return true;
	struct mqtt_publish said = *p;
	if (!renamed_rooms_say(p, room, &said.payload) ||
	    !rounds_gather(&b->rounds, room, &said, &marks, sessions_author(&b->sessions, p, &marks)))
		rooms_lose_one(&b->rooms, room);
	free((void *)said.payload.at);
	return true;
}

/* ---- what the plugin says ----------------------------------------------------------------------- */

/* Everybody who is in a room under its old name. Members are taken from the end, for they leave. */
static void move_members(struct bridge *b, const struct renamed_room *renamed)
{
	struct room *room = rooms_find(&b->rooms, renamed->name, strlen(renamed->name));
	if (room == NULL || room->member_count == 0)
		return;
	rounds_settle(&b->rounds); /* what has arrived before comes before the word of the new name */
	rooms_keep(&b->rooms, room);
	for (uint32_t i = room->member_count; i > 0; i--)
		session_move(room->members[i - 1].session, room, renamed->now);
}

static void ask(struct renamed_rooms *r);

static void on_answer(struct sync_question *q, struct mqtt_span rest, struct mqtt_span body)
{
	struct renamed_rooms *r = (struct renamed_rooms *)((char *)q - offsetof(struct renamed_rooms, question));
	(void)body;
	forget_all(r);
	while (rest.len > 0) {
		struct mqtt_span name = sync_next_word(&rest);
		add(r, name, sync_next_word(&rest));
	}
	for (struct renamed_room *room = r->all; room != NULL; room = room->hh.next)
		move_members(r->bridge, room);
	if (r->again)
		ask(r);
}

static void ask(struct renamed_rooms *r)
{
	r->again = r->question.token != 0;
	if (r->again)
		return; /* when the answer is there that is under way */
	r->question.on_answer = on_answer;
	if (!sync_ask(&r->bridge->sync, &r->question, "renamed"))
		log_line(LOG_LEVEL_ERROR, "out of memory: it is not known which rooms have another name");
}

static struct renamed_rooms *of_part(struct sync_part *part)
{
	return (struct renamed_rooms *)((char *)part - offsetof(struct renamed_rooms, part));
}

static void on_up(struct sync_part *part)
{
	struct renamed_rooms *r = of_part(part);
	copies_clear(&r->copies);
	ask(r);
}

static void on_told(struct sync_part *part, struct mqtt_span rest, struct mqtt_span body)
{
	(void)rest;
	(void)body;
	ask(of_part(part));
}

static void on_counted(struct sync_question *q, struct mqtt_span rest, struct mqtt_span body)
{
	(void)q;
	(void)rest;
	(void)body;
}

/* "members <question> <room>" */
static void on_members(struct sync_part *part, struct mqtt_span rest, struct mqtt_span body)
{
	struct renamed_rooms *r =
	    (struct renamed_rooms *)((char *)part - offsetof(struct renamed_rooms, members));
	struct sync *sync = &r->bridge->sync;
	struct mqtt_span question = sync_next_word(&rest);
	const struct room *room = rest.len > 0 ? rooms_find(&r->bridge->rooms, rest.at, rest.len) : NULL;
	char text[64];
	int len = snprintf(text, sizeof text, "%.*s %u", (int)question.len, question.at,
	                   room != NULL ? room->member_count : 0);
	(void)body;
	sync_forget(sync, &r->count); /* the plugin does not ask anew before it has given up */
	r->count.on_answer = on_counted;
	if (len <= 0 || (size_t)len >= sizeof text ||
	    !sync_ask_with(sync, &r->count, "members", (struct mqtt_span){text, (size_t)len}))
		log_line(LOG_LEVEL_ERROR, "out of memory: a room cannot be renamed at present");
}

void renamed_rooms_start(struct renamed_rooms *r, struct bridge *b)
{
	memset(r, 0, sizeof *r);
	r->bridge = b;
	r->part = (struct sync_part){.word = "renamed", .on_up = on_up, .on_told = on_told};
	r->members = (struct sync_part){.word = "members", .on_told = on_members};
	sync_add_part(&b->sync, &r->part);
	sync_add_part(&b->sync, &r->members);
}
