/*
 * mqtt_names.c - what the log says for faults and reason codes; see mqtt_codec.h.
 */
#include "bridge/mqtt_codec.h"

const char *mqtt_fault_name(enum mqtt_fault fault)
{
	static const char *const names[] = {
	    [MQTT_FINE] = "fine",
	    [MQTT_BAD_LENGTH] = "bad remaining length",
	    [MQTT_TOO_LARGE] = "packet too large",
	    [MQTT_BAD_TYPE] = "unexpected packet type",
	    [MQTT_BAD_FLAGS] = "bad flags",
	    [MQTT_BAD_QOS] = "bad QoS",
	    [MQTT_TRUNCATED] = "field runs past the end",
	    [MQTT_TRAILING] = "bytes after the last field",
	    [MQTT_BAD_VARINT] = "bad variable byte integer",
	    [MQTT_BAD_STRING] = "bad string",
	    [MQTT_BAD_TOPIC] = "bad topic",
	    [MQTT_BAD_PACKET_ID] = "bad packet identifier",
	    [MQTT_BAD_REASON] = "bad reason code",
	    [MQTT_BAD_PROPERTY] = "bad property",
	    [MQTT_DUPLICATE_PROPERTY] = "duplicate property",
	    [MQTT_BAD_VALUE] = "property out of range",
	    [MQTT_BAD_SESSION_PRESENT] = "session present with a failure",
	};
	size_t i = (size_t)fault;

	return i < sizeof(names) / sizeof(*names) ? names[i] : "unknown fault";
}

/* 0x80 to 0xA2, without a gap [2.4]. */
static const char *const failures[MQTT_REASON_LAST - MQTT_REASON_UNSPECIFIED + 1] = {
    "unspecified error",
    "malformed packet",
    "protocol error",
    "implementation specific error",
    "unsupported protocol version",
    "client identifier not valid",
    "bad user name or password",
    "not authorized",
    "server unavailable",
    "server busy",
    "banned",
    "server shutting down",
    "bad authentication method",
    "keep alive timeout",
    "session taken over",
    "topic filter invalid",
    "topic name invalid",
    "packet identifier in use",
    "packet identifier not found",
    "receive maximum exceeded",
    "topic alias invalid",
    "packet too large",
    "message rate too high",
    "quota exceeded",
    "administrative action",
    "payload format invalid",
    "retain not supported",
    "QoS not supported",
    "use another server",
    "server moved",
    "shared subscriptions not supported",
    "connection rate exceeded",
    "maximum connect time",
    "subscription identifiers not supported",
    "wildcard subscriptions not supported",
};

const char *mqtt_reason_name(uint8_t reason)
{
	if (reason >= MQTT_REASON_UNSPECIFIED && reason <= MQTT_REASON_LAST)
		return failures[reason - MQTT_REASON_UNSPECIFIED];
	switch (reason) {
	case 0x00:
		return "success";
	case 0x01:
		return "granted QoS 1";
	case 0x02:
		return "granted QoS 2";
	case 0x04:
		return "disconnect with will message";
	case 0x10:
		return "no matching subscribers";
	case 0x11:
		return "no subscription existed";
	case 0x18:
		return "continue authentication";
	case 0x19:
		return "re-authenticate";
	default:
		return "unknown reason";
	}
}
