/*
 * histogram.c - how often values fell between which bounds.
 */
#include "histogram.h"

static const uint32_t delivery_bounds[] = {1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10000};
static const char *const delivery_labels[] = {"0.001", "0.002", "0.005", "0.01", "0.025", "0.05", "0.1",
                                              "0.25",  "0.5",   "1",     "2.5",  "10",    "+Inf", "sum"};
const struct histogram_shape histogram_delivery = {12, delivery_bounds, delivery_labels, 1000};

static const uint32_t fanout_bounds[] = {0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000};
static const char *const fanout_labels[] = {"0",   "1",   "2",    "5",    "10",   "20",    "50",   "100",
                                            "200", "500", "1000", "2000", "5000", "10000", "+Inf", "sum"};
const struct histogram_shape histogram_fanout = {14, fanout_bounds, fanout_labels, 1};

static const uint32_t flush_bounds[] = {100,   250,    500,    1000,   2500,    5000,   10000,
                                        25000, 100000, 250000, 500000, 1000000, 5000000};
static const char *const flush_labels[] = {"0.0001", "0.00025", "0.0005", "0.001", "0.0025",
                                           "0.005",  "0.01",    "0.025",  "0.1",   "0.25",
                                           "0.5",    "1",       "5",      "+Inf",  "sum"};
const struct histogram_shape histogram_flush = {13, flush_bounds, flush_labels, 1000000};

#define LABELS(name, count)                                                                                  \
	_Static_assert(sizeof(name) / sizeof(*(name)) == (count) + 2, "a label for each cell")
LABELS(delivery_labels, sizeof(delivery_bounds) / sizeof(*delivery_bounds));
LABELS(fanout_labels, sizeof(fanout_bounds) / sizeof(*fanout_bounds));
LABELS(flush_labels, sizeof(flush_bounds) / sizeof(*flush_bounds));

size_t histogram_cell(const struct histogram_shape *shape, uint64_t value)
{
	size_t i;

	for (i = 0; i < shape->bound_count && value > shape->bounds[i]; i++)
		;
	return i;
}
