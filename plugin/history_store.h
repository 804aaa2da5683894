/*
 * history_store.h - the history's database: one SQLite file, written here, shortened by history_trim.h, and
 * by nobody else.
 *
 * A struct history_store belongs to one thread at a time. Nothing here calls the broker or logs; every call
 * may wait for the disk, and up to busy_ms for somebody else who holds the database. Who made a transaction
 * fail rolls it back: after any result but STORE_OK and STORE_NEVER the caller does.
 *
 * The file is made with mode 0600 and held with flock, so that no second broker writes into it.
 */
#ifndef CHAT_HISTORY_STORE_H
#define CHAT_HISTORY_STORE_H

#include "common/history_schema.h"
#include "common/identity.h"
#include "common/ulid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTORY_WHY_MAX 256

enum store_result {
	STORE_OK,
	STORE_BUSY,  /* somebody else holds the database */
	STORE_FAULT, /* disk full, an I/O error, out of memory: may pass */
	STORE_NEVER  /* this row will never get in; the transaction goes on */
};

struct history_store;

struct history_store_config {
	const char *path;
	bool sync; /* a commit returns when the disk has it, not only the kernel */
	uint32_t busy_ms;
};

/* A message as it is kept. All is borrowed for the call. */
struct history_message {
	uint64_t n;
	const char *id; /* ULID_LEN bytes */
	enum history_kind kind;
	const char *place; /* name of the place */
	size_t place_len;
	const char *ref; /* NULL for none */
	size_t ref_len;
	const char *body;
	size_t body_len;
	bool late;    /* QoS 2: it will be renumbered when it is released */
	bool relayed; /* of another node: one that stands there already under any n is well */
};

/* Where a message was whose text has been forgotten. */
struct history_forgotten {
	char id[ULID_LEN + 1];
	bool found;
	enum history_kind kind;
	char place[HISTORY_PLACE_MAX + 1]; /* name of the place */
	char to[IDENTITY_MAX + 1];         /* HISTORY_PAIR: the recipient */
};

/* What a recent message with a reference was. Borrowed for the call. */
struct history_recent {
	struct identity sender;
	const char *ref;
	size_t ref_len;
	char id[ULID_LEN + 1];
};

/* Opens the file, or makes it. NULL, and why (what follows "<path>: ") when it cannot be had, is no such
 * database, or one of a newer version. */
struct history_store *history_store_open(const struct history_store_config *config,
                                         char why[HISTORY_WHY_MAX]);

/* NULL is allowed. What was not committed is not in it. */
void history_store_close(struct history_store *store);

/* The largest n that was ever given, the id of the message with the largest n that is there, and the largest
 * of all ids. 0 and "" where there is none. As of opening. */
uint64_t history_store_newest(const struct history_store *store, char id[ULID_LEN + 1]);
const char *history_store_newest_id(const struct history_store *store);

/* Calls back for each message since then (ms since 1970, by its id) that has a reference, in the order of
 * ids. */
enum store_result history_store_recent(struct history_store *store, uint64_t since_ms,
                                       void (*each)(void *arg, const struct history_recent *recent),
                                       void *arg);

/* Calls back for each message since then that was late and has not been renumbered, in the order of ids. body
 * is canonical and borrowed for the call. */
enum store_result history_store_unreleased(struct history_store *store, uint64_t since_ms,
                                           void (*each)(void *arg, const char *body, size_t len), void *arg);

enum store_result history_store_begin(struct history_store *store);

/* A message that stands there already under this n and this id is well. */
enum store_result history_store_insert(struct history_store *store, const struct history_message *m);

/* The message with this id gets another n. STORE_NEVER where there is none, or n is taken. */
enum store_result history_store_renumber(struct history_store *store, const char *id, uint64_t n);

/* From the number n on, everything up to upto is everywhere (HISTORY_SETTLED). */
enum store_result history_store_settle(struct history_store *store, uint64_t n, uint64_t upto);

/* peers: what is there now counts as settled, unless something else is known. Else nothing is known. Not
 * inside a transaction. */
enum store_result history_store_settle_start(struct history_store *store, bool peers);

/* Calls back for the newest messages, max of them, in the order of n. */
enum store_result history_store_ids(struct history_store *store, uint64_t max,
                                    void (*each)(void *arg, const char *id, uint64_t n), void *arg);
/* Takes the text of the message out->id away, so that nothing of it stays in the database; its row stays, for
 * others refer to it. out->found (false before) tells whether there was one. */
enum store_result history_store_forget(struct history_store *store, struct history_forgotten *out);

/* Has this room any messages? (history_rooms.c, and the next one) */
enum store_result history_store_find_room(struct history_store *store, const char *room, size_t len,
                                          bool *found);

/* The number n: from now on the messages of the room `from` are those of the room `to`, together with what is
 * there already. Where there are none, all is well. */
enum store_result history_store_rename_room(struct history_store *store, uint64_t n, const char *from,
                                            size_t from_len, const char *to, size_t to_len);

/* After a commit with a text taken away: what the write-ahead log has of it goes as well, unless somebody
 * reads just now; then it goes when the log is next begun anew. */
void history_store_wipe_log(struct history_store *store);

enum store_result history_store_commit(struct history_store *store);
void history_store_rollback(struct history_store *store);

/* False when the path leads to another file by now, or to none. */
bool history_store_in_place(const struct history_store *store);

/* What the last call that failed said. */
const char *history_store_error(const struct history_store *store);

#endif
