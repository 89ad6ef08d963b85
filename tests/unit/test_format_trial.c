// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * A format that crashes libtraceevent's parser, or that it never finishes, loses only its own text. The library is
 * wrapped: the first letter of an event's name controls what it does.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <event-parse.h>

#include "format_parse.h"
#include "format_text.h"
#include "format_trial.h"
#include "temporary_file.h"

#define MAX_FORMATS	64
#define TEXT_SIZE	256

static volatile int zero;

enum tep_errno __real_tep_parse_event(struct tep_handle *tep, const char *buf, unsigned long size, const char *sys);
enum tep_errno __wrap_tep_parse_event(struct tep_handle *tep, const char *buf, unsigned long size, const char *sys);

static void use_stack(volatile char *before)
{
	volatile char here[4096];

	here[0] = before ? before[0] : 0;
	if (!zero)
		use_stack(here);
	here[1] = here[0];
}

/* Like the library, which does not always check that an allocation succeeded */
static void use_memory(void)
{
	volatile char *memory = malloc(1UL << 30);

	memory[0] = 1;
}

/* Only an event with its print format misbehaves; each event is passed to the real function */
enum tep_errno __wrap_tep_parse_event(struct tep_handle *tep, const char *buf, unsigned long size, const char *sys)
{
	bool printed = strstr(buf, "%d");
	char what = buf[strlen("name: ")];

	if (printed && what == 'a')
		abort();
	if (printed && what == 's')
		raise(SIGSEGV);
	if (printed && what == 'd')
		zero = 1 % zero;
	if (printed && what == 'e')
		exit(0);
	if (printed && what == 't')
		raise(SIGTERM);
	if (printed && what == 'r')
		use_stack(NULL);
	if (printed && what == 'm')
		use_memory();
	while (printed && what == 'h')
		;
	return __real_tep_parse_event(tep, buf, size, sys);
}

struct formats {
	char			texts[MAX_FORMATS][TEXT_SIZE];
	struct format_text	scanned[MAX_FORMATS];
	struct event_format	formats[MAX_FORMATS];
	size_t			nr;
	size_t			nr_fatal;
	struct tep_handle	*tep;
};

/* Try one format for each letter */
static void try_formats(struct formats *all, const char *letters)
{
	all->tep = tep_alloc();
	tep_set_loglevel(TEP_LOG_NONE);
	for (all->nr = 0; letters[all->nr]; all->nr++) {
		char *text = all->texts[all->nr];

		snprintf(text, TEXT_SIZE, "name: %c%zu\nID: %zu\nformat:\n"
			 "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n"
			 "\tfield:u32 number;\toffset:8;\tsize:4;\tsigned:0;\n\nprint fmt: \"%%d\", REC->number\n",
			 letters[all->nr], all->nr, 1000 - all->nr);
		assert_true(format_text_scan(&all->scanned[all->nr], text, strlen(text)));
		all->formats[all->nr] = (struct event_format) {
			.text = &all->scanned[all->nr], .system = "test", .way = PRINT_FORMAT,
		};
	}
	assert_int_equal(format_trial(all->tep, all->formats, all->nr, &all->nr_fatal), 0);
}

/* Each event exists. Events whose letter is not in @harmless are printed by their fields. */
static void check(const struct formats *all, const char *letters, const char *harmless)
{
	for (size_t i = 0; i < all->nr; i++) {
		struct tep_event *event = tep_find_event(all->tep, 1000 - (int)i);
		enum print_way way = strchr(harmless, letters[i]) ? PRINT_FORMAT : PRINT_FIELDS;

		assert_non_null(event);
		if (all->formats[i].way != way)
			fail_msg("format %zu of %s is printed by way %d", i, letters, all->formats[i].way);
		assert_int_equal(!!(event->flags & TEP_EVENT_FL_PRINTRAW), way == PRINT_FIELDS);
	}
	tep_free(all->tep);
}

static void test_harmless(void **state)
{
	struct formats *all = *state;

	try_formats(all, "ooooo");
	assert_int_equal(all->nr_fatal, 0);
	check(all, "ooooo", "o");
	try_formats(all, "");
	assert_int_equal(all->nr_fatal, 0);
	check(all, "", "o");
}

static void test_fatal(void **state)
{
	static const char letters[] = "aoosdoeoormtooa";
	struct formats *all = *state;

	try_formats(all, letters);
	check(all, letters, "o");
	assert_int_equal(all->nr_fatal, 8);
}

/* After too many fatal formats the rest is not tried */
static void test_many(void **state)
{
	static const char letters[] = "ooaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaoo";
	struct formats *all = *state;

	try_formats(all, letters);
	assert_int_equal(all->nr_fatal, strlen(letters) - 2);
	assert_int_equal(all->formats[1].way, PRINT_FORMAT);
	assert_int_equal(all->formats[strlen(letters) - 1].way, PRINT_FIELDS);
	assert_non_null(tep_find_event(all->tep, 1000 - (int)strlen(letters) + 1));
	tep_free(all->tep);
}

/* After a format that never finishes the rest is not tried */
static void test_endless(void **state)
{
	struct formats *all = *state;
	struct rusage used;

	try_formats(all, "oaoho");
	assert_int_equal(all->nr_fatal, 3);
	assert_int_equal(all->formats[0].way, PRINT_FORMAT);
	assert_int_equal(all->formats[2].way, PRINT_FORMAT);
	assert_int_equal(all->formats[3].way, PRINT_FIELDS);
	assert_int_equal(all->formats[4].way, PRINT_FIELDS);
	tep_free(all->tep);
	assert_int_equal(getrusage(RUSAGE_CHILDREN, &used), 0);
	assert_true(used.ru_utime.tv_sec < 10);
}

/* The child does not run the signal handlers that remove the parent's files, and the child is reaped */
static void test_bystanders(void **state)
{
	char path[] = "format_trial.XXXXXX";
	struct formats *all = *state;
	int fd = temporary_file_make(path);

	assert_true(fd >= 0);
	try_formats(all, "toho");
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	tep_free(all->tep);
	temporary_file_forget(path);
	unlink(path);
	close(fd);
}

/* It also works if this process ignores SIGCHLD */
static void test_children_are_ignored(void **state)
{
	struct formats *all = *state;
	void (*before)(int) = signal(SIGCHLD, SIG_IGN);

	try_formats(all, "oaos");
	signal(SIGCHLD, before);
	assert_int_equal(all->nr_fatal, 2);
	check(all, "oaos", "o");
}

static int make(void **state)
{
	*state = calloc(1, sizeof(struct formats));
	return *state ? 0 : -1;
}

static int release(void **state)
{
	free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_harmless, make, release),
		cmocka_unit_test_setup_teardown(test_fatal, make, release),
		cmocka_unit_test_setup_teardown(test_many, make, release),
		cmocka_unit_test_setup_teardown(test_endless, make, release),
		cmocka_unit_test_setup_teardown(test_bystanders, make, release),
		cmocka_unit_test_setup_teardown(test_children_are_ignored, make, release),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
