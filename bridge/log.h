/*
 * log.h - lines for the broker's log.
 *
 * Standard error is a pipe to the plugin, which puts each line into the broker's log
 * by the level digit it begins with ("3 text"). The pipe never blocks the loop: a
 * line that does not fit is counted, and the count is logged as soon as one fits.
 *
 * What a remote peer can cause is logged through log_limited: at most one line a
 * minute for each cause, with the number left out.
 */
#ifndef CHAT_BRIDGE_LOG_H
#define CHAT_BRIDGE_LOG_H

#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
};

/* One cause of limited lines; zero-initialised, static. */
struct log_limit {
	uint64_t next_ms;
	uint64_t held_back;
};

/* Makes standard error non-blocking. To be called once, first. */
void log_start(void);

/* One line, at most 1000 bytes; control characters in it are replaced by '?'. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* now_ms: any monotonic clock, always the same one. */
void log_limited(struct log_limit *limit, uint64_t now_ms, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
