/* mqtt.c - packets of a server: framing, decoding, and what comes back when they are encoded again. */
#include "bridge/mqtt_codec.h"

#include "tests/fuzz/fuzz.h"

#define USER_PROPERTIES 8

static bool same(struct mqtt_span a, struct mqtt_span b)
{
	return a.len == b.len && (a.at == NULL) == (b.at == NULL) &&
	       (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* A length is known at some byte, is the same at each later one, and is refused for good. */
static void check_framing(const uint8_t *p, size_t n, size_t max)
{
	int last = 0;
	for (size_t i = 0; i <= n && i <= 8; i++) {
		int length = mqtt_packet_length(p, i, max);
		MUST(length < 0 || (size_t)length <= max);
		MUST(last == 0 || length == last);
		last = length;
	}
	MUST(n < 5 || last != 0);
}

static size_t walk(struct mqtt_properties left, const uint8_t *p, size_t n)
{
	struct mqtt_property property;
	size_t count = 0;
	while (mqtt_property_next(&left, &property)) {
		MUST(property.value.len == 0 || fuzz_inside(property.value.at, property.value.len, p, n));
		MUST(property.name.len == 0 || fuzz_inside(property.name.at, property.name.len, p, n));
		count++;
	}
	MUST(count <= n);
	return count;
}

/* What a publish says when it is sent on, it says again when that is read. */
static void check_publish(const struct mqtt_publish *p)
{
	struct mqtt_user_property user[USER_PROPERTIES];
	struct mqtt_properties left = p->properties;
	struct mqtt_property property;
	size_t count = 0;
	while (count < USER_PROPERTIES && mqtt_property_next(&left, &property))
		if (property.id == 38)
			user[count++] = (struct mqtt_user_property){property.name, property.value};
	struct mqtt_publish_out out = {
	    .topic = p->topic,
	    .packet_id = p->packet_id,
	    .qos = p->qos,
	    .dup = p->dup,
	    .retain = p->retain,
	    .payload_is_utf8 = p->payload_is_utf8,
	    .content_type = p->content_type,
	    .user_properties = user,
	    .user_property_count = count,
	};
	size_t head = mqtt_publish_head_size(&out, p->payload.len);
	MUST(head > 0);
	uint8_t *again = malloc(head + p->payload.len);
	MUST(again != NULL);
	MUST(mqtt_encode_publish_head(again, head - 1, &out, p->payload.len) == 0);
	MUST(mqtt_encode_publish_head(again, head, &out, p->payload.len) == head);
	if (p->payload.len > 0)
		memcpy(again + head, p->payload.at, p->payload.len);
	struct mqtt_packet read;
	MUST(mqtt_decode(again, head + p->payload.len, &read) == MQTT_FINE && read.type == MQTT_PUBLISH);
	const struct mqtt_publish *q = &read.u.publish;
	MUST(same(q->topic, p->topic) && q->payload.len == p->payload.len &&
	     same(q->content_type, p->content_type));
	MUST(q->packet_id == p->packet_id && q->qos == p->qos && q->dup == p->dup && q->retain == p->retain);
	MUST(q->payload_is_utf8 == p->payload_is_utf8);
	left = q->properties;
	for (size_t i = 0; i < count;) {
		MUST(mqtt_property_next(&left, &property));
		if (property.id != 38)
			continue;
		MUST(same(property.name, user[i].name) && same(property.value, user[i].value));
		i++;
	}
	free(again);
}

static void check_packet(const uint8_t *p, size_t n)
{
	struct mqtt_packet packet;
	enum mqtt_fault fault = mqtt_decode(p, n, &packet);
	MUST(mqtt_fault_name(fault)[0] != '\0');
	if (fault != MQTT_FINE)
		return;
	MUST(mqtt_packet_length(p, n, MQTT_PACKET_MAX) == (int)n);
	for (size_t cut = n > 16 ? n - 16 : 0; cut < n; cut++) {
		struct mqtt_packet part;
		MUST(mqtt_decode(p, cut, &part) != MQTT_FINE);
	}
	struct mqtt_span value;
	switch (packet.type) {
	case MQTT_CONNACK:
		(void)walk(packet.u.connack.properties, p, n);
		MUST(packet.u.connack.maximum_qos <= 2 && packet.u.connack.receive_maximum > 0);
		break;
	case MQTT_PUBLISH:
		(void)walk(packet.u.publish.properties, p, n);
		MUST(fuzz_inside(packet.u.publish.topic.at, packet.u.publish.topic.len, p, n));
		(void)mqtt_user_property_find(packet.u.publish.properties, "via", &value);
		check_publish(&packet.u.publish);
		break;
	case MQTT_PUBACK: {
		uint8_t again[5];
		struct mqtt_packet read;
		(void)walk(packet.u.puback.properties, p, n);
		size_t len =
		    mqtt_encode_puback(again, sizeof again, packet.u.puback.packet_id, packet.u.puback.reason);
		MUST(len >= 4 && mqtt_decode(again, len, &read) == MQTT_FINE);
		MUST(read.u.puback.packet_id == packet.u.puback.packet_id &&
		     read.u.puback.reason == packet.u.puback.reason);
		break;
	}
	case MQTT_SUBACK:
	case MQTT_UNSUBACK:
		(void)walk(packet.u.suback.properties, p, n);
		MUST(packet.u.suback.reason_count > 0);
		MUST(fuzz_inside(packet.u.suback.reasons, packet.u.suback.reason_count, p, n));
		break;
	case MQTT_DISCONNECT:
		(void)walk(packet.u.disconnect.properties, p, n);
		MUST(mqtt_reason_name(packet.u.disconnect.reason)[0] != '\0');
		break;
	case MQTT_PINGRESP:
		MUST(n == 2);
		break;
	default:
		MUST(!"a packet that no server sends");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	while (in.left > 0) {
		check_framing(in.at, in.left, MQTT_PACKET_MAX);
		check_framing(in.at, in.left, 64);
		int length = mqtt_packet_length(in.at, in.left, MQTT_PACKET_MAX);
		size_t n;
		uint8_t *packet = fuzz_copy(&in, length > 0 ? (size_t)length : in.left, &n);
		check_packet(packet, n);
		free(packet);
	}
	return 0;
}
