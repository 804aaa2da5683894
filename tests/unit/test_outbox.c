/*
 * test_outbox.c - what reaches the socket is whole frames in their order, however little it takes at a time
 * and whenever the rest is cut off. The test stands in for libwebsockets: it takes what it is given and
 * says, as chance has it, whether the socket is full now.
 */
#include "bridge/outbox.h"

#include "tests/unit/guarded.h"

#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>

static uint8_t wire[4u << 20];
static size_t wired;
static bool full, broken;

/* The same numbers each time. */
static uint64_t drawn;

static unsigned draw(void)
{
	drawn = drawn * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(drawn >> 33);
}

static unsigned full_one_in; /* 0: never full */

/* libwebsockets' own signatures. */
int lws_write(struct lws *wsi, unsigned char *buf, size_t len, enum lws_write_protocol protocol)
{
	(void)wsi;
	assert_int_equal(protocol, LWS_WRITE_RAW);
	assert_false(full);
	assert_in_range(len, 1, OUTBOX_WRITE_MAX);
	if (broken)
		return -1;
	assert_true(wired + len <= sizeof wire);
	memcpy(wire + wired, buf, len);
	wired += len;
	full = full_one_in > 0 && draw() % full_one_in == 0;
	return (int)len;
}

int lws_partial_buffered(struct lws *wsi)
{
	(void)wsi;
	return full;
}

static void reset(void)
{
	wired = 0;
	full = broken = false;
	full_one_in = 0;
}

static struct chunk *frames(unsigned count, size_t len)
{
	struct chunk *c = chunk_new(count * frame_size(len));
	char *payload = malloc(len + 1);
	assert_non_null(c);
	assert_non_null(payload);
	for (unsigned i = 0; i < count; i++) {
		memset(payload, (int)('a' + i % 26), len);
		assert_true(chunk_append_frame(c, FRAME_TEXT, payload, len));
	}
	free(payload);
	return c;
}

/* How many frames the wire holds; fails where it ends inside one. */
static unsigned whole_frames(void)
{
	struct chunk *c = chunk_new(wired);
	assert_non_null(c);
	memcpy(c->bytes, wire, wired);
	c->len = (uint32_t)wired;
	unsigned count = 0;
	uint32_t at = 0;
	while (at < c->len) {
		size_t len;
		assert_int_equal(c->bytes[at], 0x80 | FRAME_TEXT);
		const char *payload = chunk_frame_payload(c, at, &len, &at);
		assert_true(at <= c->len);
		assert_true(len == 0 || (payload[0] >= 'a' && payload[0] <= 'z' && payload[0] == payload[len - 1]));
		count++;
	}
	chunk_release(c);
	return count;
}

static void test_nothing_to_cut(void **state)
{
	(void)state;
	reset();
	struct outbox o = {0};
	outbox_cut(&o);
	assert_int_equal(o.count, 0);
	struct chunk *c = frames(3, 100);
	assert_true(outbox_push(&o, c, 0, c->len));
	outbox_cut(&o); /* nothing of it has left */
	assert_int_equal(o.count, 0);
	assert_int_equal(o.bytes, 0);
	assert_int_equal(c->refs, 1);
	chunk_release(c);
}

static void test_the_rest_of_a_begun_frame_stays(void **state)
{
	(void)state;
	reset();
	struct outbox o = {0};
	/* one write takes the first frame and the beginning of the second */
	struct chunk *c = frames(4, 40000), *other = frames(1, 10);
	assert_true(outbox_push(&o, c, 0, c->len));
	assert_true(outbox_push(&o, other, 0, other->len));
	full_one_in = 1;
	assert_int_equal(outbox_flush(&o, NULL), OUTBOX_BLOCKED);
	assert_int_equal(wired, OUTBOX_WRITE_MAX);
	outbox_cut(&o);
	assert_int_equal(o.count, 1);
	assert_int_equal(o.bytes, 2 * frame_size(40000) - OUTBOX_WRITE_MAX);
	assert_int_equal(other->refs, 1);
	full = false;
	full_one_in = 0;
	assert_int_equal(outbox_flush(&o, NULL), OUTBOX_EMPTY);
	assert_int_equal(whole_frames(), 2);
	assert_int_equal(c->refs, 1);
	chunk_release(c);
	chunk_release(other);
}

static void test_written_through_and_cut(void **state)
{
	(void)state;
	reset();
	struct outbox o = {0};
	struct chunk *c = frames(1, 150000);
	full_one_in = 1;
	assert_int_equal(outbox_write_through(&o, NULL, c, 0, c->len), OUTBOX_BLOCKED);
	assert_int_equal(o.bytes, c->len - OUTBOX_WRITE_MAX);
	outbox_cut(&o);
	full = false;
	full_one_in = 0;
	assert_int_equal(outbox_flush(&o, NULL), OUTBOX_EMPTY);
	assert_int_equal(whole_frames(), 1);
	assert_int_equal(c->refs, 1);
	chunk_release(c);
}

static void test_a_broken_connection(void **state)
{
	(void)state;
	reset();
	struct outbox o = {0};
	struct chunk *c = frames(2, 100);
	assert_true(outbox_push(&o, c, 0, c->len));
	broken = true;
	assert_int_equal(outbox_flush(&o, NULL), OUTBOX_BROKEN);
	assert_int_equal(outbox_write_through(&(struct outbox){0}, NULL, c, 0, c->len), OUTBOX_BROKEN);
	outbox_clear(&o);
	assert_int_equal(c->refs, 1);
	chunk_release(c);
}

#define ROUNDS 400
#define CHUNKS 30

static void test_any_frames_any_cut(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 1, 125, 126, 3000, 65535, 65536, 70000};
	drawn = 5;
	for (int round = 0; round < ROUNDS; round++) {
		reset();
		full_one_in = 1 + draw() % 4;
		struct outbox o = {0};
		struct chunk *made[CHUNKS];
		unsigned count = 1 + draw() % CHUNKS;
		unsigned pushed = 0;
		for (unsigned i = 0; i < count; i++) {
			size_t size = sizes[draw() % (sizeof sizes / sizeof *sizes)];
			unsigned n = 1 + draw() % (size > 10000 ? 2 : 5);
			made[i] = frames(n, size);
			pushed += n;
			if (!full && o.count == 0)
				assert_int_not_equal(outbox_write_through(&o, NULL, made[i], 0, made[i]->len), OUTBOX_BROKEN);
			else
				assert_true(outbox_push(&o, made[i], 0, made[i]->len));
			if (draw() % 3 == 0)
				full = false;
			if (!full && draw() % 2 == 0)
				assert_int_not_equal(outbox_flush(&o, NULL), OUTBOX_BROKEN);
		}
		bool cut = draw() % 4 > 0;
		if (cut)
			outbox_cut(&o);
		full = false;
		full_one_in = 0;
		assert_int_equal(outbox_flush(&o, NULL), OUTBOX_EMPTY);
		unsigned whole = whole_frames();
		if (cut)
			assert_true(whole <= pushed);
		else
			assert_int_equal(whole, pushed);
		for (unsigned i = 0; i < count; i++) {
			assert_int_equal(made[i]->refs, 1);
			chunk_release(made[i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_nothing_to_cut),
	    cmocka_unit_test(test_the_rest_of_a_begun_frame_stays),
	    cmocka_unit_test(test_written_through_and_cut),
	    cmocka_unit_test(test_a_broken_connection),
	    cmocka_unit_test(test_any_frames_any_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
