/*
 * One line a minute for each cause: the plugin's log_limited, whose clock and broker stand here.
 */
#include "plugin/counters.h"
#include "plugin/log.h"

#include "tests/unit/guarded.h"

#include "plugin/compat.h"

#include <stdio.h>
#include <time.h>

static uint64_t now_ms;
static char lines[16][1200];
static unsigned line_count;

int __wrap_clock_gettime(clockid_t which, struct timespec *t);
int __wrap_clock_gettime(clockid_t which, struct timespec *t)
{
	(void)which;
	t->tv_sec = (time_t)(now_ms / 1000);
	t->tv_nsec = (long)(now_ms % 1000) * 1000000;
	return 0;
}

__attribute__((format(printf, 2, 3))) void mosquitto_log_printf(int level, const char *fmt, ...)
{
	va_list args;

	(void)level;
	assert_true(line_count < 16);
	va_start(args, fmt);
	(void)vsnprintf(lines[line_count++], sizeof(lines[0]), fmt, args);
	va_end(args);
}

static void expect(const char *text)
{
	assert_true(line_count > 0);
	assert_string_equal(lines[0], text);
	line_count--;
	memmove(lines[0], lines[1], sizeof(lines) - sizeof(lines[0]));
}

static void expect_none(void)
{
	assert_int_equal(line_count, 0);
}

static int begin(void **state)
{
	(void)state;
	log_stop();
	counters_stop();
	line_count = 0;
	now_ms = 1000000;
	return 0;
}

static void a_flood_is_one_line(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 10000; i++) {
		log_limited(LOG_CAUSE_RATE, MOSQ_LOG_NOTICE, "too many from %d", i);
		now_ms += i % 2; /* five seconds in all */
		log_tick(now_ms);
	}
	expect("chat: too many from 0");
	expect_none();
	assert_int_equal(counters[counter_of_cause(LOG_CAUSE_RATE)], 10000);
}

static void the_rest_is_told_when_the_minute_is_over(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 5; i++)
		log_limited(LOG_CAUSE_RATE, MOSQ_LOG_NOTICE, "too many from %d", i);
	expect("chat: too many from 0");
	now_ms += LOG_LIMIT_MS - 1;
	log_tick(now_ms);
	expect_none();
	now_ms += 1;
	log_tick(now_ms);
	expect("chat: too many from 0 (4 more since)");
	/* which begins a minute, too */
	log_limited(LOG_CAUSE_RATE, MOSQ_LOG_NOTICE, "again");
	expect_none();
	now_ms += LOG_LIMIT_MS;
	log_limited(LOG_CAUSE_RATE, MOSQ_LOG_NOTICE, "once more");
	expect("chat: once more (1 more since)");
	now_ms += (uint64_t)10 * LOG_LIMIT_MS;
	log_tick(now_ms);
	expect_none();
}

static void causes_do_not_share_a_minute(void **state)
{
	(void)state;
	log_limited(LOG_CAUSE_RATE, MOSQ_LOG_NOTICE, "one");
	now_ms += LOG_LIMIT_MS / 2;
	log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "two");
	log_limited(LOG_CAUSE_RATE, MOSQ_LOG_NOTICE, "one");
	log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "two");
	expect("chat: one");
	expect("chat: two");
	now_ms += LOG_LIMIT_MS / 2;
	log_tick(now_ms);
	expect("chat: one (1 more since)");
	expect_none();
	now_ms += LOG_LIMIT_MS / 2;
	log_tick(now_ms);
	expect("chat: two (1 more since)");
	expect_none();
}

static void the_end_does_not_wait(void **state)
{
	(void)state;
	log_limited(LOG_CAUSE_NOTICE, MOSQ_LOG_WARNING, "lost");
	log_limited(LOG_CAUSE_NOTICE, MOSQ_LOG_WARNING, "lost");
	expect("chat: lost");
	log_stop();
	expect("chat: lost (1 more since)");
	expect_none();
}

static void a_long_line_keeps_its_number(void **state)
{
	char text[900], want[600];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_limited(LOG_CAUSE_RATE, MOSQ_LOG_NOTICE, "%s", text);
	line_count = 0;
	log_limited(LOG_CAUSE_RATE, MOSQ_LOG_NOTICE, "%s", text);
	log_stop();
	(void)snprintf(want, sizeof(want), "chat: %.399s (1 more since)", text);
	expect(want);
}

static void counters_are_told_once_an_hour_and_at_the_end(void **state)
{
	(void)state;
	counters_tick(now_ms);
	now_ms += COUNTERS_LOG_MS;
	counters_tick(now_ms);
	expect_none(); /* nothing has been counted */
	count(COUNTER_ACCEPTED_WS);
	count_more(COUNTER_ACCEPTED_MQTT, 2);
	count(counter_of_error(CHAT_ERROR_UNAVAILABLE));
	counters_tick(now_ms + COUNTERS_LOG_MS - 1);
	expect_none();
	now_ms += COUNTERS_LOG_MS;
	counters_tick(now_ms);
	expect("chat: counters: messages_accepted ws=1 mqtt=2; messages_rejected unavailable=1");
	now_ms += COUNTERS_LOG_MS;
	counters_tick(now_ms);
	expect_none(); /* nothing new */
	counters_stop();
	expect("chat: counters: messages_accepted ws=1 mqtt=2; messages_rejected unavailable=1");
	assert_int_equal(counters[COUNTER_ACCEPTED_WS], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(a_flood_is_one_line, begin),
	    cmocka_unit_test_setup(the_rest_is_told_when_the_minute_is_over, begin),
	    cmocka_unit_test_setup(causes_do_not_share_a_minute, begin),
	    cmocka_unit_test_setup(the_end_does_not_wait, begin),
	    cmocka_unit_test_setup(a_long_line_keeps_its_number, begin),
	    cmocka_unit_test_setup(counters_are_told_once_an_hour_and_at_the_end, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
