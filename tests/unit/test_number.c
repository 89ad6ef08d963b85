// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "number.h"

static void test_parse(void **state)
{
	static const struct { const char *text; bool whole; uint64_t number; const char *rest; } cases[] = {
		{ "0", true, 0, "" },
		{ "18446744073709551615", true, UINT64_MAX, "" },
		{ "00018446744073709551615", true, UINT64_MAX, "" },
		{ "12ms", false, 12, "ms" },
		{ "3,4", false, 3, ",4" },
		{ "0x10", false, 0, "x10" },
		/* Not a number */
		{ "", false, 0, NULL },
		{ "-1", false, 0, NULL },
		{ "+1", false, 0, NULL },
		{ " 1", false, 0, NULL },
		{ "18446744073709551616", false, 0, NULL },
		{ "184467440737095516150", false, 0, NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *text = cases[i].text;
		uint64_t number;

		if (number_parse(text, &number) != cases[i].whole || (cases[i].whole && number != cases[i].number))
			fail_msg("'%s'", text);
		if (number_take(&text, &number) != (cases[i].rest != NULL))
			fail_msg("'%s' begins with a number?", cases[i].text);
		if (cases[i].rest && (number != cases[i].number || strcmp(text, cases[i].rest)))
			fail_msg("'%s': '%s' is left", cases[i].text, text);
		if (!cases[i].rest)
			assert_ptr_equal(text, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
