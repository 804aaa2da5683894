/*
 * seen.c - ids of messages that have been here already.
 */
#include "seen.h"

#include "compat.h"
#include "log.h"
#include "table.h"

#include <stdlib.h>
#include <string.h>

struct entry {
	struct table_entry entry;
	struct seen seen;
	char id[ULID_LEN]; /* the key */
};

static struct table all; /* oldest: came first */

static void forget(struct entry *e)
{
	table_remove(&all, e);
	free(e);
}

void seen_stop(void)
{
	struct entry *e;

	while ((e = table_oldest(&all)))
		forget(e);
}

const struct seen *seen_find(const char *id)
{
	const struct entry *e = table_find(&all, id, ULID_LEN);

	return e ? &e->seen : NULL;
}

void seen_add(const char *id, unsigned ways, uint64_t n)
{
	struct entry *e = table_find(&all, id, ULID_LEN);

	if (e) {
		e->seen.ways |= ways;
		return;
	}
	if (table_count(&all) >= SEEN_MAX)
		forget(table_oldest(&all));
	e = calloc(1, sizeof(*e));
	if (e) {
		e->seen = (struct seen){.ways = ways, .n = n};
		memcpy(e->id, id, ULID_LEN);
		if (table_add(&all, e, e->id, ULID_LEN))
			return;
		free(e);
	}
	log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR,
	            "out of memory: a message that a link repeats is delivered again");
}
