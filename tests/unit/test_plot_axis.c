// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Positions of values on an axis, and its ticks, up to the limits of numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "assert_within.h"
#include "plot_axis.h"

#define SPACE "\xc2\xa0"

static void test_steps(void **state)
{
	static const struct { plot_value low, high; int max; plot_value step, first; int ticks; } cases[] = {
		{ 0, 10, 11, 1, 0, 11 },
		{ 0, 10, 10, 2, 0, 6 },
		{ -7, 12, 8, 5, -5, 4 },
		{ 3, 3, 8, 1, 3, 2 },
		{ 5, -5, 8, 1, 5, 2 },
		{ 1001, 1999, 8, 200, 1200, 4 },
		{ INT64_MIN, INT64_MAX, 8, 5000000000000000000, -5000000000000000000, 3 },
		{ 0, (plot_value)UINT64_MAX * 1000, 11, (plot_value)UINT64_MAX / 9223372 * 1000, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct plot_axis axis;
		plot_value tick;
		int ticks = 0;

		plot_axis_init(&axis, cases[i].low, cases[i].high, 100, 200, cases[i].max);
		assert_int_equal(plot_axis_place(&axis, axis.low), 100);
		assert_int_equal(plot_axis_place(&axis, axis.high), 200);
		for (tick = plot_axis_first_tick(&axis); tick <= axis.high; tick += axis.step) {
			assert_within(plot_axis_place(&axis, tick), 100, 200);
			assert_true(tick % axis.step == 0);
			ticks++;
		}
		assert_within(ticks, 2, cases[i].max);
		if (!cases[i].ticks)
			continue;
		assert_true(axis.step == cases[i].step);
		assert_true(plot_axis_first_tick(&axis) == cases[i].first);
		assert_int_equal(ticks, cases[i].ticks);
	}
}

/* The axis of offsets has its low end at the bottom, which has the larger coordinate */
static void test_upward(void **state)
{
	struct plot_axis axis;

	plot_axis_init(&axis, -100, 100, 900, 100, 8);
	assert_int_equal(plot_axis_place(&axis, -100), 900);
	assert_int_equal(plot_axis_place(&axis, 0), 500);
	assert_int_equal(plot_axis_place(&axis, 100), 100);
}

static void test_numbers(void **state)
{
	static const struct { plot_value value; const char *text; } cases[] = {
		{ 0, "0" }, { 7, "7" }, { -999, "-999" }, { 1000, "1" SPACE "000" },
		{ -123456, "-123" SPACE "456" }, { 1234567, "1" SPACE "234" SPACE "567" },
		{ INT64_MIN, "-9" SPACE "223" SPACE "372" SPACE "036" SPACE "854" SPACE "775" SPACE "808" },
	};
	char text[PLOT_TEXT_SIZE];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		plot_format_number(cases[i].value, text);
		assert_string_equal(text, cases[i].text);
	}
	/* The longest number fits */
	plot_format_number((plot_value)1 << 126, text);
	plot_format_number(-((plot_value)1 << 126), text);
}

static void test_decimals(void **state)
{
	static const struct { plot_value value; int digits; plot_value step; const char *text; } cases[] = {
		{ 0, 9, 1000000000, "0" },
		{ 3000000000, 9, 1000000000, "3" },
		{ 3500000000, 9, 500000000, "3.5" },
		{ 3000000000, 9, 500000000, "3.0" },
		{ 50, 9, 10, "0.00000005" },
		{ 1, 9, 1, "0.000000001" },
		{ -1500, 3, 100, "-1.5" },
		{ 20000000000, 9, 10000000000, "20" },
	};
	char text[PLOT_TEXT_SIZE];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		plot_format_decimal(cases[i].value, cases[i].digits, cases[i].step, text);
		assert_string_equal(text, cases[i].text);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_upward),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_decimals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
