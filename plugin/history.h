/*
 * history.h - what the rest of the plugin knows of history: messages are kept in an SQLite file, by a thread
 * of their own (history_writer.h), for bridges to read.
 *
 * Main thread only. Without plugin_opt_history_file every call is there and costs nothing.
 *
 * A message is prepared before anybody gets it, which is refused while the queue to the disk is full, and
 * committed when it is on its way: that gives it its number, so numbers stand in the order in which messages
 * were accepted. A message with QoS 2 is kept when it is accepted, and gets a new number when the broker
 * releases it.
 */
#ifndef CHAT_HISTORY_H
#define CHAT_HISTORY_H

#include "common/histogram.h"
#include "common/identity.h"
#include "common/ulid.h"
#include "schema.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct history_forgotten;
struct history_item;
struct options;

/* Opens the file, goes on behind its ids, remembers its recent references (refs.h), starts the thread. False,
 * and a line in the log, when it cannot. options: borrowed until history_stop. */
bool history_start(const struct options *options);

/* Writes what is queued, for two seconds at most; what is lost then is logged. May be called without a start.
 */
void history_stop(void);

/* False when the message must be refused: the queue is full, or there is no memory, which is logged. Else
 * *out is a place in the queue, or NULL without history. ref: "" for none; body: the canonical bytes, copied;
 * late: it was published with QoS 2, history_released will follow. */
bool history_prepare(const struct identity *author, const struct schema_target *target, const char *ref,
                     const char *id, const char *body, size_t len, bool late, struct history_item **out);

/* The message is on its way. Returns its number, 0 without history. */
uint64_t history_commit(struct history_item *item);

/* It is not. NULL is allowed. */
void history_abandon(struct history_item *item);

/* The number that the next history_commit will give; 0 without history. */
uint64_t history_next(void);

/* A message of another node, on its way here: prepared and committed at once. Returns its number. It is not
 * refused for a full queue, for there is nobody to tell: then it is not kept here, which is logged, and the
 * answer is 0, as without history. */
uint64_t history_relayed(const struct identity *author, const struct schema_target *target, const char *id,
                         const char *body, size_t len);

/* Everything up to this number is at every node by now (nodes.h). */
void history_settle(uint64_t upto);

/* The broker releases the message with this id (ULID_LEN bytes), published with QoS 2. */
void history_released(const char *id);

/* The last number given, with that message's id; 0 and "" when nothing was ever kept. */
uint64_t history_position(char id[ULID_LEN + 1]);

/* Everything up to this number is on the disk (as far as plugin_opt_history_sync asks for it), or given up.
 */
uint64_t history_committed(void);

/* False without history, or out of memory. Else history_forgotten tells what has become of it, in the order
 * of the calls, when the text is gone from the file. */
bool history_forget(const char *id);
bool history_forgotten(struct history_forgotten *out);

/* Asks whether there are messages of this room, of those that are on their way, too; one question at a time.
 * False when out of memory. Without history there are none. */
bool history_look_for_room(const char *room);

/* False: the answer is not there yet. */
bool history_looked_for_room(bool *found);

/* From here on the messages of that room are those of the room `to`; whoever reads up to the position
 * (history_position) reads them there. False when out of memory. */
bool history_rename_room(const char *room, const char *to);

/* Bytes of messages that are not written yet. */
size_t history_queue_bytes(void);

/* The cells of histogram_flush: how long the thread took for its transactions. */
void history_flushes(uint64_t cells[HISTOGRAM_CELLS_MAX]);

/* Logs what the thread has met with. */
void history_tick(void);

#endif
