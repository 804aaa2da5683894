/*
 * Values of options: each notation, its bounds, and what is none of it.
 */
#include "plugin/values.h"

#include "tests/unit/guarded.h"

#define UNTOUCHED 0xa5a5a5a5u

typedef bool (*reader)(const char *s, uint32_t min, uint32_t max, uint32_t *out);

static bool read_value(reader read, const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
	bool fine;

	*out = UNTOUCHED;
	fine = read(guarded(0, text, strlen(text) + 1), min, max, out);
	if (!fine)
		assert_int_equal(*out, UNTOUCHED);
	return fine;
}

static void is(reader read, const char *text, uint32_t expected)
{
	uint32_t out;

	if (!read_value(read, text, 0, UINT32_MAX, &out))
		fail_msg("refused: %s", text);
	assert_int_equal(out, expected);
	/* within bounds that are just it, not within others */
	assert_true(read_value(read, text, expected, expected, &out));
	if (expected > 0)
		assert_false(read_value(read, text, 0, expected - 1, &out));
	if (expected < UINT32_MAX)
		assert_false(read_value(read, text, expected + 1, UINT32_MAX, &out));
}

static void refused(reader read, const char *const *texts)
{
	uint32_t out;

	for (; *texts; texts++)
		if (read_value(read, *texts, 0, UINT32_MAX, &out))
			fail_msg("accepted: %s", *texts);
}

/* None in any notation. */
static const char *const no_number[] = {
    "",
    "k",
    "s",
    "-1",
    "+1",
    "-1s",
    "+1k",
    " 1",
    "1 ",
    "1 k",
    "1 s",
    "1.5",
    "1,0",
    "0x10",
    "1e3",
    "1ks",
    "1kk",
    "1ss",
    "1k ",
    "k1",
    "1k1",
    "1s1",
    "1K",
    "1S",
    "1M",
    "1g",
    "1w",
    "1us",
    "1%",
    "1\n",
    "4294967296",
    "4294967296s",
    "99999999999999999999",
    "ten",
    "off",
    "18446744073709551617s",
    "18446744073709551617",
    NULL,
};

static void counts(void **state)
{
	static const char *const bad[] = {"1k", "1m", "1s", NULL};

	(void)state;
	is(value_count, "0", 0);
	is(value_count, "10000", 10000);
	is(value_count, "007", 7);
	is(value_count, "4294967295", UINT32_MAX);
	refused(value_count, no_number);
	refused(value_count, bad);
}

static void sizes(void **state)
{
	static const char *const bad[] = {"1s", "1b", "1kb", "4194304k", "4096m", "4294967295m", NULL};

	(void)state;
	is(value_size, "0", 0);
	is(value_size, "65536", 65536);
	is(value_size, "64k", 65536);
	is(value_size, "1m", 1048576);
	is(value_size, "4194303k", 4294966272u);
	is(value_size, "4095m", 4293918720u);
	refused(value_size, no_number);
	refused(value_size, bad);
}

/* Thousands and millions, not powers of two. */
static void numbers(void **state)
{
	static const char *const bad[] = {"1s", "1d", "1km", "4294968k", "4295m", "4294967295m", NULL};

	(void)state;
	is(value_number, "0", 0);
	is(value_number, "0m", 0);
	is(value_number, "500000", 500000);
	is(value_number, "500k", 500000);
	is(value_number, "1m", 1000000);
	is(value_number, "4000000000", 4000000000u);
	is(value_number, "4294967295", UINT32_MAX);
	is(value_number, "4294967k", 4294967000u);
	is(value_number, "4294m", 4294000000u);
	refused(value_number, no_number);
	refused(value_number, bad);
}

static void times(void **state)
{
	static const char *const bad[] = {"0", "1", "1k", "50d", "1194h", "4294967295d", "1msm", NULL};

	(void)state;
	is(value_time, "0s", 0);
	is(value_time, "500ms", 500);
	is(value_time, "30s", 30000);
	is(value_time, "5m", 300000);
	is(value_time, "2h", 7200000);
	is(value_time, "1d", 86400000);
	is(value_time, "49d", 4233600000u);
	is(value_time, "1193h", 4294800000u);
	is(value_time, "4294967295ms", UINT32_MAX);
	refused(value_time, no_number);
	refused(value_time, bad);
}

static void seconds(void **state)
{
	static const char *const bad[] = {"0",      "1",        "500ms",     "0ms",         "1k", "1sm",
	                                  "49711d", "1193047h", "71582789m", "4294967295d", NULL};

	(void)state;
	is(value_seconds, "0s", 0);
	is(value_seconds, "0d", 0);
	is(value_seconds, "30s", 30);
	is(value_seconds, "5m", 300);
	is(value_seconds, "2h", 7200);
	is(value_seconds, "1d", 86400);
	is(value_seconds, "30d", 2592000);
	is(value_seconds, "36500d", 3153600000u);
	is(value_seconds, "49710d", 4294944000u);
	is(value_seconds, "1193046h", 4294965600u);
	is(value_seconds, "71582788m", 4294967280u);
	is(value_seconds, "4294967295s", UINT32_MAX);
	refused(value_seconds, no_number);
	refused(value_seconds, bad);
}

static bool read_rate(const char *text, uint32_t max, struct value_rate *out)
{
	bool fine;

	*out = (struct value_rate){UNTOUCHED, UNTOUCHED};
	fine = value_rate(guarded(0, text, strlen(text) + 1), max, out);
	if (!fine) {
		assert_int_equal(out->per_second, UNTOUCHED);
		assert_int_equal(out->burst, UNTOUCHED);
	}
	return fine;
}

static void rate_is(const char *text, uint32_t max, uint32_t per_second, uint32_t burst)
{
	struct value_rate rate;

	if (!read_rate(text, max, &rate))
		fail_msg("refused: %s", text);
	assert_int_equal(rate.per_second, per_second);
	assert_int_equal(rate.burst, burst);
}

static void rates(void **state)
{
	static const char *const bad[] = {
	    "",
	    "20",
	    "/s",
	    "20/",
	    "20/m",
	    "20/sec",
	    "0/s",
	    "101/s",
	    "20/s ",
	    "20/s 40",
	    "20/s burst",
	    "20/s burst ",
	    "20/sburst4",
	    "20/s burst4",
	    "20/sburst 4",
	    "20/s burst 0",
	    "20/s burst 101",
	    "20/s burst 4 ",
	    "20/s burst 4/s",
	    "20/s Burst 4",
	    "OFF",
	    "off ",
	    "-1/s",
	    "20 /s",
	};
	struct value_rate rate;

	(void)state;
	rate_is("off", 100, 0, 0);
	rate_is("20/s", 100, 20, 40);
	rate_is("50/s", 100, 50, 100);
	rate_is("51/s", 100, 51, 100);
	rate_is("100/s", 100, 100, 100);
	rate_is("1/s burst 1", 100, 1, 1);
	rate_is("20/s burst 40", 100, 20, 40);
	rate_is("20/s \t burst\t 10", 100, 20, 10);
	rate_is("4294967295/s", UINT32_MAX, UINT32_MAX, UINT32_MAX);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (read_rate(bad[i], 100, &rate))
			fail_msg("accepted: %s", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(counts), cmocka_unit_test(sizes),   cmocka_unit_test(numbers),
	    cmocka_unit_test(times),  cmocka_unit_test(seconds), cmocka_unit_test(rates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
