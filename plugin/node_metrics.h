/*
 * node_metrics.h - what the whole node has counted: the plugin's own numbers and those of every bridge, as
 * Prometheus text, and retained under $SYS/broker/chat.
 *
 * A scrape reaches any one of the bridges, so the sums are made here. Bridges report numbers as they are
 * (common/metrics.h); what a bridge had counted when it ended stays in the sum, so that counters only grow
 * while the broker runs. A bridge that is killed takes what it had not reported with it: at most a second.
 *
 * Main thread only. Bounds: SERIES_MAX numbers, METRICS_TEXT_MAX bytes of text.
 */
#ifndef CHAT_NODE_METRICS_H
#define CHAT_NODE_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERIES_MAX 384
#define METRICS_TEXT_MAX 65536

struct options;

/* options: borrowed until node_metrics_stop. broker_version: 2000011 for 2.0.11. sys_interval_s: between two
 * looks at what has changed under $SYS, 0: nothing is published there. False: out of memory. */
bool node_metrics_start(const struct options *options, int broker_version, unsigned sys_interval_s);
void node_metrics_stop(void);

/* A report of a bridge. life: of its process, never the same for two of them in a row. False: this is no
 * report, or there are too many numbers; what came before the fault counts. */
bool node_metrics_report(size_t bridge, unsigned long life, const char *text, size_t len);

/* That process is no more. */
void node_metrics_bridge_ended(size_t bridge, unsigned long life);

/* Everything as Prometheus text (format 0.0.4), no NUL. Returns its length, 0 when it does not fit. */
size_t node_metrics_text(char *out, size_t cap);

/* In every tick: publishes what has changed, when it is time. */
void node_metrics_tick(uint64_t now_ms);

#endif
