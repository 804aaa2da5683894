/*
 * deletions.h - messages that moderators delete: asked for, then answered when history has forgotten the
 * text.
 *
 * The disk may take its time, and the broker does not wait for it. So such a command is answered alone,
 * later; readers are told at that moment. At most DELETIONS_MAX are under way, with those that come from
 * other nodes DELETIONS_ALL_MAX.
 */
#ifndef CHAT_DELETIONS_H
#define CHAT_DELETIONS_H

#include "command.h"

#include <stdbool.h>

#define DELETIONS_MAX 64
#define DELETIONS_ALL_MAX 1024

struct asker;

/* Both are copied. NULL: it is under way, deletions_tick answers; or the name of what stands in the way. */
const char *deletions_ask(const struct command *command, const struct asker *asker);

/* In every tick. */
void deletions_tick(void);

/* Those that wait are answered by nobody. */
void deletions_stop(void);

#endif
