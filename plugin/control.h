/*
 * control.h - commands of moderators, and their answers.
 *
 * Over MQTT on $CONTROL/chat/v1, in the manner of mosquitto's dynamic security:
 *   {"commands":[{"command":"kick","user":"bob@x.org","correlationData":"7"}]}
 * is answered, to the client that asked and to nobody else, on $CONTROL/chat/v1/response:
 *   {"responses":[{"command":"kick","data":{...},"correlationData":"7"}]}
 * with "error" (and "field") where it was not done. From a WebSocket session the same with "type":"command"
 * and a "ref" of its own; the answer has "type":"response".
 *
 * Everybody is checked again for each publish, whatever the access check has said before.
 */
#ifndef CHAT_CONTROL_H
#define CHAT_CONTROL_H

#include "clients.h"
#include "common/identity.h"
#include "common/reply.h"

#include <stdbool.h>
#include <stddef.h>

#define CONTROL_TOPIC "$CONTROL/chat/v1"
#define CONTROL_RESPONSE CONTROL_TOPIC "/response"
#define CONTROL_PAYLOAD_MAX 65536 /* bytes of a publish */
#define CONTROL_CLIENT_MAX 255    /* bytes of a client id that gets answers */
#define CONTROL_COMMANDS_MAX 32   /* in it */
#define CONTROL_ANSWER_MAX                                                                                   \
	262144 /* bytes; commands for whose data there is no room have the error too_long */

struct client;
struct command;
struct mosquitto;
struct mosquitto_evt_control;

/* Who has asked, for an answer that comes later. */
struct asker {
	struct identity who;
	enum client_kind kind;
	char client_id[CONTROL_CLIENT_MAX + 1];
	char ref[REPLY_REF_MAX + 1]; /* a session's; "" for none */
	bool other_node;             /* a moderator there: nobody here is answered */
};

/* Answers one command without data; nobody, where who has asked is gone. field: the member that the error is
 * about, or NULL. */
void control_answer(const struct asker *asker, const struct command *command, const char *error,
                    const char *field);

/* What the broker's CONTROL event is to answer: always success, since anything else would disconnect. */
int control_on_message(struct mosquitto_evt_control *ed);

/* A session's frame {"type":"command",...}. */
void control_on_frame(const struct client *session, const char *text, size_t len);

#endif
