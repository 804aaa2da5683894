/*
 * authors.h - the sessions that send, and when they may.
 *
 * Closed loop (no --rate): an author has a number of messages under way, and sends the next one when one of
 * them has arrived, at the slowest reader or at all of them (--pace). After a second without any delivery the
 * run starts the loop anew, with what was under way counted as done with. Open loop: messages are due at even
 * times, authors in turn, whether the others arrive or not.
 *
 * A message that cannot be sent (the connection has gone, or too much waits in it already) is counted as
 * unsent and not tried again. Memory: from authors_prepare to authors_release.
 */
#ifndef BENCH_AUTHORS_H
#define BENCH_AUTHORS_H

#include "bench/run_state.h"

/* False: no memory; authors_release is due all the same. */
bool authors_prepare(struct run *run);
void authors_release(struct run *run);

/* How many receive what that author sends. */
uint32_t author_readers(const struct run *run, uint32_t author);

/* Every author may send as much as it may have under way, from now on. */
void authors_start(struct run *run);

/* Closed loop: a message has arrived at that session, for the first time there. */
void authors_account(struct run *run, uint32_t session, const struct text *t);

/* Closed loop: every author that may send sends as much as it may. */
void authors_send_queued(struct run *run);

/* Open loop: when message i is due, counted from the first one. */
uint64_t authors_due(const struct run *run, uint64_t i);

/* Open loop: sends what is due by now, but no more than a few hundred: then something must be read again. */
void authors_send_due(struct run *run);

/* Appends one message's frame to the batch, which is at bytes long; returns its new length. */
size_t authors_add_frame(struct run *run, size_t at, const struct text *t);

/* Sends the batch over that author's connection. False when it was not taken. */
bool authors_send_batch(struct run *run, uint32_t author, size_t bytes);

#endif
