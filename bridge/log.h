/*
 * log.h - lines for the broker's log.
 *
 * Standard error is a pipe to the plugin, which puts each line into the broker's log
 * by the level digit it begins with ("3 text"). The pipe never blocks the loop: a
 * line that does not fit is counted, and the count is logged as soon as one fits.
 *
 * What a remote peer can cause is logged through log_limited: at most one line a minute for each cause,
 * however many peers there are. How many more there were says the next line, or the first one once more when
 * the minute is over and no next one has come.
 */
#ifndef CHAT_BRIDGE_LOG_H
#define CHAT_BRIDGE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
};

#define LOG_LIMIT_MS 60000
#define LOG_LIMIT_TEXT 400 /* bytes of a line that are kept for later */

/* One cause of limited lines; zero-initialised, static: it is never forgotten. */
struct log_limit {
	uint64_t next_ms;
	uint64_t held_back;
	struct log_limit *next; /* of all that have ever been used */
	enum log_level level;
	bool listed;
	char text[LOG_LIMIT_TEXT]; /* of the line that was written last */
};

/* Makes standard error non-blocking. To be called once, first. */
void log_start(void);

/* One line, at most 1000 bytes; control characters in it are replaced by '?'. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same with fields for whoever has the log as objects (common/log_object.h). */
struct log_fields;
void log_event(enum log_level level, const struct log_fields *fields, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* now_ms: any monotonic clock, always the same one. */
void log_limited(struct log_limit *limit, uint64_t now_ms, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* In every round: the lines of minutes that are over. */
void log_tick(uint64_t now_ms);

/* At the end: those of the minutes that are not. */
void log_stop(void);

#endif
