/*
 * values.h - the notations that option values are written in.
 *
 * Pure. Each reader takes a NUL-terminated text without blanks at its ends and answers false,
 * with *out untouched, for everything but the whole text in the notation and within the bounds
 * (both included).
 */
#ifndef CHAT_VALUES_H
#define CHAT_VALUES_H

#include <stdbool.h>
#include <stdint.h>

/* "10000" */
bool value_count(const char *s, uint32_t min, uint32_t max, uint32_t *out);

/* Bytes: "65536", "64k" (1024 bytes), "1m" (1024 k). */
bool value_size(const char *s, uint32_t min, uint32_t max, uint32_t *out);

/* "500000", "500k" (thousands), "1m" (millions) */
bool value_number(const char *s, uint32_t min, uint32_t max, uint32_t *out);

/* Milliseconds from "500ms", "30s", "5m", "2h" or "1d". A bare number is refused: the reader of a
 * configuration must not have to guess its unit. */
bool value_time(const char *s, uint32_t min_ms, uint32_t max_ms, uint32_t *out_ms);

/* The same in whole seconds, for times of more than 49 days; "ms" is no unit of it. */
bool value_seconds(const char *s, uint32_t min_s, uint32_t max_s, uint32_t *out_s);

struct value_rate {
	uint32_t per_second; /* 0: no limit */
	uint32_t burst;
};

/* "20/s burst 40", "20/s" (burst then is twice the rate), or "off". Both numbers 1 to max. */
bool value_rate(const char *s, uint32_t max, struct value_rate *out);

#endif
