/*
 * values.c - the notations that option values are written in.
 */
#include "values.h"

#include <stddef.h>
#include <string.h>

/* Reads the digits at *at and moves *at behind them. False when there are none or too many. */
static bool digits(const char **at, uint64_t *out)
{
	const char *s = *at;
	uint64_t n = 0;

	for (; *s >= '0' && *s <= '9'; s++) {
		n = n * 10 + (uint64_t)(*s - '0');
		if (n > UINT32_MAX)
			return false;
	}
	if (s == *at)
		return false;
	*at = s;
	*out = n;
	return true;
}

static bool within(uint64_t n, uint32_t min, uint32_t max, uint32_t *out)
{
	if (n < min || n > max)
		return false;
	*out = (uint32_t)n;
	return true;
}

bool value_count(const char *s, uint32_t min, uint32_t max, uint32_t *out)
{
	uint64_t n;

	return digits(&s, &n) && *s == '\0' && within(n, min, max, out);
}

struct unit {
	const char *name;
	uint32_t factor;
};

static bool with_unit(const char *s, const struct unit *units, size_t count, uint32_t min, uint32_t max,
                      uint32_t *out)
{
	uint64_t n;
	size_t i;

	if (!digits(&s, &n))
		return false;
	for (i = 0; i < count; i++)
		if (strcmp(s, units[i].name) == 0)
			return within(n * units[i].factor, min, max, out);
	return false;
}

bool value_size(const char *s, uint32_t min, uint32_t max, uint32_t *out)
{
	static const struct unit units[] = {{"", 1}, {"k", 1024}, {"m", 1024 * 1024}};

	return with_unit(s, units, sizeof(units) / sizeof(units[0]), min, max, out);
}

bool value_time(const char *s, uint32_t min_ms, uint32_t max_ms, uint32_t *out_ms)
{
	static const struct unit units[] = {
	    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

	return with_unit(s, units, sizeof(units) / sizeof(units[0]), min_ms, max_ms, out_ms);
}

bool value_number(const char *s, uint32_t min, uint32_t max, uint32_t *out)
{
	static const struct unit units[] = {{"", 1}, {"k", 1000}, {"m", 1000000}};

	return with_unit(s, units, sizeof(units) / sizeof(units[0]), min, max, out);
}

bool value_seconds(const char *s, uint32_t min_s, uint32_t max_s, uint32_t *out_s)
{
	static const struct unit units[] = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};

	return with_unit(s, units, sizeof(units) / sizeof(units[0]), min_s, max_s, out_s);
}

/* Skips blanks; false when there were none. */
static bool blanks(const char **at)
{
	const char *s = *at;

	while (*s == ' ' || *s == '\t')
		s++;
	if (s == *at)
		return false;
	*at = s;
	return true;
}

bool value_rate(const char *s, uint32_t max, struct value_rate *out)
{
	static const char word[] = "burst";
	struct value_rate rate = {0, 0};
	uint64_t n;

	if (strcmp(s, "off") == 0) {
		*out = rate;
		return true;
	}
	if (!digits(&s, &n) || !within(n, 1, max, &rate.per_second) || strncmp(s, "/s", 2) != 0)
		return false;
	s += 2;
	rate.burst = rate.per_second <= max / 2 ? 2 * rate.per_second : max;
	if (*s != '\0') {
		if (!blanks(&s) || strncmp(s, word, sizeof(word) - 1) != 0)
			return false;
		s += sizeof(word) - 1;
		if (!blanks(&s) || !digits(&s, &n) || *s != '\0' || !within(n, 1, max, &rate.burst))
			return false;
	}
	*out = rate;
	return true;
}
