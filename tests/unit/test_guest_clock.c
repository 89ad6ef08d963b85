// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The core of the hook, on a fake host (fake_kvmhost.c). The sync points must convert the guest's times to their true
 * host times, or a message must say why they do not.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "fake_kvmhost.h"
#include "guest_clock.h"
#include "record_instance.h"
#include "synced_guest.h"
#include "time_shift.h"
#include "time_shift_reader.h"

static void test_offsets_of_debugfs(void **state)
{
	struct guest_clock *clock;

	fake_kvmhost_begin(1, OFFSET);
	fake_kvmhost_add(1, 3, &(struct tsc_mapping) { .offset = 77 });
	clock = open_clock(2);
	fake_kvmhost_pass(FAR);
	check_sync(clock, host.tsc - FAR);
	check_close(clock, 1);
}

/* The guest can record events for some seconds after the last synchronisation */
static void test_runs_on(void **state)
{
	static const double speeds[] = { 0.77, 1, 1.0003, 1.3 };
	const uint64_t second = 3000000000;

	for (size_t speed = 0; speed < sizeof(speeds) / sizeof(*speeds); speed++) {
		struct time_shift_reader reader;
		struct guest_clock *clock;

		fake_kvmhost_begin(0, 0);
		fake_kvmhost_add(0, 0, &SCALED(speeds[speed]));
		clock = open_clock(1);
		fake_kvmhost_move(0, OFFSET + 1000);
		sync_clock(clock, &reader);
		for (uint64_t after = 0; after <= 4 * second; after += second / 8)
			check_time(&reader, 0, &host.vcpus[0].map, host.tsc + after);
		time_shift_reader_release(&reader);
		check_close(clock, 1);
	}
}

static void test_changes_after_the_last_sync(void **state)
{
	struct guest_clock *clock;

	fake_kvmhost_begin(2, OFFSET);
	clock = open_clock(2);
	fake_kvmhost_move(0, OFFSET + 1000);
	check_sync(clock, host.opened);
	fake_kvmhost_move(1, OFFSET + 1000);
	fake_kvmhost_move(1, OFFSET + 2000);
	check_close(clock, 2);
	assert_int_equal(fake_kvmhost_said("vCPU 1: 2 changes"), 1);
}

/* Times that a guest had twice. Each jump backward is reported, up to a limit; one line counts the rest. */
static void test_backward(void **state)
{
	for (size_t nr = 1; nr <= 20; nr += 19) {
		struct guest_clock *clock;
		struct time_shift_reader reader;
		char word[20];

		fake_kvmhost_begin(1, OFFSET);
		clock = open_clock(1);
		for (size_t i = 1; i <= nr; i++)
			fake_kvmhost_move(0, OFFSET - (int64_t)i * 1000);
		sync_clock(clock, &reader);
		time_shift_reader_release(&reader);
		guest_clock_close(clock, 0);
		assert_true(fake_kvmhost_said("backward") >= 1);
		if (nr == 1)
			continue;
		assert_true(fake_kvmhost_said("backward") < nr / 2);
		snprintf(word, sizeof(word), "%zu more", nr - fake_kvmhost_said("backward"));
		assert_int_equal(fake_kvmhost_said(word), 1);
	}
}

/*
 * The clock reads debugfs once more at the end. Neither a change at that moment nor events without a previous offset
 * cause a doubt.
 */
static void test_contradicted(void **state)
{
	bool changed = true;

	for (int silent = 0; silent < 2; silent++) {
		struct guest_clock *clock;

		fake_kvmhost_begin(1, OFFSET);
		host.silent = silent;
		clock = open_clock(1);
		fake_kvmhost_move(0, OFFSET + 1000);
		check_sync(clock, host.opened);
		host.vcpus[0].map.offset += 5;
		check_close(clock, silent ? 1 : 2);
	}
	for (unsigned long at = 1; changed; at++) {
		struct guest_clock *clock;

		fake_kvmhost_begin(1, OFFSET);
		clock = open_clock(1);
		fake_kvmhost_move(0, OFFSET + 1000);
		check_sync(clock, host.opened);
		host.step_at = host.steps + at;
		host.at_step = move_all;
		guest_clock_close(clock, 0);
		assert_int_equal(fake_kvmhost_said("debugfs"), 0);
		changed = !host.at_step;
	}
}

/* Guest times on both sides of 2^63 cannot be expressed: no sync points are written, not even for earlier times */
static void test_cannot_be_expressed(void **state)
{
	struct guest_clock *clock;
	struct time_shift shift;

	fake_kvmhost_begin(2, OFFSET);
	clock = open_clock(2);
	fake_kvmhost_pass(FAR);
	check_sync(clock, host.opened);
	fake_kvmhost_move(1, INT64_MAX + 2 * OFFSET);
	assert_int_equal(guest_clock_time_shift(clock, &shift), -ERANGE);
	assert_int_equal(shift.nr_points, 0);
	time_shift_release(&shift);
	guest_clock_close(clock, -ERANGE);
	assert_int_equal(fake_kvmhost_said("cannot be passed to trace-cmd"), 1);
	assert_int_equal(fake_kvmhost_said("see above"), 1);
}

static void refused(int error)
{
	struct guest_clock *clock;

	assert_int_equal(guest_clock_open(&clock, FAKE_PID, 2, 1), error);
	assert_int_equal(host.instances, 0);
}

/* Guests whose offset the host cannot know are refused; nothing is left of the attempt */
static void test_refused(void **state)
{
	fake_kvmhost_begin(2, OFFSET);
	host.tsc_protected = true;
	refused(-EOPNOTSUPP);

	/* Without debugfs an event reports that the TSC is protected */
	fake_kvmhost_begin(1, OFFSET);
	host.has_debugfs = false;
	host.boot_instance = true;
	fake_kvmhost_event(&(struct tsc_offset_event) { .tid = FAKE_PID, .vm_fd = -1, .tsc_protected = true });
	refused(-EOPNOTSUPP);

	fake_kvmhost_begin(1, OFFSET);
	host.debugfs_error = -EEXIST;
	refused(-EEXIST);

	/* Several VMs, and no debugfs to tell them apart */
	fake_kvmhost_begin(1, 0);
	host.has_debugfs = false;
	host.boot_instance = true;
	host.nr_vms = 2;
	fake_kvmhost_move(0, OFFSET);
	refused(-EEXIST);

	fake_kvmhost_begin(1, OFFSET);
	host.open_error = -EACCES;
	refused(-EACCES);

	/* Neither debugfs nor the boot instance shows a vCPU */
	fake_kvmhost_begin(0, OFFSET);
	refused(-ENODATA);
	fake_kvmhost_begin(1, OFFSET);
	host.debugfs_error = -ENOENT;
	refused(-ENODATA);
}

/* A child of trace-cmd would keep the instance busy, so it closes its files; the parent continues */
static void test_forked(void **state)
{
	struct guest_clock *clock;

	fake_kvmhost_begin(1, OFFSET);
	clock = open_clock(1);
	guest_clock_forked(clock);
	assert_int_equal(host.closed_fds, 1);
	fake_kvmhost_move(0, OFFSET + 1000);
	check_sync(clock, host.opened);
	check_close(clock, 1);
}

/* At the end of the process other threads may still use the clock */
static void test_abandoned(void **state)
{
	struct guest_clock *clock;

	fake_kvmhost_begin(1, OFFSET);
	clock = open_clock(1);
	fake_kvmhost_move(0, OFFSET + 1000);
	check_sync(clock, host.opened);
	guest_clock_abandon(clock);
	assert_int_equal(host.instances, 0);
	assert_true(has_offset(clock, 0, OFFSET + 1000));
	check_sync(clock, host.opened);
	guest_clock_close(clock, 0);
}

static void test_instance_stays(void **state)
{
	struct guest_clock *clock;

	fake_kvmhost_begin(1, OFFSET);
	clock = open_clock(1);
	host.close_error = -EBUSY;
	check_sync(clock, host.opened);
	guest_clock_close(clock, 0);
	assert_int_equal(fake_kvmhost_said(RECORD_INSTANCE_PREFIX), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offsets_of_debugfs),
		cmocka_unit_test(test_runs_on),
		cmocka_unit_test(test_changes_after_the_last_sync),
		cmocka_unit_test(test_backward),
		cmocka_unit_test(test_contradicted),
		cmocka_unit_test(test_cannot_be_expressed),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_forked),
		cmocka_unit_test(test_abandoned),
		cmocka_unit_test(test_instance_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
