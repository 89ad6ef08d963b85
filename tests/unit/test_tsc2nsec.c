// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Option TSC2NSEC: which one counts if a file has several, and the least size of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "trace_dat.h"
#include "tsc2nsec.h"

/* mult 0x40000000, shift 30, offset 0x0807060504030201, and one byte that readers ignore */
static uint8_t payload[] = { 0, 0, 0, 0x40, 30, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 };
static uint8_t zeroes[16];

static void test_sizes(void **state)
{
	for (uint32_t size = 0; size <= sizeof(payload); size++) {
		struct trace_dat_option option = { TRACE_DAT_TSC2NSEC, size, payload, 0 };
		struct trace_dat dat = { .options = &option, .nr_options = 1 };
		struct tsc2nsec tsc2nsec = { 1, 2, 3 };

		assert_int_equal(tsc2nsec_read(&tsc2nsec, &dat), size >= 16);
		assert_int_equal(tsc2nsec.mult, size >= 16 ? 0x40000000 : 0);
		assert_int_equal(tsc2nsec.shift, size >= 16 ? 30 : 0);
		assert_int_equal(tsc2nsec.offset, size >= 16 ? 0x0807060504030201 : 0);
	}
}

/* A later option takes precedence, even one that disables the conversion, but not one that is too short */
static void test_last(void **state)
{
	struct trace_dat_option options[] = {
		{ TRACE_DAT_TSC2NSEC, 16, payload, 0 },
		{ TRACE_DAT_TRACECLOCK, 16, zeroes, 0 },
		{ TRACE_DAT_TSC2NSEC, 15, zeroes, 0 },
		{ TRACE_DAT_TSC2NSEC, 16, zeroes, 0 },
		{ TRACE_DAT_TSC2NSEC, 16, payload, 0 },
	};
	struct trace_dat dat = { .options = options };
	static const bool wanted[] = { false, true, true, true, false, true };
	struct tsc2nsec tsc2nsec;

	for (; dat.nr_options <= 5; dat.nr_options++)
		assert_int_equal(tsc2nsec_read(&tsc2nsec, &dat), wanted[dat.nr_options]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
