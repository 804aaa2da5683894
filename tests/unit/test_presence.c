/*
 * Presence without a broker: what is published for which comings and goings, what waits when memory is short,
 * what passes as true, and the roster.
 */
#include "plugin/presence.h"

#include "tests/unit/guarded.h"

#include "common/roster.h"
#include "plugin/clock.h"
#include "plugin/compat.h"
#include "plugin/options.h"
#include "plugin/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* ---- a broker of one page ------------------------------------------------------ */

#define SENT_MAX 20000

struct sent {
	char topic[512];
	char *payload;
	size_t len;
	bool retain;
	bool expires;
};

static struct {
	struct sent sent[SENT_MAX];
	size_t count;
	unsigned refuse; /* so many publishes fail from now on */
	bool refuse_pages;
	size_t blocks; /* from mosquitto_malloc, not freed and not handed over */
	bool expires;
} broker;

void *mosquitto_malloc(size_t size)
{
	broker.blocks++;
	return malloc(size);
}

void mosquitto_free(void *mem)
{
	broker.blocks -= mem != NULL;
	free(mem);
}

void mosquitto_log_printf(int level, const char *fmt, ...)
{
	(void)level;
	(void)fmt;
}

/* A list of properties is one block. */
static int add_property(mosquitto_property **list)
{
	if (!*list)
		*list = mosquitto_malloc(1);
	return MOSQ_ERR_SUCCESS;
}

int mosquitto_property_add_byte(mosquitto_property **list, int identifier, uint8_t value)
{
	(void)identifier;
	(void)value;
	broker.expires = false;
	return add_property(list);
}

int mosquitto_property_add_int32(mosquitto_property **list, int identifier, uint32_t value)
{
	broker.expires = identifier == MQTT_PROP_MESSAGE_EXPIRY_INTERVAL && value == 86400;
	return add_property(list);
}

int mosquitto_property_add_string(mosquitto_property **list, int identifier, const char *value)
{
	(void)identifier;
	(void)value;
	return add_property(list);
}

void mosquitto_property_free_all(mosquitto_property **list)
{
	mosquitto_free(*list);
	*list = NULL;
}

int mosquitto_broker_publish(const char *clientid, const char *topic, int payloadlen, void *payload, int qos,
                             bool retain, mosquitto_property *properties)
{
	struct sent *s;

	assert_null(clientid);
	assert_int_equal(qos, 1);
	assert_true(payloadlen > 0 && payloadlen <= ROSTER_PUBLISH_MAX);
	if (broker.refuse_pages && !retain)
		return MOSQ_ERR_NOMEM;
	if (broker.refuse > 0) {
		broker.refuse--;
		return MOSQ_ERR_NOMEM;
	}
	assert_true(broker.count < SENT_MAX);
	s = &broker.sent[broker.count++];
	assert_true(snprintf(s->topic, sizeof(s->topic), "%s", topic) < (int)sizeof(s->topic));
	s->payload = payload;
	s->len = (size_t)payloadlen;
	s->retain = retain;
	s->expires = properties && broker.expires;
	broker.blocks--;
	mosquitto_property_free_all(&properties);
	return MOSQ_ERR_SUCCESS;
}

/* ---- time and people ----------------------------------------------------------- */

#define START_REAL_MS UINT64_C(1795700000000)
#define START_MS 5000

static struct options options;
static uint64_t now; /* the test's clock, monotonic */

int __wrap_clock_gettime(clockid_t which, struct timespec *out);

int __wrap_clock_gettime(clockid_t which, struct timespec *out)
{
	uint64_t ms = which == CLOCK_REALTIME ? START_REAL_MS + now : now;

	out->tv_sec = (time_t)(ms / 1000);
	out->tv_nsec = (long)(ms % 1000) * 1000000;
	return 0;
}

static void forget_sent(void)
{
	while (broker.count > 0)
		free(broker.sent[--broker.count].payload);
}

static void start(uint32_t grace_ms, bool bridge_off)
{
	memset(&options, 0, sizeof(options));
	memcpy(options.topic_root, "chat", sizeof("chat"));
	options.topic_root_len = strlen("chat");
	options.presence_grace_ms = grace_ms;
	options.bridge_off = bridge_off;
	assert_true(table_key_draw());
	now = START_MS;
	presence_start(&options);
	now += 700;
	presence_tick(now);
}

static int end_of_test(void **state)
{
	(void)state;
	presence_stop();
	forget_sent();
	broker.refuse = 0;
	broker.refuse_pages = false;
	assert_int_equal(broker.blocks, 0);
	return 0;
}

static struct identity someone(unsigned n)
{
	struct identity who;
	char text[64];

	assert_true(snprintf(text, sizeof(text), "user%u@example.com", n) > 0);
	assert_true(identity_parse(text, strlen(text), &who));
	return who;
}

static void came(unsigned n)
{
	struct identity who = someone(n);

	presence_came(&who);
}

static void left(unsigned n)
{
	struct identity who = someone(n);

	presence_left(&who);
}

/* A tick that is sure to flush, later than the last by so much. */
static void tick_after(uint64_t ms)
{
	now += ms < PRESENCE_FLUSH_MS ? PRESENCE_FLUSH_MS : ms;
	presence_tick(now);
}

/* The next sent is this event. */
static size_t looked_at;

static void is_event(unsigned n, bool online)
{
	const struct sent *s = &broker.sent[looked_at++];
	struct identity who = someone(n);
	char expected[512];

	assert_true(looked_at <= broker.count);
	assert_true(snprintf(expected, sizeof(expected), "chat/users/%s/presence", who.text) > 0);
	assert_string_equal(s->topic, expected);
	assert_true(snprintf(expected, sizeof(expected),
	                     "{\"type\":\"presence\",\"user\":\"%s\",\"status\":\"%s\",\"timestamp\":\"",
	                     who.text, online ? "online" : "offline") > 0);
	assert_int_equal(s->len, strlen(expected) + 24 + 2);
	assert_memory_equal(s->payload, expected, strlen(expected));
	assert_memory_equal(s->payload + s->len - 2, "\"}", 2);
	assert_true(s->retain);
	assert_int_equal(s->expires, !online);
}

/* The next sent is a page for the bridges with so many entries; the last of them is this. */
static void is_page(size_t entries, unsigned n, bool online)
{
	const struct sent *s = &broker.sent[looked_at++];
	struct identity who = someone(n);
	struct roster_reader r;
	struct roster_head head;
	struct roster_entry e = {0};
	size_t count = 0;

	assert_true(looked_at <= broker.count);
	assert_string_equal(s->topic, "chat/bridges/all");
	assert_false(s->retain);
	assert_true(roster_read_head(&r, s->payload, s->len, &head));
	assert_false(head.answer);
	while (roster_read_entry(&r, &e) == ROSTER_ENTRY)
		count++;
	assert_int_equal(roster_read_entry(&r, &e), ROSTER_END);
	assert_int_equal(count, entries);
	assert_int_equal(e.address_len, who.len);
	assert_memory_equal(e.address, who.text, who.len);
	assert_int_equal(e.online, online);
}

static void nothing_more(void)
{
	assert_int_equal(broker.count, looked_at);
	forget_sent();
	looked_at = 0;
}

/* ---- coming and going ---------------------------------------------------------- */

static void changes_of_one_flush(void **state)
{
	(void)state;
	start(3000, false);
	came(1);
	came(2);
	left(2); /* nobody has seen it */
	came(3);
	left(3);
	came(3);
	nothing_more();
	tick_after(0);
	is_event(1, true);
	is_event(3, true);
	is_page(2, 3, true);
	nothing_more();
	tick_after(0);
	nothing_more();
}

static void not_more_often(void **state)
{
	(void)state;
	start(0, true);
	tick_after(0);
	came(1);
	presence_tick(now + PRESENCE_FLUSH_MS - 1);
	nothing_more();
	presence_tick(now + PRESENCE_FLUSH_MS);
	is_event(1, true);
	nothing_more();
}

static void the_grace(void **state)
{
	(void)state;
	start(3000, false);
	came(1);
	came(2);
	tick_after(0);
	forget_sent();
	left(1);
	tick_after(2800);
	nothing_more();
	left(2);
	came(1);
	left(1); /* a new grace, behind that of 2 */
	tick_after(2999);
	nothing_more();
	tick_after(PRESENCE_FLUSH_MS);
	is_event(2, false);
	is_event(1, false);
	is_page(2, 1, false);
	nothing_more();
	came(1);
	tick_after(0);
	is_event(1, true);
	is_page(1, 1, true);
	nothing_more();
}

static void many(void **state)
{
	unsigned i, n = 0;
	size_t k;

	(void)state;
	start(0, false);
	for (i = 0; i < PRESENCE_FLUSH_CHANGES + 100; i++)
		came(i);
	tick_after(0);
	/* As many events as a flush has, in pages of up to 60,000 bytes. */
	for (k = 0; k < broker.count; k++)
		n += broker.sent[k].retain;
	assert_int_equal(n, PRESENCE_FLUSH_CHANGES);
	assert_int_equal(broker.count - n, 3);
	forget_sent();
	tick_after(0);
	assert_int_equal(broker.count, 101);
	forget_sent();
	for (i = 0; i < 300; i++)
		left(i);
	tick_after(0);
	assert_int_equal(broker.count, 301);
	looked_at = 300;
	is_page(300, 299, false);
	nothing_more();
}

/* ---- short of memory ----------------------------------------------------------- */

static void an_event_that_finds_no_memory(void **state)
{
	unsigned refused;

	(void)state;
	for (refused = 1; refused < 8; refused++) {
		start(0, false);
		came(1);
		came(2);
		broker.refuse = refused;
		while (broker.refuse > 0)
			tick_after(0);
		tick_after(0);
		tick_after(0);
		forget_sent();
		/* Both are known now. */
		{
			const struct presence *at = NULL;
			char page[200];

			assert_int_equal(presence_list(&at, page, sizeof(page)),
			                 2 * strlen("+user1@example.com 1234567890123\n"));
			assert_null(at);
		}
		presence_stop();
		assert_int_equal(broker.blocks, 0);
	}
}

static void a_page_that_finds_no_memory(void **state)
{
	unsigned i;

	(void)state;
	start(0, false);
	broker.refuse_pages = true;
	came(1);
	tick_after(0);
	is_event(1, true);
	came(2);
	tick_after(0);
	is_event(2, true);
	nothing_more();
	broker.refuse_pages = false;
	tick_after(0);
	is_page(2, 2, true);
	nothing_more();
	/* A full page that cannot leave holds up the events behind it, and no entry is lost. */
	broker.refuse_pages = true;
	for (i = 10; i < 4010; i++)
		came(i);
	tick_after(0);
	tick_after(0);
	assert_true(broker.count < 4000);
	forget_sent();
	broker.refuse_pages = false;
	tick_after(0);
	for (i = 10; i < 4010; i++)
		left(i);
	broker.refuse_pages = true;
	tick_after(0); /* and what is left at the end is freed: see end_of_test */
}

/* ---- what passes as true ------------------------------------------------------- */

static bool shows(unsigned n, const char *payload, size_t len, bool note)
{
	char level[64];
	int level_len = snprintf(level, sizeof(level), "user%u@example.com", n);

	return presence_shows(guarded(0, level, (size_t)level_len), (size_t)level_len, guarded(1, payload, len),
	                      len, note);
}

/* An event of before this process's start. */
static size_t old_event(unsigned n, bool online, char out[256])
{
	int len =
	    snprintf(out, 256,
	             "{\"type\":\"presence\",\"user\":\"user%u@example.com\",\"status\":\"%s\",\"timestamp\":"
	             "\"2020-01-02T03:04:05.678Z\"}",
	             n, online ? "online" : "offline");

	return (size_t)len;
}

static void only_what_is_announced(void **state)
{
	char event[256], copy[256];
	size_t len, i;

	(void)state;
	start(3000, true);
	came(1);
	tick_after(0);
	len = broker.sent[0].len;
	memcpy(event, broker.sent[0].payload, len);
	assert_true(shows(1, event, len, true));
	assert_false(shows(2, event, len, true));
	for (i = 0; i < len; i++) {
		assert_false(shows(1, event, i, true));
		memcpy(copy, event, len);
		copy[i]++;
		assert_false(shows(1, copy, len, true));
	}
	assert_false(presence_shows("user1@example.com", 17, NULL, 0, true));
	assert_false(presence_shows("user1", 5, event, len, true));
	assert_false(presence_shows("", 0, event, len, true));
	/* gone, and in its grace still */
	left(1);
	assert_true(shows(1, event, len, true));
	assert_false(shows(1, copy, old_event(1, false, copy), true));
	tick_after(3000);
	assert_false(shows(1, event, len, true));
	assert_true(shows(1, copy, old_event(1, false, copy), true));
	/* What this process has announced itself is no ghost. (2 is one: an event about 1 stood there.) */
	looked_at = 1;
	is_event(1, false);
	is_event(2, false);
	nothing_more();
	tick_after(3000);
	nothing_more();
}

static void ghosts(void **state)
{
	char event[256];
	unsigned i;

	(void)state;
	start(2000, false);
	assert_false(shows(1, event, old_event(1, true, event), true));
	assert_false(shows(1, event, old_event(1, true, event), true));
	assert_true(shows(2, event, old_event(2, false, event), true));
	assert_false(shows(3, event, old_event(3, true, event), false)); /* not what is retained */
	assert_false(shows(4, "", 0, true)); /* what was retained is being taken back: nobody's ghost */
	assert_false(shows(5, event, old_event(5, true, event), true));
	assert_false(shows(6, event, old_event(6, true, event), true));
	tick_after(1000);
	nothing_more();
	for (i = 0; i < 3; i++) { /* too short to be seen */
		came(5);
		left(5);
	}
	came(6);
	tick_after(0);
	is_event(6, true);
	is_page(1, 6, true);
	nothing_more();
	left(5); /* which is not there */
	tick_after(1500);
	is_event(1, false);
	is_event(5, false);
	is_page(2, 5, false);
	nothing_more();
	/* after the settling time at once */
	assert_false(shows(7, event, old_event(7, true, event), true));
	tick_after(0);
	is_event(7, false);
	is_page(1, 7, false);
	nothing_more();
	tick_after(5000);
	nothing_more();
}

static void so_many_ghosts(void **state)
{
	char event[256];
	unsigned i, n = 0, events;
	size_t k;

	(void)state;
	start(600000, true);
	for (i = 0; i < PRESENCE_GHOSTS_MAX + 10; i++)
		assert_false(shows(i, event, old_event(i, true, event), true));
	now += 600000;
	do {
		tick_after(0);
		for (events = 0, k = 0; k < broker.count; k++)
			events++;
		n += events;
		forget_sent();
	} while (events > 0);
	assert_int_equal(n, PRESENCE_GHOSTS_MAX);
}

/* ---- the roster ---------------------------------------------------------------- */

static void the_roster_in_pages(void **state)
{
	const struct presence *at = NULL;
	char page[1000];
	unsigned i, pages = 0, seen = 0;

	(void)state;
	start(3000, true);
	for (i = 0; i < 500; i++)
		came(i);
	tick_after(0);
	came(500); /* not announced yet */
	left(7);   /* in its grace */
	do {
		size_t len = presence_list(&at, page, sizeof(page)), k;

		assert_true(len > 0 && len <= sizeof(page));
		assert_int_equal(page[len - 1], '\n');
		for (k = 0; k < len; k++)
			seen += page[k] == '+';
		pages++;
	} while (at);
	assert_int_equal(seen, 500);
	assert_true(pages > 10);
}

static void nobody(void **state)
{
	const struct presence *at = NULL;
	char page[100];

	(void)state;
	start(3000, true);
	assert_int_equal(presence_list(&at, page, sizeof(page)), 0);
	assert_null(at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(changes_of_one_flush, end_of_test),
	    cmocka_unit_test_teardown(not_more_often, end_of_test),
	    cmocka_unit_test_teardown(the_grace, end_of_test),
	    cmocka_unit_test_teardown(many, end_of_test),
	    cmocka_unit_test_teardown(an_event_that_finds_no_memory, end_of_test),
	    cmocka_unit_test_teardown(a_page_that_finds_no_memory, end_of_test),
	    cmocka_unit_test_teardown(only_what_is_announced, end_of_test),
	    cmocka_unit_test_teardown(ghosts, end_of_test),
	    cmocka_unit_test_teardown(so_many_ghosts, end_of_test),
	    cmocka_unit_test_teardown(the_roster_in_pages, end_of_test),
	    cmocka_unit_test_teardown(nobody, end_of_test),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
