/*
 * arrivals.h - what comes in over the sessions, and what is counted of it.
 *
 * A message of this run goes into the ledger and the histogram of latencies, a probe marks its reader as
 * joined; what the server says besides is counted, its first error kept for people to read. Over MQTT the
 * packets of a login are answered here.
 */
#ifndef BENCH_ARRIVALS_H
#define BENCH_ARRIVALS_H

#include "bench/run_state.h"

/* Sleeps until something happens, but not beyond that time nor for long (phases end in time), and takes what
 * has happened. Sets run->now. */
void arrivals_take(struct run *run, uint64_t until);

/* A session's connection has ended, and run->net.why says how. Counts it, unless it was to end (GOODBYE). */
void arrivals_end(struct run *run, uint32_t session);

#endif
