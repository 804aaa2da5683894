/*
 * metrics.h - what is counted, as operators see it: the name of each metric, its label and what it means.
 *
 * Both programs count under a family and a label (counter_line.h); here stands what a family is called in
 * Prometheus and under $SYS/broker/chat. A bridge tells the plugin what it has counted in a report: lines
 * "<family> <label> <value>\n", of numbers that have changed since its last one, each as it is now. Pure.
 */
#ifndef CHAT_METRICS_H
#define CHAT_METRICS_H

#include "histogram.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define METRIC_PREFIX "mosquitto_chat_"
#define METRIC_FAMILY_MAX 31 /* bytes */
#define METRIC_LABEL_MAX 31  /* bytes, of A-Z a-z 0-9 _ . + - */
#define REPORT_LINE_MAX (METRIC_FAMILY_MAX + METRIC_LABEL_MAX + 24)
#define REPORT_MAX 32768 /* bytes of a report */

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric {
	const char *family;
	const char *only; /* of the family this label alone; NULL: all that no line before it has */
	const char *name; /* without prefix */
	const char *key;  /* what its label is called; NULL: there is one number and no label */
	enum metric_type type;
	const struct histogram_shape *shape; /* METRIC_HISTOGRAM */
	const char *help;
};

extern const struct metric metrics[];
extern const size_t metric_count;

/* Its place in metrics, or metric_count where there is none. */
size_t metric_find(const char *family, size_t family_len, const char *label, size_t label_len);

/* One line of a report. Returns its length, 0 when it does not fit. */
size_t report_put(const char *family, const char *label, uint64_t value, char *out, size_t cap);

struct report_line {
	const char *family, *label; /* no NUL behind them */
	size_t family_len, label_len;
	uint64_t value;
};

/* Takes the first line off the text. False: it is over (*len is 0), or what follows is no line. */
bool report_next(const char **text, size_t *len, struct report_line *out);

#endif
