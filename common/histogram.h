/*
 * histogram.h - how often values fell between which bounds. Pure, no allocation, one loop over a dozen bounds
 * for an observation, however often it counts.
 *
 * What is kept are numbers that only grow, one for each bound, one for what is beyond them and the sum: so
 * those of several processes can be added. What Prometheus wants (each bucket with all below it) is made
 * where the text is made.
 */
#ifndef CHAT_HISTOGRAM_H
#define CHAT_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BOUNDS_MAX 14
#define HISTOGRAM_CELLS_MAX (HISTOGRAM_BOUNDS_MAX + 2)

/* labels: of its cells: the bounds as Prometheus has them (`le`), "+Inf", "sum". bounds and the sum are in
 * one unit, of which `unit` make a base unit of the labels: 1000 for milliseconds. */
struct histogram_shape {
	size_t bound_count;
	const uint32_t *bounds;
	const char *const *labels; /* bound_count + 2 */
	uint32_t unit;
};

static inline size_t histogram_cells(const struct histogram_shape *shape)
{
	return shape->bound_count + 2;
}

/* From the moment that a message is accepted (the time in its id) until it has been handed to the sockets of
 * a room's members; milliseconds. */
extern const struct histogram_shape histogram_delivery;

/* To how many sessions of one bridge a room's message went. */
extern const struct histogram_shape histogram_fanout;

/* A transaction of history; microseconds. */
extern const struct histogram_shape histogram_flush;

/* The cell that a value belongs to. */
size_t histogram_cell(const struct histogram_shape *shape, uint64_t value);

/* times: how often the value is counted. */
static inline void histogram_add(const struct histogram_shape *shape, uint64_t *cells, uint64_t value,
                                 uint64_t times)
{
	cells[histogram_cell(shape, value)] += times;
	cells[shape->bound_count + 1] += value * times;
}

#endif
