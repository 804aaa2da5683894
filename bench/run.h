/*
 * run.h - one measurement from the first connection to the last goodbye. Ends by itself: every
 * phase has a limit of time.
 *
 *   connect  all sessions, a bounded number at once
 *   join     authors send probes until every session has received one (with authors only)
 *   warm-up  load, not measured
 *   measure  load for the time asked for, or silence where there are no authors
 *   drain    no new messages; late ones are awaited
 *   goodbye  closing handshakes, at most two seconds
 */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include "bench/histogram.h"
#include "bench/ledger.h"
#include "bench/options.h"
#include "bench/process.h"

#include <stdbool.h>
#include <stdint.h>

#define RUN_AFFECTED 32
#define RUN_TEXT 240 /* bytes kept of a server's first error or of a first failure */

/* Times in seconds. "In the window": between the beginning and the end of "measure". */
struct result {
	uint32_t sessions;
	double connect_seconds;   /* first connect() to last 101 */
	double join_seconds;      /* from then until the last session had a probe */
	struct histogram connect; /* each session's connect() to 101, microseconds */

	double window_seconds;
	uint64_t sent;            /* messages in the window */
	uint64_t deliveries;      /* arrivals in the window */
	uint64_t bytes_in;        /* received in the window */
	struct histogram latency; /* of messages sent (open loop: due) in the window, microseconds, also when they
	                             come later */
	struct histogram
	    lateness; /* open loop: how long after it was due each was sent: the generator's own delay */

	uint64_t sent_total, delivered_total; /* warm-up and drain included, doubles not */
	bool ledger;                          /* lost, doubled and disordered were counted */
	struct ledger_counts counts;          /* over all sessions and the whole run */
	uint32_t readers_affected;            /* sessions with any of them */
	uint32_t worst_session;               /* the one with the most, where there is one */
	struct ledger_counts worst;
	struct {
		uint32_t session;
		struct ledger_counts counts;
	} affected[RUN_AFFECTED]; /* the first of them */

	uint64_t errors; /* frames with "type":"error" */
	uint64_t others; /* frames that are neither errors nor messages of this run */
	uint64_t own;    /* messages that came back to their author */
	uint64_t unsent; /* not sent: the author's connection was gone or its backlog full */
	uint64_t stalls; /* closed loop: a second without any delivery, after which it was started anew */
	uint32_t closed; /* sessions that ended before the goodbye */
	char first_error[RUN_TEXT];
	char first_closed[RUN_TEXT];

	double own_cpu_seconds;                         /* in the window */
	struct process_sample before[OPTIONS_PIDS_MAX]; /* before connecting; … */
	struct process_sample begin[OPTIONS_PIDS_MAX];  /* … at the beginning and the end of the window */
	struct process_sample end[OPTIONS_PIDS_MAX];
};

/* False: it could not run, *r is incomplete, and why (RUN_TEXT bytes) says what happened. */
bool run_load(const struct options *o, struct result *r, char *why);

#endif
