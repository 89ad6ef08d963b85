// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The times at which readers show a guest's events, and their host times. The host's file may be a guest's itself,
 * and its TSC may have gone back. Conversion there and back gives the same time, or the result says that it does not.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host_file.h"
#include "merged_times.h"
#include "prng.h"
#include "time_shift.h"
#include "trace_dat.h"

#define FIRST		100000ULL
#define LAST		900000ULL
#define MAX_POINTS	8

/* A host's file with two CPUs and an optional TIME_SHIFT */
struct host_file {
	struct error		error;
	struct trace_dat_cpu	cpus[3];
	struct trace_dat_buffer	buffer;
	struct trace_dat_option	option;
	struct trace_dat	dat;
	struct host		host;
};

static void make_file(struct host_file *file, const struct time_shift *shift)
{
	void *option;
	size_t size;

	*file = (struct host_file) {
		.cpus = { { .cpu = 0, .size = 4096 }, { .cpu = 1, .size = 4096 }, { .cpu = 2 } },
		.buffer = { .name = (char *)"", .nr_cpus = 3 },
		.dat = { .path = "host.dat", .nr_buffers = 1 },
		.host = { .recorded_first = FIRST, .recorded_last = LAST, .clock = { .nr_epochs = 1 } },
	};
	file->buffer.cpus = file->cpus;
	file->dat.buffers = &file->buffer;
	file->dat.options = &file->option;
	file->dat.error = &file->error;
	file->host.dat = &file->dat;
	if (!shift)
		return;
	assert_int_equal(time_shift_encode(shift, 1, &option, &size), 0);
	file->option = (struct trace_dat_option) { .id = TRACE_DAT_TIME_SHIFT, .size = size, .data = option };
	file->dat.nr_options = 1;
}

struct own_case {
	const char		*name;
	struct time_shift_point	points[3][MAX_POINTS];
	size_t			nr_points;
	int			result;
	bool			ambiguous;
};

/* The same sync points for CPUs 0 and 1, which have data, and CPU 2, which has none */
#define ALIKE(...) { { __VA_ARGS__ }, { __VA_ARGS__ }, { __VA_ARGS__ } }

static const struct own_case own_cases[] = {
	{ "a constant", ALIKE({ 100, 5000 }, { 200, 5000 }), 2, 0, false },
	{ "a jump forward", ALIKE({ 1, 5000 }, { 299999, 5000 }, { 300000, 9000 }, { 900000, 9000 }), 4, 0, false },
	{ "a jump backward: some times are shown twice",
	  ALIKE({ 1, 5000 }, { 299999, 5000 }, { 300000, 4000 }, { 900000, 4000 }), 4, 0, true },
	{ "back by one cycle: one time is shown twice",
	  ALIKE({ 1, 5000 }, { 299999, 5000 }, { 300000, 4999 }, { 900000, 4999 }), 4, 0, true },
	{ "scaled", ALIKE({ 1, 5000 }, { 500001, 255000 }, { 1000001, 505000 }), 3, 0, false },
	{ "a jump before the recording", ALIKE({ 1, 5000 }, { 50000, 5000 }, { 50001, 2000 }, { 900000, 2000 }), 4, 0,
	  false },
	{ "a CPU without data is corrected in another way",
	  { { { 1, 5000 }, { 200, 5000 } }, { { 1, 5000 }, { 200, 5000 } }, { { 1, 7000 }, { 200, 7000 } } }, 2, 0,
	  false },
	{ "the same line, rounded in another way",
	  { { { 1, 5000 }, { 200, 5000 } }, { { 1, 5002 }, { 200, 5002 } }, { { 1, 0 }, { 2, 0 } } }, 2, 0, false },
	{ "the same line, rounded to the other side",
	  { { { 1, 5000 }, { 200, 5000 } }, { { 1, 4998 }, { 200, 4998 } }, { { 1, 0 }, { 2, 0 } } }, 2, 0, false },
	{ "more than that", { { { 1, 5000 }, { 200, 5000 } }, { { 1, 5003 }, { 200, 5003 } }, { { 1, 0 }, { 2, 0 } } },
	  2, -ERANGE, false },
	{ "less than that", { { { 1, 5000 }, { 200, 5000 } }, { { 1, 4997 }, { 200, 4997 } }, { { 1, 0 }, { 2, 0 } } },
	  2, -ERANGE, false },
	{ "a CPU that differs in the midst only",
	  { { { 1, 0 }, { 299999, 0 }, { 500000, 0 }, { 900000, 0 } },
	    { { 1, 0 }, { 299999, 0 }, { 500000, 50 }, { 900000, 0 } },
	    { { 1, 0 }, { 2, 0 }, { 3, 0 }, { 4, 0 } } }, 4, -ERANGE, false },
	{ "a CPU that differs where the first one does not bend",
	  { { { 1, 0 }, { 100, 0 }, { 200, 0 }, { 300, 0 }, { 400, 0 } },
	    { { 1, 0 }, { 299999, 0 }, { 400000, 50 }, { 500000, 0 }, { 900000, 0 } },
	    { { 1, 0 }, { 2, 0 }, { 3, 0 }, { 4, 0 }, { 5, 0 } } }, 5, -ERANGE, false },
	{ "the first CPU differs in the midst",
	  { { { 1, 0 }, { 299999, 0 }, { 500000, 50 }, { 900000, 0 } },
	    { { 1, 0 }, { 299999, 0 }, { 500000, 0 }, { 900000, 0 } },
	    { { 1, 0 }, { 2, 0 }, { 3, 0 }, { 4, 0 } } }, 4, -ERANGE, false },
	{ "CPUs that differ before the recording only",
	  { { { 1, 0 }, { 40000, 500 }, { 50000, 0 }, { 900000, 0 } },
	    { { 1, 0 }, { 40000, 0 }, { 50000, 0 }, { 900000, 0 } },
	    { { 1, 0 }, { 2, 0 }, { 3, 0 }, { 4, 0 } } }, 4, 0, false },
};

static uint64_t to_shown(const struct host_times *times, uint64_t time)
{
	return time_shift_apply(&times->to_shown, 0, time);
}

static uint64_t from_shown(const struct host_times *times, uint64_t shown)
{
	return time_shift_apply(&times->from_shown, 0, shown);
}

/* To one cycle: readers round twice if the host's own TSC is scaled */
static void check_round_trip(const char *name, const struct host_times *times, uint64_t time)
{
	uint64_t back = from_shown(times, to_shown(times, time));

	if (back - time + 1 > 2)
		fail_msg("%s: %lu is shown at %lu, and that is %lu", name, (unsigned long)time,
			 (unsigned long)to_shown(times, time), (unsigned long)back);
}

static void test_own_shift(void **state)
{
	uint64_t seed = 72;

	for (size_t i = 0; i < sizeof(own_cases) / sizeof(*own_cases); i++) {
		const struct own_case *c = &own_cases[i];
		struct time_shift_point points[3 * MAX_POINTS];
		struct time_shift shift = { 3, c->nr_points, points };
		struct host_times times;
		struct host_file file;
		int ret;

		for (size_t cpu = 0; cpu < 3; cpu++)
			memcpy(&points[cpu * c->nr_points], c->points[cpu], c->nr_points * sizeof(*points));
		make_file(&file, &shift);
		ret = host_times_read(&times, &file.host);
		if (ret != c->result || (!ret && times.ambiguous != c->ambiguous))
			fail_msg("%s: %d, ambiguous is %d", c->name, ret, times.ambiguous);
		assert_int_equal(file.error.code != 0, ret != 0);
		for (uint64_t n = 0; !ret && n < 2000; n++) {
			uint64_t time = n < 5 ? FIRST + n : n < 10 ? LAST - n + 5 :
					n < 30 ? 300000 - 10 + n - 10 : prng_range(&seed, FIRST, LAST);
			uint64_t shown = time_shift_apply(&times.shown.shift, 0, time);

			/* The same as the reader of the host's file itself, to one cycle */
			if (to_shown(&times, time) - shown + 1 > 2)
				fail_msg("%s: %lu is shown at %lu, not %lu", c->name, (unsigned long)time,
					 (unsigned long)shown, (unsigned long)to_shown(&times, time));
			if (!c->ambiguous)
				check_round_trip(c->name, &times, time);
		}
		assert_int_equal(times.bends, true);
		host_times_release(&times);
		free(file.option.data);
	}
}

/* Too many sync points of too many CPUs: comparing all would take minutes */
static void test_too_many(void **state)
{
	struct time_shift shift = { 1, 1024, calloc(1024, sizeof(*shift.points)) };
	struct trace_dat_cpu *cpus = calloc(1100, sizeof(*cpus));
	struct host_times times;
	struct host_file file;

	assert_non_null(shift.points);
	assert_non_null(cpus);
	for (size_t i = 0; i < 1024; i++)
		shift.points[i].guest_tsc = i + 1;
	for (size_t i = 0; i < 1100; i++)
		cpus[i].size = 4096;
	make_file(&file, &shift);
	file.buffer.cpus = cpus;
	file.buffer.nr_cpus = 1000;
	assert_int_equal(host_times_read(&times, &file.host), 0);
	host_times_release(&times);
	file.buffer.nr_cpus = 1100;
	assert_int_equal(host_times_read(&times, &file.host), -E2BIG);
	host_times_release(&times);
	free(file.option.data);
	free(cpus);
	free(shift.points);
}

struct epoch_case {
	const char	*name;
	size_t		nr;
	struct host_run	epochs[3];
	bool		ambiguous;
};

static const struct epoch_case epoch_cases[] = {
	{ "it slept once", 2, { { 500000, 900000 }, { 1000, 2000 } }, false },
	{ "it slept twice, the last is between", 3, { { 500000, 900000 }, { 1000, 2000 }, { 3000, 400000 } }, false },
	{ "one event in an epoch", 2, { { 500000, 900000 }, { 1000, 1000 } }, false },
	{ "the TSC began anew and came to where it was", 2, { { 500000, 900000 }, { 1000, 600000 } }, true },
	{ "it came to the first time", 2, { { 500000, 900000 }, { 1000, 500000 } }, true },
	{ "it came to one cycle before that", 2, { { 500000, 900000 }, { 1000, 499999 } }, false },
};

static void test_epochs(void **state)
{
	for (size_t n = 0; n < sizeof(epoch_cases) / sizeof(*epoch_cases); n++) {
		const struct epoch_case *c = &epoch_cases[n];
		struct host_times times;
		struct host_file file;

		make_file(&file, NULL);
		file.host.clock.nr_epochs = c->nr;
		for (size_t i = 0; i < c->nr; i++) {
			file.host.clock.epochs[i] = c->epochs[i];
			if (i)
				file.host.clock.added[i] = file.host.clock.added[i - 1] + c->epochs[i - 1].last + 1 -
							   c->epochs[i].first;
		}
		assert_int_equal(host_times_read(&times, &file.host), 0);
		if (times.ambiguous != c->ambiguous || !times.bends)
			fail_msg("%s: ambiguous is %d", c->name, times.ambiguous);
		for (size_t i = 0; i < c->nr; i++) {
			uint64_t added = file.host.clock.added[i], last = c->epochs[i].last;

			for (uint64_t tsc = c->epochs[i].first; tsc <= last; tsc += (last - tsc) / 3 + 1) {
				if (to_shown(&times, added + tsc) != tsc)
					fail_msg("%s: %lu of epoch %zu is shown at %lu", c->name, (unsigned long)tsc, i,
						 (unsigned long)to_shown(&times, added + tsc));
				if (!c->ambiguous && from_shown(&times, tsc) != added + tsc)
					fail_msg("%s: %lu of epoch %zu is %lu", c->name, (unsigned long)tsc, i,
						 (unsigned long)from_shown(&times, tsc));
			}
		}
		host_times_release(&times);
	}
}

static void test_straight(void **state)
{
	struct host_times times;
	struct host_file file;

	make_file(&file, NULL);
	assert_int_equal(host_times_read(&times, &file.host), 0);
	assert_true(!times.bends && !times.ambiguous);
	assert_int_equal(from_shown(&times, 4711), 4711);
	assert_int_equal(to_shown(&times, 4711), 4711);
	host_times_release(&times);
}

static void test_both(void **state)
{
	struct time_shift_point points[] = { { 1, 5 }, { 2, 5 } };
	struct time_shift shift = { 1, 2, points };
	struct host_times times;
	struct host_file file;

	make_file(&file, &shift);
	file.host.clock.nr_epochs = 2;
	assert_int_equal(host_times_read(&times, &file.host), -ERANGE);
	assert_non_null(strstr(file.error.text, "TSC went back"));
	host_times_release(&times);
	free(file.option.data);
}

/* All parts together: the guest's TIME_SHIFT, the added offset, and the inverse of the host file's own shift */
static void test_merged(void **state)
{
	struct time_shift_point points[] = { { 1, 5000 }, { 2, 5000 }, { 1, 5000 }, { 2, 5000 } };
	struct time_shift_point sync_points[] = { { 1, 300 }, { 2, 300 } };
	struct time_shift shift = { 2, 2, points }, guest_shift = { 1, 2, sync_points };
	struct trace_dat_buffer top = { .name = (char *)"" }, instance = { .name = (char *)"inst" };
	struct host_file file, guest_file;
	struct shown_times guest;
	struct merged_times times, of_instance, of_top;
	struct host_times host;

	make_file(&file, &shift);
	make_file(&guest_file, &guest_shift);
	assert_int_equal(host_times_read(&host, &file.host), 0);
	assert_int_equal(shown_times_read(&guest, &guest_file.dat), 0);
	times = (struct merged_times) { .guest = &guest.shift, .host = &host, .added = -40 };
	assert_int_equal(merged_time(&times, 0, 600000), 600000 + 300 - 40 - 5000);
	/* CPUs that are missing in the TIME_SHIFT, and instances, are not corrected by it */
	assert_int_equal(merged_time(&times, 1, 600000), 600000 - 40 - 5000);
	of_instance = merged_times_of(&times, &instance);
	assert_int_equal(merged_time(&of_instance, 0, 600000), 600000 - 40 - 5000);
	of_top = merged_times_of(&times, &top);
	assert_int_equal(merged_time(&of_top, 0, 600000), 600000 + 300 - 40 - 5000);
	shown_times_release(&guest);
	host_times_release(&host);
	free(file.option.data);
	free(guest_file.option.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_shift),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_epochs),
		cmocka_unit_test(test_straight),
		cmocka_unit_test(test_both),
		cmocka_unit_test(test_merged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
