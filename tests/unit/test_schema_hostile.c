/*
 * The message schema on hostile input, and its output: cut and changed payloads, the largest ones,
 * the canonical form, typing events, refs of payloads that are refused unread.
 */
#include "tests/unit/schema_case.h"

#include "common/json.h"

#include <stdlib.h>
#include <time.h>

static const char everything[] =
    " {\"mess\\u0061ge\":\"caf\xc3\xa9 \\\"\\ud83d\\ude00\\\" \xf0\x9f\x98\x80\",\"ref\":\"r\\n1\" ,\r\n"
    "\t\"timestamp\" : "
    "\"2026-11-22T14:07:31.4Z\",\"from\":\"\\u0061lice@X.org\",\"room\":\"general\",\"type\":\"message\"}\n";
static const char direct[] = "{\"to\":\"bob@x.org\",\"message\":\"psst\",\"colour\":[1,{\"a\":null}],"
                             "\"\\u0078\":\"\\u0000\",\"ref\":\"2\"}";

/* What must hold of any answer whatsoever. */
static void check_answer(struct schema_case *c, enum chat_error error)
{
	struct json_reader reader;
	struct json_member m;
	const char *text;

	if (error) {
		assert_true(error > CHAT_OK && error < CHAT_ERROR_COUNT);
		return;
	}
	assert_string_equal(c->fault.field, "");
	if (c->out.ref) {
		assert_int_equal(c->out.ref_len, strlen(c->fault.ref));
		assert_memory_equal(c->out.ref, c->fault.ref, c->out.ref_len);
	}
	if (c->out.type == SCHEMA_TYPING)
		return;
	assert_true(
	    (c->out.message >= c->payload && c->out.message + c->out.message_len <= c->payload + c->len) ||
	    (c->out.message >= c->scratch && c->out.message + c->out.message_len <= c->scratch + c->len));
	text = canonical(c);
	json_reader_start(&reader, text, strlen(text));
	for (int i = 0; i < 5; i++) {
		assert_int_equal(json_reader_next(&reader, &m), JSON_MEMBER);
		if (i == 3) {
			char *plain = malloc(m.value_len + 1);

			assert_non_null(plain);
			assert_int_equal(json_unescape(m.value, m.value_len, plain), c->out.message_len);
			assert_memory_equal(plain, c->out.message, c->out.message_len);
			free(plain);
		}
	}
	assert_int_equal(json_reader_next(&reader, &m), JSON_END);
}

static struct schema_case *case_of(struct schema_case *c, const char *payload)
{
	if (payload == everything)
		return to_room(c, "general");
	to_person(c, "bob@x.org")->limits.drop_unknown = true;
	return c;
}

static void cut_everywhere(void **state)
{
	static const char *const payloads[] = {everything, direct};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct schema_case c;
		size_t whole = strlen(payloads[i]);

		case_of(&c, payloads[i]);
		check_answer(&c, ask_bytes(&c, payloads[i], whole));
		for (size_t n = 0; n <= whole; n++) {
			enum chat_error error = ask_bytes(&c, payloads[i], n);

			if (n >= whole - (i == 0)) /* the first one ends in a newline */
				assert_int_equal(error, CHAT_OK);
			else
				assert_true(error == CHAT_ERROR_INVALID_JSON || error == CHAT_ERROR_INVALID_UTF8);
		}
	}
}

static void changed_everywhere(void **state)
{
	static const char *const payloads[] = {everything, direct};
	char text[sizeof(everything) + sizeof(direct)];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		size_t n = strlen(payloads[i]);
		struct schema_case c;

		case_of(&c, payloads[i]);
		for (size_t at = 0; at < n; at++) {
			for (int byte = 0; byte < 256; byte++) {
				memcpy(text, payloads[i], n);
				text[at] = (char)byte;
				check_answer(&c, ask_bytes(&c, text, n));
			}
			/* one byte less, one twice */
			memcpy(text, payloads[i], n);
			memmove(text + at, text + at + 1, n - at - 1);
			check_answer(&c, ask_bytes(&c, text, n - 1));
			memcpy(text, payloads[i], at + 1);
			memcpy(text + at + 1, payloads[i] + at, n - at);
			check_answer(&c, ask_bytes(&c, text, n + 1));
		}
	}
}

/* Rubbish that looks like JSON, from a fixed seed. */
static void rubbish(void **state)
{
	static const char *const pieces[] = {
	    "{",          "}",        "[",       "]",           ":",
	    ",",          "\"",       "\\",      "\"message\"", "\"ref\"",
	    "\"typing\"", "\"type\"", "\"x\"",   "null",        "1",
	    "-",          "true",     " ",       "\xc3\xa9",    "\xff",
	    "\\u0000",    "\\ud83d",  "\\ude00", "\"hi\"",      "\"message\":\"hi\""};
	const size_t count = sizeof(pieces) / sizeof(pieces[0]);
	uint64_t seed = 20261122;
	char text[600];
	struct schema_case c;

	(void)state;
	to_room(&c, "general")->limits.drop_unknown = true;
	for (int round = 0; round < 100000; round++) {
		size_t n = 0;
		unsigned length;

		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		length = 1 + (unsigned)(seed >> 60);
		if (seed >> 58 & 1)
			text[n++] = '{';
		while (length-- > 0) {
			const char *piece;

			seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
			piece = pieces[(seed >> 33) % count];
			memcpy(text + n, piece, strlen(piece));
			n += strlen(piece);
		}
		check_answer(&c, ask_bytes(&c, text, n));
	}
}

/* ---- large ------------------------------------------------------------------------- */

/* {"message":"x…x"} of n bytes */
static char *large(size_t n)
{
	char *payload = malloc(n);

	assert_non_null(payload);
	memset(payload, 'x', n);
	memcpy(payload, "{\"message\":\"", 12);
	memcpy(payload + n - 2, "\"}", 2);
	return payload;
}

static void the_largest_payload(void **state)
{
	char *payload = large(SCHEMA_PAYLOAD_MAX + 1);
	struct schema_case c;

	(void)state;
	to_room(&c, "general")->limits.max_message_chars = UINT32_MAX;
	assert_int_equal(ask_bytes(&c, payload, SCHEMA_PAYLOAD_MAX + 1), CHAT_ERROR_TOO_LONG);
	assert_string_equal(c.fault.field, "");
	memcpy(payload + SCHEMA_PAYLOAD_MAX - 2, "\"}", 2);
	assert_int_equal(ask_bytes(&c, payload, SCHEMA_PAYLOAD_MAX), CHAT_OK);
	assert_int_equal(c.out.message_len, SCHEMA_PAYLOAD_MAX - 14);
	check_answer(&c, CHAT_OK);
	c.limits.max_message_chars = 4000;
	assert_int_equal(ask_bytes(&c, payload, SCHEMA_PAYLOAD_MAX), CHAT_ERROR_TOO_LONG);
	assert_string_equal(c.fault.field, "message");
	free(payload);
}

static void too_little_scratch(void **state)
{
	static const char payload[] = "{\"message\":\"hi\"}";
	struct schema_case c;
	char scratch[sizeof(payload)];

	(void)state;
	to_room(&c, "general");
	assert_int_equal(schema_parse(payload, sizeof(payload) - 1, &c.limits, &c.author, &c.target, scratch,
	                              sizeof(payload) - 2, &c.out, &c.fault),
	                 CHAT_ERROR_TOO_LONG);
	assert_string_equal(c.fault.field, "");
	assert_string_equal(c.fault.ref, "");
}

/* Scratch memory as long as the payload is enough where all there can be is escaped. */
static void everything_escaped(void **state)
{
	static const char key[] = "\\u006d\\u0065\\u0073\\u0073\\u0061\\u0067\\u0065";
	char payload[4096] = "{\"";
	size_t n = 2;
	struct schema_case c;

	(void)state;
	memcpy(payload + n, key, sizeof(key) - 1);
	n += sizeof(key) - 1;
	memcpy(payload + n, "\":\"", 3);
	n += 3;
	while (n < 4000) {
		memcpy(payload + n, "\\n\\\"", 4);
		n += 4;
	}
	memcpy(payload + n, "z\",\"\\n\":\"\\n\"}", 13);
	n += 13;
	to_room(&c, "general")->limits.drop_unknown = true;
	assert_int_equal(ask_bytes(&c, payload, n), CHAT_OK);
	check_answer(&c, CHAT_OK);
}

/* However it is made, a payload of the largest size is answered soon: no work grows with the square
 * of anything that a sender chooses. */
static void no_quadratic_work(void **state)
{
	static const char *const units[] = {"\"k\":1,", "\"\\u006b\":1,", "[", "\"\\\\\":\"\\\"\",", "\"\":[],"};
	char *payload = malloc(SCHEMA_PAYLOAD_MAX);
	struct timespec start, end;
	struct schema_case c;

	(void)state;
	assert_non_null(payload);
	to_room(&c, "general")->limits.drop_unknown = true;
	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start), 0);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t unit = strlen(units[i]);

		memset(payload, ' ', SCHEMA_PAYLOAD_MAX);
		payload[0] = '{';
		for (size_t at = 1; at + unit < SCHEMA_PAYLOAD_MAX; at += unit)
			memcpy(payload + at, units[i], unit);
		check_answer(&c, ask_bytes(&c, payload, SCHEMA_PAYLOAD_MAX));
	}
	/* distinct long keys that differ in their last byte only */
	memset(payload, 'k', SCHEMA_PAYLOAD_MAX);
	payload[0] = '{';
	for (size_t i = 0; i < 40; i++) {
		char *at = payload + 1 + i * 6500;

		at[0] = '"';
		memcpy(at + 6490, i < 39 ? "x\":1,     " : "x\":1}     ", 10);
		at[6490] = (char)('0' + i);
	}
	memset(payload + 1 + (size_t)40 * 6500, ' ', SCHEMA_PAYLOAD_MAX - 1 - (size_t)40 * 6500);
	assert_int_equal(ask_bytes(&c, payload, SCHEMA_PAYLOAD_MAX), CHAT_ERROR_UNKNOWN_FIELD);
	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end), 0);
	assert_true(end.tv_sec - start.tv_sec < 5);
	free(payload);
}

/* ---- output -------------------------------------------------------------------------- */

static void canonical_forms(void **state)
{
	struct schema_case c;

	(void)state;
	assert_int_equal(ask(to_room(&c, "general"), "{\"message\":\"hi\"}"), CHAT_OK);
	assert_true(c.out.message_plain);
	assert_string_equal(canonical(&c),
	                    "{\"id\":\"" TEST_ID "\",\"sender\":\"alice@x.org\",\"room\":\"general\","
	                    "\"message\":\"hi\",\"timestamp\":\"" TEST_TIME "\"}");

	assert_int_equal(ask(to_person(&c, "bob@X.org"), "{\"to\":\"bob@x.ORG\",\"message\":\"psst\"}"), CHAT_OK);
	assert_string_equal(canonical(&c),
	                    "{\"id\":\"" TEST_ID "\",\"sender\":\"alice@x.org\",\"to\":\"bob@x.org\","
	                    "\"message\":\"psst\",\"timestamp\":\"" TEST_TIME "\"}");

	/* one way to write each text */
	assert_int_equal(
	    ask(to_room(&c, "general"),
	        "{\"message\":\"\\u0041\\/\\u00e9\\ud83d\\ude00\\u000a\\u0008\\u001F\\u0022\\u005c\\u007f\"}"),
	    CHAT_OK);
	assert_false(c.out.message_plain);
	assert_string_equal(
	    canonical(&c),
	    "{\"id\":\"" TEST_ID "\",\"sender\":\"alice@x.org\",\"room\":\"general\","
	    "\"message\":\"A/\xc3\xa9\xf0\x9f\x98\x80\\n\\b\\u001f\\\"\\\\\x7f\",\"timestamp\":\"" TEST_TIME
	    "\"}");
}

static void writes_typing(const struct identity *author, const struct schema_target *target,
                          char out[SCHEMA_TYPING_MAX])
{
	size_t n = schema_typing_write(author, target, out);

	assert_true(n < SCHEMA_TYPING_MAX);
	assert_int_equal(n, strlen(out));
}

static void typing_events(void **state)
{
	char out[SCHEMA_TYPING_MAX];
	struct schema_case c;
	struct identity longest;
	char text[IDENTITY_MAX];

	(void)state;
	to_room(&c, "general");
	writes_typing(&c.author, &c.target, out);
	assert_string_equal(out, "{\"type\":\"typing\",\"sender\":\"alice@x.org\",\"room\":\"general\"}");
	to_person(&c, "bob@x.org");
	writes_typing(&c.author, &c.target, out);
	assert_string_equal(out, "{\"type\":\"typing\",\"sender\":\"alice@x.org\"}");

	memset(text, 'd', sizeof(text));
	for (size_t i = 60; i < sizeof(text) - 1; i += 60)
		text[i] = '.';
	text[1] = '@';
	assert_true(identity_parse(text, sizeof(text), &longest));
	to_room(&c, "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr");
	writes_typing(&longest, &c.target, out);
}

/* ---- refs ------------------------------------------------------------------------------ */

static void finds(const char *payload, const char *expected)
{
	char ref[REPLY_REF_MAX + 1];

	memset(ref, 0xee, sizeof(ref));
	schema_find_ref(guarded_text(SLOT_PAYLOAD, payload), strlen(payload), ref);
	assert_string_equal(ref, expected);
}

static void refs_alone(void **state)
{
	char ref[REPLY_REF_MAX + 1];
	char *payload = large(SCHEMA_PAYLOAD_MAX + 1);

	(void)state;
	finds("{\"ref\":\"R\"}", "R");
	finds("{\"x\":{\"ref\":\"S\"},\"\\u0072ef\":\"\\u0052\",\"x\":1}", "R");
	finds("", "");
	finds("{}", "");
	finds("[]", "");
	finds("{\"ref\":\"R\"", "");
	finds("{\"ref\":\"R\"}x", "");
	finds("{\"ref\":\"R\",\"x\":\"\xff\"}", "");
	finds("{\"ref\":\"R\",\"ref\":\"R\"}", "");
	finds("{\"ref\":5}", "");
	finds("{\"ref\":\"\"}", "");
	finds("{\"ref\":\"a\\u0000\"}", "");
	schema_find_ref(NULL, 0, ref);
	assert_string_equal(ref, "");
	/* a ref too long to be one, and a payload */
	memcpy(payload, "{\"ref\":\"xxxx", 12);
	schema_find_ref(payload, SCHEMA_PAYLOAD_MAX + 1, ref);
	assert_string_equal(ref, "");
	memcpy(payload + 394, "\"}", 2);
	schema_find_ref(payload, 396, ref);
	assert_string_equal(ref, "");
	memcpy(payload + 8 + 64, "\"}", 2);
	schema_find_ref(payload, 8 + 64 + 2, ref);
	assert_int_equal(strlen(ref), 64);
	free(payload);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(cut_everywhere),
	    cmocka_unit_test(changed_everywhere),
	    cmocka_unit_test(rubbish),
	    cmocka_unit_test(the_largest_payload),
	    cmocka_unit_test(too_little_scratch),
	    cmocka_unit_test(everything_escaped),
	    cmocka_unit_test(no_quadratic_work),
	    cmocka_unit_test(canonical_forms),
	    cmocka_unit_test(typing_events),
	    cmocka_unit_test(refs_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
