/*
 * report.h - a result as text for people or as one JSON object for programs.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "bench/options.h"
#include "bench/run.h"

#include <stdbool.h>

/* Both print to standard output. False: that failed. */
bool report_text(const struct options *o, const struct result *r);
bool report_json(const struct options *o, const struct result *r);

#endif
