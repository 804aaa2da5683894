/*
 * histogram.h - counts of values from 0 to 2^36-1 with a relative error below 1 %, in
 * constant memory (HDR style: per power of two 128 buckets of equal width).
 *
 * The unit is the caller's; the load generator uses microseconds. Larger values count as
 * the largest. Pure: no allocation, no I/O.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 7
#define HISTOGRAM_VALUE_BITS 36
#define HISTOGRAM_BUCKETS ((HISTOGRAM_VALUE_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
	uint64_t counts[HISTOGRAM_BUCKETS];
	uint64_t total;
	uint64_t max; /* exact */
	double sum;
};

/* All zero is an empty histogram. */
void histogram_record(struct histogram *h, uint64_t value);

/* The largest value that the bucket of the quantile can hold (so never too small by more
 * than the error, and never beyond the maximum); 0 when empty. quantile: 0 to 1. */
uint64_t histogram_quantile(const struct histogram *h, double quantile);

/* The mean of the exact values; 0 when empty. */
double histogram_mean(const struct histogram *h);

#endif
