// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* A scaling ratio as a decimal number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "mapping.h"
#include "tsc_ratio.h"

static void test_text(void **state)
{
	static const struct { const char *name; struct tsc_mapping map; const char *text; } cases[] = {
		{ "not said", { .offset = -5 }, "1" },
		{ "not scaled", { .ratio = 1ULL << 48, .frac_bits = 48 }, "1" },
		{ "the least that is scaled", { .ratio = (1ULL << 32) + 1, .frac_bits = 32 }, "1.000000000" },
		{ "a half", { .ratio = 1ULL << 47, .frac_bits = 48 }, "0.500000000" },
		{ "four", { .ratio = 4ULL << 32, .frac_bits = 32 }, "4.000000000" },
		{ "less than a tenth in the fraction", { .ratio = (1ULL << 32) + (1ULL << 28), .frac_bits = 32 },
		  "1.062500000" },
		{ "rounded down", { .ratio = 293212483239490ULL, .frac_bits = 48 }, "1.041699999" },
		{ "no fraction bits", { .ratio = 7, .frac_bits = 0 }, "7.000000000" },
		{ "most fraction bits", { .ratio = UINT64_MAX, .frac_bits = TSC_MAX_FRAC_BITS }, "1.999999999" },
		{ "the largest number", { .ratio = UINT64_MAX, .frac_bits = 0 }, "18446744073709551615.000000000" },
	};
	char text[TSC_RATIO_SIZE];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_ptr_equal(tsc_ratio_text(&cases[i].map, text), text);
		if (strcmp(text, cases[i].text))
			fail_msg("%s: %s", cases[i].name, text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
