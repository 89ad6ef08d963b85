// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Whether a buffer's clock is the TSC. The name in its option, the kernel's counts and the option TRACECLOCK can
 * contradict each other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu_stats.h"
#include "trace_clock.h"
#include "trace_dat.h"

#define STATS(cpu, overrun, dropped, oldest, now)						\
	"CPU: " #cpu "\nentries: 7\noverrun: " #overrun "\ncommit overrun: 0\nbytes: 252\n"		\
	"oldest event ts: " oldest "\nnow ts: " now "\ndropped events: " #dropped			\
	"\nread events: 9381\n"
#define CYCLES	STATS(0, 0, 0, "38533214814", "38645098275")
#define SECONDS	STATS(0, 0, 0, "   38.533214", "15573.441098")
#define COUNTER	STATS(0, 0, 0, "17", "4711")
#define INSTANCE "\nBuffer: mine\n\n"

#define TSC_CHOSEN	"local global [x86-tsc]\n"
#define LOCAL_CHOSEN	"[local] global x86-tsc\n"

/* A file with text options only */
struct file {
	struct trace_dat_option	options[8];
	struct trace_dat	dat;
};

static void add(struct file *file, int id, const char *text)
{
	if (!text)
		return;
	file->options[file->dat.nr_options++] = (struct trace_dat_option) {
		.id = id, .size = strlen(text) + 1, .data = (uint8_t *)text
	};
	file->dat.options = file->options;
}

struct clock_case {
	const char	*name;
	const char	*clock;
	const char	*top_stats;
	const char	*own_stats;
	const char	*chosen;
	bool		tsc;
};

static void test_clock(void **state)
{
	static const struct clock_case cases[] = {
		{ "", "x86-tsc", CYCLES, NULL, TSC_CHOSEN, true },
		{ "", "x86-tsc", NULL, NULL, NULL, true },
		{ "", "tsc2nsec", CYCLES, NULL, NULL, true },
		{ "", "local", SECONDS, NULL, LOCAL_CHOSEN, false },
		{ "", "local", NULL, NULL, NULL, false },
		{ "", "counter", COUNTER, NULL, NULL, false },
		{ "", "local", CYCLES, NULL, NULL, false },
		/* A guest's top buffer, when only instances were recorded on the host */
		{ "", "local", NULL, NULL, TSC_CHOSEN, true },
		{ "", "local", CYCLES, NULL, TSC_CHOSEN, true },
		{ "", "local", SECONDS, NULL, TSC_CHOSEN, false },
		{ "", "local", NULL, NULL, LOCAL_CHOSEN, false },
		/* Any other name counts */
		{ "", "mono", NULL, NULL, TSC_CHOSEN, false },
		{ "", "counter", COUNTER, NULL, TSC_CHOSEN, false },
		/* Some versions of trace-cmd do not name the clock */
		{ "", "", NULL, NULL, NULL, false },
		{ "", "", NULL, NULL, TSC_CHOSEN, true },
		{ "", "", CYCLES, NULL, NULL, true },
		{ "", "", COUNTER, NULL, NULL, false },
		{ "", "", SECONDS, NULL, TSC_CHOSEN, false },
		/* Only an instance: named local, recorded with the TSC */
		{ "mine", "local", NULL, CYCLES, TSC_CHOSEN, true },
		{ "mine", "local", NULL, NULL, TSC_CHOSEN, true },
		{ "mine", "local", NULL, CYCLES, NULL, true },
		/* An instance, with a top buffer of another clock */
		{ "mine", "local", SECONDS, CYCLES, LOCAL_CHOSEN, true },
		{ "mine", "local", SECONDS, NULL, LOCAL_CHOSEN, false },
		{ "mine", "local", SECONDS, COUNTER, LOCAL_CHOSEN, false },
		{ "mine", "local", CYCLES, NULL, NULL, false },
		/* An instance with another clock, with a top buffer of the TSC */
		{ "mine", "x86-tsc", CYCLES, SECONDS, TSC_CHOSEN, false },
		{ "mine", "x86-tsc", CYCLES, CYCLES, TSC_CHOSEN, true },
		{ "mine", "local", NULL, SECONDS, TSC_CHOSEN, false },
	};
	char name[16];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct clock_case *c = &cases[i];
		struct trace_dat_buffer buffer = { .name = (char *)c->name, .clock = (char *)c->clock };
		struct file file = { 0 };

		add(&file, TRACE_DAT_CPUSTAT, c->top_stats);
		add(&file, TRACE_DAT_CPUSTAT, "\nBuffer: mine2\n\n");
		add(&file, TRACE_DAT_CPUSTAT, SECONDS);
		add(&file, TRACE_DAT_CPUSTAT, c->own_stats ? INSTANCE : NULL);
		add(&file, TRACE_DAT_CPUSTAT, c->own_stats);
		add(&file, TRACE_DAT_TRACECLOCK, c->chosen);
		if (trace_clock_is_tsc(&file.dat, &buffer, name, sizeof(name)) != c->tsc)
			fail_msg("case %zu: not %d", i, c->tsc);
		assert_true(strlen(name) < sizeof(name));
		if (!*c->clock)
			assert_string_equal(name, "?");
	}
}

static void test_stats(void **state)
{
	struct trace_dat_buffer top = { .name = (char *)"" }, mine = { .name = (char *)"mine" };
	struct cpu_stats *stats;
	struct file file = { 0 };
	size_t nr;

	assert_int_equal(cpu_stats_of_file(&stats, &nr, &file.dat, &top), 0);
	assert_int_equal(nr, 0);
	assert_null(cpu_stats_find(stats, nr, 0));
	free(stats);

	add(&file, TRACE_DAT_CPUSTAT, STATS(10, 3, 0, "1", "2"));
	add(&file, TRACE_DAT_CPUSTAT, STATS(9, 0, 5, "0.000000", "12.5"));
	add(&file, TRACE_DAT_CPUSTAT, INSTANCE);
	add(&file, TRACE_DAT_CPUSTAT, STATS(9, 18446744073709551615, 0, "18446744073709551615", "3"));
	assert_int_equal(cpu_stats_of_file(&stats, &nr, &file.dat, &top), 0);
	assert_int_equal(nr, 2);
	assert_null(cpu_stats_find(stats, nr, 0));
	assert_int_equal(cpu_stats_find(stats, nr, 10)->overrun, 3);
	assert_int_equal(cpu_stats_find(stats, nr, 10)->dropped, 0);
	assert_int_equal(cpu_stats_find(stats, nr, 10)->read, 9381);
	assert_int_equal(cpu_stats_find(stats, nr, 10)->oldest, 1);
	assert_int_equal(cpu_stats_find(stats, nr, 10)->now, 2);
	assert_true(cpu_stats_find(stats, nr, 10)->by_cycles);
	assert_false(cpu_stats_find(stats, nr, 10)->by_ns);
	assert_int_equal(cpu_stats_find(stats, nr, 9)->dropped, 5);
	assert_true(cpu_stats_find(stats, nr, 9)->by_ns);
	assert_false(cpu_stats_find(stats, nr, 9)->by_cycles);
	free(stats);

	assert_int_equal(cpu_stats_of_file(&stats, &nr, &file.dat, &mine), 0);
	assert_int_equal(nr, 1);
	assert_true(stats->overrun == UINT64_MAX && stats->oldest == UINT64_MAX);
	free(stats);
}

/* Unexpected texts */
static void test_absurd_stats(void **state)
{
	static const char *const texts[] = {
		"", "\n", "CPU:", "CPU: ", "CPU: x\noverrun: \nnow ts: \n", "overrun: -1\n",
		"now ts: .", "now ts:  \n oldest event ts: 5", "dropped events: 99999999999999999999999\n",
		"\n\n\n\n", "commit overrun: 1\ncommit overrun: 1", "overrun", "read events: 0x10\n",
	};
	struct cpu_stats stats;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		/* The allocation ends with the text, so that a sanitizer detects reads after it */
		char *text = strdup(texts[i]);

		cpu_stats_parse(&stats, text);
		assert_false(stats.by_cycles);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_stats),
		cmocka_unit_test(test_absurd_stats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
