/*
 * Topics: taken apart, put together, and the encoding of addresses as levels.
 */
#include "common/topic.h"

#include "tests/unit/guarded.h"

#include <stdio.h>

#define ROOM64 "rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"

/* ---- taking apart -------------------------------------------------------------- */

static struct topic parse(const char *root, const char *topic)
{
	return topic_parse(guarded_text(0, root), strlen(root), guarded_text(1, topic), strlen(topic));
}

static void is(const char *topic, enum topic_kind kind, const char *name, const char *client)
{
	struct topic t = parse("chat", topic);

	if (t.kind != kind)
		fail_msg("%s is %d", topic, t.kind);
	assert_int_equal(t.name_len, name ? strlen(name) : 0);
	assert_int_equal(t.client_len, client ? strlen(client) : 0);
	assert_int_equal(t.name != NULL, name != NULL);
	assert_int_equal(t.client != NULL, client != NULL);
	if (name)
		assert_memory_equal(t.name, name, t.name_len);
	if (client)
		assert_memory_equal(t.client, client, t.client_len);
}

static void each_shape(void **state)
{
	(void)state;
	is("chat/rooms/general", TOPIC_ROOM, "general", NULL);
	is("chat/rooms/general/send", TOPIC_ROOM_SEND, "general", NULL);
	is("chat/rooms/general/typing", TOPIC_ROOM_TYPING, "general", NULL);
	is("chat/rooms/general/events", TOPIC_ROOM_EVENTS, "general", NULL);
	is("chat/users/a@x.org/events", TOPIC_USER_EVENTS, "a@x.org", NULL);
	is("chat/events", TOPIC_EVENTS, NULL, NULL);
	is("chat/users/a@x.org/inbox", TOPIC_INBOX, "a@x.org", NULL);
	is("chat/users/a@x.org/send", TOPIC_USER_SEND, "a@x.org", NULL);
	is("chat/users/a@x.org/presence", TOPIC_PRESENCE, "a@x.org", NULL);
	is("chat/users/a@x.org/typing", TOPIC_USER_TYPING, "a@x.org", NULL);
	is("chat/users/a@x.org/notices/ws-1", TOPIC_NOTICES, "a@x.org", "ws-1");
}

/* Structure only: whether a name is one is another question. */
static void names_that_are_none(void **state)
{
	(void)state;
	is("chat/rooms/", TOPIC_ROOM, "", NULL);
	is("chat/rooms//send", TOPIC_ROOM_SEND, "", NULL);
	is("chat/rooms/+", TOPIC_ROOM, "+", NULL);
	is("chat/rooms/#", TOPIC_ROOM, "#", NULL);
	is("chat/users//inbox", TOPIC_INBOX, "", NULL);
	is("chat/users/+/inbox", TOPIC_INBOX, "+", NULL);
	is("chat/users/a/notices/", TOPIC_UNKNOWN, NULL, NULL);
	is("chat/users/a/notices/+", TOPIC_NOTICES, "a", "+");
}

static void other_topics_under_the_root(void **state)
{
	static const char *const topics[] = {
	    "chat",
	    "chat/",
	    "chat//",
	    "chat/rooms",
	    "chat/users",
	    "chat/users/",
	    "chat/users/a",
	    "chat/users/a/",
	    "chat/rooms/general/",
	    "chat/rooms/general/sen",
	    "chat/rooms/general/sending",
	    "chat/rooms/general/send/",
	    "chat/rooms/general/send/x",
	    "chat/rooms/general/inbox",
	    "chat/rooms/general/typing/",
	    "chat/Rooms/general",
	    "chat/users/a/inbox/",
	    "chat/users/a/Inbox",
	    "chat/users/a/outbox",
	    "chat/users/a/notices",
	    "chat/users/a/notices/b/c",
	    "chat/users/a/notices//",
	    "chat/users/a/presence/x",
	    "chat/x/general",
	    "chat//rooms/x",
	    "chat/#",
	    "chat/+/+",
	    "chat/room",
	    "chat/rooms2/x",
	    "chat/users/a/notice/x",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++)
		is(topics[i], TOPIC_UNKNOWN, NULL, NULL);
}

static void topics_outside(void **state)
{
	static const char *const topics[] = {"",
	                                     "c",
	                                     "cha",
	                                     "chats",
	                                     "chats/rooms/x",
	                                     "Chat/rooms/x",
	                                     "/chat/rooms/x",
	                                     "#",
	                                     "+/rooms/general",
	                                     "$SYS/broker/uptime",
	                                     "chat2",
	                                     "chat$",
	                                     "xchat/rooms"};

	(void)state;
	for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++)
		is(topics[i], TOPIC_OUTSIDE, NULL, NULL);
}

static void a_root_of_levels(void **state)
{
	(void)state;
	assert_int_equal(parse("a/b", "a/b/rooms/x").kind, TOPIC_ROOM);
	assert_int_equal(parse("a/b", "a/b").kind, TOPIC_UNKNOWN);
	assert_int_equal(parse("a/b", "a").kind, TOPIC_OUTSIDE);
	assert_int_equal(parse("a/b", "a/rooms/x").kind, TOPIC_OUTSIDE);
	assert_int_equal(parse("a/b", "a/bc/rooms/x").kind, TOPIC_OUTSIDE);
}

/* Every topic cut at every length, and with every byte changed: nothing is read that is not there. */
static void cut_and_changed(void **state)
{
	static const char *const topics[] = {"chat/rooms/general/typing", "chat/users/a%2Bb@x.org/notices/ws-1"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		size_t len = strlen(topics[i]);

		for (size_t n = 0; n <= len; n++) {
			const char *text = guarded(1, topics[i], n);
			struct topic t = topic_parse("chat", 4, text, n);

			assert_int_equal(t.kind == TOPIC_OUTSIDE, n < 4);
			if (t.name)
				assert_true(t.name >= text && t.name + t.name_len <= text + n);
			if (t.client)
				assert_true(t.client >= text && t.client + t.client_len <= text + n);
		}
		for (size_t at = 0; at < len; at++) {
			for (int c = 0; c < 256; c++) {
				char *text = guarded(1, topics[i], len);
				struct topic t;

				text[at] = (char)c;
				t = topic_parse("chat", 4, text, len);
				if (t.name)
					assert_true(t.name >= text && t.name + t.name_len <= text + len);
				if (t.client)
					assert_true(t.client >= text && t.client + t.client_len <= text + len);
			}
		}
	}
}

/* ---- names ------------------------------------------------------------------------ */

static void rooms(void **state)
{
	(void)state;
	assert_true(room_name_valid("general", 7));
	assert_true(room_name_valid("-_.09az", 7));
	assert_true(room_name_valid(guarded_text(0, ROOM64), 64));
	assert_false(room_name_valid(guarded_text(0, ROOM64 "r"), 65));
	assert_false(room_name_valid(guarded(0, "", 0), 0));
	for (int c = 0; c < 256; c++) {
		const char name[] = {'a', (char)c};
		bool fits = c && strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.", c);

		assert_int_equal(room_name_valid(guarded(0, name, 2), 2), fits);
		assert_int_equal(room_name_valid(guarded(0, name + 1, 1), 1), fits);
	}
}

static bool root_valid(const char *s)
{
	return topic_root_valid(guarded_text(0, s), strlen(s));
}

static void roots(void **state)
{
	(void)state;
	assert_true(root_valid("chat"));
	assert_true(root_valid("a/B/0-_."));
	assert_true(root_valid(ROOM64));
	assert_true(root_valid("x"));
	assert_false(root_valid(ROOM64 "r"));
	assert_false(root_valid(""));
	assert_false(root_valid("/"));
	assert_false(root_valid("/chat"));
	assert_false(root_valid("chat/"));
	assert_false(root_valid("a//b"));
	assert_false(root_valid("$SYS"));
	assert_false(root_valid("a/$b"));
	for (int c = 0; c < 256; c++) {
		const char name[] = {'a', (char)c, 'b'};
		bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
		            c == '_' || c == '.' || c == '/';

		assert_int_equal(topic_root_valid(guarded(0, name, 3), 3), fits);
	}
}

/* ---- levels ------------------------------------------------------------------------- */

static void encodes(const char *s, const char *level)
{
	char out[TOPIC_LEVEL_MAX];

	assert_int_equal(topic_level_encode(guarded_text(0, s), strlen(s), out, sizeof(out)), strlen(level));
	assert_memory_equal(out, level, strlen(level));
}

static void encoding(void **state)
{
	char out[TOPIC_LEVEL_MAX];

	(void)state;
	encodes("alice@x.org", "alice@x.org");
	encodes("alice+tag@x.org", "alice%2Btag@x.org");
	encodes("a/b#c%d@x", "a%2Fb%23c%25d@x");
	encodes("\xff \x01", "%FF%20%01");
	assert_int_equal(topic_level_encode("", 0, out, sizeof(out)), 0);
	for (int c = 0; c < 256; c++) {
		const char byte = (char)c;
		bool plain = c && strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~@", c);
		char expected[4];

		assert_int_equal(topic_level_encode(&byte, 1, out, 3), plain ? 1 : 3);
		assert_true(snprintf(expected, sizeof(expected), "%%%02X", (unsigned)c) == 3);
		assert_memory_equal(out, plain ? &byte : expected, plain ? 1 : 3);
	}
}

static void encoding_where_it_does_not_fit(void **state)
{
	static const char text[] = "a+b";
	static const char level[] = "a%2Bb";

	(void)state;
	for (size_t cap = 0; cap <= 6; cap++) {
		char *out = guarded_space(1, cap);

		assert_int_equal(topic_level_encode(text, 3, out, cap), cap < 5 ? 0 : 5);
		if (cap >= 5)
			assert_memory_equal(out, level, 5);
	}
}

static void level_is(const char *level, const char *strict, const char *lenient)
{
	struct identity id, before;

	memset(&id, 0xee, sizeof(id));
	before = id;
	assert_int_equal(topic_level_identity(guarded_text(0, level), strlen(level), &id), strict != NULL);
	if (strict)
		assert_string_equal(id.text, strict);
	else
		assert_memory_equal(&id, &before, sizeof(id));
	assert_int_equal(topic_level_identity_lenient(guarded_text(0, level), strlen(level), &id),
	                 lenient != NULL);
	if (lenient)
		assert_string_equal(id.text, lenient);
}

static void addresses_of_levels(void **state)
{
	(void)state;
	level_is("alice@x.org", "alice@x.org", "alice@x.org");
	level_is("alice%2Btag@x.org", "alice+tag@x.org", "alice+tag@x.org");
	level_is("a%7Cb@x", "a|b@x", "a|b@x");
	/* one address, one level */
	level_is("alice%2btag@x.org", NULL, "alice+tag@x.org");
	level_is("alice%40x.org", NULL, "alice@x.org");
	level_is("alice+tag@x.org", NULL, "alice+tag@x.org");
	level_is("alice@X.org", NULL, "alice@x.org");
	level_is("%61lice@x.org", NULL, "alice@x.org");
	level_is("a%7cb@x", NULL, "a|b@x");
	/* and these are no addresses */
	level_is("", NULL, NULL);
	level_is("alice", NULL, NULL);
	level_is("+", NULL, NULL);
	level_is("#", NULL, NULL);
	level_is("a%@x", NULL, NULL);
	level_is("a@x%", NULL, NULL);
	level_is("a@x%2", NULL, NULL);
	level_is("a@x%2E", NULL, NULL);
	level_is("a%2Gb@x", NULL, NULL);
	level_is("a%G2b@x", NULL, NULL);
	level_is("a%/2b@x", NULL, NULL);
	level_is("a%2:b@x", NULL, NULL);
	level_is("a%g2b@x", NULL, NULL);
	level_is("a%@2b@x", NULL, NULL);
	level_is("a%`2b@x", NULL, NULL);
	level_is("a%00b@x", NULL, NULL);
	level_is("a%252Bb@x", "a%2Bb@x", "a%2Bb@x"); /* undone once, never twice */
	level_is("a%2Bb%25@x", "a+b%@x", "a+b%@x");
}

static void levels_of_every_length(void **state)
{
	char level[TOPIC_LEVEL_MAX + 3];
	struct identity id;

	(void)state;
	for (size_t n = 0; n + 2 <= 300; n++) { /* "a@" and labels of up to 300 bytes */
		memset(level, 'd', sizeof(level));
		for (size_t i = 2; i + 1 < n + 2; i += 40)
			level[i] = '.';
		memcpy(level, "a@d", 3);
		assert_int_equal(topic_level_identity(guarded(0, level, n + 2), n + 2, &id),
		                 n > 0 && n + 2 <= IDENTITY_MAX);
	}
	/* the longest encoding there can be */
	for (size_t i = 0; i < TOPIC_LEVEL_MAX + 3; i += 3)
		memcpy(level + i, "%61", 3);
	assert_false(topic_level_identity_lenient(guarded(0, level, sizeof(level)), sizeof(level), &id));
	for (size_t i = 0; i < 64; i++)
		memcpy(level + 3 * i, "%2B", 3);
	memcpy(level + 192, "@x", 2);
	assert_true(topic_level_identity(guarded(0, level, 194), 194, &id));
	assert_int_equal(id.len, 66);
}

static bool equals(const char *level, const char *s)
{
	return topic_level_equals(guarded_text(0, level), strlen(level), guarded_text(1, s), strlen(s));
}

static void comparing_without_encoding(void **state)
{
	(void)state;
	assert_true(equals("alice@x.org", "alice@x.org"));
	assert_true(equals("a%2Bb", "a+b"));
	assert_true(equals("%FF", "\xff"));
	assert_true(equals("", ""));
	assert_false(equals("a%2bb", "a+b"));
	assert_false(equals("a+b", "a+b"));
	assert_false(equals("a%2B", "a+b"));
	assert_false(equals("a%2", "a+"));
	assert_false(equals("a", "a+"));
	assert_false(equals("a%2Bb", "a+"));
	assert_false(equals("a", ""));
	assert_false(equals("", "a"));
	assert_false(equals("A", "a"));
}

/* ---- putting together ------------------------------------------------------------------ */

static void makes(enum topic_kind kind, const char *name, const char *client, const char *expected)
{
	size_t n = strlen(expected);
	size_t client_len = client ? strlen(client) : 0;

	for (size_t cap = 0; cap <= n + 2; cap++) {
		char *out = guarded_space(0, cap);
		size_t len = topic_format(kind, "chat", guarded_text(1, name), strlen(name),
		                          client ? guarded_text(2, client) : NULL, client_len, out, cap);

		assert_int_equal(len, cap > n ? n : 0);
		if (cap > n)
			assert_string_equal(out, expected);
	}
}

static void formatting(void **state)
{
	char out[100];

	(void)state;
	makes(TOPIC_ROOM, "general", NULL, "chat/rooms/general");
	makes(TOPIC_ROOM_SEND, "general", NULL, "chat/rooms/general/send");
	makes(TOPIC_ROOM_TYPING, "general", NULL, "chat/rooms/general/typing");
	makes(TOPIC_INBOX, "a+b@x.org", NULL, "chat/users/a%2Bb@x.org/inbox");
	makes(TOPIC_USER_SEND, "a@x.org", NULL, "chat/users/a@x.org/send");
	makes(TOPIC_PRESENCE, "a@x.org", NULL, "chat/users/a@x.org/presence");
	makes(TOPIC_USER_TYPING, "a@x.org", NULL, "chat/users/a@x.org/typing");
	makes(TOPIC_NOTICES, "a@x.org", "ws-/+\xff", "chat/users/a@x.org/notices/ws-%2F%2B%FF");
	assert_int_equal(topic_format(TOPIC_OUTSIDE, "chat", "a", 1, NULL, 0, out, sizeof(out)), 0);
	assert_int_equal(topic_format(TOPIC_UNKNOWN, "chat", "a", 1, NULL, 0, out, sizeof(out)), 0);
	assert_int_equal(topic_format((enum topic_kind)99, "chat", "a", 1, NULL, 0, out, sizeof(out)), 0);
	assert_int_equal(topic_format(TOPIC_INBOX, "chat", "", 0, NULL, 0, out, sizeof(out)), 0);
	assert_int_equal(topic_format(TOPIC_NOTICES, "chat", "a@x", 3, "", 0, out, sizeof(out)), 0);
}

/* What is put together comes apart into the same. */
static void there_and_back(void **state)
{
	(void)state;
	for (int kind = TOPIC_ROOM; kind <= TOPIC_NOTICES; kind++) {
		bool is_room = kind <= TOPIC_ROOM_TYPING;
		const char *name = is_room ? "general" : "o'hara+x/y@x.org";
		char out[200], client[100];
		struct topic t;
		struct identity id;
		size_t len = topic_format((enum topic_kind)kind, "my/chat", name, strlen(name), "id /1",
		                          kind == TOPIC_NOTICES ? 5 : 0, out, sizeof(out));

		assert_true(len > 0);
		t = topic_parse("my/chat", 7, guarded(0, out, len), len);
		assert_int_equal(t.kind, kind);
		if (is_room) {
			assert_int_equal(t.name_len, strlen(name));
			assert_memory_equal(t.name, name, t.name_len);
			continue;
		}
		assert_true(topic_level_equals(t.name, t.name_len, name, strlen(name)));
		assert_true(topic_level_identity(t.name, t.name_len, &id));
		assert_string_equal(id.text, name);
		if (kind == TOPIC_NOTICES) {
			assert_int_equal(topic_level_encode("id /1", 5, client, sizeof(client)), t.client_len);
			assert_memory_equal(t.client, client, t.client_len);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_shape),
	    cmocka_unit_test(names_that_are_none),
	    cmocka_unit_test(other_topics_under_the_root),
	    cmocka_unit_test(topics_outside),
	    cmocka_unit_test(a_root_of_levels),
	    cmocka_unit_test(cut_and_changed),
	    cmocka_unit_test(rooms),
	    cmocka_unit_test(roots),
	    cmocka_unit_test(encoding),
	    cmocka_unit_test(encoding_where_it_does_not_fit),
	    cmocka_unit_test(addresses_of_levels),
	    cmocka_unit_test(levels_of_every_length),
	    cmocka_unit_test(comparing_without_encoding),
	    cmocka_unit_test(formatting),
	    cmocka_unit_test(there_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
