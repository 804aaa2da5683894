/*
 * history_trim.h - what need not be kept: messages beyond an age or a number, removed in steps.
 *
 * What goes with a message: its line in both mailboxes, people and places of whom nothing is left, and what
 * was known about the settled numbers before it. The file does not shrink; what has become free is used
 * again, and (unlike after history_store_forget) not overwritten.
 *
 * The store belongs to the caller, on one thread at a time (history_store.h). A step holds the database for
 * as long as HISTORY_TRIM_ROWS take, and never stands within a transaction: it is one, rolled back when it
 * fails.
 */
#ifndef CHAT_HISTORY_TRIM_H
#define CHAT_HISTORY_TRIM_H

#include "history_store.h"

#include <stdint.h>

#define HISTORY_TRIM_ROWS 500 /* that one step may remove */

/* One step of removing what is older than before_ms (since 1970, by its id), and of the oldest what there is
 * more of than keep: what is too many comes first, and what is too old waits for the next step. At most
 * HISTORY_TRIM_ROWS messages, *removed of them now: as many mean that there may be more. After anything but
 * STORE_OK nothing was removed, and history_store_error says why. */
enum store_result history_store_trim(struct history_store *store, uint64_t before_ms, uint64_t keep,
                                     unsigned *removed);

#endif
