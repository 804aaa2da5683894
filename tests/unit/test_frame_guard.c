/* test_frame_guard.c - finds the first bad frame and every ping, however the bytes are cut */
#include "bridge/frame_guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static size_t put_frame(uint8_t *at, uint8_t first, size_t len, bool masked)
{
	size_t n = 0;
	uint8_t mask = masked ? 0x80 : 0;
	at[n++] = first;
	if (len < 126) {
		at[n++] = (uint8_t)(mask | len);
	} else if (len < 65536) {
		at[n++] = mask | 126;
		at[n++] = (uint8_t)(len >> 8);
		at[n++] = (uint8_t)len;
	} else {
		at[n++] = mask | 127;
		for (int shift = 56; shift >= 0; shift -= 8)
			at[n++] = (uint8_t)((uint64_t)len >> shift);
	}
	if (masked) {
		memset(at + n, 0x55, 4);
		n += 4;
	}
	memset(at + n, 0x01, len); /* would be unmasked frames, if taken for heads */
	return n + len;
}

/* Feeds the bytes in pieces of a size; returns how many were fine. */
static size_t scan(const uint8_t *bytes, size_t n, size_t piece, struct frame_guard *g)
{
	size_t fine = 0;
	memset(g, 0, sizeof *g);
	for (size_t at = 0; at < n; at += piece) {
		size_t step = n - at < piece ? n - at : piece;
		size_t r = frame_guard_scan(g, (uint8_t *)(uintptr_t)bytes + at, step, NULL, NULL);
		fine += r;
		if (r < step)
			break;
	}
	frame_guard_end(g);
	return fine;
}

static const size_t sizes[] = {0, 1, 2, 125, 126, 127, 300, 65535, 65536, 70000};
#define SIZES (sizeof sizes / sizeof *sizes)

static void passes_masked_frames(void **state)
{
	(void)state;
	uint8_t *bytes = malloc(400000);
	assert_non_null(bytes);
	size_t n = 0;
	for (size_t i = 0; i < SIZES; i++)
		n += put_frame(bytes + n, 0x81, sizes[i], true);
	struct frame_guard g;
	for (size_t piece = 1; piece < 20; piece++)
		assert_int_equal(scan(bytes, n, piece, &g), n);
	assert_int_equal(scan(bytes, n, n, &g), n);
	assert_null(g.violation);
	free(bytes);
}

static void finds_an_unmasked_frame(void **state)
{
	(void)state;
	uint8_t *bytes = malloc(200000);
	assert_non_null(bytes);
	for (size_t i = 0; i < SIZES; i++) {
		size_t n = put_frame(bytes, 0x81, sizes[i], true);
		size_t total = n + put_frame(bytes + n, 0x89, 3, false);
		struct frame_guard g;
		assert_int_equal(scan(bytes, total, total, &g), n);
		assert_non_null(g.violation);
		assert_int_equal(frame_guard_scan(&g, bytes, total, NULL, NULL), 0); /* and it stays so */
		for (size_t piece = 1; piece < 8; piece++) {
			size_t fine = scan(bytes, total, piece, &g);
			assert_non_null(g.violation);
			assert_true(fine == n || fine == n + 1); /* its first byte may have gone with the piece before */
		}
	}
	free(bytes);
}

static void finds_bad_lengths(void **state)
{
	(void)state;
	static const struct {
		uint8_t head[4];
		bool fine;
	} rows[] = {
	    {{0x89, 0x80 | 125, 0, 0}, true},       {{0x89, 0x80 | 126, 0, 126}, false},
	    {{0x8a, 0x80 | 127, 0, 0}, false},      {{0x88, 0x80 | 126, 1, 0}, false},
	    {{0x81, 0x80 | 127, 0x7f, 0xff}, true}, {{0x81, 0x80 | 127, 0x80, 0}, false},
	    {{0x81, 0x80 | 126, 0x80, 0}, true},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		for (size_t piece = 1; piece <= 4; piece++) {
			struct frame_guard g;
			(void)scan(rows[i].head, 4, piece, &g);
			assert_int_equal(g.violation == NULL, rows[i].fine);
		}
	}
	struct frame_guard g = {0};
	uint8_t beyond[4];
	memcpy(beyond, rows[5].head, 4);
	assert_int_equal(frame_guard_scan(&g, beyond, 4, NULL, NULL), 0);
}

/* A control frame with its payload masked. */
static size_t put_control(uint8_t *at, uint8_t first, const void *payload, size_t len)
{
	static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
	at[0] = first;
	at[1] = (uint8_t)(0x80 | len);
	memcpy(at + 2, key, 4);
	for (size_t i = 0; i < len; i++)
		at[6 + i] = ((const uint8_t *)payload)[i] ^ key[i % 4];
	return 6 + len;
}

static void checks_close_frames(void **state)
{
	(void)state;
	static const struct {
		const char *payload;
		size_t len;
		uint16_t code;
	} rows[] = {
	    {"", 0, 0},
	    {"\x03\xe8", 2, 0},
	    {"\x03\xe8"
	     "bye",
	     5, 0},
	    {"\x03\xeb", 2, 0},
	    {"\x03\xef", 2, 0},
	    {"\x03\xf6", 2, 0},
	    {"\x0b\xb8", 2, 0},
	    {"\x13\x87", 2, 0},
	    {"\x03\xe8\xe2\x82\xac", 5, 0},
	    {"\x03", 1, 1002},
	    {"\x00\x00", 2, 1002},
	    {"\x03\xe7", 2, 1002},
	    {"\x03\xec", 2, 1002},
	    {"\x03\xee", 2, 1002},
	    {"\x03\xf7", 2, 1002},
	    {"\x0b\xb7", 2, 1002},
	    {"\x13\x88", 2, 1002},
	    {"\xff\xff", 2, 1002},
	    {"\x03\xe7\xff", 3, 1002},
	    {"\x03\xe8\xff", 3, 1007},
	    {"\x03\xe8x\xe2\x82", 5, 1007},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint8_t bytes[64];
		struct frame_guard g;
		size_t n = put_control(bytes, 0x88, rows[i].payload, rows[i].len);
		for (size_t piece = 1; piece <= n; piece++) {
			(void)scan(bytes, n, piece, &g);
			assert_int_equal(g.violation == NULL, rows[i].code == 0);
			if (rows[i].code != 0)
				assert_int_equal(g.violation_code, rows[i].code);
		}
		memset(&g, 0, sizeof g);
		assert_int_equal(frame_guard_scan(&g, bytes, n, NULL, NULL), rows[i].code == 0 ? n : 0);
	}
}

static void finds_bad_first_bytes(void **state)
{
	(void)state;
	static const struct {
		uint8_t first;
		bool fine;
	} rows[] = {{0x81, true},  {0x01, true},  {0x89, true},  {0x09, false}, {0x0a, false},
	            {0x08, false}, {0xc1, false}, {0xa1, false}, {0x91, false}, {0xc9, false}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct frame_guard g = {0};
		uint8_t byte = rows[i].first;
		assert_int_equal(frame_guard_scan(&g, &byte, 1, NULL, NULL), rows[i].fine ? 1 : 0);
		assert_int_equal(g.violation == NULL, rows[i].fine);
	}
}

static char pings[2048]; /* the payloads, each behind a bar */

static void note_ping(void *user, const uint8_t *payload, size_t n)
{
	assert_ptr_equal(user, pings);
	size_t at = strlen(pings);
	pings[at] = '|';
	memcpy(pings + at + 1, payload, n);
	pings[at + 1 + n] = '\0';
}

static void takes_pings_out(void **state)
{
	(void)state;
	uint8_t bytes[2048];
	uint8_t wanted[1024];
	uint8_t got[2048];
	char long_ping[126];
	char said[512];
	memset(long_ping, 'x', 125);
	long_ping[125] = '\0';
	(void)snprintf(said, sizeof said, "|one|||%s|last", long_ping);
	size_t n = put_control(bytes, 0x89, "one", 3);
	size_t kept = put_frame(wanted, 0x01, 300, true);
	n += put_frame(bytes + n, 0x01, 300, true);
	n += put_control(bytes + n, 0x89, "", 0);
	n += put_control(bytes + n, 0x89, "", 0);
	kept += put_control(wanted + kept, 0x8a, "pong", 4);
	n += put_control(bytes + n, 0x8a, "pong", 4);
	n += put_control(bytes + n, 0x89, long_ping, 125);
	kept += put_frame(wanted + kept, 0x80, 10, true);
	n += put_frame(bytes + n, 0x80, 10, true);
	n += put_control(bytes + n, 0x89, "last", 4);
	for (size_t piece = 1; piece <= n; piece++) {
		struct frame_guard g = {0};
		uint8_t read[2048];
		size_t have = 0;
		pings[0] = '\0';
		for (size_t at = 0; at < n; at += piece) {
			size_t step = n - at < piece ? n - at : piece;
			memcpy(read, bytes + at, step);
			size_t left = frame_guard_scan(&g, read, step, note_ping, pings);
			memcpy(got + have, read, left);
			have += left;
		}
		assert_null(g.violation);
		assert_int_equal(have, kept);
		assert_memory_equal(got, wanted, kept);
		assert_string_equal(pings, said);
	}
}

static int violations;

static void count_violation(void *user, uint16_t code, const char *reason)
{
	assert_non_null(reason);
	assert_int_equal(code, 1002);
	assert_ptr_equal(user, &violations);
	violations++;
}

static int pings_seen;

static void count_ping(void *user, const uint8_t *payload, size_t n)
{
	assert_ptr_equal(user, &violations);
	assert_int_equal(n, 2);
	assert_memory_equal(payload, "hi", 2);
	pings_seen++;
}

static const struct frame_guard_owner counting = {count_violation, count_ping};

static void filters_what_guarded_descriptors_read(void **state)
{
	(void)state;
	enum { fd = 5000, other = 7 };
	uint8_t frames[64] = {0}, bytes[64], ping[16];
	size_t good = put_frame(frames, 0x81, 5, true);
	size_t all = good + put_frame(frames + good, 0x81, 5, false);
	memcpy(bytes, frames, sizeof bytes);

	/* not guarded: untouched */
	assert_int_equal(frame_guard_filter(fd, bytes, all), all);
	assert_memory_equal(bytes, frames, sizeof bytes);

	assert_true(frame_guard_start(fd, &counting, &violations));
	assert_true(frame_guard_feed(fd, frames, good));
	assert_false(frame_guard_refused(fd));
	assert_int_equal(frame_guard_filter(other, bytes, all), all);

	/* a ping alone: there is nothing for the parser, and that is not the end of the connection */
	size_t ping_len = put_control(ping, 0x89, "hi", 2);
	assert_true(frame_guard_feed(fd, ping, ping_len));
	assert_int_equal(pings_seen, 0);
	assert_int_equal(frame_guard_filter(fd, ping, ping_len), 0);
	assert_int_equal(pings_seen, 1);
	assert_false(frame_guard_refused(fd));

	assert_int_equal(frame_guard_filter(fd, bytes, all), good);
	assert_int_equal(violations, 1);
	assert_int_equal(frame_guard_filter(fd, bytes, good), 0);
	assert_int_equal(violations, 1);
	assert_false(frame_guard_feed(fd, frames, good));
	assert_int_equal(violations, 1);
	assert_true(frame_guard_refused(fd));
	frame_guard_stop(fd);
	assert_false(frame_guard_refused(fd));
	assert_int_equal(frame_guard_filter(fd, bytes, all), all);
	frame_guard_stop(-1);
	frame_guard_stop(1 << 20);
}

static void leaves_pings_to_the_parser(void **state)
{
	static const struct frame_guard_owner without = {count_violation, NULL};
	uint8_t ping[16], bytes[16];
	enum { fd = 11 };
	(void)state;
	size_t len = put_control(ping, 0x89, "hi", 2);
	memcpy(bytes, ping, sizeof bytes);
	assert_true(frame_guard_start(fd, &without, &violations));
	assert_int_equal(frame_guard_filter(fd, bytes, len), len);
	assert_memory_equal(bytes, ping, len);
	frame_guard_stop(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(passes_masked_frames),
	    cmocka_unit_test(finds_an_unmasked_frame),
	    cmocka_unit_test(finds_bad_lengths),
	    cmocka_unit_test(checks_close_frames),
	    cmocka_unit_test(finds_bad_first_bytes),
	    cmocka_unit_test(takes_pings_out),
	    cmocka_unit_test(filters_what_guarded_descriptors_read),
	    cmocka_unit_test(leaves_pings_to_the_parser),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
