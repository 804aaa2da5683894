/*
 * properties.h - the MQTT 5 properties of a canonical message, and putting them on a publish.
 */
#ifndef CHAT_PROPERTIES_H
#define CHAT_PROPERTIES_H

#include "compat.h"

#include <stdbool.h>
#include <stdint.h>

struct mosquitto_evt_message;

/* broker_frees_replaced: host.h. */
void properties_start(bool broker_frees_replaced);

/* via: "ws" or "mqtt"; seq, n: 0 = none; late: published with QoS 2. NULL when out of memory; else the
 * caller's. */
mosquitto_property *properties_make(const char *via, uint64_t seq, uint64_t n, bool late);

/* The publish goes on with these, which become the broker's. */
void properties_replace(struct mosquitto_evt_message *ed, mosquitto_property *list);

#endif
