/*
 * Framing and decoding of MQTT 5: the values of everything that a server can send.
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

static void assert_span(struct mqtt_span s, const char *expected)
{
	assert_int_equal(s.len, strlen(expected));
	assert_non_null(s.at);
	assert_memory_equal(s.at, expected, s.len);
}

static const uint8_t *at_the_edge(const uint8_t *bytes, size_t n)
{
	memcpy(input_end - n, bytes, n);
	return input_end - n;
}

static enum mqtt_fault decode(const uint8_t *bytes, size_t n, struct mqtt_packet *out)
{
	return mqtt_decode(at_the_edge(bytes, n), n, out);
}

static enum mqtt_fault decode_wire(const struct wire *w, struct mqtt_packet *out)
{
	return decode(w->bytes, w->n, out);
}

/* ---- framing and names ---------------------------------------------------------- */

static void framing(void **state)
{
	static const struct {
		const char *hex;
		size_t max;
		int expected;
	} rows[] = {
	    {"", 100, 0},
	    {"20", 100, 0},
	    {"20 00", 100, 2},
	    {"20 7f", 129, 129},
	    {"20 7f", 128, -MQTT_TOO_LARGE},
	    {"20 05 01", 100, 7},
	    {"30 80", 1000, 0},
	    {"30 80 01", 1000, 131},
	    {"30 80 80", 1000, 0},
	    {"30 ff 7f", 20000, 16386},
	    {"30 80 80 01", 20000, 16388},
	    {"30 80 80 01", 16388, 16388},
	    {"30 80 80 01", 16387, -MQTT_TOO_LARGE},
	    {"30 80 80 80", MQTT_PACKET_MAX, 0},
	    {"30 80 80 80 01", MQTT_PACKET_MAX, 2097157},
	    {"30 ff ff ff 7f", MQTT_PACKET_MAX, 268435460},
	    {"30 ff ff ff 7f", MQTT_PACKET_MAX - 1, -MQTT_TOO_LARGE},
	    {"30 ff ff ff ff", MQTT_PACKET_MAX, -MQTT_BAD_LENGTH},
	    {"30 80 80 80 80 01", MQTT_PACKET_MAX, -MQTT_BAD_LENGTH},
	    {"30 80 00", 100, -MQTT_BAD_LENGTH},
	    {"30 80 80 00", 100, -MQTT_BAD_LENGTH},
	    {"30 ff 80 80 00", 100, -MQTT_BAD_LENGTH},
	    {"20 00", 0, -MQTT_TOO_LARGE},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct wire w = from_hex(rows[i].hex);
		const uint8_t *p = at_the_edge(w.bytes, w.n);
		int length = mqtt_packet_length(p, w.n, rows[i].max);

		if (length != rows[i].expected)
			fail_msg("'%s': %d, not %d", rows[i].hex, length, rows[i].expected);
	}
	assert_int_equal(mqtt_packet_length(NULL, 0, 100), 0);
}

static void names(void **state)
{
	(void)state;
	for (int i = MQTT_FINE; i <= MQTT_BAD_SESSION_PRESENT; i++) {
		assert_non_null(mqtt_fault_name((enum mqtt_fault)i));
		for (int j = MQTT_FINE; j < i; j++)
			assert_string_not_equal(mqtt_fault_name((enum mqtt_fault)i), mqtt_fault_name((enum mqtt_fault)j));
	}
	assert_string_equal(mqtt_fault_name((enum mqtt_fault)(MQTT_BAD_SESSION_PRESENT + 1)), "unknown fault");
	assert_string_equal(mqtt_fault_name((enum mqtt_fault) - 1), "unknown fault");

	assert_string_equal(mqtt_reason_name(0x00), "success");
	assert_string_equal(mqtt_reason_name(0x01), "granted QoS 1");
	assert_string_equal(mqtt_reason_name(0x02), "granted QoS 2");
	assert_string_equal(mqtt_reason_name(0x04), "disconnect with will message");
	assert_string_equal(mqtt_reason_name(0x10), "no matching subscribers");
	assert_string_equal(mqtt_reason_name(0x11), "no subscription existed");
	assert_string_equal(mqtt_reason_name(0x18), "continue authentication");
	assert_string_equal(mqtt_reason_name(0x19), "re-authenticate");
	assert_string_equal(mqtt_reason_name(0x7f), "unknown reason");
	assert_string_equal(mqtt_reason_name(0x80), "unspecified error");
	assert_string_equal(mqtt_reason_name(0x87), "not authorized");
	assert_string_equal(mqtt_reason_name(0x8e), "session taken over");
	assert_string_equal(mqtt_reason_name(0x97), "quota exceeded");
	assert_string_equal(mqtt_reason_name(0xa2), "wildcard subscriptions not supported");
	assert_string_equal(mqtt_reason_name(0xa3), "unknown reason");
	assert_string_equal(mqtt_reason_name(0xff), "unknown reason");
}

/* ---- decoding ------------------------------------------------------------------- */

static void connack(void **state)
{
	struct wire w = full_connack();
	struct mqtt_packet k;
	const struct mqtt_connack *c = &k.u.connack;
	struct mqtt_span value;

	(void)state;
	assert_int_equal(decode_wire(&w, &k), MQTT_FINE);
	assert_int_equal(k.type, MQTT_CONNACK);
	assert_true(c->session_present);
	assert_int_equal(c->reason, 0);
	assert_true(c->has_session_expiry_interval);
	assert_int_equal(c->session_expiry_interval, 86400);
	assert_true(c->has_server_keep_alive);
	assert_int_equal(c->server_keep_alive, 30);
	assert_int_equal(c->receive_maximum, 20);
	assert_int_equal(c->topic_alias_maximum, 10);
	assert_int_equal(c->maximum_qos, 1);
	assert_int_equal(c->maximum_packet_size, 1000000);
	assert_false(c->retain_available);
	assert_false(c->wildcard_available);
	assert_false(c->subscription_identifiers_available);
	assert_false(c->shared_subscriptions_available);
	assert_span(c->assigned_client_id, "auto-1");
	assert_span(c->reason_string, "why");
	assert_span(c->server_reference, "other.example");
	assert_true(mqtt_user_property_find(c->properties, "k", &value));
	assert_span(value, "v1");

	w = from_hex("20 03 00 87 00");
	assert_int_equal(decode_wire(&w, &k), MQTT_FINE);
	assert_false(c->session_present);
	assert_int_equal(c->reason, 0x87);
	assert_false(c->has_session_expiry_interval);
	assert_false(c->has_server_keep_alive);
	assert_int_equal(c->receive_maximum, 65535);
	assert_int_equal(c->topic_alias_maximum, 0);
	assert_int_equal(c->maximum_qos, 2);
	assert_int_equal(c->maximum_packet_size, 0);
	assert_true(c->retain_available);
	assert_true(c->wildcard_available);
	assert_true(c->subscription_identifiers_available);
	assert_true(c->shared_subscriptions_available);
	assert_null(c->assigned_client_id.at);
	assert_null(c->reason_string.at);
	assert_null(c->server_reference.at);
	assert_false(mqtt_user_property_find(c->properties, "k", &value));

	/* The other value of each switch. */
	w = from_hex("20 0d 00 00 0a 24 00 25 01 28 01 29 01 2a 01");
	assert_int_equal(decode_wire(&w, &k), MQTT_FINE);
	assert_int_equal(c->maximum_qos, 0);
	assert_true(c->retain_available && c->wildcard_available);
	assert_true(c->subscription_identifiers_available && c->shared_subscriptions_available);
}

static void publish(void **state)
{
	static const uint8_t ids[] = {1, 2, 3, 8, 9, 11, 11, 38, 38, 38};
	struct wire w = full_publish();
	struct mqtt_packet k;
	const struct mqtt_publish *m = &k.u.publish;
	struct mqtt_properties walk;
	struct mqtt_property p;
	struct mqtt_span value;

	(void)state;
	assert_int_equal(decode_wire(&w, &k), MQTT_FINE);
	assert_int_equal(k.type, MQTT_PUBLISH);
	assert_span(m->topic, "chat/rooms/general");
	assert_int_equal(m->payload.len, 4);
	assert_memory_equal(m->payload.at, "{}\0\xff", 4);
	assert_int_equal(m->packet_id, 77);
	assert_int_equal(m->qos, 1);
	assert_true(m->dup);
	assert_true(m->retain);
	assert_true(m->payload_is_utf8);
	assert_span(m->content_type, "application/json");
	assert_true(mqtt_user_property_find(m->properties, "via", &value));
	assert_span(value, "ws");
	assert_true(mqtt_user_property_find(m->properties, "seq", &value));
	assert_span(value, "17");
	assert_false(mqtt_user_property_find(m->properties, "vi", &value));
	assert_false(mqtt_user_property_find(m->properties, "vix", &value));

	walk = m->properties;
	for (size_t i = 0; i < sizeof(ids); i++) {
		assert_true(mqtt_property_next(&walk, &p));
		assert_int_equal(p.id, ids[i]);
		if (i == 1)
			assert_int_equal(p.number, 60);
		else if (i == 4)
			assert_span(p.value, "\xff\xfe");
		else if (i == 5)
			assert_int_equal(p.number, 300);
		else if (i == 6)
			assert_int_equal(p.number, MQTT_REMAINING_MAX);
		else if (i == 8)
			assert_span(p.name, "seq");
	}
	assert_false(mqtt_property_next(&walk, &p));
	assert_false(mqtt_property_next(&walk, &p));

	w = from_hex("30 05 0002 612f 00");
	assert_int_equal(decode_wire(&w, &k), MQTT_FINE);
	assert_span(m->topic, "a/");
	assert_int_equal(m->payload.len, 0);
	assert_int_equal(m->packet_id, 0);
	assert_int_equal(m->qos, 0);
	assert_false(m->dup || m->retain || m->payload_is_utf8);
	assert_null(m->content_type.at);

	w = from_hex("32 09 0001 61 0001 02 01 00 78");
	assert_int_equal(decode_wire(&w, &k), MQTT_FINE);
	assert_false(m->payload_is_utf8);
	assert_span(m->payload, "x");
}

/* What we encode is what a server's PUBLISH may look like as well. */
static void publish_round_trip(void **state)
{
	static uint8_t bytes[MQTT_STRING_MAX + 1024];
	static char topic[MQTT_STRING_MAX], payload[300];
	const size_t topics[] = {1, 2, 127, 128, 16383, 65535};
	const size_t payloads[] = {0, 1, 120, 300};
	struct mqtt_user_property users[] = {{{"a", 1}, {"1", 1}}, {{"b", 1}, {"", 0}}};
	struct mqtt_packet k;
	struct mqtt_span value;

	(void)state;
	memset(topic, 't', sizeof(topic));
	memset(payload, 'p', sizeof(payload));
	for (size_t i = 0; i < (size_t)6 * 4 * 32; i++) {
		struct mqtt_publish_out p = {
		    .topic = {topic, topics[i % 6]},
		    .qos = i / 24 & 1,
		    .packet_id = i / 24 & 1 ? (uint16_t)(i + 1) : 0,
		    .dup = (i / 24 & 3) == 3,
		    .retain = i / 24 & 4,
		    .payload_is_utf8 = i / 24 & 8,
		    .content_type = {i / 24 & 16 ? "text/plain" : NULL, i / 24 & 16 ? 10 : 0},
		    .user_properties = users,
		    .user_property_count = i % 3,
		};
		size_t payload_len = payloads[i / 6 % 4];
		size_t head = mqtt_encode_publish_head(bytes, sizeof(bytes), &p, payload_len);

		assert_true(head > 0);
		memcpy(bytes + head, payload, payload_len);
		assert_int_equal(mqtt_packet_length(bytes, head, MQTT_PACKET_MAX), head + payload_len);
		assert_int_equal(decode(bytes, head + payload_len, &k), MQTT_FINE);
		assert_int_equal(k.type, MQTT_PUBLISH);
		assert_int_equal(k.u.publish.topic.len, p.topic.len);
		assert_memory_equal(k.u.publish.topic.at, topic, p.topic.len);
		assert_int_equal(k.u.publish.payload.len, payload_len);
		assert_memory_equal(k.u.publish.payload.at, payload, payload_len);
		assert_int_equal(k.u.publish.qos, p.qos);
		assert_int_equal(k.u.publish.packet_id, p.packet_id);
		assert_int_equal(k.u.publish.dup, p.dup);
		assert_int_equal(k.u.publish.retain, p.retain);
		assert_int_equal(k.u.publish.payload_is_utf8, p.payload_is_utf8);
		assert_int_equal(k.u.publish.content_type.len, p.content_type.len);
		assert_int_equal(mqtt_user_property_find(k.u.publish.properties, "a", &value), i % 3 > 0);
		assert_int_equal(mqtt_user_property_find(k.u.publish.properties, "b", &value), i % 3 > 1);
	}
}

static void acks(void **state)
{
	struct wire w = full_ack(0x40);
	struct mqtt_packet k;
	struct mqtt_span value;

	(void)state;
	assert_int_equal(decode_wire(&w, &k), MQTT_FINE);
	assert_int_equal(k.type, MQTT_PUBACK);
	assert_int_equal(k.u.puback.packet_id, 0x1234);
	assert_int_equal(k.u.puback.reason, 0x87);
	assert_span(k.u.puback.reason_string, "no");
	assert_true(mqtt_user_property_find(k.u.puback.properties, "a", &value));
	w = from_hex("40 02 0001");
	assert_int_equal(decode_wire(&w, &k), MQTT_FINE);
	assert_int_equal(k.u.puback.packet_id, 1);
	assert_int_equal(k.u.puback.reason, 0);
	assert_null(k.u.puback.reason_string.at);
	assert_false(mqtt_user_property_find(k.u.puback.properties, "a", &value));
	w = from_hex("40 03 0001 10");
	assert_int_equal(decode_wire(&w, &k), MQTT_FINE);
	assert_int_equal(k.u.puback.reason, 0x10);
	w = from_hex("40 04 0001 95 00"); /* not in the packet's own list, sent by mosquitto */
	assert_int_equal(decode_wire(&w, &k), MQTT_FINE);
	assert_int_equal(k.u.puback.reason, 0x95);

	for (int unsubscribe = 0; unsubscribe < 2; unsubscribe++) {
		w = full_ack(unsubscribe ? 0xb0 : 0x90);
		assert_int_equal(decode_wire(&w, &k), MQTT_FINE);
		assert_int_equal(k.type, unsubscribe ? MQTT_UNSUBACK : MQTT_SUBACK);
		assert_int_equal(k.u.suback.packet_id, 0x1234);
		assert_int_equal(k.u.suback.reason_count, 3);
		assert_memory_equal(k.u.suback.reasons, "\0\x87\x80", 3);
		assert_span(k.u.suback.reason_string, "no");
	}
	w = from_hex("90 05 0001 00 01 00");
	assert_int_equal(decode_wire(&w, &k), MQTT_FINE);
	assert_null(k.u.suback.reason_string.at);
	w = from_hex("b0 04 0001 00 11");
	assert_int_equal(decode_wire(&w, &k), MQTT_FINE);
	assert_int_equal(k.u.suback.reasons[0], 0x11);
}

static void disconnect_and_ping(void **state)
{
	struct wire w = full_disconnect();
	struct mqtt_packet k;

	(void)state;
	assert_int_equal(decode_wire(&w, &k), MQTT_FINE);
	assert_int_equal(k.type, MQTT_DISCONNECT);
	assert_int_equal(k.u.disconnect.reason, 0x8e);
	assert_span(k.u.disconnect.reason_string, "bye");
	assert_span(k.u.disconnect.server_reference, "");
	w = from_hex("e0 00");
	assert_int_equal(decode_wire(&w, &k), MQTT_FINE);
	assert_int_equal(k.u.disconnect.reason, 0);
	assert_null(k.u.disconnect.reason_string.at);
	assert_null(k.u.disconnect.server_reference.at);
	w = from_hex("e0 01 8b");
	assert_int_equal(decode_wire(&w, &k), MQTT_FINE);
	assert_int_equal(k.u.disconnect.reason, 0x8b);
	w = from_hex("d0 00");
	assert_int_equal(decode_wire(&w, &k), MQTT_FINE);
	assert_int_equal(k.type, MQTT_PINGRESP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(framing),
	    cmocka_unit_test(names),
	    cmocka_unit_test(connack),
	    cmocka_unit_test(publish),
	    cmocka_unit_test(publish_round_trip),
	    cmocka_unit_test(acks),
	    cmocka_unit_test(disconnect_and_ping),
	};

	return cmocka_run_group_tests_name("mqtt_codec", tests, set_up, NULL);
}
