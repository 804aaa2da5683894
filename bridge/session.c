/* session.c - see session.h; what the client sends is in session_input.c */
#include "bridge/session.h"
#include "bridge/bridge.h"
#include "bridge/log.h"
#include "common/json.h"
#include "common/reply.h"

#include <libwebsockets.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define TICK_MS 100
#define CLOSE_WAIT_MS 2000 /* for the socket to take the rest and the close frame */
#define LINGER_MS 5000     /* for the broker to acknowledge what the client sent before it left */
#define SUBSCRIBE_ID_FIRST (PUBLISHES_IN_FLIGHT_MAX + 1)
#define FILTERS_MAX 3
#define TOPIC_MAX (TOPIC_ROOT_MAX + TOPIC_LEVEL_MAX + 3 * SESSION_ID_MAX + 32)
#define BUCKETS 4096

static const struct mqtt_link_owner session_link;

static struct session *session_of(struct mqtt_link *link)
{
	return (struct session *)link; /* its first member */
}

static bool is_leaving(const struct session *s)
{
	return s->state == SESSION_CLOSING || s->state == SESSION_GONE;
}

/* ---- ids ------------------------------------------------------------------------------ */

/* 22 characters of base64url for 16 bytes. */
static void write_id(struct session *s, const uint8_t bytes[16])
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	char *at = s->client_id;
	memcpy(at, SESSION_CLIENT_PREFIX, sizeof SESSION_CLIENT_PREFIX - 1);
	at += sizeof SESSION_CLIENT_PREFIX - 1;
	for (unsigned bit = 0; bit < 128; bit += 6) {
		unsigned byte = bit / 8;
		unsigned pair = (unsigned)bytes[byte] << 8 | (byte + 1 < 16 ? bytes[byte + 1] : 0u);
		*at++ = alphabet[(pair >> (10 - bit % 8)) & 63];
	}
	*at = '\0';
}

/* Random, or for a named device the same for every session of it on any of this broker's bridges:
 * the broker then lets the newer one replace the older. */
static bool make_client_id(struct session *s)
{
	uint8_t bytes[EVP_MAX_MD_SIZE];
	if (s->device == NULL) {
		if (getrandom(bytes, 16, 0) != 16)
			return false;
	} else {
		char text[IDENTITY_MAX + 1 + DEVICE_MAX];
		size_t len = s->who->identity.len;
		unsigned digest_len;
		const char *key = s->bridge->settings.credential;
		memcpy(text, s->who->identity.text, len);
		text[len++] = '\0';
		memcpy(text + len, s->device, strlen(s->device));
		len += strlen(s->device);
		if (HMAC(EVP_sha256(), key, (int)strlen(key), (unsigned char *)text, len, bytes, &digest_len) == NULL)
			return false;
	}
	write_id(s, bytes);
	return true;
}

/* ---- tables ---------------------------------------------------------------------------- */

static struct session **bucket(struct sessions *all, uint64_t number)
{
	return &all->buckets[number & (all->bucket_count - 1)];
}

struct session *sessions_find(struct sessions *all, uint64_t number)
{
	struct session *s = *bucket(all, number);
	while (s != NULL && s->number != number)
		s = s->hash_next;
	return s;
}

static void tables_add(struct sessions *all, struct session *s)
{
	struct session **at = bucket(all, s->number);
	s->hash_next = *at;
	*at = s;
	s->prev = all->last;
	if (all->last != NULL)
		all->last->next = s;
	else
		all->first = s;
	all->last = s;
	all->count++;
}

static void tables_remove(struct sessions *all, struct session *s)
{
	struct session **at = bucket(all, s->number);
	while (*at != s)
		at = &(*at)->hash_next;
	*at = s->hash_next;
	if (all->ping_cursor == s)
		all->ping_cursor = s->next;
	if (s->prev != NULL)
		s->prev->next = s->next;
	else
		all->first = s->next;
	if (s->next != NULL)
		s->next->prev = s->prev;
	else
		all->last = s->prev;
	all->count--;
}

static bool identity_add(struct session *s, const struct identity *identity)
{
	struct sessions *all = &s->bridge->sessions;
	struct identity_sessions *who;
	HASH_FIND(hh, all->identities, identity->text, identity->len, who);
	if (who == NULL) {
		who = calloc(1, sizeof *who);
		if (who == NULL)
			return false;
		who->identity = *identity;
		HASH_ADD_KEYPTR(hh, all->identities, who->identity.text, who->identity.len, who);
	}
	s->who = who;
	s->counted = true;
	s->same_next = who->first;
	if (who->first != NULL)
		who->first->same_prev = s;
	who->first = s;
	who->count++;
	return true;
}

static void identity_remove(struct session *s)
{
	struct identity_sessions *who = s->who;
	if (who == NULL)
		return;
	if (s->same_prev != NULL)
		s->same_prev->same_next = s->same_next;
	else
		who->first = s->same_next;
	if (s->same_next != NULL)
		s->same_next->same_prev = s->same_prev;
	if (s->counted)
		who->count--;
	s->who = NULL;
	if (who->first == NULL) {
		HASH_DEL(s->bridge->sessions.identities, who);
		free(who);
	}
}

/* ---- opening ---------------------------------------------------------------------------- */

static void replace_device(struct session *s)
{
	for (struct session *other = s->who->first; other != NULL; other = other->same_next)
		if (other != s && other->device != NULL && strcmp(other->device, s->device) == 0 && !is_leaving(other))
			session_close(other, CLOSE_REPLACED, "replaced by the same device");
}

static bool keep_params(struct session *s, const struct session_params *params)
{
	s->echo = params->echo;
	s->wants_presence = params->wants_presence;
	s->wants_typing = params->wants_typing;
	memcpy(s->since, params->since, sizeof s->since);
	s->room_cap = params->room_count > 0 ? (uint32_t)params->room_count : 1;
	s->rooms = calloc(s->room_cap, sizeof *s->rooms);
	if (s->rooms == NULL)
		return false;
	if (params->device[0] != '\0' && (s->device = strdup(params->device)) == NULL)
		return false;
	if (params->room_count > 0 && (s->home_room = strdup(params->rooms[0])) == NULL)
		return false;
	if (params->room_count > 0 &&
	    (s->pending_rooms = calloc(params->room_count, sizeof *s->pending_rooms)) == NULL)
		return false;
	for (size_t i = 0; i < params->room_count; i++)
		memcpy(s->pending_rooms[i], params->rooms[i], sizeof s->pending_rooms[i]);
	s->pending_room_count = (uint32_t)params->room_count;
	return true;
}

struct session *session_open(struct sessions *all, struct lws *wsi, const struct session_params *params,
                             const char *fault)
{
	struct bridge *b = all->bridge;
	struct session *s = calloc(1, sizeof *s);
	if (s == NULL)
		return NULL;
	s->bridge = b;
	s->wsi = wsi;
	s->number = ++all->next_number;
	s->link.watcher.fd = -1;
	s->state = SESSION_CONNECTING;
	s->opened_ms = s->last_rx_ms = b->loop.now_ms;
	s->subscribe_id = SUBSCRIBE_ID_FIRST;
	tables_add(all, s);
	all->opened_total++;
	/* nothing is read before there is a place to put it */
	s->rx_stopped = lws_rx_flow_control(wsi, 0) == 0;
	if (fault != NULL) {
		session_close(s, CLOSE_BAD_ADDRESS, fault);
		return s;
	}
	if (!identity_add(s, &params->identity) || !keep_params(s, params) || !make_client_id(s)) {
		session_close(s, CLOSE_INTERNAL, "out of memory");
		return s;
	}
	if (s->device != NULL)
		replace_device(s);
	if (s->who->count > b->settings.max_sessions_per_user) {
		session_close(s, CLOSE_TOO_MANY, "too many sessions of this address");
		return s;
	}
	mqtt_link_open(&b->links, &s->link, &session_link);
	return s;
}

void session_identify(struct mqtt_link *link, struct mqtt_connect *out)
{
	struct session *s = session_of(link);
	out->client_id = (struct mqtt_span){s->client_id, strlen(s->client_id)};
	out->user_name = (struct mqtt_span){s->who->identity.text, s->who->identity.len};
}

static uint16_t next_subscribe_id(struct session *s)
{
	uint16_t id = s->subscribe_id++;
	if (s->subscribe_id == 0)
		s->subscribe_id = SUBSCRIBE_ID_FIRST;
	return id;
}

static uint16_t send_subscribe(struct session *s, const struct mqtt_filter *filters, size_t n)
{
	size_t size = mqtt_subscribe_size(filters, n);
	uint8_t *at = size > 0 ? mqtt_link_reserve(&s->link, size) : NULL;
	if (at == NULL)
		return 0;
	uint16_t id = next_subscribe_id(s);
	mqtt_link_commit(&s->link, mqtt_encode_subscribe(at, size, id, filters, n));
	return id;
}

static void on_up(struct mqtt_link *link)
{
	struct session *s = session_of(link);
	const char *root = s->bridge->settings.topic_root;
	const struct identity *id = &s->who->identity;
	char topics[FILTERS_MAX][TOPIC_MAX];
	struct mqtt_filter filters[FILTERS_MAX] = {{.qos = 1}, {.qos = 1}, {.qos = 0}};
	size_t n = s->wants_typing ? 3 : 2;
	filters[0].filter = (struct mqtt_span){
		topics[0], topic_format(TOPIC_INBOX, root, id->text, id->len, NULL, 0, topics[0], TOPIC_MAX)};
	filters[1].filter = (struct mqtt_span){topics[1], topic_format(TOPIC_NOTICES, root, id->text, id->len,
	                                                               s->client_id, strlen(s->client_id),
	                                                               topics[1], TOPIC_MAX)};
	filters[2].filter = (struct mqtt_span){
		topics[2], topic_format(TOPIC_USER_TYPING, root, id->text, id->len, NULL, 0, topics[2], TOPIC_MAX)};
	s->state = SESSION_SUBSCRIBING;
	s->inbox_subscribe_id = send_subscribe(s, filters, n);
	if (s->inbox_subscribe_id == 0)
		session_close(s, CLOSE_INTERNAL, "out of memory");
}

/* ---- rooms ------------------------------------------------------------------------------ */

static struct membership *find_membership(struct session *s, const char *name, size_t len)
{
	for (uint32_t i = 0; i < s->room_count; i++)
		if (s->rooms[i].room->name_len == len && memcmp(s->rooms[i].room->name, name, len) == 0)
			return &s->rooms[i];
	return NULL;
}

static bool subscribe_own(struct session *s, struct membership *m)
{
	char topic[TOPIC_MAX];
	size_t len = topic_format(TOPIC_ROOM, s->bridge->settings.topic_root, m->room->name, m->room->name_len, NULL, 0,
	                          topic, sizeof topic);
	struct mqtt_filter filter = {.filter = {topic, len}, .qos = 1, .retain_handling = 2};
	m->subscribe_id = send_subscribe(s, &filter, 1);
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
		struct mqtt_span filter = {topic, topic_format(TOPIC_ROOM, s->bridge->settings.topic_root, m->room->name,
		                                               m->room->name_len, NULL, 0, topic, sizeof topic)};
		size_t size = mqtt_unsubscribe_size(&filter, 1);
		uint8_t *at = mqtt_link_reserve(&s->link, size);
		if (at != NULL)
			mqtt_link_commit(&s->link, mqtt_encode_unsubscribe(at, size, next_subscribe_id(s), &filter, 1));
	}
	rooms_leave(rooms, m->room, m->index);
	free(m->join_ref);
	*m = s->rooms[--s->room_count];
}

static void leave_all_rooms(struct session *s)
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
	if (s->since[0] != '\0')
		send_recovered(s);
	/* at the end of the round: a frame that waits may leave the room whose members are being told */
	s->next_resuming = s->bridge->sessions.resuming;
	s->bridge->sessions.resuming = s;
	s->resuming = true;
}

void sessions_resume(struct sessions *all)
{
	while (all->resuming != NULL) {
		struct session *s = all->resuming;
		all->resuming = s->next_resuming;
		s->resuming = false;
		session_input_resume(s);
	}
}

static void join_rooms(struct session *s)
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
	if (is_leaving(s))
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
	struct membership *m = find_membership(s, room, len);
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
	struct membership *m = find_membership(s, room, len);
	if (m != NULL) {
		answer_join(s, m);
		rooms_settle(&s->bridge->rooms); /* what has arrived before is still delivered */
		drop_room(s, m);
	}
	if (ref != NULL)
		session_send_ack(s, ref, ref_len);
}

/* ---- what the broker sends ---------------------------------------------------------------- */

static void on_suback(struct session *s, const struct mqtt_suback *ack)
{
	bool refused = false;
	for (size_t i = 0; i < ack->reason_count; i++)
		refused |= ack->reasons[i] >= 0x80;
	if (s->state == SESSION_SUBSCRIBING && ack->packet_id == s->inbox_subscribe_id) {
		if (refused) {
			session_close(s, CLOSE_FORBIDDEN, "not allowed");
			return;
		}
		s->subscribed = true;
		join_rooms(s);
		return;
	}
	for (uint32_t i = 0; i < s->room_count; i++) {
		struct membership *m = &s->rooms[i];
		if (m->subscribe_id == 0 || m->subscribe_id != ack->packet_id)
			continue;
		m->subscribe_id = 0;
		if (refused)
			session_close(s, CLOSE_FORBIDDEN, "the room is closed");
		else
			session_room_ready(s, m->room);
		return;
	}
}

/* fanout session: the same check of numbers that rooms.c makes for all members at once. */
static bool check_own_seq(struct session *s, const struct topic *topic, uint64_t seq)
{
	struct membership *m = find_membership(s, topic->name, topic->name_len);
	if (m == NULL)
		return false;
	if (seq == 0)
		return true;
	bool fine = !m->have_seq || seq == m->seq + 1 || seq == 1;
	if (!fine) {
		uint64_t missing = seq - m->seq - 1;
		s->bridge->rooms.lost += missing;
		log_line(LOG_LEVEL_ERROR, "room %s: %llu messages for %s were lost between broker and bridge",
		         m->room->name, (unsigned long long)missing, s->who->identity.text);
		session_close(s, CLOSE_OVERLOADED, "messages were lost, resume with since");
	}
	m->have_seq = true;
	m->seq = seq;
	return fine;
}

static void on_publish(struct session *s, const struct mqtt_publish *p)
{
	const char *root = s->bridge->settings.topic_root;
	if (p->qos == 1) {
		uint8_t *at = mqtt_link_reserve(&s->link, 4);
		if (at != NULL)
			mqtt_link_commit(&s->link, mqtt_encode_puback(at, 4, p->packet_id, 0));
	}
	if (is_leaving(s))
		return;
	struct topic topic = topic_parse(root, strlen(root), p->topic.at, p->topic.len);
	if (topic.kind == TOPIC_ROOM || topic.kind == TOPIC_INBOX) {
		struct message_marks marks = rooms_read_marks(s->bridge, p);
		if (topic.kind == TOPIC_ROOM && !check_own_seq(s, &topic, marks.seq))
			return;
		if (marks.origin == s->number && !s->echo)
			return;
		s->bridge->rooms.deliveries++;
	}
	session_send_text(s, p->payload.at, p->payload.len);
}

static void on_packet(struct mqtt_link *link, const struct mqtt_packet *packet)
{
	struct session *s = session_of(link);
	switch (packet->type) {
	case MQTT_PUBLISH:
		on_publish(s, &packet->u.publish);
		break;
	case MQTT_PUBACK:
		session_input_acked(s, packet->u.puback.packet_id, packet->u.puback.reason);
		if (s->state == SESSION_GONE && s->wsi == NULL && s->in_flight == 0 && s->waiting == NULL) {
			mqtt_link_close(&s->link);
			s->close_by_ms = 0; /* the closing list frees it */
		}
		break;
	case MQTT_SUBACK:
		on_suback(s, &packet->u.suback);
		break;
	default:
		break;
	}
}

static void on_down(struct mqtt_link *link, const char *reason, uint8_t code)
{
	struct session *s = session_of(link);
	struct bridge *b = s->bridge;
	if (is_leaving(s)) {
		s->in_flight = 0;
		s->close_by_ms = 0;
		return;
	}
	if (code == MQTT_REASON_SESSION_TAKEN_OVER || (s->device != NULL && code == 0 && mqtt_link_alive(&b->rooms.link))) {
		session_close(s, CLOSE_REPLACED, "replaced by the same device");
	} else if (code == MQTT_REASON_NOT_AUTHORIZED || code == MQTT_REASON_BAD_USER_OR_PASSWORD) {
		static struct log_limit limit;
		log_limited(&limit, b->loop.now_ms, LOG_LEVEL_ERROR,
		            "the broker refuses the session of %s: %s; is the chat plugin the first `plugin` line?",
		            s->who->identity.text, reason);
		session_close(s, CLOSE_FORBIDDEN, "not allowed");
	} else if (code == MQTT_REASON_ADMINISTRATIVE_ACTION) {
		session_close(s, CLOSE_FORBIDDEN, "ended by the operator");
	} else {
		static struct log_limit limit;
		log_limited(&limit, b->loop.now_ms, LOG_LEVEL_WARNING,
		            "a session has no connection to the broker at %s: %s", b->settings.broker_socket, reason);
		session_close(s, CLOSE_BROKER_AWAY, "the broker is away, try again");
	}
}

static const struct mqtt_link_owner session_link = {on_up, on_packet, on_down};

/* ---- what the client is sent --------------------------------------------------------------- */

static void mark_dirty(struct session *s)
{
	if (s->dirty || s->blocked)
		return;
	s->dirty = true;
	s->next_dirty = s->bridge->sessions.dirty;
	s->bridge->sessions.dirty = s;
}

/* Hard bound at once; half of it only for so long. */
static bool within_bounds(struct session *s)
{
	const struct bridge_settings *settings = &s->bridge->settings;
	if (s->outbox.bytes > settings->outbox_bytes)
		return false;
	if (s->outbox.bytes <= settings->outbox_bytes / 2) {
		s->half_full_since_ms = 0;
		return true;
	}
	if (s->half_full_since_ms == 0)
		s->half_full_since_ms = s->bridge->loop.now_ms;
	return s->bridge->loop.now_ms - s->half_full_since_ms <= settings->outbox_ms;
}

void session_send_shared(struct session *s, struct chunk *c, uint32_t start, uint32_t end)
{
	if (is_leaving(s) || s->wsi == NULL)
		return;
	if (!outbox_push(&s->outbox, c, start, end)) {
		session_close(s, CLOSE_INTERNAL, "out of memory");
		return;
	}
	if (!within_bounds(s)) {
		session_close(s, CLOSE_TOO_SLOW, "too slow, resume with since");
		return;
	}
	mark_dirty(s);
}

static void take_result(struct session *s, enum outbox_result r)
{
	s->blocked = r == OUTBOX_BLOCKED;
	if (r == OUTBOX_BROKEN)
		session_close(s, CLOSE_GOING_AWAY, "the connection is gone");
	else if (s->outbox.bytes <= s->bridge->settings.outbox_bytes / 2)
		s->half_full_since_ms = 0;
}

void session_write_now(struct session *s, struct chunk *c, uint32_t start, uint32_t end)
{
	if (s->outbox.count == 0 && !s->blocked)
		take_result(s, outbox_write_through(&s->outbox, s->wsi, c, start, end));
	else
		session_send_shared(s, c, start, end);
}

void session_send_text(struct session *s, const char *payload, size_t len)
{
	if (is_leaving(s) || s->wsi == NULL)
		return;
	struct chunk *c = chunk_new(frame_size(len));
	if (c == NULL) {
		session_close(s, CLOSE_INTERNAL, "out of memory");
		return;
	}
	(void)chunk_append_frame(c, FRAME_TEXT, payload, len); /* made to fit */
	session_send_shared(s, c, 0, c->len);
	chunk_release(c);
}

void session_send_error(struct session *s, enum chat_error error, const char *field, const char *ref, size_t ref_len)
{
	char frame[REPLY_MAX];
	size_t n = reply_error(error, s->bridge->settings.language, s->bridge->settings.system_sender, field, ref, ref_len,
	                       frame, sizeof frame);
	session_send_text(s, frame, n);
}

void session_send_ack(struct session *s, const char *ref, size_t ref_len)
{
	char frame[REPLY_MAX];
	size_t n = reply_ack(ref, ref_len, NULL, NULL, frame, sizeof frame);
	session_send_text(s, frame, n);
}

void session_writeable(struct session *s)
{
	if (s->wsi == NULL || lws_partial_buffered(s->wsi))
		return;
	s->blocked = false;
	if (s->outbox.count > 0)
		mark_dirty(s);
}

void sessions_flush(struct sessions *all)
{
	while (all->dirty != NULL) {
		struct session *s = all->dirty;
		all->dirty = s->next_dirty;
		s->dirty = false;
		if (s->wsi != NULL && s->state != SESSION_GONE && s->outbox.count > 0)
			take_result(s, outbox_flush(&s->outbox, s->wsi));
	}
}

/* ---- pings ---------------------------------------------------------------------------------- */

void session_alive(struct session *s)
{
	s->last_rx_ms = s->bridge->loop.now_ms;
}

void session_pong(struct session *s)
{
	session_alive(s);
	s->ping_ms = 0;
}

static void check_alive(struct session *s)
{
	const struct bridge_settings *settings = &s->bridge->settings;
	uint64_t now = s->bridge->loop.now_ms;
	if (is_leaving(s))
		return;
	if (!within_bounds(s)) {
		session_close(s, CLOSE_TOO_SLOW, "too slow, resume with since");
	} else if (s->ping_ms != 0) {
		if (s->last_rx_ms > s->ping_ms)
			s->ping_ms = 0;
		else if (now - s->ping_ms >= settings->ping_timeout_ms && !s->blocked)
			session_close(s, CLOSE_INTERNAL, "no answer to a ping");
	} else if (now - s->last_rx_ms >= settings->ping_interval_ms && s->outbox.count == 0 && !s->blocked) {
		/* a session with bytes waiting is watched by the bounds of its outbox instead */
		static struct chunk *ping;
		if (ping == NULL && (ping = chunk_new(frame_size(1))) != NULL)
			(void)chunk_append_frame(ping, FRAME_PING, "p", 1); /* empty pings: no callback for the pong */
		if (ping != NULL) {
			s->ping_ms = now;
			session_send_shared(s, ping, 0, ping->len);
		}
	}
}

/* Looks at each session often enough for the shorter of the two times, a few at a time. */
static void on_tick(uv_timer_t *timer)
{
	struct sessions *all = timer->data;
	struct bridge *b = all->bridge;
	b->loop.now_ms = loop_now_ns() / 1000000u;
	rooms_tick(&b->rooms);
	uint32_t shorter = b->settings.ping_interval_ms < b->settings.ping_timeout_ms ? b->settings.ping_interval_ms
	                                                                              : b->settings.ping_timeout_ms;
	uint32_t ticks = shorter / 2 / TICK_MS;
	uint32_t due = ticks > 1 ? all->count / ticks + 1 : all->count;
	for (uint32_t i = 0; i < due && all->count > 0; i++) {
		struct session *s = all->ping_cursor != NULL ? all->ping_cursor : all->first;
		all->ping_cursor = s->next;
		check_alive(s);
	}
}

/* ---- ending ---------------------------------------------------------------------------------- */

static void put_on_closing_list(struct session *s, uint64_t wait_ms)
{
	s->close_by_ms = s->bridge->loop.now_ms + wait_ms;
	if (s->on_closing_list)
		return;
	s->on_closing_list = true;
	s->next_closing = s->bridge->sessions.closing;
	s->bridge->sessions.closing = s;
}

static void log_end(const struct session *s, unsigned code, const char *reason)
{
	log_line(LOG_LEVEL_INFO, "session of %s closed: %u %s (%s, %llu s, %u bytes unsent)",
	         s->who != NULL ? s->who->identity.text : "nobody", code, reason,
	         s->client_id[0] != '\0' ? s->client_id : "no client id",
	         (unsigned long long)(s->bridge->loop.now_ms - s->opened_ms) / 1000, s->outbox.bytes);
}

/* Is there something of the client's that the broker has not confirmed? */
static bool owes_publishes(const struct session *s)
{
	return s->subscribed && s->link.state == LINK_UP && (s->in_flight != 0 || s->waiting != NULL);
}

void session_close(struct session *s, enum close_code code, const char *reason)
{
	if (is_leaving(s))
		return;
	s->state = SESSION_CLOSING;
	s->close_code = (uint16_t)code;
	s->close_reason = reason;
	log_end(s, code, reason);
	s->bridge->sessions.closed_total++;
	if (s->counted) {
		s->counted = false;
		s->who->count--;
	}
	if (code == CLOSE_TOO_SLOW || code == CLOSE_GOING_AWAY)
		outbox_clear(&s->outbox); /* the reader would not take it; what is said before other ends still leaves */
	if (!owes_publishes(s))
		mqtt_link_close(&s->link);
	put_on_closing_list(s, CLOSE_WAIT_MS);
}

static void destroy(struct session *s)
{
	struct sessions *all = &s->bridge->sessions;
	if (s->dirty) {
		struct session **at = &all->dirty;
		while (*at != s)
			at = &(*at)->next_dirty;
		*at = s->next_dirty;
	}
	if (s->resuming) {
		struct session **at = &all->resuming;
		while (*at != s)
			at = &(*at)->next_resuming;
		*at = s->next_resuming;
	}
	mqtt_link_close(&s->link);
	leave_all_rooms(s);
	session_input_clear(s);
	outbox_clear(&s->outbox);
	identity_remove(s);
	tables_remove(all, s);
	free(s->rooms);
	free(s->pending_rooms);
	free(s->device);
	free(s->home_room);
	free(s);
}

/* Sends the close frame once nothing partial is in its way. True when s needs no more visits here. */
static bool close_websocket(struct session *s)
{
	struct lws *wsi = s->wsi;
	bool late = s->bridge->loop.now_ms >= s->close_by_ms;
	if (!late && lws_partial_buffered(wsi))
		return false;
	if (!late && s->outbox.count > 0) {
		enum outbox_result r = outbox_flush(&s->outbox, wsi);
		if (r == OUTBOX_BLOCKED)
			return false;
	}
	s->state = SESSION_GONE;
	outbox_clear(&s->outbox);
	if (!lws_partial_buffered(wsi)) {
		size_t len = strlen(s->close_reason);
		lws_close_reason(wsi, (enum lws_close_status)s->close_code, (unsigned char *)(uintptr_t)s->close_reason,
		                 len < 123 ? len : 123);
	}
	/* the peer's close frame must be read, or the connection stays until a time limit */
	if (s->rx_stopped && lws_rx_flow_control(wsi, 1) == 0)
		s->rx_stopped = false;
	/* The close frame of `return -1` from a WRITEABLE callback is lost with libuv in builds with
	 * assertions (libwebsockets issue 3569); a kill from outside its callbacks sends it. May call
	 * session_gone before it returns. */
	lws_set_timeout(wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
	return true;
}

void sessions_close_due(struct sessions *all)
{
	struct session *s = all->closing;
	all->closing = NULL;
	while (s != NULL) {
		struct session *next = s->next_closing;
		s->on_closing_list = false;
		leave_all_rooms(s);
		if (s->wsi != NULL) {
			if (s->state == SESSION_CLOSING && !close_websocket(s)) {
				uint64_t by = s->close_by_ms;
				put_on_closing_list(s, 0);
				s->close_by_ms = by;
			}
			/* else libwebsockets waits for the peer's close frame, then calls session_gone */
		} else if (owes_publishes(s) && all->bridge->loop.now_ms < s->close_by_ms) {
			uint64_t by = s->close_by_ms;
			put_on_closing_list(s, 0);
			s->close_by_ms = by;
		} else {
			destroy(s);
		}
		s = next;
	}
}

void session_gone(struct session *s, unsigned peer_code)
{
	bool clean = peer_code != 0;
	if (!is_leaving(s)) {
		log_end(s, clean ? peer_code : 1006, clean ? "by the client" : "connection lost");
		s->bridge->sessions.closed_total++;
	}
	s->state = SESSION_GONE;
	s->wsi = NULL;
	outbox_clear(&s->outbox);
	if (!owes_publishes(s))
		mqtt_link_close(&s->link);
	put_on_closing_list(s, LINGER_MS);
}

void sessions_close_all(struct sessions *all, enum close_code code, const char *reason)
{
	for (struct session *s = all->first; s != NULL; s = s->next)
		session_close(s, code, reason);
}

bool sessions_start(struct sessions *all, struct bridge *b)
{
	memset(all, 0, sizeof *all);
	all->bridge = b;
	all->bucket_count = BUCKETS;
	all->buckets = calloc(BUCKETS, sizeof *all->buckets);
	if (all->buckets == NULL || uv_timer_init(&b->loop.uv, &all->tick) != 0)
		return false;
	all->tick.data = all;
	return uv_timer_start(&all->tick, on_tick, TICK_MS, TICK_MS) == 0;
}

void sessions_stop(struct sessions *all)
{
	uv_close((uv_handle_t *)&all->tick, NULL);
	while (all->first != NULL)
		destroy(all->first);
	free(all->buckets);
}
