/*
 * The queue and the thread: everything accepted gets to the disk, in order, whatever the disk does meanwhile.
 *
 * Also run under ThreadSanitizer (cmake -DSANITIZE_THREAD=ON).
 */
#include "plugin/history_trouble.h"
#include "plugin/history_writer.h"

#include "tests/unit/history_case.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#define PATIENCE_MS 10000

static void pause_ms(long ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	(void)nanosleep(&t, NULL);
}

static bool start_with(size_t queue_bytes, uint64_t keep_messages, uint64_t keep_ms)
{
	const struct history_writer_config config = {.store = {.path = history_path, .busy_ms = 10},
	                                             .queue_bytes = queue_bytes,
	                                             .keep_messages = keep_messages,
	                                             .keep_ms = keep_ms};
	char why[HISTORY_WHY_MAX] = "";
	struct history_store *store = history_store_open(&config.store, why);

	if (!store)
		fail_msg("%s", why);
	return history_writer_start(&config, store);
}

static void start(void)
{
	assert_true(start_with(1 << 20, UINT32_MAX, UINT64_C(1) << 40));
}

/* Queues the message of that number, which must be the one it gets. False when the queue is full. */
static bool put(uint64_t n)
{
	struct history_sample s;
	struct history_item *item;
	char id[ULID_LEN + 1];
	bool full = false;

	history_sample(&s, n, n % 2 ? HISTORY_ROOM : HISTORY_PAIR, n % 3 == 0);
	s.message.n = 0;
	item = history_writer_item(&s.message, &full);
	if (!item) {
		assert_true(full);
		return false;
	}
	/* What was given is a copy. */
	memset(s.body, 'x', s.message.body_len);
	assert_int_equal(history_writer_put(item, id), n);
	assert_string_equal(id, s.id);
	return true;
}

static void wait_committed(uint64_t n)
{
	for (int i = 0; i < PATIENCE_MS && history_writer_committed() < n; i++)
		pause_ms(1);
	assert_true(history_writer_committed() >= n);
}

static void wait_trouble(enum history_trouble which, const char *says)
{
	char text[HISTORY_WHY_MAX] = "";
	unsigned long count = 0;
	bool there = false;

	for (int i = 0; i < PATIENCE_MS && !there; i++) {
		there = history_troubled() && history_trouble_take(which, &count, text);
		pause_ms(1);
	}
	assert_true(there && count > 0);
	if (!strstr(text, says))
		fail_msg("%s, but %s", text, says);
}

static void no_trouble(void)
{
	assert_false(history_troubled());
}

static void everything_in_order(void **state)
{
	(void)state;
	start();
	assert_int_equal(history_writer_committed(), 0);
	for (uint64_t n = 1; n <= 5000; n++)
		while (!put(n))
			pause_ms(1);
	wait_committed(5000);
	assert_int_equal(history_writer_bytes(), 0);
	assert_string_equal(history_ask("SELECT count(*)||' '||min(n)||' '||max(n) FROM messages"),
	                    "5000 1 5000");
	assert_string_equal(
	    history_ask("SELECT count(*) FROM messages a JOIN messages b ON b.n=a.n+1 WHERE b.id<=a.id"), "0");
	assert_string_equal(history_ask("SELECT count(*) FROM messages WHERE body GLOB '*xxx*'"), "0");
	no_trouble();
	assert_int_equal(history_writer_stop(), 0);
}

/* Slow enough that each message is a transaction of its own, or two. */
static void one_by_one(void **state)
{
	(void)state;
	start();
	for (uint64_t n = 1; n <= 20; n++) {
		assert_true(put(n));
		wait_committed(n);
	}
	assert_string_equal(history_ask("SELECT count(*) FROM messages"), "20");
	assert_int_equal(history_writer_stop(), 0);
}

static void stopping_writes_the_rest(void **state)
{
	(void)state;
	start();
	for (uint64_t n = 1; n <= 1500; n++)
		assert_true(put(n));
	assert_int_equal(history_writer_stop(), 0);
	assert_string_equal(history_ask("SELECT count(*) FROM messages"), "1500");
	start();
	assert_int_equal(history_writer_committed(), 1500);
	assert_true(put(1501));
	assert_int_equal(history_writer_stop(), 0);
	start();
	assert_int_equal(history_writer_stop(), 0);
	assert_string_equal(history_ask("SELECT max(n) FROM messages"), "1501");
}

static void released(void **state)
{
	struct history_sample s;

	(void)state;
	start();
	for (uint64_t n = 1; n <= 4; n++)
		assert_true(put(n));
	history_sample(&s, 2, HISTORY_PAIR, false);
	assert_int_equal(history_writer_renumber(s.id), 5);
	/* In the next transaction too. */
	wait_committed(5);
	history_sample(&s, 1, HISTORY_ROOM, false);
	assert_int_equal(history_writer_renumber(s.id), 6);
	wait_committed(6);
	assert_string_equal(history_ask("SELECT group_concat(n) FROM (SELECT n FROM messages ORDER BY n)"),
	                    "3,4,5,6");
	assert_string_equal(history_ask("SELECT group_concat(n) FROM (SELECT n FROM mailbox ORDER BY user,n)"),
	                    "4,5,4,5");
	no_trouble();
	assert_int_equal(history_writer_stop(), 0);
}

/* A disk that is full: the bound holds, nothing accepted is lost, and the thread says so once it matters. */
static void a_full_disk(void **state)
{
	uint64_t n = 0, accepted;
	struct history_sample s;
	struct history_item *item;
	bool full;

	(void)state;
	start();
	assert_true(put(++n));
	wait_committed(1);
	atomic_store(&history_disk_error, ENOSPC);
	while (put(n + 1))
		n++;
	accepted = n;
	assert_true(history_writer_bytes() <= 1 << 20);
	assert_true(history_writer_bytes() > (1 << 20) - 1024);
	wait_trouble(HISTORY_TROUBLE_WRITE, "full");
	assert_int_equal(history_writer_committed(), 1);
	assert_false(put(n + 1));
	/* What the broker has promised already passes the bound. */
	history_sample(&s, 1, HISTORY_ROOM, false);
	assert_int_equal(history_writer_renumber(s.id), accepted + 1);
	atomic_store(&history_disk_error, 0);
	wait_committed(accepted + 1);
	wait_trouble(HISTORY_TROUBLE_OVER, "after");
	assert_int_equal(strtoull(history_ask("SELECT count(*) FROM messages"), NULL, 10), accepted);
	assert_string_equal(history_ask("PRAGMA integrity_check"), "ok");
	/* A place that was taken and given back counts no more. */
	history_sample(&s, 9999, HISTORY_ROOM, false);
	item = history_writer_item(&s.message, &full);
	assert_non_null(item);
	history_writer_drop(item);
	assert_int_equal(history_writer_bytes(), 0);
	assert_true(put(accepted + 2));
	assert_int_equal(history_writer_stop(), 0);
}

static void a_disk_that_stays_full(void **state)
{
	struct timespec begun, ended;

	(void)state;
	start();
	assert_true(put(1));
	wait_committed(1);
	atomic_store(&history_disk_error, EIO);
	for (uint64_t n = 2; n <= 11; n++)
		assert_true(put(n));
	(void)clock_gettime(CLOCK_MONOTONIC, &begun);
	assert_int_equal(history_writer_stop(), 10);
	(void)clock_gettime(CLOCK_MONOTONIC, &ended);
	assert_in_range(ended.tv_sec - begun.tv_sec, 1, 10);
	wait_trouble(HISTORY_TROUBLE_WRITE, "disk I/O error");
	atomic_store(&history_disk_error, 0);
	assert_string_equal(history_ask("SELECT count(*) FROM messages"), "1");
}

/* Errors that come and go while messages pour in. */
static void an_unsteady_disk(void **state)
{
	static const int errors[] = {0, ENOSPC, 0, EIO};

	(void)state;
	start();
	for (uint64_t n = 1; n <= 3000; n++) {
		atomic_store(&history_disk_error, errors[n / 20 % 4]);
		while (!put(n)) {
			atomic_store(&history_disk_error, 0);
			pause_ms(1);
		}
		if (n % 10 == 0)
			pause_ms(1);
	}
	atomic_store(&history_disk_error, 0);
	wait_committed(3000);
	assert_string_equal(history_ask("SELECT count(*)||' '||max(n) FROM messages"), "3000 3000");
	assert_string_equal(history_ask("SELECT count(*) FROM mailbox"), "3000");
	assert_string_equal(history_ask("PRAGMA integrity_check"), "ok");
	assert_int_equal(history_writer_stop(), 0);
}

static void held_by_another(void **state)
{
	sqlite3 *other;

	(void)state;
	start();
	assert_int_equal(sqlite3_open(history_path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_true(put(1));
	/* For a moment that is nothing to speak of, for longer it is. */
	pause_ms(200);
	no_trouble();
	wait_trouble(HISTORY_TROUBLE_WRITE, "locked");
	assert_int_equal(history_writer_committed(), 0);
	assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(other), SQLITE_OK);
	wait_committed(1);
	assert_int_equal(history_writer_stop(), 0);
}

/* The same id twice, which cannot be: left out, reported, and the others get in. */
static void a_row_that_never_gets_in(void **state)
{
	struct history_sample s;
	struct history_item *item;
	char id[ULID_LEN + 1];
	bool full;

	(void)state;
	start();
	assert_true(put(1));
	history_sample(&s, 1, HISTORY_ROOM, false);
	item = history_writer_item(&s.message, &full);
	assert_non_null(item);
	assert_int_equal(history_writer_put(item, id), 2);
	assert_true(put(3));
	assert_int_equal(history_writer_renumber("01ARYZ6S410000000000000000"), 4);
	assert_true(put(5));
	wait_committed(5);
	wait_trouble(HISTORY_TROUBLE_ROW, "01ARYZ6S410000000000000000");
	assert_string_equal(history_ask("SELECT group_concat(n) FROM (SELECT n FROM messages ORDER BY n)"),
	                    "1,3,5");
	assert_int_equal(history_writer_stop(), 0);
}

static void kept_by_number(void **state)
{
	(void)state;
	assert_true(start_with(1 << 20, 100, UINT64_C(1) << 40));
	for (uint64_t n = 1; n <= 3000; n++)
		while (!put(n))
			pause_ms(1);
	wait_committed(3000);
	for (int i = 0; i < PATIENCE_MS && strcmp(history_ask("SELECT count(*) FROM messages"), "100") != 0; i++)
		pause_ms(1);
	assert_string_equal(history_ask("SELECT count(*)||' '||min(n) FROM messages"), "100 2901");
	no_trouble();
	assert_int_equal(history_writer_stop(), 0);
}

static void kept_by_age(void **state)
{
	(void)state;
	start();
	for (uint64_t n = 1; n <= 1200; n++)
		assert_true(put(n));
	wait_committed(1200);
	assert_int_equal(history_writer_stop(), 0);
	/* They are of HISTORY_T0, which is some time ago or yet to come. */
	assert_true(start_with(1 << 20, UINT32_MAX, 1));
	if ((uint64_t)time(NULL) * 1000 > HISTORY_T0 + 10000)
		for (int i = 0; i < PATIENCE_MS && strcmp(history_ask("SELECT count(*) FROM messages"), "0") != 0;
		     i++)
			pause_ms(1);
	assert_int_equal(history_writer_stop(), 0);
	if ((uint64_t)time(NULL) * 1000 > HISTORY_T0 + 10000)
		assert_string_equal(
		    history_ask("SELECT (SELECT count(*) FROM messages)+(SELECT count(*) FROM mailbox)"), "0");
}

static void the_file_is_taken_away(void **state)
{
	(void)state;
	start();
	assert_true(put(1));
	wait_committed(1);
	assert_int_equal(unlink(history_path), 0);
	assert_true(put(2));
	wait_committed(2);
	wait_trouble(HISTORY_TROUBLE_MISSING, "removed");
	assert_string_equal(history_ask("SELECT group_concat(n) FROM messages"), "2");
	assert_int_equal(history_writer_stop(), 0);
}

/* A backup from another time in its place holds numbers that are still to be given. */
static void another_file_in_its_place(void **state)
{
	char aside[128];

	(void)state;
	start();
	for (uint64_t n = 1; n <= 9; n++)
		assert_true(put(n));
	assert_int_equal(history_writer_stop(), 0);
	(void)snprintf(aside, sizeof aside, "%s.old", history_path);
	assert_int_equal(rename(history_path, aside), 0);
	start();
	assert_true(put(1));
	wait_committed(1);
	assert_int_equal(rename(aside, history_path), 0);
	assert_true(put(2));
	wait_trouble(HISTORY_TROUBLE_WRITE, "later messages");
	assert_int_equal(history_writer_committed(), 1);
	assert_int_equal(history_writer_stop(), 1);
	/* That it was put there has done it no harm. */
	assert_string_equal(history_ask("SELECT count(*)||' '||max(n) FROM messages"), "9 9");
	assert_string_equal(history_ask("PRAGMA integrity_check"), "ok");
}

static void readers(void **state)
{
	(void)state;
	start();
	for (uint64_t n = 1; n <= 2000; n++) {
		while (!put(n))
			pause_ms(1);
		/* Whole transactions only: no mail without its message. */
		if (n % 50 == 0)
			assert_string_equal(
			    history_ask("SELECT count(*) FROM mailbox LEFT JOIN messages USING(n) WHERE id IS NULL"),
			    "0");
	}
	wait_committed(2000);
	no_trouble();
	assert_int_equal(history_writer_stop(), 0);
}

/* Signals are the broker's: the thread takes none, and the main thread's mask is as it was. */
static void signals(void **state)
{
	sigset_t before, after;
	char path[64], line[128], blocked[32] = "";
	struct dirent *task;
	DIR *tasks;
	FILE *f;

	(void)state;
	assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
	start();
	assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
	assert_int_equal(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
	tasks = opendir("/proc/self/task");
	assert_non_null(tasks);
	while (!blocked[0] && (task = readdir(tasks))) {
		(void)snprintf(path, sizeof path, "/proc/self/task/%.20s/status", task->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fgets(line, sizeof line, f) && strstr(line, "chat-history"))
			while (!blocked[0] && fgets(line, sizeof line, f))
				if (sscanf(line, "SigBlk: %31s", blocked) != 1)
					blocked[0] = '\0';
		(void)fclose(f);
	}
	(void)closedir(tasks);
	/* SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD */
	assert_int_equal(strtoull(blocked, NULL, 16) & 0x14a03, 0x14a03);
	assert_int_equal(history_writer_stop(), 0);
}

/* What the main thread pays for a message: printed, and bounded very generously. */
static void the_price(void **state)
{
	struct history_sample s;
	struct timespec begun, ended;
	struct history_item *item;
	char id[ULID_LEN + 1];
	bool full;
	double us;
	/* In valgrind stopping would give up before so many are written. */
	const bool slow = getenv("CHAT_VALGRIND") != NULL;
	const unsigned count = slow ? 1000 : 20000;
	char written[16];

	(void)state;
	assert_true(start_with(256 << 20, UINT32_MAX, UINT64_C(1) << 40));
	history_sample(&s, 1, HISTORY_ROOM, true);
	(void)clock_gettime(CLOCK_MONOTONIC, &begun);
	for (unsigned n = 1; n <= count; n++) {
		(void)snprintf(s.id + ULID_LEN - 6, 7, "%06u", n);
		item = history_writer_item(&s.message, &full);
		assert_non_null(item);
		(void)history_writer_put(item, id);
	}
	(void)clock_gettime(CLOCK_MONOTONIC, &ended);
	us = ((double)(ended.tv_sec - begun.tv_sec) * 1e9 + (double)(ended.tv_nsec - begun.tv_nsec)) / count /
	     1000;
	print_message("prepare and commit: %.2f us a message\n", us);
	assert_true(us < (slow ? 20000 : 200));
	assert_int_equal(history_writer_stop(), 0);
	(void)snprintf(written, sizeof written, "%u", count);
	assert_string_equal(history_ask("SELECT count(*) FROM messages"), written);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, history_set_up, history_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CASE(everything_in_order),
	    CASE(one_by_one),
	    CASE(stopping_writes_the_rest),
	    CASE(released),
	    CASE(a_full_disk),
	    CASE(a_disk_that_stays_full),
	    CASE(an_unsteady_disk),
	    CASE(held_by_another),
	    CASE(a_row_that_never_gets_in),
	    CASE(kept_by_number),
	    CASE(kept_by_age),
	    CASE(the_file_is_taken_away),
	    CASE(another_file_in_its_place),
	    CASE(readers),
	    CASE(signals),
	    CASE(the_price),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
