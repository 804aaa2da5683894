/*
 * kicks.h - somebody is made to leave: WebSocket sessions by their bridge, with code and reason, MQTT clients
 * by the broker.
 *
 * The broker must not lose a client while it handles one of its packets, so those leave a moment later, in a
 * tick. A session that its bridge has not closed two seconds later is disconnected by the broker, which
 * closes it too.
 */
#ifndef CHAT_KICKS_H
#define CHAT_KICKS_H

#include "clients.h"

#include <stdbool.h>
#include <stdint.h>

#define KICK_CODE 4102 /* forbidden: a client that knows it does not come back by itself */

void kicks_stop(void);

/* All clients of this identity, in a tenth of a second; why: one line for people. for_good: nobody of that
 * name may stay, so clients of which the plugin knows nothing yet (mosquitto 2.0, logins that the broker
 * decides) are looked for a second time. *count: how many are known. False when there are too many such
 * orders already. */
bool kicks_user(const struct identity *who, const char *why, bool for_good, uint64_t now_ms, unsigned *count);

/* This one, in the next tick; a session at once. */
void kicks_client(const struct client *client, const char *why, uint64_t now_ms);

/* In every tick. */
void kicks_tick(uint64_t now_ms);

#endif
