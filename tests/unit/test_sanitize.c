// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* For any text the result is UTF-8 without control characters. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sanitize.h"

static const struct {
	const char	*text;
	const char	*shown;
	const char	*json;
} texts[] = {
	{ "", "", "" },
	{ "vCPU 0", "vCPU 0", "vCPU 0" },
	{ "f\xc3\xbcr \xe2\x82\xac \xf0\x9d\x84\x9e", "f\xc3\xbcr \xe2\x82\xac \xf0\x9d\x84\x9e",
	  "f\xc3\xbcr \xe2\x82\xac \xf0\x9d\x84\x9e" },
	/* Control characters of seven bits, of eight, and of UTF-8 */
	{ "\x1b[31m\t\n\x01", "?[31m???", "\x1b[31m\t\n\x01" },
	{ "\x7f", "?", "?" },
	{ "\x9b" "31m\x85", "?31m?", "?31m?" },
	{ "\xc2\x9b" "31m\xc2\x80\xc2\xa0", "??31m??\xc2\xa0", "??31m??\xc2\xa0" },
	/* An invalid character affects no other */
	{ "\xff\xc3\xbc\xfe", "?\xc3\xbc?", "?\xc3\xbc?" },
	/* Truncated, overlong, a surrogate, beyond the last code point */
	{ "a\xe2\x82", "a??", "a??" },
	{ "\xe2\x82z", "??z", "??z" },
	{ "\xc0\x80\xe0\x80\x9b", "?????", "?????" },
	{ "\xed\xa0\x80", "???", "???" },
	{ "\xf4\x90\x80\x80\xf8\x88\x80\x80\x80", "?????????", "?????????" },
};

static void test_texts(void **state)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		/* A copy of the exact size, so that sanitizers detect accesses beyond it */
		char *own = strdup(texts[i].text);
		char *shown = sanitized(own), *json = sanitized_json(own);

		assert_string_equal(own, texts[i].text);
		assert_string_equal(shown, texts[i].shown);
		assert_string_equal(json, texts[i].json);
		sanitize(own);
		assert_string_equal(own, texts[i].shown);
		free(json);
		free(shown);
		free(own);
	}
}

/* Our code does not change the locale of the program that loads it */
static void test_locale(void **state)
{
	locale_t before = uselocale(NULL);

	free(sanitized("\xc3\xbc"));
	assert_ptr_equal(uselocale(NULL), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_locale),
	};

	return cmocka_run_group_tests_name("sanitize", tests, NULL, NULL);
}
