/*
 * refs.h - what each author has sent under a reference of its own: a resend is answered with the
 * first id and delivers nothing.
 *
 * Five minutes, at most REFS_REMEMBERED entries, the oldest forgotten first (which is logged where it comes
 * too early).
 */
#ifndef CHAT_REFS_H
#define CHAT_REFS_H

#include "common/identity.h"
#include "common/reply.h"
#include "common/timestamp.h"
#include "common/ulid.h"

#include <stddef.h>
#include <stdint.h>

#define REFS_REMEMBERED 262144
#define REFS_MS 300000

struct ref_answer {
	char id[ULID_LEN + 1];
	char timestamp[TIMESTAMP_LEN + 1];
	uint64_t n; /* its number in history; 0 where it is not on its way there */
};

/* Forgets everything. */
void refs_stop(void);

/* What the author's earlier message with this reference was answered, or NULL. ref is plain text. */
const struct ref_answer *refs_find(const struct identity *author, const char *ref, size_t len,
                                   uint64_t now_ms);

/* Remembers it, as of then. Entries come in the order of time. Out of memory: forgets it, which is no worse
 * than after five minutes. */
void refs_add(const struct identity *author, const char *ref, size_t len, const struct ref_answer *answer,
              uint64_t now_ms);

/* Drops what is too old. */
void refs_tidy(uint64_t now_ms);

#endif
