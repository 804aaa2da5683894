/*
 * room_names.h - rooms that moderators have renamed: what a room is called now, and what follows from it.
 *
 * Each old name leads to another one (SANCTION_NAME of moderation.h), perhaps over further old names. Where
 * two nodes that did not hear of each other have made names lead in a circle, the last word counts: the name
 * that it leads to is the room's.
 *
 * The plugin cannot move subscriptions of the broker's: bridges move their sessions when they hear of it, and
 * devices that are away are moved when they come back. So that nothing is lost in between, what is said under
 * the new name is also published, marked as a copy (PROPERTY_COPY), on the topic of the old one, for as long
 * as a device may be away (plugin_opt_session_expiry) and a minute. Only bridges and their sessions get those
 * copies (acl.c); they know what they have by its number.
 *
 * Main thread only.
 */
#ifndef CHAT_ROOM_NAMES_H
#define CHAT_ROOM_NAMES_H

#include "compat.h"

#include <stdbool.h>
#include <stddef.h>

struct options;
struct sanction;

/* options: borrowed until room_names_stop. History is told of the names that are in force, should it not have
 * heard of one before the broker's end. */
void room_names_start(const struct options *options);
void room_names_stop(void);

/* What a room with this name is called now; NULL: the name is no old one. Good until the next change of
 * moderation. */
const char *room_names_now(const char *name, size_t len);

/* A name has been given or taken away (it stands in moderation): history, bridges and readers hear of it. */
void room_names_follow(const struct sanction *s);

/* The old names of a room for which a copy is due, one after the other: after NULL for the first. Usually
 * there is none, which costs nothing. */
const struct sanction *room_names_copied(const char *room, size_t len, const struct sanction *after);

/* Publishes that copy of a canonical message. properties: of the message, taken; NULL: out of memory. */
void room_names_copy(const struct sanction *old, const char *body, size_t len,
                     mosquitto_property *properties);

/* The same under the room's present name, for what another node still says under the old one. */
void room_names_say(const char *room, const char *body, size_t len, mosquitto_property *properties);

#endif
