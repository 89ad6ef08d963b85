// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Names as a real shell reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shell_word.h"

/* What a shell makes of a word; freed by the caller */
static char *read_by_shell(const char *word)
{
	char command[256], *found = calloc(1, 256);
	FILE *shell;

	snprintf(command, sizeof(command), "printf %%s %s", word);
	shell = popen(command, "r");
	assert_non_null(shell);
	assert_true(fread(found, 1, 255, shell) < 255);
	assert_int_equal(pclose(shell), 0);
	return found;
}

static void test_names(void **state)
{
	static const struct { const char *name; bool quoted; } cases[] = {
		{ "trace-g1.dat", false }, { "../a/b_c:d,e@f%g+h", false }, { "=ls", true }, { "", true },
		{ "a b", true },
		{ "it's", true }, { "$(touch evil)`id`;*?\"\\", true }, { "'", true }, { "a\xc3\xbc", true },
		{ "~", true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *word = shell_word(cases[i].name), *found;

		assert_non_null(word);
		found = read_by_shell(word);
		assert_string_equal(found, cases[i].name);
		assert_int_equal(*word == '\'', cases[i].quoted);
		free(found);
		free(word);
	}
}

static void test_control_characters(void **state)
{
	char *word = shell_word("a\x1b[2J\nb");

	assert_string_equal(word, "'a?[2J?b'");
	free(word);
}

/* stamp would take it as an option */
static void test_leading_dash(void **state)
{
	char *plain = shell_word("-h.dat"), *quoted = shell_word("-h $.dat");

	assert_string_equal(plain, "./-h.dat");
	assert_string_equal(quoted, "./'-h $.dat'");
	free(plain);
	free(quoted);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_control_characters),
		cmocka_unit_test(test_leading_dash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
