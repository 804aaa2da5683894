/*
 * reports.h - what this bridge has counted goes to the plugin, which has the sums of the whole node.
 *
 * Once a second the numbers that have changed, one report at a time: while the broker takes nothing, none
 * follows. GET /metrics asks for the whole node's text, with this bridge's newest numbers in the same
 * question.
 *
 * Owns the histograms of the loop's thread; the counters are counters.h's.
 */
#ifndef CHAT_BRIDGE_REPORTS_H
#define CHAT_BRIDGE_REPORTS_H

#include "bridge/counters.h"
#include "bridge/sync.h"
#include "common/histogram.h"

#include <stdbool.h>
#include <stdint.h>

struct bridge;
struct http_exchange;

#define REPORTS_MS 1000
#define REPORT_GAUGES 3
#define REPORT_VALUES (COUNTERS + REPORT_GAUGES + 2 * HISTOGRAM_CELLS_MAX)

struct reports {
	struct bridge *bridge;
	struct sync_part part;
	struct sync_question question;
	uint64_t delivery[HISTOGRAM_CELLS_MAX]; /* histogram_delivery */
	uint64_t fanout[HISTOGRAM_CELLS_MAX];   /* histogram_fanout */
	uint64_t sent[REPORT_VALUES];           /* what the plugin has been told, in the order of value_at */
	bool told;                              /* anything since the connection stands */
	uint64_t next_ms;
};

void reports_start(struct reports *r, struct bridge *b);

/* Often; a report when it is time. */
void reports_tick(struct reports *r);

/* A room's message, accepted at sent_ms (of the real-time clock; 0: not known), has gone to so many sessions.
 */
void reports_delivered(struct reports *r, uint64_t sent_ms, uint64_t now_real_ms, uint64_t sessions);

/* GET /metrics, a route of http_api.c. */
bool reports_get_metrics(struct http_exchange *x);

#endif
