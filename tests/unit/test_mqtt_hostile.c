/*
 * Decoding of what no server should send: a fault for every rule that can be broken, packets
 * cut at every byte, every byte changed, random bytes. Whatever is found fine lies within
 * the packet, and the packet at the end of its memory.
 */
#include "bridge/mqtt_codec.h"
#include "tests/unit/mqtt_wire.h"

static uint8_t *input_end; /* behind it there is no memory */

static int set_up(void **state)
{
	(void)state;
	input_end = (uint8_t *)guarded_space(0, 0);
	return 0;
}

/* ---- helpers ------------------------------------------------------------------- */

static const uint8_t *at_the_edge(const uint8_t *bytes, size_t n)
{
	memcpy(input_end - n, bytes, n);
	return input_end - n;
}

static void assert_inside(struct mqtt_span s, const uint8_t *p, size_t n)
{
	if (s.at == NULL) {
		assert_int_equal(s.len, 0);
		return;
	}
	assert_true((const uint8_t *)s.at >= p && s.len <= n && (const uint8_t *)s.at + s.len <= p + n);
}

static void assert_properties_inside(struct mqtt_properties properties, const uint8_t *p, size_t n)
{
	struct mqtt_property property;

	while (mqtt_property_next(&properties, &property)) {
		assert_inside(property.name, p, n);
		assert_inside(property.value, p, n);
	}
	assert_true(properties.at == properties.end);
}

/* Every span of a packet that was found fine lies within it. */
static void assert_packet_inside(const struct mqtt_packet *k, const uint8_t *p, size_t n)
{
	switch (k->type) {
	case MQTT_CONNACK:
		assert_inside(k->u.connack.assigned_client_id, p, n);
		assert_inside(k->u.connack.reason_string, p, n);
		assert_inside(k->u.connack.server_reference, p, n);
		assert_properties_inside(k->u.connack.properties, p, n);
		assert_true(k->u.connack.receive_maximum > 0);
		break;
	case MQTT_PUBLISH:
		assert_inside(k->u.publish.topic, p, n);
		assert_inside(k->u.publish.payload, p, n);
		assert_inside(k->u.publish.content_type, p, n);
		assert_properties_inside(k->u.publish.properties, p, n);
		assert_true(k->u.publish.topic.len > 0);
		assert_true(k->u.publish.qos == (k->u.publish.packet_id != 0));
		assert_true((const uint8_t *)k->u.publish.payload.at + k->u.publish.payload.len == p + n);
		break;
	case MQTT_PUBACK:
		assert_inside(k->u.puback.reason_string, p, n);
		assert_properties_inside(k->u.puback.properties, p, n);
		break;
	case MQTT_SUBACK:
	case MQTT_UNSUBACK:
		assert_true(k->u.suback.reason_count > 0);
		assert_true(k->u.suback.reasons + k->u.suback.reason_count == p + n);
		assert_inside(k->u.suback.reason_string, p, n);
		assert_properties_inside(k->u.suback.properties, p, n);
		break;
	case MQTT_DISCONNECT:
		assert_inside(k->u.disconnect.reason_string, p, n);
		assert_inside(k->u.disconnect.server_reference, p, n);
		assert_properties_inside(k->u.disconnect.properties, p, n);
		break;
	default:
		assert_int_equal(k->type, MQTT_PINGRESP);
		assert_int_equal(n, 2);
	}
}

static enum mqtt_fault decode(const uint8_t *bytes, size_t n, struct mqtt_packet *out)
{
	const uint8_t *p = at_the_edge(bytes, n);
	enum mqtt_fault fault = mqtt_decode(p, n, out);

	if (fault == MQTT_FINE)
		assert_packet_inside(out, p, n);
	return fault;
}

static enum mqtt_fault decode_wire(const struct wire *w, struct mqtt_packet *out)
{
	return decode(w->bytes, w->n, out);
}

/* ---- one broken rule each ------------------------------------------------------ */

static void faults(void **state)
{
	static const struct {
		enum mqtt_fault fault;
		const char *hex;
	} rows[] = {
	    /* not one whole packet */
	    {MQTT_BAD_LENGTH, ""},
	    {MQTT_BAD_LENGTH, "d0"},
	    {MQTT_BAD_LENGTH, "d0 01"},
	    {MQTT_BAD_LENGTH, "d0 00 00"},
	    {MQTT_BAD_LENGTH, "d0 80 00"},
	    {MQTT_BAD_LENGTH, "d0 80"},
	    /* types that do not exist, that clients send, and what we never ask for */
	    {MQTT_BAD_TYPE, "00 00"},
	    {MQTT_BAD_TYPE, "10 00"},
	    {MQTT_BAD_TYPE, "50 02 0001"},
	    {MQTT_BAD_TYPE, "62 02 0001"},
	    {MQTT_BAD_TYPE, "70 02 0001"},
	    {MQTT_BAD_TYPE, "82 07 0001 00 0001 61 00"},
	    {MQTT_BAD_TYPE, "a2 06 0001 00 0001 61"},
	    {MQTT_BAD_TYPE, "c0 00"},
	    {MQTT_BAD_TYPE, "f0 00"},
	    /* flags */
	    {MQTT_BAD_FLAGS, "21 03 00 00 00"},
	    {MQTT_BAD_FLAGS, "42 02 0001"},
	    {MQTT_BAD_FLAGS, "98 04 0001 00 00"},
	    {MQTT_BAD_FLAGS, "b2 04 0001 00 00"},
	    {MQTT_BAD_FLAGS, "d4 00"},
	    {MQTT_BAD_FLAGS, "e1 00"},
	    {MQTT_BAD_FLAGS, "38 04 0001 61 00"},
	    {MQTT_BAD_FLAGS, "20 03 02 00 00"},
	    {MQTT_BAD_FLAGS, "20 03 80 00 00"},
	    {MQTT_BAD_QOS, "34 06 0001 61 0001 00"},
	    {MQTT_BAD_QOS, "36 06 0001 61 0001 00"},
	    {MQTT_BAD_SESSION_PRESENT, "20 03 01 87 00"},
	    /* fields that end too early */
	    {MQTT_TRUNCATED, "30 00"},
	    {MQTT_TRUNCATED, "30 01 00"},
	    {MQTT_TRUNCATED, "30 02 0001"},
	    {MQTT_TRUNCATED, "30 03 0001 61"},
	    {MQTT_TRUNCATED, "30 04 0001 61 01"},
	    {MQTT_TRUNCATED, "30 04 0001 61 80"},
	    {MQTT_TRUNCATED, "20 01 00"},
	    {MQTT_TRUNCATED, "20 02 00 00"}, /* an MQTT 3.1.1 CONNACK */
	    {MQTT_TRUNCATED, "40 01 00"},
	    {MQTT_TRUNCATED, "40 04 0001 00 01"},
	    {MQTT_TRUNCATED, "90 03 0001 00"},
	    {MQTT_TRUNCATED, "90 02 0001"},
	    {MQTT_TRUNCATED, "e0 02 8e 05"},
	    /* inside the properties, although the packet goes on */
	    {MQTT_TRUNCATED, "30 06 0001 61 01 01 01"},
	    {MQTT_TRUNCATED, "30 09 0001 61 04 02 000000 01"},
	    {MQTT_TRUNCATED, "30 08 0001 61 03 03 0001 78"},
	    {MQTT_TRUNCATED, "30 07 0001 61 02 03 0000"},
	    {MQTT_TRUNCATED, "30 09 0001 61 04 26 0000 00 00"},
	    {MQTT_TRUNCATED, "30 06 0001 61 01 0b 01"},
	    {MQTT_TRUNCATED, "20 06 00 00 02 21 00 01"},
	    /* bytes after the end */
	    {MQTT_TRAILING, "d0 01 00"},
	    {MQTT_TRAILING, "20 04 00 00 00 00"},
	    {MQTT_TRAILING, "40 05 0001 00 00 00"},
	    {MQTT_TRAILING, "e0 03 8e 00 00"},
	    /* variable byte integers */
	    {MQTT_BAD_VARINT, "30 05 0001 61 80 00"},
	    {MQTT_BAD_VARINT, "30 08 0001 61 80 80 80 80 01"},
	    {MQTT_BAD_VARINT, "30 07 0001 61 03 0b 80 00"},
	    {MQTT_BAD_VARINT, "30 09 0001 61 05 81 80 80 80 00"},
	    {MQTT_BAD_VARINT, "30 07 0001 61 03 81 00 01"},
	    /* strings */
	    {MQTT_BAD_STRING, "30 05 0002 6100 00"},
	    {MQTT_BAD_STRING, "30 05 0002 c080 00"},
	    {MQTT_BAD_STRING, "30 06 0003 eda080 00"},
	    {MQTT_BAD_STRING, "30 04 0001 ff 00"},
	    {MQTT_BAD_STRING, "30 08 0001 61 04 03 0001 ff"},
	    {MQTT_BAD_STRING, "30 08 0001 61 04 08 0001 00"},
	    {MQTT_BAD_STRING, "30 0a 0001 61 06 26 0001 ff 0000"},
	    {MQTT_BAD_STRING, "30 0a 0001 61 06 26 0000 0001 ff"},
	    {MQTT_BAD_STRING, "20 07 00 00 04 1f 0001 00"},
	    {MQTT_BAD_STRING, "e0 06 8e 04 1c 0001 80"},
	    /* topics */
	    {MQTT_BAD_TOPIC, "30 03 0000 00"},
	    {MQTT_BAD_TOPIC, "30 04 0001 2b 00"},
	    {MQTT_BAD_TOPIC, "30 06 0003 612f23 00"},
	    {MQTT_BAD_TOPIC, "30 08 0001 61 04 08 0001 23"},
	    {MQTT_BAD_TOPIC, "30 07 0001 61 03 08 0000"},
	    /* packet ids */
	    {MQTT_BAD_PACKET_ID, "32 06 0001 61 0000 00"},
	    {MQTT_BAD_PACKET_ID, "40 02 0000"},
	    {MQTT_BAD_PACKET_ID, "90 04 0000 00 00"},
	    {MQTT_BAD_PACKET_ID, "b0 04 0000 00 00"},
	    /* reasons */
	    {MQTT_BAD_REASON, "20 03 00 01 00"},
	    {MQTT_BAD_REASON, "20 03 00 05 00"},
	    {MQTT_BAD_REASON, "20 03 00 7f 00"},
	    {MQTT_BAD_REASON, "20 03 00 a3 00"},
	    {MQTT_BAD_REASON, "40 03 0001 01"},
	    {MQTT_BAD_REASON, "40 03 0001 ff"},
	    {MQTT_BAD_REASON, "90 04 0001 00 02"},
	    {MQTT_BAD_REASON, "90 05 0001 00 00 11"},
	    {MQTT_BAD_REASON, "b0 04 0001 00 01"},
	    {MQTT_BAD_REASON, "e0 01 04"},
	    /* properties that are not there, not here, or ruled out by what we asked for */
	    {MQTT_BAD_PROPERTY, "30 06 0001 61 02 00 00"},
	    {MQTT_BAD_PROPERTY, "30 06 0001 61 02 04 00"},
	    {MQTT_BAD_PROPERTY, "30 06 0001 61 02 2b 00"},
	    {MQTT_BAD_PROPERTY, "30 06 0001 61 02 7f 00"},
	    {MQTT_BAD_PROPERTY, "30 07 0001 61 03 80 02 00"},
	    {MQTT_BAD_PROPERTY, "30 07 0001 61 03 81 02 00"},
	    {MQTT_BAD_PROPERTY, "30 07 0001 61 03 23 0001"},
	    {MQTT_BAD_PROPERTY, "30 07 0001 61 03 1f 0000"},
	    {MQTT_BAD_PROPERTY, "30 07 0001 61 03 21 0001"},
	    {MQTT_BAD_PROPERTY, "20 05 00 00 02 01 01"},
	    {MQTT_BAD_PROPERTY, "20 06 00 00 03 15 0000"},
	    {MQTT_BAD_PROPERTY, "20 06 00 00 03 16 0000"},
	    {MQTT_BAD_PROPERTY, "20 06 00 00 03 1a 0000"},
	    {MQTT_BAD_PROPERTY, "40 07 0001 87 03 1c 0000"},
	    {MQTT_BAD_PROPERTY, "90 06 0001 02 24 01 00"},
	    {MQTT_BAD_PROPERTY, "e0 07 8e 05 11 00000000"},
	    {MQTT_DUPLICATE_PROPERTY, "30 08 0001 61 04 01 01 01 01"},
	    {MQTT_DUPLICATE_PROPERTY, "30 0a 0001 61 06 03 0000 03 0000"},
	    {MQTT_DUPLICATE_PROPERTY, "20 07 00 00 04 2a 01 2a 01"},
	    {MQTT_DUPLICATE_PROPERTY, "e0 08 8e 06 1f 0000 1f 0000"},
	    {MQTT_BAD_VALUE, "30 06 0001 61 02 01 02"},
	    {MQTT_BAD_VALUE, "30 06 0001 61 02 0b 00"},
	    {MQTT_BAD_VALUE, "20 06 00 00 03 21 0000"},
	    {MQTT_BAD_VALUE, "20 05 00 00 02 24 02"},
	    {MQTT_BAD_VALUE, "20 05 00 00 02 25 02"},
	    {MQTT_BAD_VALUE, "20 08 00 00 05 27 00000000"},
	    {MQTT_BAD_VALUE, "20 05 00 00 02 28 02"},
	    {MQTT_BAD_VALUE, "20 05 00 00 02 29 ff"},
	    {MQTT_BAD_VALUE, "20 05 00 00 02 2a 02"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct wire w = from_hex(rows[i].hex);
		struct mqtt_packet k;
		enum mqtt_fault fault = decode_wire(&w, &k);

		if (fault != rows[i].fault)
			fail_msg("'%s': %s, not %s", rows[i].hex, mqtt_fault_name(fault), mqtt_fault_name(rows[i].fault));
	}
}

/* ---- anything at all ------------------------------------------------------------ */

static uint64_t random_state;

static uint32_t random_number(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 32);
}

#define CORPUS 8
static struct wire corpus(size_t i)
{
	switch (i) {
	case 0:
		return full_connack();
	case 1:
		return full_publish();
	case 2:
		return full_ack(0x40);
	case 3:
		return full_ack(0x90);
	case 4:
		return full_ack(0xb0);
	case 5:
		return full_disconnect();
	case 6:
		return from_hex("30 05 0001 61 00 78");
	default:
		return from_hex("d0 00");
	}
}

/* The first n bytes of a packet's body as a packet of their own. */
static struct wire shortened(const struct wire *w, size_t n)
{
	struct wire body = {.n = 0};
	size_t head = w->bytes[1] < 0x80 ? 2 : 3;

	put(&body, w->bytes + head, n);
	return packet(w->bytes[0], &body);
}

static void truncation(void **state)
{
	struct mqtt_packet k;

	(void)state;
	for (size_t i = 0; i < CORPUS; i++) {
		struct wire w = corpus(i);
		size_t body = w.n - (w.bytes[1] < 0x80 ? 2 : 3);

		assert_int_equal(decode_wire(&w, &k), MQTT_FINE);
		for (size_t n = 0; n < w.n; n++) {
			int length = mqtt_packet_length(at_the_edge(w.bytes, n), n, MQTT_PACKET_MAX);

			assert_true(length == 0 || length == (int)w.n);
			assert_int_equal(decode(w.bytes, n, &k), MQTT_BAD_LENGTH);
		}
		for (size_t n = 0; n < body; n++) {
			struct wire cut = shortened(&w, n);
			enum mqtt_fault fault = decode_wire(&cut, &k);
			/* What may end early by its nature: payload, reason codes, all after the id or the reason. */
			bool may_end = (w.bytes[0] >> 4 == MQTT_PUBLISH && n + 4 >= body) ||
			               (w.bytes[0] == 0x40 && (n == 2 || n == 3)) || (w.bytes[0] == 0xe0 && n <= 1) ||
			               ((w.bytes[0] == 0x90 || w.bytes[0] == 0xb0) && n + 3 > body);

			if (i == 6)
				may_end = n == 4;
			assert_int_equal(fault, may_end ? MQTT_FINE : MQTT_TRUNCATED);
		}
	}
}

static void every_byte_changed(void **state)
{
	struct mqtt_packet k;

	(void)state;
	for (size_t i = 0; i < CORPUS; i++) {
		struct wire w = corpus(i);

		for (size_t at = 0; at < w.n; at++) {
			uint8_t right = w.bytes[at];

			for (unsigned v = 0; v < 256; v++) {
				w.bytes[at] = (uint8_t)v;
				(void)decode_wire(&w, &k); /* looks at what it finds fine */
			}
			w.bytes[at] = right;
		}
	}
}

static void random_bytes(void **state)
{
	static const uint8_t first[] = {0x20, 0x30, 0x31, 0x32, 0x3a, 0x40, 0x90, 0xb0, 0xd0, 0xe0};
	uint64_t seen[2] = {0, 0};
	struct mqtt_packet k;

	(void)state;
	random_state = 88172645463325252u;
	for (unsigned round = 0; round < 300000; round++) {
		struct wire body = {.n = 0}, w;
		size_t n = random_number() % 40;
		enum mqtt_fault fault;

		if (round & 1) { /* a piece of a good packet with some bytes changed */
			struct wire good = corpus(random_number() % CORPUS);
			size_t head = good.bytes[1] < 0x80 ? 2 : 3;
			size_t changes = random_number() % 4;

			put(&body, good.bytes + head, good.n - head);
			while (body.n > 0 && changes-- > 0)
				body.bytes[random_number() % body.n] = (uint8_t)(random_number() % (round & 2 ? 256 : 44));
			w = packet(good.bytes[0], &body);
		} else {
			while (body.n < n)
				put_number(&body, random_number() % (round & 2 ? 256 : 44), 1);
			w = packet(round & 4 ? (uint8_t)random_number() : first[random_number() % sizeof(first)], &body);
		}
		fault = decode_wire(&w, &k);
		assert_true(fault <= MQTT_BAD_SESSION_PRESENT);
		seen[fault == MQTT_FINE]++;
	}
	assert_true(seen[0] > 1000 && seen[1] > 1000);

	for (unsigned round = 0; round < 100000; round++) {
		uint8_t bytes[32];
		size_t n = random_number() % sizeof(bytes);
		const uint8_t *p;
		struct mqtt_properties walk;
		struct mqtt_property property;

		for (size_t i = 0; i < n; i++)
			bytes[i] = (uint8_t)(random_number() % (round & 1 ? 256 : 44));
		p = at_the_edge(bytes, n);
		walk = (struct mqtt_properties){p, p + n};
		for (size_t steps = 0; mqtt_property_next(&walk, &property); steps++) {
			assert_true(steps < sizeof(bytes));
			assert_inside(property.name, p, n);
			assert_inside(property.value, p, n);
		}
		assert_true(walk.at == p + n);
		(void)mqtt_packet_length(p, n, MQTT_PACKET_MAX);
		(void)mqtt_decode(p, n, &k);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(faults),
	    cmocka_unit_test(truncation),
	    cmocka_unit_test(every_byte_changed),
	    cmocka_unit_test(random_bytes),
	};

	return cmocka_run_group_tests_name("mqtt_hostile", tests, set_up, NULL);
}
