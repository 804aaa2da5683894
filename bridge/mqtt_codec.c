/*
 * mqtt_codec.c - framing and decoding; see mqtt_codec.h (and mqtt_encode.c, mqtt_names.c).
 * A reader carries its first fault with it, so that a decoder reads straight on and asks
 * once at the end.
 */
#include "bridge/mqtt_codec.h"
#include "bridge/mqtt_text.h"

#include <string.h>

/* ---- variable byte integers and framing ----------------------------------------- */

/* Returns the bytes used (1 to 4), 0 when they are not all there, -1 when there are
 * more than four or more than the value needs [MQTT-1.5.5-1]. */
static int varint_decode(const uint8_t *p, size_t n, uint32_t *value)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < 4; i++) {
		if (i == n)
			return 0;
		v |= (uint32_t)(p[i] & 0x7f) << (7 * i);
		if (p[i] < 0x80) {
			if (i > 0 && p[i] == 0)
				return -1;
			*value = v;
			return (int)i + 1;
		}
	}
	return -1;
}

int mqtt_packet_length(const uint8_t *p, size_t n, size_t max)
{
	uint32_t remaining;
	int used;

	if (n < 2)
		return 0;
	used = varint_decode(p + 1, n - 1, &remaining);
	if (used < 0)
		return -MQTT_BAD_LENGTH;
	if (used == 0)
		return 0;
	if (1 + (size_t)used + remaining > max)
		return -MQTT_TOO_LARGE;
	return 1 + used + (int)remaining;
}

/* ---- reading fields ------------------------------------------------------------- */

/* After a fault there is nothing left to read, and the first fault is the one that stays. */
struct reader {
	const uint8_t *at;
	const uint8_t *end;
	enum mqtt_fault fault;
};

static void fail(struct reader *r, enum mqtt_fault fault)
{
	if (r->fault == MQTT_FINE)
		r->fault = fault;
	r->at = r->end;
}

static size_t left(const struct reader *r)
{
	return (size_t)(r->end - r->at);
}

/* n bytes, or after a fault none. */
static struct mqtt_span read_bytes(struct reader *r, size_t n)
{
	struct mqtt_span span = {(const char *)r->at, n};

	if (left(r) < n) {
		fail(r, MQTT_TRUNCATED);
		return (struct mqtt_span){(const char *)r->end, 0};
	}
	r->at += n;
	return span;
}

static uint32_t read_uint(struct reader *r, size_t width)
{
	struct mqtt_span bytes = read_bytes(r, width);
	uint32_t v = 0;

	for (size_t i = 0; i < bytes.len; i++)
		v = v << 8 | (uint8_t)bytes.at[i];
	return v;
}

static uint32_t read_varint(struct reader *r)
{
	uint32_t v = 0;
	int used = varint_decode(r->at, left(r), &v);

	if (used <= 0)
		fail(r, used < 0 ? MQTT_BAD_VARINT : MQTT_TRUNCATED);
	else
		r->at += used;
	return v;
}

static struct mqtt_span read_span(struct reader *r)
{
	return read_bytes(r, read_uint(r, 2));
}

static void check_text(struct reader *r, struct mqtt_span s)
{
	if (r->fault == MQTT_FINE && !mqtt_text_valid(s.at, s.len))
		fail(r, MQTT_BAD_STRING);
}

static void check_topic(struct reader *r, struct mqtt_span s)
{
	check_text(r, s);
	if (r->fault == MQTT_FINE && !mqtt_topic_valid(s.at, s.len))
		fail(r, MQTT_BAD_TOPIC);
}

static uint16_t read_packet_id(struct reader *r)
{
	uint16_t id = (uint16_t)read_uint(r, 2);

	if (id == 0)
		fail(r, MQTT_BAD_PACKET_ID);
	return id;
}

/* Failures: any that the standard knows, not only those it lists for this packet, because
 * mosquitto answers PUBLISH beyond message_size_limit with "packet too large" in a PUBACK. */
static bool reason_valid(uint8_t reason, uint8_t success_a, uint8_t success_b)
{
	return reason == success_a || reason == success_b ||
	       (reason >= MQTT_REASON_UNSPECIFIED && reason <= MQTT_REASON_LAST);
}

static uint8_t read_reason(struct reader *r, uint8_t success_a, uint8_t success_b)
{
	uint8_t reason = (uint8_t)read_uint(r, 1);

	if (!reason_valid(reason, success_a, success_b))
		fail(r, MQTT_BAD_REASON);
	return reason;
}

/* ---- properties ----------------------------------------------------------------- */

enum property_kind {
	KIND_NONE,
	KIND_U8,
	KIND_U16,
	KIND_U32,
	KIND_VARINT,
	KIND_BINARY,
	KIND_TEXT,
	KIND_TOPIC,
	KIND_PAIR
};

/* The packets that a server sends and that have properties. */
enum {
	IN_CONNACK = 1,
	IN_PUBLISH = 2,
	IN_ACK = 4, /* PUBACK, SUBACK, UNSUBACK */
	IN_DISCONNECT = 8,
	REPEATS = 16, /* may stand more than once */
};

enum {
	P_PAYLOAD_FORMAT = 1,
	P_MESSAGE_EXPIRY = 2,
	P_CONTENT_TYPE = 3,
	P_RESPONSE_TOPIC = 8,
	P_CORRELATION_DATA = 9,
	P_SUBSCRIPTION_ID = 11,
	P_SESSION_EXPIRY = 17,
	P_ASSIGNED_CLIENT_ID = 18,
	P_SERVER_KEEP_ALIVE = 19,
	P_SERVER_REFERENCE = 28,
	P_REASON_STRING = 31,
	P_RECEIVE_MAXIMUM = 33,
	P_TOPIC_ALIAS_MAXIMUM = 34,
	P_MAXIMUM_QOS = 36,
	P_RETAIN_AVAILABLE = 37,
	P_USER_PROPERTY = 38,
	P_MAXIMUM_PACKET_SIZE = 39,
	P_WILDCARD_AVAILABLE = 40,
	P_SUBSCRIPTION_IDS_AVAILABLE = 41,
	P_SHARED_AVAILABLE = 42,
	P_COUNT,
};

/* What a server may send us [2.2.2.2]. Not here, so refused: what only clients send, and what
 * needs our request, which we never make: topic alias (35), response information (26),
 * authentication method and data (21, 22). */
static const struct property_spec {
	uint8_t kind; /* enum property_kind */
	uint8_t where;
	uint32_t min, max; /* of the number */
} specs[P_COUNT] = {
    [P_PAYLOAD_FORMAT] = {KIND_U8, IN_PUBLISH, 0, 1},
    [P_MESSAGE_EXPIRY] = {KIND_U32, IN_PUBLISH, 0, UINT32_MAX},
    [P_CONTENT_TYPE] = {KIND_TEXT, IN_PUBLISH, 0, 0},
    [P_RESPONSE_TOPIC] = {KIND_TOPIC, IN_PUBLISH, 0, 0},
    [P_CORRELATION_DATA] = {KIND_BINARY, IN_PUBLISH, 0, 0},
    [P_SUBSCRIPTION_ID] = {KIND_VARINT, IN_PUBLISH | REPEATS, 1, MQTT_REMAINING_MAX},
    [P_SESSION_EXPIRY] = {KIND_U32, IN_CONNACK, 0, UINT32_MAX},
    [P_ASSIGNED_CLIENT_ID] = {KIND_TEXT, IN_CONNACK, 0, 0},
    [P_SERVER_KEEP_ALIVE] = {KIND_U16, IN_CONNACK, 0, UINT16_MAX},
    [P_SERVER_REFERENCE] = {KIND_TEXT, IN_CONNACK | IN_DISCONNECT, 0, 0},
    [P_REASON_STRING] = {KIND_TEXT, IN_CONNACK | IN_ACK | IN_DISCONNECT, 0, 0},
    [P_RECEIVE_MAXIMUM] = {KIND_U16, IN_CONNACK, 1, UINT16_MAX},
    [P_TOPIC_ALIAS_MAXIMUM] = {KIND_U16, IN_CONNACK, 0, UINT16_MAX},
    [P_MAXIMUM_QOS] = {KIND_U8, IN_CONNACK, 0, 1},
    [P_RETAIN_AVAILABLE] = {KIND_U8, IN_CONNACK, 0, 1},
    [P_USER_PROPERTY] = {KIND_PAIR, IN_CONNACK | IN_PUBLISH | IN_ACK | IN_DISCONNECT | REPEATS, 0, 0},
    [P_MAXIMUM_PACKET_SIZE] = {KIND_U32, IN_CONNACK, 1, UINT32_MAX},
    [P_WILDCARD_AVAILABLE] = {KIND_U8, IN_CONNACK, 0, 1},
    [P_SUBSCRIPTION_IDS_AVAILABLE] = {KIND_U8, IN_CONNACK, 0, 1},
    [P_SHARED_AVAILABLE] = {KIND_U8, IN_CONNACK, 0, 1},
};

/* The shape only: what the values may be is check_property's. */
static void read_property(struct reader *r, struct mqtt_property *out)
{
	uint32_t id = read_varint(r);

	*out = (struct mqtt_property){.id = (uint8_t)id};
	if (r->fault != MQTT_FINE)
		return;
	switch (id < P_COUNT ? specs[id].kind : KIND_NONE) {
	case KIND_U8:
		out->number = read_uint(r, 1);
		break;
	case KIND_U16:
		out->number = read_uint(r, 2);
		break;
	case KIND_U32:
		out->number = read_uint(r, 4);
		break;
	case KIND_VARINT:
		out->number = read_varint(r);
		break;
	case KIND_BINARY:
	case KIND_TEXT:
	case KIND_TOPIC:
		out->value = read_span(r);
		break;
	case KIND_PAIR:
		out->name = read_span(r);
		out->value = read_span(r);
		break;
	default:
		fail(r, MQTT_BAD_PROPERTY);
	}
}

static void check_property(struct reader *r, const struct mqtt_property *p, unsigned packet, uint64_t *seen)
{
	const struct property_spec *spec = &specs[p->id];
	uint64_t bit = UINT64_C(1) << p->id;

	if (!(spec->where & packet))
		fail(r, MQTT_BAD_PROPERTY);
	else if ((*seen & bit) && !(spec->where & REPEATS))
		fail(r, MQTT_DUPLICATE_PROPERTY);
	else if (p->number < spec->min || p->number > spec->max)
		fail(r, MQTT_BAD_VALUE);
	else if (spec->kind == KIND_TOPIC)
		check_topic(r, p->value);
	else if (spec->kind != KIND_BINARY)
		check_text(r, p->value);
	check_text(r, p->name);
	*seen |= bit;
}

/* The length, then that many bytes of properties, each of them checked for that packet. */
static struct mqtt_properties read_properties(struct reader *r, unsigned packet)
{
	struct mqtt_span span = read_bytes(r, read_varint(r));
	struct mqtt_properties all = {(const uint8_t *)span.at, (const uint8_t *)span.at + span.len};
	struct reader inner = {all.at, all.end, r->fault};
	struct mqtt_property p;
	uint64_t seen = 0;

	while (inner.fault == MQTT_FINE && inner.at < inner.end) {
		read_property(&inner, &p);
		if (inner.fault == MQTT_FINE)
			check_property(&inner, &p, packet, &seen);
	}
	if (inner.fault != MQTT_FINE)
		fail(r, inner.fault);
	return all;
}

bool mqtt_property_next(struct mqtt_properties *properties, struct mqtt_property *out)
{
	struct reader r = {properties->at, properties->end, MQTT_FINE};

	if (r.at == r.end)
		return false;
	read_property(&r, out);
	properties->at = r.at;
	return r.fault == MQTT_FINE;
}

bool mqtt_user_property_find(struct mqtt_properties properties, const char *name, struct mqtt_span *value)
{
	size_t len = strlen(name);
	struct mqtt_property p;

	while (mqtt_property_next(&properties, &p)) {
		if (p.id == P_USER_PROPERTY && p.name.len == len && memcmp(p.name.at, name, len) == 0) {
			*value = p.value;
			return true;
		}
	}
	return false;
}

/* The first property of that id, which holds text; at NULL when there is none. */
static struct mqtt_span text_property(struct mqtt_properties properties, uint8_t id)
{
	struct mqtt_property p;

	while (mqtt_property_next(&properties, &p))
		if (p.id == id)
			return p.value;
	return (struct mqtt_span){NULL, 0};
}

/* ---- packets -------------------------------------------------------------------- */

static void take_connack_property(struct mqtt_connack *c, const struct mqtt_property *p)
{
	switch (p->id) {
	case P_SESSION_EXPIRY:
		c->has_session_expiry_interval = true;
		c->session_expiry_interval = p->number;
		break;
	case P_ASSIGNED_CLIENT_ID:
		c->assigned_client_id = p->value;
		break;
	case P_SERVER_KEEP_ALIVE:
		c->has_server_keep_alive = true;
		c->server_keep_alive = (uint16_t)p->number;
		break;
	case P_SERVER_REFERENCE:
		c->server_reference = p->value;
		break;
	case P_REASON_STRING:
		c->reason_string = p->value;
		break;
	case P_RECEIVE_MAXIMUM:
		c->receive_maximum = (uint16_t)p->number;
		break;
	case P_TOPIC_ALIAS_MAXIMUM:
		c->topic_alias_maximum = (uint16_t)p->number;
		break;
	case P_MAXIMUM_QOS:
		c->maximum_qos = (uint8_t)p->number;
		break;
	case P_RETAIN_AVAILABLE:
		c->retain_available = p->number != 0;
		break;
	case P_MAXIMUM_PACKET_SIZE:
		c->maximum_packet_size = p->number;
		break;
	case P_WILDCARD_AVAILABLE:
		c->wildcard_available = p->number != 0;
		break;
	case P_SUBSCRIPTION_IDS_AVAILABLE:
		c->subscription_identifiers_available = p->number != 0;
		break;
	case P_SHARED_AVAILABLE:
		c->shared_subscriptions_available = p->number != 0;
		break;
	default: /* user properties */
		break;
	}
}

static void decode_connack(struct reader *r, struct mqtt_connack *c)
{
	struct mqtt_properties properties;
	struct mqtt_property p;
	uint32_t flags = read_uint(r, 1);
	uint8_t reason = read_reason(r, MQTT_REASON_SUCCESS, MQTT_REASON_SUCCESS);

	if (flags > 1)
		fail(r, MQTT_BAD_FLAGS);
	else if (flags == 1 && reason != 0)
		fail(r, MQTT_BAD_SESSION_PRESENT);
	properties = read_properties(r, IN_CONNACK);
	*c = (struct mqtt_connack){
	    .session_present = flags == 1,
	    .reason = reason,
	    .receive_maximum = UINT16_MAX,
	    .maximum_qos = 2,
	    .retain_available = true,
	    .wildcard_available = true,
	    .subscription_identifiers_available = true,
	    .shared_subscriptions_available = true,
	    .properties = properties,
	};
	if (r->fault != MQTT_FINE)
		return;
	while (mqtt_property_next(&properties, &p))
		take_connack_property(c, &p);
}

static void decode_publish(struct reader *r, uint8_t flags, struct mqtt_publish *m)
{
	struct mqtt_properties walk;
	struct mqtt_property p;

	*m = (struct mqtt_publish){
	    .qos = (uint8_t)(flags >> 1 & 3),
	    .dup = (flags & 8) != 0,
	    .retain = (flags & 1) != 0,
	};
	if (m->qos > 1)
		fail(r, MQTT_BAD_QOS);
	else if (m->qos == 0 && m->dup)
		fail(r, MQTT_BAD_FLAGS); /* [MQTT-3.3.1-2] */
	m->topic = read_span(r);
	check_topic(r, m->topic);
	if (m->qos > 0)
		m->packet_id = read_packet_id(r);
	m->properties = read_properties(r, IN_PUBLISH);
	m->payload = read_bytes(r, left(r));
	if (r->fault != MQTT_FINE)
		return;
	walk = m->properties;
	while (mqtt_property_next(&walk, &p)) {
		if (p.id == P_PAYLOAD_FORMAT)
			m->payload_is_utf8 = p.number == 1;
		else if (p.id == P_CONTENT_TYPE)
			m->content_type = p.value;
	}
}

/* Reason 0 and the property length may be left out at the end [3.4.2.1, 3.4.2.2.1]. */
static void decode_puback(struct reader *r, struct mqtt_puback *a)
{
	*a = (struct mqtt_puback){.packet_id = read_packet_id(r)};
	if (left(r) > 0)
		a->reason = read_reason(r, MQTT_REASON_SUCCESS, MQTT_REASON_NO_MATCHING_SUBSCRIBERS);
	if (left(r) > 0)
		a->properties = read_properties(r, IN_ACK);
	if (r->fault == MQTT_FINE)
		a->reason_string = text_property(a->properties, P_REASON_STRING);
}

/* SUBACK grants QoS 0 or 1; UNSUBACK succeeds with 0x00 or with 0x11, no subscription existed. */
static void decode_suback(struct reader *r, struct mqtt_suback *a, uint8_t other_success)
{
	*a = (struct mqtt_suback){.packet_id = read_packet_id(r)};
	a->properties = read_properties(r, IN_ACK);
	a->reasons = r->at;
	a->reason_count = left(r);
	if (a->reason_count == 0)
		fail(r, MQTT_TRUNCATED);
	while (left(r) > 0)
		(void)read_reason(r, MQTT_REASON_SUCCESS, other_success);
	if (r->fault == MQTT_FINE)
		a->reason_string = text_property(a->properties, P_REASON_STRING);
}

static void decode_disconnect(struct reader *r, struct mqtt_disconnect *d)
{
	*d = (struct mqtt_disconnect){.reason = 0};
	if (left(r) > 0)
		d->reason = read_reason(r, MQTT_REASON_SUCCESS, MQTT_REASON_SUCCESS);
	if (left(r) > 0)
		d->properties = read_properties(r, IN_DISCONNECT);
	if (r->fault != MQTT_FINE)
		return;
	d->reason_string = text_property(d->properties, P_REASON_STRING);
	d->server_reference = text_property(d->properties, P_SERVER_REFERENCE);
}

enum mqtt_fault mqtt_decode(const uint8_t *p, size_t n, struct mqtt_packet *out)
{
	int length = mqtt_packet_length(p, n, MQTT_PACKET_MAX);
	struct reader r;
	uint8_t flags;

	if (length <= 0 || (size_t)length != n)
		return MQTT_BAD_LENGTH;
	r = (struct reader){p + 1, p + n, MQTT_FINE};
	(void)read_varint(&r);
	out->type = (enum mqtt_type)(p[0] >> 4);
	flags = p[0] & 0x0f;
	if (flags != 0 && out->type != MQTT_PUBLISH)
		fail(&r, MQTT_BAD_FLAGS);
	switch (out->type) {
	case MQTT_CONNACK:
		decode_connack(&r, &out->u.connack);
		break;
	case MQTT_PUBLISH:
		decode_publish(&r, flags, &out->u.publish);
		break;
	case MQTT_PUBACK:
		decode_puback(&r, &out->u.puback);
		break;
	case MQTT_SUBACK:
		decode_suback(&r, &out->u.suback, 0x01);
		break;
	case MQTT_UNSUBACK:
		decode_suback(&r, &out->u.suback, 0x11);
		break;
	case MQTT_PINGRESP:
		break;
	case MQTT_DISCONNECT:
		decode_disconnect(&r, &out->u.disconnect);
		break;
	default:
		return MQTT_BAD_TYPE;
	}
	if (r.fault == MQTT_FINE && r.at < r.end)
		fail(&r, MQTT_TRAILING);
	return r.fault;
}
