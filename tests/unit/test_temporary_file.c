// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Nothing is left of an unfinished file, however early or late a signal ends the process. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "temporary_file.h"

#define FILE_NAME	"file.XXXXXX"

static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGXCPU, SIGXFSZ };
#define NR_SIGNALS	(sizeof(signals) / sizeof(signals[0]))

/* The signal that is raised as soon as a file exists */
static int early;

int __real_mkostemp64(char *template, int flags);
int __wrap_mkostemp64(char *template, int flags);

int __wrap_mkostemp64(char *template, int flags)
{
	int fd = __real_mkostemp64(template, flags);

	if (early)
		raise(early);
	return fd;
}

static void at_once(int number)
{
	char name[] = FILE_NAME;

	early = number;
	temporary_file_make(name);
}

static void later(int number)
{
	char one[] = FILE_NAME, other[] = FILE_NAME;

	if (temporary_file_make(one) >= 0 && temporary_file_make(other) >= 0 && strcmp(one, other))
		raise(number);
}

static void finished(int number)
{
	char name[] = FILE_NAME;

	if (temporary_file_make(name) >= 0)
		temporary_file_forget(name);
	raise(number);
}

/*
 * Run @run in a process with its own directory. Check that the signal ends
 * it. Returns: whether the directory is empty then.
 */
static bool leaves_nothing(void (*run)(int number), int number)
{
	const struct sigaction ordinary = { .sa_handler = SIG_DFL };
	char directory[] = "/tmp/test_temporary_file.XXXXXX";
	char command[sizeof(directory) + 10];
	int status;
	bool empty;
	pid_t pid;

	assert_non_null(mkdtemp(directory));
	pid = fork();
	if (!pid) {
		/* The test may be run with this signal ignored */
		sigaction(number, &ordinary, NULL);
		if (!chdir(directory))
			run(number);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), number);
	empty = !rmdir(directory);
	if (!empty) {
		assert_int_equal(errno, ENOTEMPTY);
		snprintf(command, sizeof(command), "rm -r %s", directory);
		assert_int_equal(system(command), 0);
	}
	return empty;
}

static void test_at_once(void **state)
{
	for (size_t i = 0; i < NR_SIGNALS; i++)
		assert_true(leaves_nothing(at_once, signals[i]));
}

static void test_later(void **state)
{
	for (size_t i = 0; i < NR_SIGNALS; i++)
		assert_true(leaves_nothing(later, signals[i]));
}

static void test_finished(void **state)
{
	for (size_t i = 0; i < NR_SIGNALS; i++)
		assert_false(leaves_nothing(finished, signals[i]));
}

static void test_none(void **state)
{
	char name[] = "nowhere/file.XXXXXX";

	assert_int_equal(temporary_file_make(name), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_once),
		cmocka_unit_test(test_later),
		cmocka_unit_test(test_finished),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests_name("temporary_file", tests, NULL, NULL);
}
