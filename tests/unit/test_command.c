/*
 * Commands of moderators: what is read, and what is refused by which name; and the command line that makes
 * them.
 */
#include "plugin/command.h"

#include "ctrl/request.h"
#include "tests/unit/guarded.h"

#include <stdio.h>

static struct command got;
static const char *field;

static const char *take(const char *text)
{
	size_t len = strlen(text);

	return command_read(guarded(0, text, len), len, &got, &field);
}

static void gives(const char *text, const char *error, const char *at)
{
	const char *have = take(text);

	if (!have || strcmp(have, error) != 0)
		fail_msg("%s: %s instead of %s", text, have ? have : "nothing", error);
	if ((field == NULL) != (at == NULL) || (at && strcmp(field, at) != 0))
		fail_msg("%s: at %s instead of %s", text, field ? field : "nothing", at ? at : "nothing");
}

static void everything(void **state)
{
	(void)state;
	assert_null(take("{\"command\":\"mute\",\"user\":\"bob@X.ORG\",\"room\":\"a\",\"seconds\":60,"
	                 "\"reason\":\"l\\u00e4rm \\\"x\\\"\",\"correlationData\":\"\\n\"}"));
	assert_int_equal(got.which, COMMAND_MUTE);
	assert_string_equal(got.name, "mute");
	assert_string_equal(got.user.text, "bob@x.org");
	assert_string_equal(got.room, "a");
	assert_string_equal(got.text, "l\xc3\xa4rm \"x\"");
	assert_int_equal(got.seconds, 60);
	assert_true(got.has_user && got.has_room && got.has_seconds);
	assert_int_equal(got.correlation_len, 2);
	assert_memory_equal(got.correlation, "\\n", 2);
	assert_null(take("{\"command\":\"listBans\",\"count\":100,\"offset\":0}"));
	assert_int_equal(got.count, 100);
	assert_null(take("{\"command\":\"listBans\"}"));
	assert_int_equal(got.count, COMMAND_PAGE);
	assert_false(got.has_user);
	assert_null(got.correlation);
	assert_null(take("{\"command\":\"\\u006bick\",\"us\\u0065r\":\"bob\\u0040x.org\"}"));
	assert_int_equal(got.which, COMMAND_KICK);
	assert_null(take("{\"command\":\"deleteMessage\",\"id\":\"01ARZ3NDEKTSV4RRFFQ69G5FAV\"}"));
	assert_string_equal(got.id, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
	assert_null(take("{\"command\":\"renameRoom\",\"room\":\"a\",\"to\":\"\\u0062-c\"}"));
	assert_string_equal(got.room, "a");
	assert_string_equal(got.to, "b-c");
}

static void bounds(void **state)
{
	char text[16384], long_text[COMMAND_MESSAGE_MAX + 2];

	(void)state;
	memset(long_text, 'x', sizeof(long_text));
	(void)snprintf(text, sizeof(text), "{\"command\":\"announce\",\"message\":\"%.*s\"}", COMMAND_MESSAGE_MAX,
	               long_text);
	assert_null(take(text));
	(void)snprintf(text, sizeof(text), "{\"command\":\"announce\",\"message\":\"%.*s\"}",
	               COMMAND_MESSAGE_MAX + 1, long_text);
	gives(text, "too_long", "message");
	(void)snprintf(text, sizeof(text), "{\"command\":\"kick\",\"user\":\"a@x.org\",\"reason\":\"%.*s\"}",
	               COMMAND_REASON_MAX, long_text);
	assert_null(take(text));
	(void)snprintf(text, sizeof(text), "{\"command\":\"kick\",\"user\":\"a@x.org\",\"reason\":\"%.*s\"}",
	               COMMAND_REASON_MAX + 1, long_text);
	gives(text, "too_long", "reason");
	(void)snprintf(text, sizeof(text), "{\"command\":\"%.*s\"}", 100, long_text);
	gives(text, COMMAND_UNKNOWN, "command");
	assert_string_equal(got.name, "");
	(void)snprintf(text, sizeof(text), "{\"command\":\"kick\",\"user\":\"%.*s@x.org\"}", 2000, long_text);
	gives(text, "invalid_email", "user");
	(void)snprintf(text, sizeof(text), "{\"command\":\"openRoom\",\"room\":\"%.*s\"}", 65, long_text);
	gives(text, "invalid_room", "room");
	(void)snprintf(text, sizeof(text), "{\"command\":\"ban\",\"user\":\"a@x.org\",\"seconds\":%u}",
	               COMMAND_SECONDS_MAX);
	assert_null(take(text));
	assert_int_equal(got.seconds, COMMAND_SECONDS_MAX);
	gives("{\"command\":\"ban\",\"user\":\"a@x.org\",\"seconds\":315360001}", "out_of_range", "seconds");
	gives("{\"command\":\"ban\",\"user\":\"a@x.org\",\"seconds\":18446744073709551617}", "out_of_range",
	      "seconds");
	gives("{\"command\":\"ban\",\"user\":\"a@x.org\",\"seconds\":1e3}", "out_of_range", "seconds");
}

static void faults(void **state)
{
	(void)state;
	gives("{}", "missing_field", "command");
	gives("{\"command\":1}", "wrong_type", "command");
	gives("{\"command\":\"Kick\"}", COMMAND_UNKNOWN, "command");
	gives("{\"command\":\"kick\",\"command\":\"ban\"}", COMMAND_INVALID, NULL);
	gives("{\"command\":\"kick\",\"correlationData\":7}", "wrong_type", "correlationData");
	gives("{\"command\":\"kick\"}", "missing_field", "user");
	gives("{\"command\":\"kick\",\"user\":\"bob\"}", "invalid_email", "user");
	gives("{\"command\":\"kick\",\"user\":\"bob@x.org\\u0000\"}", "invalid_email", "user");
	gives("{\"command\":\"kick\",\"user\":\"a@x.org\",\"seconds\":1}", "unknown_field", "seconds");
	gives("{\"command\":\"kick\",\"user\":\"a@x.org\",\"by\":\"b\"}", "unknown_field", NULL);
	gives("{\"command\":\"kick\",\"user\":\"a@x.org\",\"reason\":\"\\u007f\"}", "invalid_character",
	      "reason");
	gives("{\"command\":\"openRoom\",\"room\":\"\"}", "invalid_room", "room");
	gives("{\"command\":\"openRoom\",\"room\":\"A\"}", "invalid_room", "room");
	gives("{\"command\":\"deleteMessage\",\"id\":\"\\u0030\"}", "invalid_id", "id");
	gives("{\"command\":\"announce\",\"message\":\"  \"}", "empty_message", "message");
	gives("{\"command\":\"renameRoom\",\"room\":\"a\"}", "missing_field", "to");
	gives("{\"command\":\"renameRoom\",\"room\":\"a\",\"to\":\"B\"}", "invalid_room", "to");
	gives("{\"command\":\"closeRoom\",\"room\":\"a\",\"to\":\"b\"}", "unknown_field", "to");
	gives("{\"command\":\"getAudit\",\"count\":0}", "out_of_range", "count");
}

static void changes(void **state)
{
	(void)state;
	assert_true(command_changes(COMMAND_KICK));
	assert_true(command_changes(COMMAND_DELETE_MESSAGE));
	assert_false(command_changes(COMMAND_GET_AUDIT));
	assert_false(command_changes(COMMAND_COUNT));
}

/* ---- the command line ----------------------------------------------------------------------- */

static void makes(const char *words[], const char *request)
{
	static char out[REQUEST_MAX];
	int count = 0;
	const char *why;

	while (words[count])
		count++;
	why = request_make(count, words, out);
	if (why)
		fail_msg("%s: %s", words[0], why);
	assert_string_equal(out, request);
}

#define WORDS(...) ((const char *[]){__VA_ARGS__, NULL})

static void requests(void **state)
{
	char out[REQUEST_MAX];

	(void)state;
	makes(WORDS("kick", "bob@x.org", "a \"b\""),
	      "{\"commands\":[{\"command\":\"kick\",\"user\":\"bob@x.org\",\"reason\":\"a \\\"b\\\"\"}]}");
	makes(WORDS("ban", "--seconds", "60", "bob@x.org"),
	      "{\"commands\":[{\"command\":\"ban\",\"seconds\":60,\"user\":\"bob@x.org\"}]}");
	makes(WORDS("announce", "tea", "--room", "hall"),
	      "{\"commands\":[{\"command\":\"announce\",\"message\":\"tea\",\"room\":\"hall\"}]}");
	makes(WORDS("renameRoom", "old", "new"),
	      "{\"commands\":[{\"command\":\"renameRoom\",\"room\":\"old\",\"to\":\"new\"}]}");
	makes(WORDS("getAudit"), "{\"commands\":[{\"command\":\"getAudit\"}]}");
	makes(WORDS("drain"), "{\"commands\":[{\"command\":\"drain\"}]}");
	makes(WORDS("drain", "60"), "{\"commands\":[{\"command\":\"drain\",\"seconds\":60}]}");
	makes(WORDS("drain", "--seconds", "60"), "{\"commands\":[{\"command\":\"drain\",\"seconds\":60}]}");
	makes(WORDS("undrain"), "{\"commands\":[{\"command\":\"undrain\"}]}");
	assert_non_null(request_make(2, (const char *[]){"drain", "soon"}, out));
	assert_non_null(request_make(2, (const char *[]){"undrain", "60"}, out));
	assert_non_null(request_make(0, NULL, out));
	assert_non_null(request_make(1, (const char *[]){"Kick"}, out));
	assert_non_null(request_make(2, (const char *[]){"getAudit", "x"}, out));
	assert_non_null(request_make(3, (const char *[]){"ban", "--seconds", "01"}, out));
	assert_non_null(request_make(3, (const char *[]){"ban", "--seconds", ""}, out));
	assert_non_null(request_make(2, (const char *[]){"kick", "\xff"}, out));
}

/* Every command of the one table is in the other. */
static void the_same_commands(void **state)
{
	static const char *const names[] = {
#define X(id, name, may, must) name,
	    COMMANDS(X)
#undef X
	};
	char out[REQUEST_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_null(request_make(1, &names[i], out));
		assert_non_null(strstr(request_usage, names[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(everything), cmocka_unit_test(bounds),   cmocka_unit_test(faults),
	    cmocka_unit_test(changes),    cmocka_unit_test(requests), cmocka_unit_test(the_same_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
