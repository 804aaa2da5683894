/*
 * RFC 3339: written for every day, read with every deviation.
 */
#include "common/timestamp.h"

#include "tests/unit/guarded.h"

#include <stdio.h>
#include <time.h>

#define DAY_MS UINT64_C(86400000)
#define YEAR_9999_END UINT64_C(253402300799999)

static bool valid(const char *s)
{
	return timestamp_valid(guarded_text(0, s), strlen(s));
}

static void writes(uint64_t ms, const char *expected)
{
	char out[TIMESTAMP_LEN + 1];

	memset(out, 'x', sizeof(out));
	timestamp_format(ms, out);
	assert_string_equal(out, expected);
}

static void known_times(void **state)
{
	(void)state;
	writes(0, "1970-01-01T00:00:00.000Z");
	writes(1, "1970-01-01T00:00:00.001Z");
	writes(UINT64_C(951782399999), "2000-02-28T23:59:59.999Z");
	writes(UINT64_C(951782400000), "2000-02-29T00:00:00.000Z");
	writes(UINT64_C(951868800000), "2000-03-01T00:00:00.000Z");
	writes(UINT64_C(4107542400000), "2100-03-01T00:00:00.000Z");
	writes(UINT64_C(1795356451482), "2026-11-22T14:07:31.482Z");
	writes(YEAR_9999_END, "9999-12-31T23:59:59.999Z");
	writes(YEAR_9999_END + 1, "9999-12-31T23:59:59.999Z");
	writes(UINT64_MAX, "9999-12-31T23:59:59.999Z");
}

/* Each day of eight thousand years against the C library, and read back. */
static void every_day(void **state)
{
	(void)state;
	for (uint64_t day = 0; day * DAY_MS < YEAR_9999_END; day++) {
		uint64_t ms = day * DAY_MS + day * 7919 % DAY_MS;
		time_t seconds = (time_t)(ms / 1000);
		char out[TIMESTAMP_LEN + 1], expected[40];
		struct tm tm;

		timestamp_format(ms, out);
		assert_non_null(gmtime_r(&seconds, &tm));
		assert_int_equal(strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S", &tm), 19);
		assert_memory_equal(out, expected, 19);
		assert_int_equal(snprintf(expected, sizeof(expected), ".%03uZ", (unsigned)(ms % 1000)), 5);
		assert_string_equal(out + 19, expected);
		assert_true(timestamp_valid(out, TIMESTAMP_LEN));
	}
}

static void fine(void **state)
{
	static const char *const good[] = {
	    "2026-11-22T14:07:31Z",        "2026-11-22t14:07:31z",
	    "2026-11-22T14:07:31.4Z",      "2026-11-22T14:07:31.1234567890123456789012345678901234567890Z",
	    "2026-11-22T14:07:31+00:00",   "2026-11-22T14:07:31-00:00",
	    "2026-11-22T14:07:31.5+23:59", "2026-11-22T14:07:31-23:59",
	    "0000-01-01T00:00:00Z",        "0000-02-29T00:00:00Z",
	    "9999-12-31T23:59:59Z",        "2000-02-29T00:00:00Z",
	    "2024-02-29T00:00:00Z",        "1990-12-31T23:59:60Z",
	    "1990-12-31T15:59:60-08:00",   "1991-01-01T00:59:60.5+01:00",
	    "1991-01-01T23:58:60+23:59",   "1991-01-01T00:00:60-23:59",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (!valid(good[i]))
			fail_msg("refused: %s", good[i]);
	}
}

static void not_fine(void **state)
{
	static const char *const bad[] = {
	    "",
	    "Z",
	    "2026",
	    "2026-11-22",
	    "2026-11-22T14:07:31",
	    "2026-11-22T14:07Z",
	    "2026-11-22 14:07:31Z",
	    "2026-00-22T14:07:31Z",
	    "2026-13-22T14:07:31Z",
	    "2026-11-00T14:07:31Z",
	    "2026-11-31T14:07:31Z",
	    "2026-02-29T14:07:31Z",
	    "1900-02-29T14:07:31Z",
	    "2100-02-29T14:07:31Z",
	    "2024-02-30T14:07:31Z",
	    "2026-01-32T14:07:31Z",
	    "2026-11-22T24:07:31Z",
	    "2026-11-22T14:60:31Z",
	    "2026-11-22T14:07:61Z",
	    "2026-11-22T14:07:31.Z",
	    "2026-11-22T14:07:31.",
	    "2026-11-22T14:07:31.5",
	    "2026-11-22T14:07:31,5Z",
	    "2026-11-22T14:07:31ZZ",
	    "2026-11-22T14:07:31Z ",
	    "2026-11-22T14:07:31x",
	    "2026-11-22T14:07:31+24:00",
	    "2026-11-22T14:07:31+00:60",
	    "2026-11-22T14:07:31+0000",
	    "2026-11-22T14:07:31+00",
	    "2026-11-22T14:07:31+00-00",
	    "2026-11-22T14:07:31+00:000",
	    "2026-11-22T14:07:31*00:00",
	    "2026-11-22T14:07:31.5.5Z",
	    "2026-11-22T14:07:60Z",
	    "1990-12-31T23:59:60+00:01",
	    "1990-12-31T23:59:60-08:00",
	    "2026-11-22T23:58:60Z",
	    "2026-11-22T14:07:31.5*",
	    "2026-11-22T14:07:31+a0:00",
	    "2026-11-22T14:07:31+00:a0",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (valid(bad[i]))
			fail_msg("accepted: %s", bad[i]);
	}
}

/* The last day of each month is one, the next is none. */
static void month_ends(void **state)
{
	static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	char text[40];

	(void)state;
	for (int month = 1; month <= 12; month++) {
		for (int day = 28; day <= 33; day++) {
			assert_true(snprintf(text, sizeof(text), "2024-%02d-%02dT00:00:00Z", month, day) > 0);
			assert_int_equal(valid(text), day <= days[month - 1]);
		}
	}
}

/* Every byte in every place: what is accepted then still has the shape. */
static void every_byte(void **state)
{
	static const char text[] = "2026-11-22T14:07:31.48+01:30";
	static const char shape[] = "dddd-dd-ddTdd:dd:dd.dd+dd:dd";

	(void)state;
	for (size_t at = 0; at < sizeof(text) - 1; at++) {
		for (int c = 0; c < 256; c++) {
			char changed[sizeof(text)];
			bool fits;

			memcpy(changed, text, sizeof(text));
			changed[at] = (char)c;
			if (shape[at] == 'd')
				fits = c >= '0' && c <= '9';
			else if (shape[at] == 'T')
				fits = c == 'T' || c == 't';
			else
				fits = c == shape[at] || (shape[at] == '+' && c == '-');
			if (timestamp_valid(guarded(0, changed, sizeof(text) - 1), sizeof(text) - 1))
				assert_true(fits);
		}
	}
}

static void every_prefix(void **state)
{
	static const char text[] = "2026-11-22T14:07:31.48+01:30";

	(void)state;
	for (size_t n = 0; n < sizeof(text) - 1; n++)
		assert_false(timestamp_valid(guarded(0, text, n), n));
	assert_true(valid(text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(known_times),  cmocka_unit_test(every_day),  cmocka_unit_test(fine),
	    cmocka_unit_test(not_fine),     cmocka_unit_test(month_ends), cmocka_unit_test(every_byte),
	    cmocka_unit_test(every_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
