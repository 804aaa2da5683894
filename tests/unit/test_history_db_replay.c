/*
 * What a replay gives of the history: from where, in which pages, and when it says that it is complete.
 */
#include "bridge/history_db.h"

#include "tests/unit/history_db_case.h"

#define ALICE "alice@example.com"
#define BOB "bob@example.com"
#define CAROL "carol@example.com"

static struct history_replay replay_of(enum history_view kind, const char *name, const char *since,
                                       uint64_t upto)
{
	struct history_replay r = {.place = place_of(kind, name), .upto = upto, .page_bytes = REPLAY_PAGE_BYTES};
	(void)snprintf(r.since, sizeof r.since, "%s", since);
	return r;
}

static struct history_replay general(const char *since, uint64_t upto)
{
	return replay_of(VIEW_ROOM, "general", since, upto);
}

/* The numbers of a page's messages, with blanks between; static. Lets go of the frames. */
static const char *numbers(struct history_replay *r)
{
	static char text[16384];
	uint32_t at = 0, count = 0;
	text[0] = '\0';
	while (r->frames != NULL && at < r->frames->len) {
		size_t len, used = strlen(text);
		const char *payload = chunk_frame_payload(r->frames, at, &len, &at);
		assert_true(len > 6 && memcmp(payload, "{\"n\":", 5) == 0 && payload[len - 1] == '}');
		(void)snprintf(text + used, sizeof text - used, "%s%lld", used > 0 ? " " : "", atoll(payload + 5));
		count++;
	}
	if (r->frames != NULL)
		assert_int_equal(at, r->frames->len);
	assert_int_equal(count, r->count);
	assert_int_equal(count > 0, r->frames != NULL);
	chunk_release(r->frames);
	r->frames = NULL;
	return text;
}

static void page_is(struct history_replay *r, const char *expected, bool complete, bool more)
{
	done(history_db_replay(db, r));
	assert_string_equal(numbers(r), expected);
	assert_int_equal(r->complete, complete);
	assert_int_equal(r->more, more);
}

static void whole_is(struct history_replay r, const char *expected, bool complete)
{
	page_is(&r, expected, complete, false);
}

/* ---- where it begins ------------------------------------------------------------------------ */

static void behind_a_known_id(void **state)
{
	(void)state;
	fill(1, 10);
	whole_is(general(id_of(4), 10), "5 6 7 8 9 10", true);
	whole_is(general(id_of(4), 8), "5 6 7 8", true);
	whole_is(general(id_of(9), 10), "10", true);
	whole_is(general(id_of(10), 10), "", true);
	whole_is(general(id_of(8), 5), "", true);
	struct history_replay r = general(id_of(9), 10);
	page_is(&r, "10", true, false);
	assert_int_equal(r.reached, 10);
	assert_int_equal(r.cursor, 10);
}

static void behind_an_unknown_id(void **state)
{
	(void)state;
	fill(2, 10);
	sql("DELETE FROM messages WHERE n=4");
	whole_is(general(id_of(4), 10), "5 6 7 8 9 10", false);
	whole_is(general(id_of(1), 10), "2 3 5 6 7 8 9 10", false);
	whole_is(general("00000000000000000000000000", 10), "2 3 5 6 7 8 9 10", false);
	whole_is(general("7ZZZZZZZZZZZZZZZZZZZZZZZZZ", 10), "", false);
}

/* The broker was killed with id 5, which somebody had seen, not written yet; then it released 4. */
static void behind_an_unknown_id_what_was_released_late(void **state)
{
	(void)state;
	fill(1, 4);
	sql("UPDATE messages SET n=6,late=2 WHERE n=4");
	whole_is(general(id_of(5), 6), "4", false);
	fill(7, 8);
	whole_is(general(id_of(5), 8), "4 7 8", false);
	whole_is(general(id_of(3), 8), "4 7 8", true);
	whole_is(general(id_of(4), 8), "7 8", true);
}

static void the_id_of_another_place(void **state)
{
	(void)state;
	keep(1, 1, HISTORY_ROOM, "general", NULL);
	keep(2, 2, HISTORY_ROOM, "other", NULL);
	keep(3, 3, HISTORY_PAIR, ALICE "_" BOB, NULL);
	keep(4, 4, HISTORY_ROOM, "general", NULL);
	whole_is(general(id_of(2), 4), "4", true);
	whole_is(general(id_of(3), 4), "4", true);
	whole_is(replay_of(VIEW_ROOM, "other", id_of(1), 4), "2", true);
}

static void nothing_is_stored(void **state)
{
	(void)state;
	whole_is(general(id_of(1), 0), "", false);
	struct history_replay r = general(id_of(1), 1);
	assert_int_equal(history_db_replay(db, &r), HISTORY_BEHIND);
	assert_int_equal(r.reached, 0);
	r.impatient = true;
	page_is(&r, "", false, false);
}

/* It still tells whether the id is known. */
static void a_place_without_messages(void **state)
{
	(void)state;
	fill(1, 3);
	whole_is(replay_of(VIEW_ROOM, "other", id_of(2), 3), "", true);
	whole_is(replay_of(VIEW_ROOM, "other", id_of(9), 3), "", false);
	whole_is(replay_of(VIEW_MAILBOX, ALICE, id_of(2), 3), "", true);
	whole_is(replay_of(VIEW_MAILBOX, ALICE, id_of(9), 3), "", false);
	/* of that name, but of another kind */
	whole_is(replay_of(VIEW_PAIR, "general", id_of(1), 3), "", true);
	whole_is(replay_of(VIEW_MAILBOX, "general", id_of(1), 3), "", true);
}

static void the_newest_thousand(void **state)
{
	(void)state;
	fill(1, 2);
	keep(3, 3, HISTORY_ROOM, "other", NULL);
	fill(4, 1002);
	/* 1000 after id 1: all of them */
	struct history_replay r = general(id_of(1), 1002);
	done(history_db_replay(db, &r));
	assert_memory_equal(numbers(&r), "2 4 5 ", 6);
	assert_int_equal(r.count, REPLAY_MAX);
	assert_true(r.complete);
	/* one more: the oldest of them is left out */
	keep(1003, 1003, HISTORY_ROOM, "general", NULL);
	r = general(id_of(1), 1003);
	done(history_db_replay(db, &r));
	assert_memory_equal(numbers(&r), "4 5 6 ", 6);
	assert_int_equal(r.count, REPLAY_MAX);
	assert_int_equal(r.cursor, 1003);
	assert_false(r.complete);
	assert_false(r.more);
	/* what is behind upto does not count */
	r = general(id_of(1), 1002);
	done(history_db_replay(db, &r));
	assert_memory_equal(numbers(&r), "2 4 5 ", 6);
	assert_true(r.complete);
}

static void the_newest_thousand_of_a_mailbox(void **state)
{
	(void)state;
	sql("BEGIN");
	for (uint64_t n = 1; n <= 1001; n++)
		keep(n, n, HISTORY_PAIR, n % 2 != 0 ? ALICE "_" BOB : ALICE "_" CAROL, NULL);
	sql("COMMIT");
	struct history_replay r = replay_of(VIEW_MAILBOX, ALICE, id_of(1), 1001);
	done(history_db_replay(db, &r));
	assert_memory_equal(numbers(&r), "2 3 ", 4);
	assert_int_equal(r.count, REPLAY_MAX);
	assert_true(r.complete);
	r = replay_of(VIEW_MAILBOX, ALICE, id_of(0), 1001);
	done(history_db_replay(db, &r));
	assert_memory_equal(numbers(&r), "2 3 ", 4);
	assert_int_equal(r.count, REPLAY_MAX);
	assert_false(r.complete);
	r = replay_of(VIEW_MAILBOX, BOB, id_of(1), 1001);
	done(history_db_replay(db, &r));
	assert_memory_equal(numbers(&r), "3 5 ", 4);
	assert_int_equal(r.count, 500);
	assert_true(r.complete);
}

static void a_mailbox(void **state)
{
	(void)state;
	keep(1, 1, HISTORY_PAIR, ALICE "_" BOB, NULL);
	keep(2, 2, HISTORY_ROOM, "general", NULL);
	keep(3, 3, HISTORY_PAIR, ALICE "_" ALICE, NULL);
	keep(4, 4, HISTORY_PAIR, BOB "_" CAROL, NULL);
	keep(5, 5, HISTORY_PAIR, ALICE "_" CAROL, NULL);
	whole_is(replay_of(VIEW_MAILBOX, ALICE, id_of(1), 5), "3 5", true);
	whole_is(replay_of(VIEW_MAILBOX, BOB, id_of(0), 5), "1 4", false);
	whole_is(replay_of(VIEW_MAILBOX, CAROL, id_of(2), 4), "4", true);
	whole_is(replay_of(VIEW_PAIR, ALICE "_" BOB, id_of(0), 5), "1", false);
}

/* ---- pages ------------------------------------------------------------------------------------ */

/* Messages 11 to 30 are 8 bytes each, 10 as a frame. */
static void pages_of_so_many_bytes(void **state)
{
	(void)state;
	fill(11, 20);
	struct history_replay r = general(id_of(11), 20);
	r.page_bytes = 30;
	page_is(&r, "12 13 14", true, true);
	assert_int_equal(r.cursor, 14);
	page_is(&r, "15 16 17", true, true);
	page_is(&r, "18 19 20", true, false);
	page_is(&r, "", true, false);

	r = general(id_of(11), 20);
	r.page_bytes = 29;
	page_is(&r, "12 13", true, true);
	r.page_bytes = 79; /* of each call */
	page_is(&r, "14 15 16 17 18 19 20", true, false);

	r = general(id_of(11), 20);
	r.page_bytes = 0; /* one, then */
	page_is(&r, "12", true, true);
	page_is(&r, "13", true, true);
}

static void a_message_larger_than_a_page(void **state)
{
	(void)state;
	fill(11, 12);
	keep_bytes(13, 70000);
	keep_bytes(14, 70001);
	fill(15, 16);
	keep_bytes(17, 200);
	struct history_replay r = general(id_of(11), 17);
	r.page_bytes = 100;
	page_is(&r, "12", true, true);
	done(history_db_replay(db, &r));
	assert_int_equal(r.frames->len, frame_size(70000));
	assert_string_equal(numbers(&r), "13");
	assert_true(r.more);
	page_is(&r, "14", true, true);
	page_is(&r, "15 16", true, true);
	page_is(&r, "17", true, false);
}

static void the_position_grows_between_pages(void **state)
{
	(void)state;
	fill(11, 14);
	struct history_replay r = general(id_of(11), 14);
	r.page_bytes = 20;
	page_is(&r, "12 13", true, true);
	r.upto = 16;
	assert_int_equal(history_db_replay(db, &r), HISTORY_BEHIND);
	assert_null(r.frames);
	assert_int_equal(r.count, 0);
	assert_int_equal(r.reached, 14);
	fill(15, 17);
	page_is(&r, "14 15", true, true);
	page_is(&r, "16", true, false);
	r.upto = 17;
	page_is(&r, "17", true, false);
}

static void what_is_not_written_yet(void **state)
{
	(void)state;
	fill(1, 3);
	struct history_replay r = general(id_of(1), 5);
	assert_int_equal(history_db_replay(db, &r), HISTORY_BEHIND);
	assert_int_equal(r.reached, 3);
	assert_false(r.started);
	keep(4, 4, HISTORY_ROOM, "general", NULL);
	assert_int_equal(history_db_replay(db, &r), HISTORY_BEHIND);
	assert_int_equal(r.reached, 4);
	struct history_replay hasty = r;
	keep(5, 5, HISTORY_ROOM, "other", NULL); /* of whatever place */
	page_is(&r, "2 3 4", true, false);

	sql("DELETE FROM messages WHERE n=5; UPDATE progress SET n=4");
	hasty.impatient = true;
	page_is(&hasty, "2 3 4", false, false);
	/* it does not become complete by what comes later */
	fill(5, 5);
	page_is(&hasty, "5", false, false);
	whole_is(general(id_of(1), 5), "2 3 4 5", true);
}

/* A message of QoS 2 gets a higher number when the broker lets go of it. */
static void renumbered_between_pages(void **state)
{
	(void)state;
	fill(11, 18);
	struct history_replay r = general(id_of(11), 18);
	r.page_bytes = 30;
	page_is(&r, "12 13 14", true, true);
	sql("UPDATE messages SET n=19 WHERE n=16");
	page_is(&r, "15 17 18", true, false);
	r.upto = 19;
	page_is(&r, "16", true, false);
	/* and it is found by its new number */
	whole_is(general(id_of(16), 19), "", true);
	whole_is(general(id_of(18), 19), "16", true);
}

static void renumbered_in_a_mailbox(void **state)
{
	(void)state;
	for (uint64_t n = 11; n <= 15; n++)
		keep(n, n, HISTORY_PAIR, ALICE "_" BOB, NULL);
	struct history_replay r = replay_of(VIEW_MAILBOX, BOB, id_of(11), 15);
	r.page_bytes = 20;
	page_is(&r, "12 13", true, true);
	sql("BEGIN; UPDATE messages SET n=16 WHERE n=14; UPDATE mailbox SET n=16 WHERE n=14; COMMIT");
	r.upto = 16;
	page_is(&r, "15 14", true, false);
}

static void trimmed_between_pages(void **state)
{
	(void)state;
	fill(11, 20);
	struct history_replay r = general(id_of(11), 20);
	r.page_bytes = 30;
	page_is(&r, "12 13 14", true, true);
	/* what it has given is not missed */
	sql("DELETE FROM messages WHERE n<=13");
	struct history_replay all_gone = r;
	page_is(&r, "15 16 17", true, true);
	sql("DELETE FROM messages WHERE n<=18");
	page_is(&r, "19 20", false, false);
	/* and once said, it stays */
	fill(21, 21);
	r.upto = 21;
	page_is(&r, "21", false, false);
	sql("DELETE FROM messages");
	page_is(&all_gone, "", false, false);
}

/* ---- failures ---------------------------------------------------------------------------------- */

/* Whichever read of the disk fails: nothing of the page is given, and asked again it is all there. */
static void each_read_fails_once(void **state)
{
	(void)state;
	fill(11, 12);
	for (uint64_t n = 13; n <= 22; n++)
		keep_bytes(n, 20000);
	writer_close(); /* what is read now is all in the file itself */
	int failures = 0;
	for (int k = 0;; k++) {
		struct history_replay r = general(id_of(11), 22);
		r.page_bytes = 50000;
		if (k % 2 != 0)
			page_is(&r, "12 13 14", true, true);
		uint64_t before = r.cursor;
		history_db_free(db); /* nor in memory */
		db = history_db_new(history_path);
		assert_non_null(db);
		reads_left = k / 2;
		enum history_status status = history_db_replay(db, &r);
		bool failed = reads_left < 0;
		reads_left = -1;
		if (!failed) {
			chunk_release(r.frames);
			break;
		}
		if (status == HISTORY_FAILED) {
			failures++;
			assert_null(r.frames);
			assert_int_equal(r.count, 0);
			assert_false(r.more);
			if (before > 0)
				assert_int_equal(r.cursor, before);
			assert_true(strlen(history_db_error(db)) > 0);
			done(history_db_replay(db, &r));
		}
		assert_string_equal(numbers(&r), k % 2 != 0 ? "15 16" : "12 13 14");
		assert_true(r.complete);
		assert_true(r.more);
	}
	assert_true(failures > 10);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, history_db_set_up, history_db_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(behind_a_known_id),
	    TEST(behind_an_unknown_id),
	    TEST(behind_an_unknown_id_what_was_released_late),
	    TEST(the_id_of_another_place),
	    TEST(nothing_is_stored),
	    TEST(a_place_without_messages),
	    TEST(the_newest_thousand),
	    TEST(the_newest_thousand_of_a_mailbox),
	    TEST(a_mailbox),
	    TEST(pages_of_so_many_bytes),
	    TEST(a_message_larger_than_a_page),
	    TEST(the_position_grows_between_pages),
	    TEST(what_is_not_written_yet),
	    TEST(renumbered_between_pages),
	    TEST(renumbered_in_a_mailbox),
	    TEST(trimmed_between_pages),
	    TEST(each_read_fails_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
