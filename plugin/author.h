/*
 * author.h - clients as they show up in the broker's events, matched with the table of live ones.
 */
#ifndef CHAT_AUTHOR_H
#define CHAT_AUTHOR_H

#include "clients.h"

#include <stdbool.h>

struct mosquitto;

/* Room for a client that is in no table. */
struct author_room {
	struct identity who;
	struct client client;
};

/* The identity behind a publish, or NULL when there is none (which is logged). A live client that
 * somebody else let in is put into the table here; a bridge that this broker itself runs, which never
 * logs in, is described in *room. */
const struct client *author_of(struct mosquitto *handle, struct author_room *room);

/* A client has done what only a connected client does: if it has an identity, it is in the table now. */
void author_seen(struct mosquitto *handle);

/* The identity of any client the broker asks about, also of one that is in no table (its check of retained
 * messages makes one up); *room is for that. NULL when it has none. Adds nothing, allocates nothing. */
const struct identity *author_identity(struct mosquitto *handle, struct identity *room);

#endif
