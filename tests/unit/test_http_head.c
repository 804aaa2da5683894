/* test_http_head.c - the request head parser against every input it can get */
#include "bridge/http_head.h"

#include "tests/unit/guarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define UPGRADE                                                                                              \
	"GET /ws/alice+x@example.org?room=a,b HTTP/1.1\r\nHost: localhost:8000\r\nUpgrade: websocket\r\n"        \
	"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"                     \
	"Sec-WebSocket-Version: 13\r\nOrigin: http://localhost\r\n\r\n"

/* Parses a copy that ends at a page which cannot be read. */
static enum http_head_result parse_guarded(const char *bytes, size_t n, struct http_head *head, char **copy)
{
	static char *map;
	static size_t size = 65536;
	long page = sysconf(_SC_PAGESIZE);
	if (map == NULL) {
		map = mmap(NULL, size + (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_ptr_not_equal(map, MAP_FAILED);
		assert_int_equal(mprotect(map + size, (size_t)page, PROT_NONE), 0);
	}
	assert_true(n <= size);
	char *at = map + size - n;
	memcpy(at, bytes, n);
	if (copy != NULL)
		*copy = at;
	return http_head_parse(at, n, head);
}

static enum http_head_result parse(const char *text)
{
	struct http_head head;
	return parse_guarded(text, strlen(text), &head, NULL);
}

static void assert_span(struct http_span s, const char *text)
{
	assert_non_null(s.at);
	assert_int_equal(s.len, strlen(text));
	assert_memory_equal(s.at, text, s.len);
}

static void reads_an_upgrade(void **state)
{
	(void)state;
	struct http_head head;
	assert_int_equal(parse_guarded(UPGRADE "rest", strlen(UPGRADE) + 4, &head, NULL), HTTP_HEAD_DONE);
	assert_span(head.method, "GET");
	assert_span(head.target, "/ws/alice+x@example.org?room=a,b");
	assert_span(head.host, "localhost:8000");
	assert_span(head.origin, "http://localhost");
	assert_span(head.websocket_key, "dGhlIHNhbXBsZSBub25jZQ==");
	assert_span(head.websocket_version, "13");
	assert_null(head.authorization.at);
	assert_true(head.upgrade_websocket);
	assert_false(head.upgrade_other);
	assert_false(head.has_body);
	assert_int_equal(head.minor, 1);
	assert_int_equal(head.size, strlen(UPGRADE));
}

static void waits_at_every_length(void **state)
{
	(void)state;
	struct http_head head;
	for (size_t n = 0; n < strlen(UPGRADE); n++)
		assert_int_equal(parse_guarded(UPGRADE, n, &head, NULL), HTTP_HEAD_PARTIAL);
}

static void reads_the_fields(void **state)
{
	(void)state;
	struct http_head head;
	const char *text =
	    "POST / HTTP/1.1\r\nhOsT:a\r\nAuthorization:\t Bearer x \t\r\nUpgrade: h2c\r\nContent-Length: 10\r\n"
	    "Sec-WebSocket-Protocol: bearer, abc\r\nSec-WebSocket-Protocol: second\r\nX: "
	    "\x80\xff\r\nEmpty:\r\n\r\n";
	assert_int_equal(parse_guarded(text, strlen(text), &head, NULL), HTTP_HEAD_DONE);
	assert_span(head.host, "a");
	assert_span(head.authorization, "Bearer x");
	assert_span(head.websocket_protocol, "bearer, abc");
	assert_true(head.upgrade_other);
	assert_false(head.upgrade_websocket);
	assert_true(head.has_body);
	assert_true(http_list_has(head.websocket_protocol, "ABC"));
	assert_false(http_list_has(head.websocket_protocol, "ab"));
	assert_false(http_list_has((struct http_span){NULL, 0}, "a"));

	text = "GET / HTTP/1.0\r\nContent-Length: 000\r\n\r\n";
	assert_int_equal(parse_guarded(text, strlen(text), &head, NULL), HTTP_HEAD_DONE);
	assert_false(head.has_body);
	assert_int_equal(head.minor, 0);

	text = "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nUpgrade: websocket\r\n\r\n";
	assert_int_equal(parse_guarded(text, strlen(text), &head, NULL), HTTP_HEAD_DONE);
	assert_true(head.has_body);
	assert_false(head.upgrade_websocket); /* Connection does not name it */
}

/* The client's order decides, and only what is spelt as we would answer: a page compares exactly. */
static void picks_from_a_list(void **state)
{
	(void)state;
	static const char *const names[] = {"mqtt", "mqttv3.1", NULL};
	static const struct {
		const char *list, *picked;
	} cases[] = {
	    {"mqtt", "mqtt"},
	    {"mqttv3.1", "mqttv3.1"},
	    {"mqttv3.1, mqtt", "mqttv3.1"},
	    {" x ,\tmqtt\t", "mqtt"},
	    {",,mqtt", "mqtt"},
	    {"a,b,c,mqttv3.1,", "mqttv3.1"},
	    {"MQTT", NULL},
	    {"mqttv3", NULL},
	    {"mqttv3.10", NULL},
	    {"mqtt mqtt", NULL},
	    {"", NULL},
	    {",", NULL},
	    {"MQTT,mqttv3.1", "mqttv3.1"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		size_t len = strlen(cases[i].list);
		char *list = malloc(len > 0 ? len : 1); /* no NUL behind it */
		assert_non_null(list);
		memcpy(list, cases[i].list, len);
		const char *picked = http_list_first((struct http_span){list, len}, names);
		free(list);
		if (cases[i].picked == NULL)
			assert_null(picked);
		else
			assert_string_equal(picked, cases[i].picked);
	}
	assert_null(http_list_first((struct http_span){NULL, 0}, names));
}

static void refuses_what_is_malformed(void **state)
{
	(void)state;
	static const char *const bad[] = {
	    "\r\n\r\n",
	    "GET\r\n\r\n",
	    "GET / \r\n\r\n",
	    "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
	    " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	    "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
	    "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
	    "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
	    "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
	    "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
	    "GET / http/1.1\r\nHost: a\r\n\r\n",
	    "GET / HTTP/x.1\r\nHost: a\r\n\r\n",
	    "GET / HTTP/1-1\r\nHost: a\r\n\r\n",
	    "GET / HTTP/1.x\r\nHost: a\r\n\r\n",
	    "GET / HTTP/1.1\nHost: a\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a\r\n\n",
	    "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
	    "GET / HTTP/1.1\r\n: a\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a\x01\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a\x7f\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a\r\nOrigin: a\r\nOrigin: b\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: a\r\nSec-WebSocket-Key: b\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
	    "GET / HTTP/1.1\r\nNo-Host: a\r\n\r\n",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (parse(bad[i]) != HTTP_HEAD_BAD)
			fail_msg("accepted: %s", bad[i]);
	assert_int_equal(parse("GET / HTTP/2.0\r\n\r\n"), HTTP_HEAD_VERSION);
	assert_int_equal(parse("GET / HTTP/0.9\r\n\r\n"), HTTP_HEAD_VERSION);
	struct http_head head;
	assert_int_equal(parse_guarded("GET / HTTP/1.1\r\nHost: \0\r\n\r\n", 28, &head, NULL), HTTP_HEAD_BAD);
}

static void bounds_the_head(void **state)
{
	(void)state;
	struct http_head head;
	char *big = malloc(HTTP_HEAD_MAX + 100);
	assert_non_null(big);
	memset(big, 'a', HTTP_HEAD_MAX + 100);
	assert_int_equal(parse_guarded(big, HTTP_HEAD_MAX - 1, &head, NULL), HTTP_HEAD_PARTIAL);
	assert_int_equal(parse_guarded(big, HTTP_HEAD_MAX, &head, NULL), HTTP_HEAD_TOO_LARGE);
	free(big);

	char many[8192] = "GET / HTTP/1.1\r\n";
	for (int i = 0; i < HTTP_FIELDS_MAX - 1; i++)
		strcat(many, "X: y\r\n");
	strcat(many, "Host: a\r\n");
	size_t exactly = strlen(many);
	strcat(many, "\r\n");
	assert_int_equal(parse(many), HTTP_HEAD_DONE);
	many[exactly] = '\0';
	strcat(many, "X: y\r\n\r\n");
	assert_int_equal(parse(many), HTTP_HEAD_TOO_LARGE);
}

static void survives_anything(void **state)
{
	(void)state;
	struct http_head head;
	unsigned seed = 1;
	for (int round = 0; round < 200000; round++) {
		char bytes[sizeof UPGRADE];
		memcpy(bytes, UPGRADE, sizeof UPGRADE);
		for (int flips = rand_r(&seed) % 4; flips >= 0; flips--)
			bytes[(size_t)rand_r(&seed) % (sizeof UPGRADE - 1)] = (char)rand_r(&seed);
		size_t n = (size_t)rand_r(&seed) % sizeof UPGRADE;
		char *copy;
		if (parse_guarded(bytes, n, &head, &copy) == HTTP_HEAD_DONE) {
			assert_true(head.size <= n);
			assert_true(head.target.at >= copy && head.target.at + head.target.len <= copy + n);
		}
	}
}

static void decodes_once(void **state)
{
	(void)state;
	char out[64];
	assert_int_equal(http_percent_decode("a+b%2Bc%2541", 12, out), 8);
	assert_memory_equal(out, "a+b+c%41", 8);
	assert_int_equal(http_percent_decode("%", 1, out), -1);
	assert_int_equal(http_percent_decode("%4", 2, out), -1);
	assert_int_equal(http_percent_decode("%4g", 3, out), -1);
	assert_int_equal(http_percent_decode("%g4", 3, out), -1);
	assert_int_equal(http_percent_decode("%aF%Fa", 6, out), 2);
	assert_memory_equal(out, "\xaf\xfa", 2);
	assert_int_equal(http_percent_decode("", 0, out), 0);
}

static void finds_a_tag(void **state)
{
	(void)state;
	static const char *const there[] = {
	    "\"x\"",
	    "W/\"x\"",
	    "*",
	    "\"a\", \"x\"",
	    "\"a\",\"x\",\"b\"",
	    ", ,\t\"x\"",
	    "W/\"a,b\" , W/\"x\"",
	    "\"\",\"x\"",
	    "\"x\" , broken",
	};
	static const char *const not_there[] = {
	    "",
	    "x",
	    "\"x",
	    "x\"",
	    "\"",
	    "W/",
	    "W",
	    "w/\"x\"",
	    "\"X\"",
	    "\"xx\"",
	    "\"*\"",
	    "* ",
	    "*, \"y\"",
	    "\"a\" \"x\"",
	    "\"a\"\"x\"",
	    "broken, \"x\"",
	    "\"a b\", \"x\"",
	    "W/x",
	    "W /\"x\"",
	    ",",
	    "\"W/\"x\"\"",
	};
	for (size_t i = 0; i < sizeof there / sizeof there[0]; i++) {
		char *text = guarded_text(0, there[i]);
		assert_true(http_etag_listed((struct http_span){text, strlen(there[i])}, "\"x\""));
	}
	for (size_t i = 0; i < sizeof not_there / sizeof not_there[0]; i++) {
		char *text = guarded_text(0, not_there[i]);
		assert_false(http_etag_listed((struct http_span){text, strlen(not_there[i])}, "\"x\""));
	}
	assert_false(http_etag_listed((struct http_span){NULL, 0}, "\"x\""));

	struct http_head head;
	const char *text = "GET / HTTP/1.1\r\nHost: a\r\nif-none-match: \"x\"\r\nIf-None-Match: \"y\"\r\n\r\n";
	assert_int_equal(parse_guarded(text, strlen(text), &head, NULL), HTTP_HEAD_DONE);
	assert_span(head.if_none_match, "\"x\"");
}

static void understands_later_minor_versions(void **state)
{
	(void)state;
	struct http_head head;
	const char *text = "GET / HTTP/1.7\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
	assert_int_equal(parse_guarded(text, strlen(text), &head, NULL), HTTP_HEAD_DONE);
	assert_int_equal(head.minor, 1);
	assert_true(head.upgrade_websocket);
	assert_int_equal(parse("GET / HTTP/1.7\r\n\r\n"), HTTP_HEAD_BAD); /* it needs a Host as 1.1 does */
	text = "GET / HTTP/1.0\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
	assert_int_equal(parse_guarded(text, strlen(text), &head, NULL), HTTP_HEAD_DONE);
	assert_false(head.upgrade_websocket);
}

static void one_empty_line_before(void **state)
{
	(void)state;
	struct http_head head;
	assert_int_equal(parse_guarded("\r\n" UPGRADE, strlen(UPGRADE) + 2, &head, NULL), HTTP_HEAD_DONE);
	assert_span(head.method, "GET");
	assert_int_equal(head.size, strlen(UPGRADE) + 2);
	for (size_t n = 0; n < strlen(UPGRADE) + 2; n++)
		assert_int_equal(parse_guarded("\r\n" UPGRADE, n, &head, NULL), HTTP_HEAD_PARTIAL);
	assert_int_equal(parse("\r\n\r\n" UPGRADE), HTTP_HEAD_BAD);
}

static void forms_of_the_target(void **state)
{
	(void)state;
	static const struct {
		const char *line, *target; /* NULL: refused */
	} cases[] = {
	    {"GET /a?b", "/a?b"},
	    {"GET //a", "//a"},
	    {"GET http://h/a?b", "/a?b"},
	    {"GET HTTPS://h:1/a", "/a"},
	    {"GET http://h", ""},
	    {"GET http://h?b", "?b"},
	    {"GET http://[::1]/", "/"},
	    {"OPTIONS *", "*"},
	    {"OPTIONS http://h", ""},
	    {"CONNECT h:443", "h:443"},
	    {"GET *", NULL},
	    {"OPTIONS **", NULL},
	    {"GET a", NULL},
	    {"GET h:443", NULL},
	    {"GET ?a", NULL},
	    {"GET http://", NULL},
	    {"GET http:///a", NULL},
	    {"GET http://:80/", NULL},
	    {"GET http://u@h/", NULL},
	    {"GET http://h:p/", NULL},
	    {"GET http:/h", NULL},
	    {"GET ws://h/", NULL},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[128];
		struct http_head head;
		int n = snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: a\r\n\r\n", cases[i].line);
		enum http_head_result result = parse_guarded(text, (size_t)n, &head, NULL);
		if ((result == HTTP_HEAD_DONE) != (cases[i].target != NULL))
			fail_msg("%s: %d", cases[i].line, (int)result);
		if (cases[i].target != NULL)
			assert_span(head.target, cases[i].target);
	}
}

static void hosts(void **state)
{
	(void)state;
	static const char *const fine[] = {
	    "",         "a",           "a:80",     "a:",    "127.0.0.1:8000", "[::1]",
	    "[::1]:80", "[::1.2.3.4]", "a-b_c.d~", "a%20b", "!$&'()*+,;=",    ":80"};
	static const char *const bad[] = {"a b",    "a/b",    "u@a", "a:80x",    "a:80:80", "[::1",
	                                  "[::1]x", "[::1]]", "[",   "[g]",      "a%2",     "a%",
	                                  "a%zz",   "a?b",    "a#b", "\xc3\xb1", "a[",      "http://a"};
	char text[128];
	for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
		(void)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", fine[i]);
		if (parse(text) != HTTP_HEAD_DONE)
			fail_msg("refused: %s", fine[i]);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		(void)snprintf(text, sizeof text, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", bad[i]);
		if (parse(text) != HTTP_HEAD_BAD)
			fail_msg("accepted: %s", bad[i]);
	}
}

static void what_was_read_before_the_fault(void **state)
{
	(void)state;
	struct http_head head;
	const char *text = "HEAD / HTTP/1.1\r\nOrigin: o\r\nno colon\r\n\r\n";
	assert_int_equal(parse_guarded(text, strlen(text), &head, NULL), HTTP_HEAD_BAD);
	assert_span(head.method, "HEAD");
	assert_span(head.origin, "o");
	text = "nonsense\r\n\r\n";
	assert_int_equal(parse_guarded(text, strlen(text), &head, NULL), HTTP_HEAD_BAD);
	assert_null(head.method.at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_an_upgrade),
	    cmocka_unit_test(waits_at_every_length),
	    cmocka_unit_test(reads_the_fields),
	    cmocka_unit_test(refuses_what_is_malformed),
	    cmocka_unit_test(bounds_the_head),
	    cmocka_unit_test(survives_anything),
	    cmocka_unit_test(picks_from_a_list),
	    cmocka_unit_test(decodes_once),
	    cmocka_unit_test(finds_a_tag),
	    cmocka_unit_test(understands_later_minor_versions),
	    cmocka_unit_test(one_empty_line_before),
	    cmocka_unit_test(forms_of_the_target),
	    cmocka_unit_test(hosts),
	    cmocka_unit_test(what_was_read_before_the_fault),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
