/*
 * Roster lines: exact bytes, every size of buffer, and whatever else may stand there.
 */
#include "common/roster.h"

#include "tests/unit/guarded.h"

#include <stdio.h>
#include <stdlib.h>

static struct identity identity(const char *text)
{
	struct identity who;

	assert_true(identity_parse(text, strlen(text), &who));
	return who;
}

/* ---- writing ------------------------------------------------------------------- */

static size_t some_entry(char *out, size_t cap)
{
	struct identity who = identity("alice@example.com");

	return roster_put_entry(&who, true, 1795700000123, out, cap);
}

static size_t another_entry(char *out, size_t cap)
{
	struct identity who = identity("b+o'b/#@EXAMPLE.com");

	return roster_put_entry(&who, false, 0, out, cap);
}

static size_t more(char *out, size_t cap)
{
	return roster_put_answer("18446744073709551615", false, out, cap);
}

static size_t last(char *out, size_t cap)
{
	return roster_put_answer("7", true, out, cap);
}

static void exact_bytes_in_every_buffer(void **state)
{
	static const struct {
		size_t (*put)(char *out, size_t cap);
		const char *expected;
	} cases[] = {
	    {some_entry, "+alice@example.com 1795700000123\n"},
	    {another_entry, "-b+o'b/#@example.com 0\n"},
	    {more, "roster 18446744073709551615 more\n"},
	    {last, "roster 7 last\n"},
	    {roster_put_feed, "presence\n"},
	};
	size_t i, cap, len;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		len = strlen(cases[i].expected);
		for (cap = 0; cap < len; cap++)
			assert_int_equal(cases[i].put(guarded_space(0, cap), cap), 0);
		for (; cap < len + 3; cap++) {
			char *out = guarded_space(0, cap);

			assert_int_equal(cases[i].put(out, cap), len);
			assert_memory_equal(out, cases[i].expected, len);
		}
	}
}

static void the_longest_fit(void **state)
{
	struct identity who;
	char text[IDENTITY_MAX + 1], out[ROSTER_ENTRY_MAX];

	(void)state;
	/* 64 in front of the '@', and labels of 63 behind it. */
	memset(text, 'a', IDENTITY_MAX);
	text[64] = '@';
	text[64 + 64] = text[64 + 128] = '.';
	text[IDENTITY_MAX] = '\0';
	who = identity(text);
	assert_int_equal(who.len, IDENTITY_MAX);
	assert_int_equal(roster_put_entry(&who, true, ROSTER_MS_MAX, out, sizeof(out)), ROSTER_ENTRY_MAX);
	assert_int_equal(roster_put_entry(&who, true, ROSTER_MS_MAX + 1, out, sizeof(out)), 0);
	assert_true(more(out, ROSTER_HEAD_MAX) > 0);
}

/* A page's head can be written over. */
static void heads_of_one_length(void **state)
{
	char a[ROSTER_HEAD_MAX], b[ROSTER_HEAD_MAX];

	(void)state;
	assert_int_equal(roster_put_answer("12", false, a, sizeof(a)),
	                 roster_put_answer("12", true, b, sizeof(b)));
}

static void nothing_that_cannot_be_read(void **state)
{
	static const char *const tokens[] = {"", "x", "1 2", "-1", "1\n", "123456789012345678901"};
	struct identity who = {.len = 5, .text = "a b@c"};
	char out[ROSTER_ENTRY_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++)
		assert_int_equal(roster_put_answer(tokens[i], true, out, sizeof(out)), 0);
	assert_int_equal(roster_put_entry(&who, true, 1, out, sizeof(out)), 0);
}

/* ---- reading ------------------------------------------------------------------- */

static bool head(const char *text, struct roster_reader *r, struct roster_head *out)
{
	return roster_read_head(r, guarded_text(0, text), strlen(text), out);
}

static void heads(void **state)
{
	struct roster_reader r;
	struct roster_head h;
	struct roster_entry e;

	(void)state;
	assert_true(head("presence\n", &r, &h));
	assert_false(h.answer);
	assert_int_equal(h.token_len, 0);
	assert_int_equal(roster_read_entry(&r, &e), ROSTER_END);

	assert_true(head("roster 12 more\n", &r, &h));
	assert_true(h.answer && !h.last);
	assert_int_equal(h.token_len, 2);
	assert_memory_equal(h.token, "12", 2);
	assert_true(head("roster 18446744073709551615 last\n", &r, &h));
	assert_true(h.answer && h.last);
	assert_int_equal(h.token_len, 20);
	assert_int_equal(roster_read_entry(&r, &e), ROSTER_END);
}

static void no_heads(void **state)
{
	static const char *const texts[] = {
	    "",
	    "\n",
	    "presence",
	    "presence \n",
	    " presence\n",
	    "Presence\n",
	    "presences\n",
	    "presence\r\n",
	    "roster\n",
	    "roster \n",
	    "roster 1\n",
	    "roster 1 \n",
	    "roster 1 last",
	    "roster 1 lasting\n",
	    "roster 1  last\n",
	    "roster  1 last\n",
	    "roster x last\n",
	    "roster -1 last\n",
	    "roster last\n",
	    "roster 123456789012345678901 last\n",
	    "roster 1 more last\n",
	    "position 1 0 -",
	    "position 1 0 -\n",
	    "{\"type\":\"ack\"}",
	    "+alice@example.com 1\n",
	};
	struct roster_reader r;
	struct roster_head h;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (head(texts[i], &r, &h))
			fail_msg("a head: %s", texts[i]);
}

static void entries(void **state)
{
	static const char text[] = "presence\n"
	                           "+alice@example.com 1795700000123\n"
	                           "-b+o'b/#@example.com 0\n"
	                           "+c@x 253402300799999\n";
	struct roster_reader r;
	struct roster_head h;
	struct roster_entry e;

	(void)state;
	assert_true(head(text, &r, &h));
	assert_int_equal(roster_read_entry(&r, &e), ROSTER_ENTRY);
	assert_true(e.online);
	assert_int_equal(e.address_len, strlen("alice@example.com"));
	assert_memory_equal(e.address, "alice@example.com", e.address_len);
	assert_true(e.ms == 1795700000123);
	assert_int_equal(roster_read_entry(&r, &e), ROSTER_ENTRY);
	assert_false(e.online);
	assert_int_equal(e.address_len, strlen("b+o'b/#@example.com"));
	assert_memory_equal(e.address, "b+o'b/#@example.com", e.address_len);
	assert_true(e.ms == 0);
	assert_int_equal(roster_read_entry(&r, &e), ROSTER_ENTRY);
	assert_true(e.ms == ROSTER_MS_MAX);
	assert_int_equal(roster_read_entry(&r, &e), ROSTER_END);
	assert_int_equal(roster_read_entry(&r, &e), ROSTER_END);
}

static void no_entries(void **state)
{
	static const char *const lines[] = {
	    "\n",
	    "+\n",
	    "+a@x\n",
	    "+a@x \n",
	    "+a@x 1",
	    "+a@x 1\r\n",
	    "+a@x 1 \n",
	    "+a@x  1\n",
	    "+a@x -1\n",
	    "+a@x +1\n",
	    "+a@x 01\n",
	    "+a@x 1.5\n",
	    "+a@x 253402300800000\n",
	    "+a@x 1000000000000000\n",
	    "+a@x 99999999999999999999999999\n",
	    "+ a@x 1\n",
	    "+a@X 1\n",
	    "+a 1\n",
	    "+a@ 1\n",
	    "+@x 1\n",
	    "+ 1\n",
	    " 1\n",
	    "*a@x 1\n",
	    "a@x 1\n",
	    "+a@x\t1\n",
	    "+\"a\"@x 1\n",
	    "+\xc3\xa4@x 1\n",
	};
	char text[128];
	struct roster_reader r;
	struct roster_head h;
	struct roster_entry e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_true(snprintf(text, sizeof(text), "presence\n+b@x 1\n%s", lines[i]) < (int)sizeof(text));
		assert_true(head(text, &r, &h));
		assert_int_equal(roster_read_entry(&r, &e), ROSTER_ENTRY);
		if (roster_read_entry(&r, &e) != ROSTER_BAD)
			fail_msg("an entry: %s", lines[i]);
		assert_int_equal(roster_read_entry(&r, &e), ROSTER_BAD);
	}
}

/* Every cut and every changed byte of a good text: nothing is read that is not there, and what is read can
 * be written again to the same bytes. */
static void cut_and_changed(void **state)
{
	static const char text[] = "roster 42 more\n+alice@example.com 1795700000123\n-b@x.org 7\n";
	size_t len = sizeof(text) - 1, i;
	char line[ROSTER_ENTRY_MAX], copy[sizeof(text)];
	struct roster_reader r;
	struct roster_head h;
	struct roster_entry e;
	unsigned byte;

	(void)state;
	for (i = 0; i <= len; i++)
		for (byte = 0; byte < 256; byte++) {
			const char *at;

			memcpy(copy, text, len);
			if (i < len)
				copy[i] = (char)byte;
			at = guarded(0, copy, i < len && byte == 0 ? i : len);
			if (!roster_read_head(&r, at, i < len && byte == 0 ? i : len, &h))
				continue;
			while (roster_read_entry(&r, &e) == ROSTER_ENTRY) {
				struct identity who;
				size_t n;

				assert_true(identity_parse(e.address, e.address_len, &who));
				n = roster_put_entry(&who, e.online, e.ms, line, sizeof(line));
				assert_true(n > 0);
				assert_memory_equal(line, e.address - 1, n);
			}
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(exact_bytes_in_every_buffer),
	    cmocka_unit_test(the_longest_fit),
	    cmocka_unit_test(heads_of_one_length),
	    cmocka_unit_test(nothing_that_cannot_be_read),
	    cmocka_unit_test(heads),
	    cmocka_unit_test(no_heads),
	    cmocka_unit_test(entries),
	    cmocka_unit_test(no_entries),
	    cmocka_unit_test(cut_and_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
