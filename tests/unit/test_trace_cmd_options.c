// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Which words of a command line are trace-cmd's options, and what they request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "trace_cmd_options.h"

#define MAX_WORDS	16

static const struct {
	const char			*line;
	struct trace_cmd_options	options;
} lines[] = {
	{ "record", { 0 } },
	{ "record -A g", { .nr_guests = 1 } },
	{ "record -Ag@3:823 -e sched -A h", { .nr_guests = 2 } },
	{ "record -C x86-tsc -A g -Cx86-tsc", { .nr_guests = 1, .clock = true, .tsc_clock = true } },
	{ "record -C mono -A g -e x86-tsc", { .nr_guests = 1, .clock = true } },
	{ "record -A g -C x86-tsc -e sched sleep 10", { .nr_guests = 1, .clock = true, .tsc_clock = true } },
	/* Words after the options belong to the command */
	{ "record -e sched ls -A", { 0 } },
	{ "record -e sched ls -A -C x86-tsc", { 0 } },
	{ "record -- ls -A", { 0 } },
	{ "record - -A g", { 0 } },
	{ "record -F -p function ls -A", { 0 } },
	{ "record -vte sched -A g ls -A", { .nr_guests = 1 } },
	{ "record --date -A g ls -A", { .nr_guests = 1 } },
	{ "record --tsync-interval 5 -A g ls -A", { .nr_guests = 1 } },
	{ "record --tsync-interval=5 -A g ls -A", { .nr_guests = 1 } },
	{ "record --tsync 5 -A g ls -A", { .nr_guests = 1 } },
	{ "record --poll ls -A", { 0 } },
	/* A value can look like an option */
	{ "record -o -A -e sched", { .output = "-A" } },
	{ "record -A g -o first.dat -oh.dat ls -o x", { .nr_guests = 1, .output = "h.dat" } },
	{ "record -o", { 0 } },
	{ "record -A", { .nr_guests = 1 } },
	/* With record, -P takes a process */
	{ "record -P 3", { 0 } },
	{ "agent", { 0 } },
	{ "agent -p 823 -N host", { 0 } },
	{ "agent -P 3", { .is_proxy = true } },
	{ "agent -D -P3", { .is_proxy = true } },
	{ "agent -DP 3", { .is_proxy = true } },
	{ "agent -p P", { 0 } },
	{ "agent --verbose=P", { 0 } },
};

static void test_lines(void **state)
{
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char text[128], *rest = text, *words[MAX_WORDS + 1] = { "trace-cmd" };
		struct trace_cmd_options options;
		int nr = 1;

		print_message("%s\n", lines[i].line);
		snprintf(text, sizeof(text), "%s", lines[i].line);
		while (nr < MAX_WORDS && (words[nr] = strsep(&rest, " ")))
			nr++;
		trace_cmd_options_read(&options, nr, words);
		assert_int_equal(options.nr_guests, lines[i].options.nr_guests);
		assert_int_equal(options.tsc_clock, lines[i].options.tsc_clock);
		assert_int_equal(options.is_proxy, lines[i].options.is_proxy);
	}
}

/* Command lines, their guests, and the words that end with the guests' names */
static const struct {
	const char	*line;
	int		words[2];
	const char	*guests[2];
} guests[] = {
	{ "record -A g -e sched -A h@3 ls -A x", { 3, 7 }, { "g", "h@3" } },
	{ "record -Ag -vAh", { 2, 3 }, { "g", "h" } },
	{ "record -o -A -vA g", { 5 }, { "g" } },
	{ "record -A g -A", { 3, 4 }, { "g" } },
	{ "record ls -A g", { 0 }, { NULL } },
};

static void test_guests(void **state)
{
	for (size_t i = 0; i < sizeof(guests) / sizeof(guests[0]); i++) {
		char text[128], *rest = text, *words[MAX_WORDS + 1] = { "trace-cmd" };
		int nr = 1, word;

		print_message("%s\n", guests[i].line);
		snprintf(text, sizeof(text), "%s", guests[i].line);
		while (nr < MAX_WORDS && (words[nr] = strsep(&rest, " ")))
			nr++;
		for (unsigned int g = 0; g < 2; g++) {
			const char *value = trace_cmd_options_guest(nr, words, g, &word);

			assert_int_equal(word, guests[i].words[g]);
			if (!guests[i].guests[g]) {
				assert_null(value);
				continue;
			}
			assert_string_equal(value, guests[i].guests[g]);
			/* The value is the end of the word, so that the word can be rewritten */
			assert_ptr_equal(value + strlen(value), words[word] + strlen(words[word]));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_guests),
	};

	return cmocka_run_group_tests_name("trace_cmd_options", tests, NULL, NULL);
}
