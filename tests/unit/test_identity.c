/*
 * Addresses: the WHATWG rule, the lengths, the canonical form.
 */
#include "common/identity.h"

#include "tests/unit/guarded.h"

#define L63 "ddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
#define ATEXT "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.!#$%&'*+/=?^_`{|}~-"

static bool parse(const char *s, size_t n, struct identity *out)
{
	return identity_parse(guarded(0, s, n), n, out);
}

static void accepts(const char *s, const char *canonical)
{
	struct identity id;

	memset(&id, 0xee, sizeof(id));
	if (!parse(s, strlen(s), &id))
		fail_msg("refused: %s", s);
	assert_string_equal(id.text, canonical);
	assert_int_equal(id.len, strlen(canonical));
}

static void refuses_bytes(const char *s, size_t n)
{
	struct identity id, before;

	memset(&id, 0xee, sizeof(id));
	before = id;
	if (parse(s, n, &id))
		fail_msg("accepted: %s", s);
	assert_memory_equal(&id, &before, sizeof(id));
}

static void refuses(const char *s)
{
	refuses_bytes(s, strlen(s));
}

static void plain_addresses(void **state)
{
	(void)state;
	accepts("alice@x.org", "alice@x.org");
	accepts("a@b", "a@b");
	accepts("a@0", "a@0");
	accepts("Al.Ice+tag@Sub.Example.ORG", "Al.Ice+tag@sub.example.org");
	accepts(".a..b.@x", ".a..b.@x");
	accepts("-@x", "-@x");
	accepts("a@x--y.z0", "a@x--y.z0");
	accepts("a@1.2.3.4", "a@1.2.3.4");
	accepts("o'hara/%&?=*@x.org", "o'hara/%&?=*@x.org");
}

static void other_texts(void **state)
{
	static const char *const bad[] = {
	    "",        "a",       "@",     "a@",      "@x",      "a@@x",   "a@x@y",      "a b@x",
	    "a@x y",   "a@.x",    "a@x.",  "a@x..y",  "a@.",     "a@-x",   "a@x-",       "a@x.-y",
	    "a@x-.y",  "a@-",     "a@x_y", "a@[::1]", "\"a\"@x", "a,b@x",  "<a@x>",      "a@x\n",
	    "a@x ",    " a@x",    "a:b@x", "a;b@x",   "a(b@x",   "a\\b@x", "\xc3\xa9@x", "a@\xc3\xa9",
	    "a\x7f@x", "a@x\x7f", "a]@x",  "a@x/y",   "a@x\xff",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refuses(bad[i]);
	refuses_bytes("a\0b@x", 5);
	refuses_bytes("a@x\0", 4);
	refuses_bytes("a@\0x", 4);
}

/* Every byte before and behind the '@', against the rule written down a second time. */
static void every_byte(void **state)
{
	struct identity id;

	(void)state;
	for (int c = 0; c < 256; c++) {
		const char local[] = {'a', (char)c, 'b', '@', 'x'};
		const char domain[] = {'a', '@', 'x', (char)c, 'y'};
		bool in_local = c != 0 && strchr(ATEXT, c);
		bool in_domain = c == '.' || c == '-' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		                 (c >= 'A' && c <= 'Z');

		assert_int_equal(parse(local, sizeof(local), &id), in_local);
		assert_int_equal(parse(domain, sizeof(domain), &id), in_domain);
	}
}

static void lengths(void **state)
{
	char local[IDENTITY_LOCAL_MAX + 4];

	(void)state;
	memset(local, 'x', sizeof(local));
	memcpy(local + IDENTITY_LOCAL_MAX, "@y", 3);
	accepts(local, local);
	memcpy(local + IDENTITY_LOCAL_MAX, "x@y", 4);
	refuses(local);

	accepts("a@" L63, "a@" L63);
	accepts("a@" L63 ".b", "a@" L63 ".b");
	refuses("a@d" L63);
	refuses("a@d" L63 ".b");
}

static void the_longest(void **state)
{
	char text[IDENTITY_MAX + 2];
	struct identity id;

	(void)state;
	for (size_t n = IDENTITY_MAX - 2; n <= IDENTITY_MAX + 1; n++) {
		memset(text, 'd', sizeof(text));
		for (size_t i = 2; i + 1 < n; i += 50)
			text[i] = '.';
		text[0] = 'a';
		text[1] = '@';
		text[2] = 'd';
		assert_int_equal(parse(text, n, &id), n <= IDENTITY_MAX);
		if (n <= IDENTITY_MAX) {
			assert_int_equal(id.len, n);
			assert_memory_equal(id.text, text, n);
			assert_int_equal(id.text[n], 0);
		}
	}
}

static void every_prefix(void **state)
{
	static const char text[] = "Al.Ice+tag@Sub.Example-1.ORG";
	struct identity id;

	(void)state;
	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		bool whole = n > strlen("Al.Ice+tag@") && text[n - 1] != '.' && text[n - 1] != '-';

		assert_int_equal(parse(text, n, &id), whole);
	}
}

static void equality(void **state)
{
	struct identity a, b;

	(void)state;
	assert_true(parse("alice@x.org", 11, &a));
	assert_true(parse("alice@X.oRG", 11, &b));
	assert_true(identity_equal(&a, &b));
	assert_true(parse("Alice@x.org", 11, &b));
	assert_false(identity_equal(&a, &b));
	assert_true(parse("alice@x.or", 10, &b));
	assert_false(identity_equal(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(plain_addresses), cmocka_unit_test(other_texts), cmocka_unit_test(every_byte),
	    cmocka_unit_test(lengths),         cmocka_unit_test(the_longest), cmocka_unit_test(every_prefix),
	    cmocka_unit_test(equality),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
