/*
 * history_file.c - the history's database as a file: opened, checked, made, closed.
 */
#include "history_store_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* The write-ahead log is cut back to this after it has been moved into the database. */
#define LOG_BYTES "16777216"
#define HISTORY_FILE_MAX 4096
#define OPEN_BUSY_MS 2000 /* at start somebody else may be reading what a crash has left */

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

bool history_store_in_place(const struct history_store *s)
{
	struct stat held, named;

	return fstat(s->fd, &held) == 0 && stat(s->path, &named) == 0 && same_file(&held, &named);
}

/* The files that SQLite puts beside the database: remembers which they are, or, of a database that has lost
 * its name, removes them. For SQLite goes by their names, and would take them for another database's that
 * stands there now. */
static void companions(struct history_store *s, bool remove)
{
	static const char *const ends[] = {"-wal", "-shm"};
	char name[HISTORY_FILE_MAX + 8];
	struct stat st;
	int i;

	for (i = 0; i < 2; i++) {
		(void)snprintf(name, sizeof(name), "%s%s", s->path, ends[i]);
		if (stat(name, &st) != 0)
			continue;
		if (!remove)
			s->companions[i] = st;
		else if (same_file(&st, &s->companions[i]))
			(void)unlink(name);
	}
}

/* The file itself, made where there is none. -1 and why. */
static int hold_file(const char *path, char why[HISTORY_WHY_MAX])
{
	struct stat st;
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EEXIST)
		fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	else if (fd >= 0 && fchmod(fd, 0600) != 0) {
		explain(why, "%s", strerror(errno));
		(void)close(fd);
		return -1;
	}
	if (fd < 0) {
		explain(why, "%s", strerror(errno));
		return -1;
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		explain(why, "this is not a regular file");
		(void)close(fd);
		return -1;
	}
	/* Where the file system knows no flock, there is only the operator's care. */
	if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
		explain(why, "another broker writes into it");
		(void)close(fd);
		return -1;
	}
	return fd;
}

/* Asks for one number. False where SQLite fails. */
static bool ask(struct history_store *s, const char *sql, sqlite3_int64 *value)
{
	sqlite3_stmt *statement = NULL;
	bool ok = sqlite3_prepare_v2(s->db, sql, -1, &statement, NULL) == SQLITE_OK &&
	          sqlite3_step(statement) == SQLITE_ROW;

	if (ok)
		*value = sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	return ok;
}

static bool exec(struct history_store *s, const char *sql)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

static bool fail(struct history_store *s, char why[HISTORY_WHY_MAX])
{
	(void)history_store_failed(s);
	explain(why, "%s", s->error);
	return false;
}

/* Looks at what is in the file before anything is changed. *empty: nothing at all. */
static bool check_kind(struct history_store *s, bool *empty, char why[HISTORY_WHY_MAX])
{
	sqlite3_int64 application, version, tables;

	if (!ask(s, "PRAGMA application_id", &application) || !ask(s, "PRAGMA user_version", &version) ||
	    !ask(s, "SELECT count(*) FROM sqlite_master", &tables))
		return fail(s, why);
	*empty = application == 0 && version == 0 && tables == 0;
	if (!*empty && application != HISTORY_APPLICATION_ID) {
		explain(why, "this is an SQLite database, but no chat history");
		return false;
	}
	if (!*empty && version != HISTORY_USER_VERSION) {
		explain(
		    why,
		    "this history is of version %lld, and this mosquitto-chat knows version %d: it was written by a "
		    "newer one",
		    (long long)version, HISTORY_USER_VERSION);
		return false;
	}
	return true;
}

/* Write-ahead logging, for readers shall not wait for the writer nor it for them. */
static bool set_up(struct history_store *s, const struct history_store_config *config,
                   char why[HISTORY_WHY_MAX])
{
	sqlite3_stmt *statement = NULL;
	const char *mode;
	bool wal;

	wal = sqlite3_prepare_v2(s->db, "PRAGMA journal_mode=WAL", -1, &statement, NULL) == SQLITE_OK &&
	      sqlite3_step(statement) == SQLITE_ROW;
	mode = wal ? (const char *)sqlite3_column_text(statement, 0) : NULL;
	if (mode && strcmp(mode, "wal") != 0) {
		explain(why, "the file system allows no write-ahead log");
		(void)sqlite3_finalize(statement);
		return false;
	}
	(void)sqlite3_finalize(statement);
	if (!mode || !exec(s, config->sync ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL") ||
	    !exec(s, "PRAGMA journal_size_limit=" LOG_BYTES) || !exec(s, "PRAGMA foreign_keys=OFF"))
		return fail(s, why);
	return true;
}

/* Makes the tables that are not there, and proves that the database can be written. */
static bool set_tables(struct history_store *s, bool empty, char why[HISTORY_WHY_MAX])
{
	char pragmas[96];

	(void)snprintf(pragmas, sizeof(pragmas), "PRAGMA application_id=%d;PRAGMA user_version=%d",
	               HISTORY_APPLICATION_ID, HISTORY_USER_VERSION);
	if (exec(s, "BEGIN IMMEDIATE") && (!empty || (exec(s, HISTORY_SCHEMA) && exec(s, pragmas))) &&
	    exec(s, HISTORY_SETTLED) && exec(s, "COMMIT"))
		return true;
	(void)fail(s, why);
	history_store_rollback(s);
	return false;
}

static bool learn(struct history_store *s, char why[HISTORY_WHY_MAX])
{
	static const char newest[] = "SELECT n,id FROM messages ORDER BY n DESC LIMIT 1";
	static const char newest_id[] = "SELECT 0,max(id) FROM messages";
	const char *const sql[] = {newest, newest_id};
	char *const out[] = {s->newest_of_n, s->newest_id};
	sqlite3_stmt *statement;
	sqlite3_int64 messages, progress;
	const char *id;
	int i, rc;

	if (!ask(s, "SELECT count(*) FROM messages", &messages) || !ask(s, "SELECT n FROM progress", &progress))
		return fail(s, why);
	s->messages = (uint64_t)messages;
	for (i = 0; i < 2; i++) {
		statement = NULL;
		rc = sqlite3_prepare_v2(s->db, sql[i], -1, &statement, NULL);
		rc = rc == SQLITE_OK ? sqlite3_step(statement) : rc;
		id = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 1) : NULL;
		if (id && ulid_valid(id, strlen(id))) {
			memcpy(out[i], id, ULID_LEN + 1);
			if (i == 0)
				s->newest = (uint64_t)sqlite3_column_int64(statement, 0);
		}
		(void)sqlite3_finalize(statement);
		if (rc != SQLITE_ROW && rc != SQLITE_DONE)
			return fail(s, why);
	}
	/* what has been trimmed since had a number, too */
	if (progress > 0 && (uint64_t)progress > s->newest)
		s->newest = (uint64_t)progress;
	s->highest = s->newest;
	if (s->messages > 0 && (s->newest == 0 || s->newest > INT64_MAX / 2)) {
		explain(why, "its numbers are damaged");
		return false;
	}
	return true;
}

static bool prepare_all(struct history_store *s, char why[HISTORY_WHY_MAX])
{
	int i;

	for (i = 0; i < STATEMENTS; i++)
		if (sqlite3_prepare_v3(s->db, history_store_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
		                       &s->statements[i], NULL) != SQLITE_OK)
			return fail(s, why);
	return true;
}

struct history_store *history_store_open(const struct history_store_config *config, char why[HISTORY_WHY_MAX])
{
	struct history_store *s = calloc(1, sizeof(*s));
	bool empty = false;

	if (!s || !(s->path = strdup(config->path))) {
		explain(why, "out of memory");
		free(s);
		return NULL;
	}
	s->fd = hold_file(config->path, why);
	if (s->fd < 0) {
		free(s->path);
		free(s);
		return NULL;
	}
	/* One thread at a time, so no mutex is needed. */
	if (sqlite3_open_v2(config->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
	        SQLITE_OK ||
	    sqlite3_busy_timeout(s->db, OPEN_BUSY_MS) != SQLITE_OK ||
	    sqlite3_extended_result_codes(s->db, 1) != SQLITE_OK)
		(void)fail(s, why);
	else if (check_kind(s, &empty, why) && set_up(s, config, why) && set_tables(s, empty, why) &&
	         learn(s, why) && prepare_all(s, why)) {
		(void)sqlite3_busy_timeout(s->db, (int)config->busy_ms);
		companions(s, false);
		return s;
	}
	history_store_close(s);
	return NULL;
}

void history_store_close(struct history_store *s)
{
	bool in_place;
	struct stat st;
	int i;

	if (!s)
		return;
	in_place = history_store_in_place(s);
	for (i = 0; i < STATEMENTS; i++)
		(void)sqlite3_finalize(s->statements[i]);
	/* Closing moves the log into the database and removes it, where nobody else has it open. A file that was
	 * renamed gets what belongs to it over the descriptors, unless another one has taken its place, and with
	 * that perhaps its log; one that was deleted needs nothing more. */
	if (!in_place && stat(s->path, &st) != 0 && fstat(s->fd, &st) == 0 && st.st_nlink > 0)
		(void)sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	if (!in_place)
		(void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	(void)sqlite3_close(s->db);
	if (!in_place)
		companions(s, true);
	(void)close(s->fd);
	free(s->path);
	free(s);
}
