/*
 * message_marks.h - the numbers that the plugin puts on a canonical message for the bridges, as
 * MQTT 5 user properties. Pure.
 */
#ifndef CHAT_BRIDGE_MESSAGE_MARKS_H
#define CHAT_BRIDGE_MESSAGE_MARKS_H

#include "bridge/mqtt_codec.h"

#include <stdint.h>

#define ORDER_BY_ID 0 /* ids rise in the order of delivery */
#define ORDER_LATE                                                                                           \
	UINT64_MAX /* sent with QoS 2: its id may be older than what has been delivered before it */

struct message_marks {
	uint64_t seq;     /* the message's number in its room; 0: it has none (QoS 2, direct messages) */
	uint64_t order;   /* its place in history: a number, where ids do not tell it; ORDER_BY_ID, ORDER_LATE */
	uint64_t sent_ms; /* since 1970, when it was accepted, as its id has it; 0: it has none */
	struct mqtt_span copy; /* on the topic of a room's old name: the room whose message it is a copy of,
	                          borrowed from the publish; empty: it is none */
	uint64_t origin;       /* number of the author's session, where it is one of this bridge's; else 0 */
};

struct message_marks message_marks_read(const struct mqtt_publish *p, unsigned bridge_index);

#endif
