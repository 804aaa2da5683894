/*
 * The room within a canonical message: found, compared, replaced; and what is no such message.
 */
#include "common/canonical_room.h"

#include "tests/unit/guarded.h"

#define HEAD "{\"id\":\"01ARZ3NDEKTSV4RRFFQ69G5FAV\",\"sender\":\"alice@x.org\","
#define TAIL "\"message\":\"the \\\"room\\\":\\\"b\\\"\",\"timestamp\":\"2026\"}"

static const char *put(const char *body, const char *room)
{
	static char out[512];
	size_t len = strlen(body), n;

	n = canonical_room_put(guarded(0, body, len), len, room, strlen(room), out);
	assert_true(n <= len + strlen(room));
	out[n] = '\0';
	return out;
}

static void another_name(void **state)
{
	(void)state;
	assert_string_equal(put(HEAD "\"room\":\"a\"," TAIL, "longer"), HEAD "\"room\":\"longer\"," TAIL);
	assert_string_equal(put(HEAD "\"room\":\"longer\"," TAIL, "a"), HEAD "\"room\":\"a\"," TAIL);
	assert_false(
	    canonical_room_differs(HEAD "\"room\":\"a\"," TAIL, strlen(HEAD "\"room\":\"a\"," TAIL), "a", 1));
	assert_true(
	    canonical_room_differs(HEAD "\"room\":\"a\"," TAIL, strlen(HEAD "\"room\":\"a\"," TAIL), "ab", 2));
	assert_true(
	    canonical_room_differs(HEAD "\"room\":\"a\"," TAIL, strlen(HEAD "\"room\":\"a\"," TAIL), "b", 1));
}

static void what_names_no_room(void **state)
{
	static const char *const bodies[] = {"",
	                                     "{}",
	                                     HEAD,
	                                     HEAD "\"to\":\"bob@x.org\"," TAIL,
	                                     HEAD "\"message\":\"\\\"room\\\":\"",
	                                     "{\"id\":\"01ARZ3",
	                                     "{\"sender\":\"alice@x.org\",\"room\":\"a\"}"};
	const char *whole = HEAD "\"room\":\"general\",";

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		assert_string_equal(put(bodies[i], "b"), "");
		assert_false(canonical_room_differs(bodies[i], strlen(bodies[i]), "b", 1));
	}
	/* no byte is read behind the end */
	for (size_t len = 0; len + 2 < strlen(whole); len++) {
		size_t at, n;

		assert_false(canonical_room_find(guarded(0, whole, len), len, &at, &n));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(another_name),
	    cmocka_unit_test(what_names_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
