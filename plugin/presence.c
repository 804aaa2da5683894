/*
 * presence.c - who is online, and who is told.
 *
 * An entry is in one state and, but for PRESENT, in that state's list, oldest first:
 *
 *   ARRIVING   has a live client, which has not been announced. Gone again before the flush, nobody
 *              has seen it.
 *   PRESENT    has been announced as online
 *   GRACE      so it has, and has no live client any more. All wait equally long, so the oldest is due first.
 *   GHOST      is retained as online by the broker, without having been here
 *
 * An entry is freed when its offline event is with the broker.
 */
#include "presence.h"

#include "clock.h"
#include "common/roster.h"
#include "common/settings.h"
#include "common/timestamp.h"
#include "common/topic.h"
#include "compat.h"
#include "farewells.h"
#include "log.h"
#include "options.h"
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define TOPIC_MAX (TOPIC_ROOT_MAX + TOPIC_LEVEL_MAX + 32)
#define EVENT_MAX 512

enum state { ARRIVING, PRESENT, GRACE, GHOST, STATES };

struct presence {
	struct table_entry entry;
	struct presence *prev, *next; /* in the list of its state */
	enum state state;
	bool ghost;       /* nothing has been announced yet that replaces what the broker retains */
	uint64_t left_ms; /* GRACE: monotonic, the beginning of the grace */
	uint64_t came_real_ms;
	uint64_t left_real_ms;
	char came_at[TIMESTAMP_LEN + 1]; /* came_real_ms, as announced */
	const struct identity *who;      /* its text is the key */
	unsigned char who_room[];
};

static struct {
	const struct options *options;
	struct table all;
	struct presence *lists[STATES]; /* that of PRESENT stays empty */
	size_t ghosts;                  /* entries noted as such */
	bool ghosts_left_out;
	uint64_t flushed_ms;
	bool ticked;
	uint64_t settled_ms; /* from here on ghosts are corrected; counted from the first tick */
	char started_at[TIMESTAMP_LEN + 1];
	char *page; /* for the bridges; NULL or from mosquitto_malloc with ROSTER_PUBLISH_MAX bytes */
	size_t page_len;
} state;

void presence_start(const struct options *options)
{
	memset(&state, 0, sizeof(state));
	state.options = options;
	timestamp_format(clock_real_ms(), state.started_at);
}

/* ---- entries and their states -------------------------------------------------- */

static void leave_list(struct presence *p)
{
	if (p->state != PRESENT)
		DL_DELETE(state.lists[p->state], p);
}

static void become(struct presence *p, enum state next)
{
	p->state = next;
	if (next != PRESENT)
		DL_APPEND(state.lists[next], p);
}

static void change(struct presence *p, enum state next)
{
	leave_list(p);
	become(p, next);
}

static void no_ghost(struct presence *p)
{
	if (p->ghost)
		state.ghosts--;
	p->ghost = false;
}

static void forget(struct presence *p)
{
	no_ghost(p);
	leave_list(p);
	table_remove(&state.all, p);
	free(p);
}

void presence_stop(void)
{
	struct presence *p;

	while ((p = table_oldest(&state.all)))
		forget(p);
	mosquitto_free(state.page);
	memset(&state, 0, sizeof(state));
}

static struct presence *find(const struct identity *who)
{
	return table_find(&state.all, who->text, who->len);
}

static struct presence *add(const struct identity *who, enum state first)
{
	struct presence *p = calloc(1, sizeof(*p) + identity_size(who));

	if (!p)
		return NULL;
	p->who = identity_put(p->who_room, who);
	if (!table_add(&state.all, p, p->who->text, p->who->len)) {
		free(p);
		return NULL;
	}
	become(p, first);
	return p;
}

static bool announced(const struct presence *p)
{
	return p->state == PRESENT || p->state == GRACE;
}

void presence_came(const struct identity *who)
{
	struct presence *p = find(who);

	if (p && p->state == GRACE) {
		change(p, PRESENT);
		return;
	}
	if (p)
		change(p, ARRIVING);
	else
		p = add(who, ARRIVING);
	if (!p) {
		log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "out of memory: somebody is not shown as online");
		return;
	}
	p->came_real_ms = clock_real_ms();
	timestamp_format(p->came_real_ms, p->came_at);
}

void presence_left(const struct identity *who)
{
	struct presence *p = find(who);

	if (!p)
		return;
	if (p->state == PRESENT) {
		p->left_ms = clock_monotonic_ms();
		p->left_real_ms = clock_real_ms();
		change(p, GRACE);
	} else if (p->state == ARRIVING && p->ghost) {
		change(p, GHOST);
	} else if (p->state == ARRIVING) {
		forget(p);
	}
}

/* ---- what is announced --------------------------------------------------------- */

static const char event_head[] = "{\"type\":\"presence\",\"user\":\"";
static const char event_online[] = "\",\"status\":\"online\",\"timestamp\":\"";
static const char event_offline[] = "\",\"status\":\"offline\",\"timestamp\":\"";
static const char event_tail[] = "\"}";

static mosquitto_property *make_properties(bool online)
{
	mosquitto_property *list = NULL;

	if (mosquitto_property_add_byte(&list, MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, 1) == MOSQ_ERR_SUCCESS &&
	    mosquitto_property_add_string(&list, MQTT_PROP_CONTENT_TYPE, "application/json") ==
	        MOSQ_ERR_SUCCESS &&
	    (online || mosquitto_property_add_int32(&list, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL,
	                                            PRESENCE_OFFLINE_EXPIRY_S) == MOSQ_ERR_SUCCESS))
		return list;
	mosquitto_property_free_all(&list);
	return NULL;
}

/* An address holds nothing that JSON would escape. */
static bool publish_event(const struct identity *who, bool online, uint64_t real_ms)
{
	char topic[TOPIC_MAX], at[TIMESTAMP_LEN + 1];
	mosquitto_property *properties = make_properties(online);
	char *payload = mosquitto_malloc(EVENT_MAX);
	int len = 0;

	timestamp_format(real_ms, at);
	if (payload)
		len = snprintf(payload, EVENT_MAX, "%s%s%s%s%s", event_head, who->text,
		               online ? event_online : event_offline, at, event_tail);
	if (properties && len > 0 && len < EVENT_MAX &&
	    topic_format(TOPIC_PRESENCE, state.options->topic_root, who->text, who->len, NULL, 0, topic,
	                 sizeof(topic)) > 0 &&
	    mosquitto_broker_publish(NULL, topic, len, payload, 1, true, properties) == MOSQ_ERR_SUCCESS)
		return true;
	/* The broker takes both only with success. */
	mosquitto_property_free_all(&properties);
	mosquitto_free(payload);
	return false;
}

/* Hands the page to the broker. False: it stays, for the next time. */
static bool send_page(void)
{
	char topic[TOPIC_ROOT_MAX + 64];

	if (!state.page)
		return true;
	if (topic_format(TOPIC_BRIDGE, state.options->topic_root, BRIDGES_ALL, strlen(BRIDGES_ALL), NULL, 0,
	                 topic, sizeof(topic)) == 0 ||
	    mosquitto_broker_publish(NULL, topic, (int)state.page_len, state.page, 1, false, NULL) !=
	        MOSQ_ERR_SUCCESS)
		return false;
	state.page = NULL;
	return true;
}

/* Sees to it that the page has room for one more entry. */
static bool open_page(void)
{
	if (state.page && state.page_len + ROSTER_ENTRY_MAX > ROSTER_PUBLISH_MAX && !send_page())
		return false;
	if (state.page)
		return true;
	state.page = mosquitto_malloc(ROSTER_PUBLISH_MAX);
	if (!state.page)
		return false;
	state.page_len = roster_put_feed(state.page, ROSTER_PUBLISH_MAX);
	return true;
}

static bool announce(const struct identity *who, bool online, uint64_t real_ms)
{
	/* Without bridges there is nobody who reads pages. */
	bool feed = !state.options->bridge_off;

	if ((feed && !open_page()) || !publish_event(who, online, real_ms))
		return false;
	if (online)
		farewells_forget(who);
	else
		farewells_add(who, clock_monotonic_ms());
	if (feed)
		state.page_len += roster_put_entry(who, online, real_ms, state.page + state.page_len,
		                                   ROSTER_PUBLISH_MAX - state.page_len);
	return true;
}

/* The next entry that is due; NULL when there is none. */
static struct presence *next_due(uint64_t now_ms)
{
	struct presence *p = state.lists[ARRIVING];

	if (p)
		return p;
	p = state.lists[GRACE];
	if (p && now_ms - p->left_ms >= state.options->presence_grace_ms)
		return p;
	return now_ms >= state.settled_ms ? state.lists[GHOST] : NULL;
}

/* False when the broker did not take it; all is as before then. */
static bool settle(struct presence *p)
{
	switch (p->state) {
	case ARRIVING:
		if (!announce(p->who, true, p->came_real_ms))
			return false;
		no_ghost(p);
		change(p, PRESENT);
		return true;
	case GRACE:
		if (!announce(p->who, false, p->left_real_ms))
			return false;
		break;
	case GHOST:
		if (!announce(p->who, false, clock_real_ms()))
			return false;
		break;
	case PRESENT:
	case STATES:
		return true;
	}
	forget(p);
	return true;
}

void presence_tick(uint64_t now_ms)
{
	struct presence *p;
	unsigned n;
	bool ok = true;

	/* Nobody can come before the broker's loop runs, which waits for the bridges. */
	if (!state.ticked)
		state.settled_ms = now_ms + state.options->presence_grace_ms;
	state.ticked = true;
	if (now_ms - state.flushed_ms < PRESENCE_FLUSH_MS)
		return;
	state.flushed_ms = now_ms;
	for (n = 0; ok && n < PRESENCE_FLUSH_CHANGES && (p = next_due(now_ms)); n++)
		ok = settle(p);
	/* With what an earlier flush could not send. */
	if (!send_page() || !ok)
		log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "out of memory: news of who is online is late");
	if (state.ghosts_left_out && state.ghosts == 0)
		state.ghosts_left_out = false;
}

/* ---- what may be seen ---------------------------------------------------------- */

/* What is left to compare. */
struct rest {
	const char *at;
	size_t left;
};

static bool skip(struct rest *rest, const char *text, size_t n)
{
	if (rest->left < n || memcmp(rest->at, text, n) != 0)
		return false;
	rest->at += n;
	rest->left -= n;
	return true;
}

enum event { EVENT_NONE, EVENT_ONLINE, EVENT_OFFLINE };

/* What a payload says of this address, if it is an event as publish_event writes them; *when: TIMESTAMP_LEN
 * characters. */
static enum event read_event(const struct identity *who, const char *payload, size_t len, const char **when)
{
	struct rest rest = {.at = payload, .left = payload ? len : 0};
	enum event event = EVENT_OFFLINE;

	if (!skip(&rest, event_head, sizeof(event_head) - 1) || !skip(&rest, who->text, who->len))
		return EVENT_NONE;
	if (skip(&rest, event_online, sizeof(event_online) - 1))
		event = EVENT_ONLINE;
	else if (!skip(&rest, event_offline, sizeof(event_offline) - 1))
		return EVENT_NONE;
	*when = rest.at;
	if (rest.left != TIMESTAMP_LEN + sizeof(event_tail) - 1 ||
	    memcmp(rest.at + TIMESTAMP_LEN, event_tail, sizeof(event_tail) - 1) != 0 ||
	    !timestamp_valid(rest.at, TIMESTAMP_LEN))
		return EVENT_NONE;
	return event;
}

/* An event of this process that has been replaced since, and waits somewhere. (Timestamps of one form
 * compare as text.) */
static bool is_own(const char *when)
{
	char now[TIMESTAMP_LEN + 1];

	timestamp_format(clock_real_ms(), now);
	return memcmp(when, state.started_at, TIMESTAMP_LEN) >= 0 && memcmp(when, now, TIMESTAMP_LEN) <= 0;
}

static void note_ghost(const struct identity *who)
{
	struct presence *p;

	if (find(who))
		return; /* what is announced next replaces it */
	if (state.ghosts >= PRESENCE_GHOSTS_MAX) {
		if (!state.ghosts_left_out)
			log_line(MOSQ_LOG_WARNING,
			         "the broker retains more than %d people as online who are not here: the rest is "
			         "corrected when somebody subscribes to presence again",
			         PRESENCE_GHOSTS_MAX);
		state.ghosts_left_out = true;
		return;
	}
	p = add(who, GHOST);
	if (!p) {
		log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "out of memory: a stale presence event is kept");
		return;
	}
	p->ghost = true;
	state.ghosts++;
}

bool presence_shows(const char *level, size_t level_len, const void *payload, size_t len, bool note)
{
	const char *when = NULL;
	const struct presence *p;
	struct identity who;
	enum event event;

	/* Empty: what was retained is being taken back. */
	if (len == 0 || !topic_level_identity(level, level_len, &who))
		return false;
	p = find(&who);
	event = read_event(&who, payload, len, &when);
	/* Nobody minds an older word that somebody is not there who is not. */
	if (event == EVENT_OFFLINE)
		return !p || !announced(p);
	if (event == EVENT_ONLINE && p && announced(p) && memcmp(when, p->came_at, TIMESTAMP_LEN) == 0)
		return true;
	if (note && !(event == EVENT_ONLINE && is_own(when)))
		note_ghost(&who);
	return false;
}

/* ---- the whole ----------------------------------------------------------------- */

size_t presence_list(const struct presence **at, char *out, size_t cap)
{
	const struct presence *p = *at ? *at : table_oldest(&state.all);
	size_t len = 0, n;

	for (; p; p = (const struct presence *)p->entry.next) {
		if (!announced(p))
			continue;
		n = roster_put_entry(p->who, true, p->came_real_ms, out + len, cap - len);
		if (n == 0)
			break;
		len += n;
	}
	*at = p;
	return len;
}
