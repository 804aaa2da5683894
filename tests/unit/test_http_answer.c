/* test_http_answer.c - the bytes before a body, and who may read them */
#include "bridge/http_answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct chunk *const some_body = (struct chunk *)16; /* is never looked into */

static struct http_span span(const char *text)
{
	return (struct http_span){text, text != NULL ? strlen(text) : 0};
}

static const char *format(const struct http_answer *a, size_t body_len)
{
	static char out[HTTP_ANSWER_HEAD_MAX];
	size_t len = http_answer_format(a, body_len, out, sizeof out);
	assert_int_equal(len, strlen(out));
	assert_true(len > 0);
	/* it fits exactly, and not into less */
	char *tight = malloc(len + 1);
	assert_int_equal(http_answer_format(a, body_len, tight, len + 1), len);
	assert_string_equal(tight, out);
	assert_int_equal(http_answer_format(a, body_len, tight, len), 0);
	assert_int_equal(http_answer_format(a, body_len, tight, 1), 0);
	free(tight);
	return out;
}

static void a_body_of_its_own(void **state)
{
	(void)state;
	struct http_answer a = {.status = &http_ok, .body = some_body};
	const char *whole = "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: "
	                    "application/json\r\nContent-Length: 1234567\r\n"
	                    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
	                    "Connection: close\r\n\r\n";
	assert_string_equal(format(&a, 1234567), whole);
	a.head_only = true; /* the same head */
	assert_string_equal(format(&a, 1234567), whole);
	a.content_type = "text/plain; version=0.0.4";
	assert_non_null(strstr(format(&a, 0), "\r\nContent-Type: text/plain; version=0.0.4\r\n"
	                                      "Content-Length: 0\r\n"));
}

static void fields_of_its_own(void **state)
{
	(void)state;
	struct http_answer a = {.status = &http_ok,
	                        .body = some_body,
	                        .content_type = "text/css",
	                        .fields = "ETag: \"x\"\r\nCache-Control: no-cache\r\n",
	                        .now = 1793000000};
	const char *text = format(&a, 7);
	assert_string_equal(text,
	                    "HTTP/1.1 200 OK\r\nDate: Mon, 26 Oct 2026 07:33:20 GMT\r\nContent-Type: text/css\r\n"
	                    "Content-Length: 7\r\nETag: \"x\"\r\nCache-Control: no-cache\r\n"
	                    "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n");
	a.status = &http_not_modified; /* no body, and nothing that is said of one */
	a.body = NULL;
	text = format(&a, 0);
	assert_non_null(strstr(text, "HTTP/1.1 304 Not Modified\r\n"));
	assert_non_null(strstr(text, "\r\nETag: \"x\"\r\nCache-Control: no-cache\r\n"));
	assert_null(strstr(text, "Content-Length"));
	assert_null(strstr(text, "Content-Type:"));
	assert_null(strstr(text, "no-store"));
	assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
}

static void an_error(void **state)
{
	(void)state;
	struct http_answer a = {.status = &http_starting};
	const char *text = format(&a, 0);
	const char *body = strstr(text, "\r\n\r\n") + 4;
	char length[64];
	assert_string_equal(body,
	                    "{\"error\":\"starting\",\"message\":\"it is not known yet who is connected\"}\n");
	(void)snprintf(length, sizeof length, "\r\nContent-Length: %zu\r\n", strlen(body));
	assert_non_null(strstr(text, length));
	assert_non_null(strstr(text, "\r\nRetry-After: 1\r\n"));
	a.head_only = true;
	text = format(&a, 0);
	assert_non_null(strstr(text, length));
	assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
}

static void what_426_says(void **state)
{
	(void)state;
	struct http_answer a = {.status = &http_upgrade_required};
	const char *text = format(&a, 0);
	assert_non_null(strstr(text, "\r\nUpgrade: websocket\r\n"));
	assert_non_null(strstr(text, "\r\nConnection: close, Upgrade\r\n"));
	assert_non_null(strstr(text, "\r\nSec-WebSocket-Version: 13\r\n"));
}

static void nothing_about_origins(void **state)
{
	(void)state;
	struct http_answer a = {.status = &http_not_found, .origin = span("https://a.example")};
	const char *text = format(&a, 0);
	assert_null(strstr(text, "Access-Control"));
	assert_null(strstr(text, "Vary"));
}

static void any_origin(void **state)
{
	(void)state;
	struct http_answer a = {.status = &http_ok, .body = some_body, .origins = "*"};
	for (int i = 0; i < 2; i++) {
		const char *text = format(&a, 3);
		assert_non_null(strstr(text, "\r\nAccess-Control-Allow-Origin: *\r\n"));
		assert_null(strstr(text, "Vary"));
		a.origin = span("https://a.example");
	}
}

static void listed_origins(void **state)
{
	(void)state;
	static const struct {
		const char *origin;
		bool allowed;
	} cases[] = {
	    {"https://a.example", true},
	    {"http://b.example:8080", true},
	    {"null", false},
	    {"https://a.example.evil", false},
	    {"https://a.exampl", false},
	    {"https://A.example", false},
	    {"", false},
	    {NULL, false},
	    {"*", false},
	    {"https://a.example,http://", false},
	    {"http://b.example:8080 ", false},
	    {",", false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct http_answer a = {.status = &http_no_content,
		                        .origins = "https://a.example,http://b.example:8080",
		                        .origin = span(cases[i].origin)};
		const char *text = format(&a, 0);
		char line[256];
		(void)snprintf(line, sizeof line, "\r\nAccess-Control-Allow-Origin: %s\r\n",
		               cases[i].origin != NULL ? cases[i].origin : "");
		assert_int_equal(strstr(text, line) != NULL, cases[i].allowed);
		assert_int_equal(strstr(text, "Access-Control-Allow-Origin:") != NULL, cases[i].allowed);
		assert_non_null(strstr(text, "\r\nVary: Origin\r\n")); /* also where nothing is allowed */
	}
}

static void an_origin_as_long_as_the_list(void **state)
{
	(void)state;
	char list[4097];
	memset(list, 'x', sizeof list - 1);
	list[sizeof list - 1] = '\0';
	struct http_answer a = {.status = &http_no_content, .origins = list, .origin = span(list)};
	assert_non_null(strstr(format(&a, 0), list));
}

static void origins_without_an_answer(void **state)
{
	(void)state;
	assert_true(http_origin_allowed("", span(NULL)));
	assert_true(http_origin_allowed("*", span("anything")));
	assert_false(http_origin_allowed("", span("")));
	assert_false(http_origin_allowed("", span("https://a.example")));
	assert_true(http_origin_allowed("a,b", span("b")));
	assert_false(http_origin_allowed("a,b", span("a,b")));
}

static void what_options_says(void **state)
{
	(void)state;
	struct http_answer a = {.status = &http_no_content, .origins = "*"};
	const char *text = format(&a, 0);
	assert_non_null(strstr(text, "HTTP/1.1 204 No Content\r\n"));
	assert_non_null(strstr(text, "\r\nAllow: GET, HEAD, OPTIONS\r\n"));
	assert_non_null(strstr(text, "\r\nAccess-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n"));
	assert_non_null(strstr(text, "\r\nAccess-Control-Allow-Headers: Authorization\r\n"));
	assert_non_null(strstr(text, "\r\nAccess-Control-Max-Age: "));
	assert_null(strstr(text, "Content-Length"));
	assert_null(strstr(text, "\r\nContent-Type"));
	assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_body_of_its_own),
	    cmocka_unit_test(fields_of_its_own),
	    cmocka_unit_test(an_error),
	    cmocka_unit_test(what_426_says),
	    cmocka_unit_test(nothing_about_origins),
	    cmocka_unit_test(any_origin),
	    cmocka_unit_test(listed_origins),
	    cmocka_unit_test(an_origin_as_long_as_the_list),
	    cmocka_unit_test(origins_without_an_answer),
	    cmocka_unit_test(what_options_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
