/*
 * The message schema: every rule, every error by name and field, and which of several is named.
 */
#include "tests/unit/schema_case.h"

#include <stdio.h>

#define R64 "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"
#define K63 "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"

static void is_refused(struct schema_case *c, const char *payload, enum chat_error error, const char *field,
                       const char *ref)
{
	enum chat_error got = ask(c, payload);

	if (got != error)
		fail_msg("%s: %s", payload, chat_error_name(got));
	if (strcmp(c->fault.field, field) != 0)
		fail_msg("%s: field %s", payload, c->fault.field);
	if (strcmp(c->fault.ref, ref) != 0)
		fail_msg("%s: ref %s", payload, c->fault.ref);
}

static void refused(const char *payload, enum chat_error error, const char *field)
{
	struct schema_case c;

	is_refused(to_room(&c, "general"), payload, error, field, "");
}

static void refused_with_ref(const char *payload, enum chat_error error, const char *field)
{
	struct schema_case c;

	is_refused(to_room(&c, "general"), payload, error, field, "R");
}

static void refused_with_drop(const char *payload, enum chat_error error, const char *field)
{
	struct schema_case c;

	to_room(&c, "general")->limits.drop_unknown = true;
	is_refused(&c, payload, error, field, "");
}

static void refused_to_bob(const char *payload, enum chat_error error, const char *field)
{
	struct schema_case c;

	is_refused(to_person(&c, "bob@x.org"), payload, error, field, "");
}

static void is_accepted(struct schema_case *c, const char *payload, const char *message, const char *ref)
{
	enum chat_error error = ask(c, payload);

	if (error)
		fail_msg("%s: %s %s", payload, chat_error_name(error), c->fault.field);
	assert_string_equal(c->fault.field, "");
	assert_int_equal(c->out.type, message ? SCHEMA_MESSAGE : SCHEMA_TYPING);
	assert_int_equal(c->out.message_len, message ? strlen(message) : 0);
	if (message)
		assert_memory_equal(c->out.message, message, c->out.message_len);
	else
		assert_null(c->out.message);
	assert_int_equal(c->out.ref_len, ref ? strlen(ref) : 0);
	assert_string_equal(c->fault.ref, ref ? ref : "");
	if (ref)
		assert_memory_equal(c->out.ref, ref, c->out.ref_len);
	else
		assert_null(c->out.ref);
}

static void accepted(const char *payload, const char *message, const char *ref)
{
	struct schema_case c;

	is_accepted(to_room(&c, "general"), payload, message, ref);
}

static void accepted_with_drop(const char *payload, const char *message, const char *ref)
{
	struct schema_case c;

	to_room(&c, "general")->limits.drop_unknown = true;
	is_accepted(&c, payload, message, ref);
}

static void accepted_to_bob(const char *payload, const char *message)
{
	struct schema_case c;

	is_accepted(to_person(&c, "bob@x.org"), payload, message, NULL);
}

/* ---- accepted ---------------------------------------------------------------------- */

static void messages(void **state)
{
	(void)state;
	accepted("{\"message\":\"hi\"}", "hi", NULL);
	accepted(" { \"message\" : \"hi\" } \n", "hi", NULL);
	accepted("{\"message\":\"hi\",\"ref\":\"R\"}", "hi", "R");
	accepted("{\"type\":\"message\",\"message\":\" x \"}", " x ", NULL);
	accepted("{\"message\":\"caf\\u00e9\\n\\ud83d\\ude00\"}", "caf\xc3\xa9\n\xf0\x9f\x98\x80", NULL);
	accepted("{\"messag\\u0065\":\"hi\",\"r\\u0065f\":\"\\u0052\"}", "hi", "R");
	accepted("{\"type\":\"\\u006dessage\",\"message\":\"hi\"}", "hi", NULL);
	accepted("{\"room\":\"general\",\"message\":\"hi\",\"from\":\"alice@X.ORG\",\"timestamp\":\"2026-11-"
	         "22T14:07:31Z\"}",
	         "hi", NULL);
	accepted("{\"room\":\"gener\\u0061l\",\"message\":\"hi\",\"from\":\"\\u0061lice@x.org\"}", "hi", NULL);
	accepted("{\"message\":\"\xe2\x80\x8b\"}", "\xe2\x80\x8b", NULL); /* U+200B is no White_Space */
	accepted("{\"message\":\"hi\",\"ref\":\"" R64 "\"}", "hi", R64);
	accepted("{\"message\":\"hi\",\"ref\":\"\\u0001 \\\"\"}", "hi", "\x01 \"");
	accepted_to_bob("{\"message\":\"psst\"}", "psst");
	accepted_to_bob("{\"message\":\"psst\",\"to\":\"bob@X.org\"}", "psst");
}

static void typing(void **state)
{
	(void)state;
	accepted("{\"type\":\"typing\"}", NULL, NULL);
	accepted("{\"type\":\"typing\",\"room\":\"general\",\"ref\":\"R\",\"from\":\"alice@x.org\"}", NULL, "R");
	accepted("{\"t\\u0079pe\":\"typin\\u0067\"}", NULL, NULL);
	accepted_to_bob("{\"type\":\"typing\",\"to\":\"bob@x.org\"}", NULL);
	accepted_with_drop("{\"type\":\"typing\",\"x\":1}", NULL, NULL);
	refused("{\"type\":\"typing\",\"message\":\"hi\"}", CHAT_ERROR_UNKNOWN_FIELD, "message");
	refused("{\"type\":\"typing\",\"timestamp\":\"2026-11-22T14:07:31Z\"}", CHAT_ERROR_UNKNOWN_FIELD,
	        "timestamp");
	refused("{\"timestamp\":\"2026-11-22T14:07:31Z\",\"message\":\"\",\"type\":\"typing\"}",
	        CHAT_ERROR_UNKNOWN_FIELD, "message");
	refused_with_drop("{\"type\":\"typing\",\"message\":\"hi\"}", CHAT_ERROR_UNKNOWN_FIELD, "message");
	refused("{\"type\":\"typing\",\"to\":\"bob@x.org\"}", CHAT_ERROR_ADDRESS_MISMATCH, "to");
	refused("{\"type\":\"typing\",\"from\":\"bob@x.org\"}", CHAT_ERROR_SENDER_MISMATCH, "from");
	refused("{\"type\":\"typing\",\"x\":1}", CHAT_ERROR_UNKNOWN_FIELD, "x");
}

/* ---- refused -------------------------------------------------------------------------- */

static void texts(void **state)
{
	struct schema_case c;

	(void)state;
	refused("", CHAT_ERROR_INVALID_JSON, "");
	refused("hello", CHAT_ERROR_INVALID_JSON, "");
	refused("{\"message\":\"hi\"", CHAT_ERROR_INVALID_JSON, "");
	refused("{\"message\":\"hi\",\"ref\":\"R\"}x", CHAT_ERROR_INVALID_JSON, "");
	refused("\xef\xbb\xbf{\"message\":\"hi\"}", CHAT_ERROR_INVALID_JSON, "");
	refused("{\"message\":\"\xff\",\"ref\":\"R\"}", CHAT_ERROR_INVALID_UTF8, "");
	refused("{\"message\":\"\\ud800\"}", CHAT_ERROR_INVALID_UTF8, "");
	refused("[{\"message\":\"hi\"}]", CHAT_ERROR_NOT_AN_OBJECT, "");
	refused("null", CHAT_ERROR_NOT_AN_OBJECT, "");
	to_room(&c, "general");
	assert_int_equal(schema_parse(NULL, 0, &c.limits, &c.author, &c.target, NULL, 0, &c.out, &c.fault),
	                 CHAT_ERROR_INVALID_JSON);
}

static void keys(void **state)
{
	(void)state;
	refused_with_ref("{\"message\":\"a\",\"ref\":\"R\",\"message\":\"a\"}", CHAT_ERROR_DUPLICATE_KEY,
	                 "message");
	refused("{\"message\":\"a\",\"messag\\u0065\":\"b\"}", CHAT_ERROR_DUPLICATE_KEY, "message");
	refused("{\"message\":\"a\",\"ref\":\"R\",\"ref\":\"R\"}", CHAT_ERROR_DUPLICATE_KEY, "ref");
	refused("{\"to\":1,\"message\":\"a\",\"message\":\"b\",\"to\":1}", CHAT_ERROR_DUPLICATE_KEY, "message");
	refused("{\"x\":1,\"x\":2}", CHAT_ERROR_DUPLICATE_KEY, "");
	refused("{\"x\":1,\"\\u0078\":2,\"message\":\"a\",\"message\":\"b\"}", CHAT_ERROR_DUPLICATE_KEY, "");
	refused("{\"\":1,\"\":2}", CHAT_ERROR_DUPLICATE_KEY, "");
	refused_with_drop("{\"message\":\"a\",\"x\":1,\"y\":1,\"x\":2}", CHAT_ERROR_DUPLICATE_KEY, "");
	refused_with_ref("{\"ref\":\"R\",\"message\":\"a\",\"colour\":1}", CHAT_ERROR_UNKNOWN_FIELD, "colour");
	refused("{\"second\":1,\"first\":2}", CHAT_ERROR_UNKNOWN_FIELD, "second");
	refused("{\"\\u0061b\":1}", CHAT_ERROR_UNKNOWN_FIELD, "ab");
	refused("{\"a\\\"\\\\ ~\":1}", CHAT_ERROR_UNKNOWN_FIELD, "a\"\\ ~");
	refused("{\"\":1}", CHAT_ERROR_UNKNOWN_FIELD, "");
	refused("{\"" R64 "\":1}", CHAT_ERROR_UNKNOWN_FIELD, R64);
	refused("{\"" R64 "r\":1}", CHAT_ERROR_UNKNOWN_FIELD, "");
	refused("{\"a\\n\":1}", CHAT_ERROR_UNKNOWN_FIELD, "");
	refused("{\"a\\u0000\":1}", CHAT_ERROR_UNKNOWN_FIELD, "");
	refused("{\"a\x7f\":1}", CHAT_ERROR_UNKNOWN_FIELD, "");
	refused("{\"\xc3\xa9\":1}", CHAT_ERROR_UNKNOWN_FIELD, "");
}

/* Everything that is as long as a known key and none. */
static void nearly_known_keys(void **state)
{
	static const char *const near[] = {"ta",         "TO",   "rof",      "Ref",     "raom",
	                                   "fram",       "tipe", "type ",    "massage", "timestomp",
	                                   "timestamp2", "t",    "messages", "Room"};
	char payload[100];

	(void)state;
	for (size_t i = 0; i < sizeof(near) / sizeof(near[0]); i++) {
		assert_true(snprintf(payload, sizeof(payload), "{\"message\":\"a\",\"%s\":\"x\"}", near[i]) > 0);
		refused(payload, CHAT_ERROR_UNKNOWN_FIELD, near[i]);
	}
}

static void dropped_fields(void **state)
{
	char payload[2048];
	size_t n;

	(void)state;
	accepted_with_drop(
	    "{\"message\":\"hi\",\"x\":{\"a\":[1,{\"a\":1,\"a\":2}]},\"\":null,\"id\":\"\\u0000\"}", "hi", NULL);
	accepted_with_drop("{\"x\":1,\"\\u0079\":2,\"message\":\"\\u0068i\",\"z\":3,\"ref\":\"R\"}", "hi", "R");
	refused_with_drop("{\"message\":\"hi\",\"x\":\"\\ud800\"}", CHAT_ERROR_INVALID_UTF8, "");
	refused_with_drop("{\"message\":\"hi\",\"x\":01}", CHAT_ERROR_INVALID_JSON, "");
	refused_with_drop("{\"message\":5,\"x\":1}", CHAT_ERROR_WRONG_TYPE, "message");

	/* 32 members are the most; the 33rd is refused for the first unknown one */
	for (size_t members = 30; members <= 100; members++) {
		n = (size_t)snprintf(payload, sizeof(payload), "{\"message\":\"hi\"");
		for (size_t i = 1; i < members; i++)
			n += (size_t)snprintf(payload + n, sizeof(payload) - n, ",\"k%zu\":%zu", i, i);
		assert_true(snprintf(payload + n, sizeof(payload) - n, "}") == 1);
		if (members <= SCHEMA_MEMBERS_MAX)
			accepted_with_drop(payload, "hi", NULL);
		else
			refused_with_drop(payload, CHAT_ERROR_UNKNOWN_FIELD, "k1");
		refused(payload, CHAT_ERROR_UNKNOWN_FIELD, "k1");
		/* a known key twice is seen however far behind, an unknown one only among the first */
		assert_true(snprintf(payload + n, sizeof(payload) - n, ",\"message\":1}") > 0);
		refused_with_drop(payload, CHAT_ERROR_DUPLICATE_KEY, "message");
		refused(payload, CHAT_ERROR_DUPLICATE_KEY, "message");
	}
	n = (size_t)snprintf(payload, sizeof(payload), "{\"a\":1");
	for (size_t i = 1; i < 40; i++)
		n += (size_t)snprintf(payload + n, sizeof(payload) - n, ",\"k%zu\":%zu", i, i);
	assert_true(snprintf(payload + n, sizeof(payload) - n, ",\"k39\":0}") > 0);
	refused(payload, CHAT_ERROR_UNKNOWN_FIELD, "a");
	assert_true(snprintf(payload + n, sizeof(payload) - n, ",\"k31\":0}") > 0);
	refused(payload, CHAT_ERROR_DUPLICATE_KEY, "");
}

static void types(void **state)
{
	static const char *const names[] = {"message", "to", "room", "from", "timestamp", "ref", "type"};
	static const char *const values[] = {
	    "1", "-0.5e3", "true", "false", "null", "[]", "{}", "[\"x\"]", "{\"message\":\"\\u0000\"}"};
	char payload[400];

	(void)state;
	for (size_t i = 0; i < 7; i++) {
		for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++) {
			assert_true(snprintf(payload, sizeof(payload), "{\"%s\":%s}", names[i], values[j]) > 0);
			refused(payload, CHAT_ERROR_WRONG_TYPE, names[i]);
		}
	}
	/* in this order, wherever they stand */
	for (size_t first = 0; first < 7; first++) {
		size_t n = (size_t)snprintf(payload, sizeof(payload), "{");

		for (size_t i = 7; i-- > first;)
			n += (size_t)snprintf(payload + n, sizeof(payload) - n, "\"%s\":0%s", names[i],
			                      i > first ? "," : "}");
		refused(payload, CHAT_ERROR_WRONG_TYPE, names[first]);
	}
}

static void kinds_of_frames(void **state)
{
	(void)state;
	refused_with_ref("{\"type\":\"shout\",\"message\":\"a\",\"ref\":\"R\"}", CHAT_ERROR_UNKNOWN_TYPE, "type");
	refused("{\"type\":\"\",\"message\":\"a\"}", CHAT_ERROR_UNKNOWN_TYPE, "type");
	refused("{\"type\":\"Message\",\"message\":\"a\"}", CHAT_ERROR_UNKNOWN_TYPE, "type");
	refused("{\"type\":\"message\\u0000\",\"message\":\"a\"}", CHAT_ERROR_UNKNOWN_TYPE, "type");
	refused("{\"type\":\"typin\"}", CHAT_ERROR_UNKNOWN_TYPE, "type");
	refused("{\"type\":\"massage\",\"message\":\"a\"}", CHAT_ERROR_UNKNOWN_TYPE, "type");
}

static void refs(void **state)
{
	char payload[1000];
	size_t n;

	(void)state;
	refused("{\"message\":\"a\",\"ref\":\"\"}", CHAT_ERROR_INVALID_REF, "ref");
	refused("{\"message\":\"a\",\"ref\":\"" R64 "r\"}", CHAT_ERROR_INVALID_REF, "ref");
	refused("{\"message\":\"a\",\"ref\":\"" K63 "\xc3\xa9\"}", CHAT_ERROR_INVALID_REF, "ref");
	refused("{\"message\":\"a\",\"ref\":\"a\\u0000\"}", CHAT_ERROR_INVALID_REF, "ref");
	refused("{\"message\":\"\",\"ref\":\"\"}", CHAT_ERROR_INVALID_REF, "ref");
	accepted("{\"message\":\"a\",\"ref\":\"" K63 "\\u0041\"}", "a", K63 "A");
	/* 64 bytes, each of them sent as an escape of six; and 65 */
	for (int chars = 64; chars <= 65; chars++) {
		n = (size_t)snprintf(payload, sizeof(payload), "{\"message\":\"a\",\"ref\":\"");
		for (int i = 0; i < chars; i++)
			n += (size_t)snprintf(payload + n, sizeof(payload) - n, "\\u0072");
		assert_true(snprintf(payload + n, sizeof(payload) - n, "\"}") == 2);
		if (chars == 64)
			accepted(payload, "a", R64);
		else
			refused(payload, CHAT_ERROR_INVALID_REF, "ref");
	}
}

static void forbidden_characters(void **state)
{
	(void)state;
	refused_with_ref("{\"message\":\"a\\u0000b\",\"ref\":\"R\"}", CHAT_ERROR_INVALID_CHARACTER, "message");
	refused("{\"message\":\"\\u0000\"}", CHAT_ERROR_INVALID_CHARACTER, "message");
	refused("{\"message\":\"a\",\"to\":\"\\u0000\"}", CHAT_ERROR_INVALID_CHARACTER, "to");
	refused("{\"message\":\"a\",\"room\":\"general\\u0000\"}", CHAT_ERROR_INVALID_CHARACTER, "room");
	refused("{\"message\":\"a\",\"from\":\"alice@x.org\\u0000\"}", CHAT_ERROR_INVALID_CHARACTER, "from");
	refused("{\"message\":\"a\",\"timestamp\":\"2026\\u0000\"}", CHAT_ERROR_INVALID_CHARACTER, "timestamp");
	refused("{\"to\":\"bad\",\"timestamp\":\"\\u0000\"}", CHAT_ERROR_INVALID_CHARACTER, "timestamp");
}

static void addresses(void **state)
{
	(void)state;
	refused("{\"message\":\"a\",\"to\":\"bob\"}", CHAT_ERROR_INVALID_EMAIL, "to");
	refused("{\"message\":\"a\",\"to\":\"\"}", CHAT_ERROR_INVALID_EMAIL, "to");
	refused("{\"message\":\"a\",\"room\":\"General\"}", CHAT_ERROR_INVALID_ROOM, "room");
	refused("{\"message\":\"a\",\"room\":\"\"}", CHAT_ERROR_INVALID_ROOM, "room");
	refused("{\"message\":\"a\",\"from\":\"alice\"}", CHAT_ERROR_INVALID_EMAIL, "from");
	refused("{\"message\":\"a\",\"timestamp\":\"now\"}", CHAT_ERROR_INVALID_TIMESTAMP, "timestamp");
	refused("{\"message\":\"a\",\"timestamp\":\"\"}", CHAT_ERROR_INVALID_TIMESTAMP, "timestamp");
	refused_with_ref("{\"message\":\"a\",\"from\":\"bob@x.org\",\"ref\":\"R\"}", CHAT_ERROR_SENDER_MISMATCH,
	                 "from");
	refused("{\"message\":\"a\",\"from\":\"Alice@x.org\"}", CHAT_ERROR_SENDER_MISMATCH, "from");
	refused("{\"message\":\"a\",\"room\":\"other\"}", CHAT_ERROR_ADDRESS_MISMATCH, "room");
	refused("{\"message\":\"a\",\"room\":\"genera1\"}", CHAT_ERROR_ADDRESS_MISMATCH, "room");
	refused("{\"message\":\"a\",\"to\":\"bob@x.org\"}", CHAT_ERROR_ADDRESS_MISMATCH, "to");
	refused("{\"message\":\"a\",\"to\":\"bob@x.org\",\"room\":\"general\"}", CHAT_ERROR_ADDRESS_MISMATCH,
	        "to");
	refused_to_bob("{\"message\":\"a\",\"room\":\"general\"}", CHAT_ERROR_ADDRESS_MISMATCH, "room");
	refused_to_bob("{\"message\":\"a\",\"to\":\"carol@x.org\"}", CHAT_ERROR_ADDRESS_MISMATCH, "to");
	refused_to_bob("{\"message\":\"a\",\"to\":\"Bob@x.org\"}", CHAT_ERROR_ADDRESS_MISMATCH, "to");
	refused_to_bob("{\"message\":\"a\",\"to\":\"bob@x.org\",\"room\":\"general\"}",
	               CHAT_ERROR_ADDRESS_MISMATCH, "room");
}

static void contents(void **state)
{
	(void)state;
	refused("{}", CHAT_ERROR_MISSING_FIELD, "message");
	refused_with_ref("{\"type\":\"message\",\"ref\":\"R\"}", CHAT_ERROR_MISSING_FIELD, "message");
	refused("{\"message\":\"\"}", CHAT_ERROR_EMPTY_MESSAGE, "message");
	refused("{\"message\":\" \\t\\n\\r\\u000b\\f\"}", CHAT_ERROR_EMPTY_MESSAGE, "message");
	refused("{\"message\":\"\\u0085\\u00a0\\u1680\\u2000\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000\"}",
	        CHAT_ERROR_EMPTY_MESSAGE, "message");
	refused("{\"message\":\"\xc2\xa0\xe3\x80\x80 \"}", CHAT_ERROR_EMPTY_MESSAGE, "message");
}

static void message_lengths(void **state)
{
	static const char *const characters[] = {"x",   "\xc3\xa9",      "\xe2\x82\xac", "\xf0\x9f\x98\x80",
	                                         "\\n", "\\ud83d\\ude00"};

	(void)state;
	for (size_t i = 0; i < sizeof(characters) / sizeof(characters[0]); i++) {
		for (uint32_t max = 1; max <= 20; max++) {
			for (uint32_t chars = max - 1; chars <= max + 2; chars++) {
				char payload[512];
				struct schema_case c;
				size_t n =
				    (size_t)snprintf(payload, sizeof(payload), "{\"message\":\"%s", chars > 0 ? "y" : "");
				enum chat_error expected = chars > max  ? CHAT_ERROR_TOO_LONG
				                           : chars == 0 ? CHAT_ERROR_EMPTY_MESSAGE
				                                        : CHAT_OK;

				for (uint32_t j = 1; j < chars; j++)
					n += (size_t)snprintf(payload + n, sizeof(payload) - n, "%s", characters[i]);
				n += (size_t)snprintf(payload + n, sizeof(payload) - n, "\"}");
				to_room(&c, "general")->limits.max_message_chars = max;
				assert_int_equal(ask_bytes(&c, payload, n), expected);
				assert_string_equal(c.fault.field, expected ? "message" : "");
			}
		}
	}
}

/* ---- which of several errors is named ------------------------------------------------- */

static void the_order(void **state)
{
	/* each row is a fault; a payload with all rows from one on is refused for that one */
	static const struct {
		const char *members;
		enum chat_error error;
		const char *field;
	} rows[] = {
	    {"\"x\":1,\"x\":1", CHAT_ERROR_DUPLICATE_KEY, ""},
	    {"\"y\":1", CHAT_ERROR_UNKNOWN_FIELD, "y"},
	    {"\"ref\":7", CHAT_ERROR_WRONG_TYPE, "ref"},
	    {"\"type\":\"shout\"", CHAT_ERROR_UNKNOWN_TYPE, "type"},
	    {"\"timestamp\":\"\\u0000\"", CHAT_ERROR_INVALID_CHARACTER, "timestamp"},
	    {"\"to\":\"bob\"", CHAT_ERROR_INVALID_EMAIL, "to"},
	    {"\"room\":\"R\"", CHAT_ERROR_INVALID_ROOM, "room"},
	    {"\"from\":\"bob@x.org\"", CHAT_ERROR_SENDER_MISMATCH, "from"},
	    {"\"message\":\"\"", CHAT_ERROR_EMPTY_MESSAGE, "message"},
	};
	const size_t count = sizeof(rows) / sizeof(rows[0]);
	char payload[400];

	(void)state;
	for (size_t first = 0; first < count; first++) {
		for (int backward = 0; backward < 2; backward++) {
			size_t n = (size_t)snprintf(payload, sizeof(payload), "{");

			for (size_t i = first; i < count; i++)
				n += (size_t)snprintf(payload + n, sizeof(payload) - n, "%s%s", i > first ? "," : "",
				                      rows[backward ? count - 1 - (i - first) : i].members);
			assert_true(snprintf(payload + n, sizeof(payload) - n, "}") == 1);
			if (!backward || first == 0) /* the same members the other way round */
				refused(payload, rows[first].error, rows[first].field);
		}
	}
	refused("{\"message\":\"\",\"to\":\"bob@x.org\",\"from\":\"carol@x.org\"}", CHAT_ERROR_SENDER_MISMATCH,
	        "from");
	refused("{\"to\":\"bob@x.org\",\"timestamp\":\"x\",\"from\":\"carol@x.org\"}",
	        CHAT_ERROR_INVALID_TIMESTAMP, "timestamp");
	refused("{\"from\":\"x\",\"timestamp\":\"x\"}", CHAT_ERROR_INVALID_EMAIL, "from");
	refused("{\"ref\":\"\",\"message\":\"\\u0000\"}", CHAT_ERROR_INVALID_REF, "ref");
	refused("{\"ref\":\"\",\"type\":\"x\"}", CHAT_ERROR_UNKNOWN_TYPE, "type");
	refused("{\"to\":\"bob@x.org\"}", CHAT_ERROR_ADDRESS_MISMATCH, "to");
	refused("{\"room\":\"other\",\"message\":\"\"}", CHAT_ERROR_ADDRESS_MISMATCH, "room");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(messages),
	    cmocka_unit_test(typing),
	    cmocka_unit_test(texts),
	    cmocka_unit_test(keys),
	    cmocka_unit_test(nearly_known_keys),
	    cmocka_unit_test(dropped_fields),
	    cmocka_unit_test(types),
	    cmocka_unit_test(kinds_of_frames),
	    cmocka_unit_test(refs),
	    cmocka_unit_test(forbidden_characters),
	    cmocka_unit_test(addresses),
	    cmocka_unit_test(contents),
	    cmocka_unit_test(message_lengths),
	    cmocka_unit_test(the_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
