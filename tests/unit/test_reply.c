/*
 * Replies to an author: exact bytes, and every size of buffer.
 */
#include "common/reply.h"

#include "tests/unit/guarded.h"

#include "common/json.h"

/* One of the three, into cap bytes. */
typedef size_t (*writer)(char *out, size_t cap);

static size_t whole_ack(char *out, size_t cap)
{
	return reply_ack("q\"\n", 3, "01JD", "2026", out, cap);
}

static size_t bare_ack(char *out, size_t cap)
{
	return reply_ack("q", 1, NULL, NULL, out, cap);
}

static size_t whole_error(char *out, size_t cap)
{
	return reply_error(CHAT_ERROR_UNKNOWN_FIELD, CHAT_ENGLISH, "System", "a\"b", "r\\", 2, out, cap);
}

static size_t bare_error(char *out, size_t cap)
{
	return reply_error(CHAT_ERROR_TOO_LONG, CHAT_SPANISH, "Sistema", NULL, NULL, 0, out, cap);
}

static size_t offline(char *out, size_t cap)
{
	return reply_recipient_offline(CHAT_ENGLISH, "System", "bob@x.org", out, cap);
}

static size_t offline_in_spanish(char *out, size_t cap)
{
	return reply_recipient_offline(CHAT_SPANISH, "Sistema", "bob@x.org", out, cap);
}

static size_t room_renamed(char *out, size_t cap)
{
	return reply_room_renamed(CHAT_ENGLISH, "System", "salon", "r", 1, out, cap);
}

static size_t room_renamed_in_spanish(char *out, size_t cap)
{
	return reply_room_renamed(CHAT_SPANISH, "Sistema", "salon", NULL, 0, out, cap);
}

static size_t renamed(char *out, size_t cap)
{
	return reply_renamed(CHAT_ENGLISH, "System", "hall", "salon", out, cap);
}

static size_t renamed_in_spanish(char *out, size_t cap)
{
	return reply_renamed(CHAT_SPANISH, "Sistema", "hall", "salon", out, cap);
}

static void exact_bytes_in_every_buffer(void **state)
{
	static const struct {
		writer write;
		const char *expected;
	} cases[] = {
	    {whole_ack, "{\"type\":\"ack\",\"ref\":\"q\\\"\\n\",\"id\":\"01JD\",\"timestamp\":\"2026\"}"},
	    {bare_ack, "{\"type\":\"ack\",\"ref\":\"q\"}"},
	    {whole_error, "{\"type\":\"error\",\"code\":\"unknown_field\",\"message\":\"this field is not "
	                  "known\",\"sender\":\"System\","
	                  "\"field\":\"a\\\"b\",\"ref\":\"r\\\\\"}"},
	    {bare_error,
	     "{\"type\":\"error\",\"code\":\"too_long\",\"message\":\"demasiado largo\",\"sender\":\"Sistema\"}"},
	    {offline, "{\"type\":\"system\",\"code\":\"recipient_offline\",\"sender\":\"System\",\"message\":"
	              "\"bob@x.org is not connected\"}"},
	    {offline_in_spanish, "{\"type\":\"system\",\"code\":\"recipient_offline\",\"sender\":\"Sistema\","
	                         "\"message\":\"bob@x.org no está "
	                         "conectado\"}"},
	    {room_renamed, "{\"type\":\"error\",\"code\":\"room_renamed\",\"message\":\"the room is called salon "
	                   "now\",\"sender\":\"System\",\"to\":\"salon\",\"ref\":\"r\"}"},
	    {room_renamed_in_spanish,
	     "{\"type\":\"error\",\"code\":\"room_renamed\",\"message\":\"la sala se llama "
	     "ahora salon\",\"sender\":\"Sistema\",\"to\":\"salon\"}"},
	    {renamed,
	     "{\"type\":\"renamed\",\"room\":\"hall\",\"to\":\"salon\",\"sender\":\"System\",\"message\":"
	     "\"the room hall is called salon now\"}"},
	    {renamed_in_spanish,
	     "{\"type\":\"renamed\",\"room\":\"hall\",\"to\":\"salon\",\"sender\":\"Sistema\","
	     "\"message\":\"la sala hall se llama ahora salon\"}"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t n = strlen(cases[i].expected);

		for (size_t cap = 0; cap <= n + 3; cap++) {
			char *out = guarded_space(0, cap);

			assert_int_equal(cases[i].write(out, cap), cap > n ? n : 0);
			if (cap > n)
				assert_string_equal(out, cases[i].expected);
		}
	}
}

/* With everything in it escaped, the largest still fits and is JSON. */
static void the_largest(void **state)
{
	char ref[REPLY_REF_MAX], field[REPLY_FIELD_MAX + 1], sender[65], recipient[255];
	char *out = guarded_space(0, REPLY_MAX);
	size_t written[3];

	(void)state;
	memset(ref, 1, sizeof(ref));
	memset(field, '"', REPLY_FIELD_MAX);
	field[REPLY_FIELD_MAX] = '\0';
	memset(sender, 2, 64);
	sender[64] = '\0';
	memset(recipient, 'x', 254);
	recipient[254] = '\0';
	for (int i = 0; i < 3; i++) {
		struct json_reader reader;
		struct json_member m;
		enum json_status status;

		if (i == 0)
			written[i] = reply_ack(ref, sizeof(ref), "01JDABCDEFGHJKMNPQRSTVWXYZ", "2026-11-22T14:07:31.482Z",
			                       out, REPLY_MAX);
		else if (i == 1)
			written[i] = reply_error(CHAT_ERROR_INVALID_REF, CHAT_SPANISH, sender, field, ref, sizeof(ref),
			                         out, REPLY_MAX);
		else
			written[i] = reply_recipient_offline(CHAT_SPANISH, sender, recipient, out, REPLY_MAX);
		assert_true(written[i] > 400);
		json_reader_start(&reader, out, written[i]);
		while ((status = json_reader_next(&reader, &m)) == JSON_MEMBER)
			assert_int_equal(m.type, JSON_STRING);
		assert_int_equal(status, JSON_END);
	}
}

/* ---- names of fields ----------------------------------------------------------------- */

static bool field_name(const char *key, size_t len, bool escaped, char *out)
{
	memset(out, 'x', REPLY_FIELD_MAX + 1);
	if (reply_field_name(guarded(1, key, len), len, escaped, out))
		return true;
	for (size_t i = 0; i <= REPLY_FIELD_MAX; i++)
		assert_int_equal(out[i], 'x');
	return false;
}

static void names_of_fields(void **state)
{
	char *out = guarded_space(0, REPLY_FIELD_MAX + 1);
	char key[REPLY_FIELD_MAX + 1];

	(void)state;
	assert_true(field_name("message", 7, false, out));
	assert_string_equal(out, "message");
	assert_true(field_name(" ", 1, false, out));
	assert_string_equal(out, " ");
	memset(key, '~', sizeof(key));
	assert_true(field_name(key, REPLY_FIELD_MAX, false, out));
	assert_int_equal(strlen(out), REPLY_FIELD_MAX);
	assert_memory_equal(out, key, REPLY_FIELD_MAX);

	assert_false(field_name(key, REPLY_FIELD_MAX + 1, false, out));
	assert_false(field_name("", 0, false, out));
	assert_false(field_name("message", 7, true, out));
	/* printable ASCII only, at every place */
	for (int c = 0; c < 256; c++) {
		for (size_t at = 0; at < 3; at++) {
			memset(key, 'a', 3);
			key[at] = (char)c;
			assert_int_equal(field_name(key, 3, false, out), c >= 0x20 && c < 0x7f);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(exact_bytes_in_every_buffer),
	    cmocka_unit_test(the_largest),
	    cmocka_unit_test(names_of_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
