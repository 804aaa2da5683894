/*
 * canonical_room.h - the room that a canonical message names, to say the message under the room's new name.
 *
 * A message keeps its bytes in history and in the broker's queues when its room is renamed; whoever hands it
 * out puts the name in that counts now. Pure: into the caller's buffer, nothing is allocated.
 */
#ifndef CHAT_CANONICAL_ROOM_H
#define CHAT_CANONICAL_ROOM_H

#include <stdbool.h>
#include <stddef.h>

/* Where the name of the room stands in the body, and its length. False where body is no canonical message of
 * a room. */
bool canonical_room_find(const char *body, size_t len, size_t *at, size_t *room_len);

/* Is it a message of a room of another name than this one? */
bool canonical_room_differs(const char *body, size_t len, const char *room, size_t room_len);

/* The body with this room in the place of its own, into out (room for len + room_len bytes): its length. 0
 * where it names no room. */
size_t canonical_room_put(const char *body, size_t len, const char *room, size_t room_len, char *out);

#endif
