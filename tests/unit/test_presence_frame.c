/* test_presence_frame.c - the text of presence frames, and how many people one holds */
#include "bridge/presence_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS UINT64_C(1795356451482)
#define LAST_MS UINT64_C(253402300799999)

static struct presence_entry entry(const char *address, bool online)
{
	return (struct presence_entry){address, (uint8_t)strlen(address), online, MS};
}

/* Into memory that ends where it says. */
static char *frame(const struct presence_entry *entries, size_t n, bool together, size_t *taken, size_t *len)
{
	char *out = malloc(PRESENCE_FRAME_MAX);
	assert_non_null(out);
	*taken = presence_frame(entries, n, together, out, len);
	assert_true(*len <= PRESENCE_FRAME_MAX);
	char *text = strndup(out, *len);
	free(out);
	assert_non_null(text);
	return text;
}

static void one(void **state)
{
	(void)state;
	struct presence_entry e[2] = {entry("alice@x.org", true), entry("bob@x.org", false)};
	size_t taken, len;
	char *text = frame(e, 2, false, &taken, &len);
	assert_string_equal(text, "{\"type\":\"presence\",\"user\":\"alice@x.org\",\"status\":\"online\","
	                          "\"timestamp\":\"2026-11-22T14:07:31.482Z\"}");
	assert_int_equal(taken, 1);
	free(text);
	text = frame(e + 1, 1, false, &taken, &len);
	assert_string_equal(text, "{\"type\":\"presence\",\"user\":\"bob@x.org\",\"status\":\"offline\","
	                          "\"timestamp\":\"2026-11-22T14:07:31.482Z\"}");
	free(text);
}

static void several(void **state)
{
	(void)state;
	struct presence_entry e[2] = {entry("alice@x.org", true), entry("bob@x.org", false)};
	size_t taken, len;
	char *text = frame(e, 2, true, &taken, &len);
	assert_string_equal(
	    text, "{\"type\":\"presence\",\"users\":["
	          "{\"user\":\"alice@x.org\",\"status\":\"online\",\"timestamp\":\"2026-11-22T14:07:31.482Z\"},"
	          "{\"user\":\"bob@x.org\",\"status\":\"offline\",\"timestamp\":\"2026-11-22T14:07:31.482Z\"}]}");
	assert_int_equal(taken, 2);
	free(text);
	text = frame(e, 1, true, &taken, &len);
	assert_int_equal(taken, 1);
	assert_string_equal(text + len - 3, "}]}");
	free(text);
}

static void the_address_ends_where_it_says(void **state)
{
	(void)state;
	struct presence_entry e = {"alice@x.orgXXX", 11, true, MS};
	size_t taken, len;
	char *text = frame(&e, 1, false, &taken, &len);
	assert_non_null(strstr(text, "\"user\":\"alice@x.org\","));
	free(text);
}

/* Never more than the limits, never fewer than fit, all of them in their order. */
static void as_many_as_one_takes(void **state)
{
	(void)state;
	static const struct {
		size_t n;
		size_t address_len;
	} cases[] = {{500, 20}, {501, 20}, {1100, 20}, {3000, 3}, {500, 254}, {1000, 120}, {400, 254}};
	for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
		size_t n = cases[c].n, width = cases[c].address_len;
		struct presence_entry *entries = calloc(n, sizeof *entries);
		char *names = malloc(n * (width + 1));
		assert_non_null(entries);
		assert_non_null(names);
		for (size_t i = 0; i < n; i++) {
			char *name = names + i * (width + 1);
			memset(name, 'a' + (int)(i % 26), width);
			name[1] = '@';
			entries[i] = (struct presence_entry){name, (uint8_t)width, i % 2 == 0, LAST_MS};
		}
		for (size_t at = 0; at < n;) {
			size_t taken, len, left = n - at;
			char *text = frame(entries + at, left, true, &taken, &len);
			assert_true(taken >= 1 && taken <= PRESENCE_USERS_MAX && taken <= left);
			/* the next one could have been too long, had it been full of what must be escaped */
			assert_true(taken == left || taken == PRESENCE_USERS_MAX ||
			            len + PRESENCE_USER_MAX + 16 > PRESENCE_FRAME_MAX);
			const char *place = text;
			for (size_t i = 0; i < taken; i++) {
				char user[300];
				(void)snprintf(user, sizeof user, "{\"user\":\"%.*s\",\"status\":\"%s\"", (int)width,
				               entries[at + i].address, entries[at + i].online ? "online" : "offline");
				place = strstr(place, user);
				assert_non_null(place);
				place++;
			}
			assert_null(strstr(place, "{\"user\""));
			free(text);
			at += taken;
		}
		free(names);
		free(entries);
	}
}

static void bounds_of_one(void **state)
{
	(void)state;
	char worst[254];
	memset(worst, '"', sizeof worst); /* no address has any; the bound holds all the same */
	struct presence_entry e = {worst, sizeof worst, false, LAST_MS};
	size_t taken, len;
	char *text = frame(&e, 1, false, &taken, &len);
	assert_true(len <= PRESENCE_SINGLE_BYTES + 2 * sizeof worst);
	free(text);
	char out[PRESENCE_USER_MAX];
	assert_true((size_t)(presence_user(&e, out) - out) < sizeof out);
}

static void as_users_has_it(void **state)
{
	(void)state;
	struct presence_entry e = entry("alice@x.org", true);
	char out[PRESENCE_USER_MAX];
	const char *end = presence_user(&e, out);
	assert_ptr_equal(end, out + strlen(out));
	assert_string_equal(
	    out, "{\"user\":\"alice@x.org\",\"status\":\"online\",\"since\":\"2026-11-22T14:07:31.482Z\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one),
	    cmocka_unit_test(several),
	    cmocka_unit_test(the_address_ends_where_it_says),
	    cmocka_unit_test(as_many_as_one_takes),
	    cmocka_unit_test(bounds_of_one),
	    cmocka_unit_test(as_users_has_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
