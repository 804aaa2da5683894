/*
 * A history that cannot be read: why, and that it is read again when it can be; names of pairs.
 */
#include "bridge/history_db.h"

#include "tests/unit/history_db_case.h"

/* ---- asking ------------------------------------------------------------------------------------ */

static enum history_status ask_page(void)
{
	struct history_page p = {.place = place_of(VIEW_ROOM, "general"), .limit = 50};
	enum history_status status = history_db_page(db, &p);
	if (status == HISTORY_DONE) {
		assert_int_equal(p.len, 15);
		assert_memory_equal(p.messages, "{\"n\":1},{\"n\":2}", 15);
		free(p.messages);
	} else {
		assert_null(p.messages);
	}
	return status;
}

static enum history_status ask_replay(void)
{
	struct history_replay r = {
	    .place = place_of(VIEW_ROOM, "general"), .upto = 2, .page_bytes = REPLAY_PAGE_BYTES};
	(void)snprintf(r.since, sizeof r.since, "%s", id_of(1));
	enum history_status status = history_db_replay(db, &r);
	if (status == HISTORY_DONE) {
		assert_int_equal(r.count, 1);
		assert_true(r.complete);
		chunk_release(r.frames);
	} else {
		assert_null(r.frames);
		assert_int_equal(r.count, 0);
	}
	return status;
}

/* For that reason; NULL: for one of the system's. */
static void failed(enum history_status status, const char *reason)
{
	assert_int_equal(status, HISTORY_FAILED);
	if (reason != NULL) {
		assert_string_equal(history_db_error(db), reason);
	} else {
		assert_true(strlen(history_db_error(db)) > 0);
		assert_string_not_equal(history_db_error(db), "it is of another version");
	}
}

/* Both fail, each time anew. */
static void fails(const char *reason)
{
	for (int i = 0; i < 2; i++) {
		failed(ask_page(), reason);
		failed(ask_replay(), reason);
	}
}

static void works(void)
{
	done(ask_page());
	done(ask_replay());
}

static void write_file(const void *bytes, size_t len, off_t at)
{
	int fd = open(history_path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, at), len);
	assert_int_equal(close(fd), 0);
}

/* Everything is in the file itself then. */
static void fill_and_close(void)
{
	fill(1, 2);
	writer_close();
}

/* ---- files ------------------------------------------------------------------------------------- */

static void missing(void **state)
{
	(void)state;
	fails(NULL);
	struct stat st;
	assert_int_not_equal(stat(history_path, &st), 0); /* and is not made */
	make_history();
	fill(1, 2);
	works();
}

static void of_another_version(void **state)
{
	(void)state;
	fill(1, 2);
	sql("PRAGMA user_version=%d", HISTORY_USER_VERSION + 1);
	fails("it is of another version");
	sql("PRAGMA user_version=0");
	fails("it is of another version");
	sql("PRAGMA user_version=%d", HISTORY_USER_VERSION);
	works();
}

static void an_empty_file(void **state)
{
	(void)state;
	write_file("", 0, 0);
	fails("it is of another version");
	make_history();
	fill(1, 2);
	works();
}

static void no_database(void **state)
{
	(void)state;
	static char text[8192];
	memset(text, 'x', sizeof text);
	write_file(text, sizeof text, 0);
	fails("file is not a database");
	assert_int_equal(unlink(history_path), 0);
	make_history();
	fill(1, 2);
	works();
}

static void without_the_tables(void **state)
{
	(void)state;
	writer_open();
	sql("PRAGMA journal_mode=WAL; PRAGMA user_version=%d", HISTORY_USER_VERSION);
	fails("no such table: progress");
	make_tables();
	fill(1, 2);
	works();
}

/* All of it but the first page, which holds the version and the schema. */
static void damaged(void **state)
{
	(void)state;
	fill_and_close();
	struct stat st;
	assert_int_equal(stat(history_path, &st), 0);
	size_t len = (size_t)st.st_size - 4096;
	char *whole = malloc(len), *bad = calloc(1, len);
	assert_true(st.st_size > 4096 && whole != NULL && bad != NULL);
	int fd = open(history_path, O_RDONLY);
	assert_int_equal(pread(fd, whole, len, 4096), len);
	(void)close(fd);
	memset(bad, 0xee, len);
	write_file(bad, len, 4096);
	fails("database disk image is malformed");
	write_file(whole, len, 4096);
	works();
	free(whole);
	free(bad);
}

static void locked(void **state)
{
	(void)state;
	fill(1, 2);
	sql("PRAGMA journal_mode=DELETE");
	works();
	sql("BEGIN EXCLUSIVE");
	failed(ask_page(), "database is locked");   /* while it is open */
	failed(ask_replay(), "database is locked"); /* when it is opened */
	sql("COMMIT");
	works();
}

static void each_read_fails_once(void **state)
{
	(void)state;
	fill_and_close();
	int failures = 0;
	for (int k = 0;; k++) {
		history_db_free(db); /* nothing is in memory */
		db = history_db_new(history_path);
		assert_non_null(db);
		reads_left = k / 2;
		enum history_status status = k % 2 != 0 ? ask_page() : ask_replay();
		bool has_failed = reads_left < 0;
		reads_left = -1;
		if (!has_failed)
			break;
		if (status == HISTORY_FAILED) {
			failures++;
			failed(status, NULL);
		}
		works();
	}
	assert_true(failures > 10);
}

static void take_away(void)
{
	static const char *const ends[] = {"", "-wal", "-shm"};
	writer_close();
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		char path[128];
		(void)snprintf(path, sizeof path, "%s%s", history_path, ends[i]);
		assert_true(unlink(path) == 0 || errno == ENOENT);
	}
}

static void taken_away(void **state)
{
	(void)state;
	fill(1, 2);
	works();
	take_away();
	fails(NULL);
	make_history();
	fill(1, 2);
	works();
	/* and replaced, between two questions */
	take_away();
	make_history();
	struct history_page p = {.place = place_of(VIEW_ROOM, "general"), .limit = 50};
	done(history_db_page(db, &p));
	assert_int_equal(p.reached, 0);
	assert_int_equal(p.len, 0);
	free(p.messages);
	fill(1, 2);
	works();
	/* nothing of the new one was taken away with the old */
	writer_close();
	writer_open();
	works();
}

/* A reader holds up neither the writer nor the file's own house-keeping. */
static void holds_up_nobody(void **state)
{
	(void)state;
	fill(1, 2);
	works();
	assert_string_equal(history_ask("PRAGMA wal_checkpoint(TRUNCATE)"), "0");
	works();
	history_db_free(NULL);
}

/* ---- names of pairs ----------------------------------------------------------------------------- */

static bool parse(const char *name, struct identity *a, struct identity *b)
{
	return history_pair_parse(guarded_text(0, name), strlen(name), a, b);
}

static void pair_is(const char *name, const char *first, const char *second)
{
	struct identity a, b;
	if (!parse(name, &a, &b))
		fail_msg("%s", name);
	assert_string_equal(a.text, first);
	assert_string_equal(b.text, second);
}

static void names_of_pairs(void **state)
{
	(void)state;
	pair_is("a@x.org_b@x.org", "a@x.org", "b@x.org");
	pair_is("b@x.org_a@x.org", "b@x.org", "a@x.org"); /* in either order */
	pair_is("a@x.org_a@x.org", "a@x.org", "a@x.org");
	pair_is("_a_@x__b_@y", "_a_@x", "_b_@y"); /* the local part of an address may hold any number of them */
	pair_is("a_b@x_c_d@y", "a_b@x", "c_d@y");
	pair_is("a@X.Org_b@Y.ORG", "a@x.org", "b@y.org");

	struct identity a, b;
	char name[HISTORY_PLACE_MAX + 2], out[HISTORY_PLACE_MAX + 1];
	memset(name, 'a', sizeof name);
	for (size_t at = 0; at < HISTORY_PLACE_MAX; at += IDENTITY_MAX + 1) {
		name[at + IDENTITY_LOCAL_MAX] = '@';
		name[at + 128] = '.'; /* labels are 63 bytes at most */
		name[at + 192] = '.';
	}
	name[IDENTITY_MAX] = '_';
	assert_true(history_pair_parse(guarded(0, name, HISTORY_PLACE_MAX), HISTORY_PLACE_MAX, &a, &b));
	assert_int_equal(a.len, IDENTITY_MAX);
	assert_int_equal(b.len, IDENTITY_MAX);
	assert_int_equal(history_pair_name(&a, &b, out), HISTORY_PLACE_MAX);
	assert_memory_equal(out, name, HISTORY_PLACE_MAX);
	assert_int_equal(out[HISTORY_PLACE_MAX], '\0');
	/* one byte more is none */
	assert_false(history_pair_parse(guarded(0, name, HISTORY_PLACE_MAX + 1), HISTORY_PLACE_MAX + 1, &a, &b));
}

static void names_that_are_none(void **state)
{
	(void)state;
	static const char *const bad[] = {
	    "",
	    "_",
	    "@",
	    "@_",
	    "_@",
	    "@_@",
	    "a",
	    "a@x",
	    "a@x_",
	    "_b@y",
	    "a_b",
	    "a@x_b",
	    "a_b@y",
	    "@x_b@y",
	    "a@x_@y",
	    "a@_b@y",
	    "a@x_b@",
	    "a@x__",
	    "a@x_b@y_",
	    "a@x_b@y_c@z",
	    "a@x@y_b@z",
	    "a@x_b@y@z",
	    "a@x b@y",
	    " a@x_b@y",
	    "a@x_b@y ",
	    "a@x_ b@y",
	    "a@x\n_b@y",
	    "a@x.._b@y",
	    "a@x_b@y/..",
	    "a@-x_b@y",
	    "a@x_b@y%",
	    "a@x%5fb@y",
	    "\xc3\xa9@x_b@y",
	    "a@x_b@\xc3\xa9",
	    "a\"@x_b@y",
	};
	struct identity a, b;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (parse(bad[i], &a, &b))
			fail_msg("accepted: %s", bad[i]);
	assert_false(history_pair_parse(guarded(0, "a@x_b@y\0", 8), 8, &a, &b));
	assert_false(history_pair_parse(guarded(0, "a@x\0_b@y", 8), 8, &a, &b));
	assert_false(history_pair_parse(guarded(0, "a\0@x_b@y", 8), 8, &a, &b));
	/* cut anywhere before its second address */
	for (size_t n = 0; n <= 10; n++)
		assert_false(history_pair_parse(guarded(0, "a@x.org_bob@y", n), n, &a, &b));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, history_db_set_up, history_db_tear_down)
#define TEST_WITHOUT(f) cmocka_unit_test_setup_teardown(f, no_history_set_up, history_db_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST_WITHOUT(missing),
	    TEST(of_another_version),
	    TEST_WITHOUT(an_empty_file),
	    TEST_WITHOUT(no_database),
	    TEST_WITHOUT(without_the_tables),
	    TEST(damaged),
	    TEST(locked),
	    TEST(each_read_fails_once),
	    TEST(taken_away),
	    TEST(holds_up_nobody),
	    cmocka_unit_test(names_of_pairs),
	    cmocka_unit_test(names_that_are_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
