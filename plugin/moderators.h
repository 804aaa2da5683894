/*
 * moderators.h - who may give commands, and how fast.
 *
 * A moderator is a live client whose address stands in plugin_opt_moderators, or whose token says so
 * (plugin_opt_token_role_claim). Only where somebody has proved the address: with `auth none` a WebSocket
 * session is never one, and an MQTT client only where the broker asks for passwords itself.
 */
#ifndef CHAT_MODERATORS_H
#define CHAT_MODERATORS_H

#include "clients.h"

#include <stdbool.h>
#include <stdint.h>

#define MODERATOR_RATE 10  /* commands a second of one moderator */
#define MODERATOR_BURST 50 /* and at once */

struct mosquitto;
struct options;

/* options: borrowed until moderators_stop. logins: the broker lets nobody in under a name without asking
 * (what it has for that is its own: password_file, another plugin). */
void moderators_start(const struct options *options, bool logins);
void moderators_stop(void);

/* NULL is nobody. */
bool moderators_is(const struct client *client);

/* The same of any client that the broker asks about, also of one that is not known yet (mosquitto 2.0 says
 * nothing of a client that somebody else has let in). */
bool moderators_may(struct mosquitto *handle);

/* Does the address stand in the option? Such a one is nobody's to kick, mute or ban. */
bool moderators_listed(const struct identity *who);

/* Takes one command of its rate. False: over it, which the log says, or out of memory. */
bool moderators_take(const struct identity *who, uint64_t now_ms);

#endif
