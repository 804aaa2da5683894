/* message_marks.c - see message_marks.h */
#include "bridge/message_marks.h"
#include "common/settings.h"
#include "common/ulid.h"

#include <string.h>

#define USER_PROPERTY 38 /* MQTT 5, 2.2.2.2 */

static bool parse_decimal(struct mqtt_span s, uint64_t *out)
{
	uint64_t v = 0;
	if (s.len == 0 || s.len > 19)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] < '0' || s.at[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(s.at[i] - '0');
	}
	*out = v;
	return true;
}

static bool span_is(struct mqtt_span s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.at, text, s.len) == 0;
}

/* A canonical message begins with its id. */
static uint64_t time_of(struct mqtt_span payload)
{
	static const char head[] = "{\"id\":\"";
	const size_t n = sizeof head - 1;
	if (payload.len < n + ULID_LEN || memcmp(payload.at, head, n) != 0)
		return 0;
	return ulid_milliseconds(payload.at + n);
}

struct message_marks message_marks_read(const struct mqtt_publish *p, unsigned bridge_index)
{
	struct message_marks marks = {.sent_ms = time_of(p->payload)};
	struct mqtt_properties left = p->properties;
	struct mqtt_property property;
	while (mqtt_property_next(&left, &property)) {
		if (property.id != USER_PROPERTY)
			continue;
		if (span_is(property.name, PROPERTY_SEQ)) {
			(void)parse_decimal(property.value, &marks.seq);
		} else if (span_is(property.name, PROPERTY_NUMBER)) {
			if (marks.order != ORDER_LATE)
				(void)parse_decimal(property.value, &marks.order);
		} else if (span_is(property.name, PROPERTY_LATE)) {
			marks.order = ORDER_LATE;
		} else if (span_is(property.name, PROPERTY_COPY)) {
			marks.copy = property.value;
		} else if (span_is(property.name, PROPERTY_ORIGIN)) {
			/* "<bridge>.<session number>" */
			const char *dot = memchr(property.value.at, '.', property.value.len);
			size_t head = dot != NULL ? (size_t)(dot - property.value.at) : 0;
			uint64_t index, number;
			if (dot != NULL && parse_decimal((struct mqtt_span){property.value.at, head}, &index) &&
			    index == bridge_index &&
			    parse_decimal((struct mqtt_span){dot + 1, property.value.len - head - 1}, &number))
				marks.origin = number;
		}
	}
	return marks;
}
