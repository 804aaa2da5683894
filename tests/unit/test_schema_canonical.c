/*
 * What another node sends passes only as exactly what schema.c would have written.
 */
#include "plugin/schema_canonical.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "01M8CK9SW965VVTGWBE9WWWWWW"

static char scratch[SCHEMA_SCRATCH];
static char timestamp[TIMESTAMP_LEN + 1];

static bool reads(const char *format, ...) __attribute__((format(printf, 1, 2)));

static bool reads(const char *format, ...)
{
	struct schema_canonical m;
	char payload[1024], *exact;
	va_list arguments;
	bool ok;
	int len;

	va_start(arguments, format);
	len = vsnprintf(payload, sizeof(payload), format, arguments);
	va_end(arguments);
	assert_in_range(len, 0, sizeof(payload) - 1);
	/* exactly as long as it is, for the sanitizers */
	exact = malloc((size_t)len + 1);
	assert_non_null(exact);
	memcpy(exact, payload, (size_t)len);
	ok = schema_canonical_read(exact, (size_t)len, scratch, &m);
	free(exact);
	return ok;
}

#define takes(format, text) reads(format, text, timestamp)

#define ROOM(text)                                                                                           \
	takes("{\"id\":\"" ID                                                                                    \
	      "\",\"sender\":\"a@x.org\",\"room\":\"general\",\"message\":\"%s\",\"timestamp\":\"%s\"}",         \
	      text)

static void what_a_plugin_writes(void **state)
{
	(void)state;
	assert_true(ROOM("hi"));
	assert_true(ROOM("\xc3\xbc \\\" \\\\ \\n \\u001f"));
	assert_true(takes("{\"id\":\"" ID
	                  "\",\"sender\":\"a@x.org\",\"to\":\"b@x.org\",\"message\":\"%s\",\"timestamp\":\"%s\"}",
	                  "psst"));
}

static void what_it_would_have_written_otherwise(void **state)
{
	(void)state;
	assert_false(ROOM(""));
	assert_false(ROOM("  \\t"));
	assert_false(ROOM("\\u001F"));
	assert_false(ROOM("\\u0041"));
	assert_false(ROOM("\\/"));
	assert_false(ROOM("a\\u0000b"));
	assert_false(ROOM("\xc3"));
	assert_false(ROOM("x\",\"more\":\"y"));
	assert_false(
	    takes("{\"id\":\"" ID
	          "\",\"sender\":\"a@X.org\",\"room\":\"general\",\"message\":\"%s\",\"timestamp\":\"%s\"}",
	          "hi"));
	assert_false(
	    takes("{\"id\":\"" ID
	          "\",\"sender\":\"a@x.org\",\"room\":\"General\",\"message\":\"%s\",\"timestamp\":\"%s\"}",
	          "hi"));
	assert_false(
	    takes("{\"id\":\"" ID
	          "\", \"sender\":\"a@x.org\",\"room\":\"general\",\"message\":\"%s\",\"timestamp\":\"%s\"}",
	          "hi"));
	assert_false(takes("{\"sender\":\"a@x.org\",\"id\":\"" ID
	                   "\",\"room\":\"general\",\"message\":\"%s\",\"timestamp\":\"%s\"}",
	                   "hi"));
	assert_false(takes("{\"id\":\"01M8CK9SW165VVTGWBE9WWWWWW\",\"sender\":\"a@x.org\",\"room\":\"general\","
	                   "\"message\":\"%s\","
	                   "\"timestamp\":\"%s\"}",
	                   "another time"));
	assert_false(ROOM("hi") && takes("%s%s", ""));
}

static bool typing(const char *text, bool room)
{
	struct schema_canonical m;

	return schema_typing_read(text, strlen(text), room, &m);
}

static void typing_events(void **state)
{
	(void)state;
	assert_true(typing("{\"type\":\"typing\",\"sender\":\"a@x.org\",\"room\":\"general\"}", true));
	assert_true(typing("{\"type\":\"typing\",\"sender\":\"a@x.org\"}", false));
	assert_false(typing("{\"type\":\"typing\",\"sender\":\"a@x.org\"}", true));
	assert_false(typing("{\"type\":\"typing\",\"sender\":\"a@x.org\",\"room\":\"general\"}", false));
	assert_false(typing("{\"type\":\"Typing\",\"sender\":\"a@x.org\"}", false));
	assert_false(typing("{\"type\":\"typing\",\"sender\":\"a@x.org\"} ", false));
	assert_false(typing("", false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_a_plugin_writes),
	    cmocka_unit_test(what_it_would_have_written_otherwise),
	    cmocka_unit_test(typing_events),
	};

	timestamp_format(ulid_milliseconds(ID), timestamp);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
