/*
 * moderation_text.h - what moderation.h and audit.h hold, as the lines of a file, and back.
 *
 * One JSON object a line; the first says what it is: {"mosquitto-chat":"moderation","version":1}. A file of
 * which one line cannot be read is not read at all: a ban that is lost in silence would be worse than a
 * broker that does not start. No I/O.
 */
#ifndef CHAT_MODERATION_TEXT_H
#define CHAT_MODERATION_TEXT_H

#include "text_buffer.h"

#include <stdbool.h>
#include <stddef.h>

struct sanction;

#define MODERATION_TEXT_MAX ((size_t)32 * 1024 * 1024) /* bytes; the bounds of what is kept are below it */

/* Everything, into an empty buffer whose bound is MODERATION_TEXT_MAX; look at its failed. */
void moderation_text_write(struct text_buffer *out);

/* Adds what the len bytes of text say. False at the first bad line, whose number (from 1) is in *line; what
 * stood before it is in. */
bool moderation_text_read(const char *text, size_t len, unsigned *line);

/* One sanction as such a line, its end included. */
void moderation_text_put(struct text_buffer *out, const struct sanction *s);

/* The same back: one object, without a line's end. False: it is none. */
bool moderation_text_take(const char *line, size_t len, struct sanction *out);

#endif
