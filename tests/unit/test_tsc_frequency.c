// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Cycles as seconds: exact integer arithmetic for all numbers, and no result for unknown frequencies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "assert_within.h"
#include "host_frequency.h"
#include "trace_dat.h"
#include "tsc2nsec.h"
#include "tsc_frequency.h"

static void test_seconds(void **state)
{
	/* (cycles * mult >> shift) nanoseconds, computed with Python */
	static const struct { uint32_t mult, shift; uint64_t cycles; const char *text; } cases[] = {
		{ 1 << 30, 30, 0, "0.000000000" },
		{ 1 << 30, 30, 1, "0.000000001" },
		{ 1 << 30, 30, 999999999, "0.999999999" },
		{ 1 << 30, 30, 1000000000, "1.000000000" },
		{ 1 << 30, 30, UINT64_MAX, "18446744073.709551615" },
		/* 2.5 GHz: two cycles are less than a nanosecond */
		{ 429496729, 30, 2, "0.000000000" },
		{ 429496729, 30, 3, "0.000000001" },
		{ 429496729, 30, 2500000000, "0.999999998" },
		{ 429496729, 30, UINT64_MAX, "7378697619.175899135" },
		/* 1 MHz, the slowest */
		{ 1000, 0, UINT64_MAX, "18446744073709.551615000" },
		{ 1 << 22, 31, UINT64_MAX, "36028797.018963967" },
	};
	char text[TSC_SECONDS_SIZE];
	struct tsc_frequency frequency;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_true(tsc_frequency_set(&frequency, cases[i].mult, cases[i].shift));
		assert_true(tsc_frequency_seconds(&frequency, cases[i].cycles, text));
		assert_string_equal(text, cases[i].text);
	}
}

static void test_time(void **state)
{
	/* Unknown, 2.5 GHz, and 1 MHz, at which large values do not fit into 64 bits */
	static const struct { uint32_t mult, shift; uint64_t tsc, time; } cases[] = {
		{ 0, 0, 3, 3 },
		{ 0, 0, UINT64_MAX, UINT64_MAX },
		{ 429496729, 30, 3, 1 },
		{ 429496729, 30, UINT64_MAX, 7378697619175899135 },
		{ 1000, 0, UINT64_MAX / 1000, 18446744073709551000U },
		{ 1000, 0, UINT64_MAX / 1000 + 1, UINT64_MAX },
		{ 1000, 0, UINT64_MAX, UINT64_MAX },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct tsc_frequency frequency = { cases[i].mult, cases[i].shift };

		assert_int_equal(tsc_frequency_time(&frequency, cases[i].tsc), cases[i].time);
	}
}

static void test_hz(void **state)
{
	static const struct { uint32_t mult, shift; uint64_t hz; } cases[] = {
		{ 1 << 30, 30, 1000000000 },
		{ 429496729, 30, 2500000003 },
		{ 1000, 0, 1000000 },
		{ 999, 0, 1001001 },
		{ 1, 0, 1000000000 },
		{ 1 << 22, 31, 512000000000 },
	};
	struct tsc_frequency frequency;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_true(tsc_frequency_set(&frequency, cases[i].mult, cases[i].shift));
		assert_int_equal(tsc_frequency_hz(&frequency), cases[i].hz);
	}
}

/* Files can have any values */
static void test_absurd(void **state)
{
	static const uint32_t pairs[][2] = {
		{ 0, 0 }, { 0, 30 }, { 1001, 0 }, { UINT32_MAX, 0 }, { 1, 10 }, { 1, 63 },
		{ 1 << 30, 64 }, { 1 << 30, UINT32_MAX }, { UINT32_MAX, 63 },
	};
	char text[TSC_SECONDS_SIZE] = "as before";
	struct tsc_frequency frequency;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		assert_false(tsc_frequency_set(&frequency, pairs[i][0], pairs[i][1]));
		assert_int_equal(tsc_frequency_hz(&frequency), 0);
		assert_false(tsc_frequency_seconds(&frequency, 12345, text));
		assert_string_equal(text, "as before");
	}
}

static void test_file(void **state)
{
	uint8_t data[] = { 0, 0, 0, 0x40, 30, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8 };
	struct trace_dat_option option = { TRACE_DAT_TSC2NSEC, sizeof(data), data, 0 };
	struct trace_dat dat = { .options = &option, .nr_options = 1 };
	struct tsc_frequency frequency;

	assert_true(tsc2nsec_frequency(&frequency, &dat));
	assert_int_equal(tsc_frequency_hz(&frequency), 1000000000);
	/* Readers ignore this option and show cycles */
	option.size = 15;
	assert_false(tsc2nsec_frequency(&frequency, &dat));
	dat.nr_options = 0;
	assert_false(tsc2nsec_frequency(&frequency, &dat));
	assert_int_equal(tsc_frequency_hz(&frequency), 0);
}

/* A user's value is returned to a millionth */
static void test_khz(void **state)
{
	static const uint64_t good[] = { 1000, 1001, 999999, 1000000, 2100000, 2593907, 3000001, 900000000 };
	static const uint64_t absurd[] = { 0, 1, 999, 2000000000, UINT64_MAX };
	struct tsc_frequency frequency;

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		uint64_t hz = good[i] * 1000;

		assert_true(tsc_frequency_of_khz(&frequency, good[i]));
		assert_within(tsc_frequency_hz(&frequency), hz - hz / 1000000, hz + hz / 1000000);
	}
	for (size_t i = 0; i < sizeof(absurd) / sizeof(*absurd); i++) {
		assert_false(tsc_frequency_of_khz(&frequency, absurd[i]));
		assert_int_equal(tsc_frequency_hz(&frequency), 0);
	}
}

/* Compared with the known clock: the kernel's, if it reports it */
static void test_kernel(void **state)
{
	struct tsc_frequency frequency;

	if (!host_frequency_read(&frequency)) {
		print_message("the kernel does not tell perf the TSC's frequency\n");
		skip();
	}
	print_message("the TSC runs at %llu Hz\n", (unsigned long long)tsc_frequency_hz(&frequency));
	assert_within(tsc_frequency_hz(&frequency), 100000000, 10000000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_hz),
		cmocka_unit_test(test_absurd),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_khz),
		cmocka_unit_test(test_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
