/*
 * The JSON reader and the string writer, by hand-written cases, at every cut and with every byte changed.
 */
#include "common/json.h"

#include "tests/unit/guarded.h"

#include "common/utf8.h"

#include <stdio.h>
#include <stdlib.h>

#define SLOT_TEXT 0
#define SLOT_OUT 1

/* The verdict on a text, after a walk that looks at every byte handed out. */
static enum json_status walk(const char *text, size_t n, size_t *members)
{
	const char *in = guarded(SLOT_TEXT, text, n);
	struct json_reader reader;
	struct json_member m;
	enum json_status status;
	size_t count = 0;

	json_reader_start(&reader, in, n);
	while ((status = json_reader_next(&reader, &m)) == JSON_MEMBER) {
		char *plain = guarded_space(SLOT_OUT, m.key_len + m.value_len);

		count++;
		assert_true(m.key > in && m.key + m.key_len < in + n);
		assert_true(m.value > m.key + m.key_len && m.value + m.value_len <= in + n);
		assert_int_equal(m.key_escaped, memchr(m.key, '\\', m.key_len) != NULL);
		assert_true(utf8_valid(m.key, m.key_len, NULL));
		assert_true(json_unescape(m.key, m.key_len, plain) <= m.key_len);
		if (m.type == JSON_STRING) {
			size_t len = json_unescape(m.value, m.value_len, plain);

			assert_int_equal(m.value_escaped, memchr(m.value, '\\', m.value_len) != NULL);
			assert_true(len <= m.value_len);
			assert_true(utf8_valid(plain, len, NULL));
		} else {
			assert_false(m.value_escaped);
			assert_true(m.value_len > 0);
		}
	}
	/* the last answer stays */
	assert_int_equal(json_reader_next(&reader, &m), status);
	assert_int_equal(json_reader_next(&reader, &m), status);
	if (members)
		*members = count;
	return status;
}

static void gives_bytes(const char *text, size_t n, enum json_status expected)
{
	enum json_status status = walk(text, n, NULL);

	if (status != expected)
		fail_msg("%.100s: %d instead of %d", text, status, expected);
}

static void gives(const char *text, enum json_status expected)
{
	gives_bytes(text, strlen(text), expected);
}

/* A value in the place of a member's. */
static void value_gives(const char *value, enum json_status expected)
{
	char text[1024];
	int n = snprintf(text, sizeof(text), "{\"k\":%s}", value);

	assert_true(n >= 6 && n <= (int)sizeof(text) - 1);
	gives(text, expected);
}

/* ---- texts ---------------------------------------------------------------------- */

static void objects(void **state)
{
	size_t members;

	(void)state;
	gives("{}", JSON_END);
	gives(" \t\r\n{ \t\r\n} \t\r\n", JSON_END);
	gives("{\"a\":1}", JSON_END);
	gives(" { \"a\" : 1 , \"b\" : 2 } ", JSON_END);
	gives("{\"\":\"\"}", JSON_END);
	assert_int_equal(walk("{\"a\":1,\"a\":1,\"b\":[1,2]}", 23, &members), JSON_END);
	assert_int_equal(members, 3);
	assert_int_equal(walk("{\"a\":1,\"b\":2,}", 14, &members), JSON_INVALID);
	assert_int_equal(members, 2);
}

static void not_json(void **state)
{
	static const char *const bad[] = {
	    "",
	    " ",
	    "{",
	    "}",
	    "{]",
	    "{,}",
	    "{\"a\"}",
	    "{\"a\":}",
	    "{\"a\":,}",
	    "{\"a\" 1}",
	    "{\"a\":1",
	    "{\"a\":1,",
	    "{\"a\":1,}",
	    "{\"a\":1 \"b\":2}",
	    "{,\"a\":1}",
	    "{\"a\":1,,\"b\":2}",
	    "{a:1}",
	    "{1:1}",
	    "{'a':1}",
	    "{\"a\":'b'}",
	    "{\"a",
	    "{\"a\"",
	    "{\"a\":",
	    "{\"a\":1]",
	    "{} {}",
	    "{}x",
	    "{},",
	    "{}{",
	    "//\n{}",
	    "{}//",
	    "\f{}",
	    "\v{}",
	    "{\"a\"=1}",
	    "{null:1}",
	    "{\"a\":1;}",
	    "{\"a\"::1}",
	    "\\",
	    "{\"a\":\"b}",
	    "{\"a\":\"b\\\"}",
	    "{\"a\":1}\x1a",
	    "\xc2\xa0{}",
	    "{\"a\":(1)}",
	    "\xef\xbb\xbf{}",
	    "\xef\xbb\xbf",
	    "{}\xef\xbb\xbf",
	    "\xff\xfe{",
	    "{\xc2\xa0}",
	    "{\"a\":1\xc2\xa0}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		gives(bad[i], JSON_INVALID);
	gives_bytes("{}\0", 3, JSON_INVALID);
	gives_bytes("\0{}", 3, JSON_INVALID);
	gives_bytes("{\"a\":\0}", 7, JSON_INVALID);
	gives_bytes("\0{\0}", 4, JSON_INVALID); /* UTF-16 */
}

static void not_an_object(void **state)
{
	static const char *const other[] = {
	    "[]",    "[1,2]",  "\"\"", "\"{}\"", "0",    "-1.5e+3",          "true",
	    "false", "null\n", " 1 ",  "[{}]",   "[[]]", "[{\"a\":[]},\"\"]"};
	static const char *const bad[] = {"[",     "]",   "[1,]", "[1",  "\"",       "tru", "nul",
	                                  "truex", "1 2", "01",   "[]]", "[] x",     "-",   "x",
	                                  "[,]",   "[1,", "[1}",  "[{]", "[{\"a\"}]"};

	(void)state;
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
		gives(other[i], JSON_NOT_OBJECT);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		gives(bad[i], JSON_INVALID);
	gives("\"\xff\"", JSON_BAD_UTF8);
	gives("[\"\\ud800\"]", JSON_BAD_UTF8);
}

/* ---- values --------------------------------------------------------------------- */

static void numbers(void **state)
{
	static const char *const good[] = {
	    "0",     "-0",   "1",           "10",  "1234567890123456789012345678901234567890",
	    "0.5",   "-0.0", "1e5",         "1E5", "1e+5",
	    "1e-05", "0e0",  "1.25E-100000"};
	static const char *const bad[] = {"00",   "01",   "-",     "-01",      "+1",        ".5",
	                                  "1.",   "1.e5", "1e",    "1e+",      "1e-",       "1e+-5",
	                                  "0x10", "1_0",  "NaN",   "Infinity", "-Infinity", "1a",
	                                  "--1",  "1..5", "1e5.5", "\xd9\xa1", "1 0"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		value_gives(good[i], JSON_END);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		value_gives(bad[i], JSON_INVALID);
}

static void words_and_containers(void **state)
{
	static const char *const good[] = {
	    "true",
	    "false",
	    "null",
	    "[]",
	    "{}",
	    "[ ]",
	    "{ }",
	    "[1]",
	    "[1 , 2]",
	    "[[[]]]",
	    "[{},{}]",
	    "{\"a\":{\"b\":{}}}",
	    "[[],[],{}]",
	    "{\"a\":[{\"b\":[]},[]],\"c\":{}}",
	    "{\"a\":1,\"a\":2}",
	    "[true,false,null,\"\",0,{\"\":[]}]",
	    "[ [ ] , { } ]",
	};
	static const char *const bad[] = {
	    "tru",         "True",      "truee",     "nulll",      "fals",      "[1,]",      "[,1]",
	    "[1 2]",       "{\"a\"}",   "{\"a\":}",  "{\"a\":1,}", "{1:2}",     "{,}",       "[}",
	    "{]",          "[1}",       "{\"a\":1]", "[[]",        "[[]]]",     "{\"a\":{}", "[\"a\":1]",
	    "{\"a\",1}",   "{\"a\":[}", "[{]}",      "[\"a]",      "[\"\\x\"]", "[01]",      "[nul]",
	    "{\"a\":1,2}", "[1,",       "[",         "{",          "{\"a\":1",  "{\"a\":",   "[{\"a\":1,\"b\"}]",
	    "undefined",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		value_gives(good[i], JSON_END);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		value_gives(bad[i], JSON_INVALID);
	value_gives("{\"\\ud800\":1}", JSON_BAD_UTF8);
	value_gives("{\"a\":1,\"\xff\":1}", JSON_BAD_UTF8);
	value_gives("[[[\"\xc0\x80\"]]]", JSON_BAD_UTF8);
}

static void what_a_member_is(void **state)
{
	static const struct {
		const char *value;
		enum json_type type;
	} cases[] = {
	    {"\"s\"", JSON_STRING}, {"-1e5", JSON_NUMBER},      {"true", JSON_TRUE},    {"false", JSON_FALSE},
	    {"null", JSON_NULL},    {"{\"a\":1}", JSON_OBJECT}, {"[1, 2]", JSON_ARRAY},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[64];
		struct json_reader reader;
		struct json_member m;
		size_t quote = cases[i].type == JSON_STRING;

		assert_true(snprintf(text, sizeof(text), "{ \"ke\\u0079\" :\t%s , \"z\":0}", cases[i].value) > 0);
		json_reader_start(&reader, text, strlen(text));
		assert_int_equal(json_reader_next(&reader, &m), JSON_MEMBER);
		assert_int_equal(m.key_len, 8);
		assert_memory_equal(m.key, "ke\\u0079", 8);
		assert_true(m.key_escaped);
		assert_int_equal(m.type, cases[i].type);
		assert_int_equal(m.value_len, strlen(cases[i].value) - 2 * quote);
		assert_memory_equal(m.value, cases[i].value + quote, m.value_len);
		assert_false(m.value_escaped);
		assert_int_equal(json_reader_next(&reader, &m), JSON_MEMBER);
		assert_int_equal(m.key_len, 1);
		assert_false(m.key_escaped);
		assert_int_equal(json_reader_next(&reader, &m), JSON_END);
	}
}

static char *nested(size_t depth, char open, char close)
{
	char *text = malloc(7 * depth + 10);
	size_t n = 0;

	assert_non_null(text);
	for (size_t i = 0; i < depth; i++)
		n += (size_t)sprintf(text + n, "%s", open == '[' ? "[" : "{\"a\":");
	if (open == '{')
		text[n++] = '0';
	memset(text + n, close, depth);
	text[n + depth] = '\0';
	return text;
}

static void nesting(void **state)
{
	static const size_t depths[] = {1, 2, 62, 63, 64, 65, 66, 5000};

	(void)state;
	for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
		bool fits = depths[i] <= JSON_DEPTH_MAX;
		char *arrays = nested(depths[i], '[', ']');
		char *objects_only = nested(depths[i], '{', '}');
		char *text = malloc(strlen(arrays) + 8);

		assert_non_null(text);
		gives(arrays, fits ? JSON_NOT_OBJECT : JSON_INVALID);
		gives(objects_only, fits ? JSON_END : JSON_INVALID);
		assert_true(sprintf(text, "{\"a\":%s}", arrays) > 0);
		gives(text, depths[i] < JSON_DEPTH_MAX ? JSON_END : JSON_INVALID);
		free(text);
		free(arrays);
		free(objects_only);
	}
	/* depth, not number */
	gives("[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],["
	      "],[],[],[],[],"
	      "[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]"
	      ",[],[],[],[]]",
	      JSON_NOT_OBJECT);
}

/* ---- strings ---------------------------------------------------------------------- */

static void escapes(void **state)
{
	static const char *const good[] = {
	    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
	    "\"\\u0000\"",
	    "\"\\u00e9\\u00E9\"",
	    "\"\\uFFFF\"",
	    "\"\\ud83d\\ude00\"",
	    "\"\\uD800\\uDC00\"",
	    "\"\\udbff\\udfff\"",
	    "\"\\ud7ff\\ue000\"",
	    "\"\x7f\"",
	    "\"\\\\u12\"",
	    "\"\\\\\"",
	};
	static const char *const bad[] = {
	    "\"\\a\"",     "\"\\x41\"",   "\"\\'\"",    "\"\\U0041\"", "\"\\u\"",
	    "\"\\u1\"",    "\"\\u12\"",   "\"\\u123\"", "\"\\u123g\"", "\"\\ug123\"",
	    "\"\\u 123\"", "\"\\u+123\"", "\"\\0\"",    "\"\\\n\"",    "\"\t\"",
	    "\"\n\"",      "\"\x01\"",    "\"\x1f\"",   "\"\\\"",      "\"longer than eight\x1f\"",
	    "\"\\u004",
	};
	static const char *const lone[] = {
	    "\"\\ud800\"",        "\"\\udc00\"",       "\"\\udfff\"",          "\"\\udbff\"",
	    "\"\\ud83dx\"",       "\"\\ud83d\\n\"",    "\"\\ud83d\\u0041\"",   "\"\\ud83d\\ud83d\"",
	    "\"\\ude00\\ud83d\"", "\"\\ud83d\\ude0\"", "\"\\ud83d\\\\ude00\"", "\"\\ud83d\xed\xb8\x80\"",
	    "\"\\ud83d\\x\"",     "\"\\ud83dxude00\"", "\"\\ud83d\\uzzzz\"",   "\"\\ud83d\\ue000 \"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		value_gives(good[i], JSON_END);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		value_gives(bad[i], JSON_INVALID);
	for (size_t i = 0; i < sizeof(lone) / sizeof(lone[0]); i++)
		value_gives(lone[i], JSON_BAD_UTF8);
}

/* Each byte at each place of a string: eight at a time or one by one, the verdict is the same. */
static void every_byte_at_every_place(void **state)
{
	(void)state;
	for (size_t len = 1; len <= 20; len++) {
		for (size_t at = 0; at < len; at++) {
			for (int c = 0; c < 256; c++) {
				char text[40] = "{\"k\":\"";
				enum json_status expected = JSON_END;

				memset(text + 6, 'x', len);
				memcpy(text + 6 + len, "\"}", 3);
				text[6 + at] = (char)c;
				if (c < 0x20 || c == '"' || c == '\\')
					expected = JSON_INVALID;
				if (c >= 0x80)
					expected = JSON_BAD_UTF8;
				if (c == '"' && at == len - 1) /* "x""}: a string and rubbish behind it */
					expected = JSON_INVALID;
				gives_bytes(text, len + 8, expected);
			}
		}
	}
}

static void characters_at_every_place(void **state)
{
	static const char *const characters[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\\\"",
	                                         "\\u00e9"};

	(void)state;
	for (size_t i = 0; i < sizeof(characters) / sizeof(characters[0]); i++) {
		for (size_t before = 0; before < 18; before++) {
			char text[64];

			assert_true(snprintf(text, sizeof(text), "{\"k\":\"%.*s%sxxxxxxxxx\"}", (int)before,
			                     "xxxxxxxxxxxxxxxxxx", characters[i]) > 0);
			gives(text, JSON_END);
		}
	}
}

/* A text with everything in it. */
static const char everything[] = " {\"mess\\u0061ge\" : \"caf\xc3\xa9 \\\"\\\\ \\ud83d\\ude00 "
                                 "\xf0\x9f\x98\x80 long enough\",\r\n\t\"a\":[-1.5e+3,true,"
                                 "{\"b\":null}, [] ,\"\\u00e9\"],\"c\":false,\"d\":{}, \"e\":0}\n";

static void cut_everywhere(void **state)
{
	size_t whole = sizeof(everything) - 1;
	size_t members;

	(void)state;
	assert_int_equal(walk(everything, whole, &members), JSON_END);
	assert_int_equal(members, 5);
	assert_int_equal(walk(everything, whole - 1, NULL), JSON_END);
	for (size_t n = 0; n < whole - 1; n++) {
		enum json_status status = walk(everything, n, NULL);

		assert_true(status == JSON_INVALID || status == JSON_BAD_UTF8);
	}
}

/* A whole walk ends with one of the verdicts. */
static void assert_verdict(enum json_status status)
{
	assert_true(status == JSON_END || status == JSON_INVALID || status == JSON_BAD_UTF8 ||
	            status == JSON_NOT_OBJECT);
}

static void changed_everywhere(void **state)
{
	char text[sizeof(everything)];

	(void)state;
	for (size_t at = 0; at < sizeof(everything) - 1; at++) {
		for (int c = 0; c < 256; c++) {
			memcpy(text, everything, sizeof(text));
			text[at] = (char)c;
			assert_verdict(walk(text, sizeof(text) - 1, NULL));
			memmove(text + at, text + at + 1, sizeof(text) - 1 - at); /* one byte less */
			assert_verdict(walk(text, sizeof(text) - 2, NULL));
		}
	}
}

/* ---- escapes undone and done ---------------------------------------------------------- */

static void undone(const char *raw, const char *plain, size_t n)
{
	char *in = guarded_text(SLOT_TEXT, raw);
	char *out = guarded_space(SLOT_OUT, strlen(raw));

	assert_int_equal(json_unescape(in, strlen(raw), out), n);
	assert_memory_equal(out, plain, n);
	assert_int_equal(json_unescape(in, strlen(raw), in), n); /* in its own place */
	assert_memory_equal(in, plain, n);
}

static void unescaping(void **state)
{
	(void)state;
	undone("", "", 0);
	undone("plain", "plain", 5);
	undone("\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t", 8);
	undone("a\\u0041\\u00e9\\u20AC\\ud83d\\ude00\\uffffz",
	       "aA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbfz", 15);
	undone("\\u0000", "\0", 1);
	undone("\\udbff\\udfff\\ud800\\udc00", "\xf4\x8f\xbf\xbf\xf0\x90\x80\x80", 8);
	undone("\\\\u0041", "\\u0041", 6);
	undone("caf\xc3\xa9\\n", "caf\xc3\xa9\n", 6);
}

static bool same(const char *raw, const char *text)
{
	return json_span_equals(guarded_text(SLOT_TEXT, raw), strlen(raw), strchr(raw, '\\') != NULL, text);
}

static void comparing(void **state)
{
	(void)state;
	assert_true(same("message", "message"));
	assert_true(same("", ""));
	assert_true(same("messag\\u0065", "message"));
	assert_true(same("\\u00e9\\ud83d\\ude00", "\xc3\xa9\xf0\x9f\x98\x80"));
	assert_true(json_span_equals("message", 7, true, "message"));
	assert_false(same("message", "messag"));
	assert_false(same("messag", "message"));
	assert_false(same("massage", "message"));
	assert_false(same("messag\\u0065x", "message"));
	assert_false(same("messag\\u0045", "message"));
	assert_false(same("mess\\u0061g", "message"));
	assert_false(same("message\\u0000", "message"));
	assert_false(same("\\u0000", ""));
	assert_false(same("\\u00e9", "\xc3"));
}

static void done(const char *plain, size_t n, const char *expected)
{
	const char *in = guarded(SLOT_TEXT, plain, n);
	size_t size = json_escaped_size(in, n);
	char *out = guarded_space(SLOT_OUT, size);

	assert_int_equal(size, strlen(expected));
	assert_ptr_equal(json_escape(in, n, out), out + size);
	assert_memory_equal(out, expected, size);
}

static void escaping(void **state)
{
	(void)state;
	done("", 0, "");
	done("plain / text\x7f", 13, "plain / text\x7f");
	done("\"\\\b\f\n\r\t", 7, "\\\"\\\\\\b\\f\\n\\r\\t");
	done("\0\x01\x1f\x0b", 4, "\\u0000\\u0001\\u001f\\u000b");
	done("caf\xc3\xa9 \xf0\x9f\x98\x80", 10, "caf\xc3\xa9 \xf0\x9f\x98\x80");
}

/* All characters below U+0800 and some above, there and back, through the reader. */
static void there_and_back(void **state)
{
	(void)state;
	for (uint32_t code = 0; code < 0x110000; code += code < 0x800 ? 1 : 0x333) {
		char plain[4], raw[16], back[16], text[40] = "{\"k\":\"";
		size_t n = utf8_encode(code, plain);
		size_t size = (size_t)(json_escape(plain, n, raw) - raw);

		if (n == 0)
			continue;
		assert_int_equal(size, json_escaped_size(plain, n));
		assert_int_equal(json_unescape(raw, size, back), n);
		assert_memory_equal(back, plain, n);
		memcpy(text + 6, raw, size);
		memcpy(text + 6 + size, "\"}", 2);
		gives_bytes(text, size + 8, JSON_END);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(objects),
	    cmocka_unit_test(not_json),
	    cmocka_unit_test(not_an_object),
	    cmocka_unit_test(numbers),
	    cmocka_unit_test(words_and_containers),
	    cmocka_unit_test(what_a_member_is),
	    cmocka_unit_test(nesting),
	    cmocka_unit_test(escapes),
	    cmocka_unit_test(every_byte_at_every_place),
	    cmocka_unit_test(characters_at_every_place),
	    cmocka_unit_test(cut_everywhere),
	    cmocka_unit_test(changed_everywhere),
	    cmocka_unit_test(unescaping),
	    cmocka_unit_test(comparing),
	    cmocka_unit_test(escaping),
	    cmocka_unit_test(there_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
