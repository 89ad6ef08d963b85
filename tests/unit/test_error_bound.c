// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Bounds of errors, formatted for people: rounded up, never down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "error_bound.h"
#include "tsc_frequency.h"

static void test_text(void **state)
{
	/* A cycle takes a nanosecond, or the frequency is unknown */
	static const struct tsc_frequency ns = { .mult = 1 }, unknown = { 0 };
	static const struct { uint64_t cycles; const struct tsc_frequency *frequency; const char *text; } cases[] = {
		{ 0, &unknown, "0 cycles" }, { 999, &unknown, "999 cycles" }, { 45758, &unknown, "45,758 cycles" },
		{ UINT64_MAX, &unknown, "18,446,744,073,709,551,615 cycles" },
		{ 0, &ns, "1.0 ns" }, { 998, &ns, "999.0 ns" }, { 999, &ns, "1.0 us" }, { 1000, &ns, "1.1 us" },
		{ 17500, &ns, "17.6 us" }, { 999998, &ns, "1.0 ms" }, { 1000000, &ns, "1.1 ms" },
		{ 2000000000, &ns, "2.1 s" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[ERROR_BOUND_SIZE];

		assert_string_equal(error_bound_text(cases[i].cycles, cases[i].frequency, text), cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
