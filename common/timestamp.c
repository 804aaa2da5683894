/*
 * timestamp.c - RFC 3339 in both directions, by plain arithmetic.
 */
#include "timestamp.h"

#define MS_PER_DAY UINT64_C(86400000)
#define YEAR_9999_END UINT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */
#define MINUTES_PER_DAY 1440

/* Writes value as exactly width digits. */
static char *put_digits(char *out, unsigned value, int width)
{
	for (int i = width - 1; i >= 0; i--) {
		out[i] = (char)('0' + value % 10);
		value /= 10;
	}
	return out + width;
}

void timestamp_format(uint64_t ms, char out[TIMESTAMP_LEN + 1])
{
	uint32_t days, era, day_of_era, year_of_era, day_of_year, shifted_month;
	uint32_t year, month, day, rest;
	char *p = out;

	if (ms > YEAR_9999_END) /* the format has no room for more */
		ms = YEAR_9999_END;
	rest = (uint32_t)(ms % MS_PER_DAY);

	/* Days since 0000-03-01: with the year turned to begin in March, the leap day is its last
	 * one, and 400 years (an era) have 146097 days. */
	days = (uint32_t)(ms / MS_PER_DAY) + 719468;
	era = days / 146097;
	day_of_era = days % 146097;
	year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	shifted_month = (5 * day_of_year + 2) / 153;
	day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
	month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
	year = era * 400 + year_of_era + (month <= 2 ? 1 : 0);

	p = put_digits(p, year, 4);
	*p++ = '-';
	p = put_digits(p, month, 2);
	*p++ = '-';
	p = put_digits(p, day, 2);
	*p++ = 'T';
	p = put_digits(p, rest / 3600000, 2);
	*p++ = ':';
	p = put_digits(p, rest / 60000 % 60, 2);
	*p++ = ':';
	p = put_digits(p, rest / 1000 % 60, 2);
	*p++ = '.';
	p = put_digits(p, rest % 1000, 3);
	*p++ = 'Z';
	*p = '\0';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads exactly width digits at s; -1 when one is none. */
static int get_digits(const char *s, int width)
{
	int value = 0;

	for (int i = 0; i < width; i++) {
		if (!is_digit(s[i]))
			return -1;
		value = value * 10 + (s[i] - '0');
	}
	return value;
}

static int days_in_month(int year, int month)
{
	static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
		return 29;
	return days[month - 1];
}

/* "Z", "z" or "+hh:mm": true and the offset in minutes. */
static bool get_offset(const char *s, size_t n, int *minutes)
{
	int hour, minute;

	*minutes = 0;
	if (n == 1)
		return s[0] == 'Z' || s[0] == 'z';
	if (n != 6 || (s[0] != '+' && s[0] != '-') || s[3] != ':')
		return false;
	hour = get_digits(s + 1, 2);
	minute = get_digits(s + 4, 2);
	if (hour < 0 || hour > 23 || minute < 0 || minute > 59)
		return false;
	*minutes = (s[0] == '-' ? -1 : 1) * (hour * 60 + minute);
	return true;
}

bool timestamp_valid(const char *s, size_t n)
{
	int year, month, day, hour, minute, second, offset;
	size_t at = 19; /* behind "2026-11-22T14:07:31" */

	if (n < 20 || s[4] != '-' || s[7] != '-' || (s[10] != 'T' && s[10] != 't') || s[13] != ':' ||
	    s[16] != ':')
		return false;
	year = get_digits(s, 4);
	month = get_digits(s + 5, 2);
	day = get_digits(s + 8, 2);
	hour = get_digits(s + 11, 2);
	minute = get_digits(s + 14, 2);
	second = get_digits(s + 17, 2);
	if (year < 0 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
		return false;
	if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
		return false;

	if (s[at] == '.') {
		size_t digits = at + 1;

		for (at = digits; at < n && is_digit(s[at]); at++)
			continue;
		if (at == digits || at == n)
			return false;
	}
	if (!get_offset(s + at, n - at, &offset))
		return false;
	if (second < 60)
		return true;
	return (hour * 60 + minute - offset + 2 * MINUTES_PER_DAY) % MINUTES_PER_DAY == MINUTES_PER_DAY - 1;
}
