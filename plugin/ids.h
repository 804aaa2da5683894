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

#endif
