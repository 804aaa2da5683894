/*
 * mqtt_encode.c - structs -> MQTT 5 packets; see mqtt_codec.h. The size functions judge and
 * measure, so that the writing after them cannot fail.
 */
#include "bridge/mqtt_codec.h"
#include "bridge/mqtt_text.h"

#include <string.h>

/* '+' fills a level, '#' fills the last one [MQTT-4.7.1-1, -2]. */
static bool filter_valid(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] != '+' && s[i] != '#')
			continue;
		if (i > 0 && s[i - 1] != '/')
			return false;
		if (i + 1 < n && (s[i] == '#' || s[i + 1] != '/'))
			return false;
	}
	return n > 0;
}

static size_t varint_size(size_t v)
{
	return v < 0x80 ? 1 : v < 0x4000 ? 2 : v < 0x200000 ? 3 : 4;
}

static bool span_valid(struct mqtt_span s)
{
	return s.len <= MQTT_STRING_MAX && mqtt_text_valid(s.at, s.len);
}

/* The whole packet for that much after the fixed header, 0 when no packet holds as much. */
static size_t packet_size(size_t remaining)
{
	return remaining > MQTT_REMAINING_MAX ? 0 : 1 + varint_size(remaining) + remaining;
}

static uint8_t *put_u16(uint8_t *at, uint32_t v)
{
	*at++ = (uint8_t)(v >> 8);
	*at++ = (uint8_t)v;
	return at;
}

static uint8_t *put_u32(uint8_t *at, uint32_t v)
{
	return put_u16(put_u16(at, v >> 16), v & 0xffff);
}

static uint8_t *put_varint(uint8_t *at, size_t v)
{
	for (; v >= 0x80; v >>= 7)
		*at++ = (uint8_t)(v | 0x80);
	*at++ = (uint8_t)v;
	return at;
}

static uint8_t *put_span(uint8_t *at, struct mqtt_span s)
{
	at = put_u16(at, (uint32_t)s.len);
	if (s.len > 0)
		memcpy(at, s.at, s.len);
	return at + s.len;
}

static size_t connect_properties_size(const struct mqtt_connect *c)
{
	return (c->session_expiry_interval != 0 ? 5u : 0u) + (c->receive_maximum != 0 ? 3u : 0u) +
	       (c->maximum_packet_size != 0 ? 5u : 0u);
}

static size_t connect_remaining(const struct mqtt_connect *c)
{
	size_t n = 10 + 1 + connect_properties_size(c) + 2 + c->client_id.len;

	if (c->user_name.at != NULL)
		n += 2 + c->user_name.len;
	if (c->password.at != NULL)
		n += 2 + c->password.len;
	return n;
}

size_t mqtt_connect_size(const struct mqtt_connect *c)
{
	if (!span_valid(c->client_id) || !span_valid(c->user_name) || c->password.len > MQTT_STRING_MAX)
		return 0;
	return packet_size(connect_remaining(c));
}

size_t mqtt_encode_connect(uint8_t *out, size_t cap, const struct mqtt_connect *c)
{
	size_t size = mqtt_connect_size(c);
	uint8_t *at = out;

	if (size == 0 || size > cap)
		return 0;
	*at++ = MQTT_CONNECT << 4;
	at = put_varint(at, connect_remaining(c));
	at = put_span(at, (struct mqtt_span){"MQTT", 4});
	*at++ = 5;
	*at++ = (uint8_t)((c->user_name.at != NULL ? 0x80 : 0) | (c->password.at != NULL ? 0x40 : 0) |
	                  (c->clean_start ? 0x02 : 0));
	at = put_u16(at, c->keep_alive);
	*at++ = (uint8_t)connect_properties_size(c);
	if (c->session_expiry_interval != 0) {
		*at++ = 0x11;
		at = put_u32(at, c->session_expiry_interval);
	}
	if (c->receive_maximum != 0) {
		*at++ = 0x21;
		at = put_u16(at, c->receive_maximum);
	}
	if (c->maximum_packet_size != 0) {
		*at++ = 0x27;
		at = put_u32(at, c->maximum_packet_size);
	}
	at = put_span(at, c->client_id);
	if (c->user_name.at != NULL)
		at = put_span(at, c->user_name);
	if (c->password.at != NULL)
		(void)put_span(at, c->password);
	return size;
}

static bool subscription_valid(const struct mqtt_filter *f)
{
	bool shared = f->filter.len >= 7 && memcmp(f->filter.at, "$share/", 7) == 0;

	return span_valid(f->filter) && filter_valid(f->filter.at, f->filter.len) && f->qos <= 1 &&
	       f->retain_handling <= 2 && !(shared && f->no_local);
}

/* Packet id and no properties, then the filters. 0 when one of them is not valid. */
static size_t subscribe_remaining(const struct mqtt_filter *filters, size_t n)
{
	size_t sum = 3;

	for (size_t i = 0; i < n; i++) {
		if (!subscription_valid(&filters[i]))
			return 0;
		sum += 2 + filters[i].filter.len + 1;
	}
	return n > 0 ? sum : 0;
}

size_t mqtt_subscribe_size(const struct mqtt_filter *filters, size_t n)
{
	size_t remaining = subscribe_remaining(filters, n);

	return remaining > 0 ? packet_size(remaining) : 0;
}

size_t mqtt_encode_subscribe(uint8_t *out, size_t cap, uint16_t packet_id, const struct mqtt_filter *filters,
                             size_t n)
{
	size_t size = mqtt_subscribe_size(filters, n);
	uint8_t *at = out;

	if (size == 0 || size > cap || packet_id == 0)
		return 0;
	*at++ = MQTT_SUBSCRIBE << 4 | 0x02;
	at = put_varint(at, subscribe_remaining(filters, n));
	at = put_u16(at, packet_id);
	*at++ = 0;
	for (size_t i = 0; i < n; i++) {
		const struct mqtt_filter *f = &filters[i];

		at = put_span(at, f->filter);
		*at++ = (uint8_t)(f->qos | (f->no_local ? 0x04 : 0) | (f->retain_as_published ? 0x08 : 0) |
		                  f->retain_handling << 4);
	}
	return size;
}

static size_t unsubscribe_remaining(const struct mqtt_span *filters, size_t n)
{
	size_t sum = 3;

	for (size_t i = 0; i < n; i++) {
		if (!span_valid(filters[i]) || !filter_valid(filters[i].at, filters[i].len))
			return 0;
		sum += 2 + filters[i].len;
	}
	return n > 0 ? sum : 0;
}

size_t mqtt_unsubscribe_size(const struct mqtt_span *filters, size_t n)
{
	size_t remaining = unsubscribe_remaining(filters, n);

	return remaining > 0 ? packet_size(remaining) : 0;
}

size_t mqtt_encode_unsubscribe(uint8_t *out, size_t cap, uint16_t packet_id, const struct mqtt_span *filters,
                               size_t n)
{
	size_t size = mqtt_unsubscribe_size(filters, n);
	uint8_t *at = out;

	if (size == 0 || size > cap || packet_id == 0)
		return 0;
	*at++ = MQTT_UNSUBSCRIBE << 4 | 0x02;
	at = put_varint(at, unsubscribe_remaining(filters, n));
	at = put_u16(at, packet_id);
	*at++ = 0;
	for (size_t i = 0; i < n; i++)
		at = put_span(at, filters[i]);
	return size;
}

static size_t publish_properties_size(const struct mqtt_publish_out *p)
{
	size_t n = p->payload_is_utf8 ? 2 : 0;

	if (p->content_type.at != NULL)
		n += 3 + p->content_type.len;
	for (size_t i = 0; i < p->user_property_count; i++)
		n += 5 + p->user_properties[i].name.len + p->user_properties[i].value.len;
	return n;
}

static bool publish_valid(const struct mqtt_publish_out *p)
{
	if (!span_valid(p->topic) || !mqtt_topic_valid(p->topic.at, p->topic.len) || !span_valid(p->content_type))
		return false;
	for (size_t i = 0; i < p->user_property_count; i++)
		if (!span_valid(p->user_properties[i].name) || !span_valid(p->user_properties[i].value))
			return false;
	if (p->qos == 0)
		return p->packet_id == 0 && !p->dup;
	return p->qos == 1 && p->packet_id != 0;
}

/* Topic, packet id and properties: what stands between the fixed header and the payload. */
static size_t publish_middle_size(const struct mqtt_publish_out *p, size_t properties)
{
	return 2 + p->topic.len + (p->qos > 0 ? 2 : 0) + varint_size(properties) + properties;
}

size_t mqtt_publish_head_size(const struct mqtt_publish_out *p, size_t payload_len)
{
	size_t middle;

	if (payload_len > MQTT_REMAINING_MAX || !publish_valid(p))
		return 0;
	middle = publish_middle_size(p, publish_properties_size(p));
	if (middle > MQTT_REMAINING_MAX - payload_len)
		return 0;
	return 1 + varint_size(middle + payload_len) + middle;
}

size_t mqtt_encode_publish_head(uint8_t *out, size_t cap, const struct mqtt_publish_out *p,
                                size_t payload_len)
{
	size_t size = mqtt_publish_head_size(p, payload_len);
	size_t properties;
	uint8_t *at = out;

	if (size == 0 || size > cap)
		return 0;
	properties = publish_properties_size(p);
	*at++ = (uint8_t)(MQTT_PUBLISH << 4 | (p->dup ? 0x08 : 0) | p->qos << 1 | (p->retain ? 0x01 : 0));
	at = put_varint(at, publish_middle_size(p, properties) + payload_len);
	at = put_span(at, p->topic);
	if (p->qos > 0)
		at = put_u16(at, p->packet_id);
	at = put_varint(at, properties);
	if (p->payload_is_utf8) {
		*at++ = 0x01;
		*at++ = 1;
	}
	if (p->content_type.at != NULL) {
		*at++ = 0x03;
		at = put_span(at, p->content_type);
	}
	for (size_t i = 0; i < p->user_property_count; i++) {
		*at++ = 0x26;
		at = put_span(at, p->user_properties[i].name);
		at = put_span(at, p->user_properties[i].value);
	}
	return size;
}

size_t mqtt_encode_puback(uint8_t *out, size_t cap, uint16_t packet_id, uint8_t reason)
{
	size_t remaining = reason != 0 ? 3 : 2;

	if (packet_id == 0 || cap < 2 + remaining)
		return 0;
	out[0] = MQTT_PUBACK << 4;
	out[1] = (uint8_t)remaining;
	(void)put_u16(out + 2, packet_id);
	if (reason != 0)
		out[4] = reason;
	return 2 + remaining;
}

size_t mqtt_encode_pingreq(uint8_t *out, size_t cap)
{
	if (cap < 2)
		return 0;
	out[0] = MQTT_PINGREQ << 4;
	out[1] = 0;
	return 2;
}

size_t mqtt_encode_disconnect(uint8_t *out, size_t cap, uint8_t reason)
{
	size_t remaining = reason != 0 ? 1 : 0;

	if (cap < 2 + remaining)
		return 0;
	out[0] = MQTT_DISCONNECT << 4;
	out[1] = (uint8_t)remaining;
	if (reason != 0)
		out[2] = reason;
	return 2 + remaining;
}
