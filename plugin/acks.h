/*
 * acks.h - acks that wait for the disk (plugin_opt_history_sync).
 *
 * Main thread only. Without history_sync an ack leaves at once. With it, it waits until its message is
 * committed, and so does the ack of a resend; they leave in the order in which they were asked for, in the
 * broker's tick. Bounded by ACKS_BYTES; where there is no room, a message that asks for an ack is refused.
 */
#ifndef CHAT_ACKS_H
#define CHAT_ACKS_H

#include "clients.h"
#include "refs.h"

#include <stdbool.h>
#include <stddef.h>

#define ACKS_BYTES ((size_t)16 * 1024 * 1024)

/* wait: for the disk. */
void acks_start(bool wait);

/* Forgets those that wait. */
void acks_stop(void);

/* False: refuse what would need an ack. */
bool acks_have_room(void);

/* Acknowledges, now or when message answer->n is committed. ref: "" means that none was sent, and nothing
 * happens. */
void acks_send(const struct client *author, const char *ref, const struct ref_answer *answer);

/* Sends those whose time has come. */
void acks_tick(void);

#endif
