/*
 * history_store_inner.h - what history_store.c and history_file.c share, and nobody else sees.
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

/* The SQL of each statement. */
extern const char *const history_store_texts[STATEMENTS];

/* Which kind of failure the last call of SQLite's was; and keeps its text. */
enum store_result history_store_failed(struct history_store *s);

#endif
