/* test_message_marks.c - the numbers that the plugin puts on a message */
#include "bridge/message_marks.h"
#include "common/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct mqtt_span span(const char *text)
{
	return (struct mqtt_span){text, strlen(text)};
}

/* The marks of a publish with these two user properties, for bridge 3. NULL: without it. */
static struct message_marks marks_of(const char *seq, const char *origin)
{
	struct mqtt_user_property properties[3] = {{span(PROPERTY_VIA), span("ws")}};
	size_t n = 1;
	if (seq != NULL)
		properties[n++] = (struct mqtt_user_property){span(PROPERTY_SEQ), span(seq)};
	if (origin != NULL)
		properties[n++] = (struct mqtt_user_property){span(PROPERTY_ORIGIN), span(origin)};
	struct mqtt_publish_out out = {
	    .topic = span("chat/rooms/general"), .user_properties = properties, .user_property_count = n};
	uint8_t bytes[512];
	size_t len = mqtt_encode_publish_head(bytes, sizeof bytes, &out, 0);
	struct mqtt_packet packet;
	assert_true(len > 0);
	assert_int_equal(mqtt_decode(bytes, len, &packet), MQTT_FINE);
	return message_marks_read(&packet.u.publish, 3);
}

static void reads_the_number(void **state)
{
	(void)state;
	assert_int_equal(marks_of("1", NULL).seq, 1);
	assert_int_equal(marks_of("1234567890123456789", NULL).seq, 1234567890123456789);
	static const char *const none[] = {"", "x", "-1", "1x", "12345678901234567890"};
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_int_equal(marks_of(none[i], NULL).seq, 0);
	assert_int_equal(marks_of(NULL, NULL).seq, 0);
}

static void knows_its_own_sessions(void **state)
{
	(void)state;
	assert_int_equal(marks_of("7", "3.42").origin, 42);
	assert_int_equal(marks_of("7", "3.42").seq, 7);
	static const char *const others[] = {"4.42", "342", "3.", ".42", "3.x", "x.42", "3.4.2", "", "."};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		assert_int_equal(marks_of("7", others[i]).origin, 0);
	assert_int_equal(marks_of("7", NULL).origin, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_the_number),
	    cmocka_unit_test(knows_its_own_sessions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
