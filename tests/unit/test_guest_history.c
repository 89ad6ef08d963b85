// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The offsets of a guest's vCPUs, from the host's events, the boot instance and debugfs, whatever the host does
 * during the recording.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_kvmhost.h"
#include "guest_clock.h"
#include "history.h"
#include "synced_guest.h"
#include "time_shift_reader.h"

static void test_changes(void **state)
{
	struct guest_clock *clock;
	uint64_t from;

	fake_kvmhost_begin(3, OFFSET);
	from = host.tsc;
	clock = open_clock(3);
	for (int64_t i = 1; i <= 10; i++) {
		fake_kvmhost_pass(FAR);
		fake_kvmhost_move(i % 2, OFFSET + i * 1000);
		if (i % 3 == 0)
			check_sync(clock, from);
	}
	fake_kvmhost_pass(FAR);
	check_sync(clock, from);
	assert_true(has_offset(clock, 0, OFFSET + 10000));
	assert_true(has_offset(clock, 1, OFFSET + 9000));
	check_close(clock, 1);
	assert_int_equal(fake_kvmhost_said("10 changes"), 1);
}

enum sources { DEBUGFS, BOOT_INSTANCE, BOTH };

static void begin_with(enum sources sources)
{
	fake_kvmhost_begin(2, 0);
	host.boot_instance = sources != DEBUGFS;
	host.has_debugfs = sources != BOOT_INSTANCE;
	for (size_t vcpu = 0; vcpu < 2; vcpu++)
		fake_kvmhost_move(vcpu, OFFSET + (int64_t)vcpu);
}

/*
 * A change between any two steps of the clock. After the next synchronisation all times are right from the moment at
 * which its instance began to record.
 */
static void test_change_at_any_moment(void **state)
{
	for (enum sources sources = DEBUGFS; sources <= BOTH; sources++) {
		bool changed = true;

		for (unsigned long at = 1; changed; at++) {
			struct time_shift_reader reader;
			struct guest_clock *clock;

			begin_with(sources);
			host.step_at = at;
			host.at_step = move_all;
			clock = open_clock(2);
			sync_clock(clock, &reader);
			time_shift_reader_release(&reader);
			changed = !host.at_step;
			host.at_step = NULL;
			fake_kvmhost_pass(FAR);
			check_sync(clock, host.opened);
			/* Without debugfs the clock does not know whether the guest is scaled */
			check_close(clock, sources == BOOT_INSTANCE ? 2 : 1);
		}
	}
}

/* A hypervisor whose events do not report the previous offset, with an initial offset that was read and without one */
static void test_silent_events(void **state)
{
	for (int known = 0; known < 2; known++) {
		struct time_shift_reader reader;
		struct guest_clock *clock;

		fake_kvmhost_begin(2, OFFSET);
		host.silent = true;
		host.vcpus[1].nested = known ? 0 : UINT32_MAX;
		clock = open_clock(2);
		for (int64_t i = 1; i <= 2; i++) {
			fake_kvmhost_pass(FAR);
			fake_kvmhost_move(1, OFFSET + i * 1000);
		}
		sync_clock(clock, &reader);
		/* The offset that its own first event set is the best guess */
		check_time(&reader, 1, &host.vcpus[1].maps[!known], host.opened);
		time_shift_reader_release(&reader);
		check_close(clock, known ? 1 : 3);
		assert_int_equal(fake_kvmhost_said("assuming"), known ? 0 : 2);
	}
}

/* A lost event is noticed only if the initial offset was read before it */
static void test_event_lost_after_initial_offset(void **state)
{
	struct guest_clock *clock;

	fake_kvmhost_begin(2, OFFSET);
	clock = open_clock(2);
	fake_kvmhost_move(0, OFFSET + 1000);
	assert_int_equal(host.nr_events, 1);
	host.nr_events = 0;
	fake_kvmhost_move(0, OFFSET + 2000);
	check_sync(clock, host.vcpus[0].since[1]);
	check_close(clock, 2);
	assert_int_equal(fake_kvmhost_said("incomplete"), 1);
}

static void test_events_lost(void **state)
{
	struct guest_clock *clock;

	fake_kvmhost_begin(1, OFFSET);
	clock = open_clock(1);
	fake_kvmhost_move(0, OFFSET + 1000);
	host.lost = true;
	check_sync(clock, host.opened);
	check_sync(clock, host.opened);
	check_close(clock, 2);
	assert_int_equal(fake_kvmhost_said("lost"), 1);
}

/* The last value in the boot instance is the current one. Events of other VMs do not count. */
static void test_boot_instance(void **state)
{
	for (int patched = 0; patched < 2; patched++) {
		struct tsc_offset_event other = { .tid = FAKE_PID + 7, .next = 1, .vm_fd = -1 };
		struct guest_clock *clock;

		fake_kvmhost_begin(2, OFFSET);
		host.has_debugfs = false;
		host.patched = patched;
		for (size_t vcpu = 0; vcpu < 2; vcpu++)
			fake_kvmhost_add(vcpu, 4 * vcpu, &SCALED(patched ? 1.25 : 0));
		host.boot_instance = true;
		for (int64_t i = 1; i <= 3; i++) {
			fake_kvmhost_move(1, OFFSET + 1000 * i);
			fake_kvmhost_move(0, OFFSET - 1000 * i);
		}
		for (other.vcpu_id = 0; other.vcpu_id < 8; other.vcpu_id++)
			fake_kvmhost_event(&other);
		clock = open_clock(2);
		assert_true(has_offset(clock, 0, OFFSET - 3000));
		assert_true(has_offset(clock, 1, OFFSET + 3000));
		fake_kvmhost_pass(FAR);
		check_sync(clock, host.opened);
		/* A stock kernel's events do not report whether the guest is scaled */
		check_close(clock, patched ? 1 : 2);
		assert_int_equal(fake_kvmhost_said("scaled"), !patched);
	}
}

/* The boot instance has the offset of a vCPU that runs a nested guest; debugfs has the ratio of the others */
static void test_boot_instance_and_debugfs(void **state)
{
	struct guest_clock *clock;

	fake_kvmhost_begin(0, 0);
	for (size_t vcpu = 0; vcpu < 2; vcpu++)
		fake_kvmhost_add(vcpu, vcpu, &SCALED(1.25));
	host.boot_instance = true;
	fake_kvmhost_move(0, OFFSET + 1000);
	fake_kvmhost_move(1, OFFSET + 1000);
	host.vcpus[1].nested = 3;
	clock = open_clock(2);
	fake_kvmhost_pass(FAR);
	check_sync(clock, host.opened);
	check_close(clock, 1);

	/* Both have the offset, and differ */
	host.vcpus[0].map.offset += 5;
	clock = open_clock(2);
	assert_true(has_offset(clock, 0, OFFSET + 1000));
	assert_int_equal(fake_kvmhost_said("using the instance"), 1);
	guest_clock_close(clock, 0);

	/* As before, but the instance lost events */
	host.boot_lost = true;
	clock = open_clock(2);
	assert_true(has_offset(clock, 0, OFFSET + 1005));
	assert_int_equal(fake_kvmhost_said("using the instance"), 1);
	guest_clock_close(clock, 0);
}

/*
 * Events of a stock kernel do not report the ratio: the one from debugfs
 * stays valid. Events of a patched kernel report it.
 */
static void test_scaled(void **state)
{
	for (int patched = 0; patched < 2; patched++) {
		struct guest_clock *clock;

		fake_kvmhost_begin(0, 0);
		fake_kvmhost_add(0, 0, &SCALED(1.25));
		host.patched = patched;
		clock = open_clock(1);
		fake_kvmhost_pass(FAR);
		fake_kvmhost_move(0, OFFSET + 1000);
		fake_kvmhost_pass(FAR);
		if (patched)
			fake_kvmhost_change(0, &SCALED(1.5));
		fake_kvmhost_pass(FAR);
		check_sync(clock, host.opened);
		check_close(clock, 1);
	}
}

/* Whether the clock takes this event for its guest. @vm_id: the number of the guest's VM in debugfs, 0 for none */
static bool takes(struct tsc_offset_event *event, uint64_t vm_id)
{
	struct time_shift_reader reader;
	struct guest_clock *clock;
	bool ours;

	fake_kvmhost_begin(1, OFFSET);
	host.vm_id = vm_id;
	clock = open_clock(1);
	event->host_tsc = fake_kvmhost_pass(FAR);
	fake_kvmhost_event(event);
	sync_clock(clock, &reader);
	time_shift_reader_release(&reader);
	ours = has_offset(clock, 0, event->next);
	if (!ours && !has_offset(clock, 0, OFFSET))
		fail_msg("another offset");
	guest_clock_close(clock, 0);
	return ours;
}

/*
 * An event belongs to the VM that it names, whatever its thread: a VMM can have
 * several VMs, and other processes the same descriptor
 */
static void test_whose_event(void **state)
{
	static const struct {
		pid_t	tid;
		int	vm_pid, vm_fd;
		bool	ours;
	} events[] = {
		{ FAKE_PID, FAKE_PID, FAKE_VM_FD, true },
		{ 7, FAKE_PID, FAKE_VM_FD, true },
		{ FAKE_PID, FAKE_PID, FAKE_VM_FD + 1, false },
		{ 7, 7, FAKE_VM_FD, false },
		{ FAKE_PID, FAKE_PID, 0, false },
		/* An event that does not name the VM belongs to its thread */
		{ FAKE_PID, 0, -1, true },
		{ 7, 0, -1, false },
		{ FAKE_PID, 0, 0, true },
		{ FAKE_PID, 7, -1, true },
	};

	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
		struct tsc_offset_event event = {
			.tid = events[i].tid, .vm_pid = events[i].vm_pid, .vm_fd = events[i].vm_fd,
			.previous = OFFSET, .next = OFFSET + 1000,
		};

		if (takes(&event, 0) != events[i].ours)
			fail_msg("event %zu", i);
	}
}

/* The VM's number decides, whichever thread wrote the event, and whatever VMs the process had before */
static void test_whose_number(void **state)
{
	static const struct {
		pid_t		tid;
		uint64_t	vm_id, in_debugfs;
		bool		ours;
	} events[] = {
		{ FAKE_PID, 3, 3, true },
		{ 7, 3, 3, true },
		{ FAKE_PID, 4, 3, false },
		{ FAKE_PID, 3 + (1ULL << 32), 3, false },
		/* If debugfs does not have the number, the thread decides */
		{ FAKE_PID, 4, 0, true },
		{ 7, 4, 0, false },
	};

	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
		struct tsc_offset_event event = {
			.tid = events[i].tid, .vm_fd = -1, .vm_id = events[i].vm_id,
			.previous = OFFSET, .next = OFFSET + 1000,
		};

		if (takes(&event, events[i].in_debugfs) != events[i].ours)
			fail_msg("event %zu", i);
	}
}

/* Events of a VM without a directory in debugfs: the VM's name cannot be compared with anything */
static void test_whose_event_without_debugfs(void **state)
{
	struct guest_clock *clock;

	fake_kvmhost_begin(0, 0);
	fake_kvmhost_add(0, 0, &SCALED(1));
	host.has_debugfs = false;
	host.patched = true;
	host.boot_instance = true;
	fake_kvmhost_move(0, OFFSET + 500);
	clock = open_clock(1);
	fake_kvmhost_pass(FAR);
	fake_kvmhost_move(0, OFFSET + 1000);
	check_sync(clock, host.opened);
	check_close(clock, 1);
}

/* A guest ended before its events are drained: the threads that were seen before still belong to it */
static void test_threads_that_ended(void **state)
{
	const pid_t seen = FAKE_PID + 1;
	struct tsc_offset_event event = { .vm_fd = -1, .previous = OFFSET, .next = OFFSET + 1000, .tid = seen };
	struct time_shift_reader reader;
	struct guest_clock *clock;

	fake_kvmhost_begin(2, OFFSET);
	/* The test's own process has a directory in /proc */
	host.threads[0] = getpid();
	clock = open_clock(2);
	host.threads[host.nr_threads++] = seen;
	event.host_tsc = fake_kvmhost_pass(FAR);
	fake_kvmhost_event(&event);
	sync_clock(clock, &reader);
	time_shift_reader_release(&reader);

	host.nr_threads = 0;
	event.host_tsc = fake_kvmhost_pass(FAR);
	event.previous = OFFSET + 1000;
	event.next = OFFSET + 2000;
	fake_kvmhost_event(&event);
	event.vcpu_id = 1;
	event.tid = getpid();
	fake_kvmhost_event(&event);
	sync_clock(clock, &reader);
	time_shift_reader_release(&reader);
	assert_true(has_offset(clock, 0, OFFSET + 2000));
	assert_true(has_offset(clock, 1, OFFSET + 2000));
	guest_clock_close(clock, 0);
}

/* Reading events fails at some point. Later times are wrong; a message says so, and the end is doubtful. */
static void test_instance_fails(void **state)
{
	struct guest_clock *clock;

	fake_kvmhost_begin(1, OFFSET);
	clock = open_clock(1);
	fake_kvmhost_pass(FAR);
	fake_kvmhost_move(0, OFFSET + 1000);
	fake_kvmhost_pass(FAR);
	host.drain_error = -EIO;
	check_sync(clock, host.opened);
	fake_kvmhost_move(0, OFFSET + 2000);
	assert_true(has_offset(clock, 0, OFFSET + 1000));
	assert_int_equal(fake_kvmhost_said("wrong from the next change on"), 1);
	/* Debugfs contradicts the history */
	check_close(clock, 2);
	assert_int_equal(fake_kvmhost_said("see above"), 1);

	/* Nothing changed after the failure: the result is doubtful all the same */
	fake_kvmhost_begin(1, OFFSET);
	clock = open_clock(1);
	host.drain_error = -EIO;
	check_sync(clock, host.opened);
	check_close(clock, 1);
	assert_int_equal(fake_kvmhost_said("see above"), 1);
}

/* Debugfs shows the offset of a vCPU only while the vCPU does not run a nested guest */
static void test_nested(void **state)
{
	struct time_shift_reader reader;
	struct guest_clock *clock;

	/* A nested guest runs for a while: the clock waits */
	fake_kvmhost_begin(2, OFFSET);
	host.vcpus[1].nested = 3;
	clock = open_clock(2);
	check_sync(clock, host.opened);
	check_close(clock, 1);

	/* A nested guest runs all the time: the clock assumes another vCPU's offset, and says so */
	fake_kvmhost_begin(2, OFFSET);
	host.vcpus[0].nested = UINT32_MAX;
	clock = open_clock(2);
	check_sync(clock, host.opened);
	check_close(clock, 3);
	assert_int_equal(fake_kvmhost_said("assuming"), 2);

	/* All vCPUs run nested guests: the nested guest's offset is all that there is */
	fake_kvmhost_begin(1, OFFSET);
	host.vcpus[0].nested = UINT32_MAX;
	clock = open_clock(1);
	sync_clock(clock, &reader);
	check_time(&reader, 0, &(struct tsc_mapping) { .offset = 4711 }, host.opened);
	time_shift_reader_release(&reader);
	guest_clock_close(clock, 0);
}

static bool has_read_values(struct guest_clock *clock)
{
	return fake_kvmhost_values_read() >= host.nr_vcpus;
}

/* Between synchronisations the thread drains the buffer and reads initial offsets that are still missing */
static void test_by_itself(void **state)
{
	struct guest_clock *clock;

	fake_kvmhost_begin(1, OFFSET);
	clock = open_clock(1);
	for (int i = 1; i <= 3; i++) {
		fake_kvmhost_move(0, OFFSET + i * 1000);
		assert_true(wait_for(has_drained, clock));
	}
	check_sync(clock, host.opened);
	check_close(clock, 1);

	fake_kvmhost_begin(1, OFFSET);
	host.vcpus[0].nested = 30;
	clock = open_clock(1);
	assert_false(has_read_values(clock));
	assert_true(wait_for(has_read_values, clock));
	check_sync(clock, host.opened);
	check_close(clock, 1);
}

/*
 * A synchronisation needed a guess. The guess is dropped when the value is known or, with @moves, when an event of
 * the vCPU is, although that does not report the scaling.
 */
static void guess_is_replaced(bool moves, double speed)
{
	struct time_shift_reader reader;
	struct guest_clock *clock;

	fake_kvmhost_begin(1, OFFSET);
	fake_kvmhost_add(1, 1, &SCALED(speed));
	host.vcpus[1].map.offset = host.vcpus[1].maps[0].offset -= 1000;
	host.vcpus[1].nested = UINT32_MAX;
	clock = open_clock(2);
	sync_clock(clock, &reader);
	check_time(&reader, 1, &host.vcpus[0].map, host.tsc);
	time_shift_reader_release(&reader);
	fake_kvmhost_pass(FAR);
	if (moves) {
		fake_kvmhost_move(1, OFFSET + 1000);
		assert_true(wait_for(has_drained, clock));
	}
	fake_kvmhost_end_nested(1);
	assert_true(wait_for(has_read_values, clock));
	fake_kvmhost_pass(FAR);
	check_sync(clock, host.opened);
	check_close(clock, 1);
}

static void test_guess_is_replaced(void **state)
{
	guess_is_replaced(false, 1);
	guess_is_replaced(true, 1);
	guess_is_replaced(true, 1.25);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_change_at_any_moment),
		cmocka_unit_test(test_silent_events),
		cmocka_unit_test(test_event_lost_after_initial_offset),
		cmocka_unit_test(test_events_lost),
		cmocka_unit_test(test_boot_instance),
		cmocka_unit_test(test_boot_instance_and_debugfs),
		cmocka_unit_test(test_scaled),
		cmocka_unit_test(test_whose_event),
		cmocka_unit_test(test_whose_number),
		cmocka_unit_test(test_whose_event_without_debugfs),
		cmocka_unit_test(test_threads_that_ended),
		cmocka_unit_test(test_instance_fails),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_by_itself),
		cmocka_unit_test(test_guess_is_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
