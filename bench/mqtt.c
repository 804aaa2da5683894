/* mqtt.c - see mqtt.h. */
#include "bench/mqtt.h"

#include <stdlib.h>
#include <string.h>

enum { CONNECT = 0x10, CONNACK = 0x20, PUBLISH = 0x30, SUBSCRIBE = 0x82, SUBACK = 0x90 };
#define LENGTH_BYTES_MAX 4u

/* ---- out ------------------------------------------------------------------------ */

static uint8_t *put_head(uint8_t *at, uint8_t kind, size_t n)
{
	*at++ = kind;
	do {
		*at++ = (uint8_t)((n & 127) | (n > 127 ? 128 : 0));
		n >>= 7;
	} while (n > 0);
	return at;
}

static uint8_t *put_name(uint8_t *at, const char *name, size_t n)
{
	*at++ = (uint8_t)(n >> 8);
	*at++ = (uint8_t)n;
	memcpy(at, name, n);
	return at + n;
}

size_t mqtt_connect(uint8_t *out, const char *client_id)
{
	size_t n = strnlen(client_id, MQTT_NAME_MAX);
	uint8_t *at = put_name(put_head(out, CONNECT, 10 + 2 + n), "MQTT", 4);

	memcpy(at, "\x04\x02\0\0", 4); /* 3.1.1, clean session, no keep alive */
	return (size_t)(put_name(at + 4, client_id, n) - out);
}

size_t mqtt_subscribe(uint8_t *out, const char *topic)
{
	size_t n = strnlen(topic, MQTT_NAME_MAX);
	uint8_t *at = put_head(out, SUBSCRIBE, 2 + 2 + n + 1);

	*at++ = 0;
	*at++ = 1;
	at = put_name(at, topic, n);
	*at++ = 0;
	return (size_t)(at - out);
}

size_t mqtt_publish(uint8_t *out, const char *topic, const uint8_t *payload, size_t n)
{
	size_t name = strnlen(topic, MQTT_NAME_MAX);
	uint8_t *at = put_name(put_head(out, PUBLISH, 2 + name + n), topic, name);

	memcpy(at, payload, n);
	return (size_t)(at - out) + n;
}

/* ---- in ------------------------------------------------------------------------- */

/* The length of the packet that begins there, 0: not known yet, SIZE_MAX: none. *head is that of its head. */
static size_t packet_length(const uint8_t *p, size_t n, size_t *head)
{
	size_t length = 0;

	for (size_t i = 1; i < n; i++) {
		length |= (size_t)(p[i] & 127) << 7 * (i - 1);
		if (p[i] < 128) {
			*head = i + 1;
			return length > MQTT_PACKET_BYTES ? SIZE_MAX : length + i + 1;
		}
		if (i == LENGTH_BYTES_MAX)
			return SIZE_MAX;
	}
	return 0;
}

static bool keep(struct mqtt_stream *s, const uint8_t *bytes, size_t n)
{
	if (s->len + n > s->cap) {
		size_t cap = (s->len + n + 511) & ~(size_t)511;
		uint8_t *grown = realloc(s->stash, cap);

		if (grown == NULL)
			return false;
		s->stash = grown;
		s->cap = (uint32_t)cap;
	}
	memcpy(s->stash + s->len, bytes, n);
	s->len += (uint32_t)n;
	return true;
}

static enum mqtt_next judge(const uint8_t *p, size_t n, size_t head, const uint8_t **payload, size_t *len)
{
	size_t name;

	if (p[0] == CONNACK)
		return n == head + 2 && p[head + 1] == 0 ? MQTT_CONNECTED : MQTT_BAD;
	if (p[0] == SUBACK)
		return n == head + 3 && p[head + 2] == 0 ? MQTT_SUBSCRIBED : MQTT_BAD;
	if ((p[0] & 0xf6) != PUBLISH || n < head + 2) /* QoS 0, retained or not */
		return MQTT_BAD;
	name = (size_t)p[head] << 8 | p[head + 1];
	if (name > n - head - 2)
		return MQTT_BAD;
	*payload = p + head + 2 + name;
	*len = n - head - 2 - name;
	return MQTT_MESSAGE;
}

enum mqtt_next mqtt_next(struct mqtt_stream *s, const uint8_t **at, size_t *n, const uint8_t **payload,
                         size_t *len)
{
	size_t head = 0, length;

	if (s->used > 0) { /* the stash never holds more than one packet */
		s->used = 0;
		s->len = 0;
	}
	if (s->len == 0) {
		length = packet_length(*at, *n, &head);
		if (length == SIZE_MAX)
			return MQTT_BAD;
		if (length > 0 && length <= *n) {
			const uint8_t *p = *at;

			*at += length;
			*n -= length;
			return judge(p, length, head, payload, len);
		}
	}
	for (;;) {
		size_t wanted;

		length = s->len > 0 ? packet_length(s->stash, s->len, &head) : 0;
		if (length == SIZE_MAX)
			return MQTT_BAD;
		if (length > 0 && length == s->len) {
			s->used = s->len;
			return judge(s->stash, length, head, payload, len);
		}
		if (*n == 0)
			return MQTT_NOTHING;
		wanted = length > 0 ? length - s->len : 1; /* byte by byte until the length is known */
		wanted = wanted < *n ? wanted : *n;
		if (!keep(s, *at, wanted))
			return MQTT_BAD;
		*at += wanted;
		*n -= wanted;
	}
}

void mqtt_stream_free(struct mqtt_stream *s)
{
	free(s->stash);
	*s = (struct mqtt_stream){.len = 0};
}
