/*
 * audit.c - a ring of entries.
 */
#include "audit.h"

#include <stdlib.h>

static struct {
	struct audit_entry *ring; /* NULL until the first */
	size_t count;             /* in it */
	size_t next;              /* where the next one goes */
} state;

bool audit_add(const struct audit_entry *entry)
{
	if (!state.ring)
		state.ring = calloc(AUDIT_MAX, sizeof(*state.ring));
	if (!state.ring)
		return false;
	state.ring[state.next] = *entry;
	state.next = (state.next + 1) % AUDIT_MAX;
	if (state.count < AUDIT_MAX)
		state.count++;
	return true;
}

size_t audit_count(void)
{
	return state.count;
}

const struct audit_entry *audit_get(size_t back)
{
	return back < state.count ? &state.ring[(state.next + AUDIT_MAX - 1 - back) % AUDIT_MAX] : NULL;
}

void audit_stop(void)
{
	free(state.ring);
	state.ring = NULL;
	state.count = state.next = 0;
}
