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
/* The begin of a span */
#define TSC(span) (((uint64_t)(span) + 1) * 1000)

/*
 * A vCPU with SPANS spans. Its CPU has @before events before the recording, then one in every @step-th span from
 * @from to @to, then @after events after the recording.
 */
static uint64_t doubtful(uint64_t before, size_t from, size_t to, size_t step, uint64_t after)
{
	const struct vcpu_modes modes = { .nr = SPANS };
	struct quiet_time quiet = { 0 };

	for (uint64_t i = 0; i < before; i++)
		quiet_time_outside(&quiet, 0, true);
	for (size_t span = from; span < to; span += step)
		quiet_time_within(&quiet, TSC(span), span);
	for (uint64_t i = 0; i < after; i++)
		quiet_time_outside(&quiet, TSC(SPANS), false);
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
	/* The limit is twice the longest pause plus 4 */
	assert_int_equal(doubtful(1, 24, SPANS, 10, 0), 0);
	assert_int_equal(doubtful(1, 25, SPANS, 10, 0), 1);
	/* With few events the limit is higher */
	assert_int_equal(doubtful(1, 52, 52 + 150, 10, 0), 0);
	assert_int_equal(doubtful(1, 53, 53 + 150, 10, 0), 1);
}

static void test_uneven(void **state)
{
	const struct vcpu_modes modes = { .nr = SPANS };

	/* One pause of 40 spans among many of 2 spans: another pause can be 8 times as long */
	for (size_t begin = 324; begin <= 325; begin++) {
		struct quiet_time quiet = { 0 };

		quiet_time_outside(&quiet, 0, true);
		for (size_t span = begin; span < SPANS; span += span == begin + 100 ? 40 : 2)
			quiet_time_within(&quiet, TSC(span), span);
		assert_int_equal(quiet_time_doubtful(&quiet, &modes), begin > 324);
	}
}

static void test_back(void **state)
{
	const struct vcpu_modes modes = { .nr = SPANS };
	struct quiet_time quiet = { 0 };

	/* Events outside the recording between two events within it */
	quiet_time_within(&quiet, TSC(0), MODE_SPAN_NONE);
	quiet_time_outside(&quiet, 0, true);
	quiet_time_within(&quiet, TSC(SPANS - 1), SPANS - 1);
	assert_int_equal(quiet_time_doubtful(&quiet, &modes), 1);
	quiet_time_outside(&quiet, TSC(SPANS), false);
	assert_int_equal(quiet_time_doubtful(&quiet, &modes), 1);
	quiet_time_within(&quiet, TSC(SPANS - 1), SPANS - 1);
	assert_int_equal(quiet_time_doubtful(&quiet, &modes), 2);
}

/*
 * One event in each of @nr spans. Three events before the host's recording, the last one @before cycles before its
 * begin, @pause cycles apart. Two events, @after cycles after the last span.
 */
static uint64_t apart_by(size_t nr, uint64_t before, uint64_t pause, uint64_t after)
{
	const struct vcpu_modes modes = { .nr = nr };
	const uint64_t begin = 1000000000;
	struct quiet_time quiet = { 0 };

	for (uint64_t i = 0; i < 3; i++)
		quiet_time_event(&quiet, begin - before - (2 - i) * pause, begin, begin + TSC(nr), 0);
	for (size_t span = 0; span < nr; span++)
		quiet_time_event(&quiet, begin + TSC(span), begin, begin + TSC(nr), span);
	for (uint64_t i = 0; i < 2; i++)
		quiet_time_event(&quiet, begin + TSC(nr - 1) + after + i, begin, begin + TSC(nr), 0);
	return quiet_time_doubtful(&quiet, &modes);
}

static uint64_t apart(size_t nr, uint64_t before, uint64_t after)
{
	return apart_by(nr, before, 1, after);
}

static void test_silent(void **state)
{
	/* The first and the last of 101 events are 100,000 cycles apart */
	assert_int_equal(apart(101, 1001, 10000099), 0);
	assert_int_equal(apart(101, 1001, 10000100), 2);
	assert_int_equal(apart(101, 9999099, 1001), 0);
	assert_int_equal(apart(101, 9999100, 1001), 3);
	assert_int_equal(apart(101, 10000100, 10000100), 5);
	/* With few events nothing is known of their pauses */
	assert_int_equal(apart(7, 10000100, 10000100), 0);
	assert_int_equal(apart(8, 10000100, 10000100), 5);
	/* The guest is silent for a similar time elsewhere */
	assert_int_equal(apart_by(101, 1001, 100001, 10000100), 0);
	assert_int_equal(apart_by(101, 1001, 100000, 10000100), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usual),
		cmocka_unit_test(test_quiet),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_uneven),
		cmocka_unit_test(test_back),
		cmocka_unit_test(test_silent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
