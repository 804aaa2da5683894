/*
 * bridge_log.h - what a bridge process writes, line by line into the broker's log.
 *
 * A line "4 text" has a level like syslog's (3 error, 4 warning, 5 notice, 6 info, 7 debug); a line
 * without one, from a library or a sanitizer, counts as a warning. Control characters become '?'. Behind
 * LOG_FIELDS_MARK stand the fields of the line (common/log_object.h).
 */
#ifndef CHAT_BRIDGE_LOG_H
#define CHAT_BRIDGE_LOG_H

#include <stdbool.h>
#include <stddef.h>

#define BRIDGE_TEXT_MAX                                                                                      \
	900                      /* bytes; the broker cuts its own lines at 1000. Longer ones go on in the next. \
	                          */
#define BRIDGE_LINE_MAX 2048 /* with fields */

struct bridge_log {
	int fd; /* the non-blocking end of a pipe, owned; -1 = none */
	size_t len;
	char line[BRIDGE_LINE_MAX + 1];
};

void bridge_log_open(struct bridge_log *log, int fd);

/* To poll; -1 = none. */
int bridge_log_fd(const struct bridge_log *log);

/* Passes on the whole lines that are there, at most 64 KB of them. name: "chat-bridge". */
void bridge_log_pass(struct bridge_log *log, const char *name);

/* Passes on what is left, also without a line's end, and closes. */
void bridge_log_close(struct bridge_log *log, const char *name);

#endif
