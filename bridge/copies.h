/*
 * copies.h - which messages of a renamed room have come: on its own topic, or as copies on those of its old
 * names.
 *
 * The plugin copies what is said in a room to the topics of its old names for a while (PROPERTY_COPY), so
 * that nothing is missed by whoever has not subscribed to the new one yet. A copy bears the name and the
 * number of the message that it is one of; what is kept here tells whether that message is still wanted. Of
 * names with copies the COPIES_NAMES_MAX last are remembered; of one that is forgotten something may come
 * twice. Pure but for the memory.
 */
#ifndef CHAT_BRIDGE_COPIES_H
#define CHAT_BRIDGE_COPIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COPIES_NAMES_MAX 64

struct copied_name;

/* All zero: nothing has come. */
struct copies {
	struct copied_name *names; /* the newest first */
	unsigned count;
};

/* Is the message with this number of that room, accepted at sent_ms, wanted? first: the first number that has
 * come on the room's own topic, from which on all come there; 0: none yet. What is wanted counts as having
 * come. */
bool copies_want(struct copies *c, const char *room, size_t len, uint64_t seq, uint64_t sent_ms,
                 uint64_t first);

/* A message has come on that room's own topic (seq 0: without a number). */
void copies_note(struct copies *c, const char *room, size_t len, uint64_t seq);

/* The same where the first one is kept with the room itself. */
void copies_note_first(uint64_t *first, uint64_t seq);

void copies_clear(struct copies *c);

#endif
