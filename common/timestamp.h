/*
 * timestamp.h - times of day as RFC 3339 text. Pure, no allocation, no time zone database.
 */
#ifndef CHAT_TIMESTAMP_H
#define CHAT_TIMESTAMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMESTAMP_LEN 24 /* "2026-11-22T14:07:31.482Z" */

/* Milliseconds since 1970 in UTC, NUL-terminated. Years 1970 to 9999. */
void timestamp_format(uint64_t ms, char out[TIMESTAMP_LEN + 1]);

/* An RFC 3339 date-time: any offset, any number of fraction digits, 't' and 'z'
 * in either case, calendar checked (leap years), second 60 only where RFC 3339 allows a
 * leap second (23:59:60 UTC after applying the offset). */
bool timestamp_valid(const char *s, size_t n);

#endif
