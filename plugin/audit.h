/*
 * audit.h - what moderators have done: the last AUDIT_MAX commands that changed something, or tried to.
 *
 * Memory only; moderation_store.h keeps it beside what is in force, and the broker's log has a line of each.
 * Main thread only.
 */
#ifndef CHAT_AUDIT_H
#define CHAT_AUDIT_H

#include "common/identity.h"
#include "common/topic.h"
#include "common/ulid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AUDIT_MAX 1000
#define AUDIT_TEXT_MAX 200 /* bytes of a reason or an announcement, of a longer one the beginning */
#define AUDIT_WORD_MAX 31  /* bytes of a command's or a result's name */

struct audit_entry {
	uint64_t at_ms; /* since 1970 */
	uint64_t seconds;
	char by[IDENTITY_MAX + 1];
	char command[AUDIT_WORD_MAX + 1];
	char result[AUDIT_WORD_MAX + 1]; /* "ok", or the error */
	char user[IDENTITY_MAX + 1];     /* "" where there is none, and so below */
	char room[ROOM_MAX + 1];
	char to[ROOM_MAX + 1]; /* what it is renamed to */
	char id[ULID_LEN + 1];
	char text[AUDIT_TEXT_MAX + 1];
};

/* Adds a copy; the oldest gives way. False when out of memory. */
bool audit_add(const struct audit_entry *entry);

size_t audit_count(void);

/* back 0: the newest. NULL beyond the oldest. */
const struct audit_entry *audit_get(size_t back);

/* Forgets everything. */
void audit_stop(void);

#endif
