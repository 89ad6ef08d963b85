// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "quiet_time.h"
#include "vcpu_modes.h"

#define SPANS 1000

/* A vCPU with that many spans, and of a CPU @before events, then one in each of every @step spans from @from to @to, then @after events */
static uint64_t doubtful(uint64_t before, size_t from, size_t to, size_t step, uint64_t after)
{
	const struct vcpu_modes modes = { .nr = SPANS };
	struct quiet_time quiet = { 0 };

	for (uint64_t i = 0; i < before; i++)
		quiet_time_outside(&quiet, true);
	for (size_t span = from; span < to; span += step)
		quiet_time_within(&quiet, span);
	for (uint64_t i = 0; i < after; i++)
		quiet_time_outside(&quiet, false);
	return quiet_time_doubtful(&quiet, &modes);
}

static void test_usual(void **state)
{
	/* The host was recorded later, or earlier, or both */
	assert_int_equal(doubtful(50, 4, SPANS, 2, 0), 0);
	assert_int_equal(doubtful(0, 1, SPANS - 6, 2, 50), 0);
	assert_int_equal(doubtful(50, 10, SPANS - 10, 10, 50), 0);
	/* The guest was recorded for a shorter time, or at another one */
	assert_int_equal(doubtful(0, 400, 600, 2, 0), 0);
	assert_int_equal(doubtful(50, 0, 500, 2, 0), 0);
	assert_int_equal(doubtful(50, 0, 0, 1, 0), 0);
	assert_int_equal(doubtful(50, 0, 0, 1, 50), 0);
}

static void test_quiet(void **state)
{
	assert_int_equal(doubtful(50, 200, SPANS, 2, 0), 50);
	assert_int_equal(doubtful(0, 1, 800, 2, 50), 50);
	assert_int_equal(doubtful(30, 200, SPANS - 2, 2, 20), 30);
	assert_int_equal(doubtful(30, 200, 800, 2, 20), 50);
}

static void test_limits(void **state)
{
	/* Twice the longest pause, and 4 */
	assert_int_equal(doubtful(1, 24, SPANS, 10, 0), 0);
	assert_int_equal(doubtful(1, 25, SPANS, 10, 0), 1);
	/* With few events more */
	assert_int_equal(doubtful(1, 52, 52 + 150, 10, 0), 0);
	assert_int_equal(doubtful(1, 53, 53 + 150, 10, 0), 1);
}

static void test_uneven(void **state)
{
	const struct vcpu_modes modes = { .nr = SPANS };

	/* One pause of 40 spans among many of 2: another may be 8 times as long */
	for (size_t begin = 324; begin <= 325; begin++) {
		struct quiet_time quiet = { 0 };

		quiet_time_outside(&quiet, true);
		for (size_t span = begin; span < SPANS; span += span == begin + 100 ? 40 : 2)
			quiet_time_within(&quiet, span);
		assert_int_equal(quiet_time_doubtful(&quiet, &modes), begin > 324);
	}
}

static void test_back(void **state)
{
	const struct vcpu_modes modes = { .nr = SPANS };
	struct quiet_time quiet = { 0 };

	/* Recorded between two that are within it */
	quiet_time_within(&quiet, MODE_SPAN_NONE);
	quiet_time_outside(&quiet, true);
	quiet_time_within(&quiet, SPANS - 1);
	assert_int_equal(quiet_time_doubtful(&quiet, &modes), 1);
	quiet_time_outside(&quiet, false);
	assert_int_equal(quiet_time_doubtful(&quiet, &modes), 1);
	quiet_time_within(&quiet, SPANS - 1);
	assert_int_equal(quiet_time_doubtful(&quiet, &modes), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usual),
		cmocka_unit_test(test_quiet),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_uneven),
		cmocka_unit_test(test_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
