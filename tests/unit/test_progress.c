// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* The bar on a terminal: when it is shown, and how it shows names from outside. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "progress.h"

static time_t seconds;
static int on_terminal;

int __wrap_isatty(int fd);
int __wrap_isatty(int fd)
{
	return on_terminal;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
	*time = (struct timespec) { .tv_sec = seconds };
	return 0;
}

/* The output to stderr when half of the work is done after @after seconds */
static void shown(const char *what, time_t after, char *text, size_t size)
{
	int old = dup(STDERR_FILENO), ends[2];
	struct progress progress;
	ssize_t length;

	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	seconds = 100;
	progress_begin(&progress, what, 200);
	seconds += after;
	progress_at(&progress, 100);
	progress_end(&progress);
	fflush(stderr);
	dup2(old, STDERR_FILENO);
	close(old);
	length = read(ends[0], text, size - 1);
	assert_true(length >= 0);
	text[length] = '\0';
	close(ends[0]);
}

static void test_bar(void **state)
{
	char text[512];

	on_terminal = 1;
	shown("host.dat", 2, text, sizeof(text));
	assert_non_null(strstr(text, "\rhost.dat [####################                    ]  50%\r"));
	/* The bar is removed at the end */
	assert_int_equal(text[strlen(text) - 1], '\r');
	shown("host.dat", 0, text, sizeof(text));
	assert_string_equal(text, "");
	on_terminal = 0;
	shown("host.dat", 2, text, sizeof(text));
	assert_string_equal(text, "");
}

static void test_name(void **state)
{
	char text[512];

	on_terminal = 1;
	shown("\x1b]0;title\x07\n.dat", 2, text, sizeof(text));
	assert_non_null(strstr(text, "\r?]0;title??.dat [#"));
	assert_null(strpbrk(text, "\x1b\x07\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bar),
		cmocka_unit_test(test_name),
	};

	return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
