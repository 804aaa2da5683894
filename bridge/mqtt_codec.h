/*
 * mqtt_codec.h - MQTT 5 packets <-> structs, for a client that uses QoS 0 and 1.
 *
 * Pure: no allocation, no I/O, no state, any bytes. All lengths are bytes, all
 * spans are borrowed: decoded spans point into the packet, encoders copy.
 *
 * Encoders write one whole packet to out and return its length, or 0 when it does
 * not fit into cap; out is then undefined. They also return 0 for what no valid
 * packet can say (a string that is ill-formed UTF-8, holds U+0000 or is longer than
 * 65,535 bytes; an empty topic or filter; a wildcard in a topic; packet id 0 where
 * one is needed; more than MQTT_REMAINING_MAX bytes). The *_size functions answer 0
 * for exactly those, so a 0 of an encoder can be told apart.
 *
 * Decoding is as strict as the standard lets a client be, and speaks of what this
 * client can be sent: it never asks for QoS 2, topic aliases, extended
 * authentication or response information, so a server that sends them errs.
 *
 * Numbers in [] are normative statements of "MQTT Version 5.0", OASIS 2019.
 */
#ifndef CHAT_MQTT_CODEC_H
#define CHAT_MQTT_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MQTT_REMAINING_MAX 268435455u /* what a variable byte integer of four bytes holds [2.1.4] */
#define MQTT_PACKET_MAX (MQTT_REMAINING_MAX + 5u)
#define MQTT_STRING_MAX 65535u /* bytes of a string or of binary data */

enum mqtt_type {
	MQTT_CONNECT = 1,
	MQTT_CONNACK = 2,
	MQTT_PUBLISH = 3,
	MQTT_PUBACK = 4,
	MQTT_SUBSCRIBE = 8,
	MQTT_SUBACK = 9,
	MQTT_UNSUBSCRIBE = 10,
	MQTT_UNSUBACK = 11,
	MQTT_PINGREQ = 12,
	MQTT_PINGRESP = 13,
	MQTT_DISCONNECT = 14,
};

/* Reason codes that a caller compares with or sends; mqtt_reason_name knows all. Failures: 0x80 and up. */
enum mqtt_reason {
	MQTT_REASON_SUCCESS = 0x00,
	MQTT_REASON_NO_MATCHING_SUBSCRIBERS = 0x10,
	MQTT_REASON_UNSPECIFIED = 0x80,
	MQTT_REASON_MALFORMED_PACKET = 0x81,
	MQTT_REASON_PROTOCOL_ERROR = 0x82,
	MQTT_REASON_BAD_USER_OR_PASSWORD = 0x86,
	MQTT_REASON_NOT_AUTHORIZED = 0x87,
	MQTT_REASON_SERVER_UNAVAILABLE = 0x88,
	MQTT_REASON_SERVER_BUSY = 0x89,
	MQTT_REASON_SERVER_SHUTTING_DOWN = 0x8B,
	MQTT_REASON_KEEP_ALIVE_TIMEOUT = 0x8D,
	MQTT_REASON_SESSION_TAKEN_OVER = 0x8E,
	MQTT_REASON_RECEIVE_MAXIMUM_EXCEEDED = 0x93,
	MQTT_REASON_PACKET_TOO_LARGE = 0x95,
	MQTT_REASON_QUOTA_EXCEEDED = 0x97,
	MQTT_REASON_ADMINISTRATIVE_ACTION = 0x98,
	MQTT_REASON_LAST = 0xA2, /* wildcard subscriptions not supported; nothing is defined beyond */
};

/* What is wrong with bytes from the server, for the log. */
enum mqtt_fault {
	MQTT_FINE = 0,
	MQTT_BAD_LENGTH, /* remaining length: longer than four bytes or than needed, or not that of the packet */
	MQTT_TOO_LARGE,  /* longer than the maximum packet size that we announced */
	MQTT_BAD_TYPE,   /* a type that does not exist or that a server must not send us */
	MQTT_BAD_FLAGS,  /* reserved bits, DUP with QoS 0 */
	MQTT_BAD_QOS,    /* QoS 3, or QoS 2, which no subscription of ours asks for */
	MQTT_TRUNCATED,  /* a field runs past the end of the packet or of its properties */
	MQTT_TRAILING,   /* bytes after the last field */
	MQTT_BAD_VARINT, /* a variable byte integer in the body: too long, or longer than needed */
	MQTT_BAD_STRING, /* ill-formed UTF-8 or U+0000 [MQTT-1.5.4-1, -2] */
	MQTT_BAD_TOPIC,  /* empty, or with a wildcard [MQTT-3.3.2-2] */
	MQTT_BAD_PACKET_ID,      /* zero [MQTT-2.2.1-3] */
	MQTT_BAD_REASON,         /* a success that this packet does not have, or a failure that nothing has */
	MQTT_BAD_PROPERTY,       /* a property that does not exist, does not belong here, or that we ruled out */
	MQTT_DUPLICATE_PROPERTY, /* twice, where once is the limit */
	MQTT_BAD_VALUE,          /* a property outside its range */
	MQTT_BAD_SESSION_PRESENT /* set together with a failure [MQTT-3.2.2-6] */
};

/* Short English for the log, never NULL: "bad property". */
const char *mqtt_fault_name(enum mqtt_fault fault);

/* The standard's name of a reason code in lower case: "not authorized"; "unknown reason" where it has none.
 */
const char *mqtt_reason_name(uint8_t reason);

/* Text or bytes, not NUL-terminated. at may be NULL only with len 0, and then means "absent" where that
 * differs from empty. */
struct mqtt_span {
	const char *at;
	size_t len;
};

struct mqtt_user_property {
	struct mqtt_span name;
	struct mqtt_span value;
};

/* ---- framing -------------------------------------------------------------------- */

/* How long is the packet that starts at p, of which n bytes are there (n may be 0)?
 *   > 0  its whole length, fixed header included; it may be more than n
 *   = 0  the length itself is not complete yet: read more
 *   < 0  -(enum mqtt_fault): MQTT_BAD_LENGTH or MQTT_TOO_LARGE; close the connection
 * max: the largest whole packet accepted, at most MQTT_PACKET_MAX. */
int mqtt_packet_length(const uint8_t *p, size_t n, size_t max);

/* ---- encoding ------------------------------------------------------------------- */

struct mqtt_connect {
	struct mqtt_span client_id; /* empty: the server assigns one */
	struct mqtt_span user_name; /* at NULL: none */
	struct mqtt_span password;  /* at NULL: none; any bytes */
	bool clean_start;
	uint16_t keep_alive;              /* seconds, 0: none */
	uint16_t receive_maximum;         /* 0: not sent (brokers then take their own default) */
	uint32_t session_expiry_interval; /* seconds, 0: not sent, the session ends with the connection */
	uint32_t maximum_packet_size;     /* 0: not sent, no limit */
};

size_t mqtt_connect_size(const struct mqtt_connect *c);
size_t mqtt_encode_connect(uint8_t *out, size_t cap, const struct mqtt_connect *c);

struct mqtt_filter {
	struct mqtt_span filter;
	uint8_t qos;   /* 0 or 1 */
	bool no_local; /* not together with $share/… [MQTT-3.8.3-4] */
	bool retain_as_published;
	uint8_t retain_handling; /* 0 send retained, 1 only where the subscription is new, 2 never */
};

size_t mqtt_subscribe_size(const struct mqtt_filter *filters, size_t n);
size_t mqtt_encode_subscribe(uint8_t *out, size_t cap, uint16_t packet_id, const struct mqtt_filter *filters,
                             size_t n);

size_t mqtt_unsubscribe_size(const struct mqtt_span *filters, size_t n);
size_t mqtt_encode_unsubscribe(uint8_t *out, size_t cap, uint16_t packet_id, const struct mqtt_span *filters,
                               size_t n);

/* A PUBLISH to be sent. packet_id must be 0 with QoS 0 and not 0 with QoS 1. */
struct mqtt_publish_out {
	struct mqtt_span topic;
	uint16_t packet_id;
	uint8_t qos; /* 0 or 1 */
	bool dup;    /* only with QoS 1 */
	bool retain;
	bool payload_is_utf8;          /* payload format indicator 1 */
	struct mqtt_span content_type; /* at NULL: none */
	const struct mqtt_user_property *user_properties;
	size_t user_property_count;
};

/* Everything before the payload; the remaining length in it counts payload_len bytes
 * that the caller sends right after. The size is that of the head alone. */
size_t mqtt_publish_head_size(const struct mqtt_publish_out *p, size_t payload_len);
size_t mqtt_encode_publish_head(uint8_t *out, size_t cap, const struct mqtt_publish_out *p,
                                size_t payload_len);

/* Reason 0 is the short form. Any other reason is written as given. */
size_t mqtt_encode_puback(uint8_t *out, size_t cap, uint16_t packet_id, uint8_t reason); /* 4 or 5 bytes */
size_t mqtt_encode_pingreq(uint8_t *out, size_t cap);                                    /* 2 bytes */
size_t mqtt_encode_disconnect(uint8_t *out, size_t cap, uint8_t reason);                 /* 2 or 3 bytes */

/* ---- decoding ------------------------------------------------------------------- */

/* Properties of a decoded packet, already checked; copy the struct to walk them again. */
struct mqtt_properties {
	const uint8_t *at;
	const uint8_t *end;
};

struct mqtt_property {
	uint8_t id;      /* 1 payload format, 2 message expiry, 3 content type, 38 user property … [2.2.2.2] */
	uint32_t number; /* integers of every width, else 0 */
	struct mqtt_span name;  /* user properties, else empty */
	struct mqtt_span value; /* strings, binary data, user properties, else empty */
};

/* The next property and true, or false at the end. Safe on any bytes. */
bool mqtt_property_next(struct mqtt_properties *left, struct mqtt_property *out);

/* The value of the first user property of that (NUL-terminated) name. */
bool mqtt_user_property_find(struct mqtt_properties properties, const char *name, struct mqtt_span *value);

/* Absent properties hold the standard's defaults. */
struct mqtt_connack {
	bool session_present;
	uint8_t reason;
	bool has_session_expiry_interval; /* absent: ours stands */
	uint32_t session_expiry_interval; /* seconds */
	bool has_server_keep_alive;       /* absent: ours stands */
	uint16_t server_keep_alive;       /* seconds; to be used instead of ours [MQTT-3.2.2-21] */
	uint16_t receive_maximum; /* unacknowledged QoS 1 publishes that the server takes, default 65,535 */
	uint16_t topic_alias_maximum;
	uint8_t maximum_qos;          /* 0, 1 or (default) 2 */
	uint32_t maximum_packet_size; /* 0: no limit */
	bool retain_available;
	bool wildcard_available;
	bool subscription_identifiers_available;
	bool shared_subscriptions_available;
	struct mqtt_span assigned_client_id; /* at NULL: ours was taken */
	struct mqtt_span reason_string;      /* at NULL: none */
	struct mqtt_span server_reference;   /* at NULL: none */
	struct mqtt_properties properties;
};

struct mqtt_publish {
	struct mqtt_span topic; /* never empty */
	struct mqtt_span payload;
	uint16_t packet_id; /* 0 with QoS 0 */
	uint8_t qos;        /* 0 or 1 */
	bool dup;
	bool retain;
	bool payload_is_utf8;          /* as the publisher says; not checked here */
	struct mqtt_span content_type; /* at NULL: none */
	struct mqtt_properties properties;
};

struct mqtt_puback {
	uint16_t packet_id;
	uint8_t reason;
	struct mqtt_span reason_string; /* at NULL: none */
	struct mqtt_properties properties;
};

/* SUBACK and UNSUBACK: one reason for each filter, in the order asked, at least one. */
struct mqtt_suback {
	uint16_t packet_id;
	const uint8_t *reasons;
	size_t reason_count;
	struct mqtt_span reason_string; /* at NULL: none */
	struct mqtt_properties properties;
};

struct mqtt_disconnect {
	uint8_t reason;
	struct mqtt_span reason_string;    /* at NULL: none */
	struct mqtt_span server_reference; /* at NULL: none */
	struct mqtt_properties properties;
};

struct mqtt_packet {
	enum mqtt_type
	    type; /* CONNACK, PUBLISH, PUBACK, SUBACK, UNSUBACK, PINGRESP (nothing more) or DISCONNECT */
	union {
		struct mqtt_connack connack;
		struct mqtt_publish publish;
		struct mqtt_puback puback;
		struct mqtt_suback suback; /* also of an UNSUBACK */
		struct mqtt_disconnect disconnect;
	} u;
};

/* Decodes the packet of exactly n bytes at p, as framed by mqtt_packet_length.
 * MQTT_FINE and *out filled, or the fault and *out undefined. */
enum mqtt_fault mqtt_decode(const uint8_t *p, size_t n, struct mqtt_packet *out);

#endif
