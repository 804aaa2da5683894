/* test_cidr.c - addresses, ranges, and whose connection it is behind proxies */
#include "common/cidr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void addresses(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: none */
	} rows[] = {
	    {"192.0.2.1", "192.0.2.1"},
	    {"192.0.2.1:4711", "192.0.2.1"},
	    {"::ffff:192.0.2.1", "192.0.2.1"},
	    {"2001:db8::1", "2001:db8::1"},
	    {"2001:DB8:0:0::1", "2001:db8::1"},
	    {"[2001:db8::1]", "2001:db8::1"},
	    {"[2001:db8::1]:443", "2001:db8::1"},
	    {"::", "::"},
	    {"", NULL},
	    {"unknown", NULL},
	    {"_hidden", NULL},
	    {"192.0.2", NULL},
	    {"192.0.2.1.5", NULL},
	    {"192.0.2.256", NULL},
	    {"192.0.2.1:", NULL},
	    {"192.0.2.1:x", NULL},
	    {"192.0.2.1:123456", NULL},
	    {" 192.0.2.1", NULL},
	    {"[192.0.2.1]", NULL},
	    {"[2001:db8::1", NULL},
	    {"[2001:db8::1]443", NULL},
	    {"[2001:db8::1]:", NULL},
	    {"[]", NULL},
	    {"[", NULL},
	    {":", NULL},
	    {"fe80::1%eth0", NULL},
	    {"1111:2222:3333:4444:5555:6666:7777:8888:9999", NULL},
	    {"1111:2222:3333:4444:5555:6666:123.123.123.123 and more", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct address a;
		char text[ADDRESS_TEXT_MAX];
		bool fine = address_parse(rows[i].in, strlen(rows[i].in), &a);

		if (fine != (rows[i].out != NULL))
			fail_msg("%s", rows[i].in);
		if (!fine)
			continue;
		address_format(&a, text);
		assert_string_equal(text, rows[i].out);
	}
}

static void embedded_nul(void **state)
{
	struct address a;

	(void)state;
	assert_false(address_parse("192.0.2.1\0x", 11, &a));
}

static bool has(const char *list, const char *address)
{
	struct cidr_list ranges;
	struct address a;

	assert_true(cidr_list_parse(list, strlen(list), &ranges));
	assert_true(address_parse(address, strlen(address), &a));
	return cidr_list_has(&ranges, &a);
}

static void ranges(void **state)
{
	(void)state;
	assert_true(has("10.0.0.0/8", "10.255.0.1"));
	assert_false(has("10.0.0.0/8", "11.0.0.1"));
	assert_true(has("10.0.0.0/8", "::ffff:10.1.2.3"));
	assert_true(has("192.0.2.128/25", "192.0.2.200"));
	assert_false(has("192.0.2.128/25", "192.0.2.127"));
	assert_true(has("0.0.0.0/0", "203.0.113.9"));
	assert_false(has("0.0.0.0/0", "2001:db8::1"));
	assert_true(has("::/0", "2001:db8::1"));
	assert_true(has("::/0", "203.0.113.9"));
	assert_true(has("2001:db8::/33", "2001:db8:7fff::"));
	assert_false(has("2001:db8::/33", "2001:db8:8000::"));
	assert_true(has("127.0.0.1", "127.0.0.1"));
	assert_false(has("127.0.0.1", "127.0.0.2"));
	assert_true(has(" 10.0.0.0/8 ,\t::1 ", "::1"));
	assert_false(has("", "::1"));
	assert_false(has("  ", "::1"));
}

static void bad_lists(void **state)
{
	static const char *const bad[] = {
	    ",",          "10.0.0.0/8,", ",10.0.0.0/8",   "10.0.0.0/8,,::1", "10.0.0.0/",     "10.0.0.0/33",
	    "10.0.0.1/8", "::/129",      "10.0.0.0/-1",   "10.0.0.0/+8",     "10.0.0.0/8 x",  "10.0.0.0 /8",
	    "localhost",  "[::1]",       "192.0.2.1:80",  "10.0.0.0/8;::1",  "10.0.0.0/0008", "::1/64",
	    "/8",         "10/8",        "10.0.0.0/8/16",
	};
	char many[(CIDR_LIST_MAX + 1) * 4];
	struct cidr_list list;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (cidr_list_parse(bad[i], strlen(bad[i]), &list))
			fail_msg("%s", bad[i]);
	for (size_t i = 0; i <= CIDR_LIST_MAX; i++)
		memcpy(many + 4 * i, "::1,", 4);
	assert_true(cidr_list_parse(many, 4 * CIDR_LIST_MAX - 1, &list));
	assert_int_equal(list.count, CIDR_LIST_MAX);
	assert_false(cidr_list_parse(many, sizeof(many) - 1, &list));
}

static void who_it_is(void **state)
{
	static const struct {
		const char *peer, *lines[3], *client;
	} rows[] = {
	    /* nobody is believed who is not listed */
	    {"203.0.113.9", {"192.0.2.1"}, "203.0.113.9"},
	    {"203.0.113.9", {NULL}, "203.0.113.9"},
	    /* one proxy, two proxies, none of them saying anything */
	    {"10.0.0.1", {"203.0.113.9"}, "203.0.113.9"},
	    {"10.0.0.1", {"203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
	    {"10.0.0.1", {NULL}, "10.0.0.1"},
	    {"10.0.0.1", {""}, "10.0.0.1"},
	    /* what the client has written itself stands further left */
	    {"10.0.0.1", {"127.0.0.1, 198.51.100.7, 203.0.113.9"}, "203.0.113.9"},
	    {"10.0.0.1", {"10.9.9.9, 203.0.113.9 ,10.0.0.2"}, "203.0.113.9"},
	    /* everybody is a proxy: the first one */
	    {"10.0.0.1", {"10.0.0.3,10.0.0.2"}, "10.0.0.3"},
	    /* several header lines are one list */
	    {"10.0.0.1", {"198.51.100.7", "203.0.113.9"}, "203.0.113.9"},
	    {"10.0.0.1", {"198.51.100.7, 203.0.113.9", "10.0.0.3", "10.0.0.2"}, "203.0.113.9"},
	    /* what is no address ends the search */
	    {"10.0.0.1", {"203.0.113.9, unknown"}, "10.0.0.1"},
	    {"10.0.0.1", {"203.0.113.9, unknown, 10.0.0.2"}, "10.0.0.2"},
	    {"10.0.0.1", {"203.0.113.9,"}, "10.0.0.1"},
	    /* notations */
	    {"10.0.0.1", {"203.0.113.9:4711"}, "203.0.113.9"},
	    {"10.0.0.1", {"[2001:db8::1]:4711"}, "2001:db8::1"},
	    {"::ffff:10.0.0.1", {"2001:db8::1"}, "2001:db8::1"},
	};
	struct cidr_list proxies;

	(void)state;
	assert_true(cidr_list_parse("10.0.0.0/8", 10, &proxies));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct address_line lines[3];
		struct address peer, client;
		char text[ADDRESS_TEXT_MAX];
		size_t n = 0;

		for (; n < 3 && rows[i].lines[n]; n++)
			lines[n] = (struct address_line){rows[i].lines[n], strlen(rows[i].lines[n])};
		assert_true(address_parse(rows[i].peer, strlen(rows[i].peer), &peer));
		client = cidr_client(&proxies, &peer, lines, n);
		address_format(&client, text);
		if (strcmp(text, rows[i].client) != 0)
			fail_msg("row %zu: %s, not %s", i, text, rows[i].client);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(addresses), cmocka_unit_test(embedded_nul), cmocka_unit_test(ranges),
	    cmocka_unit_test(bad_lists), cmocka_unit_test(who_it_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
