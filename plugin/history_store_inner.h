/*
 * history_store_inner.h - what history_store.c, history_trim.c and history_file.c share, and nobody else
 * sees.
 */
#ifndef CHAT_HISTORY_STORE_INNER_H
#define CHAT_HISTORY_STORE_INNER_H

#include "history_store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>

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
	SET_PROGRESS,
	FIND_ID,
	MOVE_MESSAGE,
	MOVE_MAIL,
	FIND_TEXT,
	FORGET_TEXT,
	RECENT,
	UNRELEASED,
	OLD,
	OLDEST,
	PLACE_OF,
	REMOVE_MESSAGE,
	REMOVE_MAIL,
	REMOVE_PLACE,
	REMOVE_USER,
	SETTLE,
	SETTLE_FIRST,
	FORGET_SETTLED,
	REMOVE_SETTLED,
	NEWEST_IDS,
	STATEMENTS
};

struct history_store {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
	int fd; /* holds the flock; closed after the database, for closing it drops SQLite's locks */
	char *path;
	struct stat companions[2]; /* the log and its index, as they were opened */
	uint64_t messages;         /* that are stored, counting what this transaction has added */
	uint64_t added;            /* by this transaction */
	uint64_t highest;          /* number that has been dealt with */
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

/* The SQL of each statement. */
extern const char *const history_store_texts[STATEMENTS];

/* Which kind of failure the last call of SQLite's was; and keeps its text. */
enum store_result history_store_failed(struct history_store *s);

/* Runs a statement that gives no row, and makes it ready for the next time. */
static inline enum store_result run(struct history_store *s, enum statement which)
{
	sqlite3_stmt *statement = s->statements[which];
	enum store_result result = sqlite3_step(statement) == SQLITE_DONE ? STORE_OK : history_store_failed(s);

	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
	return result;
}

/* Runs a statement that gives one number or none: *found tells which. */
static inline enum store_result look_up(struct history_store *s, enum statement which, sqlite3_int64 *value,
                                        bool *found)
{
	sqlite3_stmt *statement = s->statements[which];
	enum store_result result = STORE_OK;
	int rc = sqlite3_step(statement);

	*found = rc == SQLITE_ROW;
	if (*found)
		*value = sqlite3_column_int64(statement, 0);
	else if (rc != SQLITE_DONE)
		result = history_store_failed(s);
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
	return result;
}

static inline bool number(struct history_store *s, enum statement which, int at, uint64_t value)
{
	return sqlite3_bind_int64(s->statements[which], at, (sqlite3_int64)value) == SQLITE_OK;
}

static inline bool text(struct history_store *s, enum statement which, int at, const char *value, size_t len)
{
	return sqlite3_bind_text(s->statements[which], at, value, (int)len, SQLITE_STATIC) == SQLITE_OK;
}

static inline enum store_result find_user(struct history_store *s, const char *address, size_t len,
                                          sqlite3_int64 *user, bool *found)
{
	return text(s, FIND_USER, 1, address, len) ? look_up(s, FIND_USER, user, found) : history_store_failed(s);
}

static inline bool people_of(const char *name, size_t len, struct people *out)
{
	size_t second = history_pair_second(name, len);

	out->name[0] = name;
	out->len[0] = second - 1;
	out->name[1] = name + second;
	out->len[1] = len - second;
	return second > 0;
}

/* The first id of a millisecond, which no message has. */
static inline void first_id(uint64_t ms, char out[ULID_LEN + 1])
{
	static const uint8_t zeros[ULID_RANDOM];
	struct ulid_clock clock = {0};

	(void)ulid_next(&clock, ms, zeros, out);
}

#endif
