/*
 * What a room is called when names lead over names, and round in a circle; who is told; which copies are due.
 */
#include "plugin/room_names.h"

#include "common/topic.h"
#include "plugin/events.h"
#include "plugin/history.h"
#include "plugin/moderation.h"
#include "plugin/options.h"
#include "plugin/rooms.h"
#include "tests/unit/guarded.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* ---- what stands in for the rest ------------------------------------------------------------- */

static char told[64], moved[160];
static char published[512], topic_of[128];
static bool no_memory;

bool events_renamed(const char *room, const char *to)
{
	(void)snprintf(told, sizeof(told), "%s %s", room, to ? to : "-");
	return true;
}

bool history_rename_room(const char *room, const char *to)
{
	size_t used = strlen(moved);

	(void)snprintf(moved + used, sizeof(moved) - used, "%s>%s ", room, to);
	return true;
}

void rooms_forget(const char *name, size_t len)
{
	assert_true(len == strlen(name));
}

void *mosquitto_malloc(size_t size)
{
	return no_memory ? NULL : malloc(size);
}

void mosquitto_free(void *mem)
{
	free(mem);
}

void mosquitto_log_printf(int level, const char *fmt, ...)
{
	(void)level;
	(void)fmt;
}

void mosquitto_property_free_all(mosquitto_property **properties)
{
	free(*properties);
	*properties = NULL;
}

int mosquitto_property_add_string_pair(mosquitto_property **list, int identifier, const char *name,
                                       const char *value)
{
	assert_int_equal(identifier, MQTT_PROP_USER_PROPERTY);
	assert_string_equal(name, "copy");
	assert_string_equal(value, "new");
	return list ? MOSQ_ERR_SUCCESS : MOSQ_ERR_INVAL;
}

int mosquitto_broker_publish(const char *client_id, const char *topic, int len, void *payload, int qos,
                             bool retain, mosquitto_property *properties)
{
	assert_true(!client_id && qos == 1 && !retain);
	(void)snprintf(topic_of, sizeof(topic_of), "%s", topic);
	(void)snprintf(published, sizeof(published), "%.*s", len, (const char *)payload);
	free(payload);
	free(properties);
	return MOSQ_ERR_SUCCESS;
}

/* ---- names ------------------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
	return (uint64_t)time(NULL) * 1000;
}

static struct sanction name(const char *from, const char *to, uint64_t since)
{
	struct sanction s = {.kind = SANCTION_NAME, .since_ms = since, .by = "alice@x.org"};

	(void)snprintf(s.room, sizeof(s.room), "%s", from);
	(void)snprintf(s.to, sizeof(s.to), "%s", to);
	assert_int_equal(moderation_set(&s), MODERATION_OK);
	return s;
}

static void is(const char *old, const char *now)
{
	const char *have = room_names_now(old, strlen(old));

	if ((have == NULL) != (now == NULL) || (now && strcmp(have, now) != 0))
		fail_msg("%s is %s instead of %s", old, have ? have : "so", now ? now : "so");
}

static void names_lead_over_names(void **state)
{
	(void)state;
	is("a", NULL);
	(void)name("a", "b", 1);
	is("a", "b");
	is("b", NULL);
	assert_null(room_names_now("ab", 2));
	(void)name("b", "c", 2);
	is("a", "c");
	is("b", "c");
	is("c", NULL);
	moderation_stop();
}

/* Of two nodes that have not heard of each other. */
static void names_that_lead_in_a_circle(void **state)
{
	(void)state;
	(void)name("a", "b", 5);
	(void)name("b", "a", 7);
	(void)name("z", "b", 1);
	is("a", NULL);
	is("b", "a");
	is("z", "a");
	moderation_stop();
	/* of three, in whatever order they came; and at the same time */
	(void)name("c", "a", 3);
	(void)name("a", "b", 9);
	(void)name("b", "c", 9);
	is("a", "c");
	is("b", "c");
	is("c", NULL);
	moderation_stop();
}

static void a_change_is_followed(void **state)
{
	const struct options options = {.topic_root = "chat", .session_expiry_s = 300};
	struct sanction s;

	(void)state;
	moved[0] = '\0';
	(void)name("a", "b", 1);
	(void)name("b", "c", 2);
	room_names_start(&options);
	assert_string_equal(moved, "a>c b>c ");
	moved[0] = '\0';
	s = name("c", "d", now_ms());
	room_names_follow(&s);
	assert_string_equal(moved, "c>d ");
	assert_string_equal(told, "c d");
	moved[0] = '\0';
	assert_true(moderation_lift(SANCTION_NAME, "", "c", now_ms()));
	room_names_follow(&s);
	assert_string_equal(moved, "");
	assert_string_equal(told, "c -");
	room_names_stop();
	moderation_stop();
}

static void copies(void **state)
{
	static const char body[] =
	    "{\"id\":\"01ARZ3NDEKTSV4RRFFQ69G5FAV\",\"sender\":\"a@x.org\",\"room\":\"new\","
	    "\"message\":\"hi\",\"timestamp\":\"2026\"}";
	const struct options options = {.topic_root = "chat", .session_expiry_s = 300};
	const struct sanction *old;

	(void)state;
	(void)name("ancient", "new", 1);
	(void)name("old", "new", now_ms());
	(void)name("elsewhere", "other", now_ms());
	room_names_start(&options);
	old = room_names_copied("new", 3, NULL);
	assert_non_null(old);
	assert_string_equal(old->room, "old");
	assert_null(room_names_copied("new", 3, old));
	assert_null(room_names_copied("ne", 2, NULL));
	room_names_copy(old, body, strlen(body), calloc(1, 8));
	assert_string_equal(topic_of, "chat/rooms/old");
	assert_non_null(strstr(published, "\"room\":\"old\",\"message\":\"hi\""));
	/* without memory nothing is published, and nothing is left */
	published[0] = '\0';
	no_memory = true;
	room_names_copy(old, body, strlen(body), calloc(1, 8));
	no_memory = false;
	room_names_copy(old, body, strlen(body), NULL);
	assert_string_equal(published, "");
	room_names_say("new", body, strlen(body), calloc(1, 8));
	assert_string_equal(published, body);
	room_names_stop();
	moderation_stop();
	/* when all of them are long past nobody looks any more */
	(void)name("ancient", "new", 1);
	room_names_start(&options);
	assert_null(room_names_copied("new", 3, NULL));
	room_names_stop();
	moderation_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(names_lead_over_names),
	    cmocka_unit_test(names_that_lead_in_a_circle),
	    cmocka_unit_test(a_change_is_followed),
	    cmocka_unit_test(copies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
