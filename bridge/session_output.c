/*
 * session_output.c - what a session is sent: its outbox with its bounds, pings and pongs.
 */
#include "bridge/bridge.h"
#include "bridge/counters.h"
#include "bridge/log.h"
#include "common/reply.h"

#include <libwebsockets.h>

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

static void take_result(struct session *s, enum outbox_result r)
{
	if (r == OUTBOX_BLOCKED && !s->blocked)
		s->blocked_since_ms = s->bridge->loop.now_ms;
	s->blocked = r == OUTBOX_BLOCKED;
	if (r == OUTBOX_BROKEN)
		session_close(s, CLOSE_GOING_AWAY, "the connection is gone");
}

/* What counts against the bounds is what the socket does not take: it is asked first. */
static void enforce_bounds(struct session *s)
{
	if (within_bounds(s))
		return;
	if (!s->blocked)
		take_result(s, outbox_flush(&s->outbox, s->wsi));
	if (!session_leaving(s) && !within_bounds(s))
		session_close(s, CLOSE_TOO_SLOW, "too slow, resume with since");
}

void session_send_shared(struct session *s, struct chunk *c, uint32_t start, uint32_t end)
{
	if (session_leaving(s) || s->wsi == NULL)
		return;
	if (!outbox_push(&s->outbox, c, start, end)) {
		session_close(s, CLOSE_INTERNAL, "out of memory");
		return;
	}
	enforce_bounds(s);
	if (session_leaving(s) || s->outbox.count == 0)
		return;
	/* What waits for a device is safer at the broker than here. */
	if (s->persistent && s->outbox.bytes > s->bridge->settings.outbox_bytes / 2)
		mqtt_link_pause(&s->link);
	mark_dirty(s);
}

void session_send_early(struct session *s)
{
	for (uint32_t i = 0; i < s->early.count; i++) {
		const struct segment *at = outbox_segment(&s->early, i);
		session_send_shared(s, at->chunk, at->start, at->end);
	}
	outbox_clear(&s->early);
}

/* What a device has missed comes from the broker before the session is in all its rooms; the client gets it
 * behind its ready frame. Where it is too much to hold, that frame does not wait for the broker's last word.
 */
static bool hold_early(struct session *s, struct chunk *c, uint32_t start, uint32_t end)
{
	if (s->ready_sent || (!s->wants_presence && !s->wants_typing && !s->wants_deleted))
		return false;
	if (s->early.bytes + (end - start) <= s->bridge->settings.outbox_bytes / 2 &&
	    outbox_push(&s->early, c, start, end))
		return true;
	session_tell_renamed(s);
	session_send_ready(s);
	session_send_early(s);
	return false;
}

void session_send_in_order(struct session *s, struct chunk *c, uint32_t start, uint32_t end)
{
	if (s->state >= SESSION_OPEN || !s->persistent || !hold_early(s, c, start, end))
		session_send_shared(s, c, start, end);
}

void session_deliver(struct session *s, const struct room *room, struct chunk *c, uint32_t start,
                     uint32_t end, uint64_t order)
{
	if (s->replay == NULL || !replay_takes(s, room, c, start, end, order))
		session_send_in_order(s, c, start, end);
}

void session_write_now(struct session *s, struct chunk *c, uint32_t start, uint32_t end)
{
	if (session_leaving(s))
		return; /* since the first half of what it gets in its turn */
	if (s->outbox.count > 0 || s->blocked) {
		session_send_shared(s, c, start, end);
		return;
	}
	take_result(s, outbox_write_through(&s->outbox, s->wsi, c, start, end));
	if (s->blocked)
		enforce_bounds(s);
}

void session_send_text(struct session *s, const char *payload, size_t len)
{
	if (session_leaving(s) || s->wsi == NULL)
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

void session_send_error(struct session *s, enum chat_error error, const char *field, const char *ref,
                        size_t ref_len)
{
	static struct log_limit limit;
	char frame[REPLY_MAX];
	count(counter_of_error(error));
	if (error == CHAT_ERROR_RATE_LIMITED)
		log_limited(&limit, s->bridge->loop.now_ms, LOG_LEVEL_NOTICE,
		            "%s joins and leaves rooms, or asks for history, too often", s->who->identity->text);
	size_t n = reply_error(error, s->bridge->settings.language, s->bridge->settings.system_sender, field, ref,
	                       ref_len, frame, sizeof frame);
	session_send_text(s, frame, n);
}

void session_send_ack(struct session *s, const char *ref, size_t ref_len)
{
	char frame[REPLY_MAX];
	size_t n = reply_ack(ref, ref_len, NULL, NULL, frame, sizeof frame);
	session_send_text(s, frame, n);
}

/* The client has taken what it was sent: there is room for what waits elsewhere. */
static void take_in_more(struct session *s)
{
	roster_feed(s);
	if (s->replay != NULL)
		replay_continue(s);
	if (!session_leaving(s) && s->outbox.bytes == 0)
		mqtt_link_resume(&s->link);
}

void session_writeable(struct session *s)
{
	if (s->wsi == NULL || lws_partial_buffered(s->wsi))
		return;
	s->blocked = false;
	if (s->outbox.count > 0 || s->pongs != NULL)
		mark_dirty(s);
	else
		take_in_more(s);
}

static void push_pongs(struct session *s)
{
	if (s->pongs == NULL || s->blocked)
		return;
	if (!session_leaving(s) && !outbox_push(&s->outbox, s->pongs, 0, s->pongs->len))
		session_close(s, CLOSE_INTERNAL, "out of memory");
	chunk_release(s->pongs);
	s->pongs = NULL;
}

void sessions_flush(struct sessions *all)
{
	while (all->dirty != NULL) {
		struct session *s = all->dirty;
		all->dirty = s->next_dirty;
		s->dirty = false;
		push_pongs(s);
		if (s->wsi != NULL && s->state != SESSION_GONE && s->outbox.count > 0)
			take_result(s, outbox_flush(&s->outbox, s->wsi));
		if (!s->blocked)
			take_in_more(s);
	}
}

/* ---- pings ------------------------------------------------------------------------------ */

void session_alive(struct session *s)
{
	s->last_rx_ms = s->bridge->loop.now_ms;
}

void session_pong(struct session *s)
{
	session_alive(s);
	s->ping_ms = 0;
}

void session_ping(struct session *s, const uint8_t *payload, size_t n)
{
	session_alive(s);
	if (session_leaving(s))
		return;
	if (s->pongs == NULL && (s->pongs = chunk_new(PONGS_BYTES)) == NULL) {
		session_close(s, CLOSE_INTERNAL, "out of memory");
		return;
	}
	if (!chunk_append_frame(s->pongs, FRAME_PONG, payload, n)) {
		s->pongs->len = 0; /* nobody else has it yet */
		(void)chunk_append_frame(s->pongs, FRAME_PONG, payload, n);
	}
	mark_dirty(s);
}

void session_check_alive(struct session *s)
{
	const struct bridge_settings *settings = &s->bridge->settings;
	uint64_t now = s->bridge->loop.now_ms;
	if (session_leaving(s))
		return;
	/* a replay never fills the outbox: what tells a reader that is gone is that it takes nothing at all */
	bool stalled = s->replay != NULL && s->blocked && now - s->blocked_since_ms > settings->outbox_ms;
	if (!within_bounds(s) || roster_stuck(s) || stalled) {
		session_close(s, CLOSE_TOO_SLOW, "too slow, resume with since");
	} else if ((s->state < SESSION_OPEN || !replay_lets_publish(s)) && now - s->opened_ms >= OPENING_MS) {
		session_close(s, CLOSE_OVERLOADED, "the broker did not answer in time");
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
