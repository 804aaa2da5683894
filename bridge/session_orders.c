/*
 * session_orders.c - what the plugin wants done with a session.
 *
 * "close <code> <address> <client id> <why>" is told to every bridge, for the plugin does not know which of
 * them has the session; and to none that a client could subscribe to or have waiting for it. Why is a line
 * for people, which the client gets.
 */
#include "bridge/bridge.h"
#include "bridge/log.h"

/* The codes that it may ask for, and what they mean. */
static const struct {
	const char *code;
	enum close_code close;
} closes[] = {
    {"4002", CLOSE_TOKEN_EXPIRED},
    {"4102", CLOSE_FORBIDDEN},
};

static struct session *find(struct sessions *all, struct mqtt_span address, struct mqtt_span client_id)
{
	struct identity_sessions *who = sessions_of(all, address.at, address.len);
	struct session *s = who != NULL ? who->first : NULL;
	while (s != NULL && (session_leaving(s) || !sync_word_is(client_id, s->client_id)))
		s = s->same_next;
	return s;
}

static void on_told(struct sync_part *part, struct mqtt_span rest, struct mqtt_span body)
{
	struct bridge *b = (struct bridge *)((char *)part - offsetof(struct bridge, orders));
	struct mqtt_span code = sync_next_word(&rest), address = sync_next_word(&rest),
	                 client_id = sync_next_word(&rest);
	struct session *s = find(&b->sessions, address, client_id);
	(void)body;
	if (s == NULL)
		return; /* another bridge's, or gone */
	for (size_t i = 0; i < sizeof closes / sizeof closes[0]; i++) {
		if (!sync_word_is(code, closes[i].code))
			continue;
		session_close_saying(s, closes[i].close, rest);
		return;
	}
	log_line(LOG_LEVEL_ERROR, "the plugin wants a session closed with a code that is not known here");
	session_close(s, CLOSE_FORBIDDEN, "ended by the operator");
}

void session_orders_start(struct bridge *b)
{
	b->orders = (struct sync_part){.word = "close", .on_told = on_told};
	sync_add_part(&b->sync, &b->orders);
}
