/*
 * counter_line.c - counters as text for the log.
 */
#include "counter_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

size_t counter_line(const struct counter_name *names, const uint64_t *values, size_t count, size_t *at,
                    char *out, size_t cap)
{
	const char *family = "";
	size_t len = 0;
	size_t i;
	int n;

	for (i = *at; i < count; i++) {
		if (values[i] == 0)
			continue;
		if (strcmp(family, names[i].family) != 0)
			n = snprintf(out + len, cap - len, "%s%s %s=%" PRIu64, len > 0 ? "; " : "", names[i].family,
			             names[i].label, values[i]);
		else
			n = snprintf(out + len, cap - len, " %s=%" PRIu64, names[i].label, values[i]);
		if (n < 0 || (size_t)n >= cap - len) {
			out[len] = '\0';
			break;
		}
		family = names[i].family;
		len += (size_t)n;
	}
	*at = i;
	return len;
}

uint64_t counter_sum(const uint64_t *values, size_t count)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < count; i++)
		sum += values[i];
	return sum;
}
