/*
 * messages.h - the broker's MESSAGE event: a publish on …/send becomes a canonical message.
 *
 * Every publisher comes by here, whatever the protocol, and so does another broker's bridge. Wills
 * do not: but they can only reach …/send, where nobody reads.
 */
#ifndef CHAT_MESSAGES_H
#define CHAT_MESSAGES_H

#include <stdbool.h>

struct options;
struct mosquitto_evt_message;

/* options: borrowed until messages_stop. broker_frees_replaced: see struct host. */
void messages_start(const struct options *options, bool broker_frees_replaced);
void messages_stop(void);

/* Answers MOSQ_ERR_SUCCESS or MOSQ_ERR_ACL_DENIED; every other code would disconnect the author. */
int messages_on_message(struct mosquitto_evt_message *ed);

#endif
