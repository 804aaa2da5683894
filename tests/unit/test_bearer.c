/* test_bearer.c - what a request shows of who asks: which place counts, and what is none */
#include "bridge/bearer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char out[BEARER_MAX + 1];

static struct http_span span(const char *text)
{
	return (struct http_span){text, text != NULL ? strlen(text) : 0};
}

/* The outcome; what was found stands in out, terminated. */
static enum bearer find(const char *protocols, const char *authorization, const char *target)
{
	struct http_head head = {0};
	size_t len = 77;
	head.websocket_protocol = span(protocols);
	head.authorization = span(authorization);
	head.target = span(target);
	enum bearer found = bearer_find(&head, out, &len);
	assert_true(found == BEARER_FOUND ? len > 0 && len <= BEARER_MAX : len == 0);
	out[len] = '\0';
	return found;
}

static void each_place(void **state)
{
	static const struct {
		const char *protocols, *authorization, *target, *found;
	} cases[] = {
	    {NULL, NULL, "/ws/a@b.c", NULL},
	    {"bearer, a.b.c", NULL, "/", "a.b.c"},
	    {"bearer,a.b.c", NULL, "/", "a.b.c"},
	    {"chat,\tbearer ,  a.b.c , d", NULL, "/", "a.b.c"},
	    {"bearer", NULL, "/", NULL},
	    {"bearer,", NULL, "/", NULL},
	    {"bearer, ,x", NULL, "/", NULL},
	    {"Bearer, a.b.c", NULL, "/", NULL}, /* names of subprotocols have a case */
	    {"a.b.c", NULL, "/", NULL},
	    {NULL, "Bearer a.b.c", "/", "a.b.c"},
	    {NULL, "bEARER \t a.b.c", "/", "a.b.c"},
	    {NULL, "Bearer", "/", NULL},
	    {NULL, "Bearer ", "/", NULL},
	    {NULL, "Bearera.b.c", "/", NULL},
	    {NULL, "Basic YTpi", "/", NULL},
	    {NULL, NULL, "/?token=a.b.c", "a.b.c"},
	    {NULL, NULL, "/ws/a@b.c?room=x&token=a%2Eb.c&echo=1", "a.b.c"},
	    {NULL, NULL, "/?token=", NULL},
	    {NULL, NULL, "/?atoken=x&tokens=y&token", NULL},
	    {NULL, NULL, "/?token=first&token=second", "first"},
	    {NULL, NULL, "/token=x", NULL},
	    {NULL, NULL, "/?a=b+c&token=p+q%20r", "p+q r"},
	    {"bearer, one", "Bearer two", "/?token=three", "one"},
	    {"chat", "Bearer two", "/?token=three", "two"},
	    {NULL, "Basic two", "/?token=three", "three"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		enum bearer found = find(cases[i].protocols, cases[i].authorization, cases[i].target);
		assert_int_equal(found, cases[i].found != NULL ? BEARER_FOUND : BEARER_NONE);
		assert_string_equal(out, cases[i].found != NULL ? cases[i].found : "");
	}
}

static void what_is_none(void **state)
{
	(void)state;
	assert_int_equal(find(NULL, NULL, "/?token=a%00b"), BEARER_BAD);
	assert_int_equal(find(NULL, NULL, "/?token=a%0"), BEARER_BAD);
	assert_int_equal(find(NULL, NULL, "/?token=a%zz"), BEARER_BAD);
}

/* The longest, and one byte more, in each place. */
static void lengths(void **state)
{
	static const char *const before[] = {"bearer, ", "Bearer ", "/?token="};
	char text[BEARER_MAX + 64];
	(void)state;
	for (int place = 0; place < 3; place++) {
		for (size_t more = 0; more < 2; more++) {
			size_t at = strlen(before[place]);
			memcpy(text, before[place], at);
			memset(text + at, 'x', BEARER_MAX + more);
			text[at + BEARER_MAX + more] = '\0';
			assert_int_equal(
			    find(place == 0 ? text : NULL, place == 1 ? text : NULL, place == 2 ? text : "/"),
			    more > 0 ? BEARER_BAD : BEARER_FOUND);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_place),
	    cmocka_unit_test(what_is_none),
	    cmocka_unit_test(lengths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
