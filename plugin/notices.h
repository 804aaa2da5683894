/*
 * notices.h - what an author is told: acks, errors, system notices, on
 * <root>/users/<id>/notices/<client id>, or <root>/bridges/<client id> where the client is a session of a
 * bridge; only that client can read it.
 *
 * QoS 1, not retained, without properties. A client that has not subscribed there hears nothing.
 */
#ifndef CHAT_NOTICES_H
#define CHAT_NOTICES_H

#include "clients.h"
#include "common/errors.h"
#include "refs.h"

struct options;

/* options: borrowed until notices_stop. */
void notices_start(const struct options *options);
void notices_stop(void);

/* ref: plain text, NUL-terminated; "" or NULL means none was sent, and then there is no ack. answer:
 * NULL for what has no id (a typing event). */
void notices_ack(const struct client *author, const char *ref, const struct ref_answer *answer);

/* field and ref: "" or NULL for none. */
void notices_error(const struct client *author, enum chat_error error, const char *field, const char *ref);

/* The room has another name, which the error tells. */
void notices_room_renamed(const struct client *author, const char *to, const char *ref);

void notices_recipient_offline(const struct client *author, const struct identity *recipient);

/* Any text of len bytes to a client's notices topic; 0 means that there was no text to be had. */
void notices_send(const struct client *author, const char *text, size_t len);

/* To a session: its token ends soon. */
void notices_token_expiring(const struct client *author);

#endif
