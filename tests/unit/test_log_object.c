/*
 * Log lines as JSON: whatever comes in, what goes out is one object that fits.
 */
#include "common/json.h"
#include "common/log_object.h"

#include "tests/unit/guarded.h"

#include <stdio.h>
#include <stdlib.h>

static void expect(const char *text, size_t len, const char *fields, const char *object)
{
	char out[256];
	size_t n = log_object_write("chat", "info", guarded(0, text, len), len, fields, out, sizeof(out));

	assert_string_equal(out, object);
	assert_int_equal(n, strlen(object));
}

static void writes_an_object(void **state)
{
	struct log_fields f = {0};

	(void)state;
	expect("hi", 2, f.text, "{\"program\":\"chat\",\"level\":\"info\",\"text\":\"hi\"}");
	log_field_text(&f, "user", "a\"b\\c\n@x.org");
	log_field_number(&f, "code", UINT64_MAX);
	expect(
	    "", 0, f.text,
	    "{\"program\":\"chat\",\"level\":\"info\",\"text\":\"\",\"user\":\"a\\\"b\\\\c\\n@x.org\",\"code\":"
	    "18446744073709551615}");
	expect("\xc3\xb1\x01\xff\xc3", 5, "",
	       "{\"program\":\"chat\",\"level\":\"info\",\"text\":\"\xc3\xb1\\u0001?"
	       "?\"}");
}

static void a_field_that_does_not_fit_is_left_out(void **state)
{
	char long_text[LOG_FIELDS_MAX + 100];
	struct log_fields f = {0};

	(void)state;
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	log_field_number(&f, "a", 1);
	log_field_text(&f, "b", long_text);
	log_field_number(&f, "c", 2);
	assert_string_equal(f.text, "\"a\":1,\"c\":2");
	while (f.len + 8 < LOG_FIELDS_MAX)
		log_field_number(&f, "d", 1);
	log_field_text(&f, "long", "12345678");
	assert_true(f.len <= LOG_FIELDS_MAX);
	assert_null(strstr(f.text, "long"));
	assert_int_equal(strlen(f.text), f.len);
}

/* The same numbers each time. */
static unsigned draw(void)
{
	static uint64_t state = 1;

	state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (unsigned)(state >> 33);
}

/* Any byte, or one that must not stand in a string as it is. */
static char drawn_byte(bool any)
{
	static const char awkward[] = "\"\\\x01\xc3\xb1z";
	unsigned n = draw();
	char c;

	if (!any)
		return awkward[n % 6];
	memcpy(&c, &n, 1);
	return c;
}

/* Any text at any size: an object, complete, within its bytes. */
static void whatever_fits_is_whole(void **state)
{
	char text[600], out[512];
	struct log_fields f = {0};

	(void)state;
	log_field_number(&f, "code", 1000);
	for (int round = 0; round < 20000; round++) {
		size_t len = (size_t)draw() % sizeof(text), cap = 128 + (size_t)draw() % (sizeof(out) - 128), n;
		struct json_reader reader;
		struct json_member member;
		enum json_status status;
		unsigned members = 0;

		for (size_t i = 0; i < len; i++)
			text[i] = drawn_byte(round % 2 != 0);
		memset(out, '#', sizeof(out));
		n = log_object_write("chat-bridge[63]", "warning", text, len, f.text, out, cap);
		assert_true(n < cap);
		assert_int_equal(out[n], '\0');
		if (n + 1 < sizeof(out))
			assert_int_equal(out[n + 1], '#');
		json_reader_start(&reader, out, n);
		while ((status = json_reader_next(&reader, &member)) == JSON_MEMBER)
			members++;
		assert_int_equal(status, JSON_END);
		assert_int_equal(members, 4);
	}
}

static void too_many_fields_leave_the_text(void **state)
{
	char out[160];
	struct log_fields f = {0};

	(void)state;
	while (f.len < 200)
		log_field_number(&f, "n", 1000);
	(void)log_object_write("chat", "info", "text", 4, f.text, out, sizeof(out));
	assert_string_equal(out, "{\"program\":\"chat\",\"level\":\"info\",\"text\":\"text\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(writes_an_object),
	    cmocka_unit_test(a_field_that_does_not_fit_is_left_out),
	    cmocka_unit_test(whatever_fits_is_whole),
	    cmocka_unit_test(too_many_fields_leave_the_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
