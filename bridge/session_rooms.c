/*
 * session_rooms.c - the rooms of one session: joining at its start, join and leave frames, and
 * the moment from which it is open.
 */
#include "bridge/bridge.h"
#include "common/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOPIC_MAX (TOPIC_ROOT_MAX + ROOM_MAX + 32)

struct membership *session_membership(struct session *s, const char *name, size_t len)
{
	for (uint32_t i = 0; i < s->room_count; i++)
		if (s->rooms[i].room->name_len == len && memcmp(s->rooms[i].room->name, name, len) == 0)
			return &s->rooms[i];
	return NULL;
}

static bool subscribe_own(struct session *s, struct membership *m)
{
	char topic[TOPIC_MAX];
	size_t len = topic_format(TOPIC_ROOM, s->bridge->settings.topic_root, m->room->name, m->room->name_len,
	                          NULL, 0, topic, sizeof topic);
	struct mqtt_filter filter = {.filter = {topic, len}, .qos = 1, .retain_handling = 2};
	m->subscribe_id = session_subscribe(s, &filter, 1);
	return m->subscribe_id != 0;
}

static bool add_room(struct session *s, const char *name, size_t len)
{
	struct rooms *rooms = &s->bridge->rooms;
	if (s->room_count == s->room_cap) {
		uint32_t cap = s->room_cap * 2 < SESSION_ROOMS_MAX ? s->room_cap * 2 : SESSION_ROOMS_MAX;
		struct membership *grown = realloc(s->rooms, cap * sizeof *grown);
		if (grown == NULL)
			return false;
		s->rooms = grown;
		s->room_cap = cap;
	}
	struct room *room;
	bool ready = rooms_join(rooms, s, name, len, &room);
	if (room == NULL)
		return false;
	struct membership *m = &s->rooms[s->room_count++];
	*m = (struct membership){.room = room, .index = room->member_count - 1, .ready = ready};
	if (s->wants_typing)
		rooms_want_typing(rooms, room, 1);
	return !s->bridge->settings.fanout_session || subscribe_own(s, m);
}

static void drop_room(struct session *s, struct membership *m)
{
	struct rooms *rooms = &s->bridge->rooms;
	if (s->wants_typing)
		rooms_want_typing(rooms, m->room, -1);
	if (s->bridge->settings.fanout_session && s->link.state == LINK_UP) {
		char topic[TOPIC_MAX];
		struct mqtt_span filter = {topic,
		                           topic_format(TOPIC_ROOM, s->bridge->settings.topic_root, m->room->name,
		                                        m->room->name_len, NULL, 0, topic, sizeof topic)};
		size_t size = mqtt_unsubscribe_size(&filter, 1);
		uint8_t *at = mqtt_link_reserve(&s->link, size);
		if (at != NULL)
			mqtt_link_commit(&s->link,
			                 mqtt_encode_unsubscribe(at, size, session_next_subscribe_id(s), &filter, 1));
	}
	rooms_leave(rooms, m->room, m->index);
	free(m->join_ref);
	*m = s->rooms[--s->room_count];
}

void session_leave_rooms(struct session *s)
{
	while (s->room_count > 0)
		drop_room(s, &s->rooms[s->room_count - 1]);
}

static void send_ready(struct session *s)
{
	char frame[SESSION_ROOMS_MAX * (ROOM_MAX + 3) + IDENTITY_MAX * 2 + 64];
	char *at = frame;
	at = stpcpy(at, "{\"type\":\"ready\",\"user\":\"");
	at = json_escape(s->who->identity.text, s->who->identity.len, at);
	at = stpcpy(at, "\",\"rooms\":[");
	for (uint32_t i = 0; i < s->room_count; i++) {
		at = stpcpy(at, i > 0 ? ",\"" : "\"");
		at = stpcpy(at, s->rooms[i].room->name);
		at = stpcpy(at, "\"");
	}
	at = stpcpy(at, "]}");
	session_send_text(s, frame, (size_t)(at - frame));
}

/* Without history nothing can be replayed, and the client is told so, once for each place. */
static void send_recovered(struct session *s)
{
	char frame[ROOM_MAX + 128];
	for (uint32_t i = 0; i < s->room_count; i++) {
		int n = snprintf(frame, sizeof frame,
		                 "{\"type\":\"recovered\",\"room\":\"%s\",\"complete\":false,\"count\":0}",
		                 s->rooms[i].room->name);
		session_send_text(s, frame, (size_t)n);
	}
	static const char inbox[] = "{\"type\":\"recovered\",\"inbox\":true,\"complete\":false,\"count\":0}";
	session_send_text(s, inbox, sizeof inbox - 1);
}

/* Opens the session as soon as every room it asked for is subscribed. */
static void check_joined(struct session *s)
{
	if (s->state != SESSION_JOINING)
		return;
	for (uint32_t i = 0; i < s->room_count; i++)
		if (!s->rooms[i].ready)
			return;
	s->state = SESSION_OPEN;
	if (s->wants_presence || s->wants_typing)
		send_ready(s);
	if (s->wants_presence)
		roster_join(&s->bridge->roster, s);
	if (s->since[0] != '\0')
		send_recovered(s);
	/* at the end of the round: a frame that waits may leave the room whose members are being told */
	s->next_resuming = s->bridge->sessions.resuming;
	s->bridge->sessions.resuming = s;
	s->resuming = true;
}

void session_join_rooms(struct session *s)
{
	const char *fallback = s->bridge->settings.room;
	bool fine = true;
	s->state = SESSION_JOINING;
	if (s->pending_room_count == 0)
		fine = add_room(s, fallback, strlen(fallback));
	for (uint32_t i = 0; i < s->pending_room_count && fine; i++)
		fine = add_room(s, s->pending_rooms[i], strlen(s->pending_rooms[i]));
	free(s->pending_rooms);
	s->pending_rooms = NULL;
	s->pending_room_count = 0;
	if (fine)
		check_joined(s);
	else
		session_close(s, CLOSE_INTERNAL, "out of memory");
}

static void answer_join(struct session *s, struct membership *m)
{
	if (m->join_ref == NULL)
		return;
	session_send_ack(s, m->join_ref, strlen(m->join_ref));
	free(m->join_ref);
	m->join_ref = NULL;
}

void session_room_ready(struct session *s, struct room *room)
{
	if (session_leaving(s))
		return;
	for (uint32_t i = 0; i < s->room_count; i++) {
		if (s->rooms[i].room != room)
			continue;
		s->rooms[i].ready = true;
		answer_join(s, &s->rooms[i]);
	}
	check_joined(s);
}

void session_join(struct session *s, const char *room, size_t len, const char *ref, size_t ref_len)
{
	struct membership *m = session_membership(s, room, len);
	if (m == NULL) {
		if (s->room_count == SESSION_ROOMS_MAX) {
			session_send_error(s, CHAT_ERROR_NOT_ALLOWED, "room", ref, ref_len);
			return;
		}
		if (!add_room(s, room, len)) {
			session_send_error(s, CHAT_ERROR_UNAVAILABLE, NULL, ref, ref_len);
			return;
		}
		m = &s->rooms[s->room_count - 1];
	}
	if (ref == NULL)
		return;
	if (m->ready || m->join_ref != NULL)
		session_send_ack(s, ref, ref_len);
	else if ((m->join_ref = strndup(ref, ref_len)) == NULL)
		session_send_error(s, CHAT_ERROR_UNAVAILABLE, NULL, ref, ref_len);
}

void session_leave(struct session *s, const char *room, size_t len, const char *ref, size_t ref_len)
{
	struct membership *m = session_membership(s, room, len);
	if (m != NULL) {
		answer_join(s, m);
		rooms_settle(&s->bridge->rooms); /* what has arrived before is still delivered */
		drop_room(s, m);
	}
	if (ref != NULL)
		session_send_ack(s, ref, ref_len);
}
