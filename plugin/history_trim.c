/*
 * history_trim.c - what is removed from the history's database for its age or its number.
 */
#include "history_trim.h"

#include "history_store_inner.h"

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
		result = history_store_failed(s);
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
		if (!number(s, REMOVE_MAIL, 1, (uint64_t)user) || !number(s, REMOVE_MAIL, 2, n) ||
		    !number(s, REMOVE_USER, 1, (uint64_t)user))
			return history_store_failed(s);
		result = run(s, REMOVE_MAIL);
		if (result == STORE_OK)
			result = run(s, REMOVE_USER);
	}
	return result;
}

static enum store_result remove_message(struct history_store *s, uint64_t n)
{
	sqlite3_stmt *statement = s->statements[PLACE_OF];
	enum store_result result = STORE_OK;
	sqlite3_int64 place = 0;
	struct people people;
	const char *name;
	int rc;

	if (!number(s, PLACE_OF, 1, n))
		return history_store_failed(s);
	rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW) {
		place = sqlite3_column_int64(statement, 2);
		name = (const char *)sqlite3_column_text(statement, 1);
		if (sqlite3_column_int(statement, 0) == HISTORY_PAIR && name &&
		    people_of(name, (size_t)sqlite3_column_bytes(statement, 1), &people))
			result = remove_mail(s, &people, n);
	} else if (rc != SQLITE_DONE)
		result = history_store_failed(s);
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
	if (result != STORE_OK)
		return result;
	if (!number(s, REMOVE_MESSAGE, 1, n) || !number(s, REMOVE_PLACE, 1, (uint64_t)place))
		return history_store_failed(s);
	result = run(s, REMOVE_MESSAGE);
	/* who writes to ever new rooms must not leave their names behind */
	return result == STORE_OK ? run(s, REMOVE_PLACE) : result;
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
			return history_store_failed(s);
		return collect(s, OLDEST, list, count, HISTORY_TRIM_ROWS);
	}
	first_id(before_ms, before);
	if (!text(s, OLD, 1, before, ULID_LEN) || !number(s, OLD, 2, HISTORY_TRIM_ROWS))
		return history_store_failed(s);
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
		result = number(s, REMOVE_SETTLED, 1, list[0]) ? run(s, REMOVE_SETTLED) : history_store_failed(s);
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
