/*
 * relay.c - what comes over a link from another node.
 */
#include "relay.h"

#include "clock.h"
#include "common/canonical_room.h"
#include "common/topic.h"
#include "compat.h"
#include "counters.h"
#include "history.h"
#include "ids.h"
#include "log.h"
#include "nodes.h"
#include "options.h"
#include "origin.h"
#include "properties.h"
#include "room_names.h"
#include "rooms.h"
#include "schema_canonical.h"
#include "seen.h"
#include "typing.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD_MS 60000 /* by which another node's clock may be ahead of this one's */

static struct {
	const struct options *options;
	char scratch[SCHEMA_SCRATCH];
} state;

void relay_start(const struct options *options)
{
	state.options = options;
}

void relay_stop(void)
{
	state.options = NULL;
}

static int refuse(const struct mosquitto_evt_message *ed, const char *why)
{
	const char *name = mosquitto_client_username(ed->client);
	char text[LOG_TEXT_MAX];

	log_limited(LOG_CAUSE_PEER, MOSQ_LOG_WARNING, "refused a publish of the peer %s on %s: %s",
	            name ? name : "?", log_text(ed->topic, strlen(ed->topic), text), why);
	return MOSQ_ERR_ACL_DENIED;
}

static int unavailable(void)
{
	log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "out of memory: a message of another node is lost here");
	return MOSQ_ERR_ACL_DENIED;
}

/* Lets the publish end where nobody reads, with the protocol's confirmation. */
static int drop(struct mosquitto_evt_message *ed)
{
	ed->topic[state.options->topic_root_len] = '\0';
	ed->payload = NULL;
	ed->payloadlen = 0;
	ed->retain = false;
	return MOSQ_ERR_SUCCESS;
}

/* Which way this canonical message takes on that topic; 0: it does not belong there. */
static unsigned way_of(const struct topic *t, const struct schema_canonical *m)
{
	if (t->kind == TOPIC_ROOM)
		return m->target.room && m->target.room_len == t->name_len &&
		               memcmp(m->target.room, t->name, t->name_len) == 0
		           ? SEEN_ROOM
		           : 0;
	if (t->kind != TOPIC_INBOX || m->target.room)
		return 0;
	if (topic_level_equals(t->name, t->name_len, m->to.text, m->to.len))
		return SEEN_RECIPIENT;
	return topic_level_equals(t->name, t->name_len, m->sender.text, m->sender.len) ? SEEN_AUTHOR : 0;
}

/* The same of a typing event, which does not name its recipient: the topic does. */
static bool typing_fits(const struct topic *t, struct schema_canonical *m)
{
	if (t->kind == TOPIC_USER_TYPING)
		return topic_level_identity(t->name, t->name_len, &m->to);
	return m->target.room_len == t->name_len && memcmp(m->target.room, t->name, t->name_len) == 0;
}

/* From now on this node's ids are larger than that one. Not where the other node's clock is wrong, which
 * would make it this node's fault, too. */
static void pass_id(const char *id)
{
	uint64_t ms = ulid_milliseconds(id), now = clock_real_ms();

	if (ms <= now + AHEAD_MS)
		ids_pass(id);
	else
		log_limited(LOG_CAUSE_PEER_CLOCK, MOSQ_LOG_WARNING,
		            "a message of another node is %" PRIu64 " s ahead of this machine's clock",
		            (ms - now) / 1000);
}

/* What another node has said under a name that the room has no more here: it goes on under the new one,
 * without a number, for it comes a moment later than what has one. */
static int say_renamed(struct mosquitto_evt_message *ed, struct schema_canonical *m, const char *now,
                       const char *via)
{
	char *body = malloc(ed->payloadlen + ROOM_MAX);
	size_t len = body ? canonical_room_put(ed->payload, ed->payloadlen, now, strlen(now), body) : 0;
	uint64_t n;

	if (len == 0) {
		free(body);
		return unavailable();
	}
	m->target = (struct schema_target){.room = now, .room_len = strlen(now)};
	n = history_relayed(&m->sender, &m->target, m->id, body, len);
	room_names_say(now, body, len, properties_make(via, 0, n, false));
	free(body);
	seen_add(m->id, SEEN_ROOM, n);
	pass_id(m->id);
	count(COUNTER_ACCEPTED_PEER);
	return drop(ed);
}

/* For those who still listen where the room was. */
static void copy_to_old_names(const struct mosquitto_evt_message *ed, const struct schema_canonical *m,
                              const char *via, uint64_t seq, uint64_t n)
{
	const struct sanction *old = NULL;

	while ((old = room_names_copied(m->target.room, m->target.room_len, old)))
		room_names_copy(old, ed->payload, ed->payloadlen, properties_make(via, seq, n, false));
}

static int message(struct mosquitto_evt_message *ed, const struct topic *t)
{
	const char *via = origin_is_session(ed->properties) ? "ws" : "mqtt";
	mosquitto_property *properties;
	const struct seen *before;
	struct schema_canonical m;
	const char *now;
	unsigned way;
	uint64_t n, seq;

	if (ed->qos > 1 || ed->retain)
		return refuse(ed, "messages come with QoS 0 or 1 and are not retained");
	if (!schema_canonical_read(ed->payload, ed->payloadlen, state.scratch, &m))
		return refuse(ed, "this is no canonical message");
	way = way_of(t, &m);
	if (way == 0)
		return refuse(ed, "a message that does not belong there");
	before = seen_find(m.id);
	if (before && (before->ways & way)) {
		count(COUNTER_ACCEPTED_PEER_AGAIN);
		return drop(ed);
	}
	now = way == SEEN_ROOM ? room_names_now(m.target.room, m.target.room_len) : NULL;
	if (now)
		return say_renamed(ed, &m, now, via);
	n = before ? before->n : history_relayed(&m.sender, &m.target, m.id, ed->payload, ed->payloadlen);
	seq = way == SEEN_ROOM ? rooms_next(m.target.room, m.target.room_len) : 0;
	properties = properties_make(via, seq, n, false);
	if (!properties)
		return unavailable();
	if (way == SEEN_ROOM)
		copy_to_old_names(ed, &m, via, seq, n);
	properties_replace(ed, properties);
	seen_add(m.id, way, n);
	pass_id(m.id);
	count(COUNTER_ACCEPTED_PEER);
	return MOSQ_ERR_SUCCESS;
}

static int typing(struct mosquitto_evt_message *ed, const struct topic *t)
{
	struct schema_canonical m;

	if (ed->qos > 1 || ed->retain ||
	    !schema_typing_read(ed->payload, ed->payloadlen, t->kind == TOPIC_ROOM_TYPING, &m) ||
	    !typing_fits(t, &m))
		return refuse(ed, "this is no typing event of that topic");
	/* Also what a hub echoes ends here. */
	return typing_pass(&m.sender, ed->topic, strlen(ed->topic), clock_monotonic_ms()) ? MOSQ_ERR_SUCCESS
	                                                                                  : drop(ed);
}

int relay_on_message(struct mosquitto_evt_message *ed, const struct topic *t)
{
	switch (t->kind) {
	case TOPIC_ROOM:
	case TOPIC_INBOX:
		return message(ed, t);
	case TOPIC_ROOM_TYPING:
	case TOPIC_USER_TYPING:
		return typing(ed, t);
	case TOPIC_NODE:
		if (ed->qos > 1 || !nodes_on_message(t->name, t->name_len, ed->payload, ed->payloadlen))
			return refuse(ed, "this is not what a node says");
		return MOSQ_ERR_SUCCESS;
	case TOPIC_OUTSIDE:
	case TOPIC_UNKNOWN:
	case TOPIC_ROOM_SEND:
	case TOPIC_USER_SEND:
	case TOPIC_PRESENCE:
	case TOPIC_NOTICES:
	case TOPIC_ROOM_EVENTS:
	case TOPIC_USER_EVENTS:
	case TOPIC_EVENTS:
	case TOPIC_BRIDGE:
	case TOPIC_SYNC:
		break;
	}
	return refuse(ed, "links carry no such topic");
}

bool relay_may_write(const struct topic *t, const void *payload, size_t len)
{
	struct schema_canonical m;

	switch (t->kind) {
	case TOPIC_ROOM:
	case TOPIC_INBOX:
		return schema_canonical_read(payload, len, state.scratch, &m) && way_of(t, &m) != 0;
	case TOPIC_ROOM_TYPING:
	case TOPIC_USER_TYPING:
		return schema_typing_read(payload, len, t->kind == TOPIC_ROOM_TYPING, &m) && typing_fits(t, &m);
	case TOPIC_NODE:
		return true;
	default:
		return false;
	}
}
