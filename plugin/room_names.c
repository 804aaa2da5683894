/*
 * room_names.c - see room_names.h
 */
#include "room_names.h"

#include "clock.h"
#include "common/canonical_room.h"
#include "common/settings.h"
#include "common/topic.h"
#include "events.h"
#include "history.h"
#include "log.h"
#include "moderation.h"
#include "options.h"
#include "rooms.h"

#include <string.h>

#define COPIES_MS 60000 /* beyond the time that a device may be away: bridges need a moment, too */
#define TOPIC_MAX (TOPIC_ROOT_MAX + ROOM_MAX + 32)

static struct {
	const struct options *options;
	uint64_t copies_until_ms; /* since 1970: no name is younger than what ends then */
} state;

/* ---- what a room is called ------------------------------------------------------------------ */

static const struct sanction *next_of(const struct sanction *s)
{
	return moderation_renamed(s->to, strlen(s->to));
}

static bool later(const struct sanction *a, const struct sanction *b)
{
	return a->since_ms != b->since_ms ? a->since_ms > b->since_ms : strcmp(a->room, b->room) > 0;
}

/* Of names that lead in a circle, through at: what the last word says. */
static const char *of_circle(const struct sanction *at)
{
	const struct sanction *last = at, *s;

	for (s = next_of(at); s != at; s = next_of(s))
		if (later(s, last))
			last = s;
	return last->to;
}

const char *room_names_now(const char *name, size_t len)
{
	const struct sanction *s = moderation_renamed(name, len), *next;
	size_t steps = moderation_count(SANCTION_NAME);
	const char *now;

	if (!s)
		return NULL;
	/* after so many steps it goes round */
	for (; (next = next_of(s)) && steps > 0; steps--)
		s = next;
	now = next ? of_circle(s) : s->to;
	return strlen(now) == len && memcmp(now, name, len) == 0 ? NULL : now;
}

/* ---- copies for those who are not moved yet -------------------------------------------------- */

static uint64_t copies_end(const struct sanction *s)
{
	return s->since_ms + (uint64_t)state.options->session_expiry_s * 1000 + COPIES_MS;
}

const struct sanction *room_names_copied(const char *room, size_t len, const struct sanction *after)
{
	uint64_t now_ms = clock_real_ms();
	const struct sanction *s;
	const char *now;

	if (!after && now_ms >= state.copies_until_ms)
		return NULL;
	for (s = moderation_next(SANCTION_NAME, after); s; s = moderation_next(SANCTION_NAME, s)) {
		now = copies_end(s) > now_ms ? room_names_now(s->room, strlen(s->room)) : NULL;
		if (now && strlen(now) == len && memcmp(now, room, len) == 0)
			break;
	}
	return s;
}

/* The body under that name, on its topic. */
static void publish(const char *room, const char *body, size_t len, mosquitto_property *properties)
{
	size_t room_len = strlen(room), size;
	char *payload = properties ? mosquitto_malloc(len + room_len + 1) : NULL;
	char topic[TOPIC_MAX];

	if (payload && topic_format(TOPIC_ROOM, state.options->topic_root, room, room_len, NULL, 0, topic,
	                            sizeof(topic)) > 0) {
		size = canonical_room_put(body, len, room, room_len, payload);
		payload[size] = '\0';
		if (size > 0 && mosquitto_broker_publish(NULL, topic, (int)size, payload, 1, false, properties) ==
		                    MOSQ_ERR_SUCCESS)
			return;
	}
	/* The broker takes both only with success. */
	mosquitto_property_free_all(&properties);
	mosquitto_free(payload);
	log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR,
	            "out of memory: a message of a renamed room does not reach everybody");
}

void room_names_copy(const struct sanction *old, const char *body, size_t len, mosquitto_property *properties)
{
	const char *now = room_names_now(old->room, strlen(old->room));

	if (properties && mosquitto_property_add_string_pair(&properties, MQTT_PROP_USER_PROPERTY, PROPERTY_COPY,
	                                                     now) != MOSQ_ERR_SUCCESS)
		mosquitto_property_free_all(&properties);
	publish(old->room, body, len, properties);
}

void room_names_say(const char *room, const char *body, size_t len, mosquitto_property *properties)
{
	publish(room, body, len, properties);
}

/* ---- changes ---------------------------------------------------------------------------------- */

static void note_copies(const struct sanction *s)
{
	if (copies_end(s) > state.copies_until_ms)
		state.copies_until_ms = copies_end(s);
}

static void move_history(const char *room, const char *now)
{
	if (!history_rename_room(room, now))
		log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR,
		            "out of memory: the history of the room %s stays under that name until the next start",
		            room);
}

void room_names_follow(const struct sanction *s)
{
	const char *now = room_names_now(s->room, strlen(s->room));

	if (now) {
		note_copies(s);
		/* what comes under the old name from here on has numbers of its own */
		rooms_forget(s->room, strlen(s->room));
		move_history(s->room, now);
	}
	(void)events_renamed(s->room, now); /* logged */
}

void room_names_start(const struct options *options)
{
	const struct sanction *s;
	const char *now;

	state.options = options;
	for (s = moderation_next(SANCTION_NAME, NULL); s; s = moderation_next(SANCTION_NAME, s)) {
		now = room_names_now(s->room, strlen(s->room));
		if (!now)
			continue;
		note_copies(s);
		move_history(s->room, now);
	}
}

void room_names_stop(void)
{
	memset(&state, 0, sizeof(state));
}
