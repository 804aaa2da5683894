/*
 * history_store.c - the history's database.
 */
#include "history_store.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The write-ahead log is cut back to this after it has been moved into the database. */
#define LOG_BYTES "16777216"
#define HISTORY_FILE_MAX 4096
#define OPEN_BUSY_MS 2000 /* at start somebody else may be reading what a crash has left */

/* What is wrong, in char why[HISTORY_WHY_MAX]. */
#define explain(why, ...) ((void)snprintf((why), HISTORY_WHY_MAX, __VA_ARGS__))

enum statement {
	BEGIN,
	COMMIT,
	FIND_PLACE,
	ADD_PLACE,
	FIND_USER,
	ADD_USER,
	ADD_MESSAGE,
	ADD_MAIL,
	FIND_ID,
	MOVE_MESSAGE,
	MOVE_MAIL,
	RECENT,
	OLD,
	OLDEST,
	PLACE_OF,
	REMOVE_MESSAGE,
	REMOVE_MAIL,
	STATEMENTS
};

static const char *const texts[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [FIND_PLACE] = "SELECT place FROM places WHERE kind=?1 AND name=?2",
    [ADD_PLACE] = "INSERT INTO places(kind,name) VALUES(?1,?2)",
    [FIND_USER] = "SELECT user FROM users WHERE address=?1",
    [ADD_USER] = "INSERT INTO users(address) VALUES(?1)",
    [ADD_MESSAGE] = "INSERT INTO messages(n,id,place,ref,body) VALUES(?1,?2,?3,?4,?5)",
    [ADD_MAIL] = "INSERT OR IGNORE INTO mailbox(user,n) VALUES(?1,?2)",
    [FIND_ID] = "SELECT m.n,p.kind,p.name FROM messages m JOIN places p USING(place) WHERE m.id=?1",
    [MOVE_MESSAGE] = "UPDATE messages SET n=?2 WHERE n=?1",
    [MOVE_MAIL] = "UPDATE OR REPLACE mailbox SET n=?3 WHERE user=?1 AND n=?2",
    [RECENT] = "SELECT id,ref,body FROM messages WHERE id>=?1 AND ref IS NOT NULL ORDER BY id",
    [OLD] = "SELECT n FROM messages WHERE id<?1 ORDER BY id LIMIT ?2",
    [OLDEST] = "SELECT n FROM messages ORDER BY n LIMIT ?1",
    [PLACE_OF] = "SELECT p.kind,p.name FROM messages m JOIN places p USING(place) WHERE m.n=?1",
    [REMOVE_MESSAGE] = "DELETE FROM messages WHERE n=?1",
    [REMOVE_MAIL] = "DELETE FROM mailbox WHERE user=?1 AND n=?2",
};

struct history_store {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
	int fd; /* holds the flock; closed after the database, for closing it drops SQLite's locks */
	char *path;
	struct stat companions[2]; /* the log and its index, as they were opened */
	uint64_t messages;         /* that are stored, counting what this transaction has added */
	uint64_t added;            /* by this transaction */
	uint64_t newest;
	char newest_of_n[ULID_LEN + 1];
	char newest_id[ULID_LEN + 1];
	char error[HISTORY_WHY_MAX];
};

/* The two people of a pair's place. */
struct people {
	const char *name[2];
	size_t len[2];
};

/* Which kind of failure this is; and keeps its text. */
static enum store_result failed(struct history_store *s)
{
	int code = sqlite3_extended_errcode(s->db), system = sqlite3_system_errno(s->db);

	if (system != 0 && ((code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN))
		explain(s->error, "%s (%s)", sqlite3_errmsg(s->db), strerror(system));
	else
		explain(s->error, "%s (SQLite's code %d)", sqlite3_errmsg(s->db), code);
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return STORE_BUSY;
	case SQLITE_CONSTRAINT:
	case SQLITE_TOOBIG:
	case SQLITE_MISMATCH:
		return STORE_NEVER;
	default:
		return STORE_FAULT;
	}
}

/* Runs a statement that gives no row, and makes it ready for the next time. */
static enum store_result run(struct history_store *s, enum statement which)
{
	sqlite3_stmt *statement = s->statements[which];
	enum store_result result = sqlite3_step(statement) == SQLITE_DONE ? STORE_OK : failed(s);

	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
	return result;
}

/* Runs a statement that gives one number or none: *found tells which. */
static enum store_result look_up(struct history_store *s, enum statement which, sqlite3_int64 *value,
                                 bool *found)
{
	sqlite3_stmt *statement = s->statements[which];
	enum store_result result = STORE_OK;
	int rc = sqlite3_step(statement);

	*found = rc == SQLITE_ROW;
	if (*found)
		*value = sqlite3_column_int64(statement, 0);
	else if (rc != SQLITE_DONE)
		result = failed(s);
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
	return result;
}

static bool number(struct history_store *s, enum statement which, int at, uint64_t value)
{
	return sqlite3_bind_int64(s->statements[which], at, (sqlite3_int64)value) == SQLITE_OK;
}

static bool text(struct history_store *s, enum statement which, int at, const char *value, size_t len)
{
	return sqlite3_bind_text(s->statements[which], at, value, (int)len, SQLITE_STATIC) == SQLITE_OK;
}

static enum store_result place_of(struct history_store *s, const struct history_message *m,
                                  sqlite3_int64 *place)
{
	enum store_result result;
	bool found = false;

	if (!number(s, FIND_PLACE, 1, m->kind) || !text(s, FIND_PLACE, 2, m->place, m->place_len))
		return failed(s);
	result = look_up(s, FIND_PLACE, place, &found);
	if (result != STORE_OK || found)
		return result;
	if (!number(s, ADD_PLACE, 1, m->kind) || !text(s, ADD_PLACE, 2, m->place, m->place_len))
		return failed(s);
	result = run(s, ADD_PLACE);
	*place = sqlite3_last_insert_rowid(s->db);
	return result;
}

static enum store_result find_user(struct history_store *s, const char *address, size_t len,
                                   sqlite3_int64 *user, bool *found)
{
	return text(s, FIND_USER, 1, address, len) ? look_up(s, FIND_USER, user, found) : failed(s);
}

static enum store_result user_of(struct history_store *s, const char *address, size_t len,
                                 sqlite3_int64 *user)
{
	bool found = false;
	enum store_result result = find_user(s, address, len, user, &found);

	if (result != STORE_OK || found)
		return result;
	if (!text(s, ADD_USER, 1, address, len))
		return failed(s);
	result = run(s, ADD_USER);
	*user = sqlite3_last_insert_rowid(s->db);
	return result;
}

static bool people_of(const char *name, size_t len, struct people *out)
{
	size_t second = history_pair_second(name, len);

	out->name[0] = name;
	out->len[0] = second - 1;
	out->name[1] = name + second;
	out->len[1] = len - second;
	return second > 0;
}

static enum store_result put_into_mailboxes(struct history_store *s, const struct history_message *m)
{
	enum store_result result = STORE_OK;
	struct people people;
	sqlite3_int64 user = 0;
	int i;

	if (!people_of(m->place, m->place_len, &people)) {
		explain(s->error, "the name of a pair's place is none");
		return STORE_NEVER;
	}
	for (i = 0; i < 2 && result == STORE_OK; i++) {
		result = user_of(s, people.name[i], people.len[i], &user);
		if (result != STORE_OK)
			break;
		if (!number(s, ADD_MAIL, 1, (uint64_t)user) || !number(s, ADD_MAIL, 2, m->n))
			return failed(s);
		result = run(s, ADD_MAIL);
	}
	return result;
}

/* Where a message stands by its id; *n is 0 where there is none. With people (name from sqlite3, good until
 * FIND_ID is reset) where it is a pair's. */
static enum store_result locate(struct history_store *s, const char *id, uint64_t *n, bool *pair,
                                struct people *people)
{
	sqlite3_stmt *statement = s->statements[FIND_ID];
	int rc;

	*n = 0;
	*pair = false;
	if (!text(s, FIND_ID, 1, id, ULID_LEN))
		return failed(s);
	rc = sqlite3_step(statement);
	if (rc == SQLITE_DONE)
		return STORE_OK;
	if (rc != SQLITE_ROW)
		return failed(s);
	*n = (uint64_t)sqlite3_column_int64(statement, 0);
	if (sqlite3_column_int(statement, 1) != HISTORY_PAIR)
		return STORE_OK;
	people->name[0] = (const char *)sqlite3_column_text(statement, 2);
	if (!people->name[0])
		return failed(s);
	*pair = people_of(people->name[0], (size_t)sqlite3_column_bytes(statement, 2), people);
	return STORE_OK;
}

static void located(struct history_store *s)
{
	(void)sqlite3_reset(s->statements[FIND_ID]);
	(void)sqlite3_clear_bindings(s->statements[FIND_ID]);
}

/* Is it there already, from a commit that failed only in what it answered? */
static bool stands(struct history_store *s, const struct history_message *m)
{
	struct people people;
	uint64_t n;
	bool pair, same;

	same = locate(s, m->id, &n, &pair, &people) == STORE_OK && n == m->n;
	located(s);
	return same;
}

enum store_result history_store_insert(struct history_store *s, const struct history_message *m)
{
	enum store_result result;
	sqlite3_int64 place = 0;
	char why[HISTORY_WHY_MAX];

	result = place_of(s, m, &place);
	if (result != STORE_OK)
		return result;
	if (!number(s, ADD_MESSAGE, 1, m->n) || !text(s, ADD_MESSAGE, 2, m->id, ULID_LEN) ||
	    !number(s, ADD_MESSAGE, 3, (uint64_t)place) ||
	    (m->ref && !text(s, ADD_MESSAGE, 4, m->ref, m->ref_len)) ||
	    !text(s, ADD_MESSAGE, 5, m->body, m->body_len))
		return failed(s);
	result = run(s, ADD_MESSAGE);
	if (result == STORE_NEVER) {
		memcpy(why, s->error, sizeof(why));
		if (stands(s, m))
			return STORE_OK;
		memcpy(s->error, why, sizeof(why));
	}
	if (result != STORE_OK)
		return result;
	s->added++;
	s->messages++;
	return m->kind == HISTORY_PAIR ? put_into_mailboxes(s, m) : STORE_OK;
}

static enum store_result move_mail(struct history_store *s, const struct people *people, uint64_t from,
                                   uint64_t to)
{
	enum store_result result = STORE_OK;
	sqlite3_int64 user = 0;
	bool found = false;
	int i;

	for (i = 0; i < 2 && result == STORE_OK; i++) {
		result = find_user(s, people->name[i], people->len[i], &user, &found);
		if (result != STORE_OK || !found)
			continue;
		if (!number(s, MOVE_MAIL, 1, (uint64_t)user) || !number(s, MOVE_MAIL, 2, from) ||
		    !number(s, MOVE_MAIL, 3, to))
			return failed(s);
		result = run(s, MOVE_MAIL);
	}
	return result;
}

enum store_result history_store_renumber(struct history_store *s, const char *id, uint64_t n)
{
	enum store_result result;
	struct people people;
	uint64_t old;
	bool pair;

	result = locate(s, id, &old, &pair, &people);
	if (result == STORE_OK && old == 0) {
		explain(s->error, "a message that was released is not there (any more)");
		result = STORE_NEVER;
	}
	if (result == STORE_OK && old != n) {
		result = number(s, MOVE_MESSAGE, 1, old) && number(s, MOVE_MESSAGE, 2, n) ? run(s, MOVE_MESSAGE)
		                                                                          : failed(s);
		if (result == STORE_OK && pair)
			result = move_mail(s, &people, old, n);
	}
	located(s);
	return result;
}

enum store_result history_store_begin(struct history_store *s)
{
	s->added = 0;
	return run(s, BEGIN);
}

enum store_result history_store_commit(struct history_store *s)
{
	enum store_result result = run(s, COMMIT);

	if (result == STORE_OK)
		s->added = 0;
	return result;
}

void history_store_rollback(struct history_store *s)
{
	s->messages -= s->added;
	s->added = 0;
	/* SQLite may have done so by itself, when the disk was full. */
	if (!sqlite3_get_autocommit(s->db))
		(void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

/* The first id of a millisecond, which no message has. */
static void first_id(uint64_t ms, char out[ULID_LEN + 1])
{
	static const uint8_t zeros[ULID_RANDOM];
	struct ulid_clock clock = {0};

	(void)ulid_next(&clock, ms, zeros, out);
}

enum store_result history_store_recent(struct history_store *s, uint64_t since_ms,
                                       void (*each)(void *arg, const struct history_recent *recent),
                                       void *arg)
{
	static const char head[] = "{\"id\":\"01234567890123456789012345\",\"sender\":\"";
	const size_t skip = sizeof(head) - 1;
	sqlite3_stmt *statement = s->statements[RECENT];
	enum store_result result = STORE_OK;
	struct history_recent recent;
	char since[ULID_LEN + 1];
	const char *id, *body, *end;
	size_t len;
	int rc;

	first_id(since_ms, since);
	if (!text(s, RECENT, 1, since, ULID_LEN))
		return failed(s);
	while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
		id = (const char *)sqlite3_column_text(statement, 0);
		recent.ref = (const char *)sqlite3_column_text(statement, 1);
		recent.ref_len = (size_t)sqlite3_column_bytes(statement, 1);
		body = (const char *)sqlite3_column_text(statement, 2);
		len = (size_t)sqlite3_column_bytes(statement, 2);
		if (!id || !recent.ref || !body || !ulid_valid(id, strlen(id)) || len <= skip)
			continue;
		end = memchr(body + skip, '"', len - skip);
		if (!end || !identity_parse(body + skip, (size_t)(end - body) - skip, &recent.sender))
			continue;
		memcpy(recent.id, id, ULID_LEN + 1);
		each(arg, &recent);
	}
	if (rc != SQLITE_DONE)
		result = failed(s);
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
	return result;
}

/* The n of what a statement finds, at most max, behind those that are in list already. */
static enum store_result collect(struct history_store *s, enum statement which, uint64_t *list,
                                 unsigned *count, unsigned max)
{
	sqlite3_stmt *statement = s->statements[which];
	enum store_result result = STORE_OK;
	int rc = SQLITE_DONE;

	while (*count < max && (rc = sqlite3_step(statement)) == SQLITE_ROW)
		list[(*count)++] = (uint64_t)sqlite3_column_int64(statement, 0);
	if (*count < max && rc != SQLITE_DONE)
		result = failed(s);
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
	return result;
}

static enum store_result remove_mail(struct history_store *s, const struct people *people, uint64_t n)
{
	enum store_result result = STORE_OK;
	sqlite3_int64 user = 0;
	bool found = false;
	int i;

	for (i = 0; i < 2 && result == STORE_OK; i++) {
		result = find_user(s, people->name[i], people->len[i], &user, &found);
		if (result != STORE_OK || !found)
			continue;
		if (!number(s, REMOVE_MAIL, 1, (uint64_t)user) || !number(s, REMOVE_MAIL, 2, n))
			return failed(s);
		result = run(s, REMOVE_MAIL);
	}
	return result;
}

static enum store_result remove_message(struct history_store *s, uint64_t n)
{
	sqlite3_stmt *statement = s->statements[PLACE_OF];
	enum store_result result = STORE_OK;
	struct people people;
	const char *name;
	int rc;

	if (!number(s, PLACE_OF, 1, n))
		return failed(s);
	rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW && sqlite3_column_int(statement, 0) == HISTORY_PAIR) {
		name = (const char *)sqlite3_column_text(statement, 1);
		if (name && people_of(name, (size_t)sqlite3_column_bytes(statement, 1), &people))
			result = remove_mail(s, &people, n);
	} else if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		result = failed(s);
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
	if (result != STORE_OK)
		return result;
	return number(s, REMOVE_MESSAGE, 1, n) ? run(s, REMOVE_MESSAGE) : failed(s);
}

/* Which messages a step removes. What is there twice is removed once. */
static enum store_result choose(struct history_store *s, uint64_t before_ms, uint64_t keep,
                                uint64_t list[HISTORY_TRIM_ROWS], unsigned *count)
{
	uint64_t excess = s->messages > keep ? s->messages - keep : 0;
	char before[ULID_LEN + 1];

	*count = 0;
	if (excess > 0) {
		if (!number(s, OLDEST, 1, excess < HISTORY_TRIM_ROWS ? excess : HISTORY_TRIM_ROWS))
			return failed(s);
		return collect(s, OLDEST, list, count, HISTORY_TRIM_ROWS);
	}
	first_id(before_ms, before);
	if (!text(s, OLD, 1, before, ULID_LEN) || !number(s, OLD, 2, HISTORY_TRIM_ROWS))
		return failed(s);
	return collect(s, OLD, list, count, HISTORY_TRIM_ROWS);
}

enum store_result history_store_trim(struct history_store *s, uint64_t before_ms, uint64_t keep,
                                     unsigned *removed)
{
	uint64_t list[HISTORY_TRIM_ROWS];
	enum store_result result;
	unsigned count, i;

	*removed = 0;
	result = choose(s, before_ms, keep, list, &count);
	if (result != STORE_OK || count == 0)
		return result;
	result = history_store_begin(s);
	for (i = 0; i < count && result == STORE_OK; i++)
		result = remove_message(s, list[i]);
	if (result == STORE_OK)
		result = history_store_commit(s);
	if (result != STORE_OK) {
		history_store_rollback(s);
		return result;
	}
	s->messages -= count < s->messages ? count : s->messages;
	*removed = count;
	return STORE_OK;
}

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

const char *history_store_error(const struct history_store *s)
{
	return s->error;
}

uint64_t history_store_newest(const struct history_store *s, char id[ULID_LEN + 1])
{
	memcpy(id, s->newest_of_n, ULID_LEN + 1);
	return s->newest;
}

const char *history_store_newest_id(const struct history_store *s)
{
	return s->newest_id;
}

/* --- opening --- */

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
	(void)failed(s);
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

/* Makes the tables; else only proves that the database can be written. */
static bool set_tables(struct history_store *s, bool empty, char why[HISTORY_WHY_MAX])
{
	char pragmas[96];

	(void)snprintf(pragmas, sizeof(pragmas), "PRAGMA application_id=%d;PRAGMA user_version=%d",
	               HISTORY_APPLICATION_ID, HISTORY_USER_VERSION);
	if (exec(s, "BEGIN IMMEDIATE") && (!empty || (exec(s, HISTORY_SCHEMA) && exec(s, pragmas))) &&
	    exec(s, "COMMIT"))
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
	sqlite3_int64 messages;
	const char *id;
	int i, rc;

	if (!ask(s, "SELECT count(*) FROM messages", &messages))
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
		if (sqlite3_prepare_v3(s->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[i], NULL) !=
		    SQLITE_OK)
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
	int i;

	if (!s)
		return;
	in_place = history_store_in_place(s);
	for (i = 0; i < STATEMENTS; i++)
		(void)sqlite3_finalize(s->statements[i]);
	/* Closing moves the log into the database and removes it, where nobody else has it open. */
	if (!in_place)
		(void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	(void)sqlite3_close(s->db);
	if (!in_place)
		companions(s, true);
	(void)close(s->fd);
	free(s->path);
	free(s);
}
