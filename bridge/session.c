/* session.c - see session.h: how a session begins, what the broker tells it, how it ends */
#include "bridge/bridge.h"
#include "bridge/counters.h"
#include "bridge/log.h"
#include "common/log_object.h"
#include "common/utf8.h"

#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define TICK_MS 100
#define CLOSE_WAIT_MS 10000 /* for the socket to take the rest and the close frame */
#define LINGER_MS 5000      /* for the broker to acknowledge what the client sent before it left */
#define SESSION_NUMBER_MASK 0x0000ffffffffffffu /* fits an origin, with room to count up */
#define DEVICES_TIDY_MS 1000
#define REASON_MAX 123u /* bytes that a close frame has for it */
#define BUCKETS 4096    /* a power of two */

bool session_leaving(const struct session *s)
{
	return s->state == SESSION_CLOSING || s->state == SESSION_GONE;
}

/* ---- opening ---------------------------------------------------------------------------- */

/* Enters the device, or only looks whether it could. False: it cannot, and the session is being closed. */
static bool place_device(struct session *s, bool enter)
{
	struct bridge *b = s->bridge;
	uint32_t most = DEVICES_A_SESSION * b->settings.max_sessions;
	switch ((enter ? devices_enter : devices_check)(&b->sessions.devices, s->who->identity, s->client_id,
	                                                b->loop.now_ms, most)) {
	case DEVICES_FINE:
		s->device_entered = enter;
		return true;
	case DEVICES_TOO_MANY:
		session_close(s, CLOSE_TOO_MANY, "too many devices of this address");
		break;
	case DEVICES_FULL:
		session_close(s, CLOSE_OVERLOADED, "too many devices");
		break;
	case DEVICES_NO_MEMORY:
		session_close(s, CLOSE_INTERNAL, "out of memory");
		break;
	}
	return false;
}

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
	s->wants_deleted = params->wants_deleted;
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

static bool keep_password(struct session *s, const struct upgrade *u)
{
	/* where nobody asks for it, it is nobody's business */
	size_t shown = s->bridge->settings.logins ? u->shown_len : 0;
	s->password = malloc(CREDENTIAL_HEX + shown + sizeof u->address);
	if (s->password == NULL)
		return false;
	memcpy(s->password, s->bridge->settings.credential, CREDENTIAL_HEX);
	memcpy(s->password + CREDENTIAL_HEX, u->shown, shown);
	s->password_len = (uint32_t)(CREDENTIAL_HEX + shown);
	memcpy(s->password + s->password_len, u->address, sizeof u->address);
	return true;
}

void session_forget_password(struct session *s)
{
	if (s->password != NULL)
		explicit_bzero(s->password, s->password_len);
	free(s->password);
	s->password = NULL;
	s->password_len = 0;
}

struct session *session_open(struct sessions *all, struct lws *wsi, const struct upgrade *u)
{
	struct bridge *b = all->bridge;
	const struct session_params *params = &u->params;
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
	/* nothing is read before there is a place to put it */
	s->rx_stopped = lws_rx_flow_control(wsi, 0) == 0;
	if (u->fault != NULL) {
		session_close(s, CLOSE_BAD_ADDRESS, u->fault);
		return s;
	}
	if (!sessions_add_identity(s, &params->identity) || !sessions_start_latest(b, s->who) ||
	    !keep_params(s, params) || !session_make_client_id(s) || !keep_password(s, u)) {
		session_close(s, CLOSE_INTERNAL, "out of memory");
		return s;
	}
	/* who has to show something takes nobody's place before that is judged */
	bool fine = !b->settings.logins ? session_admit(s) : !s->persistent || place_device(s, false);
	if (!fine)
		return s;
	mqtt_link_open(&b->links, &s->link, &session_link_owner);
	return s;
}

bool session_admit(struct session *s)
{
	struct bridge *b = s->bridge;
	struct sessions *all = &b->sessions;
	s->counted = true;
	s->who->count++;
	if (s->persistent && !place_device(s, true))
		return false;
	if (s->device != NULL)
		replace_device(s);
	if (s->who->count > b->settings.max_sessions_per_user) {
		/* where only the newest receives, refusing that one would leave the person without */
		struct session *spare = b->settings.sessions_latest ? session_oldest_other(s) : NULL;
		session_close(spare != NULL ? spare : s, CLOSE_TOO_MANY, "too many sessions of this address");
		if (spare == NULL)
			return false;
	}
	s->admitted = true;
	const char *address = s->password + s->password_len;
	struct log_fields fields = {0};
	log_field_text(&fields, "event", "session_opened");
	log_field_text(&fields, "user", s->who->identity->text);
	log_field_text(&fields, "address", address);
	log_field_text(&fields, "client", s->client_id);
	log_event(LOG_LEVEL_INFO, &fields, "session of %s opened from %s (%s)", s->who->identity->text, address,
	          s->client_id);
	sessions_choose(all, s->who);
	return true;
}

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

/* Lines of those that were never let in: a flood of them is one cause. */
static void log_refused(const struct session *s, unsigned code, const char *reason)
{
	static struct log_limit limits[COUNTERS]; /* by code */
	log_limited(&limits[counter_of_close(code)], s->bridge->loop.now_ms, LOG_LEVEL_NOTICE,
	            "a session of %s is refused: %u %s", s->who != NULL ? s->who->identity->text : "nobody", code,
	            reason);
}

/* The one place in which the end of a session is logged and counted. */
static void note_end(struct session *s, unsigned code, const char *reason)
{
	count(counter_of_close(code));
	if (!s->admitted) {
		log_refused(s, code, reason);
		return;
	}
	uint64_t ms = s->bridge->loop.now_ms - s->opened_ms;
	struct log_fields fields = {0};
	log_field_text(&fields, "event", "session_closed");
	log_field_number(&fields, "code", code);
	log_field_text(&fields, "reason", reason);
	log_field_text(&fields, "user", s->who->identity->text);
	log_field_text(&fields, "client", s->client_id);
	log_field_number(&fields, "milliseconds", ms);
	log_field_number(&fields, "bytes_unsent", s->outbox.bytes);
	log_event(LOG_LEVEL_INFO, &fields, "session of %s closed: %u %s (%s, %llu s, %u bytes unsent)",
	          s->who->identity->text, code, reason, s->client_id, (unsigned long long)ms / 1000,
	          s->outbox.bytes);
}

/* Is there something of the client's that the broker has not confirmed? */
static bool owes_publishes(const struct session *s)
{
	return s->subscribed && s->link.state == LINK_UP && (s->in_flight != 0 || s->waiting != NULL);
}

bool session_busy(const struct session *s)
{
	return owes_publishes(s) || s->replay != NULL || s->asked != NULL;
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
	note_end(s, code, reason);
	uncount(s);
	if (code == CLOSE_TOO_SLOW || code == CLOSE_GOING_AWAY) {
		/* the reader would not take it; what is said before other ends still leaves */
		session_hand_on(s);
		uint32_t frames = outbox_frames(&s->outbox);
		outbox_cut(&s->outbox);
		count_more(code == CLOSE_TOO_SLOW ? COUNTER_UNDELIVERED_SLOW : COUNTER_UNDELIVERED_GONE,
		           frames - outbox_frames(&s->outbox));
	}
	session_hand_over(s);
	if (!owes_publishes(s))
		mqtt_link_close(&s->link);
	put_on_closing_list(s, s->bridge->loop.now_ms + CLOSE_WAIT_MS);
}

void session_close_saying(struct session *s, enum close_code code, struct mqtt_span reason)
{
	if (session_leaving(s))
		return;
	while (reason.len > REASON_MAX || (reason.len > 0 && !utf8_valid(reason.at, reason.len, NULL)))
		reason.len--;
	s->said = reason.len > 0 ? strndup(reason.at, reason.len) : NULL;
	session_close(s, code, s->said != NULL ? s->said : "ended by the operator");
}

/* Has a newer session of the same device taken over? */
static bool device_lives_on(const struct session *s)
{
	for (const struct session *other = s->who->first; other != NULL; other = other->same_next)
		if (other != s && other->device_entered && strcmp(other->client_id, s->client_id) == 0)
			return true;
	return false;
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
	session_forget_refusal(s);
	session_leave_rooms(s);
	roster_leave(&s->bridge->roster, s);
	session_input_clear(s);
	session_forget_password(s);
	outbox_clear(&s->outbox);
	outbox_clear(&s->early);
	chunk_release(s->pongs);
	if (s->device_entered && !device_lives_on(s))
		devices_leave(&all->devices, s->who->identity, s->client_id, s->bridge->loop.now_ms,
		              (uint64_t)s->bridge->settings.session_expiry_s * 1000);
	sessions_remove_identity(s);
	sessions_remove(all, s);
	free(s->rooms);
	free(s->pending_rooms);
	free(s->device);
	free(s->home_room);
	free(s->left_room);
	session_forget_renamed(s);
	copies_clear(&s->copies);
	free(s->said);
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
	count_more(COUNTER_UNDELIVERED_GONE, outbox_frames(&s->outbox));
	outbox_clear(&s->outbox);
	bool rx_stopped = s->rx_stopped;
	s->rx_stopped = false;
	server_close(wsi, s->close_code, s->close_reason, rx_stopped); /* may call session_gone */
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
		mqtt_link_resume(&s->link); /* what it sent is still to be confirmed */
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
	if (!session_leaving(s))
		note_end(s, code, reason);
	s->state = SESSION_GONE;
	uncount(s);
	session_hand_on(s);
	session_hand_over(s);
	count_more(COUNTER_UNDELIVERED_GONE, outbox_frames(&s->outbox));
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

/* ---- as the endpoint of its WebSocket ------------------------------------------------------ */

static void *open_endpoint(struct bridge *b, struct lws *wsi, const struct upgrade *u)
{
	struct session *s = session_open(&b->sessions, wsi, u);
	if (s != NULL)
		count(COUNTER_CONNECT_SESSION);
	return s;
}

static void on_receive(void *of, const struct message_piece *piece)
{
	session_receive(of, piece);
}

static void on_pong(void *of)
{
	session_pong(of);
}

static void on_writeable(void *of)
{
	session_writeable(of);
}

static void on_peer_closes(void *of, unsigned code)
{
	session_peer_closes(of, code);
}

static void on_gone(void *of)
{
	session_gone(of);
}

static void on_violation(void *of, uint16_t code, const char *reason)
{
	session_close(of, (enum close_code)code, reason);
}

static void on_ping(void *of, const uint8_t *payload, size_t n)
{
	session_ping(of, payload, n);
}

static const char *const subprotocols[] = {"bearer", NULL};

const struct endpoint session_endpoint = {
    .subprotocols = subprotocols,
    .open = open_endpoint,
    .receive = on_receive,
    .pong = on_pong,
    .writeable = on_writeable,
    .peer_closes = on_peer_closes,
    .gone = on_gone,
    .violation = on_violation,
    .ping = on_ping,
};

/* ---- all sessions ------------------------------------------------------------------------- */

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
	reports_tick(&b->reports);
	health_tick(&b->health);
	if (b->loop.now_ms - all->devices_tidied_ms >= DEVICES_TIDY_MS) {
		all->devices_tidied_ms = b->loop.now_ms;
		devices_tidy(&all->devices, b->loop.now_ms);
	}
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
	devices_clear(&all->devices);
	free(all->buckets);
}
