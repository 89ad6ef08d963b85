// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* The host times at which a guest took its snapshots of clocks, found by the history of its TSC. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "assert_within.h"
#include "clock_rows.h"
#include "guest_places.h"
#include "history.h"

#define HZ	2500000000ULL
#define NS	1000000000ULL
#define START	(100 * HZ)
#define OFFSET	(-(int64_t)(50 * HZ))
#define ROWS	7

static struct vm_history vm;
static struct clock_row row[ROWS];
static struct clock_rows rows = { .rows = row, .nr = ROWS };
static struct guest_places places;
static const struct clock_rate rate = { NS, HZ };

static int teardown(void **state)
{
	guest_places_release(&places);
	vm_history_release(&vm);
	memset(&vm, 0, sizeof(vm));
	memset(row, 0, sizeof(row));
	return 0;
}

static uint64_t second(double seconds)
{
	return START + (uint64_t)(int64_t)(seconds * (double)HZ);
}

static void change(uint32_t vcpu_id, double seconds, int64_t from, int64_t to)
{
	struct tsc_mapping before = { .offset = from }, after = { .offset = to };

	assert_int_equal(vcpu_history_add(vm_history_vcpu(&vm, vcpu_id), second(seconds), &after, &before), 0);
}

static void initial(uint32_t vcpu_id, int64_t offset)
{
	vcpu_history_set_initial(vm_history_vcpu(&vm, vcpu_id), &(struct tsc_mapping) { .offset = offset });
}

/* A snapshot every ten seconds. The clock starts at 1 s and jumps by @moved ns at @since. */
static void snapshots(uint32_t vcpu_id, double since, int64_t moved)
{
	for (size_t i = 0; i < ROWS; i++) {
		uint64_t host = second(10.0 * (double)i);
		struct tsc_mapping map;

		assert_true(vcpu_history_at(vm_history_vcpu(&vm, vcpu_id), host, &map));
		row[i].has = 1 << CLOCK_ID_BOOTTIME | 1 << CLOCK_ID_TSC;
		row[i].values[CLOCK_ID_TSC] = tsc_guest_from_host(&map, host);
		row[i].values[CLOCK_ID_BOOTTIME] = NS + 10 * i * NS +
			(uint64_t)(10.0 * (double)i >= since ? moved : 0);
	}
}

static int find(void)
{
	return guest_places_find(&places, &rows, &vm, &rate);
}

static void found(void)
{
	assert_int_equal(find(), 0);
	assert_int_equal(places.nr, ROWS);
	for (size_t i = 0; i < ROWS; i++)
		assert_int_equal(places.places[i].host_tsc, second(10.0 * (double)i));
}

static void certain(void)
{
	found();
	assert_int_equal(places.nr_broken, 0);
	assert_int_equal(places.nr_impossible, 0);
	assert_int_equal(places.unclear, 0);
	assert_int_equal(places.rivals, 0);
}

static bool host_tsc(uint64_t boottime, uint64_t *tsc)
{
	struct clock_line line;
	line_time at;
	bool known;

	assert_int_equal(guest_places_line(&places, CLOCK_ID_BOOTTIME, &line), 0);
	known = clock_line_at(&line, line_time_of(boottime), &at);
	clock_line_release(&line);
	*tsc = known ? (uint64_t)(at >> CLOCK_LINE_BITS) : 0;
	return known;
}

static void test_still(void **state)
{
	uint64_t tsc;

	initial(0, OFFSET);
	snapshots(0, 0, 0);
	certain();
	assert_int_equal(places.nr_jumps, 0);
	assert_true(host_tsc(NS + 25 * NS, &tsc));
	assert_int_equal(tsc, second(25));
}

static void runs_on(int64_t jump)
{
	uint64_t tsc, from, to;

	change(0, 25, OFFSET, OFFSET + jump);
	change(0, 75, OFFSET + jump, OFFSET);
	snapshots(0, 0, 0);
	certain();
	assert_int_equal(places.nr_jumps, 1);
	assert_int_equal(places.model, CLOCK_RUNS_ON);
	assert_true(host_tsc(NS + 24 * NS, &tsc));
	assert_int_equal(tsc, second(24));
	assert_true(host_tsc(NS + 26 * NS, &tsc));
	assert_int_equal(tsc, second(26));
	guest_places_limits(&places, &from, &to);
	assert_int_equal(to, UINT64_MAX);
	guest_places_release(&places);
	vm_history_release(&vm);
	memset(&vm, 0, sizeof(vm));
}

static void test_runs_on(void **state)
{
	runs_on((int64_t)HZ * 3);
	runs_on(-(int64_t)HZ * 3);
	runs_on((int64_t)HZ / 1000);
	runs_on(-(int64_t)HZ / 1000);
}

static void test_jumps(void **state)
{
	uint64_t tsc, from, to;

	change(0, 25, OFFSET, OFFSET + 3 * (int64_t)HZ);
	change(0, 75, OFFSET + 3 * (int64_t)HZ, OFFSET);
	snapshots(0, 25, 3 * (int64_t)NS);
	certain();
	assert_int_equal(places.model, CLOCK_JUMPS);
	assert_true(host_tsc(NS + 24 * NS, &tsc));
	assert_int_equal(tsc, second(24));
	/* A value that the clock never had */
	assert_false(host_tsc(NS + 26 * NS, &tsc));
	assert_true(host_tsc(NS + 29 * NS, &tsc));
	assert_int_equal(tsc, second(26));
	/* The next jump is not between snapshots */
	guest_places_limits(&places, &from, &to);
	assert_int_equal(to, second(75) - 1);
}

/* Jumps before the first and after the last snapshot */
static void test_limits(void **state)
{
	uint64_t from, to;

	change(0, -5, OFFSET, OFFSET + 5);
	change(0, 65, OFFSET + 5, OFFSET + 7);
	snapshots(0, 0, 0);
	certain();
	guest_places_limits(&places, &from, &to);
	assert_int_equal(from, second(-5));
	assert_int_equal(to, second(65) - 1);
}

static void test_unclear(void **state)
{
	change(0, 25, OFFSET, OFFSET + 100);
	snapshots(0, 25, 20);
	found();
	assert_within(places.unclear, 99, 101);
}

/* A jump there and back between two snapshots, or a clock that stood still: nothing is known of the times in between */
static void test_broken(void **state)
{
	uint64_t tsc;

	change(0, 23, OFFSET, OFFSET + (int64_t)HZ);
	change(0, 27, OFFSET + (int64_t)HZ, OFFSET);
	snapshots(0, 0, 0);
	found();
	assert_int_equal(places.nr_broken, 1);
	assert_false(host_tsc(NS + 25 * NS, &tsc));
	assert_true(host_tsc(NS + 35 * NS, &tsc));
	guest_places_release(&places);
	snapshots(0, 30, -5 * (int64_t)NS);
	found();
	assert_int_equal(places.nr_broken, 1);
	assert_false(host_tsc(NS + 22 * NS, &tsc));
}

/* vCPUs with different offsets: any of them may have taken the snapshots */
static void test_vcpus(void **state)
{
	initial(0, OFFSET);
	initial(1, OFFSET);
	snapshots(1, 0, 0);
	certain();
	guest_places_release(&places);
	initial(1, OFFSET + 1000);
	assert_int_equal(find(), 0);
	assert_int_equal(places.rivals, 1000);
	assert_int_equal(places.nr_broken, 0);
}

static void test_wrong_vm(void **state)
{
	initial(0, OFFSET);
	snapshots(0, 0, 0);
	/* Before the host started */
	initial(0, OFFSET + 500 * (int64_t)HZ);
	assert_int_equal(find(), -ENOENT);
	assert_int_equal(places.nr_impossible, ROWS);
	guest_places_release(&places);
	/* Another TSC ratio */
	vm.vcpus[0].initial = (struct tsc_mapping) { .offset = OFFSET, .ratio = 5, .frac_bits = 2 };
	assert_int_equal(find(), -ENOENT);
	assert_int_equal(places.nr_impossible, 0);
}

static void test_late(void **state)
{
	initial(0, OFFSET);
	snapshots(0, 0, 0);
	for (size_t i = 0; i < ROWS; i++) {
		row[i].has |= 1 << CLOCK_ID_MONOTONIC_RAW;
		row[i].values[CLOCK_ID_MONOTONIC_RAW] = row[i].values[CLOCK_ID_BOOTTIME] + 7;
	}
	row[3].values[CLOCK_ID_TSC] += 9000;
	assert_int_equal(find(), 0);
	assert_int_equal(places.places[3].host_tsc, second(30) + 9000);
	assert_int_equal(guest_places_correct(&places), 9000);
	for (size_t i = 0; i < ROWS; i++)
		assert_int_equal(places.places[i].host_tsc, second(10.0 * (double)i));
	/* So large a delay is not a late snapshot */
	places.places[3].host_tsc += HZ / 10;
	assert_int_equal(guest_places_correct(&places), 0);
	assert_int_equal(places.places[3].host_tsc, second(30) + HZ / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_still, teardown),
		cmocka_unit_test_teardown(test_runs_on, teardown),
		cmocka_unit_test_teardown(test_jumps, teardown),
		cmocka_unit_test_teardown(test_limits, teardown),
		cmocka_unit_test_teardown(test_unclear, teardown),
		cmocka_unit_test_teardown(test_broken, teardown),
		cmocka_unit_test_teardown(test_vcpus, teardown),
		cmocka_unit_test_teardown(test_wrong_vm, teardown),
		cmocka_unit_test_teardown(test_late, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
