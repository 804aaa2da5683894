/*
 * events.h - what moderators do, told to those whom it concerns.
 *
 * To bridges on <root>/bridges/all, which hand it to their sessions (common words: "system", "deleted",
 * "room", "renamed", "members") or do it ("drain"), and to MQTT readers on <root>/events,
 * <root>/rooms/<room>/events, <root>/users/<id>/events. Never on the topics of messages: who reads those gets
 * messages and nothing else. QoS 1, not retained.
 */
#ifndef CHAT_EVENTS_H
#define CHAT_EVENTS_H

#include "common/identity.h"

#include <stdbool.h>
#include <stdint.h>

struct options;

/* options: borrowed until events_stop. */
void events_start(const struct options *options);
void events_stop(void);

/* {"type":"system","code":C,"sender":S,"message":M,"room":R}: to all sessions, or to those in a room (room
 * "": all, and no such member). False when out of memory; then nobody or only some are told. */
bool events_system(const char *code, const char *message, const char *room);

/* {"type":"deleted","id":I,"room":R}, or "to": the recipient of a direct message between a and b. */
bool events_deleted_room(const char *id, const char *room);
bool events_deleted_direct(const char *id, const struct identity *a, const struct identity *b,
                           const char *to);

/* A room has another name: bridges ask for all such names (sync.h); MQTT readers of the old one are told, if
 * it leads anywhere. to NULL: it does not. */
bool events_renamed(const char *room, const char *to);

/* Bridges say how many members they have in a room ("members", sync.h). */
bool events_members(unsigned question, const char *room);

/* Bridges let nobody into a closed room. */
bool events_room(const char *room, bool closed);

/* Bridges let nobody in, and close what they have within so many milliseconds; or no longer. */
bool events_drain(bool on, uint64_t ms);

#endif
