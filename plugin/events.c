/*
 * events.c - see events.h
 */
#include "events.h"

#include "common/reply.h"
#include "common/topic.h"
#include "compat.h"
#include "log.h"
#include "options.h"
#include "text_buffer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define EVENT_MAX 65536 /* bytes; an announcement with everything in it escaped is far below */
#define TOPIC_BYTES (TOPIC_ROOT_MAX + TOPIC_LEVEL_MAX + 32)

static struct {
	const struct options *options;
} state;

void events_start(const struct options *options)
{
	state.options = options;
}

void events_stop(void)
{
	state.options = NULL;
}

static mosquitto_property *make_properties(void)
{
	mosquitto_property *list = NULL;

	if (mosquitto_property_add_byte(&list, MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, 1) == MOSQ_ERR_SUCCESS &&
	    mosquitto_property_add_string(&list, MQTT_PROP_CONTENT_TYPE, "application/json") == MOSQ_ERR_SUCCESS)
		return list;
	mosquitto_property_free_all(&list);
	return NULL;
}

static bool publish(enum topic_kind kind, const char *name, const struct text_buffer *text)
{
	mosquitto_property *properties = kind == TOPIC_BRIDGE ? NULL : make_properties();
	char *payload = text->failed ? NULL : mosquitto_malloc(text->len + 1);
	char topic[TOPIC_BYTES];

	if (payload && (properties || kind == TOPIC_BRIDGE) &&
	    topic_format(kind, state.options->topic_root, name, strlen(name), NULL, 0, topic, sizeof(topic)) >
	        0) {
		memcpy(payload, text->at, text->len);
		payload[text->len] = '\0';
		if (mosquitto_broker_publish(NULL, topic, (int)text->len, payload, 1, false, properties) ==
		    MOSQ_ERR_SUCCESS)
			return true;
	}
	/* The broker takes both only with success. */
	mosquitto_property_free_all(&properties);
	mosquitto_free(payload);
	log_limited(LOG_CAUSE_MEMORY, MOSQ_LOG_ERR, "out of memory: not everybody is told what moderators do");
	return false;
}

/* head, a line's end, the event. */
static bool tell_bridges(const char *head, const struct text_buffer *event)
{
	struct text_buffer text = text_buffer_new(EVENT_MAX + 1024);
	bool told;

	if (state.options->bridge_off)
		return true;
	text_puts(&text, head);
	if (event) {
		text_puts(&text, "\n");
		text_put(&text, event->at, event->len);
		text.failed |= event->failed;
	}
	told = publish(TOPIC_BRIDGE, BRIDGES_ALL, &text);
	text_buffer_free(&text);
	return told;
}

bool events_system(const char *code, const char *message, const char *room)
{
	struct text_buffer event = text_buffer_new(EVENT_MAX);
	char head[ROOM_MAX + 32];
	bool told;

	text_puts(&event, "{");
	text_put_member(&event, "type", "system");
	text_put_member(&event, "code", code);
	text_put_member(&event, "sender", state.options->system_sender);
	text_put_member(&event, "message", message);
	if (*room != '\0')
		text_put_member(&event, "room", room);
	text_puts(&event, "}");
	/* no room is called * */
	(void)snprintf(head, sizeof(head), "system %s", *room != '\0' ? room : "*");
	told =
	    tell_bridges(head, &event) && publish(*room != '\0' ? TOPIC_ROOM_EVENTS : TOPIC_EVENTS, room, &event);
	text_buffer_free(&event);
	return told;
}

static struct text_buffer deleted(const char *id, const char *field, const char *where)
{
	struct text_buffer event = text_buffer_new(EVENT_MAX);

	text_puts(&event, "{");
	text_put_member(&event, "type", "deleted");
	text_put_member(&event, "id", id);
	text_put_member(&event, field, where);
	text_puts(&event, "}");
	return event;
}

bool events_deleted_room(const char *id, const char *room)
{
	struct text_buffer event = deleted(id, "room", room);
	char head[ROOM_MAX + 32];
	bool told;

	(void)snprintf(head, sizeof(head), "deleted room %s", room);
	told = tell_bridges(head, &event) && publish(TOPIC_ROOM_EVENTS, room, &event);
	text_buffer_free(&event);
	return told;
}

bool events_deleted_direct(const char *id, const struct identity *a, const struct identity *b, const char *to)
{
	struct text_buffer event = deleted(id, "to", to);
	char head[2 * IDENTITY_MAX + 32];
	bool told;

	(void)snprintf(head, sizeof(head), "deleted users %s %s", a->text, b->text);
	told = tell_bridges(head, &event) && publish(TOPIC_USER_EVENTS, a->text, &event) &&
	       (identity_equal(a, b) || publish(TOPIC_USER_EVENTS, b->text, &event));
	text_buffer_free(&event);
	return told;
}

bool events_renamed(const char *room, const char *to)
{
	struct text_buffer event = text_buffer_new(EVENT_MAX);
	char text[REPLY_MAX];
	bool told = tell_bridges("renamed", NULL);

	if (to) {
		text_put(&event, text,
		         reply_renamed(state.options->language, state.options->system_sender, room, to, text,
		                       sizeof(text)));
		told &= publish(TOPIC_ROOM_EVENTS, room, &event);
	}
	text_buffer_free(&event);
	return told;
}

bool events_members(unsigned question, const char *room)
{
	char head[ROOM_MAX + 48];

	(void)snprintf(head, sizeof(head), "members %u %s", question, room);
	return tell_bridges(head, NULL);
}

bool events_room(const char *room, bool closed)
{
	char head[ROOM_MAX + 32];

	(void)snprintf(head, sizeof(head), "room %s %s", closed ? "closed" : "open", room);
	return tell_bridges(head, NULL);
}

bool events_drain(bool on, uint64_t ms)
{
	char head[48];

	if (on)
		(void)snprintf(head, sizeof(head), "drain %" PRIu64, ms);
	else
		(void)snprintf(head, sizeof(head), "drain none");
	return tell_bridges(head, NULL);
}
