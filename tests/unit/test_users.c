/*
 * Identities that come and go: what is remembered of them stays bounded, however fast new ones come, and coming
 * anew buys no tokens.
 */
#include "plugin/users.h"

#include "tests/unit/guarded.h"

#include "plugin/compat.h"
#include "plugin/log.h"
#include "plugin/presence.h"
#include "plugin/table.h"

#include <malloc.h>
#include <stdio.h>

static unsigned online;

void presence_came(const struct identity *who)
{
	(void)who;
	online++;
}

void presence_left(const struct identity *who)
{
	(void)who;
	online--;
}

void mosquitto_log_printf(int level, const char *fmt, ...)
{
	(void)level;
	(void)fmt;
}

static struct identity person(unsigned n)
{
	struct identity who;
	char text[64];
	int len = snprintf(text, sizeof(text), "u%u@example.com", n);

	assert_true(identity_parse(text, (size_t)len, &who));
	return who;
}

/* Comes, says something, leaves. */
static void visit(unsigned n, uint64_t now_ms)
{
	struct identity who = person(n);
	struct user *user = users_enter(&who);

	assert_non_null(user);
	assert_true(users_take_token(&who, now_ms));
	users_leave(user);
}

static void a_flood_of_names_is_forgotten(void **state)
{
	uint64_t now_ms = 1000000;
	unsigned n = 0, second, i;
	size_t before, after = 0, most = 0;

	(void)state;
	users_limit((struct value_rate){.per_second = 20, .burst = 40});
	before = mallinfo2().uordblks;
	for (second = 0; second < 90; second++, now_ms += 1000) {
		for (i = 0; i < 5000 && second < 60; i++)
			visit(n++, now_ms);
		users_tidy(now_ms);
		after = mallinfo2().uordblks;
		if (after > most)
			most = after;
	}
	assert_int_equal(online, 0);
	/* 300,000 have been here: some seconds' worth of them are remembered, then hardly anybody */
	assert_true(most - before < (size_t)75000 * 512);
	assert_true(after - before < (size_t)4 * 1024 * 1024);
	users_stop();
}

static void coming_anew_buys_no_tokens(void **state)
{
	struct identity who = person(0);
	uint64_t now_ms = 5000000;
	struct user *user;
	unsigned taken = 0, i;

	(void)state;
	users_limit((struct value_rate){.per_second = 1, .burst = 10});
	for (i = 0; i < 30; i++) {
		user = users_enter(&who);
		taken += users_take_token(&who, now_ms);
		users_leave(user);
		users_tidy(now_ms);
	}
	assert_int_equal(taken, 10);
	now_ms += 3000;
	for (taken = 0, i = 0; i < 30; i++)
		taken += users_take_token(&who, now_ms);
	assert_int_equal(taken, 3);
	users_stop();
}

static int begin(void **state)
{
	(void)state;
	table_key_draw();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_flood_of_names_is_forgotten),
	    cmocka_unit_test(coming_anew_buys_no_tokens),
	};

	return cmocka_run_group_tests(tests, begin, NULL);
}
