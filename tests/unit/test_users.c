/*
 * Users without a broker: whom the table remembers, for how long, and what connecting anew does not buy.
 */
#include "plugin/users.h"

#include "tests/unit/counted.h"
#include "tests/unit/person.h"

#include "plugin/clock.h"
#include "plugin/compat.h"
#include "plugin/nodes.h"
#include "plugin/presence.h"
#include "plugin/table.h"

#include <stdio.h>
#include <time.h>

#define RATE 20
#define BURST 40
#define FULL_MS ((uint64_t)1000 * BURST / RATE)

/* It stands still: what a bucket gains is what the test says has passed, however slow the machine is. */
int __wrap_clock_gettime(clockid_t which, struct timespec *out);

int __wrap_clock_gettime(clockid_t which, struct timespec *out)
{
	(void)which;
	*out = (struct timespec){.tv_sec = 1000};
	return 0;
}

/* ---- presence that counts --------------------------------------------------------- */

static unsigned came, left;

void presence_came(const struct identity *who)
{
	(void)who;
	came++;
}

void presence_left(const struct identity *who)
{
	(void)who;
	left++;
}

void nodes_came(const struct identity *who)
{
	(void)who;
}

void nodes_left(const struct identity *who)
{
	(void)who;
}

/* What the log would say. */
void mosquitto_log_printf(int level, const char *format, ...)
{
	(void)level;
	(void)format;
}

/* ---- helpers ------------------------------------------------------------------------- */

static int set_up(void **state)
{
	(void)state;
	assert_true(table_key_draw());
	users_limit((struct value_rate){.per_second = RATE, .burst = BURST});
	came = left = 0;
	held = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	users_stop();
	return held == 0 ? 0 : -1;
}

static struct user *enter(unsigned n)
{
	struct identity who = person(n);
	struct user *user = users_enter(&who);

	assert_non_null(user);
	return user;
}

static bool say(unsigned n, uint64_t now_ms)
{
	struct identity who = person(n);

	return users_take_token(&who, now_ms);
}

/* ---- the tests ----------------------------------------------------------------------- */

static void who_says_nothing_is_forgotten_at_once(void **state)
{
	struct user *stays = enter(0);
	size_t before = held;
	unsigned n;

	(void)state;
	for (n = 1; n <= 10000; n++) {
		users_leave(enter(n));
		assert_int_equal(held, before);
	}
	assert_int_equal(came, 10001);
	assert_int_equal(left, 10000);
	users_leave(stays);
}

static void who_has_spoken_is_forgotten_when_the_bucket_is_full(void **state)
{
	uint64_t now = clock_monotonic_ms();
	struct user *stays = enter(0);
	size_t before = held;
	unsigned n;

	(void)state;
	/* as many a second as no broker takes, for ten seconds, and a round of tidying after each */
	for (n = 1; n <= 100000; n++) {
		struct user *user = enter(n);

		assert_true(say(n, now));
		users_leave(user);
		if (n % 10000 == 0) {
			now += 1000;
			users_tidy(now);
			assert_true(held < before + 20000);
		}
	}
	now += FULL_MS;
	users_tidy(now);
	users_tidy(now);
	assert_int_equal(held, before);
	users_leave(stays);
}

static void coming_anew_buys_nothing(void **state)
{
	uint64_t now = clock_monotonic_ms();
	struct user *user = enter(1);
	unsigned n;

	(void)state;
	for (n = 0; n < BURST; n++)
		assert_true(say(1, now));
	assert_false(say(1, now));
	users_leave(user);
	users_tidy(clock_monotonic_ms());
	user = enter(1);
	assert_false(say(1, now));
	users_leave(user);
}

static void who_speaks_without_being_connected_is_forgotten_too(void **state)
{
	uint64_t now = clock_monotonic_ms();

	(void)state;
	assert_true(say(1, now));
	assert_true(say(2, now + 500));
	assert_true(say(1, now + 1000));
	/* 2 is first now and full, 1 is not */
	users_tidy(now + 1010);
	assert_true(held > 0);
	users_tidy(now + 1000 + FULL_MS);
	assert_int_equal(held, 0);
}

static void several_clients_are_one_user(void **state)
{
	struct user *one = enter(1), *other = enter(1);
	struct identity who = person(1);

	(void)state;
	assert_ptr_equal(one, other);
	users_leave(one);
	assert_true(users_online(&who));
	assert_int_equal(left, 0);
	users_leave(other);
	assert_false(users_online(&who));
	assert_int_equal(came, 1);
	assert_int_equal(left, 1);
}

static void without_a_rate_nobody_is_remembered(void **state)
{
	struct user *user = enter(1);

	(void)state;
	assert_true(say(1, clock_monotonic_ms()));
	users_limit((struct value_rate){0});
	users_leave(user);
	assert_int_equal(held, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(who_says_nothing_is_forgotten_at_once, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(who_has_spoken_is_forgotten_when_the_bucket_is_full, set_up,
	                                    tear_down),
	    cmocka_unit_test_setup_teardown(coming_anew_buys_nothing, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(who_speaks_without_being_connected_is_forgotten_too, set_up,
	                                    tear_down),
	    cmocka_unit_test_setup_teardown(several_clients_are_one_user, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(without_a_rate_nobody_is_remembered, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
