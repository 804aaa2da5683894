/*
 * farewells.c - the offline events that the broker retains.
 */
#include "farewells.h"

#include "common/topic.h"
#include "compat.h"
#include "options.h"
#include "presence.h"
#include "table.h"

#include <stdlib.h>

#define TOPIC_MAX (TOPIC_ROOT_MAX + TOPIC_LEVEL_MAX + 32)

struct farewell {
	struct table_entry entry;
	uint64_t said_ms;
	const struct identity *who; /* its text is the key */
	unsigned char who_room[];
};

static struct {
	const struct options *options;
	struct table all; /* oldest: said first */
} state;

void farewells_start(const struct options *options)
{
	state.options = options;
}

static void forget(struct farewell *f)
{
	table_remove(&state.all, f);
	free(f);
}

void farewells_stop(void)
{
	struct farewell *f;

	while ((f = table_oldest(&state.all)))
		forget(f);
	state.options = NULL;
}

static struct farewell *find(const struct identity *who)
{
	return table_find(&state.all, who->text, who->len);
}

void farewells_forget(const struct identity *who)
{
	struct farewell *f = find(who);

	if (f)
		forget(f);
}

void farewells_add(const struct identity *who, uint64_t now_ms)
{
	struct farewell *f = find(who);

	if (f) {
		f->said_ms = now_ms;
		table_renew(&state.all, f);
		return;
	}
	f = calloc(1, sizeof(*f) + identity_size(who));
	if (!f)
		return;
	f->who = identity_put(f->who_room, who);
	f->said_ms = now_ms;
	if (!table_add(&state.all, f, f->who->text, f->who->len))
		free(f);
}

/* An empty retained message takes the one before it away. Nobody reads it: presence_shows does not let it
 * through. */
static bool take_back(const struct identity *who)
{
	char topic[TOPIC_MAX];

	return topic_format(TOPIC_PRESENCE, state.options->topic_root, who->text, who->len, NULL, 0, topic,
	                    sizeof(topic)) > 0 &&
	       mosquitto_broker_publish(NULL, topic, 0, NULL, 1, true, NULL) == MOSQ_ERR_SUCCESS;
}

void farewells_tick(uint64_t now_ms)
{
	struct farewell *f;
	unsigned n;

	for (n = 0; n < FAREWELLS_AT_ONCE; n++) {
		f = table_oldest(&state.all);
		if (!f || (table_count(&state.all) <= FAREWELLS_MAX &&
		           now_ms < f->said_ms + (uint64_t)PRESENCE_OFFLINE_EXPIRY_S * 1000))
			return;
		if (!take_back(f->who))
			return; /* out of memory: at the next tick */
		forget(f);
	}
}
