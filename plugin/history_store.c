/*
 * history_store.c - the history's database: what is written into it, forgotten in it and looked up for
 * the broker. What is removed for its age or number: history_trim.c.
 */
#include "history_store_inner.h"

#include "common/json.h"

#include <string.h>

const char *const history_store_texts[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [FIND_PLACE] = "SELECT place FROM places WHERE kind=?1 AND name=?2",
    [ADD_PLACE] = "INSERT INTO places(kind,name) VALUES(?1,?2)",
    [FIND_USER] = "SELECT user FROM users WHERE address=?1",
    [ADD_USER] = "INSERT INTO users(address) VALUES(?1)",
    [ADD_MESSAGE] = "INSERT INTO messages(n,id,place,ref,body,late) VALUES(?1,?2,?3,?4,?5,?6)",
    [ADD_MAIL] = "INSERT OR IGNORE INTO mailbox(user,n) VALUES(?1,?2)",
    [SET_PROGRESS] = "UPDATE progress SET n=?1 WHERE n<?1",
    [FIND_ID] = "SELECT m.n,p.kind,p.name FROM messages m JOIN places p USING(place) WHERE m.id=?1",
    [MOVE_MESSAGE] = "UPDATE messages SET n=?2,late=2 WHERE n=?1",
    [MOVE_MAIL] = "UPDATE OR REPLACE mailbox SET n=?3 WHERE user=?1 AND n=?2",
    [FIND_TEXT] =
        ("SELECT m.n,p.kind,p.name,m.body FROM messages m JOIN places p USING(place) WHERE m.id=?1 AND "
         "m.body<>''"),
    [FORGET_TEXT] = "UPDATE messages SET body='' WHERE n=?1",
    [RECENT] = "SELECT id,ref,body FROM messages WHERE id>=?1 AND ref IS NOT NULL ORDER BY id",
    [UNRELEASED] = "SELECT body FROM messages WHERE late=1 AND id>=?1 ORDER BY id",
    [OLD] = "SELECT n FROM messages WHERE id<?1 ORDER BY id LIMIT ?2",
    [OLDEST] = "SELECT n FROM messages ORDER BY n LIMIT ?1",
    [PLACE_OF] = "SELECT p.kind,p.name,p.place FROM messages m JOIN places p USING(place) WHERE m.n=?1",
    [REMOVE_MESSAGE] = "DELETE FROM messages WHERE n=?1",
    [REMOVE_MAIL] = "DELETE FROM mailbox WHERE user=?1 AND n=?2",
    [REMOVE_PLACE] =
        "DELETE FROM places WHERE place=?1 AND NOT EXISTS(SELECT 1 FROM messages WHERE place=?1)",
    [SETTLE] = "INSERT OR REPLACE INTO settled(n,upto) VALUES(?1,?2)",
    [SETTLE_FIRST] = "INSERT INTO settled(n,upto) SELECT ?1,?2 WHERE NOT EXISTS(SELECT 1 FROM settled)",
    [FORGET_SETTLED] = "DELETE FROM settled",
    [REMOVE_SETTLED] = "DELETE FROM settled WHERE n<(SELECT max(n) FROM settled WHERE n<=?1)",
    [NEWEST_IDS] = "SELECT id,n FROM (SELECT id,n FROM messages ORDER BY n DESC LIMIT ?1) ORDER BY n",
    [REMOVE_USER] = "DELETE FROM users WHERE user=?1 AND NOT EXISTS(SELECT 1 FROM mailbox WHERE user=?1)",
};

/* Which kind of failure this is; and keeps its text. */
enum store_result history_store_failed(struct history_store *s)
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

static enum store_result place_of(struct history_store *s, const struct history_message *m,
                                  sqlite3_int64 *place)
{
	enum store_result result;
	bool found = false;

	if (!number(s, FIND_PLACE, 1, m->kind) || !text(s, FIND_PLACE, 2, m->place, m->place_len))
		return history_store_failed(s);
	result = look_up(s, FIND_PLACE, place, &found);
	if (result != STORE_OK || found)
		return result;
	if (!number(s, ADD_PLACE, 1, m->kind) || !text(s, ADD_PLACE, 2, m->place, m->place_len))
		return history_store_failed(s);
	result = run(s, ADD_PLACE);
	*place = sqlite3_last_insert_rowid(s->db);
	return result;
}

static enum store_result user_of(struct history_store *s, const char *address, size_t len,
                                 sqlite3_int64 *user)
{
	bool found = false;
	enum store_result result = find_user(s, address, len, user, &found);

	if (result != STORE_OK || found)
		return result;
	if (!text(s, ADD_USER, 1, address, len))
		return history_store_failed(s);
	result = run(s, ADD_USER);
	*user = sqlite3_last_insert_rowid(s->db);
	return result;
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
			return history_store_failed(s);
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
		return history_store_failed(s);
	rc = sqlite3_step(statement);
	if (rc == SQLITE_DONE)
		return STORE_OK;
	if (rc != SQLITE_ROW)
		return history_store_failed(s);
	*n = (uint64_t)sqlite3_column_int64(statement, 0);
	if (sqlite3_column_int(statement, 1) != HISTORY_PAIR)
		return STORE_OK;
	people->name[0] = (const char *)sqlite3_column_text(statement, 2);
	if (!people->name[0])
		return history_store_failed(s);
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

	same = locate(s, m->id, &n, &pair, &people) == STORE_OK && (n == m->n || (m->relayed && n > 0));
	located(s);
	return same;
}

enum store_result history_store_insert(struct history_store *s, const struct history_message *m)
{
	enum store_result result;
	sqlite3_int64 place = 0;
	char why[HISTORY_WHY_MAX];

	if (m->n > s->highest)
		s->highest = m->n;
	result = place_of(s, m, &place);
	if (result != STORE_OK)
		return result;
	if (!number(s, ADD_MESSAGE, 1, m->n) || !text(s, ADD_MESSAGE, 2, m->id, ULID_LEN) ||
	    !number(s, ADD_MESSAGE, 3, (uint64_t)place) ||
	    (m->ref && !text(s, ADD_MESSAGE, 4, m->ref, m->ref_len)) ||
	    !text(s, ADD_MESSAGE, 5, m->body, m->body_len) || !number(s, ADD_MESSAGE, 6, m->late))
		return history_store_failed(s);
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
			return history_store_failed(s);
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

	if (n > s->highest)
		s->highest = n;
	result = locate(s, id, &old, &pair, &people);
	if (result == STORE_OK && old == 0) {
		explain(s->error, "a message that was released is not there (any more)");
		result = STORE_NEVER;
	}
	if (result == STORE_OK && old != n) {
		result = number(s, MOVE_MESSAGE, 1, old) && number(s, MOVE_MESSAGE, 2, n) ? run(s, MOVE_MESSAGE)
		                                                                          : history_store_failed(s);
		if (result == STORE_OK && pair)
			result = move_mail(s, &people, old, n);
	}
	located(s);
	return result;
}

enum store_result history_store_settle(struct history_store *s, uint64_t n, uint64_t upto)
{
	return number(s, SETTLE, 1, n) && number(s, SETTLE, 2, upto) ? run(s, SETTLE) : history_store_failed(s);
}

enum store_result history_store_settle_start(struct history_store *s, bool peers)
{
	if (!peers)
		return run(s, FORGET_SETTLED);
	return number(s, SETTLE_FIRST, 1, s->newest + 1) && number(s, SETTLE_FIRST, 2, s->newest)
	           ? run(s, SETTLE_FIRST)
	           : history_store_failed(s);
}

enum store_result history_store_ids(struct history_store *s, uint64_t max,
                                    void (*each)(void *arg, const char *id, uint64_t n), void *arg)
{
	sqlite3_stmt *statement = s->statements[NEWEST_IDS];
	enum store_result result = STORE_OK;
	const char *id;
	int rc;

	if (!number(s, NEWEST_IDS, 1, max))
		return history_store_failed(s);
	while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
		id = (const char *)sqlite3_column_text(statement, 0);
		if (id && ulid_valid(id, strlen(id)))
			each(arg, id, (uint64_t)sqlite3_column_int64(statement, 1));
	}
	if (rc != SQLITE_DONE)
		result = history_store_failed(s);
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
	return result;
}

/* Fills *out and *n from the row; *n stays 0 where there is none. */
static enum store_result find_text(struct history_store *s, struct history_forgotten *out, uint64_t *n)
{
	sqlite3_stmt *statement = s->statements[FIND_TEXT];
	enum store_result result = STORE_OK;
	const char *name, *body;
	int rc;

	if (!text(s, FIND_TEXT, 1, out->id, ULID_LEN))
		return history_store_failed(s);
	rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW) {
		*n = (uint64_t)sqlite3_column_int64(statement, 0);
		out->kind = sqlite3_column_int(statement, 1) == HISTORY_PAIR ? HISTORY_PAIR : HISTORY_ROOM;
		name = (const char *)sqlite3_column_text(statement, 2);
		body = (const char *)sqlite3_column_text(statement, 3);
		if (name && body && strlen(name) <= HISTORY_PLACE_MAX) {
			memcpy(out->place, name, strlen(name) + 1);
			json_member_text(body, (size_t)sqlite3_column_bytes(statement, 3), "to", out->to,
			                 IDENTITY_MAX + 1);
			out->found = true;
		}
	} else if (rc != SQLITE_DONE)
		result = history_store_failed(s);
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
	return result;
}

enum store_result history_store_forget(struct history_store *s, struct history_forgotten *out)
{
	uint64_t n = 0;
	enum store_result result = find_text(s, out, &n);

	/* found stays as it is: a commit may have failed only in what it answered */
	if (result != STORE_OK || n == 0)
		return result;
	/* pages that become free are overwritten, not only given back; not so for what is merely old */
	if (sqlite3_exec(s->db, "PRAGMA secure_delete=ON", NULL, NULL, NULL) != SQLITE_OK ||
	    !number(s, FORGET_TEXT, 1, n))
		return history_store_failed(s);
	result = run(s, FORGET_TEXT);
	(void)sqlite3_exec(s->db, "PRAGMA secure_delete=OFF", NULL, NULL, NULL);
	return result;
}

void history_store_wipe_log(struct history_store *s)
{
	(void)sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
}

enum store_result history_store_begin(struct history_store *s)
{
	s->added = 0;
	return run(s, BEGIN);
}

enum store_result history_store_commit(struct history_store *s)
{
	enum store_result result;

	if (!number(s, SET_PROGRESS, 1, s->highest))
		return history_store_failed(s);
	result = run(s, SET_PROGRESS);
	if (result == STORE_OK)
		result = run(s, COMMIT);
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
		return history_store_failed(s);
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
		result = history_store_failed(s);
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
	return result;
}

enum store_result history_store_unreleased(struct history_store *s, uint64_t since_ms,
                                           void (*each)(void *arg, const char *body, size_t len), void *arg)
{
	sqlite3_stmt *statement = s->statements[UNRELEASED];
	enum store_result result = STORE_OK;
	char since[ULID_LEN + 1];
	const char *body;
	int rc;

	first_id(since_ms, since);
	if (!text(s, UNRELEASED, 1, since, ULID_LEN))
		return history_store_failed(s);
	while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
		body = (const char *)sqlite3_column_text(statement, 0);
		if (body)
			each(arg, body, (size_t)sqlite3_column_bytes(statement, 0));
	}
	if (rc != SQLITE_DONE)
		result = history_store_failed(s);
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
	return result;
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
