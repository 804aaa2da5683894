/*
 * commands.h - what each command does.
 *
 * All but two (deletions.h, renames.h) are done at once and answered at once; what they change is kept
 * (moderation_store.h), logged and audited here.
 */
#ifndef CHAT_COMMANDS_H
#define CHAT_COMMANDS_H

#include "command.h"
#include "text_buffer.h"

#include <stddef.h>

struct asker;
struct identity;

/* It is under way: whoever asked is answered later. */
extern const char commands_later[];

/* NULL, and in data (empty before) a JSON object, or nothing where there is nothing to tell; or the name of
 * what stands in the way, and *field the member that it is about (static, or NULL). */
const char *commands_run(const struct command *command, const struct asker *asker, struct text_buffer *data,
                         const char **field);

/* What somebody is told who must leave: "kicked: text", or "kicked" without one. */
void commands_explain(const char *what, const char *text, char *out, size_t cap);

/* The line in the log, and where it changes anything the entry in the audit. error NULL: it was done. */
void commands_note(const struct command *command, const struct identity *by, const char *error);

#endif
