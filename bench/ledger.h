/*
 * ledger.h - which session has received which message of which author: finds what is lost,
 * doubled or out of order. Every author numbers its messages 0, 1, 2, …
 *
 * Eight bytes for each pair of session and author: the number expected next and a bit for
 * each of the 32 numbers before it. A message older than that is taken for a late one where
 * its session still misses something, else for a double.
 */
#ifndef BENCH_LEDGER_H
#define BENCH_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#define LEDGER_PAIRS_MAX (UINT64_C(40) << 20) /* 320 MiB */

struct ledger_counts {
	uint64_t lost;       /* never arrived */
	uint64_t doubled;    /* arrived again */
	uint64_t disordered; /* arrived after a later one */
};

struct ledger {
	uint32_t sessions;
	uint32_t authors;
	struct ledger_pair *pairs;    /* by author, then session: a message goes to neighbours */
	struct ledger_counts *counts; /* one for each session */
};

/* False: no memory, or more than LEDGER_PAIRS_MAX pairs. ledger_free is right either way. */
bool ledger_init(struct ledger *l, uint32_t sessions, uint32_t authors);
void ledger_free(struct ledger *l);

/* A message has arrived. False when it had arrived before. session < sessions, author < authors. */
bool ledger_note(struct ledger *l, uint32_t session, uint32_t author, uint32_t number);

/* At the end: what was sent and has not arrived behind the last that has is lost too.
 * sent[author] messages went out, to those whose number leaves the same rest by rooms; an
 * author is not expected to receive its own. */
void ledger_settle(struct ledger *l, const uint32_t *sent, uint32_t rooms);

/* True when that session has seen the last message of that author, or a later one. */
bool ledger_reached(const struct ledger *l, uint32_t session, uint32_t author, uint32_t sent);

#endif
