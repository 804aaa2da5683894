/*
 * Ids: the format, and that no later one is ever smaller.
 */
#include "common/ulid.h"

#include "tests/unit/guarded.h"

#define TIME_MAX ((UINT64_C(1) << 48) - 1)

static const uint8_t zeros[ULID_RANDOM];
static const uint8_t ones[ULID_RANDOM] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static bool valid(const char *s)
{
	return ulid_valid(guarded_text(0, s), strlen(s));
}

static void the_format(void **state)
{
	static const uint8_t counting[ULID_RANDOM] = {0x00, 0x44, 0x32, 0x14, 0xc7, 0x42, 0x54, 0xb6, 0x35, 0xcf};
	struct ulid_clock clock = {0};
	char id[ULID_LEN + 1];

	(void)state;
	/* 2016-07-30T22:36:16.385Z, the time in the examples of the specification */
	assert_int_equal(ulid_next(&clock, UINT64_C(1469918176385), zeros, id), UINT64_C(1469918176385));
	assert_string_equal(id, "01ARYZ6S410000000000000000");
	assert_int_equal(ulid_next(&clock, UINT64_C(1469918176386), ones, id), UINT64_C(1469918176386));
	assert_string_equal(id, "01ARYZ6S42FZZZZZZZZZZZZZZZ"); /* without the top bit */
	/* 5 bits each: 0 1 2 3 4 5 6 7, 8 9 10 11 12 13 14 15 */
	assert_int_equal(ulid_next(&clock, UINT64_C(1469918176387), counting, id), UINT64_C(1469918176387));
	assert_string_equal(id, "01ARYZ6S430123456789ABCDEF");
	assert_true(valid(id));
	assert_int_equal(ulid_milliseconds(guarded_text(0, id)), UINT64_C(1469918176387));
}

/* Fast, slow, standing and backward clocks: each id is greater than the one before. */
static void strictly_increasing(void **state)
{
	struct ulid_clock clock = {0};
	uint64_t now = 1000000, seed = 1;
	char last[ULID_LEN + 1] = "", id[ULID_LEN + 1];
	uint8_t random[ULID_RANDOM];

	(void)state;
	for (int i = 0; i < 200000; i++) {
		uint64_t ms;

		for (int j = 0; j < ULID_RANDOM; j++) {
			seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
			random[j] = (uint8_t)(seed >> 56);
		}
		now += seed >> 62;
		if ((seed >> 40) % 1000 == 0)
			now -= 500;
		ms = ulid_next(&clock, now, random, id);
		assert_true(strcmp(id, last) > 0);
		assert_true(ms >= now);
		assert_true(ulid_valid(id, ULID_LEN));
		assert_int_equal(ulid_milliseconds(id), ms);
		memcpy(last, id, sizeof(last));
	}
}

static void within_a_millisecond(void **state)
{
	struct ulid_clock clock = {0};
	char id[ULID_LEN + 1];

	(void)state;
	assert_int_equal(ulid_next(&clock, 5, zeros, id), 5);
	assert_string_equal(id, "00000000050000000000000000");
	assert_int_equal(ulid_next(&clock, 5, ones, id), 5);
	assert_string_equal(id, "00000000050000000000000001");
	assert_int_equal(ulid_next(&clock, 4, ones, id), 5);
	assert_string_equal(id, "00000000050000000000000002");
	memset(clock.last_random + 5, 0xff, 5);
	assert_int_equal(ulid_next(&clock, 0, ones, id), 5);
	assert_string_equal(id, "00000000050000000100000000");
	assert_int_equal(ulid_next(&clock, 6, zeros, id), 6);
	assert_string_equal(id, "00000000060000000000000000");
}

static void a_fresh_clock_at_zero(void **state)
{
	struct ulid_clock clock = {0};
	char id[ULID_LEN + 1];

	(void)state;
	assert_int_equal(ulid_next(&clock, 0, ones, id), 0);
	assert_string_equal(id, "00000000000000000000000001");
}

static void running_over(void **state)
{
	struct ulid_clock clock = {.last_ms = 9};
	char id[ULID_LEN + 1];

	(void)state;
	memcpy(clock.last_random, ones, ULID_RANDOM);
	assert_int_equal(ulid_next(&clock, 9, ones, id), 10);
	assert_string_equal(id, "000000000AFZZZZZZZZZZZZZZZ");
	assert_int_equal(ulid_next(&clock, 9, zeros, id), 10);
	assert_string_equal(id, "000000000AG000000000000000");
}

static void the_end_of_time(void **state)
{
	struct ulid_clock clock = {0};
	char id[ULID_LEN + 1];

	(void)state;
	assert_int_equal(ulid_next(&clock, UINT64_MAX, zeros, id), TIME_MAX);
	assert_string_equal(id, "7ZZZZZZZZZ0000000000000000");
	assert_true(valid(id));
	memcpy(clock.last_random, ones, ULID_RANDOM);
	assert_int_equal(ulid_next(&clock, TIME_MAX + 1, zeros, id), TIME_MAX);
	assert_string_equal(id, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
	assert_int_equal(ulid_next(&clock, 1, zeros, id), TIME_MAX);
	assert_string_equal(id, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
}

static void what_is_an_id(void **state)
{
	static const char good[] = "01ARYZ6S410123456789ABCDEF";
	char changed[sizeof(good)];

	(void)state;
	for (size_t n = 0; n < ULID_LEN; n++)
		assert_false(ulid_valid(guarded(0, good, n), n));
	assert_true(valid(good));
	assert_false(valid("01ARYZ6S410123456789ABCDEFG"));
	for (size_t at = 0; at < ULID_LEN; at++) {
		for (int c = 0; c < 256; c++) {
			bool fits = c && strchr("0123456789ABCDEFGHJKMNPQRSTVWXYZ", c) && (at > 0 || c <= '7');

			memcpy(changed, good, sizeof(good));
			changed[at] = (char)c;
			assert_int_equal(ulid_valid(guarded(0, changed, ULID_LEN), ULID_LEN), fits);
		}
	}
}

/* A generator that goes on behind another one's ids, whatever its own clock says. */
static void behind_another(void **state)
{
	static const char *const ids[] = {"01ARYZ6S410000000000000000", "01ARYZ6S43FZZZZZZZZZZZZZZZ",
	                                  "01ARYZ6S430123456789ABCDEF", "7ZZZZZZZZ0ZZZZZZZZZZZZZZZZ"};
	char id[ULID_LEN + 1], next[ULID_LEN + 1];

	(void)state;
	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
		struct ulid_clock clock = {0};

		ulid_clock_pass(&clock, guarded_text(0, ids[i]));
		(void)ulid_next(&clock, 5, zeros, id);
		assert_true(strcmp(id, ids[i]) > 0);
		assert_true(valid(id));
		/* An older one changes nothing. */
		ulid_clock_pass(&clock, guarded_text(0, "01ARYZ6S400000000000000000"));
		(void)ulid_next(&clock, 5, zeros, next);
		assert_true(strcmp(next, id) > 0);
	}
	struct ulid_clock clock = {0};

	ulid_clock_pass(&clock, guarded_text(0, "01ARYZ6S430123456789ABCDEF"));
	(void)ulid_next(&clock, 5, zeros, id);
	assert_string_equal(id, "01ARYZ6S430123456789ABCDEG");
}

/* Two that have passed the same id, and the one that it came from, go on with different ones. */
static void behind_the_same(void **state)
{
	static const uint8_t some[ULID_RANDOM] = {0xff, 0xff, 0x7f, 1, 2, 3, 4, 5, 6, 7},
	                     most[ULID_RANDOM] = {0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct ulid_clock origin = {0}, one = {0}, two = {0};
	char first[ULID_LEN + 1], a[ULID_LEN + 1], b[ULID_LEN + 1], c[ULID_LEN + 1], d[ULID_LEN + 1];

	(void)state;
	(void)ulid_next(&origin, 1000, most, first);
	ulid_clock_pass(&one, first);
	ulid_clock_pass(&two, first);
	(void)ulid_next(&origin, 1000, some, a);
	(void)ulid_next(&one, 1000, some, b);
	(void)ulid_next(&two, 990, most, c);
	assert_true(strcmp(first, a) < 0 && strcmp(a, b) < 0 && strcmp(b, c) < 0);
	assert_int_equal(ulid_milliseconds(c), 1000);
	/* from there on its own */
	(void)ulid_next(&one, 1000, most, d);
	assert_true(strcmp(b, d) < 0 && strcmp(d, c) < 0);
	/* no room: another millisecond */
	ulid_clock_pass(&one, "01ARYZ6S43ZZZZZZZZZZZZZZZZ");
	assert_int_equal(ulid_next(&one, 5, most, d), ulid_milliseconds("01ARYZ6S43ZZZZZZZZZZZZZZZZ") + 1);
	assert_true(strcmp(d, "01ARYZ6S43ZZZZZZZZZZZZZZZZ") > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_format),           cmocka_unit_test(strictly_increasing),
	    cmocka_unit_test(within_a_millisecond), cmocka_unit_test(a_fresh_clock_at_zero),
	    cmocka_unit_test(running_over),         cmocka_unit_test(the_end_of_time),
	    cmocka_unit_test(what_is_an_id),        cmocka_unit_test(behind_another),
	    cmocka_unit_test(behind_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
