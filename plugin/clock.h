/*
 * clock.h - the two clocks in use, both in milliseconds.
 */
#ifndef CHAT_CLOCK_H
#define CHAT_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ms(clockid_t which)
{
	struct timespec t;

	if (clock_gettime(which, &t) != 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Never steps; for durations. */
static inline uint64_t clock_monotonic_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

/* Since 1970; for what people see. */
static inline uint64_t clock_real_ms(void)
{
	return clock_ms(CLOCK_REALTIME);
}

#endif
