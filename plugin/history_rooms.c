/*
 * history_rooms.c - the history's database: rooms as places that have messages, and may get another name.
 *
 * Both are asked seldom, so their statements are made for the occasion.
 */
#include "history_store_inner.h"

struct texts {
	const char *at;
	size_t len;
};

/* Runs a statement with these texts as ?1, ?2; *value (may be NULL) is its number, 0 where it gives none. */
static enum store_result ask(struct history_store *s, const char *sql, const struct texts *texts, int count,
                             sqlite3_int64 *value)
{
	sqlite3_stmt *statement = NULL;
	enum store_result result = STORE_OK;
	int i, rc = sqlite3_prepare_v2(s->db, sql, -1, &statement, NULL);

	for (i = 0; i < count && rc == SQLITE_OK; i++)
		rc = sqlite3_bind_text(statement, i + 1, texts[i].at, (int)texts[i].len, SQLITE_STATIC);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW && value)
		*value = sqlite3_column_int64(statement, 0);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		result = history_store_failed(s);
	(void)sqlite3_finalize(statement); /* repeats the error of its step */
	return result;
}

static enum store_result find(struct history_store *s, const struct texts *name, bool *found)
{
	sqlite3_int64 n = 0;
	enum store_result result = ask(s, "SELECT count(*) FROM places WHERE kind=0 AND name=?1", name, 1, &n);

	*found = n > 0;
	return result;
}

enum store_result history_store_find_room(struct history_store *s, const char *room, size_t len, bool *found)
{
	const struct texts name = {room, len};

	return find(s, &name, found);
}

enum store_result history_store_rename_room(struct history_store *s, uint64_t n, const char *from,
                                            size_t from_len, const char *to, size_t to_len)
{
	const struct texts names[2] = {{from, from_len}, {to, to_len}};
	enum store_result result;
	bool taken = false;

	if (n > s->highest)
		s->highest = n;
	result = find(s, &names[1], &taken);
	if (result != STORE_OK)
		return result;
	if (!taken)
		return ask(s, "UPDATE places SET name=?2 WHERE kind=0 AND name=?1", names, 2, NULL);
	result = ask(s,
	             "UPDATE messages SET place=(SELECT place FROM places WHERE kind=0 AND name=?2) "
	             "WHERE place=(SELECT place FROM places WHERE kind=0 AND name=?1)",
	             names, 2, NULL);
	return result == STORE_OK ? ask(s, "DELETE FROM places WHERE kind=0 AND name=?1", names, 1, NULL)
	                          : result;
}
