/*
 * ids.h - the next message id, and the time that it tells.
 */
#ifndef CHAT_IDS_H
#define CHAT_IDS_H

#include "refs.h"

#include <stdbool.h>

/* Fills id and timestamp, both of the same millisecond; the id is larger than any before. False
 * when the system gives no randomness. */
bool ids_next(struct ref_answer *out);

/* All ids from now on are larger than this valid one too. */
void ids_pass(const char *id);

#endif
