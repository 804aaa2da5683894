/* history_db.c - see history_db.h */
#include "bridge/history_db.h"
#include "common/canonical_room.h"
#include "common/json.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BUSY_MS 200 /* readers wait for nobody in WAL mode but for a moment of recovery */
#define ERROR_MAX 256

enum statement {
	S_NEWEST,
	S_OLDEST,
	S_PLACE,
	S_USER,
	S_ID,
	S_ID_AT_MOST,
	S_ID_AT_LEAST,
	S_SETTLED,
	S_ROOM_FORWARD,
	S_MAILBOX_FORWARD,
	S_ROOM_BACKWARD,
	S_MAILBOX_BACKWARD,
	S_ROOM_SKIP,
	S_MAILBOX_SKIP,
	STATEMENTS
};

#define MAILBOX_RANGE                                                                                        \
	"SELECT b.n, m.body FROM mailbox b JOIN messages m ON m.n=b.n WHERE b.user=?1 AND b.n>?2 AND b.n<=?3 "   \
	"AND m.body<>''"

/* A message that a moderator has deleted has an empty body. ?1 place or user, ?2 above this number, ?3 up to
 * that one, ?4 how many */
static const char *const sql[STATEMENTS] = {
    [S_NEWEST] = "SELECT n FROM progress",
    [S_OLDEST] = "SELECT min(n) FROM messages",
    [S_PLACE] = "SELECT place FROM places WHERE kind=?1 AND name=?2",
    [S_USER] = "SELECT user FROM users WHERE address=?1",
    [S_ID] = "SELECT n FROM messages WHERE id=?1",
    [S_ID_AT_MOST] = "SELECT n FROM messages WHERE id<=?1 AND late<>2 ORDER BY id DESC LIMIT 1",
    [S_ID_AT_LEAST] = "SELECT n FROM messages WHERE id>=?1 ORDER BY id LIMIT 1",
    [S_SETTLED] = "SELECT upto FROM settled WHERE n<=?1 ORDER BY n DESC LIMIT 1",
    [S_ROOM_FORWARD] =
        "SELECT n, body FROM messages WHERE place=?1 AND n>?2 AND n<=?3 AND body<>'' ORDER BY n LIMIT ?4",
    [S_MAILBOX_FORWARD] = (MAILBOX_RANGE " ORDER BY b.n LIMIT ?4"),
    [S_ROOM_BACKWARD] = ("SELECT n, body FROM messages WHERE place=?1 AND n>?2 AND n<=?3 AND body<>'' ORDER "
                         "BY n DESC LIMIT ?4"),
    [S_MAILBOX_BACKWARD] = (MAILBOX_RANGE " ORDER BY b.n DESC LIMIT ?4"),
    [S_ROOM_SKIP] =
        "SELECT n FROM messages WHERE place=?1 AND n>?2 AND n<=?3 ORDER BY n DESC LIMIT 1 OFFSET ?4",
    [S_MAILBOX_SKIP] =
        "SELECT n FROM mailbox WHERE user=?1 AND n>?2 AND n<=?3 ORDER BY n DESC LIMIT 1 OFFSET ?4",
};

struct history_db {
	const char *path;
	sqlite3 *sqlite; /* NULL until it could be opened */
	sqlite3_stmt *statements[STATEMENTS];
	struct stat file; /* which it was */
	char error[ERROR_MAX];
};

/* ---- the connection ------------------------------------------------------------------------ */

struct history_db *history_db_new(const char *path)
{
	struct history_db *db = calloc(1, sizeof *db);
	if (db != NULL)
		db->path = path;
	return db;
}

static void close_db(struct history_db *db)
{
	for (int i = 0; i < STATEMENTS; i++) {
		(void)sqlite3_finalize(db->statements[i]); /* repeats the error of its last step */
		db->statements[i] = NULL;
	}
	(void)sqlite3_close(db->sqlite); /* nothing is left that could hold it open */
	db->sqlite = NULL;
}

void history_db_free(struct history_db *db)
{
	if (db == NULL)
		return;
	close_db(db);
	free(db);
}

const char *history_db_error(const struct history_db *db)
{
	return db->error;
}

/* Keeps the reason and lets go of the connection: the next question opens it anew. */
static enum history_status fail(struct history_db *db, const char *reason)
{
	(void)snprintf(db->error, sizeof db->error, "%s", reason != NULL ? reason : sqlite3_errmsg(db->sqlite));
	close_db(db);
	return HISTORY_FAILED;
}

/* False when it cannot be read. */
static bool read_version(struct history_db *db, int *out)
{
	sqlite3_stmt *stmt = NULL;
	bool there = sqlite3_prepare_v2(db->sqlite, "PRAGMA user_version", -1, &stmt, NULL) == SQLITE_OK &&
	             sqlite3_step(stmt) == SQLITE_ROW;
	if (there)
		*out = sqlite3_column_int(stmt, 0);
	(void)sqlite3_finalize(stmt); /* repeats the error of its step */
	return there;
}

/* The plugin makes a new file where somebody has taken the old one away: what is open must be what the path
 * says. */
static bool in_place(const struct history_db *db)
{
	struct stat now;
	return stat(db->path, &now) == 0 && now.st_dev == db->file.st_dev && now.st_ino == db->file.st_ino;
}

bool history_db_open(struct history_db *db)
{
	if (db->sqlite != NULL && in_place(db))
		return true;
	close_db(db);
	if (stat(db->path, &db->file) != 0) {
		(void)fail(db, strerror(errno));
		return false;
	}
	int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX;
	if (sqlite3_open_v2(db->path, &db->sqlite, flags, NULL) != SQLITE_OK ||
	    sqlite3_busy_timeout(db->sqlite, BUSY_MS) != SQLITE_OK) {
		(void)fail(db, db->sqlite == NULL ? "out of memory" : NULL);
		return false;
	}
	int version;
	if (!read_version(db, &version)) {
		(void)fail(db, NULL);
		return false;
	}
	if (version != HISTORY_USER_VERSION) {
		(void)fail(db, "it is of another version");
		return false;
	}
	for (int i = 0; i < STATEMENTS; i++) {
		if (sqlite3_prepare_v3(db->sqlite, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &db->statements[i], NULL) !=
		    SQLITE_OK) {
			(void)fail(db, NULL);
			return false;
		}
	}
	return true;
}

/* ---- single numbers ------------------------------------------------------------------------- */

enum found { FOUND, NOT_FOUND, BROKEN };

/* Runs a statement that gives at most one number, and resets it. */
static enum found one_number(sqlite3_stmt *stmt, uint64_t *out)
{
	int rc = sqlite3_step(stmt);
	bool there = rc == SQLITE_ROW && sqlite3_column_type(stmt, 0) == SQLITE_INTEGER;
	if (there)
		*out = (uint64_t)sqlite3_column_int64(stmt, 0);
	int reset = sqlite3_reset(stmt);
	if ((rc != SQLITE_ROW && rc != SQLITE_DONE) || reset != SQLITE_OK)
		return BROKEN;
	return there ? FOUND : NOT_FOUND;
}

static bool bind_text(sqlite3_stmt *stmt, int which, const char *text)
{
	return sqlite3_bind_text(stmt, which, text, -1, SQLITE_STATIC) == SQLITE_OK;
}

static enum found number_of_text(struct history_db *db, enum statement which, const char *text, uint64_t *out)
{
	sqlite3_stmt *stmt = db->statements[which];
	return bind_text(stmt, 1, text) ? one_number(stmt, out) : BROKEN;
}

/* The key by which the rows of a place are found. */
static enum found key_of(struct history_db *db, const struct history_place *place, uint64_t *out)
{
	if (place->kind == VIEW_MAILBOX)
		return number_of_text(db, S_USER, place->name, out);
	sqlite3_stmt *stmt = db->statements[S_PLACE];
	int kind = place->kind == VIEW_ROOM ? HISTORY_ROOM : HISTORY_PAIR;
	if (sqlite3_bind_int(stmt, 1, kind) != SQLITE_OK || !bind_text(stmt, 2, place->name))
		return BROKEN;
	return one_number(stmt, out);
}

static bool bind_range(sqlite3_stmt *stmt, uint64_t key, uint64_t above, uint64_t upto, uint32_t limit)
{
	return sqlite3_bind_int64(stmt, 1, (sqlite3_int64)key) == SQLITE_OK &&
	       sqlite3_bind_int64(stmt, 2, (sqlite3_int64)above) == SQLITE_OK &&
	       sqlite3_bind_int64(stmt, 3, (sqlite3_int64)upto) == SQLITE_OK &&
	       sqlite3_bind_int64(stmt, 4, limit) == SQLITE_OK;
}

/* ---- replays -------------------------------------------------------------------------------- */

/* The number of a message; where there is none with this id (NOT_FOUND), one before all whose ids are
 * greater, and before those released late, which have an older id than their neighbours: rather something
 * twice than something missing. (A broker that was killed may have lost this very id, and what it had from
 * before is released first when it is back.) */
static enum found number_of_id(struct history_db *db, const char *id, uint64_t *out)
{
	uint64_t next;
	enum found found = number_of_text(db, S_ID, id, out);
	if (found != NOT_FOUND)
		return found;
	*out = 0;
	if (number_of_text(db, S_ID_AT_MOST, id, out) == BROKEN)
		return BROKEN;
	found = number_of_text(db, S_ID_AT_LEAST, id, &next);
	if (found == FOUND && next <= *out)
		*out = next - 1;
	return found == BROKEN ? BROKEN : NOT_FOUND;
}

/* With other nodes: whoever saw this message there may have missed what had come here before it. What was
 * everywhere when it came here, they have. */
static bool step_back(struct history_db *db, struct history_replay *r, bool exact)
{
	sqlite3_stmt *stmt = db->statements[S_SETTLED];
	uint64_t upto;
	if (sqlite3_bind_int64(stmt, 1, (sqlite3_int64)r->cursor) != SQLITE_OK)
		return false;
	enum found found = one_number(stmt, &upto);
	if (found == FOUND && upto < r->cursor) {
		r->known = exact ? r->cursor : 0;
		r->cursor = upto;
		r->settled = true;
	}
	return found != BROKEN;
}

/* Where a replay begins: r->cursor. False when the database cannot be read. */
static bool find_start(struct history_db *db, struct history_replay *r, uint64_t key)
{
	enum found found = number_of_id(db, r->since, &r->cursor);
	r->complete = found == FOUND;
	if (found == BROKEN || !step_back(db, r, found == FOUND))
		return false;
	/* the newest REPLAY_MAX: what is before them is skipped */
	sqlite3_stmt *stmt = db->statements[r->place.kind == VIEW_MAILBOX ? S_MAILBOX_SKIP : S_ROOM_SKIP];
	uint64_t skip;
	if (!bind_range(stmt, key, r->cursor, r->upto, REPLAY_MAX))
		return false;
	found = one_number(stmt, &skip);
	if (found == FOUND) {
		r->cursor = skip;
		r->complete = false;
	}
	return found != BROKEN;
}

/* Has something been trimmed of what was to be read? The oldest goes first, so not while anything is there up
 * to where it was read from (settled numbers are of no message's own: there, to the next). */
static bool check_trimmed(struct history_db *db, struct history_replay *r, uint64_t from)
{
	uint64_t oldest = UINT64_MAX;
	if (one_number(db->statements[S_OLDEST], &oldest) == BROKEN)
		return false;
	r->complete &= oldest <= from;
	return true;
}

/* A message whose room was renamed has the old name in it still. */
struct said {
	const void *at; /* what is given: the row's, or renamed */
	size_t len;
	char *renamed; /* from malloc; NULL: the row names the room as it is called now */
};

/* False when out of memory. */
static bool say(const struct history_place *place, const void *body, size_t len, struct said *out)
{
	size_t room_len = strlen(place->name);
	*out = (struct said){body, len, NULL};
	if (place->kind != VIEW_ROOM || body == NULL || !canonical_room_differs(body, len, place->name, room_len))
		return true;
	out->renamed = malloc(len + room_len);
	if (out->renamed == NULL)
		return false;
	out->len = canonical_room_put(body, len, place->name, room_len, out->renamed);
	out->at = out->renamed;
	return true;
}

/* Reads rows into r->frames until the page is full. */
static bool read_frames(struct history_db *db, struct history_replay *r, uint64_t key)
{
	sqlite3_stmt *stmt = db->statements[r->place.kind == VIEW_MAILBOX ? S_MAILBOX_FORWARD : S_ROOM_FORWARD];
	if (!bind_range(stmt, key, r->cursor, r->upto, REPLAY_MAX))
		return false;
	int rc;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		if ((uint64_t)sqlite3_column_int64(stmt, 0) == r->known)
			continue;
		const void *body = sqlite3_column_blob(stmt, 1);
		struct said said;
		if (!say(&r->place, body, body != NULL ? (size_t)sqlite3_column_bytes(stmt, 1) : 0, &said)) {
			rc = SQLITE_NOMEM;
			break;
		}
		size_t need = frame_size(said.len);
		if (r->frames == NULL)
			r->frames = chunk_new(need > r->page_bytes ? need : r->page_bytes);
		bool fits = r->frames != NULL && chunk_append_frame(r->frames, FRAME_TEXT, said.at, said.len);
		free(said.renamed);
		if (r->frames == NULL) {
			rc = SQLITE_NOMEM;
			break;
		}
		if (!fits) {
			r->more = true;
			rc = SQLITE_DONE;
			break;
		}
		r->cursor = (uint64_t)sqlite3_column_int64(stmt, 0);
		r->count++;
	}
	return sqlite3_reset(stmt) == SQLITE_OK && rc == SQLITE_DONE;
}

enum history_status history_db_replay(struct history_db *db, struct history_replay *r)
{
	r->frames = NULL;
	r->count = 0;
	r->more = false;
	if (!history_db_open(db))
		return HISTORY_FAILED;
	uint64_t key = 0;
	if (r->reached < r->upto) {
		if (one_number(db->statements[S_NEWEST], &r->reached) == BROKEN)
			return fail(db, NULL);
		if (r->reached < r->upto && !r->impatient)
			return HISTORY_BEHIND;
	}
	enum found found = key_of(db, &r->place, &key);
	if (found == BROKEN)
		return fail(db, NULL);
	/* a place without messages has no key; whether since is known is still to be said */
	if (!r->started && !find_start(db, r, key))
		return fail(db, NULL);
	r->started = true;
	if (r->reached < r->upto)
		r->complete = false;
	uint64_t before = r->cursor;
	if ((found == FOUND && !read_frames(db, r, key)) || !check_trimmed(db, r, before + r->settled)) {
		/* nothing of this page is given */
		chunk_release(r->frames);
		r->frames = NULL;
		r->count = 0;
		r->more = false;
		r->cursor = before;
		return fail(db, NULL);
	}
	return HISTORY_DONE;
}

/* ---- pages ---------------------------------------------------------------------------------- */

struct row {
	char *text;
	size_t len;
};

struct span {
	const char *at;
	size_t len;
};

/* A message as the original service's front end knows it; the strings pass as they are, escapes and all. */
static bool original_form(const char *pair, const char *body, size_t len, struct row *out)
{
	static const char *const names[] = {"sender", "to", "message", "timestamp"};
	struct span found[4] = {{NULL, 0}};
	struct json_reader reader;
	struct json_member m;
	json_reader_start(&reader, body, len);
	while (json_reader_next(&reader, &m) == JSON_MEMBER)
		for (int i = 0; i < 4; i++)
			if (m.type == JSON_STRING && json_span_equals(m.key, m.key_len, m.key_escaped, names[i]))
				found[i] = (struct span){m.value, m.value_len};
	size_t pair_len = strlen(pair);
	size_t size = 96 + json_escaped_size(pair, pair_len);
	for (int i = 0; i < 4; i++)
		size += found[i].len;
	if ((out->text = malloc(size)) == NULL)
		return false;
	char *at = stpcpy(out->text, "{\"chat_id\":\"");
	at = json_escape(pair, pair_len, at);
	static const char *const keys[] = {"\",\"sender_id\":\"", "\",\"receiver_id\":\"", "\",\"message\":\"",
	                                   "\",\"timestamp\":\""};
	for (int i = 0; i < 4; i++) {
		at = stpcpy(at, keys[i]);
		if (found[i].len > 0)
			memcpy(at, found[i].at, found[i].len);
		at += found[i].len;
	}
	*at++ = '"';
	*at++ = '}';
	out->len = (size_t)(at - out->text);
	return true;
}

static bool take_row(const struct history_page *p, const char *body, size_t len, struct row *out)
{
	struct said said;
	if (p->form == HISTORY_ORIGINAL)
		return original_form(p->place.name, body, len, out);
	if (!say(&p->place, body, len, &said))
		return false;
	if (said.renamed != NULL) {
		*out = (struct row){said.renamed, said.len};
		return true;
	}
	if ((out->text = malloc(len > 0 ? len : 1)) == NULL)
		return false;
	if (len > 0)
		memcpy(out->text, body, len);
	out->len = len;
	return true;
}

static bool join_rows(struct history_page *p, const struct row *rows, uint32_t count, bool backward)
{
	size_t size = 1;
	for (uint32_t i = 0; i < count; i++)
		size += rows[i].len + 1;
	char *at = p->messages = malloc(size);
	if (at == NULL)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		const struct row *row = &rows[backward ? count - 1 - i : i];
		if (i > 0)
			*at++ = ',';
		memcpy(at, row->text, row->len);
		at += row->len;
	}
	p->len = (size_t)(at - p->messages);
	return true;
}

/* Numbers between which the page lies: above, and up to. */
static bool find_range(struct history_db *db, const struct history_page *p, uint64_t *above, uint64_t *upto)
{
	*above = 0;
	*upto = INT64_MAX;
	if (p->after[0] != '\0' && number_of_id(db, p->after, above) == BROKEN)
		return false;
	if (p->before[0] != '\0') {
		uint64_t n;
		enum found found = number_of_text(db, S_ID_AT_LEAST, p->before, &n);
		if (found == BROKEN)
			return false;
		if (found == FOUND)
			*upto = n - 1;
	}
	return true;
}

static bool read_rows(struct history_db *db, struct history_page *p, uint64_t key)
{
	uint64_t above, upto;
	bool backward = p->before[0] != '\0' || p->after[0] == '\0';
	bool mailbox = p->place.kind == VIEW_MAILBOX;
	sqlite3_stmt *stmt = db->statements[backward ? (mailbox ? S_MAILBOX_BACKWARD : S_ROOM_BACKWARD)
	                                             : (mailbox ? S_MAILBOX_FORWARD : S_ROOM_FORWARD)];
	if (!find_range(db, p, &above, &upto) || !bind_range(stmt, key, above, upto, p->limit + 1))
		return false;
	struct row rows[HISTORY_LIMIT_MAX];
	uint32_t count = 0;
	size_t bytes = 0;
	int rc;
	p->complete = true;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		const void *body = sqlite3_column_blob(stmt, 1);
		size_t len = body != NULL ? (size_t)sqlite3_column_bytes(stmt, 1) : 0;
		if (count == p->limit || (count > 0 && bytes + len > HISTORY_PAGE_BYTES)) {
			p->complete = false;
			rc = SQLITE_DONE;
			break;
		}
		if (!take_row(p, body, len, &rows[count])) {
			rc = SQLITE_NOMEM;
			break;
		}
		bytes += rows[count++].len;
	}
	bool fine = sqlite3_reset(stmt) == SQLITE_OK && rc == SQLITE_DONE && join_rows(p, rows, count, backward);
	for (uint32_t i = 0; i < count; i++)
		free(rows[i].text);
	return fine;
}

enum history_status history_db_page(struct history_db *db, struct history_page *p)
{
	p->messages = NULL;
	p->len = 0;
	p->complete = true;
	if (!history_db_open(db))
		return HISTORY_FAILED;
	uint64_t key;
	if (one_number(db->statements[S_NEWEST], &p->reached) == BROKEN)
		return fail(db, NULL);
	if (p->reached < p->upto && !p->impatient)
		return HISTORY_BEHIND;
	enum found found = key_of(db, &p->place, &key);
	if (found == BROKEN || (found == FOUND && !read_rows(db, p, key)))
		return fail(db, NULL);
	return HISTORY_DONE;
}

/* ---- pairs ---------------------------------------------------------------------------------- */

bool history_pair_parse(const char *name, size_t len, struct identity *a, struct identity *b)
{
	size_t second = history_pair_second(name, len);
	return second > 0 && identity_parse(name, second - 1, a) &&
	       identity_parse(name + second, len - second, b);
}
