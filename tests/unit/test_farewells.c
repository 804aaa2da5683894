/*
 * Farewells without a broker: which offline events are taken back, when, and in which order.
 */
#include "plugin/farewells.h"

#include "tests/unit/person.h"

#include "plugin/compat.h"
#include "plugin/options.h"
#include "plugin/presence.h"
#include "plugin/table.h"

#include <stdio.h>

#define DAY_MS ((uint64_t)PRESENCE_OFFLINE_EXPIRY_S * 1000)

/* ---- a broker that counts --------------------------------------------------------- */

static struct {
	unsigned count;
	char first[512], last[512];
	bool refuse;
} broker;

int mosquitto_broker_publish(const char *clientid, const char *topic, int payloadlen, void *payload, int qos,
                             bool retain, mosquitto_property *properties)
{
	if (broker.refuse)
		return MOSQ_ERR_NOMEM;
	assert_null(clientid);
	assert_int_equal(payloadlen, 0);
	assert_null(payload);
	assert_int_equal(qos, 1);
	assert_true(retain);
	assert_null(properties);
	if (broker.count++ == 0)
		(void)snprintf(broker.first, sizeof(broker.first), "%s", topic);
	(void)snprintf(broker.last, sizeof(broker.last), "%s", topic);
	return MOSQ_ERR_SUCCESS;
}

/* ---- helpers ------------------------------------------------------------------------- */

static struct options options = {.topic_root = "chat"};

static int set_up(void **state)
{
	(void)state;
	memset(&broker, 0, sizeof(broker));
	assert_true(table_key_draw());
	farewells_start(&options);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	farewells_stop();
	return 0;
}

static void add(unsigned n, uint64_t now_ms)
{
	struct identity who = person(n);

	farewells_add(&who, now_ms);
}

/* ---- the tests ----------------------------------------------------------------------- */

static void few_stay(void **state)
{
	(void)state;
	for (unsigned n = 0; n < FAREWELLS_MAX; n++)
		add(n, 1000);
	farewells_tick(1000 + DAY_MS - 1);
	assert_int_equal(broker.count, 0);
}

static void said_within_the_tick(void **state)
{
	(void)state;
	add(1, 1001); /* later than the tick's own idea of the time */
	farewells_tick(1000);
	assert_int_equal(broker.count, 0);
}

static void the_oldest_of_too_many_goes(void **state)
{
	(void)state;
	for (unsigned n = 0; n < FAREWELLS_MAX + 2; n++)
		add(n, 1000 + n);
	add(0, 50000); /* said again: it is the newest now */
	farewells_tick(60000);
	assert_int_equal(broker.count, 2);
	assert_string_equal(broker.first, "chat/users/u1@example.com/presence");
	assert_string_equal(broker.last, "chat/users/u2@example.com/presence");
	farewells_tick(60000);
	assert_int_equal(broker.count, 2);
}

static void many_go_in_several_ticks(void **state)
{
	(void)state;
	for (unsigned n = 0; n < FAREWELLS_MAX + 2 * FAREWELLS_AT_ONCE; n++)
		add(n, 1000);
	farewells_tick(2000);
	assert_int_equal(broker.count, FAREWELLS_AT_ONCE);
	farewells_tick(2000);
	farewells_tick(2000);
	assert_int_equal(broker.count, 2 * FAREWELLS_AT_ONCE);
}

static void what_is_too_old_goes(void **state)
{
	(void)state;
	add(1, 1000);
	add(2, 2000);
	farewells_tick(1000 + DAY_MS);
	assert_int_equal(broker.count, 1);
	assert_string_equal(broker.last, "chat/users/u1@example.com/presence");
	farewells_tick(2000 + DAY_MS);
	assert_int_equal(broker.count, 2);
}

static void who_is_back_keeps_it(void **state)
{
	struct identity who = person(1);

	(void)state;
	add(1, 1000);
	farewells_forget(&who);
	farewells_forget(&who);
	farewells_tick(1000 + 2 * DAY_MS);
	assert_int_equal(broker.count, 0);
}

static void what_the_broker_does_not_take_waits(void **state)
{
	(void)state;
	add(1, 1000);
	broker.refuse = true;
	farewells_tick(1000 + DAY_MS);
	broker.refuse = false;
	farewells_tick(1000 + DAY_MS);
	assert_int_equal(broker.count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(few_stay, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(said_within_the_tick, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(the_oldest_of_too_many_goes, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(many_go_in_several_ticks, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(what_is_too_old_goes, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(who_is_back_keeps_it, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(what_the_broker_does_not_take_waits, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
