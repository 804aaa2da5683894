/*
 * clients.h - the broker's live clients that have an identity, by the broker's pointer.
 *
 * By pointer and never by client id: on a take-over the old client's DISCONNECT comes after the
 * new one's login, and a failed login ends in a DISCONNECT that bears its victim's id.
 * What DISCONNECT and notices need is kept here, so that neither asks the broker about a client
 * that it is taking apart.
 */
#ifndef CHAT_CLIENTS_H
#define CHAT_CLIENTS_H

#include "common/identity.h"

#include <stdbool.h>
#include <stdint.h>

struct mosquitto;

enum client_kind {
	CLIENT_MQTT,    /* somebody's MQTT client */
	CLIENT_SESSION, /* a WebSocket session, by way of a bridge that gave its credential */
};

struct client {
	const struct identity *who;
	const char *id; /* client id */
	enum client_kind kind;
	int64_t expires_s; /* its token's exp, seconds since 1970; 0: it has none */
	bool warned;       /* of that */
	bool open;         /* a session: its bridge has said so */
	bool moderator;    /* its token says so */
	uint64_t since_ms; /* when it came, since 1970 */
	uint64_t leave_ms; /* when it was told to go (monotonic); 0: it was not */
};

/* Forgets everything. */
void clients_stop(void);

/* This client is live. A pointer that is known already, with the same identity and client id, stays
 * as it is (the broker checks its clients again on SIGHUP); with others it is a new client at an
 * old address. Returns the entry, or NULL when out of memory. */
const struct client *clients_enter(const struct mosquitto *handle, const struct identity *who, const char *id,
                                   enum client_kind kind);

/* NULL for a pointer that is not known. The answer is good until the next call of enter or leave. */
const struct client *clients_find(const struct mosquitto *handle);

/* A known client's token is good until then. */
void clients_expire(const struct mosquitto *handle, int64_t expires_s);

/* What its token says of its role. */
void clients_moderate(const struct mosquitto *handle, bool moderator);

/* A session is in its rooms: what it is told from now on is passed on to its client. */
void clients_open(const struct mosquitto *handle);

/* Says that this one has been told to go: an entry of clients_find or clients_next. */
void clients_leaving(const struct client *client, uint64_t now_ms);

/* Says that this one has been warned, or has been told to go: NULL or an entry of clients_find or
 * clients_next.
 */
void clients_warned(const struct client *client);
void clients_told(const struct client *client);

/* All of them, in the order of their arrival: NULL for the first, then the last answer. */
const struct client *clients_next(const struct client *after);

/* This client is gone. A pointer that is not known is nothing to worry about. */
void clients_leave(const struct mosquitto *handle);

#endif
