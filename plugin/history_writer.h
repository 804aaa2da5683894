/*
 * history_writer.h - the queue of messages on their way to the disk, and the thread that writes them.
 *
 * All calls are the main thread's and none waits for the disk, but for history_writer_stop. The thread calls
 * neither the broker nor its allocator and never logs: what goes wrong there is fetched with
 * history_trouble_take (history_trouble.h).
 *
 * What is in the queue is written in the order of history_writer_put, in transactions: the first message
 * after a pause at once, then what has come meanwhile every half HISTORY_FLUSH_MS, so that with a disk that
 * keeps up a message is committed within HISTORY_FLUSH_MS. A transaction that fails is rolled back and tried
 * again, after at most a second, for as long as it takes; only the bound of the queue ends that, where it
 * refuses what has not been accepted yet. A row that can never be stored is left out, counted and reported.
 */
#ifndef CHAT_HISTORY_WRITER_H
#define CHAT_HISTORY_WRITER_H

#include "history_store.h"

#include "common/histogram.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTORY_FLUSH_MS 50
#define HISTORY_STOP_MS 2000 /* the last try */

struct history_item;

struct history_writer_config {
	struct history_store_config store; /* its path: borrowed until history_writer_stop */
	size_t queue_bytes;                /* not yet written, in memory */
	uint64_t keep_messages;
	uint64_t keep_ms;
};

/* Starts the thread. store: from history_store_open with the same config, becomes the thread's. False when
 * there is no thread to be had: the store is closed then. */
bool history_writer_start(const struct history_writer_config *config, struct history_store *store);

/* Writes what is queued, for HISTORY_STOP_MS at most, ends the thread and closes the file. Returns how many
 * messages were not written. */
unsigned long history_writer_stop(void);

/* A copy of the message (m->n counts for nothing) for which the queue has room, or NULL: *full tells whether
 * there is none, or no memory. It must go to history_writer_put or history_writer_drop. */
struct history_item *history_writer_item(const struct history_message *m, bool *full);
void history_writer_drop(struct history_item *item);

/* Queues it under the next number, which is returned, with the message's id in *id. */
uint64_t history_writer_put(struct history_item *item, char id[ULID_LEN + 1]);

/* Gives the message with this id (ULID_LEN bytes) the next number, behind everything queued. Never refused
 * for the queue's bound; 0 when out of memory. */
uint64_t history_writer_renumber(const char *id);

/* The number that the next history_writer_put will give. */
uint64_t history_writer_next(void);

/* From the next number on everything up to upto is at every node (HISTORY_SETTLED); queued behind everything.
 * Never refused for the queue's bound; false when out of memory. */
bool history_writer_settle(uint64_t upto);
/* Has the text of the message with this id (ULID_LEN bytes) forgotten, behind everything queued. False when
 * out of memory. What has become of it tells history_writer_forgotten. */
bool history_writer_forget(const char *id);

/* With `to`: gives the messages of one room to another, behind everything queued, and counts as a message
 * with the number that is returned. With NULL: looks whether the room has any, of those that are queued, too;
 * one question at a time, for the answer to an earlier one may be lost. Returns the number, 0 when out of
 * memory. Never refused for the queue's bound. */
uint64_t history_writer_room(const char *room, const char *to);

/* Of the question with that number. False: it has not been looked for yet. */
bool history_writer_looked(uint64_t question, bool *found);

/* The next result, in the order of the questions: it has been committed. False when there is none (yet). */
bool history_writer_forgotten(struct history_forgotten *out);

/* Everything up to this number is on its way no more: committed, or left out. */
uint64_t history_writer_committed(void);

/* Bytes that are queued or being written. */
size_t history_writer_bytes(void);

/* The cells of histogram_flush: how long the transactions took that were committed, since the process began.
 */
void history_writer_flushes(uint64_t cells[HISTOGRAM_CELLS_MAX]);

#endif
