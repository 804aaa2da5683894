/*
 * A history for one test of bridge/history_db.c: made with the plugin's schema, and written by a connection
 * of its own while the one under test is open, as in life. Reads of files can be made to fail.
 */
#ifndef CHAT_HISTORY_DB_CASE_H
#define CHAT_HISTORY_DB_CASE_H

#include "bridge/history_db.h"
#include "common/history_schema.h"
#include "tests/unit/history_case.h"

#include <stdarg.h>

static sqlite3 *writer;
static struct history_db *db; /* what is tested */
static int reads_left;        /* of files; the one after them fails, once; negative: none does */

/* ---- a disk that fails -------------------------------------------------------------------- */

static bool read_fails(void)
{
	if (reads_left < 0)
		return false;
	errno = EIO;
	return reads_left-- == 0;
}

static ssize_t failing_read(int fd, void *data, size_t len)
{
	return read_fails() ? -1 : read(fd, data, len);
}

static ssize_t failing_pread(int fd, void *data, size_t len, off_t at)
{
	return read_fails() ? -1 : pread(fd, data, len, at);
}

/* ---- writing ------------------------------------------------------------------------------- */

/* printf's conversions, and sqlite's: %Q a quoted text. */
static inline void sql(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *text = sqlite3_vmprintf(format, args);
	va_end(args);
	char *why = NULL;
	if (sqlite3_exec(writer, text, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %.200s", why, text);
	sqlite3_free(text);
}

static inline void writer_open(void)
{
	assert_int_equal(sqlite3_open(history_path, &writer), SQLITE_OK);
	sql("PRAGMA synchronous=OFF");
}

static inline void writer_close(void)
{
	assert_int_equal(sqlite3_close(writer), SQLITE_OK);
	writer = NULL;
}

static inline void make_tables(void)
{
	sql(HISTORY_SCHEMA);
	/* as the plugin does at the end of each transaction */
	sql("CREATE TRIGGER dealt_with AFTER INSERT ON messages BEGIN UPDATE progress SET n=NEW.n WHERE n<NEW.n; "
	    "END;"
	    "CREATE TRIGGER dealt_with_again AFTER UPDATE ON messages BEGIN UPDATE progress SET n=NEW.n WHERE "
	    "n<NEW.n; END;");
}

/* A file with the schema and nothing in it; the writer is open. */
static inline void make_history(void)
{
	writer_open();
	sql("PRAGMA journal_mode=WAL");
	make_tables();
	sql("PRAGMA user_version=%d", HISTORY_USER_VERSION);
}

static inline int no_history_set_up(void **state)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	int failed = history_set_up(state);
	(void)vfs->xSetSystemCall(vfs, "read", (sqlite3_syscall_ptr)failing_read);
	(void)vfs->xSetSystemCall(vfs, "pread", (sqlite3_syscall_ptr)failing_pread);
	(void)vfs->xSetSystemCall(vfs, "pread64", (sqlite3_syscall_ptr)failing_pread);
	reads_left = -1;
	db = history_db_new(history_path);
	return failed != 0 || db == NULL ? -1 : 0;
}

static inline int history_db_set_up(void **state)
{
	int failed = no_history_set_up(state);
	if (failed == 0)
		make_history();
	return failed;
}

static inline int history_db_tear_down(void **state)
{
	reads_left = -1;
	history_db_free(db);
	db = NULL;
	(void)sqlite3_close(writer);
	writer = NULL;
	return history_tear_down(state);
}

/* The id of that millisecond: ids are in their order. Good for the next seven calls. */
static inline const char *id_of(uint64_t ms)
{
	static char ids[8][ULID_LEN + 1];
	static unsigned next;
	static const uint8_t zeros[ULID_RANDOM];
	struct ulid_clock clock = {0};
	char *id = ids[next++ % 8];
	(void)ulid_next(&clock, HISTORY_T0 + ms, zeros, id);
	return id;
}

/* Message number n with the id of that millisecond; body NULL: {"n":N}. */
static inline void keep(uint64_t n, uint64_t ms, enum history_kind kind, const char *name, const char *body)
{
	char numbered[40];
	(void)snprintf(numbered, sizeof numbered, "{\"n\":%llu}", (unsigned long long)n);
	sql("INSERT OR IGNORE INTO places(kind,name) VALUES(%d,%Q);"
	    "INSERT INTO messages(n,id,place,body) "
	    "SELECT %lld,%Q,place,%Q FROM places WHERE kind=%d AND name=%Q",
	    (int)kind, name, (long long)n, id_of(ms), body != NULL ? body : numbered, (int)kind, name);
	size_t second = kind == HISTORY_PAIR ? history_pair_second(name, strlen(name)) : 0;
	if (second == 0)
		return;
	sql("INSERT OR IGNORE INTO users(address) VALUES(substr(%Q,1,%d)),(substr(%Q,%d));"
	    "INSERT OR IGNORE INTO mailbox(user,n) "
	    "SELECT user,%lld FROM users WHERE address IN (substr(%Q,1,%d),substr(%Q,%d))",
	    name, (int)second - 1, name, (int)second + 1, (long long)n, name, (int)second - 1, name,
	    (int)second + 1);
}

/* Messages of the room "general": numbers first to last, each with its own id. */
static inline void fill(uint64_t first, uint64_t last)
{
	sql("BEGIN");
	for (uint64_t n = first; n <= last; n++)
		keep(n, n, HISTORY_ROOM, "general", NULL);
	sql("COMMIT");
}

/* The same with a body of that many bytes, {"n":N,"x":"xx..."}; at least 24. */
static inline void keep_bytes(uint64_t n, size_t bytes)
{
	char *body = malloc(bytes + 1);
	assert_non_null(body);
	memset(body, 'x', bytes);
	int head = snprintf(body, bytes, "{\"n\":%llu,\"x\":\"", (unsigned long long)n);
	body[head] = 'x';
	memcpy(body + bytes - 2, "\"}", 3);
	keep(n, n, HISTORY_ROOM, "general", body);
	free(body);
}

/* ---- asking --------------------------------------------------------------------------------- */

static inline struct history_place place_of(enum history_view kind, const char *name)
{
	struct history_place place = {.kind = kind};
	(void)snprintf(place.name, sizeof place.name, "%s", name);
	return place;
}

static inline void done(enum history_status status)
{
	if (status != HISTORY_DONE)
		fail_msg("status %d: %s", (int)status, history_db_error(db));
}

#endif
