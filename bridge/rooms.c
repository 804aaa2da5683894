/* rooms.c - see rooms.h */
#include "bridge/rooms.h"
#include "bridge/bridge.h"
#include "bridge/copies.h"
#include "bridge/counters.h"
#include "common/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_FIRST_MS 20
#define RETRY_LAST_MS 2000
#define COMPLAIN_AFTER_MS 3000 /* the broker needs a moment between starting us and listening */

/* ---- members ------------------------------------------------------------------------- */

struct room *rooms_find(struct rooms *r, const char *name, size_t len)
{
	struct room *room;
	HASH_FIND(hh, r->by_name, name, len, room);
	return room;
}

static struct room *room_new(struct rooms *r, const char *name, size_t len)
{
	struct room *room = calloc(1, sizeof *room);
	if (room == NULL)
		return NULL;
	memcpy(room->name, name, len);
	room->name_len = (uint8_t)len;
	HASH_ADD_KEYPTR(hh, r->by_name, room->name, len, room);
	if (room->hh.tbl == NULL) { /* HASH_NONFATAL_OOM: not added */
		free(room);
		return NULL;
	}
	return room;
}

static void room_free(struct rooms *r, struct room *room)
{
	rounds_forget(&r->bridge->rounds, room);
	HASH_DEL(r->by_name, room);
	free(room->members);
	free(room);
}

uint16_t rooms_packet_id(struct rooms *r)
{
	if (++r->next_packet_id == 0)
		r->next_packet_id = 1;
	return r->next_packet_id;
}

/* 0 when it cannot be sent: the link is then being closed and everything subscribed anew later. */
static uint16_t send_subscription(struct rooms *r, const struct room *room, enum topic_kind kind,
                                  bool subscribe)
{
	char topic[TOPIC_ROOT_MAX + ROOM_MAX + 32];
	size_t len = topic_format(kind, r->bridge->settings.topic_root, room->name, room->name_len, NULL, 0,
	                          topic, sizeof topic);
	struct mqtt_filter filter = {
	    .filter = {topic, len}, .qos = kind == TOPIC_ROOM ? 1 : 0, .retain_handling = 2};
	size_t size = subscribe ? mqtt_subscribe_size(&filter, 1) : mqtt_unsubscribe_size(&filter.filter, 1);
	uint8_t *at = len > 0 && size > 0 ? mqtt_link_reserve(&r->link, size) : NULL;
	if (at == NULL)
		return 0;
	uint16_t id = rooms_packet_id(r);
	size_t n = subscribe ? mqtt_encode_subscribe(at, size, id, &filter, 1)
	                     : mqtt_encode_unsubscribe(at, size, id, &filter.filter, 1);
	mqtt_link_commit(&r->link, n);
	return id;
}

static void subscribe_room(struct rooms *r, struct room *room)
{
	if (r->link.state != LINK_UP)
		return;
	if (room->subscription == ROOM_UNSUBSCRIBED && room->shared_members > 0) {
		room->subscribe_id = send_subscription(r, room, TOPIC_ROOM, true);
		room->subscription = room->subscribe_id != 0 ? ROOM_SUBSCRIBING : ROOM_UNSUBSCRIBED;
		room->have_seq = false;
		room->first_seq = 0;
	}
	if (room->typing_subscription == ROOM_UNSUBSCRIBED && room->typing_members > 0) {
		room->typing_subscribe_id = send_subscription(r, room, TOPIC_ROOM_TYPING, true);
		room->typing_subscription = room->typing_subscribe_id != 0 ? ROOM_SUBSCRIBING : ROOM_UNSUBSCRIBED;
	}
}

static void unsubscribe_room(struct rooms *r, struct room *room)
{
	if (r->link.state != LINK_UP)
		return;
	if (room->typing_subscription != ROOM_UNSUBSCRIBED && room->typing_members == 0) {
		(void)send_subscription(r, room, TOPIC_ROOM_TYPING, false);
		room->typing_subscription = ROOM_UNSUBSCRIBED;
	}
	if (room->subscription != ROOM_UNSUBSCRIBED && room->shared_members == 0 && room->kept_until_ms == 0) {
		(void)send_subscription(r, room, TOPIC_ROOM, false);
		room->subscription = ROOM_UNSUBSCRIBED;
	}
}

bool rooms_join(struct rooms *r, struct session *s, const char *name, size_t len, struct room **out)
{
	struct room *room = rooms_find(r, name, len);
	*out = NULL;
	if (room == NULL && (room = room_new(r, name, len)) == NULL)
		return false;
	if (room->member_count == room->member_cap) {
		uint32_t cap = room->member_cap > 0 ? room->member_cap * 2 : 4;
		struct room_member *members = realloc(room->members, cap * sizeof *members);
		if (members == NULL) {
			if (room->member_count == 0)
				room_free(r, room);
			return false;
		}
		room->members = members;
		room->member_cap = cap;
	}
	room->members[room->member_count++] = (struct room_member){s, rounds_join(room)};
	room->shared_members += !s->own_rooms;
	*out = room;
	subscribe_room(r, room);
	return !s->own_rooms && room->subscription == ROOM_SUBSCRIBED;
}

void rooms_leave(struct rooms *r, struct room *room, uint32_t index)
{
	rounds_leave(&r->bridge->rounds, room, index);
	uint32_t last = --room->member_count;
	room->shared_members -= !room->members[index].session->own_rooms;
	if (index != last) {
		struct session *moved = room->members[last].session;
		room->members[index] = room->members[last];
		for (uint32_t i = 0; i < moved->room_count; i++)
			if (moved->rooms[i].room == room)
				moved->rooms[i].index = index;
	}
	unsubscribe_room(r, room);
	if (room->member_count == 0 && room->kept_until_ms == 0)
		room_free(r, room);
}

void rooms_keep(struct rooms *r, struct room *room)
{
	room->kept_until_ms = r->bridge->loop.now_ms + ROOM_KEPT_MS;
	/* should it get its name back, it counts anew */
	room->have_seq = false;
	room->first_seq = 0;
}

static void end_keeping(struct rooms *r, struct room *room)
{
	bool over = r->bridge->loop.now_ms >= room->kept_until_ms || room->subscription == ROOM_UNSUBSCRIBED;
	if (room->kept_until_ms == 0 || !over)
		return;
	room->kept_until_ms = 0;
	unsubscribe_room(r, room);
	if (room->member_count == 0)
		room_free(r, room);
}

void rooms_want_typing(struct rooms *r, struct room *room, int change)
{
	room->typing_members += (uint32_t)change;
	if (change > 0)
		subscribe_room(r, room);
	else
		unsubscribe_room(r, room);
}

/* ---- what arrives -------------------------------------------------------------------- */

static void lose_room(struct rooms *r, struct room *room, uint64_t missing)
{
	static struct log_limit limit;
	count_more(COUNTER_DROP_LOST, missing);
	count_more(COUNTER_UNDELIVERED_LOST, missing * room->shared_members);
	log_limited(&limit, r->bridge->loop.now_ms, LOG_LEVEL_ERROR,
	            "room %s: %llu messages were lost between broker and bridge (is max_queued_messages large "
	            "enough?); its sessions are closed with 1013 to resume",
	            room->name, (unsigned long long)missing);
	for (uint32_t i = 0; i < room->member_count; i++)
		if (!room->members[i].session->own_rooms)
			session_close(room->members[i].session, CLOSE_OVERLOADED,
			              "messages were lost, resume with since");
}

void rooms_lose_one(struct rooms *r, struct room *room)
{
	lose_room(r, room, 1);
}

/* False when members must not get what follows a gap. */
static bool check_seq(struct rooms *r, struct room *room, uint64_t seq)
{
	/* by a subscription that has been given up meanwhile: what is between it and the next one is no loss */
	if (room->subscription != ROOM_SUBSCRIBED)
		return true;
	if (seq == 0)
		return true; /* not numbered: a QoS 2 publish */
	bool fine = !room->have_seq || seq == room->seq + 1 || seq == 1;
	uint64_t missing = seq - room->seq - 1;
	room->have_seq = true;
	room->seq = seq;
	if (!fine)
		lose_room(r, room, missing);
	return fine;
}

static void deliver(struct rooms *r, struct room *room, const struct mqtt_publish *p)
{
	struct message_marks marks = message_marks_read(p, r->bridge->settings.index);
	/* a copy: the room is about to be moved */
	bool copy = marks.copy.len > 0;
	if (copy ? !renamed_rooms_want(&r->bridge->renamed, &marks) : !check_seq(r, room, marks.seq))
		return;
	if (!copy && marks.seq > 0)
		copies_note_first(&room->first_seq, marks.seq);
	struct session *author = sessions_author(&r->bridge->sessions, p, &marks);
	if (!rounds_gather(&r->bridge->rounds, room, p, &marks, author))
		lose_room(r, room, 1);
}

/* The author knows already that it is typing. */
static bool is_own_typing(const struct session *s, const char *payload, size_t len)
{
	struct json_reader reader;
	struct json_member member;
	json_reader_start(&reader, payload, len);
	while (json_reader_next(&reader, &member) == JSON_MEMBER)
		if (json_span_equals(member.key, member.key_len, member.key_escaped, "sender"))
			return json_span_equals(member.value, member.value_len, member.value_escaped,
			                        s->who->identity->text);
	return false;
}

void rooms_typing(struct rooms *r, struct room *room, const char *payload, size_t len)
{
	(void)r;
	struct chunk *c = chunk_new(frame_size(len));
	if (c == NULL)
		return; /* an event without a promise */
	(void)chunk_append_frame(c, FRAME_TEXT, payload, len);
	for (uint32_t i = 0; i < room->member_count; i++) {
		struct session *s = room->members[i].session;
		if (s->wants_typing && s->state == SESSION_OPEN && !s->silent && !is_own_typing(s, payload, len))
			session_send_shared(s, c, 0, c->len);
	}
	chunk_release(c);
}

/* ---- the bridge's own connection ----------------------------------------------------- */

static struct rooms *rooms_of(struct mqtt_link *link)
{
	return (struct rooms *)((char *)link - offsetof(struct rooms, link));
}

void rooms_identify(struct rooms *r, struct mqtt_connect *out)
{
	static char client_id[sizeof BRIDGE_CLIENT_PREFIX + 12];
	int n = snprintf(client_id, sizeof client_id, BRIDGE_CLIENT_PREFIX "%u", r->bridge->settings.index);
	out->client_id = (struct mqtt_span){client_id, (size_t)n};
	out->user_name = (struct mqtt_span){BRIDGE_USERNAME, strlen(BRIDGE_USERNAME)};
}

static void on_up(struct mqtt_link *link)
{
	struct rooms *r = rooms_of(link);
	log_line(LOG_LEVEL_NOTICE, "connected to the broker at %s", r->bridge->settings.broker_socket);
	r->was_up = true;
	r->retry_ms = 0;
	r->retry_delay_ms = RETRY_FIRST_MS;
	acceptor_open(&r->bridge->acceptor);
	for (struct room *room = r->by_name, *next; room != NULL; room = next) {
		next = room->hh.next;
		subscribe_room(r, room);
	}
	sync_link_up(&r->bridge->sync);
}

static void on_suback(struct rooms *r, const struct mqtt_suback *ack)
{
	if (sync_link_suback(&r->bridge->sync, ack))
		return;
	for (struct room *room = r->by_name, *next; room != NULL; room = next) {
		next = room->hh.next;
		if (room->typing_subscription == ROOM_SUBSCRIBING && room->typing_subscribe_id == ack->packet_id)
			room->typing_subscription = ROOM_SUBSCRIBED;
		if (room->subscription != ROOM_SUBSCRIBING || room->subscribe_id != ack->packet_id)
			continue;
		if (ack->reasons[0] >= 0x80) {
			room->subscription = ROOM_UNSUBSCRIBED;
			static struct log_limit limit;
			log_limited(&limit, r->bridge->loop.now_ms, LOG_LEVEL_ERROR,
			            "the broker refuses the subscription of room %s: %s", room->name,
			            mqtt_reason_name(ack->reasons[0]));
			for (uint32_t i = 0; i < room->member_count; i++)
				if (!room->members[i].session->own_rooms)
					session_close(room->members[i].session, CLOSE_FORBIDDEN, "the room is closed");
			return;
		}
		room->subscription = ROOM_SUBSCRIBED;
		room->have_seq = false;
		for (uint32_t i = 0; i < room->member_count; i++)
			if (!room->members[i].session->own_rooms)
				session_room_ready(room->members[i].session, room);
		return;
	}
}

static void on_publish(struct rooms *r, const struct mqtt_publish *p)
{
	const char *root = r->bridge->settings.topic_root;
	struct topic topic = topic_parse(root, strlen(root), p->topic.at, p->topic.len);
	if (p->qos == 1) {
		uint8_t *at = mqtt_link_reserve(&r->link, 4);
		if (at != NULL)
			mqtt_link_commit(&r->link, mqtt_encode_puback(at, 4, p->packet_id, 0));
	}
	if (topic.kind == TOPIC_BRIDGE) {
		sync_link_publish(&r->bridge->sync, &topic, p->payload);
		return;
	}
	if (topic.kind == TOPIC_ROOM && renamed_rooms_take(&r->bridge->renamed, topic.name, topic.name_len, p))
		return;
	struct room *room = topic.name != NULL ? rooms_find(r, topic.name, topic.name_len) : NULL;
	if (room == NULL)
		return; /* everybody has left while it was on its way */
	if (topic.kind == TOPIC_ROOM)
		deliver(r, room, p);
	else if (topic.kind == TOPIC_ROOM_TYPING)
		rooms_typing(r, room, p->payload.at, p->payload.len);
}

static void on_packet(struct mqtt_link *link, const struct mqtt_packet *packet)
{
	struct rooms *r = rooms_of(link);
	if (packet->type == MQTT_PUBLISH)
		on_publish(r, &packet->u.publish);
	else if (packet->type == MQTT_SUBACK)
		on_suback(r, &packet->u.suback);
}

static void on_down(struct mqtt_link *link, const struct mqtt_link_end *end)
{
	struct rooms *r = rooms_of(link);
	struct bridge *b = r->bridge;
	if (r->was_up) {
		log_line(LOG_LEVEL_WARNING, "the connection to the broker is gone: %s", end->reason);
		r->was_up = false;
		r->retry_delay_ms = RETRY_FIRST_MS;
		sessions_close_all(&b->sessions, CLOSE_BROKER_AWAY, "the broker is away, try again");
	} else if (b->loop.now_ms > b->acceptor.started_ms + COMPLAIN_AFTER_MS) {
		static struct log_limit limit;
		log_limited(
		    &limit, b->loop.now_ms, LOG_LEVEL_ERROR,
		    "cannot connect to the broker at %s: %s; mosquitto.conf needs the line \"listener 0 %s\", "
		    "the same path as plugin_opt_broker_socket",
		    b->settings.broker_socket, end->reason, b->settings.broker_socket);
	}
	for (struct room *room = r->by_name; room != NULL; room = room->hh.next) {
		room->subscription = room->typing_subscription = ROOM_UNSUBSCRIBED;
		room->have_seq = false;
		room->first_seq = 0;
	}
	sync_link_down(&b->sync);
	r->retry_ms = b->loop.now_ms + r->retry_delay_ms;
	r->retry_delay_ms = r->retry_delay_ms * 2 < RETRY_LAST_MS ? r->retry_delay_ms * 2 : RETRY_LAST_MS;
}

static const struct mqtt_link_owner own_link = {on_up, on_packet, on_down};

bool rooms_ready(const struct rooms *r)
{
	return r->link.state == LINK_UP;
}

void rooms_tick(struct rooms *r)
{
	struct bridge *b = r->bridge;
	if (r->retry_ms != 0 && b->loop.now_ms >= r->retry_ms && !b->stopping) {
		r->retry_ms = 0;
		mqtt_link_open(&b->links, &r->link, &own_link);
	}
	for (struct room *room = r->by_name, *next; room != NULL; room = next) {
		next = room->hh.next;
		rounds_tick_room(&b->rounds, room);
		end_keeping(r, room);
	}
}

void rooms_start(struct rooms *r, struct bridge *b)
{
	memset(r, 0, sizeof *r);
	r->bridge = b;
	r->retry_delay_ms = RETRY_FIRST_MS;
	mqtt_link_open(&b->links, &r->link, &own_link);
}

void rooms_stop(struct rooms *r)
{
	mqtt_link_close(&r->link);
	while (r->by_name != NULL)
		room_free(r, r->by_name);
}
