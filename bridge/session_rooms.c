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

struct join_ref {
	struct join_ref *next;
	size_t len;
	char text[];
};

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
		uint32_t cap =
		    s->room_cap > 0 && s->room_cap * 2 < SESSION_ROOMS_MAX ? s->room_cap * 2 : SESSION_ROOMS_MAX;
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
	return !s->own_rooms || subscribe_own(s, m);
}

/* A device's subscriptions outlive its connection, so they are let go of only where the client says so. */
static void unsubscribe_own(struct session *s, enum topic_kind kind, const char *name, size_t len)
{
	char topic[TOPIC_ROOT_MAX + TOPIC_LEVEL_MAX + 32];
	struct mqtt_span filter = {
	    topic, topic_format(kind, s->bridge->settings.topic_root, name, len, NULL, 0, topic, sizeof topic)};
	size_t size = mqtt_unsubscribe_size(&filter, 1);
	uint8_t *at = s->link.state == LINK_UP && size > 0 ? mqtt_link_reserve(&s->link, size) : NULL;
	if (at != NULL)
		mqtt_link_commit(&s->link,
		                 mqtt_encode_unsubscribe(at, size, session_next_subscribe_id(s), &filter, 1));
}

void session_forget_room(struct session *s, const char *name, size_t len)
{
	if (s->left_room != NULL && strlen(s->left_room) == len && memcmp(s->left_room, name, len) == 0)
		return;
	free(s->left_room);
	s->left_room = strndup(name, len);
	unsubscribe_own(s, TOPIC_ROOM, name, len);
}

void session_forget_typing(struct session *s)
{
	unsubscribe_own(s, TOPIC_USER_TYPING, s->who->identity->text, s->who->identity->len);
}

static void free_join_refs(struct membership *m)
{
	while (m->join_refs != NULL) {
		struct join_ref *at = m->join_refs;
		m->join_refs = at->next;
		free(at);
	}
}

static void drop_room(struct session *s, struct membership *m)
{
	struct rooms *rooms = &s->bridge->rooms;
	replay_leave(s, m->room);
	if (s->wants_typing)
		rooms_want_typing(rooms, m->room, -1);
	rooms_leave(rooms, m->room, m->index);
	free_join_refs(m);
	*m = s->rooms[--s->room_count];
}

void session_leave_rooms(struct session *s)
{
	while (s->room_count > 0)
		drop_room(s, &s->rooms[s->room_count - 1]);
}

void session_send_ready(struct session *s)
{
	if (s->ready_sent || (!s->wants_presence && !s->wants_typing && !s->wants_deleted))
		return;
	s->ready_sent = true;
	char frame[SESSION_ROOMS_MAX * (ROOM_MAX + 3) + IDENTITY_MAX * 2 + 64];
	char *at = frame;
	at = stpcpy(at, "{\"type\":\"ready\",\"user\":\"");
	at = json_escape(s->who->identity->text, s->who->identity->len, at);
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

void sessions_resume_later(struct session *s)
{
	if (s->resuming)
		return;
	s->next_resuming = s->bridge->sessions.resuming;
	s->bridge->sessions.resuming = s;
	s->resuming = true;
}

void session_check_joined(struct session *s)
{
	if (s->state != SESSION_JOINING)
		return;
	for (uint32_t i = 0; i < s->room_count; i++)
		if (!s->rooms[i].ready)
			return;
	s->state = SESSION_OPEN;
	session_tell_renamed(s); /* before it hears in which rooms it is */
	session_send_ready(s);
	if (s->wants_presence)
		roster_join(&s->bridge->roster, s);
	session_send_early(s);
	if (s->bridge->settings.logins && !session_say_open(s))
		session_close(s, CLOSE_INTERNAL, "out of memory");
	if (s->replay != NULL)
		replay_start(s);
	else if (s->persistent &&
	         !session_ask_position(s, SESSION_TOKEN_FIRST(s))) /* for the place of its answer in the queue */
		session_close(s, CLOSE_INTERNAL, "out of memory");
	if (s->replay == NULL && s->since[0] != '\0')
		send_recovered(s);
	/* at the end of the round: a frame that waits may leave the room whose members are being told */
	sessions_resume_later(s);
}

/* The name by which a room is known now. */
static const char *called(const struct session *s, const char *name)
{
	const char *now = renamed_rooms_now(&s->bridge->renamed, name, strlen(name));
	return now != NULL ? now : name;
}

/* Into a room that is asked for in the URL; two of its names may be. */
static bool add_asked(struct session *s, const char *name)
{
	const char *now = called(s, name);
	if (now != name)
		session_note_renamed(s, name, strlen(name));
	return session_membership(s, now, strlen(now)) != NULL || add_room(s, now, strlen(now));
}

static bool is_closed(const struct session *s, const char *name)
{
	const char *now = called(s, name);
	return closed_rooms_has(&s->bridge->closed, now, strlen(now));
}

void session_join_rooms(struct session *s)
{
	const char *fallback = s->bridge->settings.room;
	bool fine = true;
	if (s->room_count > 0)
		return;
	bool closed = s->pending_room_count == 0 && is_closed(s, fallback);
	for (uint32_t i = 0; i < s->pending_room_count; i++)
		closed |= is_closed(s, s->pending_rooms[i]);
	if (closed) {
		session_close(s, CLOSE_FORBIDDEN, "the room is closed");
		return;
	}
	if (s->pending_room_count == 0)
		fine = add_asked(s, fallback);
	for (uint32_t i = 0; i < s->pending_room_count && fine; i++)
		fine = add_asked(s, s->pending_rooms[i]);
	free(s->pending_rooms);
	s->pending_rooms = NULL;
	s->pending_room_count = 0;
	if (!fine)
		session_close(s, CLOSE_INTERNAL, "out of memory");
}

/* False when there are too many already, or no memory. */
static bool keep_join_ref(struct membership *m, const char *ref, size_t len)
{
	size_t count = 0;
	for (const struct join_ref *at = m->join_refs; at != NULL; at = at->next)
		count++;
	struct join_ref *kept = count < JOIN_REFS_MAX ? malloc(sizeof *kept + len) : NULL;
	if (kept == NULL)
		return false;
	kept->next = m->join_refs;
	kept->len = len;
	memcpy(kept->text, ref, len);
	m->join_refs = kept;
	return true;
}

static void answer_join(struct session *s, struct membership *m)
{
	while (m->join_refs != NULL) {
		struct join_ref *at = m->join_refs;
		m->join_refs = at->next;
		session_send_ack(s, at->text, at->len);
		free(at);
	}
}

void session_room_ready(struct session *s, struct room *room)
{
	if (session_leaving(s))
		return;
	for (uint32_t i = 0; i < s->room_count; i++) {
		if (s->rooms[i].room != room)
			continue;
		s->rooms[i].ready = true;
		s->rooms[i].have_seq = false;
		answer_join(s, &s->rooms[i]);
	}
	session_check_joined(s);
}

bool session_change_room(struct session *s, struct room *room, const char *name, size_t len)
{
	struct membership *m = session_membership(s, room->name, room->name_len), *other;
	struct rooms *rooms = &s->bridge->rooms;
	struct room *next;
	other = session_membership(s, name, len);
	if (other != NULL) {
		answer_join(s, m);
		drop_room(s, m);
		return true;
	}
	bool ready = rooms_join(rooms, s, name, len, &next);
	if (next == NULL)
		return false;
	if (s->wants_typing) {
		rooms_want_typing(rooms, next, 1);
		rooms_want_typing(rooms, room, -1);
	}
	rooms_leave(rooms, room, m->index);
	/* What is accepted there with QoS 2 may still be released. Not for a device: copies would wait for it
	 * that it does not need. */
	uint64_t old_until_ms = s->persistent ? 0 : s->bridge->loop.now_ms + ROOM_KEPT_MS;
	*m = (struct membership){.room = next,
	                         .index = next->member_count - 1,
	                         .ready = ready,
	                         .join_refs = m->join_refs,
	                         .old_until_ms = old_until_ms};
	if (ready)
		answer_join(s, m);
	return !s->own_rooms || subscribe_own(s, m);
}

void session_join(struct session *s, const char *room, size_t len, const char *ref, size_t ref_len)
{
	const char *now = renamed_rooms_now(&s->bridge->renamed, room, len);
	if (now != NULL) {
		session_note_renamed(s, room, len);
		room = now;
		len = strlen(now);
	}
	struct membership *m = session_membership(s, room, len);
	if (m == NULL) {
		if (closed_rooms_has(&s->bridge->closed, room, len)) {
			session_send_error(s, CHAT_ERROR_ROOM_CLOSED, "room", ref, ref_len);
			return;
		}
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
	if (m->ready)
		session_send_ack(s, ref, ref_len);
	else if (!keep_join_ref(m, ref, ref_len))
		session_send_error(s, CHAT_ERROR_UNAVAILABLE, NULL, ref, ref_len);
}

void session_leave(struct session *s, const char *room, size_t len, const char *ref, size_t ref_len)
{
	const char *now = renamed_rooms_now(&s->bridge->renamed, room, len);
	if (now != NULL) {
		room = now;
		len = strlen(now);
	}
	struct membership *m = session_membership(s, room, len);
	if (m != NULL) {
		answer_join(s, m);
		rounds_settle_session(&s->bridge->rounds, s); /* what has arrived before is still delivered */
		if (s->own_rooms)
			unsubscribe_own(s, TOPIC_ROOM, room, len);
		drop_room(s, m);
	}
	if (ref != NULL)
		session_send_ack(s, ref, ref_len);
}
