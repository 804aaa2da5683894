/*
 * Messages of a renamed room that come on several topics: each is wanted once, and none is missed.
 */
#include "bridge/copies.h"

#include "tests/unit/guarded.h"

#include <stdio.h>

static struct copies copies;

static uint64_t now_ms = 1000;

static bool want(const char *room, uint64_t seq, uint64_t first)
{
	return copies_want(&copies, guarded(0, room, strlen(room)), strlen(room), seq, now_ms, first);
}

static void until_its_own_topic_has_begun(void **state)
{
	(void)state;
	/* by two old names, one after the other */
	assert_true(want("new", 1, 0));
	assert_false(want("new", 1, 0));
	assert_true(want("new", 2, 0));
	assert_false(want("new", 2, 0));
	/* 4 is the first on its own topic; 3 was before */
	assert_true(want("new", 3, 4));
	assert_false(want("new", 4, 4));
	assert_false(want("new", 5, 4));
	assert_true(want("other", 1, 0));
	copies_clear(&copies);
}

static void numbers_that_begin_anew(void **state)
{
	uint64_t first = 0;

	(void)state;
	assert_true(want("new", 90, 0));
	assert_true(want("new", 1, 0));
	assert_true(want("new", 2, 0));
	assert_true(want("new", 1, 0));
	assert_false(want("new", 1, 0));
	now_ms++;
	assert_true(want("new", 1, 0));
	copies_note_first(&first, 50);
	copies_note_first(&first, 51);
	assert_int_equal(first, 50);
	copies_note_first(&first, 1);
	assert_int_equal(first, 1);
	copies_clear(&copies);
}

/* A name that is given back is a room's own again, before anybody here knows. */
static void live_on_what_was_an_old_name(void **state)
{
	(void)state;
	copies_note(&copies, "old", 3, 0);
	assert_true(want("old", 1, 0));
	copies_note(&copies, "old", 3, 2);
	assert_false(want("old", 2, 0));
	assert_false(want("old", 3, 0));
	copies_clear(&copies);
}

static void a_bound(void **state)
{
	char name[16];

	(void)state;
	for (unsigned n = 0; n <= COPIES_NAMES_MAX; n++) {
		(void)snprintf(name, sizeof(name), "room%u", n);
		assert_true(want(name, 1, 0));
	}
	assert_int_equal(copies.count, COPIES_NAMES_MAX);
	assert_false(want("room1", 1, 0));
	assert_true(want("room0", 1, 0)); /* which was forgotten */
	assert_true(want("", 1, 0));      /* no name: nothing is known of it */
	copies_clear(&copies);
	assert_null(copies.names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(until_its_own_topic_has_begun),
	    cmocka_unit_test(numbers_that_begin_anew),
	    cmocka_unit_test(live_on_what_was_an_old_name),
	    cmocka_unit_test(a_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
