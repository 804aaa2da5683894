/*
 * The history's database: what is in it after what, and what is refused.
 */
#include "plugin/history_store.h"
#include "plugin/history_trim.h"

#include "tests/unit/history_case.h"

static struct history_store *open_store(void)
{
	const struct history_store_config config = {.path = history_path, .busy_ms = 10};
	char why[HISTORY_WHY_MAX] = "";
	struct history_store *store = history_store_open(&config, why);

	if (!store)
		fail_msg("%s", why);
	return store;
}

static const char *open_refused(void)
{
	const struct history_store_config config = {.path = history_path, .busy_ms = 10};
	static char why[HISTORY_WHY_MAX];

	why[0] = '\0';
	assert_null(history_store_open(&config, why));
	return why;
}

static enum store_result insert(struct history_store *store, uint64_t n, enum history_kind kind, bool ref)
{
	struct history_sample s;

	history_sample(&s, n, kind, ref);
	return history_store_insert(store, &s.message);
}

/* Messages first to last, of the room and of the pair by turns, in one transaction. */
static void fill(struct history_store *store, uint64_t first, uint64_t last)
{
	assert_int_equal(history_store_begin(store), STORE_OK);
	for (uint64_t n = first; n <= last; n++)
		assert_int_equal(insert(store, n, n % 2 ? HISTORY_ROOM : HISTORY_PAIR, n % 3 == 0), STORE_OK);
	assert_int_equal(history_store_commit(store), STORE_OK);
}

static void a_new_file(void **state)
{
	mode_t before = umask(0);
	struct history_store *store = open_store();
	char id[ULID_LEN + 1] = "x";
	struct stat st;

	(void)state;
	(void)umask(before);
	assert_int_equal(stat(history_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(history_store_newest(store, id), 0);
	assert_string_equal(id, "");
	assert_string_equal(history_store_newest_id(store), "");
	assert_true(history_store_in_place(store));
	assert_string_equal(history_ask("PRAGMA journal_mode"), "wal");
	assert_int_equal(atoi(history_ask("PRAGMA application_id")), HISTORY_APPLICATION_ID);
	assert_int_equal(atoi(history_ask("PRAGMA user_version")), HISTORY_USER_VERSION);
	history_store_close(store);
	history_store_close(NULL);
}

static void rows(void **state)
{
	struct history_store *store = open_store();
	struct history_sample s;
	char id[ULID_LEN + 1];

	(void)state;
	fill(store, 1, 6);
	assert_string_equal(history_ask("SELECT group_concat(n) FROM (SELECT n FROM messages ORDER BY n)"),
	                    "1,2,3,4,5,6");
	assert_string_equal(history_ask("SELECT group_concat(ref) FROM (SELECT ref FROM messages ORDER BY n)"),
	                    "ref-3,ref-6");
	assert_string_equal(
	    history_ask("SELECT group_concat(kind||name,' ') FROM (SELECT * FROM places ORDER BY kind)"),
	    "0general 1" HISTORY_PAIR_NAME);
	assert_string_equal(
	    history_ask("SELECT group_concat(n) FROM mailbox JOIN users USING(user) WHERE address='" HISTORY_ALICE
	                "'"),
	    "2,4,6");
	assert_string_equal(
	    history_ask("SELECT group_concat(n) FROM mailbox JOIN users USING(user) WHERE address='" HISTORY_BOB
	                "'"),
	    "2,4,6");
	history_sample(&s, 6, HISTORY_PAIR, true);
	assert_string_equal(history_ask("SELECT body FROM messages WHERE n=6"), s.body);
	history_store_close(store);

	store = open_store();
	assert_int_equal(history_store_newest(store, id), 6);
	assert_string_equal(id, s.id);
	assert_string_equal(history_store_newest_id(store), s.id);
	fill(store, 7, 7);
	assert_string_equal(history_ask("SELECT count(*) FROM messages"), "7");
	assert_string_equal(history_ask("PRAGMA integrity_check"), "ok");
	history_store_close(store);
}

static void to_oneself(void **state)
{
	struct history_store *store = open_store();
	struct history_sample s;

	(void)state;
	history_sample(&s, 1, HISTORY_PAIR, false);
	s.message.place = HISTORY_ALICE "_" HISTORY_ALICE;
	s.message.place_len = strlen(s.message.place);
	assert_int_equal(history_store_begin(store), STORE_OK);
	assert_int_equal(history_store_insert(store, &s.message), STORE_OK);
	assert_int_equal(history_store_commit(store), STORE_OK);
	assert_string_equal(history_ask("SELECT count(*)||' '||(SELECT count(*) FROM users) FROM mailbox"),
	                    "1 1");
	history_store_close(store);
}

static void what_is_rolled_back(void **state)
{
	struct history_store *store = open_store();
	unsigned removed;

	(void)state;
	fill(store, 1, 2);
	assert_int_equal(history_store_begin(store), STORE_OK);
	assert_int_equal(insert(store, 3, HISTORY_PAIR, true), STORE_OK);
	assert_string_equal(history_ask("SELECT count(*) FROM messages"), "2");
	history_store_rollback(store);
	history_store_rollback(store);
	assert_string_equal(history_ask("SELECT count(*) FROM messages"), "2");
	/* and it is not counted */
	assert_int_equal(history_store_trim(store, 0, 2, &removed), STORE_OK);
	assert_int_equal(removed, 0);
	fill(store, 3, 3);
	history_store_close(store);
}

/* A row that is not possible harms no other. */
static void a_row_that_never_gets_in(void **state)
{
	struct history_store *store = open_store();
	struct history_sample s;

	(void)state;
	fill(store, 1, 2);
	assert_int_equal(history_store_begin(store), STORE_OK);
	history_sample(&s, 1, HISTORY_ROOM, false);
	s.message.n = 3;
	assert_int_equal(history_store_insert(store, &s.message), STORE_NEVER); /* its id is there */
	assert_string_not_equal(history_store_error(store), "");
	history_sample(&s, 9, HISTORY_ROOM, false);
	s.message.n = 2;
	assert_int_equal(history_store_insert(store, &s.message), STORE_NEVER); /* its number is */
	assert_int_equal(insert(store, 2, HISTORY_PAIR, false), STORE_OK);      /* this very one */
	assert_int_equal(insert(store, 4, HISTORY_PAIR, false), STORE_OK);
	assert_int_equal(history_store_renumber(store, s.id, 10), STORE_NEVER);
	assert_int_equal(history_store_commit(store), STORE_OK);
	assert_string_equal(history_ask("SELECT group_concat(n) FROM (SELECT n FROM messages ORDER BY n)"),
	                    "1,2,4");
	history_store_close(store);
}

static void numbered_again(void **state)
{
	struct history_store *store = open_store();
	struct history_sample room, pair;
	char id[ULID_LEN + 1];

	(void)state;
	fill(store, 1, 4);
	history_sample(&room, 1, HISTORY_ROOM, false);
	history_sample(&pair, 2, HISTORY_PAIR, false);
	assert_int_equal(history_store_begin(store), STORE_OK);
	assert_int_equal(history_store_renumber(store, room.id, 5), STORE_OK);
	assert_int_equal(history_store_renumber(store, pair.id, 6), STORE_OK);
	assert_int_equal(history_store_renumber(store, pair.id, 6), STORE_OK);
	assert_int_equal(history_store_renumber(store, room.id, 3), STORE_NEVER);
	assert_int_equal(history_store_commit(store), STORE_OK);
	assert_string_equal(history_ask("SELECT group_concat(n) FROM (SELECT n FROM messages ORDER BY n)"),
	                    "3,4,5,6");
	assert_string_equal(history_ask("SELECT group_concat(n) FROM (SELECT n FROM mailbox ORDER BY user,n)"),
	                    "4,6,4,6");
	assert_string_equal(history_ask("SELECT body FROM messages WHERE n=6"), pair.body);
	history_store_close(store);
	store = open_store();
	assert_int_equal(history_store_newest(store, id), 6);
	assert_string_equal(id, pair.id);
	history_sample(&room, 4, HISTORY_ROOM, false);
	assert_string_equal(history_store_newest_id(store), room.id);
	history_store_close(store);
}

struct seen {
	unsigned count;
	char refs[128];
};

static void see(void *arg, const struct history_recent *recent)
{
	struct seen *seen = arg;
	size_t at = strlen(seen->refs);

	seen->count++;
	assert_string_equal(recent->sender.text, HISTORY_ALICE);
	assert_true(ulid_valid(recent->id, ULID_LEN));
	(void)snprintf(seen->refs + at, sizeof seen->refs - at, "%.*s ", (int)recent->ref_len, recent->ref);
}

static void recent_references(void **state)
{
	struct history_store *store = open_store();
	struct seen seen = {0};
	struct history_sample s;

	(void)state;
	fill(store, 1, 12);
	/* Not everything that may stand in a file is a message. */
	history_sample(&s, 13, HISTORY_ROOM, true);
	s.message.body_len = 60;
	assert_int_equal(history_store_begin(store), STORE_OK);
	assert_int_equal(history_store_insert(store, &s.message), STORE_OK);
	assert_int_equal(history_store_commit(store), STORE_OK);
	assert_int_equal(history_store_recent(store, HISTORY_T0 + 6, see, &seen), STORE_OK);
	assert_string_equal(seen.refs, "ref-6 ref-9 ref-12 ");
	seen = (struct seen){0};
	assert_int_equal(history_store_recent(store, HISTORY_T0 + 14, see, &seen), STORE_OK);
	assert_int_equal(seen.count, 0);
	history_store_close(store);
}

/* Whether a text stands in the database's file or its log. */
static bool in_files(const char *text)
{
	static const char *const ends[] = {"", "-wal"};
	static char bytes[1 << 20];
	char path[128];
	bool found = false;

	for (int i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof path, "%s%s", history_path, ends[i]);
		FILE *f = fopen(path, "re");
		size_t n = f ? fread(bytes, 1, sizeof bytes, f) : 0;
		found |= memmem(bytes, n, text, strlen(text)) != NULL;
		if (f)
			(void)fclose(f);
	}
	return found;
}

static void forgotten(void **state)
{
	struct history_store *store = open_store();
	struct history_forgotten f = {.found = false};
	struct history_sample s;
	char long_body[20000];

	(void)state;
	fill(store, 1, 6);
	/* one that takes pages of its own */
	history_sample(&s, 7, HISTORY_PAIR, false);
	memset(long_body, 'q', sizeof long_body);
	(void)snprintf(long_body, 128, "{\"id\":\"%s\",\"sender\":\"%s\",\"to\":\"%s\",\"message\":\"", s.id,
	               HISTORY_BOB, HISTORY_ALICE);
	long_body[strlen(long_body)] = 'q';
	memcpy(long_body + sizeof long_body - 12, "needle-xyz\"}", 12);
	s.message.body = long_body;
	s.message.body_len = sizeof long_body;
	assert_int_equal(history_store_begin(store), STORE_OK);
	assert_int_equal(history_store_insert(store, &s.message), STORE_OK);
	assert_int_equal(history_store_commit(store), STORE_OK);
	assert_true(in_files("needle-xyz"));

	memcpy(f.id, s.id, sizeof f.id);
	assert_int_equal(history_store_begin(store), STORE_OK);
	assert_int_equal(history_store_forget(store, &f), STORE_OK);
	history_store_rollback(store);
	assert_true(f.found && in_files("needle-xyz"));
	f.found = false;
	assert_int_equal(history_store_begin(store), STORE_OK);
	assert_int_equal(history_store_forget(store, &f), STORE_OK);
	assert_int_equal(history_store_commit(store), STORE_OK);
	history_store_wipe_log(store);
	assert_true(f.found);
	assert_int_equal(f.kind, HISTORY_PAIR);
	assert_string_equal(f.place, HISTORY_PAIR_NAME);
	assert_string_equal(f.to, HISTORY_ALICE);
	assert_false(in_files("needle-xyz") || in_files("qqqqqqqqqqqqqqqq"));
	assert_string_equal(history_ask("SELECT count(*) FROM messages WHERE n=7 AND body=''"), "1");

	/* again, and of one that never was */
	f.found = false;
	assert_int_equal(history_store_begin(store), STORE_OK);
	assert_int_equal(history_store_forget(store, &f), STORE_OK);
	memset(f.id, '0', ULID_LEN);
	assert_int_equal(history_store_forget(store, &f), STORE_OK);
	history_store_rollback(store);
	assert_false(f.found);
	history_store_close(store);
}

static bool room_is_there(struct history_store *store, const char *room)
{
	bool found = false;

	assert_int_equal(history_store_find_room(store, room, strlen(room), &found), STORE_OK);
	return found;
}

static void rename_room(struct history_store *store, uint64_t n, const char *from, const char *to)
{
	assert_int_equal(history_store_begin(store), STORE_OK);
	assert_int_equal(history_store_rename_room(store, n, from, strlen(from), to, strlen(to)), STORE_OK);
	assert_int_equal(history_store_commit(store), STORE_OK);
}

static void a_room_with_another_name(void **state)
{
	struct history_store *store = open_store();
	unsigned removed;

	(void)state;
	fill(store, 1, 6);
	assert_true(room_is_there(store, "general"));
	assert_false(room_is_there(store, "hall") || room_is_there(store, HISTORY_PAIR_NAME));
	rename_room(store, 7, "general", "hall");
	assert_true(room_is_there(store, "hall"));
	assert_false(room_is_there(store, "general"));
	assert_int_equal(atoi(history_ask("SELECT n FROM progress")), 7);
	/* where there is none, and once more */
	rename_room(store, 8, "general", "hall");
	rename_room(store, 9, "nowhere", "elsewhere");
	assert_false(room_is_there(store, "elsewhere"));
	/* together with what is there already */
	fill(store, 11, 13);
	rename_room(store, 14, "general", "hall");
	assert_false(room_is_there(store, "general"));
	assert_int_equal(
	    atoi(history_ask("SELECT count(*) FROM messages JOIN places USING(place) WHERE name='hall'")), 5);
	assert_int_equal(atoi(history_ask("SELECT count(*) FROM places")), 2);
	assert_int_equal(history_store_trim(store, HISTORY_T0 + 100, 100, &removed), STORE_OK);
	assert_int_equal(removed, 9);
	assert_false(room_is_there(store, "hall"));
	history_store_close(store);
}

static void trimmed(void **state)
{
	struct history_store *store = open_store();
	unsigned removed;

	(void)state;
	fill(store, 1, 1300);
	assert_int_equal(history_store_trim(store, HISTORY_T0, 1300, &removed), STORE_OK);
	assert_int_equal(removed, 0);
	assert_int_equal(history_store_trim(store, 0, 100, &removed), STORE_OK);
	assert_int_equal(removed, HISTORY_TRIM_ROWS);
	assert_int_equal(history_store_trim(store, 0, 100, &removed), STORE_OK);
	assert_int_equal(removed, HISTORY_TRIM_ROWS);
	assert_int_equal(history_store_trim(store, 0, 100, &removed), STORE_OK);
	assert_int_equal(removed, 200);
	assert_string_equal(history_ask("SELECT min(n)||' '||count(*) FROM messages"), "1201 100");
	assert_string_equal(history_ask("SELECT min(n)||' '||count(*) FROM mailbox"), "1202 100");
	assert_int_equal(history_store_trim(store, HISTORY_T0 + 1291, 100, &removed), STORE_OK);
	assert_int_equal(removed, 90);
	assert_string_equal(history_ask("SELECT min(n)||' '||count(*) FROM messages"), "1291 10");
	assert_string_equal(history_ask("SELECT min(n)||' '||count(*) FROM mailbox"), "1292 10");
	history_store_close(store);
	store = open_store();
	assert_int_equal(history_store_trim(store, 0, 4, &removed), STORE_OK);
	assert_int_equal(removed, 6);
	assert_string_equal(history_ask("PRAGMA integrity_check"), "ok");
	history_store_close(store);
}

static void a_disk_that_fails(void **state)
{
	static const int errors[] = {ENOSPC, EIO};
	struct history_store *store = open_store();
	enum store_result result;

	(void)state;
	fill(store, 1, 2);
	for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
		atomic_store(&history_disk_error, errors[i]);
		result = history_store_begin(store);
		if (result == STORE_OK)
			result = insert(store, 3, HISTORY_PAIR, false);
		if (result == STORE_OK)
			result = history_store_commit(store);
		assert_int_equal(result, STORE_FAULT);
		assert_non_null(strstr(history_store_error(store), i == 0 ? "full" : "disk I/O error"));
		history_store_rollback(store);
		atomic_store(&history_disk_error, 0);
		assert_string_equal(history_ask("SELECT group_concat(n) FROM (SELECT n FROM messages ORDER BY n)"),
		                    "1,2");
		assert_string_equal(history_ask("PRAGMA integrity_check"), "ok");
	}
	fill(store, 3, 4);
	assert_string_equal(history_ask("SELECT group_concat(n) FROM (SELECT n FROM messages ORDER BY n)"),
	                    "1,2,3,4");
	history_store_close(store);
}

static void held_by_another(void **state)
{
	struct history_store *store = open_store();
	sqlite3 *other;
	unsigned removed;

	(void)state;
	fill(store, 1, 2);
	assert_int_equal(sqlite3_open(history_path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(history_store_begin(store), STORE_BUSY);
	history_store_rollback(store);
	assert_int_equal(history_store_trim(store, 0, 1, &removed), STORE_BUSY);
	assert_int_equal(removed, 0);
	assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	/* A reader is in nobody's way. */
	assert_int_equal(sqlite3_exec(other, "BEGIN; SELECT * FROM messages", NULL, NULL, NULL), SQLITE_OK);
	fill(store, 3, 3);
	assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(other), SQLITE_OK);
	history_store_close(store);
}

static void only_one_writer(void **state)
{
	struct history_store *store = open_store();

	(void)state;
	assert_non_null(strstr(open_refused(), "another broker"));
	fill(store, 1, 1);
	history_store_close(store);
	history_store_close(open_store());
}

static void taken_away(void **state)
{
	struct history_store *store = open_store(), *next;
	char aside[128];

	(void)state;
	fill(store, 1, 3);
	(void)snprintf(aside, sizeof aside, "%s.old", history_path);
	assert_int_equal(rename(history_path, aside), 0);
	assert_false(history_store_in_place(store));
	next = open_store();
	assert_false(history_store_in_place(store));
	fill(next, 4, 5);
	/* The end of the old one does no harm to the new one's log. */
	history_store_close(store);
	assert_true(history_store_in_place(next));
	assert_string_equal(history_ask("SELECT group_concat(n) FROM (SELECT n FROM messages ORDER BY n)"),
	                    "4,5");
	history_store_close(next);
	assert_string_equal(history_ask("SELECT group_concat(n) FROM (SELECT n FROM messages ORDER BY n)"),
	                    "4,5");
}

static void other_files(void **state)
{
	FILE *f;

	(void)state;
	f = fopen(history_path, "w");
	assert_non_null(f);
	assert_true(fprintf(f, "%2000s", "no database") > 0);
	assert_int_equal(fclose(f), 0);
	assert_non_null(strstr(open_refused(), "not a database"));
	assert_int_equal(unlink(history_path), 0);

	(void)history_ask("CREATE TABLE t(x)");
	assert_non_null(strstr(open_refused(), "no chat history"));
	(void)history_ask("PRAGMA application_id=1835223124"); /* the chat's */
	(void)history_ask("PRAGMA user_version=2");
	assert_non_null(strstr(open_refused(), "version 2"));
	(void)history_ask("PRAGMA user_version=1");
	assert_non_null(strstr(open_refused(), "no such table"));
	assert_int_equal(unlink(history_path), 0);

	assert_int_equal(mkdir(history_path, 0700), 0);
	assert_non_null(strstr(open_refused(), strerror(EISDIR)));
	assert_int_equal(rmdir(history_path), 0);
	assert_int_equal(mkfifo(history_path, 0600), 0);
	assert_non_null(strstr(open_refused(), "regular file"));
	assert_int_equal(unlink(history_path), 0);
	/* an empty file is as good as none */
	f = fopen(history_path, "w");
	assert_non_null(f);
	assert_int_equal(fclose(f), 0);
	history_store_close(open_store());
}

static void damaged(void **state)
{
	struct history_store *store = open_store();

	(void)state;
	fill(store, 1, 500);
	history_store_close(store);
	assert_int_equal(truncate(history_path, 8192), 0);
	assert_non_null(strstr(open_refused(), "malformed"));
}

static void names_of_pairs(void **state)
{
	struct identity a, b;
	char name[HISTORY_PLACE_MAX + 1];
	size_t len;

	(void)state;
	assert_true(identity_parse(HISTORY_ALICE, strlen(HISTORY_ALICE), &a));
	assert_true(identity_parse(HISTORY_BOB, strlen(HISTORY_BOB), &b));
	len = history_pair_name(&b, &a, name);
	assert_string_equal(name, HISTORY_PAIR_NAME);
	assert_int_equal(len, strlen(name));
	assert_int_equal(history_pair_name(&a, &b, name), len);
	assert_string_equal(name, HISTORY_PAIR_NAME);
	assert_string_equal(name + history_pair_second(name, len), HISTORY_BOB);
	(void)history_pair_name(&b, &b, name);
	assert_string_equal(name + history_pair_second(name, strlen(name)), HISTORY_BOB);
	assert_int_equal(history_pair_second("a_b", 3), 0);
	assert_int_equal(history_pair_second("a@b", 3), 0);
	assert_int_equal(history_pair_second("a@b_", 4), 0);
	assert_int_equal(history_pair_second("", 0), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, history_set_up, history_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(a_new_file),
	    CASE(rows),
	    CASE(to_oneself),
	    CASE(what_is_rolled_back),
	    CASE(a_row_that_never_gets_in),
	    CASE(numbered_again),
	    CASE(recent_references),
	    CASE(forgotten),
	    CASE(trimmed),
	    CASE(a_disk_that_fails),
	    CASE(held_by_another),
	    CASE(only_one_writer),
	    CASE(taken_away),
	    CASE(other_files),
	    CASE(damaged),
	    CASE(a_room_with_another_name),
	    cmocka_unit_test(names_of_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
