/* test_frame_guard.c - finds the first unmasked frame, however the bytes are cut */
#include "bridge/frame_guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
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
	if (masked)
		n += 4;
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
		size_t r = frame_guard_scan(g, bytes + at, step);
		fine += r;
		if (r < step)
			break;
	}
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
		assert_int_equal(frame_guard_scan(&g, bytes, total), 0); /* and it stays so */
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
	assert_int_equal(frame_guard_scan(&g, rows[5].head, 4), 0);
}

static int violations;

static void count_violation(void *user, const char *violation)
{
	assert_non_null(violation);
	assert_ptr_equal(user, &violations);
	violations++;
}

static void filters_what_guarded_descriptors_read(void **state)
{
	(void)state;
	enum { fd = 5000, other = 7 };
	uint8_t frames[64];
	size_t good = put_frame(frames, 0x81, 5, true);
	size_t all = good + put_frame(frames + good, 0x81, 5, false);

	/* not guarded: untouched */
	assert_int_equal(frame_guard_filter(fd, frames, all), all);

	assert_true(frame_guard_start(fd, count_violation, &violations));
	assert_null(frame_guard_feed(fd, frames, good));
	assert_int_equal(frame_guard_filter(other, frames, all), all);
	assert_int_equal(violations, 0);
	assert_int_equal(frame_guard_filter(fd, frames, all), good);
	assert_int_equal(violations, 1);
	assert_int_equal(frame_guard_filter(fd, frames, good), 0);
	assert_int_equal(violations, 1);
	assert_non_null(frame_guard_feed(fd, frames, good));
	frame_guard_stop(fd);
	assert_int_equal(frame_guard_filter(fd, frames, all), all);
	frame_guard_stop(-1);
	frame_guard_stop(1 << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(passes_masked_frames),
	    cmocka_unit_test(finds_an_unmasked_frame),
	    cmocka_unit_test(finds_bad_lengths),
	    cmocka_unit_test(filters_what_guarded_descriptors_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
