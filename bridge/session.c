/* session.c - see session.h: how a session begins, what the broker tells it, how it ends */
#include "bridge/bridge.h"

#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define TICK_MS 100
#define CLOSE_WAIT_MS 10000 /* for the socket to take the rest and the close frame */
#define LINGER_MS 5000      /* for the broker to acknowledge what the client sent before it left */
#define SUBSCRIBE_ID_FIRST (PUBLISHES_IN_FLIGHT_MAX + 1)
#define FILTERS_MAX 3
#define TOPIC_MAX (TOPIC_ROOT_MAX + TOPIC_LEVEL_MAX + 3 * SESSION_ID_MAX + 32)
#define SESSION_NUMBER_MASK 0x0000ffffffffffffu /* fits an origin, with room to count up */
#define BUCKETS 4096                            /* a power of two */

static const struct mqtt_link_owner session_link;

static struct session *session_of(struct mqtt_link *link)
{
	return (struct session *)link; /* its first member */
}

bool session_leaving(const struct session *s)
{
	return s->state == SESSION_CLOSING || s->state == SESSION_GONE;
}

/* ---- opening ---------------------------------------------------------------------------- */

static void replace_device(struct session *s)
{
	for (struct session *other = s->who->first; other != NULL; other = other->same_next)
		if (other != s && other->device != NULL && strcmp(other->device, s->device) == 0 &&
		    !session_leaving(other))
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
	s->persistent = s->device != NULL && s->bridge->settings.session_expiry_s > 0;
	s->catching_up = s->persistent;
	s->own_rooms = s->persistent || s->bridge->settings.fanout_session;
	if (s->since[0] != '\0' && s->bridge->history.on && !replay_prepare(s))
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
	s->joins_left = JOINS_BURST;
	s->joins_ms = b->loop.now_ms;
	sessions_add(all, s);
	all->opened_total++;
	/* nothing is read before there is a place to put it */
	s->rx_stopped = lws_rx_flow_control(wsi, 0) == 0;
	if (fault != NULL) {
		session_close(s, CLOSE_BAD_ADDRESS, fault);
		return s;
	}
	if (!sessions_add_identity(s, &params->identity) || !keep_params(s, params) ||
	    !session_make_client_id(s)) {
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
	out->clean_start = !s->persistent;
	out->session_expiry_interval = s->persistent ? s->bridge->settings.session_expiry_s : 0;
	if (s->persistent)
		out->receive_maximum = DEVICE_RECEIVE_MAXIMUM;
}

uint16_t session_next_subscribe_id(struct session *s)
{
	uint16_t id = s->subscribe_id++;
	if (s->subscribe_id == 0)
		s->subscribe_id = SUBSCRIBE_ID_FIRST;
	return id;
}

uint16_t session_subscribe(struct session *s, const struct mqtt_filter *filters, size_t n)
{
	size_t size = mqtt_subscribe_size(filters, n);
	uint8_t *at = size > 0 ? mqtt_link_reserve(&s->link, size) : NULL;
	if (at == NULL)
		return 0;
	uint16_t id = session_next_subscribe_id(s);
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
	filters[1].filter =
	    (struct mqtt_span){topics[1], topic_format(TOPIC_NOTICES, root, id->text, id->len, s->client_id,
	                                               strlen(s->client_id), topics[1], TOPIC_MAX)};
	filters[2].filter = (struct mqtt_span){
	    topics[2], topic_format(TOPIC_USER_TYPING, root, id->text, id->len, NULL, 0, topics[2], TOPIC_MAX)};
	s->state = SESSION_SUBSCRIBING;
	s->inbox_subscribe_id = session_subscribe(s, filters, n);
	if (s->inbox_subscribe_id == 0)
		session_close(s, CLOSE_INTERNAL, "out of memory");
	else if (s->own_rooms)
		session_join_rooms(s); /* what a device has missed comes at once: its rooms must be known by then */
}

/* "position <token>" on the session's own connection: the answer comes as a notice, behind all that the
 * broker had queued for it. */
bool session_ask_position(struct session *s, uint64_t token)
{
	const struct bridge_settings *settings = &s->bridge->settings;
	char topic[TOPIC_ROOT_MAX + 16], question[48];
	size_t topic_len = topic_format(TOPIC_SYNC, settings->topic_root, NULL, 0, NULL, 0, topic, sizeof topic);
	int len = snprintf(question, sizeof question, "position %llu", (unsigned long long)token);
	struct mqtt_publish_out out = {.topic = {topic, topic_len}};
	size_t head = mqtt_publish_head_size(&out, (size_t)len);
	uint8_t *at = head > 0 ? mqtt_link_reserve(&s->link, head + (size_t)len) : NULL;
	if (at == NULL || mqtt_encode_publish_head(at, head, &out, (size_t)len) != head)
		return false;
	memcpy(at + head, question, (size_t)len);
	mqtt_link_commit(&s->link, head + (size_t)len);
	return true;
}

/* ---- what the broker sends --------------------------------------------------------------- */

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
		s->state = SESSION_JOINING;
		session_join_rooms(s);
		session_check_joined(s);
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
static bool check_own_seq(struct session *s, struct membership *m, uint64_t seq)
{
	if (seq == 0)
		return true;
	/* what a device has missed may have gaps: what was sent with QoS 0 while it was away is not kept for it,
	 * unless the broker is told to (queue_qos0_messages) */
	bool fine = !m->have_seq || seq == m->seq + 1 || seq == 1 || s->catching_up;
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

/* The publish as a frame: one reference, or NULL and the session is being closed. */
static struct chunk *make_frame(struct session *s, const struct mqtt_publish *p)
{
	struct chunk *c = chunk_new(frame_size(p->payload.len));
	if (c == NULL)
		session_close(s, CLOSE_INTERNAL, "out of memory");
	else
		(void)chunk_append_frame(c, FRAME_TEXT, p->payload.at, p->payload.len); /* made to fit */
	return c;
}

static void on_message(struct session *s, const struct topic *topic, const struct mqtt_publish *p)
{
	struct message_marks marks = message_marks_read(p, s->bridge->settings.index);
	const struct room *room = NULL;
	if (topic->kind == TOPIC_ROOM) {
		struct membership *m = session_membership(s, topic->name, topic->name_len);
		if (m == NULL) {
			/* a device that was in that room before, or a room that has been left a moment ago */
			if (s->persistent)
				session_forget_room(s, topic->name, topic->name_len);
			return;
		}
		if (!check_own_seq(s, m, marks.seq))
			return;
		room = m->room;
	}
	if (marks.origin == s->number && !s->echo)
		return;
	if (s->silent)
		return;
	s->bridge->rooms.deliveries++;
	struct chunk *c = make_frame(s, p);
	if (c != NULL)
		session_deliver(s, room, c, 0, c->len, marks.late);
	chunk_release(c);
}

static void pass_on(struct session *s, const struct mqtt_publish *p)
{
	struct chunk *c = make_frame(s, p);
	if (c != NULL)
		session_send_in_order(s, c, 0, c->len);
	chunk_release(c);
}

/* All that a device had missed has come; numbers count from the next message on. */
static void caught_up(struct session *s)
{
	for (uint32_t i = 0; i < s->room_count && s->catching_up; i++)
		s->rooms[i].have_seq = false;
	s->catching_up = false;
}

static void on_publish(struct session *s, const struct mqtt_publish *p)
{
	const char *root = s->bridge->settings.topic_root;
	if (session_leaving(s))
		return; /* not acknowledged: the broker keeps it for the device's next session */
	if (p->qos == 1) {
		uint8_t *at = mqtt_link_reserve(&s->link, 4);
		if (at != NULL)
			mqtt_link_commit(&s->link, mqtt_encode_puback(at, 4, p->packet_id, 0));
	}
	struct topic topic = topic_parse(root, strlen(root), p->topic.at, p->topic.len);
	bool notice = topic.kind == TOPIC_NOTICES;
	if (notice && p->payload.len > 0 && p->payload.at[0] != '{') {
		caught_up(s);
		replay_own_position(s, p->payload.at, p->payload.len);
	} else if (notice && s->state < SESSION_OPEN)
		return; /* an answer to the device's last connection, which has nothing to ask for yet on this one */
	else if (topic.kind == TOPIC_ROOM || topic.kind == TOPIC_INBOX)
		on_message(s, &topic, p);
	else if (topic.kind == TOPIC_USER_TYPING && !s->wants_typing)
		session_forget_typing(s);
	else if (notice || !s->silent)
		pass_on(s, p);
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
	if (session_leaving(s)) {
		s->in_flight = 0;
		s->close_by_ms = 0;
		return;
	}
	if (code == MQTT_REASON_SESSION_TAKEN_OVER ||
	    (s->device != NULL && code == 0 && mqtt_link_alive(&b->rooms.link))) {
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

/* ---- ending ------------------------------------------------------------------------------ */

/* Visited at the end of each round until by_ms, then for the last time. */
static void put_on_closing_list(struct session *s, uint64_t by_ms)
{
	s->close_by_ms = by_ms;
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

static void uncount(struct session *s)
{
	if (!s->counted)
		return;
	s->counted = false;
	s->who->count--;
	sessions_choose(&s->bridge->sessions, s->who);
}

void session_close(struct session *s, enum close_code code, const char *reason)
{
	if (session_leaving(s))
		return;
	s->state = SESSION_CLOSING;
	s->close_code = (uint16_t)code;
	s->close_reason = reason;
	log_end(s, code, reason);
	s->bridge->sessions.closed_total++;
	uncount(s);
	if (code == CLOSE_TOO_SLOW || code == CLOSE_GOING_AWAY)
		outbox_clear(
		    &s->outbox); /* the reader would not take it; what is said before other ends still leaves */
	if (!owes_publishes(s))
		mqtt_link_close(&s->link);
	put_on_closing_list(s, s->bridge->loop.now_ms + CLOSE_WAIT_MS);
}

static void destroy(struct session *s)
{
	struct sessions *all = &s->bridge->sessions;
	if (s->wsi != NULL)
		server_forget(s->wsi);
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
	replay_end(s);
	session_history_cancel(s);
	session_leave_rooms(s);
	roster_leave(&s->bridge->roster, s);
	session_input_clear(s);
	outbox_clear(&s->outbox);
	outbox_clear(&s->early);
	sessions_remove_identity(s);
	sessions_remove(all, s);
	free(s->rooms);
	free(s->pending_rooms);
	free(s->device);
	free(s->home_room);
	free(s->left_room);
	free(s);
}

/* Sends the close frame once nothing partial is in its way. True when s needs no more visits here. */
static bool close_websocket(struct session *s)
{
	struct lws *wsi = s->wsi;
	bool late = s->bridge->loop.now_ms >= s->close_by_ms;
	if (!late && lws_partial_buffered(wsi))
		return false;
	/* a socket that is full takes no close frame, and libwebsockets does not try again */
	if (!late && s->close_code == CLOSE_TOO_SLOW && lws_send_pipe_choked(wsi))
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
		lws_close_reason(wsi, (enum lws_close_status)s->close_code,
		                 (unsigned char *)(uintptr_t)s->close_reason, len < 123 ? len : 123);
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
		replay_end(s);
		session_leave_rooms(s);
		if (s->wsi != NULL) {
			if (s->state == SESSION_CLOSING && !close_websocket(s))
				put_on_closing_list(s, s->close_by_ms);
			/* else libwebsockets waits for the peer's close frame, then calls session_gone */
		} else if (owes_publishes(s) && all->bridge->loop.now_ms < s->close_by_ms) {
			put_on_closing_list(s, s->close_by_ms);
		} else {
			destroy(s);
		}
		s = next;
	}
}

/* Nothing more is sent to the client; what it sent before still reaches the broker. */
static void stop_sending(struct session *s, unsigned code, const char *reason)
{
	if (!session_leaving(s)) {
		log_end(s, code, reason);
		s->bridge->sessions.closed_total++;
	}
	s->state = SESSION_GONE;
	uncount(s);
	outbox_clear(&s->outbox);
	put_on_closing_list(s, s->bridge->loop.now_ms + LINGER_MS);
}

void session_peer_closes(struct session *s, unsigned code)
{
	stop_sending(s, code, "by the client");
}

void session_gone(struct session *s)
{
	stop_sending(s, 1006, "connection lost");
	s->wsi = NULL;
	if (!owes_publishes(s))
		mqtt_link_close(&s->link);
}

void sessions_close_all(struct sessions *all, enum close_code code, const char *reason)
{
	for (struct session *s = all->first; s != NULL; s = s->next)
		session_close(s, code, reason);
}

void sessions_resume(struct sessions *all)
{
	while (all->resuming != NULL) {
		struct session *s = all->resuming;
		all->resuming = s->next_resuming;
		s->resuming = false;
		sessions_choose(all, s->who);
		session_input_resume(s);
	}
}

/* A few at a time, each often enough for the shorter of the two times. */
static void on_tick(uv_timer_t *timer)
{
	struct sessions *all = timer->data;
	struct bridge *b = all->bridge;
	b->loop.now_ms = loop_now_ns() / 1000000u;
	rooms_tick(&b->rooms);
	uint32_t shorter = b->settings.ping_interval_ms < b->settings.ping_timeout_ms
	                       ? b->settings.ping_interval_ms
	                       : b->settings.ping_timeout_ms;
	uint32_t ticks = shorter / 2 / TICK_MS;
	uint32_t due = ticks > 1 ? all->count / ticks + 1 : all->count;
	for (uint32_t i = 0; i < due && all->count > 0; i++) {
		struct session *s = all->ping_cursor != NULL ? all->ping_cursor : all->first;
		all->ping_cursor = s->next;
		session_check_alive(s);
	}
}

bool sessions_start(struct sessions *all, struct bridge *b)
{
	memset(all, 0, sizeof *all);
	all->bridge = b;
	all->bucket_count = BUCKETS;
	all->buckets = calloc(BUCKETS, sizeof *all->buckets);
	/* What a device missed may name sessions of an earlier process of this bridge: no number twice. */
	if (getrandom(&all->next_number, sizeof all->next_number, 0) != (ssize_t)sizeof all->next_number)
		return false;
	all->next_number &= SESSION_NUMBER_MASK;
	if (all->buckets == NULL || uv_timer_init(&b->loop.uv, &all->tick) != 0)
		return false;
	all->tick.data = all;
	return uv_timer_start(&all->tick, on_tick, TICK_MS, TICK_MS) == 0;
}

void sessions_stop(struct sessions *all)
{
	uv_close((uv_handle_t *)&all->tick, NULL);
	for (struct session *s = all->first, *next; s != NULL; s = next) {
		next = s->next;
		destroy(s);
	}
	free(all->buckets);
}
