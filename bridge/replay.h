/*
 * replay.h - what a session missed: `since=ID`.
 *
 * For each room of the session and for its inbox: what history has after that id, then a
 * `recovered` frame, then what is live. No gap, nothing twice, in order:
 *
 *  1. The session is in its rooms and its inbox is subscribed. Only then is the plugin asked how far
 *     history goes ("position"), once over the connection that brings the live messages: over the bridge's
 *     own for rooms that share it, over the session's own for the inbox and its own subscriptions.
 *     Whatever had come before that question was asked is within the position and is left to history.
 *  2. The answer comes behind everything that the broker had queued before it on that connection. What
 *     comes between question and answer is held; of that, what is within the position goes: by its id, or by
 *     its number in history, which the plugin puts on it where messages of other nodes make ids tell nothing.
 *  3. History is read up to the position (waiting for the writer), page by page, as fast as the
 *     client takes it. Live messages are held meanwhile.
 *  4. `recovered`, then what is held, then live.
 *
 * Held messages are bounded by half of outbox_bytes: beyond it they are dropped and the position is asked for
 * again, so that history gives them instead. A client that takes nothing of its replay for outbox_seconds is
 * closed with 4001.
 * Messages sent with QoS 2 ("late") are the exception to the order of ids and are never left out: around
 * a replay such a message may come twice.
 *
 * A struct replay lives from the opening of a session with `since` to its last `recovered`.
 */
#ifndef CHAT_BRIDGE_REPLAY_H
#define CHAT_BRIDGE_REPLAY_H

#include "bridge/chunk.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct replay;
struct room;
struct session;

/* For a session with since, before anything of it is joined. False when out of memory. */
bool replay_prepare(struct session *s);

/* The session is open. */
void replay_start(struct session *s);

/* A live message for this session: room NULL for the inbox. True when it is held or left to history, and
 * must not be sent now. */
bool replay_takes(struct session *s, const struct room *room, struct chunk *c, uint32_t start, uint32_t end,
                  uint64_t order);

/* The session leaves that room. */
void replay_leave(struct session *s, const struct room *room);

/* May the client's frames be published? Not before the positions are known: they would be replayed to
 * their own author. */
bool replay_lets_publish(const struct session *s);

/* "position <token> <n> <id>" has come on the session's own connection. */
void replay_own_position(struct session *s, const char *text, size_t len);

/* The client has taken what it was sent. */
void replay_continue(struct session *s);

/* Ends it, wherever it is. Idempotent. */
void replay_end(struct session *s);

#endif
