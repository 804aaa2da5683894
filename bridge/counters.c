/* counters.c - see counters.h */
#include "bridge/counters.h"
#include "bridge/log.h"

#include <stdlib.h>

#define LINE_BYTES 900 /* the broker cuts lines at 1000 bytes, time stamp and all */

uint64_t counters[COUNTERS];

static const struct counter_name names[COUNTERS] = {
#define X(id, family, label) [COUNTER_##id] = {family, label},
    BRIDGE_COUNTERS(X)
#undef X
#define X(id, name, english, spanish) [COUNTER_ERROR_##id] = {"messages_rejected", name},
        CHAT_ERRORS(X)
#undef X
};

const struct counter_name *counters_names(void)
{
	return names;
}

static uint64_t logged_sum;
static uint64_t log_at_ms;

/* The counter of a family whose label is this number, or the fallback. */
static enum counter of_number(enum counter first, enum counter other, unsigned number)
{
	for (unsigned i = first; i < (unsigned)other; i++)
		if (strtoul(names[i].label, NULL, 10) == number)
			return (enum counter)i;
	return other;
}

enum counter counter_of_status(int status)
{
	return of_number(COUNTER_ANSWER_200, COUNTER_ANSWER_OTHER, (unsigned)status);
}

enum counter counter_of_close(unsigned code)
{
	return of_number(COUNTER_CLOSE_1000, COUNTER_CLOSE_OTHER, code);
}

enum counter counter_of_error(enum chat_error error)
{
	return (enum counter)(COUNTER_ERROR_INVALID_JSON + ((unsigned)error - CHAT_ERROR_INVALID_JSON));
}

static void put_lines(void)
{
	char line[LINE_BYTES];
	size_t at = 0;
	logged_sum = counter_sum(counters, COUNTERS);
	while (counter_line(names, counters, COUNTERS, &at, line, sizeof line) > 0)
		log_line(LOG_LEVEL_NOTICE, "counters: %s", line);
}

void counters_tick(uint64_t now_ms)
{
	if (log_at_ms == 0)
		log_at_ms = now_ms + COUNTERS_LOG_MS;
	if (now_ms < log_at_ms)
		return;
	log_at_ms = now_ms + COUNTERS_LOG_MS;
	if (counter_sum(counters, COUNTERS) != logged_sum)
		put_lines();
}

void counters_end(void)
{
	put_lines();
}
