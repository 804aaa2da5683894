/*
 * UTF-8: every lead and tail byte, every code point, the White_Space property.
 */
#include "common/utf8.h"

#include "tests/unit/guarded.h"

static size_t decode(const char *s, size_t n, uint32_t *code)
{
	return utf8_decode(guarded(0, s, n), n, code);
}

static bool valid(const char *s, size_t *chars)
{
	return utf8_valid(guarded_text(0, s), strlen(s), chars);
}

/* There and back, and nothing for what is no scalar value. */
static void every_code_point(void **state)
{
	(void)state;
	for (uint32_t code = 0; code <= 0x110010; code++) {
		bool scalar = code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
		char bytes[4];
		uint32_t back = 0;
		size_t n = utf8_encode(code, bytes);
		size_t expected = !scalar ? 0 : code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

		assert_int_equal(n, expected);
		if (!scalar)
			continue;
		assert_int_equal(decode(bytes, n, &back), n);
		assert_int_equal(back, code);
		for (size_t cut = 1; cut < n; cut++)
			assert_int_equal(decode(bytes, cut, &back), 0);
	}
	assert_int_equal(utf8_encode(UINT32_MAX, (char[4]){0}), 0);
}

/* All pairs of lead and first tail, then with sound and unsound further tails, against table 3-7 of
 * the Unicode standard. */
static void every_lead_and_tail(void **state)
{
	uint32_t code;

	(void)state;
	for (unsigned lead = 0x80; lead < 256; lead++) {
		for (unsigned tail = 0; tail < 256; tail++) {
			unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
			unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
			size_t len = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
			char bytes[4] = {(char)lead, (char)tail, (char)0x80, (char)0xbf};

			if (tail < low || tail > high)
				len = 0;
			assert_int_equal(decode(bytes, 4, &code), len);
			bytes[2] = 'x';
			assert_int_equal(decode(bytes, 4, &code), len >= 3 ? 0 : len);
			bytes[2] = (char)0xbf;
			bytes[3] = (char)0xc0;
			assert_int_equal(decode(bytes, 4, &code), len == 4 ? 0 : len);
		}
	}
}

static void whole_texts(void **state)
{
	size_t chars = 99;

	(void)state;
	assert_true(valid("", &chars));
	assert_int_equal(chars, 0);
	assert_true(valid("seven..", &chars));
	assert_int_equal(chars, 7);
	assert_true(valid("sixteen letters.", &chars));
	assert_int_equal(chars, 16);
	assert_true(valid("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 and some more of it", &chars));
	assert_int_equal(chars, 8 + 20);
	assert_true(valid("no count", NULL));
	chars = 99;
	assert_false(valid("12345678\xff", &chars));
	assert_false(valid("1234567\xc3", &chars));
	assert_false(valid("\xed\xa0\x80", &chars));
	assert_int_equal(chars, 99);
}

static void white_space(void **state)
{
	static const uint32_t all[] = {
	    0x09,   0x0a,   0x0b,   0x0c,   0x0d,   0x20,   0x85,   0xa0,   0x1680,
	    0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008,
	    0x2009, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000,
	};
	size_t found = 0;

	(void)state;
	for (uint32_t code = 0; code <= 0x10ffff; code++) {
		if (unicode_white_space(code)) {
			assert_true(found < sizeof(all) / sizeof(all[0]));
			assert_int_equal(code, all[found++]);
		}
	}
	assert_int_equal(found, 25);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_code_point),
	    cmocka_unit_test(every_lead_and_tail),
	    cmocka_unit_test(whole_texts),
	    cmocka_unit_test(white_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
