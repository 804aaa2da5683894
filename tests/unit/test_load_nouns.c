/*
 * The pure parts of the load generator: a tool that measures has to be right itself.
 */
#include "bench/histogram.c"
#include "bench/holes.c"
#include "bench/ledger.c"
#include "bench/mqtt.c"
#include "bench/text.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static uint64_t random_state = 88172645463325252u;

static uint32_t random_number(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 32);
}

/* ---- histogram ------------------------------------------------------------------ */

static struct histogram h;

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void quantiles(void **state)
{
	static const struct {
		double quantile;
		size_t rank; /* of 100,000, from 1 */
	} rows[] = {{0, 1}, {0.00001, 1}, {0.5, 50000}, {0.9, 90000}, {0.99, 99000}, {0.999, 99900}, {1, 100000}};
	static uint64_t values[100000];

	(void)state;
	h = (struct histogram){.total = 0};
	assert_int_equal(histogram_quantile(&h, 0.5), 0);
	assert_true(histogram_mean(&h) == 0);
	for (size_t i = 0; i < 100000; i++) {
		values[i] = (uint64_t)random_number() << 4 >> random_number() % 36;
		histogram_record(&h, values[i]);
	}
	qsort(values, 100000, sizeof(*values), compare);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint64_t exact = values[rows[i].rank - 1], found = histogram_quantile(&h, rows[i].quantile);

		assert_true(found >= exact);
		assert_true((double)(found - exact) <= (double)exact / 128);
	}
	assert_int_equal(h.max, values[99999]);
	assert_int_equal(h.total, 100000);
}

static void every_bucket(void **state)
{
	(void)state;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		assert_int_equal(bucket_of(largest_in(i)), i);
		if (i + 1 < HISTOGRAM_BUCKETS)
			assert_int_equal(bucket_of(largest_in(i) + 1), i + 1);
	}
	assert_int_equal(largest_in(HISTOGRAM_BUCKETS - 1), VALUE_MAX);
	h = (struct histogram){.total = 0};
	histogram_record(&h, UINT64_MAX);
	histogram_record(&h, 0);
	assert_int_equal(h.max, VALUE_MAX);
	assert_int_equal(histogram_quantile(&h, 0.5), 0);
	assert_int_equal(histogram_quantile(&h, 1), VALUE_MAX);
}

/* ---- ledger --------------------------------------------------------------------- */

static void assert_counts(const struct ledger *l, uint32_t session, uint64_t lost, uint64_t doubled,
                          uint64_t disordered)
{
	assert_int_equal(l->counts[session].lost, lost);
	assert_int_equal(l->counts[session].doubled, doubled);
	assert_int_equal(l->counts[session].disordered, disordered);
}

static void ledger_by_hand(void **state)
{
	struct ledger l;

	(void)state;
	assert_true(ledger_init(&l, 3, 2));
	assert_true(ledger_note(&l, 2, 0, 0));
	assert_false(ledger_note(&l, 2, 0, 0));
	assert_counts(&l, 2, 0, 1, 0);
	assert_true(ledger_note(&l, 2, 0, 2));
	assert_counts(&l, 2, 1, 1, 0);
	assert_true(ledger_note(&l, 2, 0, 1));
	assert_counts(&l, 2, 0, 1, 1);
	assert_true(ledger_note(&l, 2, 0, 40)); /* beyond the window */
	assert_counts(&l, 2, 37, 1, 1);
	assert_true(ledger_note(&l, 2, 0, 3)); /* too old to know: something is missing, so it is that */
	assert_counts(&l, 2, 36, 1, 2);
	assert_true(ledger_note(&l, 1, 1, 0) && ledger_note(&l, 0, 1, 0) && ledger_note(&l, 0, 1, 1));
	assert_false(ledger_reached(&l, 2, 0, 42));
	assert_true(ledger_reached(&l, 2, 0, 41));
	/* Author 0 sent 42, author 1 sent 2; nobody waits for what it sent itself. */
	ledger_settle(&l, (const uint32_t[]){42, 2}, 1);
	assert_counts(&l, 0, 0, 0, 0);
	assert_counts(&l, 1, 42, 0, 0);
	assert_counts(&l, 2, 36 + 1 + 2, 1, 2);
	ledger_free(&l);
	ledger_free(&l);
	assert_false(ledger_init(&l, 100000, 100000));
	ledger_free(&l);
}

static void ledger_of_rooms(void **state)
{
	struct ledger l;

	(void)state;
	assert_true(ledger_init(&l, 5, 2));
	assert_true(ledger_note(&l, 2, 0, 0) && ledger_note(&l, 3, 1, 0));
	/* Room 0 is 0, 2, 4; room 1 is 1, 3. */
	ledger_settle(&l, (const uint32_t[]){1, 3}, 2);
	assert_counts(&l, 0, 0, 0, 0);
	assert_counts(&l, 1, 0, 0, 0);
	assert_counts(&l, 2, 0, 0, 0);
	assert_counts(&l, 3, 2, 0, 0);
	assert_counts(&l, 4, 1, 0, 0);
	ledger_free(&l);
}

static void ledger_old_double(void **state)
{
	struct ledger l;

	(void)state;
	assert_true(ledger_init(&l, 2, 1));
	for (uint32_t i = 0; i < 100; i++)
		assert_true(ledger_note(&l, 1, 0, i));
	for (uint32_t i = 0; i < 100; i++)
		assert_false(ledger_note(&l, 1, 0, i));
	assert_counts(&l, 1, 0, 100, 0);
	ledger_free(&l);
}

/* Against a plain list of what has arrived. */
static void ledger_at_random(void **state)
{
	enum { SENT = 5000 };
	static uint32_t order[2 * SENT];
	static bool arrived[SENT];
	uint64_t lost = 0, doubled = 0, disordered = 0;
	uint32_t n = 0, highest = 0;
	struct ledger l;

	(void)state;
	assert_true(ledger_init(&l, 2, 1));
	for (uint32_t i = 0; i < SENT; i++) {
		if (random_number() % 50 == 0) {
			lost++;
			continue;
		}
		order[n++] = i;
		if (random_number() % 60 == 0) {
			order[n++] = i;
			doubled++;
		}
	}
	for (uint32_t i = 0; i + 5 < n; i += 6 + random_number() % 9) {
		uint32_t j = i + 1 + random_number() % 5, swap = order[i];

		order[i] = order[j];
		order[j] = swap;
	}
	for (uint32_t i = 0; i < n; i++) {
		bool first = !arrived[order[i]];

		arrived[order[i]] = true;
		disordered += first && order[i] < highest;
		highest = order[i] > highest ? order[i] : highest;
		assert_int_equal(ledger_note(&l, 1, 0, order[i]), first);
	}
	ledger_settle(&l, (const uint32_t[]){SENT}, 1);
	assert_counts(&l, 1, lost, doubled, disordered);
	assert_counts(&l, 0, 0, 0, 0);
	ledger_free(&l);
}

/* ---- text ----------------------------------------------------------------------- */

static void texts(void **state)
{
	const struct text t = {true, 0x1abcd, 0x3eadbeef, 0x123456789};
	const uint64_t now = t.time_us + TEXT_TIME_SPAN_US - 1;
	struct text found;
	uint8_t frame[100];
	size_t hint = 0;

	(void)state;
	memset(frame, '#', sizeof(frame));
	text_write(frame + 7, 40, 0xeef, &t);
	assert_memory_equal(frame + 7, "#7v1eb-rb7vjRWeJxxxxxxxxxxxxxxxxxxxxxxxx#", 41);
	for (int again = 0; again < 2; again++) { /* once searched for, once where it was before */
		assert_true(text_find(frame, sizeof(frame), 0xeef, now, &hint, &found));
		assert_int_equal(hint, 7);
		assert_true(found.probe);
		assert_int_equal(found.author, t.author);
		assert_int_equal(found.number, t.number);
		assert_int_equal(found.time_us, t.time_us);
	}
	assert_false(text_find(frame, sizeof(frame), 0xeee, now, &hint, &found));
	assert_true(text_find(frame, 7 + TEXT_HEAD, 0xeef, now, &hint, &found));
	for (size_t n = 0; n < 7 + TEXT_HEAD; n++)
		assert_false(text_find(frame, n, 0xeef, now, &hint, &found));
	for (unsigned c = 0; c < 256; c++) {
		bool good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
		            c == '_';

		frame[7 + 12] = (uint8_t)c;
		assert_int_equal(text_find(frame, sizeof(frame), 0xeef, now, &hint, &found), good);
	}
}

/* ---- paths and MQTT ------------------------------------------------------------- */

static void holes(void **state)
{
	char out[16];

	(void)state;
	assert_true(holes_fill(out, sizeof(out), "/{n}?room={room}", 1234, 7));
	assert_string_equal(out, "/1234?room=7");
	assert_true(holes_fill(out, sizeof(out), "{n{n}{rooms}", 1, 2));
	assert_string_equal(out, "{n1{rooms}");
	assert_true(holes_fill(out, 5, "{n}", 1234, 7));
	assert_false(holes_fill(out, 4, "{n}", 1234, 7));
	assert_false(holes_fill(out, 0, "", 1, 1));
}

/* CONNACK, SUBACK, a short and a long message: the same whatever the pieces in which they come. */
static void mqtt_in_pieces(void **state)
{
	static uint8_t bytes[4096], long_one[1000];
	const uint8_t *payload;
	size_t total, at, n;

	(void)state;
	memset(long_one, 'y', sizeof(long_one));
	memcpy(bytes, "\x20\x02\0\0\x90\x03\0\x01\0", 9);
	total = 9 + mqtt_publish(bytes + 9, "a/b", (const uint8_t *)"hello", 5);
	assert_memory_equal(bytes + 9,
	                    "\x30\x0a\0\x03"
	                    "a/bhello",
	                    12);
	total += mqtt_publish(bytes + total, "a/b", long_one, sizeof(long_one));
	for (size_t piece = 1; piece <= total; piece += 1 + piece / 8) {
		struct mqtt_stream s = {.len = 0};
		enum mqtt_next seen[8], next;
		size_t count = 0, lengths[8];

		for (at = 0; at < total; at += piece) {
			const uint8_t *p = bytes + at;
			size_t left = total - at < piece ? total - at : piece;

			while ((next = mqtt_next(&s, &p, &left, &payload, &n)) != MQTT_NOTHING) {
				assert_true(count < 4);
				lengths[count] = n;
				seen[count++] = next;
				if (next == MQTT_MESSAGE)
					assert_memory_equal(payload, n == 5 ? (const uint8_t *)"hello" : long_one, n);
			}
			assert_int_equal(left, 0);
		}
		assert_int_equal(count, 4);
		assert_true(seen[0] == MQTT_CONNECTED && seen[1] == MQTT_SUBSCRIBED);
		assert_true(seen[2] == MQTT_MESSAGE && lengths[2] == 5);
		assert_true(seen[3] == MQTT_MESSAGE && lengths[3] == sizeof(long_one));
		mqtt_stream_free(&s);
	}
}

static void mqtt_bad(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} rows[] = {
	    {"\x20\x02\0\x05", 4},           /* refused */
	    {"\x90\x03\0\x01\x80", 5},       /* no subscription */
	    {"\x30\xff\xff\xff\xff\x01", 6}, /* a length of five bytes */
	    {"\x30\xff\xff\xff\x7f", 5},     /* too long */
	    {"\x30\x03\0\x02"
	     "a",
	     5},               /* the topic is longer than the packet */
	    {"\x30\x01\0", 3}, /* no topic */
	    {"\x32\x05\0\x01"
	     "a\0\x01",
	     7}, /* QoS 1 */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct mqtt_stream s = {.len = 0};
		const uint8_t *p = (const uint8_t *)rows[i].bytes, *payload;
		size_t left = rows[i].n, n;

		assert_int_equal(mqtt_next(&s, &p, &left, &payload, &n), MQTT_BAD);
		mqtt_stream_free(&s);
	}
}

static void mqtt_out(void **state)
{
	uint8_t out[MQTT_HEAD];

	(void)state;
	assert_int_equal(mqtt_connect(out, "me"), 16);
	assert_memory_equal(out, "\x10\x0e\0\x04MQTT\x04\x02\0\0\0\x02me", 16);
	assert_int_equal(mqtt_subscribe(out, "t"), 8);
	assert_memory_equal(out, "\x82\x06\0\x01\0\x01t\0", 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(quantiles),        cmocka_unit_test(every_bucket),
	    cmocka_unit_test(ledger_by_hand),   cmocka_unit_test(ledger_old_double),
	    cmocka_unit_test(ledger_at_random), cmocka_unit_test(texts),
	    cmocka_unit_test(ledger_of_rooms),  cmocka_unit_test(holes),
	    cmocka_unit_test(mqtt_in_pieces),   cmocka_unit_test(mqtt_bad),
	    cmocka_unit_test(mqtt_out),
	};

	return cmocka_run_group_tests_name("load_nouns", tests, NULL, NULL);
}
