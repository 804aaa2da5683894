/*
 * counters.c - what the plugin has counted.
 */
#include "counters.h"

#include "compat.h"

#include <string.h>

#define LINE_BYTES 900 /* the broker cuts lines at 1000 bytes, time stamp and all */

uint64_t counters[COUNTERS];

static const struct counter_name names[COUNTERS] = {
#define X(id, family, label) [COUNTER_##id] = {family, label},
    PLUGIN_COUNTERS(X)
#undef X
#define X(id, name, english, spanish) [COUNTER_ERROR_##id] = {"messages_rejected", name},
        CHAT_ERRORS(X)
#undef X
#define X(id, family, label) [COUNTER_CAUSE_##id] = {family, label},
            LOG_CAUSES(X)
#undef X
};

const struct counter_name *counters_names(void)
{
	return names;
}

static struct {
	uint64_t logged_sum;
	uint64_t log_at_ms; /* 0: nothing has ticked yet */
} state;

static void put_lines(void)
{
	char line[LINE_BYTES];
	size_t at = 0;

	state.logged_sum = counter_sum(counters, COUNTERS);
	while (counter_line(names, counters, COUNTERS, &at, line, sizeof(line)) > 0)
		log_line(MOSQ_LOG_NOTICE, "counters: %s", line);
}

void counters_tick(uint64_t now_ms)
{
	if (state.log_at_ms == 0)
		state.log_at_ms = now_ms + COUNTERS_LOG_MS;
	if (now_ms < state.log_at_ms)
		return;
	state.log_at_ms = now_ms + COUNTERS_LOG_MS;
	if (counter_sum(counters, COUNTERS) != state.logged_sum)
		put_lines();
}

void counters_stop(void)
{
	put_lines();
	memset(counters, 0, sizeof(counters));
	memset(&state, 0, sizeof(state));
}
