/*
 * The bridge's log on a pipe: one line a minute for each cause, and its counters.
 *
 * Both programs have a log and counters under the same names, so this test holds the bridge's as text.
 */
#include "bridge/counters.c"
#include "bridge/log.c"

#include "tests/unit/guarded.h"

#include "common/counter_line.h"

static int reader = -1;

static int begin(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	(void)close(ends[1]);
	if (reader >= 0)
		(void)close(reader);
	reader = ends[0];
	log_start();
	memset(counters, 0, sizeof counters);
	return 0;
}

/* All that has been written since. */
static void expect(const char *text)
{
	char got[65536];
	ssize_t n = read(reader, got, sizeof got - 1);
	got[n > 0 ? n : 0] = '\0';
	assert_string_equal(got, text);
}

static void a_flood_is_one_line(void **state)
{
	static struct log_limit limit;
	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		log_limited(&limit, 5000 + i, LOG_LEVEL_WARNING, "too many from %u", i);
		log_tick(5000 + i);
	}
	expect("4 too many from 0\n");
	log_tick(5000 + LOG_LIMIT_MS - 1);
	expect("");
	log_tick(5000 + LOG_LIMIT_MS);
	expect("4 too many from 0 (9999 more since)\n");
	log_limited(&limit, 5000 + LOG_LIMIT_MS, LOG_LEVEL_WARNING, "again");
	expect("");
	log_limited(&limit, 5000 + 2 * LOG_LIMIT_MS, LOG_LEVEL_WARNING, "once more");
	expect("4 once more (1 more since)\n");
	log_tick(5000 + 9 * LOG_LIMIT_MS);
	expect("");
}

static void causes_do_not_share_a_minute(void **state)
{
	static struct log_limit one, two;
	(void)state;
	for (int i = 0; i < 2; i++) {
		log_limited(&one, 1000000, LOG_LEVEL_ERROR, "one");
		log_limited(&two, 1030000, LOG_LEVEL_INFO, "two");
	}
	expect("3 one\n6 two\n");
	log_tick(1000000 + LOG_LIMIT_MS);
	expect("3 one (1 more since)\n");
	log_stop();
	expect("6 two (1 more since)\n");
}

static void lines_that_do_not_fit_are_counted(void **state)
{
	char text[900];
	uint64_t lost;
	(void)state;
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	for (int i = 0; i < 200; i++)
		log_line(LOG_LEVEL_INFO, "%s", text);
	lost = counters[COUNTER_DROP_LOG];
	assert_true(lost > 0 && lost < 200);
}

static void every_counter_has_a_name_and_families_are_together(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COUNTERS; i++) {
		assert_non_null(names[i].family);
		for (unsigned j = 0; j < i; j++) {
			bool same_family = strcmp(names[i].family, names[j].family) == 0;
			assert_false(same_family && strcmp(names[i].label, names[j].label) == 0);
			/* whatever lies between two of a family is of that family */
			if (same_family)
				assert_string_equal(names[i - 1].family, names[i].family);
		}
	}
	assert_int_equal(counter_of_close(4001), COUNTER_CLOSE_4001);
	assert_int_equal(counter_of_close(3999), COUNTER_CLOSE_OTHER);
	assert_int_equal(counter_of_status(408), COUNTER_ANSWER_408);
	assert_int_equal(counter_of_status(418), COUNTER_ANSWER_OTHER);
	assert_string_equal(names[counter_of_error(CHAT_ERROR_RATE_LIMITED)].label, "rate_limited");
}

static void many_counters_take_several_lines(void **state)
{
	char line[LINE_BYTES];
	size_t at = 0, lines = 0, all = 0, len;
	(void)state;
	for (unsigned i = 0; i < COUNTERS; i++)
		counters[i] = UINT64_MAX - i;
	while ((len = counter_line(names, counters, COUNTERS, &at, line, sizeof line)) > 0) {
		assert_int_equal(strlen(line), len);
		for (const char *c = line; *c != '\0'; c++)
			all += *c == '=';
		lines++;
	}
	assert_int_equal(all, COUNTERS);
	assert_true(lines > 1 && lines < 10);
	/* and a line of no more room than has to be */
	at = 0;
	all = 0;
	while ((len = counter_line(names, counters, COUNTERS, &at, line, COUNTER_LINE_MIN)) > 0) {
		assert_true(len < COUNTER_LINE_MIN);
		for (const char *c = line; *c != '\0'; c++)
			all += *c == '=';
	}
	assert_int_equal(all, COUNTERS);
	counters_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(a_flood_is_one_line, begin),
	    cmocka_unit_test_setup(causes_do_not_share_a_minute, begin),
	    cmocka_unit_test_setup(lines_that_do_not_fit_are_counted, begin),
	    cmocka_unit_test_setup(every_counter_has_a_name_and_families_are_together, begin),
	    cmocka_unit_test_setup(many_counters_take_several_lines, begin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
