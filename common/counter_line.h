/*
 * counter_line.h - counters as text for the log: "closes 1000=3 4001=1; rejected rate_connects=12".
 *
 * Both programs keep their counters as one array beside a table of names. Those of a family stand together in
 * the table; which metric a family is says metrics.h. Pure, no allocation.
 */
#ifndef CHAT_COUNTER_LINE_H
#define CHAT_COUNTER_LINE_H

#include <stddef.h>
#include <stdint.h>

struct counter_name {
	const char *family;
	const char *label;
};

/* Writes those that are not zero, from number *at on, as far as they fit into cap bytes with a NUL; *at
 * becomes the first that is not written, or count. Returns the length without NUL, 0 when none is left. cap:
 * at least COUNTER_LINE_MIN, so that every call gets on. */
#define COUNTER_LINE_MIN 128
size_t counter_line(const struct counter_name *names, const uint64_t *values, size_t count, size_t *at,
                    char *out, size_t cap);

/* All together; has it changed? */
uint64_t counter_sum(const uint64_t *values, size_t count);

#endif
