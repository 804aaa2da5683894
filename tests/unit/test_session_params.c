/* test_session_params.c - what a client may ask for in the path and query */
#include "bridge/session_params.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct session_params params;

static const char *parse(const char *target)
{
	return session_params_parse(target, strlen(target), &params);
}

static void assert_address(const char *target, const char *address)
{
	const char *fault = parse(target);
	if (fault != NULL)
		fail_msg("%s: %s", target, fault);
	assert_string_equal(params.identity.text, address);
}

static void takes_every_address(void **state)
{
	(void)state;
	assert_address("/ws/alice@example.org", "alice@example.org");
	assert_address("/ws/alice%40Example.ORG", "alice@example.org");
	assert_address("/ws/a+b@x.org", "a+b@x.org");
	assert_address("/ws/a%2Bb@x.org", "a+b@x.org");
	assert_address("/ws/a&b'c%25d@x.org", "a&b'c%d@x.org");
	assert_address("/ws/a%3Fb@x.org?room=r", "a?b@x.org");
	assert_address("/ws/a%2F%2f..%2Fb@x.org", "a//../b@x.org");
	assert_address("/ws/a%2541@x.org", "a%41@x.org");
}

static void refuses_other_paths(void **state)
{
	(void)state;
	static const char *const bad[] = {
	    "/ws/",         "/ws/alice",      "/ws/a%20b@x.org", "/ws/a/b@x.org",
	    "/ws/a@x.org/", "/ws/a@x.org%00", "/ws/a@x.org%0",   "/ws/a@x.org%zz",
	    "/ws/@x.org",   "/ws/a@",         "/ws/a%C3%A9@x",   "/ws/a@x.org%0A",
	    "/ws/a@x..org", "/ws?a@x.org",    "/wsa@x.org",      "/ws/a;b@x.org",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (parse(bad[i]) == NULL)
			fail_msg("accepted: %s", bad[i]);
	char long_path[2000] = "/ws/";
	memset(long_path + 4, 'a', 1900);
	assert_non_null(parse(long_path));
}

static void takes_parameters(void **state)
{
	(void)state;
	assert_null(parse("/ws/"
	                  "a@x.org?room=a,b,a&device=My-phone_1&since=01JDABCDEFGHJKMNPQRSTVWXYZ&events=typing,"
	                  "presence,deleted&"
	                  "echo=1&theme=dark&&x"));
	assert_int_equal(params.room_count, 2);
	assert_string_equal(params.rooms[0], "a");
	assert_string_equal(params.rooms[1], "b");
	assert_string_equal(params.device, "My-phone_1");
	assert_string_equal(params.since, "01JDABCDEFGHJKMNPQRSTVWXYZ");
	assert_true(params.echo && params.wants_typing && params.wants_presence && params.wants_deleted);
	assert_null(parse("/ws/a@x.org?echo=0&room=%61%2Cb"));
	assert_false(params.echo || params.wants_typing || params.wants_presence || params.wants_deleted);
	assert_int_equal(params.room_count, 2);
	assert_null(parse("/ws/a@x.org?"));
	assert_int_equal(params.room_count, 0);
}

static void names_bad_parameters(void **state)
{
	(void)state;
	static const char *const bad[] = {
	    "room=",   "room",    "room=A",        "room=a,,b",      "room=a,",
	    "room=%2", "device=", "device=a.b",    "device=a%20b",   "since=x",
	    "since=",  "events=", "events=x",      "events=typing,", "echo=2",
	    "echo=",   "echo",    "room=a&room=b", "echo=1&echo=1",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char target[256];
		(void)snprintf(target, sizeof target, "/ws/a@x.org?%s", bad[i]);
		const char *fault = parse(target);
		if (fault == NULL)
			fail_msg("accepted: %s", target);
		assert_true(strlen(fault) <= 123); /* a close frame's reason */
	}
	char target[6000] = "/ws/a@x.org?device=";
	memset(target + strlen(target), 'a', 64);
	assert_null(parse(target));
	strcat(target, "a");
	assert_non_null(parse(target));
	strcpy(target, "/ws/a@x.org?room=");
	memset(target + strlen(target), 'a', 5000);
	assert_non_null(parse(target));
	strcpy(target, "/ws/a@x.org?room=r0");
	for (int i = 1; i < SESSION_ROOMS_MAX; i++)
		(void)sprintf(target + strlen(target), ",r%d", i);
	assert_null(parse(target));
	assert_int_equal(params.room_count, SESSION_ROOMS_MAX);
	strcat(target, ",one-more");
	assert_non_null(parse(target));
}

static void survives_anything(void **state)
{
	(void)state;
	static const char text[] =
	    "/ws/a%2Bb@x.org?room=a,b&device=d&since=01JDABCDEFGHJKMNPQRSTVWXYZ&events=typing&echo=1";
	unsigned seed = 1;
	for (int round = 0; round < 200000; round++) {
		size_t n = (size_t)rand_r(&seed) % sizeof text;
		char *bytes = malloc(n > 0 ? n : 1); /* exact, for the sanitizer */
		assert_non_null(bytes);
		memcpy(bytes, text, n);
		for (int flips = rand_r(&seed) % 4; flips > 0 && n > 0; flips--)
			bytes[(size_t)rand_r(&seed) % n] = (char)rand_r(&seed);
		(void)session_params_parse(bytes, n, &params);
		free(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(takes_every_address), cmocka_unit_test(refuses_other_paths),
	    cmocka_unit_test(takes_parameters),    cmocka_unit_test(names_bad_parameters),
	    cmocka_unit_test(survives_anything),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
