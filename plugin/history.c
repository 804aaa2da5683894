/*
 * history.c - what the rest of the plugin knows of history.
 */
#include "history.h"

#include "clock.h"
#include "common/json.h"
#include "common/topic.h"
#include "compat.h"
#include "counters.h"
#include "history_trouble.h"
#include "history_writer.h"
#include "ids.h"
#include "inflight.h"
#include "log.h"
#include "options.h"
#include "peers.h"
#include "refs.h"
#include "seen.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_MS 100    /* the thread waits so long in SQLite; it tries again anyway */
#define AHEAD_MS 60000 /* by which a message may be from the future without a word */

static struct {
	const struct options *options; /* NULL: no history */
	uint64_t last;                 /* number and id of what was kept last */
	char last_id[ULID_LEN + 1];
	uint64_t look; /* number of the question about a room */
	struct {
		char (*ids)[ULID_LEN];
		size_t count, cap;
	} unreleased; /* between load and history_start's end */
} state;

#define RELEASE_MS 3600000 /* how old a message may be whose release is still awaited after a start */
#define HANDSHAKE_MS 30000 /* and by how much older than the last one, to be shown again behind it */

/* For history_store_recent. */
struct loading {
	uint64_t real_ms, monotonic_ms;
};

static void remember(void *arg, const struct history_recent *recent)
{
	const struct loading *now = arg;
	uint64_t sent_ms = ulid_milliseconds(recent->id);
	uint64_t age_ms = now->real_ms > sent_ms ? now->real_ms - sent_ms : 0;
	struct ref_answer answer = {.n = 0};

	memcpy(answer.id, recent->id, sizeof(answer.id));
	timestamp_format(sent_ms, answer.timestamp);
	refs_add(&recent->sender, recent->ref, recent->ref_len, &answer, now->monotonic_ms - age_ms);
}

static void note_unreleased(const char *body, size_t len)
{
	char id[IDENTITY_MAX + 1];
	char(*ids)[ULID_LEN];
	size_t cap;

	/* Older ones have been released, with nobody there to read them: that the plugin does not see. */
	json_member_text(body, len, "id", id, IDENTITY_MAX + 1);
	if (strlen(id) != ULID_LEN || ulid_milliseconds(id) + HANDSHAKE_MS < ulid_milliseconds(state.last_id))
		return;
	if (state.unreleased.count == state.unreleased.cap) {
		cap = state.unreleased.cap > 0 ? state.unreleased.cap * 2 : 16;
		ids = realloc(state.unreleased.ids, cap * sizeof(*ids));
		if (!ids)
			return; /* it keeps its early place */
		state.unreleased.ids = ids;
		state.unreleased.cap = cap;
	}
	memcpy(state.unreleased.ids[state.unreleased.count++], id, ULID_LEN);
}

static void forget_unreleased(void)
{
	free(state.unreleased.ids);
	state.unreleased.ids = NULL;
	state.unreleased.count = state.unreleased.cap = 0;
}

/* A message of QoS 2 whose author the broker's end caught between PUBLISH and PUBREL: the broker may still
 * have it, or its author repeats it, and either way it is to be delivered. */
static void await_release(void *arg, const char *body, size_t len)
{
	char topic[TOPIC_ROOT_MAX + TOPIC_LEVEL_MAX + 32], name[IDENTITY_MAX + 1];
	enum topic_kind kind = TOPIC_INBOX;

	(void)arg;
	note_unreleased(body, len);
	json_member_text(body, len, "to", name, IDENTITY_MAX + 1);
	if (name[0] == '\0') {
		kind = TOPIC_ROOM;
		json_member_text(body, len, "room", name, IDENTITY_MAX + 1);
	}
	if (name[0] != '\0' &&
	    topic_format(kind, state.options->topic_root, name, strlen(name), NULL, 0, topic, sizeof(topic)) > 0)
		inflight_add(topic, body, len);
}

static void note_seen(void *arg, const char *id, uint64_t n)
{
	(void)arg;
	seen_add(id, SEEN_ALL, n);
}

/* With other nodes: what a link may repeat, and what is known to be everywhere. */
static bool load_nodes(struct history_store *store)
{
	return history_store_settle_start(store, peers_any()) == STORE_OK &&
	       (!peers_any() || history_store_ids(store, SEEN_MAX, note_seen, NULL) == STORE_OK);
}

/* What was sent before this start is continued, not begun again. */
static bool load(struct history_store *store)
{
	struct loading now = {.real_ms = clock_real_ms(), .monotonic_ms = clock_monotonic_ms()};
	const char *newest_id = history_store_newest_id(store);

	state.last = history_store_newest(store, state.last_id);
	if (newest_id[0] != '\0') {
		memcpy(state.last_id, newest_id, sizeof(state.last_id));
		ids_pass(newest_id);
		if (ulid_milliseconds(newest_id) > now.real_ms + AHEAD_MS)
			log_line(MOSQ_LOG_WARNING,
			         "%s: its newest message is %" PRIu64
			         " s ahead of this machine's clock; new messages get that "
			         "time until the clock has come there",
			         state.options->history_file, (ulid_milliseconds(newest_id) - now.real_ms) / 1000);
	}
	if (history_store_recent(store, now.real_ms > REFS_MS ? now.real_ms - REFS_MS : 0, remember, &now) ==
	        STORE_OK &&
	    history_store_unreleased(store, now.real_ms > RELEASE_MS ? now.real_ms - RELEASE_MS : 0,
	                             await_release, NULL) == STORE_OK &&
	    load_nodes(store))
		return true;
	log_line(MOSQ_LOG_ERR, "plugin_opt_history_file %s: %s", state.options->history_file,
	         history_store_error(store));
	return false;
}

/* A broker that was killed has forgotten them unless it had saved its state in between, and answers their
 * authors' PUBREL all the same: nobody would be told. So they stand behind what was read before, where those
 * who come back with since find them. */
static void move_unreleased(void)
{
	size_t i;

	for (i = 0; i < state.unreleased.count; i++)
		history_released(state.unreleased.ids[i]);
	forget_unreleased();
}

bool history_start(const struct options *options)
{
	const struct history_writer_config config = {
	    .store = {.path = options->history_file, .sync = options->history_sync, .busy_ms = BUSY_MS},
	    .queue_bytes = options->history_queue_bytes,
	    .keep_messages = options->history_messages,
	    .keep_ms = (uint64_t)options->history_age_s * 1000};
	struct history_store *store;
	char why[HISTORY_WHY_MAX];

	if (options->history_file[0] == '\0')
		return true;
	store = history_store_open(&config.store, why);
	if (!store) {
		log_line(MOSQ_LOG_ERR, "plugin_opt_history_file %s: %s", options->history_file, why);
		return false;
	}
	state.options = options;
	if (!load(store)) {
		history_store_close(store);
		forget_unreleased();
		state.options = NULL;
		return false;
	}
	if (!history_writer_start(&config, store)) {
		log_line(MOSQ_LOG_ERR, "the system gives no thread for the history");
		forget_unreleased();
		state.options = NULL;
		return false;
	}
	move_unreleased();
	return true;
}

void history_stop(void)
{
	struct history_forgotten forgotten;
	unsigned long lost;

	if (!state.options)
		return;
	lost = history_writer_stop();
	while (history_writer_forgotten(&forgotten))
		; /* nobody asks any more */
	history_tick();
	if (lost > 0)
		log_line(MOSQ_LOG_ERR, "%s could not be written at the end: %lu messages are not in it",
		         state.options->history_file, lost);
	memset(&state, 0, sizeof(state));
}

/* Fills in what kind of place the target is. pair: room for its name. */
static void find_place(struct history_message *m, const struct identity *author,
                       const struct schema_target *target, char pair[HISTORY_PLACE_MAX + 1])
{
	if (target->room) {
		m->kind = HISTORY_ROOM;
		m->place = target->room;
		m->place_len = target->room_len;
	} else {
		m->kind = HISTORY_PAIR;
		m->place = pair;
		m->place_len = history_pair_name(author, target->recipient, pair);
	}
}

static void log_not_kept(bool full)
{
	if (full)
		log_limited(
		    LOG_CAUSE_HISTORY_FULL, MOSQ_LOG_ERR,
		    "%u bytes wait to be written to the history (plugin_opt_history_queue_bytes): messages are "
		    "refused, and those of other nodes not kept",
		    (unsigned)state.options->history_queue_bytes);
	else
		log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "out of memory: a message is refused, or not kept");
}

bool history_prepare(const struct identity *author, const struct schema_target *target, const char *ref,
                     const char *id, const char *body, size_t len, bool late, struct history_item **out)
{
	struct history_message m = {.id = id, .body = body, .body_len = len, .late = late};
	char pair[HISTORY_PLACE_MAX + 1];
	bool full;

	*out = NULL;
	if (!state.options)
		return true;
	find_place(&m, author, target, pair);
	if (ref[0] != '\0') {
		m.ref = ref;
		m.ref_len = strlen(ref);
	}
	*out = history_writer_item(&m, &full);
	if (!*out)
		log_not_kept(full);
	return *out != NULL;
}

uint64_t history_relayed(const struct identity *author, const struct schema_target *target, const char *id,
                         const char *body, size_t len)
{
	struct history_message m = {.id = id, .body = body, .body_len = len, .relayed = true};
	char pair[HISTORY_PLACE_MAX + 1];
	struct history_item *item;
	bool full;

	if (!state.options)
		return 0;
	find_place(&m, author, target, pair);
	item = history_writer_item(&m, &full);
	if (!item)
		log_not_kept(full);
	return history_commit(item);
}

uint64_t history_next(void)
{
	return state.options ? history_writer_next() : 0;
}

void history_settle(uint64_t upto)
{
	if (state.options && !history_writer_settle(upto))
		log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "out of memory: replays give more than they must");
}

/* Keeps the last number, and the newest id: what is released late has an older one. */
static void note(uint64_t n, const char *id)
{
	state.last = n;
	if (memcmp(id, state.last_id, ULID_LEN) < 0)
		return;
	memcpy(state.last_id, id, ULID_LEN);
	state.last_id[ULID_LEN] = '\0';
}

uint64_t history_commit(struct history_item *item)
{
	char id[ULID_LEN + 1];
	uint64_t n;

	if (!item)
		return 0;
	n = history_writer_put(item, id);
	note(n, id);
	return n;
}

void history_abandon(struct history_item *item)
{
	if (item)
		history_writer_drop(item);
}

void history_released(const char *id)
{
	uint64_t n;

	if (!state.options)
		return;
	n = history_writer_renumber(id);
	if (n > 0)
		note(n, id);
	else
		log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR,
		            "out of memory: a message sent with QoS 2 keeps an early place in history");
}

uint64_t history_position(char id[ULID_LEN + 1])
{
	memcpy(id, state.last_id, sizeof(state.last_id));
	return state.last;
}

uint64_t history_committed(void)
{
	return state.options ? history_writer_committed() : UINT64_MAX;
}

bool history_forget(const char *id)
{
	return state.options && history_writer_forget(id);
}

bool history_forgotten(struct history_forgotten *out)
{
	return state.options && history_writer_forgotten(out);
}

bool history_look_for_room(const char *room)
{
	state.look = state.options ? history_writer_room(room, NULL) : 0;
	return !state.options || state.look > 0;
}

bool history_looked_for_room(bool *found)
{
	*found = false;
	return !state.options || history_writer_looked(state.look, found);
}

bool history_rename_room(const char *room, const char *to)
{
	uint64_t n;

	if (!state.options)
		return true;
	n = history_writer_room(room, to);
	/* without any message there is no position, and nothing to wait for */
	if (n > 0 && state.last_id[0] != '\0')
		state.last = n;
	return n > 0;
}

size_t history_queue_bytes(void)
{
	return state.options ? history_writer_bytes() : 0;
}

void history_flushes(uint64_t cells[HISTOGRAM_CELLS_MAX])
{
	history_writer_flushes(cells);
}

void history_tick(void)
{
	static const struct {
		enum log_cause cause;
		int level;
		const char *what;
	} lines[HISTORY_TROUBLES] = {
	    [HISTORY_TROUBLE_WRITE] = {LOG_CAUSE_HISTORY_WRITE, MOSQ_LOG_ERR,
	                               "cannot be written, messages wait in memory"},
	    [HISTORY_TROUBLE_OVER] = {LOG_CAUSE_HISTORY_OVER, MOSQ_LOG_NOTICE, "is written again"},
	    [HISTORY_TROUBLE_ROW] = {LOG_CAUSE_HISTORY_ROW, MOSQ_LOG_ERR, "does not take everything"},
	    [HISTORY_TROUBLE_MISSING] = {LOG_CAUSE_HISTORY_MISSING, MOSQ_LOG_ERR, "is not where it was"},
	    [HISTORY_TROUBLE_TRIM] = {LOG_CAUSE_HISTORY_TRIM, MOSQ_LOG_ERR,
	                              "cannot be rid of old messages at present"},
	};
	char text[HISTORY_WHY_MAX];
	unsigned long n;
	int i;

	if (!state.options || !history_troubled())
		return;
	for (i = 0; i < HISTORY_TROUBLES; i++)
		if (history_trouble_take((enum history_trouble)i, &n, text)) {
			/* the line counts one */
			count_more(counter_of_cause(lines[i].cause), n > 0 ? n - 1 : 0);
			log_limited(lines[i].cause, lines[i].level, "%s %s: %s", state.options->history_file,
			            lines[i].what, text);
		}
}
