/*
 * moderation.h - what moderators have imposed: who is banned, who is muted (and where), which rooms are
 * closed, and which have another name (room_names.h).
 *
 * Memory only, no I/O; moderation_store.h keeps it. Times are milliseconds since 1970, for they must mean the
 * same after a restart. What has run out counts as not there, and is taken away by moderation_tidy. Bounded:
 * MODERATION_MAX of each kind. Main thread only.
 *
 * With other nodes it is also remembered what has been taken away, and when: so that of two nodes that have
 * said different things of the same user and room, the later one counts at both, in whatever order they hear
 * of each other. The last MODERATION_MAX of each kind; older ones are forgotten.
 */
#ifndef CHAT_MODERATION_H
#define CHAT_MODERATION_H

#include "common/identity.h"
#include "common/topic.h"
#include "table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODERATION_MAX 5000
#define MODERATION_REASON_MAX 100 /* bytes: with what stands before it, it fits into a close frame */

enum sanction_kind {
	SANCTION_BAN,  /* of an address */
	SANCTION_MUTE, /* of an address, everywhere or in one room */
	SANCTION_ROOM, /* a room is closed */
	SANCTION_NAME, /* a room has another name: for good */
	SANCTION_KINDS
};

struct sanction {
	struct table_entry entry;
	enum sanction_kind kind;
	bool lifted;                 /* it has been taken away at since_ms, by whom stands in by */
	char user[IDENTITY_MAX + 1]; /* "" for SANCTION_ROOM and SANCTION_NAME */
	char room[ROOM_MAX + 1];     /* "" for SANCTION_BAN, and for everywhere */
	char to[ROOM_MAX + 1];       /* SANCTION_NAME: what it is called; else "" */
	uint64_t since_ms;
	uint64_t until_ms; /* 0: for good */
	char by[IDENTITY_MAX + 1];
	char reason[MODERATION_REASON_MAX + 1]; /* "" for none; one line of UTF-8 */
	char key[IDENTITY_MAX + ROOM_MAX + 2];  /* of the table */
};

/* Forgets everything. */
void moderation_stop(void);

enum moderation_result {
	MODERATION_OK,
	MODERATION_FULL, /* there are MODERATION_MAX of that kind */
	MODERATION_NO_MEMORY
};

/* Imposes a copy of it (entry and key count for nothing), in place of one for the same user and room. One
 * that is lifted takes that away, and is remembered. */
enum moderation_result moderation_set(const struct sanction *wanted);

/* Takes it away, and remembers nothing. False when there was none in force. */
bool moderation_lift(enum sanction_kind kind, const char *user, const char *room, uint64_t now_ms);

/* since_ms of the last that is known for exactly this user and room, in force or not; 0: none. */
uint64_t moderation_known(enum sanction_kind kind, const char *user, const char *room);

/* The one in force for exactly this user and room, or NULL. Good until the next set, lift or tidy. */
const struct sanction *moderation_find(enum sanction_kind kind, const char *user, const char *room,
                                       uint64_t now_ms);

const struct sanction *moderation_ban(const struct identity *who, uint64_t now_ms);

/* May this identity say nothing there? room NULL: in a direct message. A ban counts, too: somebody may be on
 * the way out. */
bool moderation_muted(const struct identity *who, const char *room, size_t room_len, uint64_t now_ms);
bool moderation_closed(const char *room, size_t room_len, uint64_t now_ms);

/* What says that this room has another name, or NULL. */
const struct sanction *moderation_renamed(const char *room, size_t room_len);

/* All of a kind, oldest first, those that have run out and not been taken away included: NULL for the first,
 * then the last answer. */
const struct sanction *moderation_next(enum sanction_kind kind, const struct sanction *after);

/* The same of those that are lifted. */
const struct sanction *moderation_next_lifted(enum sanction_kind kind, const struct sanction *after);
size_t moderation_count(enum sanction_kind kind);

/* Takes away what has run out; gone (may be NULL) is called for each. True when there was any. */
bool moderation_tidy(uint64_t now_ms, void (*gone)(const struct sanction *s));

#endif
