/* test_chunk.c - frames of every size of head, written and read again */
#include "bridge/chunk.h"

#include "tests/unit/guarded.h"

static char payload[70000 + 16];

static void make_payload(void)
{
	for (size_t i = 0; i < sizeof payload; i++)
		payload[i] = (char)('a' + i % 23);
}

static struct chunk *new_chunk(size_t cap)
{
	struct chunk *c = chunk_new(cap);
	assert_non_null(c);
	assert_int_equal(c->refs, 1);
	assert_int_equal(c->len, 0);
	assert_int_equal(c->cap, cap);
	return c;
}

static const struct {
	size_t len, head_len;
	const char *head;
} sizes[] = {
    {0, 2, "\x81\x00"},
    {1, 2, "\x81\x01"},
    {125, 2, "\x81\x7d"},
    {126, 4, "\x81\x7e\x00\x7e"},
    {255, 4, "\x81\x7e\x00\xff"},
    {256, 4, "\x81\x7e\x01\x00"},
    {65535, 4, "\x81\x7e\xff\xff"},
    {65536, 10, "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"},
    {70000, 10, "\x81\x7f\x00\x00\x00\x00\x00\x01\x11\x70"},
};

#define SIZES (sizeof sizes / sizeof *sizes)

/* Into a chunk of exactly the size, and not into one byte less. */
static void each_size(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		size_t len = sizes[i].len, size = sizes[i].head_len + len, got;
		uint32_t next;
		assert_int_equal(frame_size(len), size);
		struct chunk *c = new_chunk(size);
		const char *from = guarded(0, payload, len);
		assert_true(chunk_append_frame(c, FRAME_TEXT, from, len));
		assert_int_equal(c->len, size);
		assert_memory_equal(c->bytes, sizes[i].head, sizes[i].head_len);
		assert_ptr_equal(chunk_frame_payload(c, 0, &got, &next), c->bytes + sizes[i].head_len);
		assert_int_equal(got, len);
		assert_int_equal(next, size);
		assert_memory_equal(c->bytes + sizes[i].head_len, payload, len);
		assert_false(chunk_append_frame(c, FRAME_TEXT, NULL, 0));
		assert_int_equal(c->len, size);
		chunk_release(c);

		c = new_chunk(size - 1);
		memset(c->bytes, 0x55, size - 1);
		assert_false(chunk_append_frame(c, FRAME_TEXT, from, len));
		assert_int_equal(c->len, 0);
		for (size_t at = 0; at < size - 1; at++)
			assert_int_equal(c->bytes[at], 0x55);
		chunk_release(c);
	}
}

/* The reader looks at nothing behind the frame. */
static void read_at_the_end_of_memory(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		struct chunk *made = new_chunk(frame_size(sizes[i].len));
		assert_true(chunk_append_frame(made, FRAME_TEXT, payload, sizes[i].len));
		/* aligned as a struct is, and with its last byte at the end: some bytes go before the frame */
		size_t size = sizeof *made + made->len, pad = (4 - size % 4) % 4, got;
		struct chunk *c = (struct chunk *)(void *)guarded_space(1, size + pad);
		uint32_t next;
		*c = (struct chunk){.refs = 1, .len = made->len + (uint32_t)pad, .cap = made->len + (uint32_t)pad};
		memcpy(c->bytes + pad, made->bytes, made->len);
		assert_ptr_equal(chunk_frame_payload(c, (uint32_t)pad, &got, &next),
		                 c->bytes + pad + sizes[i].head_len);
		assert_int_equal(got, sizes[i].len);
		assert_int_equal(next, c->len);
		chunk_release(made);
	}
}

static void one_behind_the_other(void **state)
{
	(void)state;
	size_t size = 0;
	for (size_t i = 0; i < SIZES; i++)
		size += frame_size(sizes[i].len);
	struct chunk *c = new_chunk(size);
	for (size_t i = 0; i < SIZES; i++)
		assert_true(chunk_append_frame(c, FRAME_TEXT, payload + i, sizes[i].len));
	assert_int_equal(c->len, size);
	uint32_t at = 0;
	for (size_t i = 0; i < SIZES; i++) {
		size_t len;
		uint32_t next;
		const char *text = chunk_frame_payload(c, at, &len, &next);
		assert_int_equal(len, sizes[i].len);
		assert_memory_equal(text, payload + i, len);
		assert_true(next > at);
		at = next;
	}
	assert_int_equal(at, size);
	chunk_release(c);
}

static void what_does_not_fit_leaves_room(void **state)
{
	(void)state;
	struct chunk *c = new_chunk(10);
	assert_true(chunk_append_frame(c, FRAME_TEXT, "abc", 3));
	assert_false(chunk_append_frame(c, FRAME_TEXT, "abcd", 4));
	assert_int_equal(c->len, 5);
	assert_true(chunk_append_frame(c, FRAME_TEXT, "xyz", 3));
	assert_int_equal(c->len, 10);
	assert_memory_equal(c->bytes,
	                    "\x81\x03"
	                    "abc\x81\x03xyz",
	                    10);
	assert_false(chunk_append_frame(c, FRAME_PING, "", 0));
	chunk_release(c);
	c = new_chunk(0);
	assert_false(chunk_append_frame(c, FRAME_PING, "", 0));
	chunk_release(c);
}

static void pings(void **state)
{
	(void)state;
	struct chunk *c = new_chunk(2);
	assert_true(chunk_append_frame(c, FRAME_PING, NULL, 0));
	assert_memory_equal(c->bytes, "\x89\x00", 2);
	chunk_release(c);
}

static void text_as_it_is(void **state)
{
	(void)state;
	struct chunk *c = chunk_of_text("HTTP/1.1 200 OK\r\n");
	assert_non_null(c);
	assert_int_equal(c->len, 17);
	assert_int_equal(c->cap, 17);
	assert_memory_equal(c->bytes, "HTTP/1.1 200 OK\r\n", 17);
	c->refs++;
	chunk_release(c);
	assert_int_equal(c->refs, 1);
	chunk_release(c);
	c = chunk_of_text("");
	assert_non_null(c);
	assert_int_equal(c->len, 0);
	chunk_release(c);
	chunk_release(NULL);
	assert_null(chunk_new((size_t)UINT32_MAX + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_size),
	    cmocka_unit_test(read_at_the_end_of_memory),
	    cmocka_unit_test(one_behind_the_other),
	    cmocka_unit_test(what_does_not_fit_leaves_room),
	    cmocka_unit_test(pings),
	    cmocka_unit_test(text_as_it_is),
	};
	make_payload();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
