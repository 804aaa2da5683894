/*
 * Objects as a table, and arrays element by element.
 */
#include "common/json_object.h"

#include "tests/unit/guarded.h"

#include <stdio.h>

static bool reads(const char *text)
{
	struct json_object o;

	return json_object_read(&o, guarded_text(0, text), strlen(text));
}

static void members(void **state)
{
	static const char text[] = "{\"a\":1,\"b\\u0063\":\"x\\/y\",\"\":null,\"A\":[1,{\"a\":2}]}";
	struct json_object o;

	(void)state;
	assert_true(json_object_read(&o, guarded_text(0, text), strlen(text)));
	assert_int_equal(o.count, 4);
	assert_int_equal(json_object_get(&o, "a")->type, JSON_NUMBER);
	assert_int_equal(json_object_get(&o, "")->type, JSON_NULL);
	assert_int_equal(json_object_get(&o, "A")->type, JSON_ARRAY);
	assert_null(json_object_get(&o, "B"));
	assert_null(json_object_get(&o, "b"));
	assert_true(json_member_is(json_object_get(&o, "bc"), "x/y"));
	assert_false(json_member_is(json_object_get(&o, "bc"), "x/"));
	assert_false(json_member_is(json_object_get(&o, "bc"), "x/yz"));
	assert_false(json_member_is(json_object_get(&o, "a"), "1"));
	assert_true(json_object_read(&o, guarded_text(0, "{}"), 2));
	assert_int_equal(o.count, 0);
}

static void not_objects(void **state)
{
	(void)state;
	assert_false(reads(""));
	assert_false(reads("[]"));
	assert_false(reads("{\"a\":1"));
	assert_false(reads("{\"a\":1}}"));
	assert_false(reads("{\"a\":1,}"));
	assert_false(reads("{\"a\":\"\\ud800\"}"));
	assert_true(reads(" {\"a\" : 1 } \n"));
}

static void twice(void **state)
{
	(void)state;
	assert_false(reads("{\"a\":1,\"a\":1}"));
	assert_false(reads("{\"a\":1,\"b\":1,\"\\u0061\":1}"));
	assert_false(reads("{\"\\u0061\":1,\"a\":1}"));
	assert_false(reads("{\"\\u00e9\":1,\"\xc3\xa9\":1}"));
	assert_false(reads("{\"\":1,\"\":1}"));
	assert_true(reads("{\"a\":{\"a\":1,\"a\":1}}"));
	assert_true(reads("{\"a\":1,\"a\\u0000\":1}"));
	assert_true(reads("{\"a\":1,\"aa\":1,\"\\u0061\\u0061a\":1}"));
}

static void bounds(void **state)
{
	char text[4096];

	(void)state;
	for (int count = JSON_OBJECT_MEMBERS_MAX; count <= JSON_OBJECT_MEMBERS_MAX + 1; count++) {
		size_t n = 0;

		for (int i = 0; i < count; i++)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%c\"%d\":0", i ? ',' : '{', i);
		(void)snprintf(text + n, sizeof(text) - n, "}");
		assert_int_equal(reads(text), count == JSON_OBJECT_MEMBERS_MAX);
	}
	(void)snprintf(text, sizeof(text), "{\"\\n\":1,\"%0*d\":1}", JSON_OBJECT_KEY_MAX, 0);
	assert_true(reads(text));
	(void)snprintf(text, sizeof(text), "{\"\\n\":1,\"%0*d\":1}", JSON_OBJECT_KEY_MAX + 1, 0);
	assert_false(reads(text));
}

/* The elements' spans with a '|' behind each, and the last status. */
static enum json_status elements(const char *array, char *out)
{
	size_t len = strlen(array);
	const char *in = guarded_text(0, array);
	struct json_reader reader;
	struct json_member element;
	enum json_status status;

	*out = '\0';
	json_array_start(&reader, in, len);
	while ((status = json_array_next(&reader, &element)) == JSON_MEMBER) {
		assert_int_equal(element.key_len, 0);
		out += sprintf(out, "%d%.*s|", element.type, (int)element.value_len, element.value);
	}
	assert_int_equal(json_array_next(&reader, &element), status);
	return status;
}

static void arrays(void **state)
{
	static const char whole[] = "[\"a\\n\" ,1.5,\r\n[ ],{\"k\":[1,2]},true,null,\"\"]";
	char out[256], text[256];

	(void)state;
	assert_int_equal(elements("[]", out), JSON_END);
	assert_string_equal(out, "");
	assert_int_equal(elements(" [ ] ", out), JSON_END);
	assert_int_equal(elements(whole, out), JSON_END);
	assert_string_equal(out, "0a\\n|11.5|6[ ]|5{\"k\":[1,2]}|2true|4null|0|");
	assert_int_equal(elements("[1]x", out), JSON_INVALID);
	assert_int_equal(elements("[1 2]", out), JSON_INVALID);
	assert_int_equal(elements("[1,]", out), JSON_INVALID);
	assert_int_equal(elements("{}", out), JSON_INVALID);
	assert_int_equal(elements("1", out), JSON_INVALID);
	assert_int_equal(elements("", out), JSON_INVALID);
	assert_int_equal(elements("[\"\xff\"]", out), JSON_BAD_UTF8);
	for (size_t n = 0; n < strlen(whole); n++) {
		(void)snprintf(text, sizeof(text), "%.*s", (int)n, whole);
		assert_int_equal(elements(text, out), JSON_INVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(members), cmocka_unit_test(not_objects), cmocka_unit_test(twice),
	    cmocka_unit_test(bounds),  cmocka_unit_test(arrays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
