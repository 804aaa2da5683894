/*
 * A page of history: between which ids, how many messages, what is said of the rest, and in which form.
 */
#include "bridge/history_db.h"

#include "tests/unit/history_db_case.h"

#define ALICE "alice@example.com"
#define BOB "bob_b@example.com"
#define CAROL "carol@example.com"

static struct history_page page_of(enum history_view kind, const char *name, const char *before,
                                   const char *after, uint32_t limit)
{
	struct history_page p = {.place = place_of(kind, name), .limit = limit};
	(void)snprintf(p.before, sizeof p.before, "%s", before);
	(void)snprintf(p.after, sizeof p.after, "%s", after);
	return p;
}

/* The text of the page; static. Lets go of it. */
static const char *text_of(struct history_page *p)
{
	static char text[8192];
	assert_true(p->len < sizeof text);
	assert_true(p->len == 0 || p->messages != NULL);
	if (p->len > 0)
		memcpy(text, p->messages, p->len);
	text[p->len] = '\0';
	free(p->messages);
	p->messages = NULL;
	return text;
}

static void gives(struct history_page p, const char *expected, bool complete)
{
	done(history_db_page(db, &p));
	assert_string_equal(text_of(&p), expected);
	assert_int_equal(p.complete, complete);
}

/* Of the room "general"; expected: the numbers, one digit each. */
static void general(const char *before, const char *after, uint32_t limit, const char *numbers, bool complete)
{
	char expected[1024] = "";
	for (const char *n = numbers; *n != '\0'; n++) {
		size_t used = strlen(expected);
		(void)snprintf(expected + used, sizeof expected - used, "%s{\"n\":%c}", used > 0 ? "," : "", *n);
	}
	gives(page_of(VIEW_ROOM, "general", before, after, limit), expected, complete);
}

/* A message keeps the name that its room had; it is given under the one by which it is asked for. */
static void of_a_renamed_room(void **state)
{
#define SAID(room)                                                                                           \
	"{\"id\":\"01ARZ3NDEKTSV4RRFFQ69G5FAV\",\"sender\":\"a@x.org\",\"room\":\"" room "\",\"message\":\"x\"}"
	(void)state;
	keep(1, 1, HISTORY_ROOM, "a-longer-name", SAID("old"));
	keep(2, 2, HISTORY_ROOM, "a-longer-name", SAID("a-longer-name"));
	gives(page_of(VIEW_ROOM, "a-longer-name", "", "", 5), SAID("a-longer-name") "," SAID("a-longer-name"),
	      true);
	struct history_replay r = {
	    .place = place_of(VIEW_ROOM, "a-longer-name"), .upto = 2, .page_bytes = REPLAY_PAGE_BYTES};
	memcpy(r.since, id_of(0), sizeof r.since);
	done(history_db_replay(db, &r));
	assert_int_equal(r.count, 2);
	for (uint32_t at = 0, next; at < r.frames->len; at = next) {
		size_t len;
		const char *text = chunk_frame_payload(r.frames, at, &len, &next);
		assert_int_equal(len, strlen(SAID("a-longer-name")));
		assert_memory_equal(text, SAID("a-longer-name"), len);
	}
	chunk_release(r.frames);
}

/* ---- where ------------------------------------------------------------------------------------ */

static void in_both_directions(void **state)
{
	(void)state;
	fill(1, 3);
	keep(4, 4, HISTORY_ROOM, "other", NULL);
	fill(5, 9);
	/* the newest */
	general("", "", 50, "12356789", true);
	general("", "", 8, "12356789", true);
	general("", "", 7, "2356789", false);
	general("", "", 1, "9", false);
	/* what is before */
	general(id_of(6), "", 50, "1235", true);
	general(id_of(6), "", 2, "35", false);
	general(id_of(4), "", 2, "23", false); /* an id of another place */
	general(id_of(2), "", 1, "1", true);
	general(id_of(1), "", 1, "", true);
	/* what is after: the oldest of it */
	general("", id_of(5), 50, "6789", true);
	general("", id_of(5), 4, "6789", true);
	general("", id_of(5), 3, "678", false);
	general("", id_of(4), 1, "5", false);
	general("", id_of(9), 1, "", true);
	/* between: the newest of it, and complete is of what is older */
	general(id_of(8), id_of(2), 50, "3567", true);
	general(id_of(8), id_of(2), 4, "3567", true);
	general(id_of(8), id_of(2), 3, "567", false);
	general(id_of(3), id_of(2), 50, "", true);
	general(id_of(2), id_of(2), 50, "", true);
	general(id_of(2), id_of(8), 50, "", true);
}

static void ids_that_do_not_exist(void **state)
{
	(void)state;
	fill(2, 4);
	fill(7, 9);
	general(id_of(5), "", 50, "234", true);
	general(id_of(6), "", 2, "34", false);
	general("", id_of(5), 50, "789", true);
	general("", id_of(6), 2, "78", false);
	general(id_of(8), id_of(5), 50, "7", true);
	general(id_of(1), "", 50, "", true);
	general("", id_of(1), 50, "234789", true);
	general("00000000000000000000000000", "", 50, "", true);
	general("", "00000000000000000000000000", 6, "234789", true);
	general("7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "", 5, "34789", false);
	general("", "7ZZZZZZZZZZZZZZZZZZZZZZZZZ", 50, "", true);
}

/* The order is that of delivery, which ids follow but for messages of QoS 2. */
static void by_delivery(void **state)
{
	(void)state;
	fill(1, 5);
	sql("UPDATE messages SET n=6 WHERE n=3");
	gives(page_of(VIEW_ROOM, "general", "", "", 50), "{\"n\":1},{\"n\":2},{\"n\":4},{\"n\":5},{\"n\":3}",
	      true);
	general(id_of(3), "", 50, "1245", true);
	general("", id_of(5), 50, "3", true);
}

static void of_each_kind_of_place(void **state)
{
	(void)state;
	keep(1, 1, HISTORY_PAIR, ALICE "_" BOB, NULL);
	keep(2, 2, HISTORY_ROOM, "general", NULL);
	keep(3, 3, HISTORY_PAIR, ALICE "_" CAROL, NULL);
	keep(4, 4, HISTORY_PAIR, ALICE "_" ALICE, NULL);
	keep(5, 5, HISTORY_PAIR, ALICE "_" BOB, NULL);
	gives(page_of(VIEW_PAIR, ALICE "_" BOB, "", "", 50), "{\"n\":1},{\"n\":5}", true);
	gives(page_of(VIEW_PAIR, ALICE "_" ALICE, "", "", 50), "{\"n\":4}", true);
	gives(page_of(VIEW_MAILBOX, ALICE, "", "", 50), "{\"n\":1},{\"n\":3},{\"n\":4},{\"n\":5}", true);
	gives(page_of(VIEW_MAILBOX, ALICE, "", "", 3), "{\"n\":3},{\"n\":4},{\"n\":5}", false);
	gives(page_of(VIEW_MAILBOX, ALICE, "", id_of(1), 2), "{\"n\":3},{\"n\":4}", false);
	gives(page_of(VIEW_MAILBOX, BOB, id_of(5), "", 50), "{\"n\":1}", true);
	/* a place that is not there */
	gives(page_of(VIEW_PAIR, BOB "_" ALICE, "", "", 50), "", true);
	gives(page_of(VIEW_PAIR, "general", "", "", 50), "", true);
	gives(page_of(VIEW_ROOM, ALICE "_" BOB, "", "", 50), "", true);
	gives(page_of(VIEW_MAILBOX, "dave@example.com", "", "", 50), "", true);
	gives(page_of(VIEW_ROOM, "' OR 1=1 --", "", "", 50), "", true);
}

static void nothing_is_stored(void **state)
{
	(void)state;
	general("", "", 50, "", true);
	general(id_of(1), id_of(0), 50, "", true);
}

/* ---- how much --------------------------------------------------------------------------------- */

static size_t commas(const struct history_page *p)
{
	size_t n = 0;
	for (size_t i = 1; i < p->len; i++)
		n += p->messages[i] == ',' && p->messages[i - 1] == '}';
	return n;
}

static void at_the_limit(void **state)
{
	(void)state;
	fill(1001, 1000 + HISTORY_LIMIT_MAX);
	for (int forward = 0; forward < 2; forward++) {
		struct history_page p = page_of(VIEW_ROOM, "general", "", forward ? id_of(1) : "", HISTORY_LIMIT_MAX);
		done(history_db_page(db, &p));
		assert_int_equal(commas(&p), HISTORY_LIMIT_MAX - 1);
		assert_true(p.complete);
		free(p.messages);
	}
	fill(1001 + HISTORY_LIMIT_MAX, 1001 + HISTORY_LIMIT_MAX);
	for (int forward = 0; forward < 2; forward++) {
		struct history_page p = page_of(VIEW_ROOM, "general", "", forward ? id_of(1) : "", HISTORY_LIMIT_MAX);
		done(history_db_page(db, &p));
		assert_int_equal(commas(&p), HISTORY_LIMIT_MAX - 1);
		assert_memory_equal(p.messages, forward ? "{\"n\":1001}," : "{\"n\":1002},", 11);
		assert_false(p.complete);
		free(p.messages);
	}
}

/* The first and the last number of a page, and how many bytes of messages it holds. */
static void page_spans(const char *before, const char *after, uint64_t first, uint64_t last, size_t bytes,
                       bool complete)
{
	struct history_page p = page_of(VIEW_ROOM, "general", before, after, HISTORY_LIMIT_MAX);
	done(history_db_page(db, &p));
	assert_int_equal(p.len, bytes + (last - first));
	assert_int_equal(p.complete, complete);
	size_t from = p.len;
	while (from > 0 && p.messages[from - 1] != '{')
		from--;
	assert_int_equal(atoll(p.messages + 5), first);
	assert_int_equal(atoll(p.messages + from + 4), last);
	free(p.messages);
}

static void not_more_than_so_many_bytes(void **state)
{
	(void)state;
	for (uint64_t n = 1; n <= 5; n++)
		keep_bytes(n, 100000);
	page_spans("", "", 4, 5, 200000, false);
	page_spans(id_of(5), "", 3, 4, 200000, false);
	page_spans(id_of(3), "", 1, 2, 200000, true);
	page_spans("", id_of(1), 2, 3, 200000, false);
	page_spans("", id_of(3), 4, 5, 200000, true);
}

static void exactly_so_many_bytes(void **state)
{
	(void)state;
	keep_bytes(1, HISTORY_PAGE_BYTES / 2);
	keep_bytes(2, HISTORY_PAGE_BYTES / 2);
	page_spans("", "", 1, 2, HISTORY_PAGE_BYTES, true);
	page_spans("", id_of(0), 1, 2, HISTORY_PAGE_BYTES, true);
	keep_bytes(3, HISTORY_PAGE_BYTES / 2 + 1);
	page_spans("", "", 3, 3, HISTORY_PAGE_BYTES / 2 + 1, false);
	page_spans("", id_of(1), 2, 2, HISTORY_PAGE_BYTES / 2, false);
}

/* There is always one, or a client would never get past it. */
static void one_larger_than_a_page(void **state)
{
	(void)state;
	keep_bytes(1, 100);
	keep_bytes(2, HISTORY_PAGE_BYTES + 100);
	keep_bytes(3, 100);
	page_spans("", "", 3, 3, 100, false);
	page_spans(id_of(3), "", 2, 2, HISTORY_PAGE_BYTES + 100, false);
	page_spans(id_of(2), "", 1, 1, 100, true);
	page_spans("", id_of(0), 1, 1, 100, false);
	page_spans("", id_of(1), 2, 2, HISTORY_PAGE_BYTES + 100, false);
}

/* ---- what is not written yet ------------------------------------------------------------------- */

static void behind(void **state)
{
	(void)state;
	fill(1, 2);
	struct history_page p = page_of(VIEW_ROOM, "general", "", "", 50);
	p.upto = 4;
	assert_int_equal(history_db_page(db, &p), HISTORY_BEHIND);
	assert_null(p.messages);
	assert_int_equal(p.reached, 2);
	fill(3, 3);
	assert_int_equal(history_db_page(db, &p), HISTORY_BEHIND);
	assert_int_equal(p.reached, 3);
	struct history_page hasty = p;
	hasty.impatient = true;
	gives(hasty, "{\"n\":1},{\"n\":2},{\"n\":3}", true);
	keep(4, 4, HISTORY_ROOM, "other", NULL);
	gives(p, "{\"n\":1},{\"n\":2},{\"n\":3}", true);
	fill(5, 5); /* upto is no end of the page */
	gives(p, "{\"n\":1},{\"n\":2},{\"n\":3},{\"n\":5}", true);
}

static void behind_when_empty(void **state)
{
	(void)state;
	struct history_page p = page_of(VIEW_ROOM, "general", "", "", 50);
	p.upto = 1;
	assert_int_equal(history_db_page(db, &p), HISTORY_BEHIND);
	assert_int_equal(p.reached, 0);
	p.impatient = true;
	gives(p, "", true);
}

/* ---- the original form ---------------------------------------------------------------------------- */

static void original_is(const char *pair, const char *body, const char *expected)
{
	sql("DELETE FROM messages; DELETE FROM mailbox");
	keep(1, 1, HISTORY_PAIR, pair, body);
	struct history_page p = page_of(VIEW_PAIR, pair, "", "", 50);
	p.form = HISTORY_ORIGINAL;
	gives(p, expected, true);
}

#define CHAT_ID "{\"chat_id\":\"" ALICE "_" BOB "\","

static void in_the_original_form(void **state)
{
	(void)state;
	original_is(ALICE "_" BOB,
	            "{\"id\":\"01\",\"sender\":\"" BOB "\",\"to\":\"" ALICE
	            "\",\"message\":\"hi\",\"timestamp\":\"2026-11-22T14:07:31.482Z\"}",
	            CHAT_ID "\"sender_id\":\"" BOB "\",\"receiver_id\":\"" ALICE
	                    "\",\"message\":\"hi\",\"timestamp\":\"2026-11-22T14:07:31.482Z\"}");
	/* escapes pass as they are; only strings are taken, and names are what they mean */
	original_is(ALICE "_" BOB,
	            "{\"sender\":\"" ALICE "\",\"to\":\"" BOB
	            "\",\"message\":\"\\\"\\\\ \\u00e9\\n\\ud83d\\ude00 \xc3\xa9\",\"timestamp\":\"\"}",
	            CHAT_ID "\"sender_id\":\"" ALICE "\",\"receiver_id\":\"" BOB
	                    "\",\"message\":\"\\\"\\\\ \\u00e9\\n\\ud83d\\ude00 \xc3\xa9\",\"timestamp\":\"\"}");
	original_is(ALICE "_" BOB,
	            "{\"message\":{\"message\":\"no\"},\"to\":[\"to\"],\"timestamp\":5,\"s\\u0065nder\":\"a\"}",
	            CHAT_ID "\"sender_id\":\"a\",\"receiver_id\":\"\",\"message\":\"\",\"timestamp\":\"\"}");
	/* whatever is stored, the answer is JSON */
	original_is(ALICE "_" BOB, "no JSON",
	            CHAT_ID "\"sender_id\":\"\",\"receiver_id\":\"\",\"message\":\"\",\"timestamp\":\"\"}");
	/* and what has been deleted is not there */
	original_is(ALICE "_" BOB, "", "");
	original_is("a\"\\@x_b@y", "{}",
	            "{\"chat_id\":\"a\\\"\\\\@x_b@y\",\"sender_id\":\"\",\"receiver_id\":\"\",\"message\":\"\","
	            "\"timestamp\":\"\"}");
}

static void many_in_the_original_form(void **state)
{
	(void)state;
	keep(1, 1, HISTORY_PAIR, ALICE "_" BOB, "{\"message\":\"1\"}");
	keep(2, 2, HISTORY_PAIR, ALICE "_" BOB, "{\"message\":\"2\"}");
	struct history_page p = page_of(VIEW_PAIR, ALICE "_" BOB, "", "", 50);
	p.form = HISTORY_ORIGINAL;
#define ROW(m) CHAT_ID "\"sender_id\":\"\",\"receiver_id\":\"\",\"message\":\"" m "\",\"timestamp\":\"\"}"
	gives(p, ROW("1") "," ROW("2"), true);
	p.limit = 1;
	gives(p, ROW("2"), false);
#undef ROW
}

/* The row of the longest names there are, with the buffer made for exactly it. */
static void the_longest_pair(void **state)
{
	(void)state;
	char pair[HISTORY_PLACE_MAX + 1];
	memset(pair, 'a', HISTORY_PLACE_MAX);
	pair[64] = '@';
	pair[IDENTITY_MAX] = '_';
	pair[IDENTITY_MAX + 65] = '@';
	pair[HISTORY_PLACE_MAX] = '\0';
	char expected[1024];
	(void)snprintf(expected, sizeof expected,
	               "{\"chat_id\":\"%s\",\"sender_id\":\"s\",\"receiver_id\":\"t\",\"message\":\"m\","
	               "\"timestamp\":\"z\"}",
	               pair);
	original_is(pair, "{\"sender\":\"s\",\"to\":\"t\",\"message\":\"m\",\"timestamp\":\"z\"}", expected);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, history_db_set_up, history_db_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(in_both_directions),
	    TEST(ids_that_do_not_exist),
	    TEST(by_delivery),
	    TEST(of_each_kind_of_place),
	    TEST(of_a_renamed_room),
	    TEST(nothing_is_stored),
	    TEST(at_the_limit),
	    TEST(not_more_than_so_many_bytes),
	    TEST(exactly_so_many_bytes),
	    TEST(one_larger_than_a_page),
	    TEST(behind),
	    TEST(behind_when_empty),
	    TEST(in_the_original_form),
	    TEST(many_in_the_original_form),
	    TEST(the_longest_pair),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
