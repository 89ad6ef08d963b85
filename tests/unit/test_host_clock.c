// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* A host that slept: its TSC went back. A CPU's file shows this only if that CPU recorded something. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "host_clock.h"
#include "trace_dat.h"

#define MAX_CPUS	3
#define MAX_TIMES	10

static void test_add(void **state)
{
	static const uint64_t times[] = { 100, 100, 250, 40, 90, 90, 3 };
	struct host_clock_cpu cpu = { 0 };

	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++)
		assert_true(host_clock_add(&cpu, times[i]));
	assert_int_equal(cpu.nr_runs, 3);
	assert_true(cpu.runs[0].first == 100 && cpu.runs[0].last == 250);
	assert_true(cpu.runs[1].first == 40 && cpu.runs[1].last == 90);
	assert_true(cpu.runs[2].first == 3 && cpu.runs[2].last == 3);
}

static void test_too_often(void **state)
{
	struct host_clock_cpu cpu = { 0 };

	for (uint64_t i = 0; i < HOST_CLOCK_MAX_EPOCHS; i++)
		assert_true(host_clock_add(&cpu, 1000 - i));
	assert_false(host_clock_add(&cpu, 5));
	/* A time that continues a run does not begin a new one */
	assert_true(host_clock_add(&cpu, 1000));
	assert_int_equal(cpu.nr_runs, HOST_CLOCK_MAX_EPOCHS);
}

struct epoch_case {
	const char	*name;
	uint64_t	times[MAX_CPUS][MAX_TIMES];	/* of each CPU; 0 ends the list */
	size_t		nr_epochs;
	struct host_run	epochs[4];
	uint64_t	added[4];
	size_t		epoch_of[MAX_CPUS][4];		/* of each run of each CPU */
};

static const struct epoch_case epoch_cases[] = {
	{ "no event at all", { { 0 } }, 0, { { 0 } }, { 0 }, { { 0 } } },
	{ "it never slept", { { 100, 200 }, { 50, 300 } }, 1, { { 50, 300 } }, { 0 }, { { 0 }, { 0 } } },
	{ "it slept, all CPUs saw it", { { 100, 200, 10, 60 }, { 150, 240, 20, 80 } }, 2,
	  { { 100, 240 }, { 10, 80 } }, { 0, 231 }, { { 0, 1 }, { 0, 1 } } },
	{ "one CPU recorded before only", { { 1000, 2000, 10, 60 }, { 1900, 2500 } }, 2,
	  { { 1000, 2500 }, { 10, 60 } }, { 0, 2491 }, { { 0, 1 }, { 0 } } },
	{ "one CPU recorded after only", { { 1000, 2000, 10, 60 }, { 70, 80 } }, 2,
	  { { 1000, 2000 }, { 10, 80 } }, { 0, 1991 }, { { 0, 1 }, { 1 } } },
	{ "the first CPU has fewer", { { 70, 80 }, { 1000, 2000, 10, 60 } }, 2,
	  { { 1000, 2000 }, { 10, 80 } }, { 0, 1991 }, { { 1 }, { 0, 1 } } },
	{ "three times, one CPU was idle in the midst", { { 5000, 6000, 1000, 2000, 10, 60 }, { 5500, 5600, 20, 30 } },
	  3, { { 5000, 6000 }, { 1000, 2000 }, { 10, 60 } }, { 0, 5001, 6992 }, { { 0, 1, 2 }, { 0, 2 } } },
	{ "three times, the TSC of the midst was higher", { { 500, 600, 100, 9000, 10, 60 }, { 8000, 8500 } },
	  3, { { 500, 600 }, { 100, 9000 }, { 10, 60 } }, { 0, 501, 9492 }, { { 0, 1, 2 }, { 1 } } },
	{ "an epoch begins with what no other CPU has", { { 100, 200, 50, 60 }, { 20, 30 }, { 300, 400 } }, 2,
	  { { 100, 400 }, { 20, 60 } }, { 0, 381 }, { { 0, 1 }, { 1 }, { 0 } } },
	{ "two runs in the first and the last of three", { { 900, 990, 500, 600, 10, 60 }, { 700, 880, 70, 80 } }, 3,
	  { { 700, 990 }, { 500, 600 }, { 10, 80 } }, { 0, 491, 1082 }, { { 0, 1, 2 }, { 0, 2 } } },
};

static void make_clock(struct host_clock *clock, const struct epoch_case *c, struct trace_dat_cpu *data)
{
	*clock = (struct host_clock) { .cpus = calloc(MAX_CPUS, sizeof(*clock->cpus)) };
	assert_non_null(clock->cpus);
	for (size_t i = 0; i < MAX_CPUS; i++) {
		if (!c->times[i][0])
			continue;
		clock->cpus[clock->nr_cpus].cpu = &data[i];
		for (size_t j = 0; j < MAX_TIMES && c->times[i][j]; j++)
			assert_true(host_clock_add(&clock->cpus[clock->nr_cpus], c->times[i][j]));
		clock->nr_cpus++;
	}
}

static void test_epochs(void **state)
{
	struct trace_dat_cpu data[MAX_CPUS] = { { .cpu = 0 }, { .cpu = 1 }, { .cpu = 2 } }, other;

	for (size_t n = 0; n < sizeof(epoch_cases) / sizeof(*epoch_cases); n++) {
		const struct epoch_case *c = &epoch_cases[n];
		struct host_clock clock;

		make_clock(&clock, c, data);
		assert_int_equal(host_clock_make(&clock), 0);
		if (clock.nr_epochs != c->nr_epochs)
			fail_msg("%s: %zu epochs", c->name, clock.nr_epochs);
		for (size_t i = 0; i < c->nr_epochs; i++) {
			if (clock.epochs[i].first != c->epochs[i].first ||
			    clock.epochs[i].last != c->epochs[i].last || clock.added[i] != c->added[i])
				fail_msg("%s: epoch %zu is %lu to %lu, %lu added", c->name, i,
					 (unsigned long)clock.epochs[i].first, (unsigned long)clock.epochs[i].last,
					 (unsigned long)clock.added[i]);
		}
		for (size_t i = 0; i < MAX_CPUS; i++) {
			const struct host_clock_cpu *cpu = host_clock_cpu(&clock, &data[i]);

			assert_int_equal(!!cpu, c->times[i][0] != 0);
			for (size_t run = 0; cpu && run < cpu->nr_runs; run++) {
				if (cpu->added[run] != c->added[c->epoch_of[i][run]])
					fail_msg("%s: run %zu of CPU %zu is %lu added", c->name, run, i,
						 (unsigned long)cpu->added[run]);
			}
		}
		assert_null(host_clock_cpu(&clock, &other));
		host_clock_release(&clock);
	}
}

/* TSC values become times that never go back, and times become TSC values again */
static void test_times(void **state)
{
	for (size_t n = 0; n < sizeof(epoch_cases) / sizeof(*epoch_cases); n++) {
		const struct epoch_case *c = &epoch_cases[n];
		struct trace_dat_cpu data[MAX_CPUS];
		struct host_clock clock;

		make_clock(&clock, c, data);
		assert_int_equal(host_clock_make(&clock), 0);
		for (size_t i = 0; i < clock.nr_epochs; i++) {
			uint64_t begin = host_clock_begin(&clock, i), end = c->added[i] + c->epochs[i].last;

			assert_int_equal(begin, c->added[i] + c->epochs[i].first);
			/* Each epoch begins one cycle after the end of the one before */
			if (i)
				assert_int_equal(begin, c->added[i - 1] + c->epochs[i - 1].last + 1);
			assert_int_equal(host_clock_epoch(&clock, begin), i);
			assert_int_equal(host_clock_epoch(&clock, end), i);
			assert_int_equal(host_clock_tsc(&clock, begin), c->epochs[i].first);
			assert_int_equal(host_clock_tsc(&clock, end), c->epochs[i].last);
		}
		/* Times before the first and after the last epoch belong to these epochs */
		assert_int_equal(host_clock_epoch(&clock, 0), 0);
		if (clock.nr_epochs)
			assert_int_equal(host_clock_epoch(&clock, UINT64_MAX), clock.nr_epochs - 1);
		assert_int_equal(host_clock_tsc(&clock, 5), 5);
		host_clock_release(&clock);
	}
}

/* Readers treat times as signed numbers */
static void test_limits(void **state)
{
	static const struct { const char *name; uint64_t first, last, after; int result; } cases[] = {
		{ "the largest sum of all", INT64_MAX - 61, INT64_MAX - 61, 60, 0 },
		{ "one more", INT64_MAX - 60, INT64_MAX - 60, 60, -ERANGE },
		{ "the end of an epoch alone", INT64_MAX + 1ULL, UINT64_MAX, 60, -ERANGE },
		{ "one epoch may be anything", INT64_MAX + 1ULL, UINT64_MAX, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct host_clock clock = { .cpus = calloc(1, sizeof(*clock.cpus)), .nr_cpus = 1 };
		int ret;

		assert_non_null(clock.cpus);
		assert_true(host_clock_add(clock.cpus, cases[i].first));
		assert_true(host_clock_add(clock.cpus, cases[i].last));
		if (cases[i].after)
			assert_true(host_clock_add(clock.cpus, cases[i].after));
		ret = host_clock_make(&clock);
		if (ret != cases[i].result)
			fail_msg("%s: %d", cases[i].name, ret);
		host_clock_release(&clock);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_too_often),
		cmocka_unit_test(test_epochs),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
