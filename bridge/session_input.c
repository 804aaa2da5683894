/*
 * session_input.c - what a client sends: frames to publishes.
 *
 * The bridge only looks at a frame to learn where it goes. Whatever cannot be read, or
 * is addressed in a way that makes no sense, goes to the session's own room as it is: the
 * plugin refuses it there and names the error, as it does for every MQTT client.
 * join, leave, history, token and command concern the session itself and are answered here; they
 * never reach the broker.
 */
#include "bridge/bridge.h"
#include "bridge/log.h"
#include "common/json.h"
#include "common/reply.h"
#include "common/utf8.h"

#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct waiting_frame {
	struct waiting_frame *next;
	size_t len;
	char text[];
};

/* ---- reading a frame ------------------------------------------------------------------ */

enum frame_field { FIELD_TYPE, FIELD_ROOM, FIELD_TO, FIELD_REF, FIELD_COUNT };

static const char *const field_names[FIELD_COUNT] = {"type", "room", "to", "ref"};

/* The members that say where a frame goes. Values are raw spans; only strings are kept. */
struct frame_view {
	bool readable; /* a JSON object throughout */
	bool present[FIELD_COUNT];
	bool other;                           /* a member that is none of these */
	bool twice;                           /* one of these, again */
	char other_name[REPLY_FIELD_MAX + 1]; /* the first such member, where it can be shown; else empty */
	const char *twice_name;
	struct json_member field[FIELD_COUNT];
};

static struct frame_view view_frame(const char *text, size_t len)
{
	struct frame_view v = {0};
	struct json_reader reader;
	struct json_member member;
	enum json_status status;
	json_reader_start(&reader, text, len);
	while ((status = json_reader_next(&reader, &member)) == JSON_MEMBER) {
		int i = 0;
		while (i < FIELD_COUNT &&
		       !json_span_equals(member.key, member.key_len, member.key_escaped, field_names[i]))
			i++;
		if (i == FIELD_COUNT) {
			if (!v.other)
				(void)reply_field_name(member.key, member.key_len, member.key_escaped, v.other_name);
			v.other = true;
		} else if (v.present[i]) {
			v.twice = true;
			v.twice_name = field_names[i];
			if (i == FIELD_REF)
				v.field[i].type = JSON_NULL; /* neither of the two counts */
		} else {
			v.present[i] = true;
			v.field[i] = member;
		}
	}
	v.readable = status == JSON_END;
	return v;
}

/* The text of a string member, at most cap bytes. False: absent, no string, or longer. */
static bool field_text(const struct frame_view *v, enum frame_field which, char *out, size_t cap, size_t *len)
{
	const struct json_member *m = &v->field[which];
	if (!v->present[which] || m->type != JSON_STRING || m->value_len > 6 * cap)
		return false;
	if (!m->value_escaped) {
		if (m->value_len > cap)
			return false;
		memcpy(out, m->value, m->value_len);
		*len = m->value_len;
		return true;
	}
	char *decoded = malloc(m->value_len + 1);
	if (decoded == NULL)
		return false;
	*len = json_unescape(m->value, m->value_len, decoded);
	bool fits = *len <= cap;
	if (fits)
		memcpy(out, decoded, *len);
	free(decoded);
	return fits;
}

/* A ref as the contract wants it; anything else counts as none. */
static const char *field_ref(const struct frame_view *v, char out[REPLY_REF_MAX], size_t *len)
{
	if (!v->readable || !field_text(v, FIELD_REF, out, REPLY_REF_MAX, len) || *len == 0 ||
	    memchr(out, '\0', *len) != NULL)
		return NULL;
	return out;
}

/* ---- publishing ------------------------------------------------------------------------ */

/* The topic a frame is published to. */
static size_t frame_topic(const struct session *s, const struct frame_view *v, char *out, size_t cap)
{
	const struct bridge_settings *settings = &s->bridge->settings;
	char text[IDENTITY_MAX];
	size_t len;
	if (v->readable && field_text(v, FIELD_TO, text, sizeof text, &len)) {
		struct identity to;
		if (identity_parse(text, len, &to))
			return topic_format(TOPIC_USER_SEND, settings->topic_root, to.text, to.len, NULL, 0, out, cap);
	}
	if (v->readable && field_text(v, FIELD_ROOM, text, sizeof text, &len) && room_name_valid(text, len))
		return topic_format(TOPIC_ROOM_SEND, settings->topic_root, text, len, NULL, 0, out, cap);
	const char *home = s->home_room != NULL ? s->home_room : settings->room;
	const char *now = renamed_rooms_now(&s->bridge->renamed, home, strlen(home));
	if (now != NULL)
		home = now;
	return topic_format(TOPIC_ROOM_SEND, settings->topic_root, home, strlen(home), NULL, 0, out, cap);
}

static void keep_ref(struct session *s, unsigned bit, const char *ref, size_t len)
{
	if (s->refs == NULL && (s->refs = calloc(PUBLISHES_IN_FLIGHT_MAX, sizeof *s->refs)) == NULL)
		return; /* the answer then goes without it */
	free(s->refs[bit]);
	s->refs[bit] = strndup(ref, len);
}

static void publish(struct session *s, const struct frame_view *v, const char *text, size_t len)
{
	char topic[TOPIC_ROOT_MAX + TOPIC_LEVEL_MAX + 32];
	char origin[ORIGIN_MAX + 1];
	size_t topic_len = frame_topic(s, v, topic, sizeof topic);
	int origin_len =
	    snprintf(origin, sizeof origin, "%u.%llu", s->bridge->settings.index, (unsigned long long)s->number);
	struct mqtt_user_property property = {{PROPERTY_ORIGIN, strlen(PROPERTY_ORIGIN)},
	                                      {origin, (size_t)origin_len}};
	unsigned bit = (unsigned)__builtin_ctz(~(unsigned)s->in_flight);
	struct mqtt_publish_out p = {
	    .topic = {topic, topic_len},
	    .packet_id = (uint16_t)(bit + 1),
	    .qos = 1,
	    .user_properties = &property,
	    .user_property_count = 1,
	};
	size_t head = mqtt_publish_head_size(&p, len);
	uint8_t *at = head > 0 ? mqtt_link_reserve(&s->link, head + len) : NULL;
	char ref[REPLY_REF_MAX];
	size_t ref_len = 0;
	const char *with_ref = field_ref(v, ref, &ref_len);
	if (at == NULL || mqtt_encode_publish_head(at, head, &p, len) != head) {
		session_send_error(s, CHAT_ERROR_UNAVAILABLE, NULL, with_ref, ref_len);
		return;
	}
	memcpy(at + head, text, len);
	mqtt_link_commit(&s->link, head + len);
	s->in_flight |= (uint16_t)(1u << bit);
	if (with_ref != NULL)
		keep_ref(s, bit, with_ref, ref_len);
}

/* ---- frames about the session itself ---------------------------------------------------- */

/* join and leave carry type, room, ref and nothing else. */
static enum chat_error check_room_frame(const struct frame_view *v, char room[ROOM_MAX], size_t *len,
                                        const char **field)
{
	*field = v->twice_name;
	if (v->twice)
		return CHAT_ERROR_DUPLICATE_KEY;
	*field = !v->other ? "to" : v->other_name[0] != '\0' ? v->other_name : NULL;
	if (v->other || v->present[FIELD_TO])
		return CHAT_ERROR_UNKNOWN_FIELD;
	*field = "ref";
	if (v->present[FIELD_REF] && v->field[FIELD_REF].type != JSON_STRING)
		return CHAT_ERROR_WRONG_TYPE;
	char ref[REPLY_REF_MAX];
	size_t ref_len;
	if (v->present[FIELD_REF] && field_ref(v, ref, &ref_len) == NULL)
		return CHAT_ERROR_INVALID_REF;
	*field = "room";
	if (!v->present[FIELD_ROOM])
		return CHAT_ERROR_MISSING_FIELD;
	if (v->field[FIELD_ROOM].type != JSON_STRING)
		return CHAT_ERROR_WRONG_TYPE;
	if (!field_text(v, FIELD_ROOM, room, ROOM_MAX, len) || !room_name_valid(room, *len))
		return CHAT_ERROR_INVALID_ROOM;
	return CHAT_OK;
}

static bool type_is(const struct frame_view *v, const char *name)
{
	const struct json_member *m = &v->field[FIELD_TYPE];
	return m->type == JSON_STRING && json_span_equals(m->value, m->value_len, m->value_escaped, name);
}

static bool take_join(struct session *s)
{
	uint64_t now = s->bridge->loop.now_ms;
	uint64_t more = (now - s->joins_ms) * JOINS_PER_SECOND / 1000;
	if (more > 0) {
		s->joins_ms = now;
		s->joins_left = (uint16_t)(s->joins_left + more < JOINS_BURST ? s->joins_left + more : JOINS_BURST);
	}
	if (s->joins_left == 0)
		return false;
	s->joins_left--;
	return true;
}

/* True when the frame was one of these and has been answered. */
static bool answer_here(struct session *s, const struct frame_view *v, const char *text, size_t text_len)
{
	if (!v->readable || !v->present[FIELD_TYPE])
		return false;
	bool join = type_is(v, "join");
	bool about_rooms = join || type_is(v, "leave");
	bool about_history = type_is(v, "history");
	/* a token must never be published, whatever else is wrong with its frame */
	bool about_token = type_is(v, "token");
	bool command = type_is(v, "command");
	if (!about_rooms && !about_token && !about_history && !command)
		return false;
	char ref[REPLY_REF_MAX];
	size_t ref_len = 0;
	const char *with_ref = field_ref(v, ref, &ref_len);
	if (about_history) {
		session_history_frame(s, text, text_len, with_ref, ref_len);
		return true;
	}
	if (command) {
		if (!session_hand_command(s, text, text_len))
			session_send_error(s, CHAT_ERROR_UNAVAILABLE, NULL, with_ref, ref_len);
		return true;
	}
	if (about_token) {
		if (!s->bridge->settings.logins || !session_hand_token(s, text, text_len))
			session_send_error(s, CHAT_ERROR_UNAVAILABLE, NULL, with_ref, ref_len);
		return true;
	}
	char room[ROOM_MAX];
	size_t len = 0;
	const char *field;
	enum chat_error error = check_room_frame(v, room, &len, &field);
	if (error != CHAT_OK)
		session_send_error(s, error, field, with_ref, ref_len);
	else if (!take_join(s))
		session_send_error(s, CHAT_ERROR_RATE_LIMITED, NULL, with_ref, ref_len);
	else if (join)
		session_join(s, room, len, with_ref, ref_len);
	else
		session_leave(s, room, len, with_ref, ref_len);
	return true;
}

void session_input_frame(struct session *s, const char *text, size_t len)
{
	struct frame_view v = view_frame(text, len);
	if (!answer_here(s, &v, text, len))
		publish(s, &v, text, len);
}

/* ---- pieces to frames, frames to the queue ----------------------------------------------- */

bool session_input_ready(const struct session *s)
{
	return s->subscribed && s->link.state == LINK_UP && s->in_flight != 0xffff && replay_lets_publish(s) &&
	       s->state != SESSION_CONNECTING && s->state != SESSION_SUBSCRIBING && s->state != SESSION_JOINING;
}

static void stop_reading(struct session *s)
{
	if (!s->rx_stopped && s->wsi != NULL && lws_rx_flow_control(s->wsi, 0) == 0)
		s->rx_stopped = true;
}

static void queue_frame(struct session *s, const char *text, size_t len)
{
	/* the socket is not read while frames wait, so this holds what one read brought */
	struct waiting_frame *f = malloc(sizeof *f + len);
	if (f == NULL || s->waiting_bytes + len > 2 * (size_t)s->bridge->settings.max_frame_bytes + 65536) {
		free(f);
		session_close(s, CLOSE_OVERLOADED, "too many frames at once");
		return;
	}
	f->next = NULL;
	f->len = len;
	memcpy(f->text, text, len);
	if (s->waiting_last != NULL)
		s->waiting_last->next = f;
	else
		s->waiting = f;
	s->waiting_last = f;
	s->waiting_bytes += (uint32_t)len;
}

static void take_frame(struct session *s, const char *text, size_t len)
{
	if (s->waiting == NULL && session_input_ready(s))
		session_input_frame(s, text, len);
	else
		queue_frame(s, text, len);
	if (!session_input_ready(s) || s->waiting != NULL)
		stop_reading(s);
}

void session_input_resume(struct session *s)
{
	while (s->waiting != NULL && session_input_ready(s)) {
		struct waiting_frame *f = s->waiting;
		s->waiting = f->next;
		if (s->waiting == NULL)
			s->waiting_last = NULL;
		s->waiting_bytes -= (uint32_t)f->len;
		session_input_frame(s, f->text, f->len);
		free(f);
	}
	if (s->rx_stopped && s->waiting == NULL && s->state == SESSION_OPEN && session_input_ready(s) &&
	    s->wsi != NULL && lws_rx_flow_control(s->wsi, 1) == 0)
		s->rx_stopped = false;
}

void session_receive(struct session *s, const struct message_piece *piece)
{
	size_t n = piece->len, remaining = piece->remaining;
	session_alive(s);
	if (s->state == SESSION_CLOSING || s->state == SESSION_GONE)
		return;
	if (piece->binary) {
		session_close(s, CLOSE_UNSUPPORTED, "text frames only");
		return;
	}
	size_t max = s->bridge->settings.max_frame_bytes;
	if (s->rx_len + n + remaining > max) {
		session_close(s, CLOSE_TOO_BIG, "the message is too large");
		return;
	}
	if (piece->first && piece->final && s->rx_len == 0) {
		take_frame(s, n > 0 ? (const char *)piece->bytes : "", n);
		return;
	}
	if (s->rx_cap - s->rx_len < n + remaining) {
		size_t want = s->rx_len + n + remaining;
		size_t cap = s->rx_cap > 0 ? s->rx_cap : 1024;
		while (cap < want)
			cap *= 2;
		uint8_t *rx = realloc(s->rx, cap);
		if (rx == NULL) {
			session_close(s, CLOSE_INTERNAL, "out of memory");
			return;
		}
		s->rx = rx;
		s->rx_cap = (uint32_t)cap;
	}
	if (n > 0) /* an empty fragment may come before there is memory for any */
		memcpy(s->rx + s->rx_len, piece->bytes, n);
	s->rx_len += (uint32_t)n;
	if (!piece->final)
		return;
	/* libwebsockets does not look at the end of a text whose last fragment is empty */
	if (n == 0 && s->rx_len > 0 && !utf8_valid((const char *)s->rx, s->rx_len, NULL)) {
		session_close(s, CLOSE_BAD_TEXT, "not UTF-8");
		return;
	}
	take_frame(s, s->rx_len > 0 ? (const char *)s->rx : "", s->rx_len);
	free(s->rx);
	s->rx = NULL;
	s->rx_len = s->rx_cap = 0;
}

void session_input_acked(struct session *s, uint16_t packet_id, uint8_t reason)
{
	unsigned bit = packet_id - 1u;
	if (bit >= PUBLISHES_IN_FLIGHT_MAX || !(s->in_flight & (1u << bit)))
		return;
	s->in_flight &= (uint16_t) ~(1u << bit);
	char *ref = s->refs != NULL ? s->refs[bit] : NULL;
	if (ref != NULL)
		s->refs[bit] = NULL;
	/* what the plugin refuses (0x87) it has explained itself, over the notices */
	if (reason >= 0x80 && reason != MQTT_REASON_NOT_AUTHORIZED) {
		static struct log_limit limit;
		log_limited(&limit, s->bridge->loop.now_ms, LOG_LEVEL_WARNING,
		            "the broker did not take a message of %s: %s", s->who->identity->text,
		            mqtt_reason_name(reason));
		session_send_error(s, CHAT_ERROR_UNAVAILABLE, NULL, ref, ref != NULL ? strlen(ref) : 0);
	}
	free(ref);
	session_input_resume(s);
}

void session_input_clear(struct session *s)
{
	while (s->waiting != NULL) {
		struct waiting_frame *f = s->waiting;
		s->waiting = f->next;
		free(f);
	}
	s->waiting_last = NULL;
	s->waiting_bytes = 0;
	free(s->rx);
	s->rx = NULL;
	s->rx_len = s->rx_cap = 0;
	if (s->refs != NULL)
		for (int i = 0; i < PUBLISHES_IN_FLIGHT_MAX; i++)
			free(s->refs[i]);
	free(s->refs);
	s->refs = NULL;
}
