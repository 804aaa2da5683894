/*
 * session_link.c - a session's own connection to the broker: what it subscribes, and what comes.
 */
#include "bridge/bridge.h"
#include "bridge/counters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILTERS_MAX 3
#define TOPIC_MAX (TOPIC_ROOT_MAX + TOPIC_LEVEL_MAX + 32)

static struct session *session_of(struct mqtt_link *link)
{
	return (struct session *)link; /* its first member */
}

void session_identify(struct mqtt_link *link, struct mqtt_connect *out)
{
	struct session *s = session_of(link);
	out->client_id = (struct mqtt_span){s->client_id, strlen(s->client_id)};
	out->user_name = (struct mqtt_span){s->who->identity->text, s->who->identity->len};
	out->password = (struct mqtt_span){s->password, s->password_len};
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
	const struct identity *id = s->who->identity;
	char topics[FILTERS_MAX][TOPIC_MAX];
	struct mqtt_filter filters[FILTERS_MAX] = {{.qos = 1}, {.qos = 1}, {.qos = 0}};
	size_t n = s->wants_typing ? 3 : 2;
	if (s->bridge->settings.logins && !session_admit(s))
		return;
	session_forget_password(s);
	filters[0].filter = (struct mqtt_span){
	    topics[0], topic_format(TOPIC_INBOX, root, id->text, id->len, NULL, 0, topics[0], TOPIC_MAX)};
	filters[1].filter =
	    (struct mqtt_span){topics[1], topic_format(TOPIC_BRIDGE, root, s->client_id, strlen(s->client_id),
	                                               NULL, 0, topics[1], TOPIC_MAX)};
	filters[2].filter = (struct mqtt_span){
	    topics[2], topic_format(TOPIC_USER_TYPING, root, id->text, id->len, NULL, 0, topics[2], TOPIC_MAX)};
	s->state = SESSION_SUBSCRIBING;
	s->inbox_subscribe_id = session_subscribe(s, filters, n);
	if (s->inbox_subscribe_id == 0)
		session_close(s, CLOSE_INTERNAL, "out of memory");
	else if (s->own_rooms)
		session_join_rooms(s); /* what a device has missed comes at once: its rooms must be known by then */
}

/* A question to the plugin on the session's own connection: words and rest as one payload. The answer comes
 * as a notice, behind all that the broker had queued for it. */
static bool ask(struct session *s, const char *words, size_t words_len, const char *rest, size_t rest_len)
{
	const struct bridge_settings *settings = &s->bridge->settings;
	char topic[TOPIC_ROOT_MAX + 16];
	size_t topic_len = topic_format(TOPIC_SYNC, settings->topic_root, NULL, 0, NULL, 0, topic, sizeof topic);
	size_t len = words_len + rest_len;
	struct mqtt_publish_out out = {.topic = {topic, topic_len}};
	size_t head = mqtt_publish_head_size(&out, len);
	uint8_t *at = head > 0 ? mqtt_link_reserve(&s->link, head + len) : NULL;
	if (at == NULL || mqtt_encode_publish_head(at, head, &out, len) != head)
		return false;
	memcpy(at + head, words, words_len);
	if (rest_len > 0)
		memcpy(at + head + words_len, rest, rest_len);
	mqtt_link_commit(&s->link, head + len);
	return true;
}

bool session_ask_position(struct session *s, uint64_t token)
{
	char question[48];
	int len = snprintf(question, sizeof question, "position %llu", (unsigned long long)token);
	return ask(s, question, (size_t)len, NULL, 0);
}

bool session_say_open(struct session *s)
{
	static const char words[] = "open 1";
	return ask(s, words, sizeof words - 1, NULL, 0);
}

bool session_hand_token(struct session *s, const char *text, size_t len)
{
	static const char question[] = "token 1 ";
	return ask(s, question, sizeof question - 1, text, len);
}

bool session_hand_command(struct session *s, const char *text, size_t len)
{
	static const char question[] = "command 1 ";
	return ask(s, question, sizeof question - 1, text, len);
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
	if (seq == 0 || !m->ready)
		return true;
	/* what a device has missed may have gaps: what was sent with QoS 0 while it was away is not kept for it,
	 * unless the broker is told to (queue_qos0_messages) */
	bool fine = !m->have_seq || seq == m->seq + 1 || seq == 1 || s->catching_up;
	if (!fine) {
		uint64_t missing = seq - m->seq - 1;
		static struct log_limit limit;
		count_more(COUNTER_DROP_LOST, missing);
		count_more(COUNTER_UNDELIVERED_LOST, missing);
		log_limited(&limit, s->bridge->loop.now_ms, LOG_LEVEL_ERROR,
		            "room %s: %llu messages for %s were lost between broker and bridge", m->room->name,
		            (unsigned long long)missing, s->who->identity->text);
		session_close(s, CLOSE_OVERLOADED, "messages were lost, resume with since");
	}
	m->have_seq = true;
	m->seq = seq;
	return fine;
}

/* Is this copy, on the topic of a room's old name, of a message that has not come and will not come on the
 * room's own topic? What a device has missed may have come by either. */
static bool want_copy(struct session *s, const struct message_marks *marks)
{
	const struct membership *m = session_membership(s, marks->copy.at, marks->copy.len);
	if (marks->seq == 0)
		return m == NULL || !m->ready || s->catching_up;
	return copies_want(&s->copies, marks->copy.at, marks->copy.len, marks->seq, marks->sent_ms,
	                   m != NULL ? m->first_seq : 0);
}

/* A message of a room is for the session, by its number. old_name: on the topic of an old name of it. */
static bool take_number(struct session *s, struct membership *m, const struct topic *topic,
                        const struct message_marks *marks, bool old_name)
{
	if (marks->copy.len > 0) {
		bool wanted = want_copy(s, marks);
		if (!wanted && old_name && s->bridge->loop.now_ms >= m->old_until_ms)
			session_forget_room(s, topic->name, topic->name_len);
		return wanted;
	}
	if (old_name) {
		/* it may be live: the name is no old one any more, and the bridge does not know it yet */
		copies_note(&s->copies, topic->name, topic->name_len, marks->seq);
		return true;
	}
	if (marks->seq > 0)
		copies_note_first(&m->first_seq, marks->seq);
	return check_own_seq(s, m, marks->seq);
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
	struct mqtt_publish said = *p;
	bool old_name = false;
	if (topic->kind == TOPIC_ROOM) {
		struct membership *m = session_membership(s, topic->name, topic->name_len);
		const char *now =
		    m == NULL ? renamed_rooms_now(&s->bridge->renamed, topic->name, topic->name_len) : NULL;
		if (now != NULL)
			m = session_membership(s, now, strlen(now));
		old_name = now != NULL && m != NULL;
		if (m == NULL) {
			/* a device that was in that room before, or a room that has been left a moment ago */
			if (s->persistent)
				session_forget_room(s, topic->name, topic->name_len);
			return;
		}
		if (!take_number(s, m, topic, &marks, old_name))
			return;
		room = m->room;
		if (old_name && !renamed_rooms_say(p, room, &said.payload)) {
			session_close(s, CLOSE_INTERNAL, "out of memory");
			return;
		}
	}
	struct session *to = session_receiver(s, room, &said, &marks);
	struct chunk *c = to != NULL ? make_frame(to, &said) : NULL;
	if (to != NULL)
		count(COUNTER_DELIVERED_DIRECT);
	if (c != NULL)
		session_deliver(to, room, c, 0, c->len, marks.order);
	chunk_release(c);
	if (old_name)
		free((void *)said.payload.at);
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

/* "position <token> ...": what an earlier session of this device has asked waits for it like everything else,
 * and says too little. */
static void on_position(struct session *s, const char *text, size_t len)
{
	static const char verb[] = "position ";
	uint64_t token = 0;
	if (len < sizeof verb || memcmp(text, verb, sizeof verb - 1) != 0)
		return;
	for (size_t i = sizeof verb - 1; i < len && text[i] >= '0' && text[i] <= '9'; i++)
		token = token * 10 + (uint64_t)(text[i] - '0');
	if (token >> SESSION_TOKEN_BITS != s->number)
		return;
	caught_up(s);
	replay_own_position(s, text, len);
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
	bool notice = topic.kind == TOPIC_BRIDGE;
	if (notice && p->payload.len > 0 && p->payload.at[0] != '{')
		on_position(s, p->payload.at, p->payload.len);
	else if (notice && s->state < SESSION_OPEN)
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

/* Its login was not accepted, and the plugin has ordered nothing else. */
static void refuse_login(struct session *s)
{
	struct bridge *b = s->bridge;
	static struct log_limit limit;
	if (session_leaving(s))
		return;
	if (b->settings.logins) {
		session_close(s, CLOSE_BAD_TOKEN,
		              s->password_len > CREDENTIAL_HEX ? "token not accepted" : "token missing");
		return;
	}
	log_limited(&limit, b->loop.now_ms, LOG_LEVEL_ERROR,
	            "the broker refuses the session of %s; is the chat plugin the first `plugin` line?",
	            s->who->identity->text);
	session_close(s, CLOSE_FORBIDDEN, "not allowed");
}

/* The broker has refused a login: is there an order about that? */
struct refusal {
	struct sync_question question; /* first */
	struct session *session;
};

static void on_no_order(struct sync_question *q, struct mqtt_span rest, struct mqtt_span body)
{
	(void)rest;
	(void)body;
	refuse_login(((struct refusal *)q)->session);
}

static void on_order_lost(struct sync_question *q)
{
	refuse_login(((struct refusal *)q)->session);
}

void session_forget_refusal(struct session *s)
{
	if (s->refusal == NULL)
		return;
	sync_forget(&s->bridge->sync, &s->refusal->question);
	free(s->refusal);
	s->refusal = NULL;
}

/* CONNACK cannot say that somebody is banned, and why; the plugin does, by an order that is on its way over
 * the bridge's own connection. Whatever is answered there, the order has come before it. */
static void await_order(struct session *s)
{
	s->refusal = calloc(1, sizeof *s->refusal);
	if (s->refusal != NULL) {
		s->refusal->question = (struct sync_question){.on_answer = on_no_order, .on_lost = on_order_lost};
		s->refusal->session = s;
	}
	if (s->refusal == NULL || !sync_ask(&s->bridge->sync, &s->refusal->question, "position"))
		refuse_login(s);
}

static void on_down(struct mqtt_link *link, const struct mqtt_link_end *end)
{
	struct session *s = session_of(link);
	struct bridge *b = s->bridge;
	if (session_leaving(s)) {
		s->in_flight = 0;
		s->close_by_ms = 0;
		return;
	}
	uint8_t code = end->code;
	/* a broker may end who is replaced without a word */
	bool silently =
	    s->device != NULL && s->state > SESSION_CONNECTING && code == 0 && mqtt_link_alive(&b->rooms.link);
	if (mqtt_links_short_of_descriptors(end->error)) {
		static struct log_limit limit;
		log_limited(&limit, b->loop.now_ms, LOG_LEVEL_ERROR,
		            "a session has no connection to the broker: %s (raise LimitNOFILE)", end->reason);
		session_close(s, CLOSE_OVERLOADED, "out of file descriptors, try again later");
	} else if (code == MQTT_REASON_SESSION_TAKEN_OVER || silently) {
		session_close(s, CLOSE_REPLACED, "replaced by the same device");
	} else if (code == MQTT_REASON_NOT_AUTHORIZED || code == MQTT_REASON_BAD_USER_OR_PASSWORD) {
		await_order(s);
	} else if (code == MQTT_REASON_ADMINISTRATIVE_ACTION) {
		session_close(s, CLOSE_FORBIDDEN, "ended by the operator");
	} else {
		static struct log_limit limit;
		log_limited(&limit, b->loop.now_ms, LOG_LEVEL_WARNING,
		            "a session has no connection to the broker at %s: %s", b->settings.broker_socket,
		            end->reason);
		session_close(s, CLOSE_BROKER_AWAY, "the broker is away, try again");
	}
}

const struct mqtt_link_owner session_link_owner = {on_up, on_packet, on_down};
