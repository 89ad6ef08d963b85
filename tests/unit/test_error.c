// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "error.h"

static void test_line(void **state)
{
	struct error error = { 0 };
	char line[64];

	assert_int_equal(error_set(&error, -EBADMSG, "host.dat", "%s is damaged", "a page"), -EBADMSG);
	assert_string_equal(error_line(&error, line, sizeof(line)), "host.dat: a page is damaged");
	error_set_offset(&error, 0x1000);
	assert_string_equal(error_line(&error, line, sizeof(line)), "host.dat: at offset 0x1000: a page is damaged");
	assert_string_equal(error_line(&error, line, 12), "host.dat: a");
	/* Nothing of the previous error is left */
	assert_int_equal(error_set(&error, -EINVAL, NULL, "no VM"), -EINVAL);
	assert_string_equal(error_line(&error, line, sizeof(line)), "no VM");
	assert_int_equal(error_set_code(&error, -ENOENT, "out.dat"), -ENOENT);
	assert_string_equal(error_line(&error, line, sizeof(line)), "out.dat: No such file or directory");
}

/* The text from the place of the failure is kept; callers do not overwrite it */
static void test_keep(void **state)
{
	struct error error = { 0 };

	assert_int_equal(error_keep(&error, 0, "host.dat"), 0);
	assert_int_equal(error.code, 0);
	assert_int_equal(error_keep(&error, -ENOMEM, "host.dat"), -ENOMEM);
	assert_int_equal(error.code, -ENOMEM);
	assert_string_equal(error.path, "host.dat");
	error_set(&error, -EBADMSG, "guest.dat", "damaged");
	assert_int_equal(error_keep(&error, -EBADMSG, "host.dat"), -EBADMSG);
	assert_string_equal(error.path, "guest.dat");
	assert_string_equal(error.text, "damaged");
}

/* Long texts are truncated and terminated */
static void test_long(void **state)
{
	char text[2 * ERROR_TEXT_SIZE], line[3 * ERROR_TEXT_SIZE];
	struct error error = { 0 };

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	error_set(&error, -EINVAL, "a", "%s", text);
	assert_int_equal(strlen(error.text), ERROR_TEXT_SIZE - 1);
	assert_int_equal(strlen(error_line(&error, line, sizeof(line))), strlen("a: ") + ERROR_TEXT_SIZE - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_keep),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
