/*
 * users.h - one entry per identity that is connected or has just sent something: how many live
 * clients it has, and its message rate.
 *
 * The first client of an identity and the end of its last one are passed on to presence.h; those at this node
 * to nodes.h, for the others.
 *
 * An entry outlives its last client until the rate bucket has filled up again: connecting anew
 * must not buy new tokens.
 */
#ifndef CHAT_USERS_H
#define CHAT_USERS_H

#include "common/identity.h"
#include "values.h"

#include <stdbool.h>
#include <stdint.h>

struct user; /* private; stays where it is as long as it has live clients */

/* The limit of all from now on; per_second 0 = none. */
void users_limit(struct value_rate rate);

/* Frees everything; no live clients may be left. */
void users_stop(void);

/* One more, or one fewer, live client of this identity. users_enter answers NULL when out of memory. */
struct user *users_enter(const struct identity *who);
void users_leave(struct user *user);

/* The same of somebody who is connected to another node. */
struct user *users_enter_far(const struct identity *who);
void users_leave_far(struct user *user);

/* Those with a live client at this node: NULL for the first, then the last answer. */
const struct user *users_next_here(const struct user *after);
/* Good as long as the user has a live client. */
const struct identity *users_identity(const struct user *user);

/* True when the identity has a live client, at whichever node. */
bool users_online(const struct identity *who);

/* Takes a token for one message. False: the sender is over its rate, which the log says, or memory is out. */
bool users_take_token(const struct identity *who, uint64_t now_ms);

/* Drops entries that have no purpose any more; call it about once a second. */
void users_tidy(uint64_t now_ms);

#endif
