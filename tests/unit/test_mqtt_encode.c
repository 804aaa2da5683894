/*
 * What the MQTT 5 encoders write, byte for byte, with every size of buffer and with the
 * buffer at the end of its memory; and what they refuse to say.
 */
#include "bridge/mqtt_codec.h"
#include "tests/unit/mqtt_wire.h"

static uint8_t *output_end; /* behind it there is no memory */

static int set_up(void **state)
{
	(void)state;
	output_end = (uint8_t *)guarded_space(0, 0);
	return 0;
}

static struct mqtt_span span(const char *text)
{
	return (struct mqtt_span){text, strlen(text)};
}

static void assert_bytes(const uint8_t *out, size_t n, const char *hex)
{
	struct wire expected = from_hex(hex);

	assert_int_equal(n, expected.n);
	assert_memory_equal(out, expected.bytes, n);
}

/* One encoder with its arguments, so that every one can be run with every size of buffer. */
typedef size_t encode_function(uint8_t *out, size_t cap, const void *what);

static void assert_encodes(encode_function *encode, const void *what, size_t size, const char *hex)
{
	struct wire expected = from_hex(hex);

	assert_int_equal(size, expected.n);
	for (size_t cap = 0; cap < expected.n; cap++)
		assert_int_equal(encode(output_end - cap, cap, what), 0);
	assert_int_equal(encode(output_end - size, size, what), size);
	assert_memory_equal(output_end - size, expected.bytes, size);
	assert_int_equal(encode(output_end - size - 9, size + 9, what), size);
}

static size_t run_connect(uint8_t *out, size_t cap, const void *what)
{
	return mqtt_encode_connect(out, cap, what);
}

static void connect_bytes(void **state)
{
	struct mqtt_connect c = {.clean_start = true};

	(void)state;
	assert_encodes(run_connect, &c, mqtt_connect_size(&c), "10 0d 0004 4d515454 05 02 0000 00 0000");

	c = (struct mqtt_connect){
	    .client_id = span("ws-1"),
	    .user_name = span("a@b.c"),
	    .password = {"\0\xff", 2},
	    .keep_alive = 0x1234,
	    .receive_maximum = 65535,
	    .session_expiry_interval = 0x01020304,
	    .maximum_packet_size = 0x00040000,
	};
	assert_encodes(run_connect, &c, mqtt_connect_size(&c),
	               "10 29 0004 4d515454 05 c0 1234 0d 11 01020304 21 ffff 27 00040000"
	               "0004 77732d31 0005 6140622e63 0002 00ff");

	/* Present and empty is not the same as absent. */
	c = (struct mqtt_connect){.user_name = {"", 0}, .password = {"", 0}};
	assert_encodes(run_connect, &c, mqtt_connect_size(&c),
	               "10 11 0004 4d515454 05 c0 0000 00 0000 0000 0000");
}

static void connect_refused(void **state)
{
	static char big[MQTT_STRING_MAX + 1];
	static uint8_t out[4 * MQTT_STRING_MAX];
	struct mqtt_connect c = {.client_id = {"a\0b", 3}};

	(void)state;
	memset(big, 'x', sizeof(big));
	assert_int_equal(mqtt_connect_size(&c), 0);
	assert_int_equal(mqtt_encode_connect(out, sizeof(out), &c), 0);
	c = (struct mqtt_connect){.user_name = span("\xc0\x80")};
	assert_int_equal(mqtt_connect_size(&c), 0);
	c = (struct mqtt_connect){.user_name = {big, MQTT_STRING_MAX + 1}};
	assert_int_equal(mqtt_connect_size(&c), 0);
	c = (struct mqtt_connect){.password = {big, MQTT_STRING_MAX + 1}};
	assert_int_equal(mqtt_connect_size(&c), 0);
	c = (struct mqtt_connect){.client_id = {big, MQTT_STRING_MAX},
	                          .user_name = {big, MQTT_STRING_MAX},
	                          .password = {big, MQTT_STRING_MAX}};
	assert_int_equal(mqtt_connect_size(&c), 1 + 3 + 11 + 3 * 65537);
	assert_int_equal(mqtt_encode_connect(out, sizeof(out), &c), 1 + 3 + 11 + 3 * 65537);
}

struct subscription {
	uint16_t packet_id;
	const struct mqtt_filter *filters;
	size_t n;
};

static size_t run_subscribe(uint8_t *out, size_t cap, const void *what)
{
	const struct subscription *s = what;

	return mqtt_encode_subscribe(out, cap, s->packet_id, s->filters, s->n);
}

static void subscribe_bytes(void **state)
{
	struct mqtt_filter filters[] = {
	    {.filter = span("a/+"),
	     .qos = 1,
	     .no_local = true,
	     .retain_as_published = true,
	     .retain_handling = 2},
	    {.filter = span("#")},
	    {.filter = span("$share/g/t"), .qos = 1, .retain_handling = 1},
	};
	struct subscription s = {0x0102, filters, 1};

	(void)state;
	assert_encodes(run_subscribe, &s, mqtt_subscribe_size(filters, 1), "82 09 0102 00 0003 612f2b 2d");
	s.n = 3;
	assert_encodes(run_subscribe, &s, mqtt_subscribe_size(filters, 3),
	               "82 1a 0102 00 0003 612f2b 2d 0001 23 00 000a 2473686172652f672f74 11");
}

static void subscribe_refused(void **state)
{
	static char big[MQTT_STRING_MAX + 1];
	static struct mqtt_filter many[4100];
	uint8_t out[64];
	const struct mqtt_filter bad[] = {
	    {.filter = {"", 0}},
	    {.filter = {NULL, 0}},
	    {.filter = span("a/\xff")},
	    {.filter = {"a\0", 2}},
	    {.filter = span("a+")},
	    {.filter = span("+a")},
	    {.filter = span("a#")},
	    {.filter = span("#/a")},
	    {.filter = span("a/#/")},
	    {.filter = span("##")},
	    {.filter = span("ok"), .qos = 2},
	    {.filter = span("ok"), .retain_handling = 3},
	    {.filter = span("$share/g/t"), .no_local = true},
	    {.filter = {big, MQTT_STRING_MAX + 1}},
	};
	const char *const good[] = {"+",     "#",    "/",          "+/+",    "+/#", "/+",
	                            "a/+/b", "a//#", "$share/g/+", "$SYS/#", "é"};
	struct mqtt_filter fine = {.filter = span("ok")};

	(void)state;
	memset(big, 'x', sizeof(big));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct mqtt_filter pair[2] = {fine, bad[i]};

		assert_int_equal(mqtt_subscribe_size(&bad[i], 1), 0);
		assert_int_equal(mqtt_encode_subscribe(out, sizeof(out), 1, pair, 2), 0);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		fine.filter = span(good[i]);
		assert_int_equal(mqtt_subscribe_size(&fine, 1), 2 + 3 + 2 + strlen(good[i]) + 1);
		assert_int_equal(mqtt_unsubscribe_size(&fine.filter, 1), 2 + 3 + 2 + strlen(good[i]));
	}
	assert_int_equal(mqtt_encode_subscribe(out, sizeof(out), 0, &fine, 1), 0);
	assert_int_equal(mqtt_subscribe_size(&fine, 0), 0);
	assert_int_equal(mqtt_encode_subscribe(out, sizeof(out), 1, NULL, 0), 0);
	for (size_t i = 0; i < 4100; i++)
		many[i].filter = (struct mqtt_span){big, MQTT_STRING_MAX};
	assert_int_equal(mqtt_subscribe_size(many, 4100), 0);
}

struct unsubscription {
	uint16_t packet_id;
	const struct mqtt_span *filters;
	size_t n;
};

static size_t run_unsubscribe(uint8_t *out, size_t cap, const void *what)
{
	const struct unsubscription *s = what;

	return mqtt_encode_unsubscribe(out, cap, s->packet_id, s->filters, s->n);
}

static void unsubscribe_bytes(void **state)
{
	static char big[MQTT_STRING_MAX + 1];
	static struct mqtt_span many[4100];
	struct mqtt_span filters[] = {span("a/+"), span("b")};
	struct mqtt_span bad[] = {{big, MQTT_STRING_MAX + 1}, {"", 0}, {"a+", 2}, {"\x80", 1}};
	struct unsubscription s = {0xfffe, filters, 2};
	uint8_t out[64];

	(void)state;
	memset(big, 'x', sizeof(big));
	assert_encodes(run_unsubscribe, &s, mqtt_unsubscribe_size(filters, 2),
	               "a2 0b fffe 00 0003 612f2b 0001 62");
	assert_int_equal(mqtt_encode_unsubscribe(out, sizeof(out), 0, filters, 2), 0);
	assert_int_equal(mqtt_unsubscribe_size(filters, 0), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(mqtt_unsubscribe_size(&bad[i], 1), 0);
		assert_int_equal(mqtt_encode_unsubscribe(out, sizeof(out), 1, &bad[i], 1), 0);
	}
	for (size_t i = 0; i < 4100; i++)
		many[i] = (struct mqtt_span){big, MQTT_STRING_MAX};
	assert_int_equal(mqtt_unsubscribe_size(many, 4100), 0);
}

struct publication {
	struct mqtt_publish_out head;
	size_t payload_len;
};

static size_t run_publish(uint8_t *out, size_t cap, const void *what)
{
	const struct publication *p = what;

	return mqtt_encode_publish_head(out, cap, &p->head, p->payload_len);
}

static void publish_bytes(void **state)
{
	struct mqtt_user_property users[] = {{span("via"), span("ws")}, {span(""), span("é")}};
	struct publication p = {{.topic = span("t")}, 2};

	(void)state;
	assert_encodes(run_publish, &p, mqtt_publish_head_size(&p.head, 2), "30 06 0001 74 00");
	p.head.retain = true;
	p.payload_len = 0;
	assert_encodes(run_publish, &p, mqtt_publish_head_size(&p.head, 0), "31 04 0001 74 00");
	p = (struct publication){{.topic = span("a/b"),
	                          .packet_id = 0x0a0b,
	                          .qos = 1,
	                          .dup = true,
	                          .payload_is_utf8 = true,
	                          .content_type = span("x/y"),
	                          .user_properties = users,
	                          .user_property_count = 2},
	                         200};
	assert_encodes(
	    run_publish, &p, mqtt_publish_head_size(&p.head, 200),
	    "3a e9 01 0003 612f62 0a0b 19 01 01 03 0003 782f79 26 0003 766961 0002 7773 26 0000 0002 c3a9");
	p = (struct publication){{.topic = span("t"), .content_type = {"", 0}}, 0};
	assert_encodes(run_publish, &p, mqtt_publish_head_size(&p.head, 0), "30 07 0001 74 03 03 0000");
}

static void publish_refused(void **state)
{
	static char big[MQTT_STRING_MAX + 1];
	static struct mqtt_user_property many[2049];
	struct mqtt_user_property bad_name = {{"\xff", 1}, {"v", 1}};
	struct mqtt_user_property bad_value = {{"n", 1}, {"\0", 1}};
	const struct mqtt_publish_out bad[] = {
	    {.topic = {"", 0}},
	    {.topic = {NULL, 0}},
	    {.topic = span("a/+")},
	    {.topic = span("#")},
	    {.topic = span("\xed\xa0\x80")},
	    {.topic = {big, MQTT_STRING_MAX + 1}},
	    {.topic = span("t"), .packet_id = 1},
	    {.topic = span("t"), .dup = true},
	    {.topic = span("t"), .qos = 1},
	    {.topic = span("t"), .qos = 2, .packet_id = 1},
	    {.topic = span("t"), .content_type = {"\0", 1}},
	    {.topic = span("t"), .user_properties = &bad_name, .user_property_count = 1},
	    {.topic = span("t"), .user_properties = &bad_value, .user_property_count = 1},
	};
	struct mqtt_publish_out p = {.topic = span("t")};
	uint8_t out[64];

	(void)state;
	memset(big, 'x', sizeof(big));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(mqtt_publish_head_size(&bad[i], 3), 0);
		assert_int_equal(mqtt_encode_publish_head(out, sizeof(out), &bad[i], 3), 0);
	}
	/* The lengths around each width of the remaining length: 4 bytes of it are topic and properties. */
	assert_int_equal(mqtt_publish_head_size(&p, 123), 6);
	assert_int_equal(mqtt_publish_head_size(&p, 124), 7);
	assert_int_equal(mqtt_publish_head_size(&p, 16379), 7);
	assert_int_equal(mqtt_publish_head_size(&p, 16380), 8);
	assert_int_equal(mqtt_publish_head_size(&p, 2097147), 8);
	assert_int_equal(mqtt_publish_head_size(&p, 2097148), 9);
	assert_int_equal(mqtt_publish_head_size(&p, MQTT_REMAINING_MAX - 4), 9);
	assert_bytes(out, mqtt_encode_publish_head(out, sizeof(out), &p, MQTT_REMAINING_MAX - 4),
	             "30 ff ff ff 7f 0001 74 00");
	assert_int_equal(mqtt_publish_head_size(&p, MQTT_REMAINING_MAX - 3), 0);
	assert_int_equal(mqtt_publish_head_size(&p, MQTT_REMAINING_MAX + 1), 0);
	assert_int_equal(mqtt_publish_head_size(&p, SIZE_MAX), 0);
	for (size_t i = 0; i < 2049; i++)
		many[i].name = many[i].value = (struct mqtt_span){big, MQTT_STRING_MAX};
	p.user_properties = many;
	p.user_property_count = 2049;
	assert_int_equal(mqtt_publish_head_size(&p, 0), 0);
}

static size_t run_puback(uint8_t *out, size_t cap, const void *what)
{
	const uint16_t *id_and_reason = what;

	return mqtt_encode_puback(out, cap, id_and_reason[0], (uint8_t)id_and_reason[1]);
}

static size_t run_pingreq(uint8_t *out, size_t cap, const void *what)
{
	(void)what;
	return mqtt_encode_pingreq(out, cap);
}

static size_t run_disconnect(uint8_t *out, size_t cap, const void *what)
{
	return mqtt_encode_disconnect(out, cap, *(const uint8_t *)what);
}

static void short_packets(void **state)
{
	(void)state;
	assert_encodes(run_puback, (uint16_t[]){0x0102, 0}, 4, "40 02 0102");
	assert_encodes(run_puback, (uint16_t[]){0xffff, 0x87}, 5, "40 03 ffff 87");
	assert_int_equal(run_puback(output_end - 9, 9, (uint16_t[]){0, 0}), 0);
	assert_encodes(run_pingreq, NULL, 2, "c0 00");
	assert_encodes(run_disconnect, &(uint8_t){0}, 2, "e0 00");
	assert_encodes(run_disconnect, &(uint8_t){0x82}, 3, "e0 01 82");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(connect_bytes),     cmocka_unit_test(connect_refused),
	    cmocka_unit_test(subscribe_bytes),   cmocka_unit_test(subscribe_refused),
	    cmocka_unit_test(unsubscribe_bytes), cmocka_unit_test(publish_bytes),
	    cmocka_unit_test(publish_refused),   cmocka_unit_test(short_packets),
	};

	return cmocka_run_group_tests_name("mqtt_encode", tests, set_up, NULL);
}
