/*
 * histogram.c - see histogram.h. Values below 128 have a bucket each; above, a value's bucket
 * is its highest set bit and the seven bits that follow.
 */
#include "bench/histogram.h"

#define SUB_COUNT (UINT64_C(1) << HISTOGRAM_SUB_BITS)
#define VALUE_MAX ((UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1)

static unsigned bucket_of(uint64_t value)
{
	unsigned shift;

	if (value < SUB_COUNT)
		return (unsigned)value;
	shift = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
	return ((shift + 1) << HISTOGRAM_SUB_BITS) + (unsigned)((value >> shift) - SUB_COUNT);
}

static uint64_t largest_in(unsigned bucket)
{
	unsigned shift = bucket >> HISTOGRAM_SUB_BITS;
	uint64_t sub = bucket & (SUB_COUNT - 1);

	if (shift == 0)
		return sub;
	return ((SUB_COUNT + sub + 1) << (shift - 1)) - 1;
}

void histogram_record(struct histogram *h, uint64_t value)
{
	if (value > VALUE_MAX)
		value = VALUE_MAX;
	h->counts[bucket_of(value)]++;
	h->total++;
	h->sum += (double)value;
	if (value > h->max)
		h->max = value;
}

uint64_t histogram_quantile(const struct histogram *h, double quantile)
{
	double exact = quantile * (double)h->total;
	uint64_t rank = (uint64_t)exact;
	uint64_t seen = 0;

	if (h->total == 0)
		return 0;
	if ((double)rank < exact || rank == 0)
		rank++;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->counts[i];
		if (seen >= rank)
			return largest_in(i) < h->max ? largest_in(i) : h->max;
	}
	return h->max;
}

double histogram_mean(const struct histogram *h)
{
	return h->total == 0 ? 0 : h->sum / (double)h->total;
}
