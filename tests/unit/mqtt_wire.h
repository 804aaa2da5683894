/*
 * mqtt_wire.h - what the tests of the MQTT codec share: bytes written by hand, and a server's
 * side of the wire.
 */
#ifndef TEST_MQTT_WIRE_H
#define TEST_MQTT_WIRE_H

#include "tests/unit/guarded.h"

#include <stdio.h>

struct wire {
	uint8_t bytes[4096];
	size_t n;
};

static inline void put(struct wire *w, const void *bytes, size_t n)
{
	assert_true(w->n + n <= sizeof(w->bytes));
	memcpy(w->bytes + w->n, bytes, n);
	w->n += n;
}

static inline void put_number(struct wire *w, uint32_t v, unsigned width)
{
	while (width-- > 0)
		put(w, &(uint8_t){(uint8_t)(v >> 8 * width)}, 1);
}

/* Pairs of hex digits, white space anywhere between them. */
static inline struct wire from_hex(const char *hex)
{
	struct wire w = {.n = 0};
	unsigned byte;
	int used;

	while (sscanf(hex, " %2x%n", &byte, &used) == 1) {
		put_number(&w, byte, 1);
		hex += used;
	}
	assert_int_equal(*hex, 0);
	return w;
}

/* ---- a server's side of the wire -------------------------------- */

static inline void put_varint(struct wire *w, uint32_t v)
{
	for (; v >= 0x80; v >>= 7)
		put(w, &(uint8_t){(uint8_t)(v | 0x80)}, 1);
	put(w, &(uint8_t){(uint8_t)v}, 1);
}

static inline void put_text(struct wire *w, const char *text)
{
	put_number(w, (uint32_t)strlen(text), 2);
	put(w, text, strlen(text));
}

static inline void put_number_property(struct wire *w, uint8_t id, uint32_t v, unsigned width)
{
	put_number(w, id, 1);
	put_number(w, v, width);
}

static inline void put_text_property(struct wire *w, uint8_t id, const char *text)
{
	put_number(w, id, 1);
	put_text(w, text);
}

static inline void put_user_property(struct wire *w, const char *name, const char *value)
{
	put_text_property(w, 0x26, name);
	put_text(w, value);
}

static inline void put_properties(struct wire *w, const struct wire *properties)
{
	put_varint(w, (uint32_t)properties->n);
	put(w, properties->bytes, properties->n);
}

static inline struct wire packet(uint8_t first, const struct wire *body)
{
	struct wire w = {.n = 0};

	put_number(&w, first, 1);
	put_properties(&w, body); /* a length and that many bytes */
	return w;
}

/* The packets with everything in them that they may have. */
static inline struct wire full_connack(void)
{
	struct wire p = {.n = 0}, body = {.n = 0};

	put_number_property(&p, 0x11, 86400, 4);
	put_number_property(&p, 0x21, 20, 2);
	put_number_property(&p, 0x24, 1, 1);
	put_number_property(&p, 0x25, 0, 1);
	put_number_property(&p, 0x27, 1000000, 4);
	put_text_property(&p, 0x12, "auto-1");
	put_number_property(&p, 0x22, 10, 2);
	put_text_property(&p, 0x1f, "why");
	put_user_property(&p, "k", "v1");
	put_user_property(&p, "k", "v2");
	put_number_property(&p, 0x28, 0, 1);
	put_number_property(&p, 0x29, 0, 1);
	put_number_property(&p, 0x2a, 0, 1);
	put_number_property(&p, 0x13, 30, 2);
	put_text_property(&p, 0x1c, "other.example");
	put(&body, "\1\0", 2);
	put_properties(&body, &p);
	return packet(0x20, &body);
}

static inline struct wire full_publish(void)
{
	struct wire p = {.n = 0}, body = {.n = 0};

	put_number_property(&p, 0x01, 1, 1);
	put_number_property(&p, 0x02, 60, 4);
	put_text_property(&p, 0x03, "application/json");
	put_text_property(&p, 0x08, "reply/here");
	put_text_property(&p, 0x09, "\xff\xfe"); /* binary */
	put_number(&p, 0x0b, 1);
	put_varint(&p, 300);
	put_number(&p, 0x0b, 1);
	put_varint(&p, MQTT_REMAINING_MAX);
	put_user_property(&p, "via", "ws");
	put_user_property(&p, "seq", "17");
	put_user_property(&p, "via", "second");
	put_text(&body, "chat/rooms/general");
	put_number(&body, 77, 2);
	put_properties(&body, &p);
	put(&body, "{}\0\xff", 4);
	return packet(0x3b, &body);
}

static inline struct wire full_ack(uint8_t first)
{
	struct wire p = {.n = 0}, body = {.n = 0};

	put_text_property(&p, 0x1f, "no");
	put_user_property(&p, "a", "b");
	put_number(&body, 0x1234, 2);
	if (first == 0x40)
		put_number(&body, 0x87, 1);
	put_properties(&body, &p);
	if (first != 0x40)
		put(&body, "\0\x87\x80", 3);
	return packet(first, &body);
}

static inline struct wire full_disconnect(void)
{
	struct wire p = {.n = 0}, body = {.n = 0};

	put_text_property(&p, 0x1f, "bye");
	put_text_property(&p, 0x1c, "");
	put_user_property(&p, "a", "b");
	put_number(&body, 0x8e, 1);
	put_properties(&body, &p);
	return packet(0xe0, &body);
}

#endif
