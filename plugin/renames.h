/*
 * renames.h - rooms that a moderator renames: whether the new name is free is not known at once.
 *
 * History looks for messages under it on its thread, and each bridge says how many sessions it has there; the
 * next tick after both carries it out (or not) and answers. One after the other, in the order in which they
 * were asked; what does not answer within RENAME_WAIT_MS ends one with `unavailable`.
 */
#ifndef CHAT_RENAMES_H
#define CHAT_RENAMES_H

#include <stdint.h>

#define RENAMES_MAX 32 /* that wait */
#define RENAME_WAIT_MS 2000

struct asker;
struct command;

/* NULL: it is under way, copies of both are kept. Else what stands in its way, and *field the member that it
 * is about (static, or NULL). */
const char *renames_ask(const struct command *command, const struct asker *asker, const char **field);

/* A bridge has so many sessions in the room that the question was about. */
void renames_members(uint64_t question, uint64_t members);

/* In every tick: begins one, or ends one whose answers are there. */
void renames_tick(uint64_t now_ms);

/* Forgets those that wait; nobody is answered. */
void renames_stop(void);

#endif
