/*
 * Names of metrics, lines of reports, cells of histograms.
 */
#include "common/metrics.h"

#include "tests/unit/guarded.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- names ---------------------------------------------------------------------------- */

static const struct metric *found(const char *family, const char *label)
{
	size_t i = metric_find(family, strlen(family), label, strlen(label));

	return i < metric_count ? &metrics[i] : NULL;
}

static void finds_by_family_and_label(void **state)
{
	(void)state;
	assert_string_equal(found("closes", "4001")->name, "disconnects_total");
	assert_string_equal(found("messages_accepted", "ws")->name, "messages_received_total");
	assert_string_equal(found("messages_accepted", "again")->name, "messages_repeated_total");
	assert_null(found("closes", "4001")->only);
	assert_null(found("close", "4001"));
	assert_null(found("closess", "4001"));
	assert_null(found("", ""));
}

static void names_are_fit(void **state)
{
	(void)state;
	for (size_t i = 0; i < metric_count; i++) {
		const struct metric *m = &metrics[i];
		size_t n = strlen(m->name);
		bool total = n > 6 && strcmp(m->name + n - 6, "_total") == 0;

		assert_true(strlen(m->family) <= METRIC_FAMILY_MAX);
		assert_int_equal(strspn(m->name, "abcdefghijklmnopqrstuvwxyz_"), n);
		assert_int_equal(total, m->type == METRIC_COUNTER);
		assert_int_equal(m->shape != NULL, m->type == METRIC_HISTOGRAM);
		assert_null(strpbrk(m->help, "\n\\"));
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(metrics[k].name, m->name);
	}
}

/* ---- reports --------------------------------------------------------------------------- */

static bool reads(const char *text, size_t len, struct report_line *out)
{
	const char *at = guarded(0, text, len);
	size_t left = len;

	return report_next(&at, &left, out);
}

static void there_and_back(void **state)
{
	char text[256];
	const char *at = text;
	struct report_line line;
	size_t len;

	(void)state;
	len = report_put("closes", "4001", 7, text, sizeof(text));
	len += report_put("fanout", "+Inf", UINT64_MAX, text + len, sizeof(text) - len);
	assert_true(report_next(&at, &len, &line));
	assert_int_equal(line.family_len, 6);
	assert_memory_equal(line.family, "closes", 6);
	assert_int_equal(line.label_len, 4);
	assert_memory_equal(line.label, "4001", 4);
	assert_int_equal(line.value, 7);
	assert_true(report_next(&at, &len, &line));
	assert_memory_equal(line.label, "+Inf", 4);
	assert_true(line.value == UINT64_MAX);
	assert_int_equal(len, 0);
	assert_false(report_next(&at, &len, &line));
}

static void fits_or_is_not_written(void **state)
{
	char text[16];

	(void)state;
	assert_int_equal(report_put("closes", "4001", 7, text, 15), 14);
	assert_int_equal(report_put("closes", "4001", 7, text, 14), 0);
	assert_int_equal(report_put("closes", "4001", 7, text, 0), 0);
}

static void anything_else_is_no_line(void **state)
{
	static const char *const none[] = {
	    "",
	    "\n",
	    "a",
	    "a b",
	    "a b 1",
	    "a b \n",
	    "a  1\n",
	    " b 1\n",
	    "a b -1\n",
	    "a b 1x\n",
	    "a b 1 \n",
	    "a\"b c 1\n",
	    "a {} 1\n",
	    "a b 1.5\n",
	    "a\tb 1\n",
	    "a b\n1\n",
	    "\xc3\xa4 b 1\n",
	    "a b 18446744073709551616\n",
	    "a2345678901234567890123456789012 b 1\n",
	    "a b2345678901234567890123456789012 1\n",
	};
	struct report_line line;

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		if (reads(none[i], strlen(none[i]), &line))
			fail_msg("taken: %s", none[i]);
	assert_false(reads("a\0 b 1\n", 7, &line));
	assert_true(reads("a b 1\n", 6, &line));
}

/* ---- histograms -------------------------------------------------------------------------- */

static void a_bound_holds_what_is_equal(void **state)
{
	static const struct histogram_shape *const shapes[] = {&histogram_delivery, &histogram_fanout,
	                                                       &histogram_flush};
	(void)state;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
		const struct histogram_shape *shape = shapes[i];

		assert_true(histogram_cells(shape) <= HISTOGRAM_CELLS_MAX);
		for (size_t k = 0; k < shape->bound_count; k++) {
			assert_int_equal(histogram_cell(shape, shape->bounds[k]), k);
			assert_int_equal(histogram_cell(shape, shape->bounds[k] + 1ull), k + 1);
			/* what the label says is the bound in base units */
			double bound = strtod(shape->labels[k], NULL) * shape->unit;
			assert_true(bound > shape->bounds[k] - 0.5 && bound < shape->bounds[k] + 0.5);
		}
		assert_string_equal(shape->labels[shape->bound_count], "+Inf");
		assert_string_equal(shape->labels[shape->bound_count + 1], "sum");
	}
}

static void adds_as_often_as_it_counts(void **state)
{
	uint64_t cells[HISTOGRAM_CELLS_MAX] = {0};

	(void)state;
	histogram_add(&histogram_delivery, cells, 3, 1000);
	histogram_add(&histogram_delivery, cells, 20000, 2);
	histogram_add(&histogram_delivery, cells, 0, 0);
	assert_int_equal(cells[2], 1000);
	assert_int_equal(cells[histogram_delivery.bound_count], 2);
	assert_int_equal(cells[0], 0);
	assert_int_equal(cells[histogram_delivery.bound_count + 1], 43000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(finds_by_family_and_label),
	    cmocka_unit_test(names_are_fit),
	    cmocka_unit_test(there_and_back),
	    cmocka_unit_test(fits_or_is_not_written),
	    cmocka_unit_test(anything_else_is_no_line),
	    cmocka_unit_test(a_bound_holds_what_is_equal),
	    cmocka_unit_test(adds_as_often_as_it_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
