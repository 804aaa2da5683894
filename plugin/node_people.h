/*
 * node_people.h - who is connected to another node: a copy, kept by what that node says (nodes.h).
 *
 * While they are shown, they count as live clients of this broker (users.h), so that presence is of all
 * nodes.
 */
#ifndef CHAT_NODE_PEOPLE_H
#define CHAT_NODE_PEOPLE_H

#include "common/roster.h"
#include "table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeros are nobody, not shown. */
struct node_people {
	struct table all;
	uint64_t news; /* number of the last publish that was taken */
	bool known;    /* all are told, nothing was lost since */
	bool reading;  /* between first and last */
	bool shown;
	unsigned round; /* of the last telling of all */
};

enum people_part { PEOPLE_CHANGE, PEOPLE_FIRST, PEOPLE_NEXT, PEOPLE_LAST, PEOPLE_ONLY };

/* Forgets all, as of another life. */
void node_people_clear(struct node_people *p);

/* From now on they count, or no longer. */
void node_people_show(struct node_people *p, bool shown);

/* One publish, of which the head has been read. False where an entry is none; then all must be told again. */
bool node_people_take(struct node_people *p, uint64_t news, enum people_part part,
                      struct roster_reader entries);

#endif
