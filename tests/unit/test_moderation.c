/*
 * What moderators have imposed: in force for how long, for whom, where; the bound; and the file's text.
 */
#include "plugin/moderation.h"

#include "plugin/audit.h"
#include "plugin/moderation_text.h"
#include "tests/unit/guarded.h"

#include <stdio.h>
#include <stdlib.h>

#define NOW UINT64_C(1790000000000)

static struct identity who(const char *address)
{
	struct identity id;

	assert_true(identity_parse(address, strlen(address), &id));
	return id;
}

static enum moderation_result set(enum sanction_kind kind, const char *user, const char *room, uint64_t until)
{
	struct sanction s = {.kind = kind, .since_ms = NOW, .until_ms = until};

	(void)snprintf(s.user, sizeof(s.user), "%s", user);
	(void)snprintf(s.room, sizeof(s.room), "%s", room);
	(void)snprintf(s.by, sizeof(s.by), "alice@x.org");
	(void)snprintf(s.reason, sizeof(s.reason), "\"\xc3\xa9\"");
	return moderation_set(&s);
}

static bool muted(const char *address, const char *room, uint64_t now)
{
	struct identity id = who(address);

	return moderation_muted(&id, room, room ? strlen(room) : 0, now);
}

static void bans(void **state)
{
	struct identity bob = who("bob@x.org"), carol = who("carol@x.org");

	(void)state;
	assert_null(moderation_ban(&bob, NOW));
	assert_int_equal(set(SANCTION_BAN, "bob@x.org", "", NOW + 10), MODERATION_OK);
	assert_non_null(moderation_ban(&bob, NOW + 9));
	assert_true(muted("bob@x.org", "general", NOW) && muted("bob@x.org", NULL, NOW));
	assert_null(moderation_ban(&bob, NOW + 10));
	assert_null(moderation_ban(&carol, NOW));
	assert_int_equal(set(SANCTION_BAN, "bob@x.org", "", 0), MODERATION_OK);
	assert_int_equal(moderation_count(SANCTION_BAN), 1);
	assert_non_null(moderation_ban(&bob, UINT64_MAX));
	assert_true(moderation_lift(SANCTION_BAN, "bob@x.org", "", NOW));
	assert_false(moderation_lift(SANCTION_BAN, "bob@x.org", "", NOW));
	moderation_stop();
}

static unsigned gone;

static void count_gone(const struct sanction *s)
{
	gone++;
	assert_int_equal(s->kind, SANCTION_ROOM);
}

static void mutes_and_rooms(void **state)
{
	(void)state;
	assert_int_equal(set(SANCTION_MUTE, "bob@x.org", "hall", 0), MODERATION_OK);
	assert_true(muted("bob@x.org", "hall", NOW));
	assert_false(muted("bob@x.org", "hal", NOW) || muted("bob@x.org", NULL, NOW) ||
	             muted("ob@x.org", "hall", NOW));
	assert_int_equal(set(SANCTION_MUTE, "bob@x.org", "", NOW + 5), MODERATION_OK);
	assert_true(muted("bob@x.org", "attic", NOW) && muted("bob@x.org", NULL, NOW));
	assert_false(muted("bob@x.org", NULL, NOW + 5));
	/* what has run out cannot be taken away */
	assert_false(moderation_lift(SANCTION_MUTE, "bob@x.org", "", NOW + 5));
	assert_int_equal(set(SANCTION_ROOM, "", "hall", NOW + 1), MODERATION_OK);
	assert_true(moderation_closed("hall", 4, NOW));
	assert_false(moderation_closed("hall", 3, NOW) || moderation_closed("hall", 4, NOW + 1));
	assert_false(moderation_tidy(NOW, NULL));
	gone = 0;
	assert_true(moderation_tidy(NOW + 1, count_gone));
	assert_int_equal(gone, 1);
	assert_int_equal(moderation_count(SANCTION_ROOM), 0);
	moderation_stop();
	assert_int_equal(moderation_count(SANCTION_MUTE), 0);
}

static void a_bound(void **state)
{
	char user[64];

	(void)state;
	for (unsigned n = 0; n < MODERATION_MAX; n++) {
		(void)snprintf(user, sizeof(user), "u%u@x.org", n);
		assert_int_equal(set(SANCTION_BAN, user, "", 0), MODERATION_OK);
	}
	assert_int_equal(set(SANCTION_BAN, "bob@x.org", "", 0), MODERATION_FULL);
	assert_int_equal(set(SANCTION_BAN, "u7@x.org", "", 5), MODERATION_OK);
	assert_int_equal(set(SANCTION_MUTE, "bob@x.org", "", 0), MODERATION_OK);
	moderation_stop();
}

/* Of another node's words and one's own the later count, so what has been taken away is remembered. */
static void what_is_taken_away(void **state)
{
	struct identity bob = who("bob@x.org");
	struct sanction s = {.kind = SANCTION_BAN, .lifted = true, .since_ms = NOW + 7, .user = "bob@x.org"};
	struct text_buffer text = text_buffer_new(1024);
	struct sanction back;

	(void)state;
	assert_int_equal(moderation_known(SANCTION_BAN, "bob@x.org", ""), 0);
	assert_int_equal(set(SANCTION_BAN, "bob@x.org", "", 0), MODERATION_OK);
	assert_int_equal(moderation_known(SANCTION_BAN, "bob@x.org", ""), NOW);
	assert_int_equal(moderation_known(SANCTION_MUTE, "bob@x.org", ""), 0);
	assert_int_equal(moderation_set(&s), MODERATION_OK);
	assert_null(moderation_ban(&bob, NOW));
	assert_int_equal(moderation_count(SANCTION_BAN), 0);
	assert_int_equal(moderation_known(SANCTION_BAN, "bob@x.org", ""), NOW + 7);
	moderation_text_put(&text, moderation_next_lifted(SANCTION_BAN, NULL));
	assert_true(moderation_text_take(text.at, text.len - 1, &back));
	assert_true(back.lifted && back.kind == SANCTION_BAN && back.since_ms == NOW + 7);
	assert_string_equal(back.user, "bob@x.org");
	assert_false(moderation_text_take(text.at, text.len - 2, &back));
	text_buffer_free(&text);
	/* imposed again: that is all there is to know */
	assert_int_equal(set(SANCTION_BAN, "bob@x.org", "", 0), MODERATION_OK);
	assert_null(moderation_next_lifted(SANCTION_BAN, NULL));
	assert_non_null(moderation_ban(&bob, NOW));
	/* as many as of the others; then the oldest is forgotten */
	for (unsigned n = 0; n <= MODERATION_MAX; n++) {
		(void)snprintf(s.user, sizeof(s.user), "u%u@x.org", n);
		assert_int_equal(moderation_set(&s), MODERATION_OK);
	}
	assert_int_equal(moderation_known(SANCTION_BAN, "u0@x.org", ""), 0);
	assert_int_equal(moderation_known(SANCTION_BAN, "u1@x.org", ""), NOW + 7);
	moderation_stop();
	assert_null(moderation_next_lifted(SANCTION_BAN, NULL));
}

static void there_and_back(void **state)
{
	struct text_buffer text = text_buffer_new(MODERATION_TEXT_MAX), again = text;
	struct sanction name = {.kind = SANCTION_NAME, .since_ms = NOW, .room = "old", .to = "new"};
	struct sanction lifted = {.kind = SANCTION_ROOM, .lifted = true, .since_ms = NOW, .room = "attic"};
	struct audit_entry e = {.at_ms = NOW,
	                        .seconds = 60,
	                        .by = "alice@x.org",
	                        .command = "ban",
	                        .result = "ok",
	                        .user = "bob@x.org",
	                        .to = "new",
	                        .text = "\\ \"\xc3\xa9\""};
	unsigned line;

	(void)state;
	assert_int_equal(set(SANCTION_BAN, "bob@x.org", "", 0), MODERATION_OK);
	assert_int_equal(set(SANCTION_BAN, "carol@x.org", "", NOW + 1), MODERATION_OK);
	assert_int_equal(set(SANCTION_MUTE, "bob@x.org", "", NOW), MODERATION_OK);
	assert_int_equal(set(SANCTION_MUTE, "bob@x.org", "hall", NOW), MODERATION_OK);
	assert_int_equal(set(SANCTION_ROOM, "", "hall", 0), MODERATION_OK);
	assert_int_equal(moderation_set(&lifted), MODERATION_OK);
	assert_int_equal(moderation_set(&name), MODERATION_OK);
	for (unsigned n = 0; n < AUDIT_MAX + 3; n++) {
		e.at_ms++;
		assert_true(audit_add(&e));
	}
	assert_int_equal(audit_count(), AUDIT_MAX);
	assert_int_equal(audit_get(0)->at_ms, NOW + AUDIT_MAX + 3);
	assert_int_equal(audit_get(AUDIT_MAX - 1)->at_ms, NOW + 4);
	assert_null(audit_get(AUDIT_MAX));
	moderation_text_write(&text);
	assert_false(text.failed);
	moderation_stop();
	audit_stop();
	assert_true(moderation_text_read(text.at, text.len, &line));
	assert_int_equal(moderation_count(SANCTION_MUTE), 2);
	assert_string_equal(moderation_renamed("old", 3)->to, "new");
	assert_null(moderation_renamed("new", 3));
	assert_string_equal(audit_get(0)->to, "new");
	assert_string_equal(moderation_next(SANCTION_BAN, NULL)->reason, "\"\xc3\xa9\"");
	moderation_text_write(&again);
	assert_int_equal(again.len, text.len);
	assert_memory_equal(again.at, text.at, text.len);
	/* no prefix but those that end with a line is read, and nothing is read beyond the end */
	moderation_stop();
	audit_stop();
	for (size_t len = 0; len < 700; len++) {
		bool whole = len > 0 && text.at[len - 1] == '\n';

		assert_int_equal(moderation_text_read(guarded(0, text.at, len), len, &line), whole);
		moderation_stop();
		audit_stop();
	}
	text_buffer_free(&text);
	text_buffer_free(&again);
}

static void bad_lines(void **state)
{
#define HEAD "{\"mosquitto-chat\":\"moderation\",\"version\":1}\n"
	static const char *const texts[] = {
	    "\n",
	    "{}\n",
	    "{\"mosquitto-chat\":\"moderation\",\"version\":2}\n",
	    HEAD "\n",
	    HEAD "{}\n",
	    HEAD "{\"kind\":\"ban\",\"user\":\"bob@x.org\",\"since\":1}\n",
	    HEAD "{\"kind\":\"ban\",\"user\":\"bob@x.org\",\"since\":1,\"until\":-1}\n",
	    HEAD "{\"kind\":\"ban\",\"user\":\"bob@X.org\",\"since\":1,\"until\":0}\n",
	    HEAD "{\"kind\":\"ban\",\"user\":\"bob@x.org\",\"room\":\"a\",\"since\":1,\"until\":0}\n",
	    HEAD "{\"kind\":\"ban\",\"since\":1,\"until\":0}\n",
	    HEAD "{\"kind\":\"room\",\"since\":1,\"until\":0}\n",
	    HEAD "{\"kind\":\"room\",\"room\":\"A\",\"since\":1,\"until\":0}\n",
	    HEAD "{\"kind\":\"mute\",\"user\":\"bob@x.org\",\"reason\":\"a\\nb\",\"since\":1,\"until\":0}\n",
	    HEAD "{\"kind\":\"rename\",\"room\":\"a\",\"since\":1,\"until\":0}\n",
	    HEAD "{\"kind\":\"rename\",\"to\":\"a\",\"since\":1,\"until\":0}\n",
	    HEAD "{\"kind\":\"rename\",\"room\":\"a\",\"to\":\"B\",\"since\":1,\"until\":0}\n",
	    HEAD "{\"kind\":\"rename\",\"room\":\"a\",\"to\":\"a\",\"since\":1,\"until\":0}\n",
	    HEAD "{\"kind\":\"rename\",\"room\":\"a\",\"to\":\"b\",\"since\":1,\"until\":5}\n",
	    HEAD
	    "{\"kind\":\"rename\",\"user\":\"a@x.org\",\"room\":\"a\",\"to\":\"b\",\"since\":1,\"until\":0}\n",
	    HEAD "{\"kind\":\"room\",\"room\":\"a\",\"to\":\"b\",\"since\":1,\"until\":0}\n",
	    HEAD "{\"kind\":\"audit\",\"at\":1}\n",
	    HEAD "{\"kind\":\"audit\",\"at\":1,\"seconds\":99999999999999999999}\n",
	};
	unsigned line;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		size_t len = strlen(texts[i]);

		if (moderation_text_read(guarded(0, texts[i], len), len, &line))
			fail_msg("read: %s", texts[i]);
		assert_int_equal(line, i < 3 ? 1 : 2);
		moderation_stop();
		audit_stop();
	}
}

static void a_bounded_text(void **state)
{
	struct text_buffer text = text_buffer_new(8);

	(void)state;
	text_puts(&text, "{");
	text_put_count(&text, "a", 12);
	assert_false(text.failed);
	assert_int_equal(text.len, 7);
	text_puts(&text, "xx");
	assert_true(text.failed);
	text_puts(&text, "y");
	assert_int_equal(text.len, 7);
	text_buffer_free(&text);
	assert_false(text.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bans),           cmocka_unit_test(mutes_and_rooms),
	    cmocka_unit_test(a_bound),        cmocka_unit_test(what_is_taken_away),
	    cmocka_unit_test(there_and_back), cmocka_unit_test(bad_lines),
	    cmocka_unit_test(a_bounded_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
