/*
 * drain.c - see drain.h
 */
#include "drain.h"

#include "events.h"

#include <string.h>

static struct {
	bool on;
	uint64_t end_ms;
} state;

void drain_stop(void)
{
	memset(&state, 0, sizeof(state));
}

bool drain_begin(uint32_t seconds, uint64_t now_ms)
{
	uint64_t ms = (uint64_t)seconds * 1000;

	if (!events_drain(true, ms))
		return false;
	state.on = true;
	state.end_ms = now_ms + ms;
	return true;
}

bool drain_end(void)
{
	if (!events_drain(false, 0))
		return false;
	state.on = false;
	return true;
}

bool drain_on(void)
{
	return state.on;
}

uint64_t drain_left_ms(uint64_t now_ms)
{
	return state.on && now_ms < state.end_ms ? state.end_ms - now_ms : 0;
}
