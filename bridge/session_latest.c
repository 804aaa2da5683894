/*
 * session_latest.c - `sessions latest`: one person, one receiver.
 *
 * Each session has its own connection to the broker, so every message for a person comes once for each of
 * them, and not at the same moment: between two copies the newest session may have gone or a newer one have
 * opened. Hence the first copy counts, whichever connection brings it, and goes to the session that
 * receives at that moment; by its id the others are known.
 */
#include "bridge/bridge.h"
#include "common/json.h"

#include <stdlib.h>
#include <string.h>

/* The ids that a person has been given last. */
struct given {
	uint32_t count, next;
	char ids[GIVEN_MAX][ULID_LEN];
};

/* What is read of a canonical message. Its names and addresses are never escaped. */
struct message_head {
	const char *id, *sender, *to, *room;
	size_t id_len, sender_len, to_len, room_len;
};

static bool latest(const struct bridge *b)
{
	return b->settings.sessions_latest;
}

bool sessions_start_latest(struct bridge *b, struct identity_sessions *who)
{
	if (latest(b) && who->given == NULL)
		who->given = calloc(1, sizeof *who->given);
	return !latest(b) || who->given != NULL;
}

/* ---- who receives ------------------------------------------------------------------------ */

/* The newest that is open; while none is, the newest on its way there. */
static struct session *newest(const struct identity_sessions *who)
{
	struct session *opening = NULL;
	for (struct session *s = who->first; s != NULL; s = s->same_next) {
		if (s->state == SESSION_OPEN)
			return s;
		if (opening == NULL && !session_leaving(s))
			opening = s;
	}
	return opening;
}

/* As it was chosen last; NULL when that one is leaving. */
static struct session *receiver(const struct identity_sessions *who)
{
	struct session *s = who->first;
	while (s != NULL && (s->silent || session_leaving(s)))
		s = s->same_next;
	return s;
}

void sessions_choose(struct sessions *all, struct identity_sessions *who)
{
	struct bridge *b = all->bridge;
	if (!latest(b) || b->stopping || !rooms_ready(&b->rooms))
		return; /* everybody is leaving anyway */
	const struct session *before = receiver(who);
	if (before != NULL && before != newest(who))
		rounds_settle(&b->rounds); /* what has arrived by now is for that one; it may close it */
	struct session *chosen = newest(who);
	for (struct session *s = who->first; s != NULL; s = s->same_next) {
		if (s == chosen || session_leaving(s))
			continue;
		s->silent = true;
		roster_leave(&b->roster, s);
	}
	if (chosen == NULL || !chosen->silent)
		return;
	chosen->silent = false;
	if (chosen->state == SESSION_OPEN && chosen->wants_presence)
		roster_join(&b->roster, chosen); /* it does not know who has come and gone since */
}

struct session *session_oldest_other(const struct session *s)
{
	struct session *oldest = NULL;
	for (struct session *other = s->who->first; other != NULL; other = other->same_next)
		if (other != s && !session_leaving(other))
			oldest = other;
	return oldest;
}

/* ---- what they are given ----------------------------------------------------------------- */

static struct message_head read_head(const char *payload, size_t len)
{
	struct message_head h = {0};
	struct json_reader reader;
	struct json_member m;
	json_reader_start(&reader, payload, len);
	while (json_reader_next(&reader, &m) == JSON_MEMBER) {
		if (json_span_equals(m.key, m.key_len, m.key_escaped, "id")) {
			h.id = m.value;
			h.id_len = m.value_len;
		} else if (json_span_equals(m.key, m.key_len, m.key_escaped, "sender")) {
			h.sender = m.value;
			h.sender_len = m.value_len;
		} else if (json_span_equals(m.key, m.key_len, m.key_escaped, "to")) {
			h.to = m.value;
			h.to_len = m.value_len;
		} else if (json_span_equals(m.key, m.key_len, m.key_escaped, "room")) {
			h.room = m.value;
			h.room_len = m.value_len;
		} else if (json_span_equals(m.key, m.key_len, m.key_escaped, "message")) {
			break; /* nothing of interest is behind it */
		}
	}
	return h;
}

static bool is_person(const char *text, size_t len, const struct identity *who)
{
	return text != NULL && len == who->len && memcmp(text, who->text, len) == 0;
}

/* Notes the id. False when it has been given before; what is older than all that are remembered has been,
 * where ids tell the order. */
static bool note_given(struct given *g, const char *id, bool disordered)
{
	bool older = g->count == GIVEN_MAX && !disordered;
	for (uint32_t i = 1; i <= g->count; i++) {
		int order = memcmp(id, g->ids[(g->next + GIVEN_MAX - i) % GIVEN_MAX], ULID_LEN);
		if (order == 0)
			return false;
		older &= order < 0;
	}
	if (older)
		return false;
	memcpy(g->ids[g->next], id, ULID_LEN);
	g->next = (g->next + 1) % GIVEN_MAX;
	if (g->count < GIVEN_MAX)
		g->count++;
	return true;
}

static bool is_member(const struct session *s, const struct room *room)
{
	for (uint32_t i = 0; i < s->room_count; i++)
		if (s->rooms[i].room == room)
			return true;
	return false;
}

struct session *session_receiver(struct session *s, const struct room *room, const struct mqtt_publish *p,
                                 const struct message_marks *marks)
{
	if (!latest(s->bridge))
		return marks->origin == s->number && !s->echo ? NULL : s;
	struct session *to = s;
	if (!s->persistent) {
		to = receiver(s->who);
		/* a device has its own copy at the broker, a member of another kind its own way to the room */
		if (to == NULL ||
		    (to != s && (to->persistent || (room != NULL && (!to->own_rooms || !is_member(to, room))))))
			return NULL;
	} else if (s->silent && s->state == SESSION_OPEN) {
		return NULL;
	}
	struct message_head h = read_head(p->payload.at, p->payload.len);
	bool own = is_person(h.sender, h.sender_len, s->who->identity);
	if (own && is_person(h.to, h.to_len, s->who->identity))
		own = marks->origin == to->number; /* to oneself */
	if (own && !to->echo)
		return NULL;
	bool fresh = h.id_len != ULID_LEN || note_given(s->who->given, h.id, marks->order != ORDER_BY_ID);
	return fresh || s->persistent ? to : NULL;
}

struct session *sessions_author(struct sessions *all, const struct mqtt_publish *p,
                                const struct message_marks *marks)
{
	struct identity_sessions *who = NULL;
	if (!latest(all->bridge))
		return marks->origin != 0 ? sessions_find(all, marks->origin) : NULL;
	struct message_head h = read_head(p->payload.at, p->payload.len);
	if (h.sender != NULL)
		HASH_FIND(hh, all->identities, h.sender, h.sender_len, who);
	return who != NULL ? receiver(who) : NULL;
}

void session_hand_on(struct session *s)
{
	/* a socket that takes no more may hold the half of a frame, and has had its time */
	if (!latest(s->bridge) || s->who == NULL || s->blocked)
		return;
	struct session *to = receiver(s->who);
	for (uint32_t i = 0; to != NULL && i < s->outbox.count; i++) {
		const struct segment *at = outbox_segment(&s->outbox, i);
		for (uint32_t start = at->start, next; start < at->end; start = next) {
			size_t len;
			const char *payload = chunk_frame_payload(at->chunk, start, &len, &next);
			struct message_head h = read_head(payload, len);
			bool message = h.id != NULL && h.sender != NULL;
			if (message && (h.room == NULL || session_membership(to, h.room, h.room_len) != NULL))
				session_send_shared(to, at->chunk, start, next);
		}
	}
}

void session_hand_over(struct session *s)
{
	struct session *to = latest(s->bridge) && s->who != NULL && !s->silent ? receiver(s->who) : NULL;
	s->silent |= to != NULL;
	if (to != NULL)
		rounds_take_over(&s->bridge->rounds, s, to);
}
