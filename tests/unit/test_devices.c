/*
 * Named devices: how many one person may have, and that they are forgotten.
 */
#include "bridge/devices.h"

#include "tests/unit/counted.h"
#include "tests/unit/person.h"

#include <stdio.h>

static void a_person_has_so_many(void **state)
{
	struct devices d = {0};
	struct identity who = person(1);
	char id[16];
	unsigned n;

	(void)state;
	for (n = 0; n < DEVICES_MAX; n++) {
		(void)snprintf(id, sizeof(id), "ws-%u", n);
		assert_int_equal(devices_enter(&d, &who, id, 0, 1000000), DEVICES_FINE);
	}
	assert_int_equal(devices_enter(&d, &who, "ws-0", 0, 1000000), DEVICES_FINE);
	assert_int_equal(devices_enter(&d, &who, "ws-more", 0, 1000000), DEVICES_TOO_MANY);
	devices_leave(&d, &who, "ws-0", 1000, 500);
	assert_int_equal(devices_enter(&d, &who, "ws-more", 1499, 1000000), DEVICES_TOO_MANY);
	assert_int_equal(devices_enter(&d, &who, "ws-more", 1500, 1000000), DEVICES_FINE);
	devices_clear(&d);
}

/* Many come with names of their own, at a rate of hundreds a second, while many others stay. */
static void who_is_away_for_too_long_is_forgotten(void **state)
{
	struct devices d = {0};
	uint64_t now = 0;
	size_t before;
	unsigned n, second, at_most = 0;

	(void)state;
	held = 0;
	for (n = 0; n < 2000; n++) {
		struct identity who = person(n);

		assert_int_equal(devices_enter(&d, &who, "ws-stays", now, 1000000), DEVICES_FINE);
	}
	before = held;
	for (second = 0; second < 120; second++, now += 1000) {
		for (unsigned i = 0; i < 500; i++, n++) {
			struct identity who = person(n);

			assert_int_equal(devices_enter(&d, &who, "ws-goes", now, 1000000), DEVICES_FINE);
			devices_leave(&d, &who, "ws-goes", now, 1000);
		}
		devices_tidy(&d, now);
		if (held - before > at_most)
			at_most = (unsigned)(held - before);
	}
	/* 500 a second, and at most TIDY_ROUNDS and the expiry until each is gone */
	assert_true(at_most < 500 * 34);
	for (second = 0; second < 400; second++, now += 1000)
		devices_tidy(&d, now);
	assert_int_equal(held, before);
	devices_clear(&d);
	assert_int_equal(held, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_person_has_so_many),
	    cmocka_unit_test(who_is_away_for_too_long_is_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
