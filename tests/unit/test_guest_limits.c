// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * A guest that changes its TSC as often as it can, with an agent that reports any number of CPUs. Memory is bounded;
 * later changes are dropped, and a message says so.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "fake_kvmhost.h"
#include "guest_clock.h"
#include "time_shift.h"

#define MIB		(1UL << 20)
/* The limit of what is written into the guest's file */
#define MAX_BYTES	(96 * MIB)
#define POINT_SIZE	(4 * sizeof(int64_t))

static struct guest_clock *begin(size_t nr_cpus, uint32_t nr_vcpus)
{
	struct guest_clock *clock;

	fake_kvmhost_begin(nr_vcpus, 0);
	assert_int_equal(guest_clock_open(&clock, FAKE_PID, nr_cpus, 1), 0);
	return clock;
}

/* The bytes that trace-cmd would get and write into the file */
static size_t bytes_of(struct guest_clock *clock, size_t nr_cpus)
{
	struct time_shift shift;
	size_t bytes;

	assert_int_equal(guest_clock_time_shift(clock, &shift), 0);
	assert_int_equal(shift.nr_vcpus, nr_cpus);
	bytes = nr_cpus * shift.nr_points * POINT_SIZE;
	time_shift_release(&shift);
	return bytes;
}

static const struct {
	size_t		nr_cpus;	/* as the agent reports */
	uint32_t	nr_vcpus;
} guests[] = { { 1, 1 }, { 1, 2 }, { 64, 2 }, { 40000, 1 } };

static void test_too_many_changes(void **state)
{
	for (size_t i = 0; i < sizeof(guests) / sizeof(guests[0]); i++) {
		struct guest_clock *clock = begin(guests[i].nr_cpus, guests[i].nr_vcpus);
		size_t bytes = 0;

		for (int round = 0; round < 2; round++) {
			fake_kvmhost_flood(800000, guests[i].nr_vcpus);
			bytes = bytes_of(clock, guests[i].nr_cpus);
			assert_true(bytes <= MAX_BYTES);
		}
		/* There is room for many changes. A message says that later ones are not read. */
		assert_true(bytes > MAX_BYTES / 3);
		assert_int_equal(fake_kvmhost_said("cannot continue reading offset changes (there are too many)"), 1);
		guest_clock_close(clock, 0);
		assert_int_equal(fake_kvmhost_said("see above"), 1);
		print_message("%zu CPUs, %u vCPUs: %zu MiB\n", guests[i].nr_cpus, guests[i].nr_vcpus, bytes / MIB);
	}
}

/* CPUs that only the agent reports get the last mapping of the first vCPU */
static void test_absent(void **state)
{
	struct guest_clock *clock = begin(3, 2);
	const struct time_shift_point *points;
	struct time_shift shift;

	fake_kvmhost_flood(10, 1);
	assert_int_equal(guest_clock_time_shift(clock, &shift), 0);
	points = time_shift_vcpu(&shift, 2);
	for (size_t i = 0; i < shift.nr_points; i++)
		assert_int_equal(points[i].correction, -10 * FAKE_FLOOD_MOVE);
	/* The other CPUs have their own histories */
	assert_int_equal(time_shift_vcpu(&shift, 0)[0].correction, 0);
	assert_int_equal(time_shift_vcpu(&shift, 1)[shift.nr_points - 1].correction, 0);
	time_shift_release(&shift);
	guest_clock_close(clock, 0);
}

static void test_too_many_cpus(void **state)
{
	static const size_t too_many[] = { 1000000, 1UL << 31, SIZE_MAX };
	struct guest_clock *clock;

	for (size_t i = 0; i < sizeof(too_many) / sizeof(too_many[0]); i++)
		assert_int_equal(guest_clock_open(&clock, FAKE_PID, too_many[i], 1), -E2BIG);
}

/* The peak memory of all tests in this process; trace-cmd's copies are not included */
static void test_memory(void **state)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	print_message("%ld MiB at most\n", usage.ru_maxrss / 1024);
#ifndef __SANITIZE_ADDRESS__
	assert_true(usage.ru_maxrss / 1024 < 512);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_absent),
		cmocka_unit_test(test_too_many_cpus),
		cmocka_unit_test(test_too_many_changes),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests_name("guest_limits", tests, NULL, NULL);
}
