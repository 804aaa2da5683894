/*
 * history_db.h - reading the history that the plugin writes (common/history_schema.h), over one
 * read-only SQLite connection.
 *
 * Blocks on the disk, so everything here is called from a worker thread, one call at a time
 * (history_reader.h). Allocates with malloc; what a call returns is the caller's.
 *
 * Limits: a page of a replay is at most REPLAY_PAGE_BYTES (and one message), a page of history at
 * most HISTORY_PAGE_BYTES (and one message) and HISTORY_LIMIT_MAX messages.
 */
#ifndef CHAT_BRIDGE_HISTORY_DB_H
#define CHAT_BRIDGE_HISTORY_DB_H

#include "bridge/chunk.h"
#include "common/history_schema.h"
#include "common/ulid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLAY_MAX 1000            /* messages that one replay gives: the newest */
#define REPLAY_PAGE_BYTES 65536u   /* of frames, given at a time */
#define HISTORY_LIMIT_MAX 200u     /* messages of a page */
#define HISTORY_LIMIT_DEFAULT 50u  /* where none is asked for */
#define HISTORY_PAGE_BYTES 262144u /* of messages */

/* Where messages are. */
enum history_view {
	VIEW_ROOM,    /* name: the room */
	VIEW_PAIR,    /* name: history_pair_name */
	VIEW_MAILBOX, /* name: an address; all direct messages from and to it */
};

struct history_place {
	enum history_view kind;
	char name[HISTORY_PLACE_MAX + 1];
};

enum history_status {
	HISTORY_DONE,
	HISTORY_BEHIND, /* what was asked for up to is not written yet: ask again in a moment */
	HISTORY_FAILED, /* the database cannot be read; history_db_error says why */
};

/* One page of what was missed, as WebSocket text frames in the order of delivery. */
struct history_replay {
	/* asked; zero but for place, since and upto in the first call, then as the call before left it; upto may
	 * grow */
	struct history_place place;
	char since[ULID_LEN + 1]; /* an id; it need not exist */
	uint64_t upto;            /* number of the newest message that belongs to it; it must be there */
	bool impatient;           /* never answer HISTORY_BEHIND */
	uint32_t page_bytes;      /* of frames, for each call (and one message); at most REPLAY_PAGE_BYTES */
	uint64_t cursor;          /* where the page before this one ended */
	uint64_t reached;         /* number of the newest message that was seen in the database */
	uint64_t known;           /* number of the message with the id since, which is not given; 0 for none */
	bool settled;             /* it begins where all nodes had everything (history_schema.h) */
	bool started;
	/* answered */
	bool complete;        /* history reaches back to since, and REPLAY_MAX was enough */
	bool more;            /* call again */
	uint32_t count;       /* messages of this page */
	struct chunk *frames; /* NULL where there are none */
};

/* The form of the messages of a page. */
enum history_form {
	HISTORY_CANONICAL, /* as they were delivered */
	HISTORY_ORIGINAL,  /* {"chat_id","sender_id","receiver_id","message","timestamp"}; of a pair */
};

struct history_page {
	/* asked */
	struct history_place place;
	enum history_form form;
	char before[ULID_LEN + 1], after[ULID_LEN + 1]; /* ids, which need not exist; empty: none */
	uint32_t limit;                                 /* 1 to HISTORY_LIMIT_MAX */
	uint64_t upto;    /* number of a message that must be there before it is read */
	uint64_t reached; /* number of the newest message that was seen in the database */
	bool impatient;   /* never answer HISTORY_BEHIND */
	/* answered */
	char *messages; /* JSON objects with commas between them, oldest first, not terminated; may be NULL */
	size_t len;
	bool complete; /* nothing more is stored in that direction: newer with after alone, else older */
};

struct history_db;

/* Opens nothing yet; NULL when out of memory. path: borrowed. */
struct history_db *history_db_new(const char *path);
/* Opens the file now, instead of with the first question. False: history_db_error says why; a question tries
 * again. */
bool history_db_open(struct history_db *db);
void history_db_free(struct history_db *db);

/* Static or owned by db until its next call. */
const char *history_db_error(const struct history_db *db);

enum history_status history_db_replay(struct history_db *db, struct history_replay *r);
enum history_status history_db_page(struct history_db *db, struct history_page *p);

/* Takes the name of a pair's place apart, in either order of the two addresses. False: it is none. */
bool history_pair_parse(const char *name, size_t len, struct identity *a, struct identity *b);

#endif
