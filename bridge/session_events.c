/*
 * session_events.c - what the plugin tells of moderators' doings, to the sessions that it concerns.
 *
 *   "system <room or *>\n{...}"              to everybody there, a system frame as plain clients know it
 *   "deleted room <room>\n{...}"             to those there who opted in (events=deleted)
 *   "deleted users <address> <address>\n{...}"   the same of a direct message, to its two people
 *
 * A frame goes out behind the messages that came before it.
 */
#include "bridge/bridge.h"

#include <string.h>

static void send_open(struct session *s, struct chunk *c)
{
	if (s->state == SESSION_OPEN && !s->silent)
		session_send_shared(s, c, 0, c->len);
}

/* A message that a replay holds would come behind the word of its deletion. History has it no more, so the
 * client asks anew. */
static void send_deleted(struct session *s, struct chunk *c)
{
	if (!s->wants_deleted)
		return;
	if (s->replay != NULL)
		session_close(s, CLOSE_OVERLOADED, "a message was deleted, resume with since");
	else
		send_open(s, c);
}

/* One reference, or NULL when out of memory: an event without a promise. */
static struct chunk *make_frame(struct mqtt_span body)
{
	struct chunk *c = chunk_new(frame_size(body.len));
	if (c != NULL)
		(void)chunk_append_frame(c, FRAME_TEXT, body.at, body.len); /* made to fit */
	return c;
}

static void to_room(struct bridge *b, struct mqtt_span name, struct chunk *c,
                    void (*deliver)(struct session *s, struct chunk *c))
{
	struct room *room = name.len > 0 ? rooms_find(&b->rooms, name.at, name.len) : NULL;
	/* a session that is closed leaves at the end of the round */
	for (uint32_t i = 0; room != NULL && i < room->member_count; i++)
		deliver(room->members[i].session, c);
}

static void to_user(struct bridge *b, struct mqtt_span address, struct chunk *c)
{
	struct identity_sessions *who = sessions_of(&b->sessions, address.at, address.len);
	for (struct session *s = who != NULL ? who->first : NULL; s != NULL; s = s->same_next)
		send_deleted(s, c);
}

static void on_system(struct sync_part *part, struct mqtt_span rest, struct mqtt_span body)
{
	struct bridge *b = (struct bridge *)((char *)part - offsetof(struct bridge, announcements));
	struct chunk *c = make_frame(body);
	if (c == NULL)
		return;
	rounds_settle(&b->rounds);
	if (sync_word_is(rest, "*"))
		for (struct session *s = b->sessions.first; s != NULL; s = s->next)
			send_open(s, c);
	else
		to_room(b, rest, c, send_open);
	chunk_release(c);
}

static void on_deleted(struct sync_part *part, struct mqtt_span rest, struct mqtt_span body)
{
	struct bridge *b = (struct bridge *)((char *)part - offsetof(struct bridge, deletions));
	struct mqtt_span what = sync_next_word(&rest);
	struct chunk *c = make_frame(body);
	if (c == NULL)
		return;
	rounds_settle(&b->rounds);
	if (sync_word_is(what, "room")) {
		to_room(b, rest, c, send_deleted);
	} else {
		struct mqtt_span first = sync_next_word(&rest);
		to_user(b, first, c);
		if (first.len != rest.len || memcmp(first.at, rest.at, first.len) != 0)
			to_user(b, rest, c);
	}
	chunk_release(c);
}

void session_events_start(struct bridge *b)
{
	b->announcements = (struct sync_part){.word = "system", .on_told = on_system};
	b->deletions = (struct sync_part){.word = "deleted", .on_told = on_deleted};
	sync_add_part(&b->sync, &b->announcements);
	sync_add_part(&b->sync, &b->deletions);
}
