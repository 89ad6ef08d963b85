// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "event.h"
#include "mapping.h"
#include "tsc_changes.h"

#define ONE	(1ULL << TSC_SVM_FRAC_BITS)

/* Thread 11 is vCPU 0 of VM 10-5 */
static struct tsc_offset_event probe(enum tsc_event_kind kind, uint64_t tsc, int64_t offset)
{
	return (struct tsc_offset_event) {
		.host_tsc = tsc, .kind = kind, .tid = 11, .next = offset, .ratio = ONE, .frac_bits = TSC_SVM_FRAC_BITS,
		.vm_pid = 10, .vm_fd = 5, .vm = 77,
	};
}

static struct tsc_offset_event state_of(uint64_t tsc, int64_t offset)
{
	return probe(TSC_EVENT_STATE, tsc, offset);
}

static struct tsc_offset_event write_of(uint64_t tsc, int64_t offset)
{
	return probe(TSC_EVENT_WRITE, tsc, offset);
}

static struct tsc_offset_event stock(uint64_t tsc, int64_t previous, int64_t next)
{
	return (struct tsc_offset_event) {
		.host_tsc = tsc, .tid = 11, .previous = previous, .next = next, .vm_fd = -1,
	};
}

static struct tsc_offset_event vm_end(uint64_t tsc)
{
	return (struct tsc_offset_event) {
		.host_tsc = tsc, .kind = TSC_EVENT_VM_END, .tid = 10, .vm_pid = 10, .vm_fd = -1, .vm = 77,
	};
}

/* Make the list and keep only its changes */
static size_t make(struct tsc_offset_event *events, size_t nr, bool with_kernel)
{
	size_t kept = 0;

	assert_int_equal(tsc_changes_make(events, &nr, with_kernel), 0);
	for (size_t i = 0; i < nr; i++) {
		if (events[i].kind == TSC_EVENT_CHANGE)
			events[kept++] = events[i];
		else
			assert_int_equal(events[i].kind, TSC_EVENT_STATE);
	}
	return kept;
}

#define MAKE(events)	make(events, sizeof(events) / sizeof(*(events)), true)
#define MAKE_WITHOUT_KERNEL(events)	make(events, sizeof(events) / sizeof(*(events)), false)

static void assert_change(const struct tsc_offset_event *event, uint64_t tsc, int64_t previous, int64_t next)
{
	assert_int_equal(event->host_tsc, tsc);
	assert_int_equal(event->previous, previous);
	assert_int_equal(event->next, next);
}

static void assert_vm(const struct tsc_offset_event *event, int pid, int fd, uint32_t life)
{
	assert_int_equal(event->vm_pid, pid);
	assert_int_equal(event->vm_fd, fd);
	assert_int_equal(event->vm_life, life);
}

/* On a kernel whose events name VMs, debugfs reports the offset of a vCPU that never changes; probes add nothing */
static void test_named(void **state)
{
	struct tsc_offset_event events[] = { state_of(1, -5), state_of(2, -7), stock(3, -5, -9), state_of(4, -4) };

	events[0].vm = events[1].vm = 0;
	events[1].vcpu_id = events[3].vcpu_id = 1;
	events[2].vm_pid = 10;
	events[2].vm_fd = 5;
	assert_int_equal(MAKE(events), 2);
	assert_change(&events[0], 2, -7, -7);
	assert_vm(&events[0], 10, 5, 0);
	assert_change(&events[1], 3, -5, -9);
	assert_vm(&events[1], 10, 5, 0);
}

/* An event of the kernel with the number of its VM */
static struct tsc_offset_event numbered(uint64_t tsc, uint64_t vm_id, int64_t previous, int64_t next)
{
	struct tsc_offset_event event = stock(tsc, previous, next);

	event.vm_id = vm_id;
	event.ratio = event.previous_ratio = ONE;
	event.frac_bits = TSC_SVM_FRAC_BITS;
	return event;
}

/* A value that debugfs reports for VM 10-5 */
static struct tsc_offset_event numbered_state(uint64_t tsc, uint64_t vm_id, int64_t offset)
{
	struct tsc_offset_event event = state_of(tsc, offset);

	event.vm = 0;
	event.vm_id = vm_id;
	return event;
}

/* debugfs maps a VM's number to its name. Without debugfs the lowest of the VM's threads names it. */
static void test_numbered(void **state)
{
	struct tsc_offset_event events[] = {
		numbered_state(1, 3, -5), numbered(2, 3, -5, -9), numbered(3, 4, 0, -7), numbered(4, 4, -7, -6),
	};

	events[2].tid = 13;
	events[3].tid = 12;
	assert_int_equal(MAKE(events), 3);
	assert_change(&events[0], 2, -5, -9);
	assert_vm(&events[0], 10, 5, 0);
	assert_change(&events[1], 3, 0, -7);
	assert_vm(&events[1], 12, -1, 0);
	assert_change(&events[2], 4, -7, -6);
	assert_vm(&events[2], 12, -1, 0);
	assert_int_equal(events[2].vm_id, 4);
}

/* A thread has two VMs with the same vcpu_id, one after the other or at the same time */
static void test_numbered_apart(void **state)
{
	struct tsc_offset_event events[] = {
		numbered(1, 3, 0, -5), numbered(2, 4, 0, -7), numbered(3, 3, -5, -6), numbered(4, 4, -7, -8),
	};

	assert_int_equal(MAKE(events), 4);
	for (int i = 0; i < 4; i++) {
		assert_vm(&events[i], 11, -1, (uint32_t)i % 2);
		assert_false(events[i].lost_before);
	}
}

/* The name in debugfs is reused, the number is not: a late event still belongs to the first VM */
static void test_numbered_lives(void **state)
{
	struct tsc_offset_event events[] = {
		numbered_state(1, 3, -5), numbered(2, 3, -5, -9), numbered_state(3, 4, -7), numbered(4, 4, -7, -6),
		numbered(5, 3, -9, -10),
	};

	assert_int_equal(MAKE(events), 3);
	assert_vm(&events[0], 10, 5, 0);
	assert_change(&events[1], 4, -7, -6);
	assert_vm(&events[1], 10, 5, 1);
	assert_change(&events[2], 5, -9, -10);
	assert_vm(&events[2], 10, 5, 0);
}

/*
 * A probe reports the same write, and the VM's name. If all events of the
 * kernel are recorded, it reports nothing else.
 */
static void test_numbered_probed(void **state)
{
	struct tsc_offset_event events[] = {
		numbered(1, 3, 0, -5), write_of(2, -5), numbered(3, 3, -5, -6), write_of(4, -6),
	};
	struct tsc_offset_event others[] = { numbered(1, 3, 0, -5), write_of(2, -4) };
	struct tsc_offset_event alone[] = { numbered(1, 3, 0, -5), write_of(2, -5), write_of(4, -6) };

	assert_int_equal(MAKE(events), 2);
	assert_vm(&events[0], 10, 5, 0);
	assert_vm(&events[1], 10, 5, 0);
	/* The control: another write */
	assert_int_equal(MAKE(others), 1);
	assert_vm(&others[0], 11, -1, 0);
	/* If not all events of the kernel are recorded, the probes' events belong to the same VM */
	assert_int_equal(MAKE_WITHOUT_KERNEL(alone), 2);
	assert_change(&alone[1], 4, -5, -6);
	assert_vm(&alone[0], 10, 5, 0);
	assert_vm(&alone[1], 10, 5, 0);
}

/* Two different names for one number: none is used */
static void test_numbered_twice(void **state)
{
	static const struct tsc_vm_name names[] = { { 3, 20, 5 }, { 4, 20, 6 }, { 3, 20, 5 }, { 4, 20, 7 } };
	struct tsc_offset_event events[] = { numbered(1, 3, 0, -5), numbered(2, 4, 0, -7), stock(3, 0, -8) };

	assert_int_equal(tsc_changes_name_vms(events, 3, names, 4), 0);
	assert_int_equal(events[0].vm_pid, 20);
	assert_int_equal(events[0].vm_fd, 5);
	assert_int_equal(events[1].vm_pid, 0);
	assert_int_equal(events[2].vm_pid, 0);
	assert_int_equal(MAKE(events), 3);
	assert_vm(&events[1], 11, -1, 0);
}

/* A stock kernel's events are unchanged */
static void test_stock(void **state)
{
	struct tsc_offset_event events[] = { stock(1, 0, -5), stock(2, -5, -9) };

	assert_int_equal(MAKE(events), 2);
	assert_change(&events[0], 1, 0, -5);
	assert_change(&events[1], 2, -5, -9);
	assert_vm(&events[1], 0, -1, 0);
	assert_int_equal(events[1].ratio, 0);
}

/*
 * A write that an event and a probe report is one change. It has the event's time and previous offset, and the
 * probe's VM and ratio.
 */
static void test_joined(void **state)
{
	struct tsc_offset_event events[] = {
		state_of(1, -5), stock(10, -5, -9), write_of(12, -9), state_of(20, -9),
		stock(30, -9, -2), write_of(32, -2),
	};

	assert_int_equal(MAKE(events), 2);
	assert_change(&events[0], 10, -5, -9);
	assert_vm(&events[0], 10, 5, 0);
	assert_true(events[0].ratio == ONE && events[0].previous_ratio == ONE);
	assert_change(&events[1], 30, -9, -2);
}

/* The thread can be preempted between the event and the write */
static void test_preempted(void **state)
{
	struct tsc_offset_event before[] = { state_of(1, -5), stock(10, -5, -9), state_of(11, -5), write_of(12, -9) };
	struct tsc_offset_event after[] = { state_of(1, -5), stock(10, -5, -9), state_of(11, -9), write_of(12, -9) };

	assert_int_equal(MAKE(before), 1);
	assert_change(&before[0], 10, -5, -9);
	assert_int_equal(MAKE(after), 1);
	assert_change(&after[0], 10, -5, -9);
}

/* Probes alone: the previous offset is the one that the last probe reported */
static void test_probes_alone(void **state)
{
	struct tsc_offset_event events[] = { state_of(1, -5), write_of(12, -9), write_of(13, -9), write_of(14, 3) };

	assert_int_equal(MAKE_WITHOUT_KERNEL(events), 2);
	assert_change(&events[0], 12, -5, -9);
	assert_false(events[0].lost_before);
	assert_change(&events[1], 14, -9, 3);
}

static void test_never_changes(void **state)
{
	struct tsc_offset_event events[] = { state_of(1, -5), state_of(2, -5), state_of(3, -7) };

	events[2].vcpu_id = 1;
	events[2].tid = 12;
	assert_int_equal(MAKE(events), 2);
	assert_change(&events[0], 1, -5, -5);
	assert_true(events[0].ratio == ONE && events[0].previous_ratio == ONE);
	assert_change(&events[1], 3, -7, -7);
	assert_int_equal(events[1].vcpu_id, 1);
}

/* An unreported write: the list does not continue from the previous value */
static void test_lost(void **state)
{
	struct tsc_offset_event events[] = { state_of(1, -5), write_of(2, -6), state_of(9, -8) };

	assert_int_equal(MAKE(events), 2);
	assert_change(&events[0], 2, -5, -6);
	assert_change(&events[1], 9, -8, -8);
}

static void test_scaling(void **state)
{
	struct tsc_offset_event events[] = { state_of(1, -5), write_of(2, -5), stock(3, -5, -6), write_of(4, -6) };

	events[1].ratio = events[3].ratio = ONE * 5 / 4;
	assert_int_equal(MAKE(events), 2);
	assert_change(&events[0], 2, -5, -5);
	assert_true(events[0].previous_ratio == ONE && events[0].ratio == ONE * 5 / 4);
	assert_change(&events[1], 3, -5, -6);
	assert_true(events[1].previous_ratio == ONE * 5 / 4);
}

/* KVM makes a vCPU: an offset of 0, which was never in force, and an event with this previous offset */
static void test_made(void **state)
{
	struct tsc_offset_event events[] = { write_of(1, 0), state_of(2, 0), stock(3, 0, -3), write_of(4, -3) };

	for (int i = 0; i < 4; i++)
		events[i].tid = 10;
	assert_int_equal(MAKE(events), 1);
	assert_change(&events[0], 3, 0, -3);
	assert_vm(&events[0], 10, 5, 0);
}

/* A new vCPU has no ratio at first. Where KVM cannot scale, no write reports when it gets one. */
static void test_made_without_ratio(void **state)
{
	struct tsc_offset_event events[] = { state_of(1, 0), state_of(2, 0), stock(3, 0, -3), write_of(4, -3) };

	events[0].ratio = 0;
	assert_int_equal(MAKE(events), 1);
	assert_change(&events[0], 3, 0, -3);
	assert_vm(&events[0], 10, 5, 0);
	assert_true(events[0].previous_ratio == ONE && events[0].ratio == ONE);
}

/*
 * The offset before the first write, if nothing reports it: unknown; but if all events of the kernel are recorded, it
 * was the same
 */
static void test_first_write(void **state)
{
	struct tsc_offset_event events[] = { write_of(1, -5), write_of(2, -5), write_of(3, -9) };
	struct tsc_offset_event with_kernel[3], made[] = { write_of(1, 0), write_of(2, -5) };

	memcpy(with_kernel, events, sizeof(events));
	assert_int_equal(MAKE_WITHOUT_KERNEL(events), 2);
	assert_change(&events[0], 1, -5, -5);
	assert_true(events[0].lost_before);
	assert_change(&events[1], 3, -5, -9);
	assert_false(events[1].lost_before);
	assert_int_equal(MAKE(with_kernel), 1);
	assert_change(&with_kernel[0], 3, -5, -9);
	assert_false(with_kernel[0].lost_before);
	/* The vCPU is being made */
	assert_int_equal(MAKE_WITHOUT_KERNEL(made), 1);
	assert_change(&made[0], 2, 0, -5);
	assert_false(made[0].lost_before);
}

/* A write without a probe's event, as when the probe was hit while another one ran */
static void test_missed_probe(void **state)
{
	struct tsc_offset_event events[] = { state_of(1, -5), stock(10, -5, -9), stock(11, -9, -8), write_of(12, -8) };

	assert_int_equal(MAKE(events), 2);
	assert_change(&events[0], 10, -5, -9);
	assert_vm(&events[0], 10, 5, 0);
	assert_true(events[0].ratio == ONE);
	assert_change(&events[1], 11, -9, -8);
}

/* One thread makes a vCPU and another one runs it: each is listed once */
static void test_threads(void **state)
{
	struct tsc_offset_event events[] = {
		state_of(1, 0), stock(2, 0, -3), write_of(3, -3), state_of(4, -3), state_of(5, -3), state_of(6, -3),
	};
	size_t nr = 6;

	for (int i = 0; i < 3; i++)
		events[i].tid = 10;
	assert_int_equal(tsc_changes_make(events, &nr, true), 0);
	assert_int_equal(nr, 3);
	assert_int_equal(events[0].kind, TSC_EVENT_STATE);
	assert_int_equal(events[0].tid, 10);
	assert_int_equal(events[1].kind, TSC_EVENT_CHANGE);
	assert_int_equal(events[2].kind, TSC_EVENT_STATE);
	assert_int_equal(events[2].tid, 11);
	assert_vm(&events[2], 10, 5, 0);
}

/*
 * Three VMs, one after the other, in one process and with one name. The last one has the first one's place in memory,
 * and so the same @vm.
 */
static void test_lives(void **state)
{
	struct tsc_offset_event events[] = {
		state_of(1, -5), vm_end(2), state_of(3, -30), vm_end(4), state_of(5, -50), stock(6, -50, -51),
		write_of(7, -51),
	};

	events[2].vm = 78;
	events[3].vm = 78;
	assert_int_equal(MAKE(events), 3);
	for (uint32_t i = 0; i < 3; i++)
		assert_vm(&events[i], 10, 5, i);
	assert_change(&events[2], 6, -50, -51);
}

/* KVM loads the vCPUs of a VM that has ended: this is not the next VM */
static void test_freed(void **state)
{
	struct tsc_offset_event events[] = {
		state_of(1, -5), state_of(2, -7), vm_end(3), state_of(4, -5), state_of(5, -7), state_of(6, -30),
	};

	events[1].vcpu_id = 1;
	events[4].vcpu_id = 1;
	assert_int_equal(MAKE(events), 3);
	assert_vm(&events[0], 10, 5, 0);
	assert_vm(&events[1], 10, 5, 0);
	/* The control: a vCPU with another value is that of another VM */
	assert_vm(&events[2], 10, 5, 1);
}

/* The end of a VM was not recorded: another @vm still means another VM */
static void test_life_without_end(void **state)
{
	struct tsc_offset_event events[] = { state_of(1, -5), state_of(3, -30), state_of(4, -5) };

	events[1].vm = 78;
	events[2].vcpu_id = 1;
	events[2].vm = 78;
	assert_int_equal(MAKE(events), 3);
	assert_vm(&events[0], 10, 5, 0);
	assert_vm(&events[1], 10, 5, 1);
	assert_vm(&events[2], 10, 5, 1);
}

/* The first @vm again is a third VM: two VMs cannot have the name at the same time */
static void test_lives_without_ends(void **state)
{
	struct tsc_offset_event events[] = { state_of(1, -5), state_of(2, -30), state_of(3, -5), write_of(4, -6) };

	events[1].vm = 78;
	assert_int_equal(MAKE(events), 3);
	for (uint32_t i = 0; i < 3; i++)
		assert_vm(&events[i], 10, 5, i);
	assert_change(&events[2], 4, -5, -6);
}

/* Without a directory in debugfs two VMs of a process differ only by @vm, and can alternate */
static void test_numbers_only(void **state)
{
	struct tsc_offset_event events[] = { state_of(1, -5), state_of(2, -30), write_of(3, -6), write_of(4, -31) };

	for (int i = 0; i < 4; i++) {
		events[i].vm_fd = -1;
		events[i].tid = 11 + i % 2;
		events[i].vm = 77 + i % 2;
	}
	assert_int_equal(MAKE(events), 2);
	assert_change(&events[0], 3, -5, -6);
	assert_vm(&events[0], 10, -1, 0);
	assert_change(&events[1], 4, -30, -31);
	assert_vm(&events[1], 10, -1, 1);
}

/* A kernel with our patches names the VM. If it makes a vCPU that already exists, the earlier VM has ended. */
static void test_patched_lives(void **state)
{
	struct tsc_offset_event events[6];

	for (int i = 0; i < 6; i++) {
		events[i] = stock(i + 1, 0, i % 3 ? -i : 0);
		events[i].vm_pid = 10;
		events[i].vm_fd = 5;
		events[i].ratio = ONE;
		events[i].previous_ratio = i % 3 ? ONE : 0;
		events[i].frac_bits = TSC_SVM_FRAC_BITS;
	}
	assert_int_equal(MAKE(events), 6);
	for (int i = 0; i < 6; i++)
		assert_vm(&events[i], 10, 5, i >= 3);
}

/* A value from debugfs, which does not report @vm */
static struct tsc_offset_event debugfs_of(uint64_t tsc, int64_t offset)
{
	struct tsc_offset_event event = state_of(tsc, offset);

	event.vm = 0;
	return event;
}

/* Alone, debugfs reports the offset of a vCPU that never changes; the kernel's events get their VM from it */
static void test_debugfs_alone(void **state)
{
	struct tsc_offset_event still[] = { debugfs_of(1, -5), debugfs_of(2, -7) };
	struct tsc_offset_event changing[] = { debugfs_of(1, -5), stock(2, -5, -9) };

	still[1].vcpu_id = 1;
	still[1].tid = 12;
	assert_int_equal(MAKE(still), 2);
	for (int i = 0; i < 2; i++)
		assert_vm(&still[i], 10, 5, 0);
	assert_change(&still[0], 1, -5, -5);
	assert_change(&still[1], 2, -7, -7);
	assert_int_equal(MAKE(changing), 1);
	assert_change(&changing[0], 2, -5, -9);
	assert_vm(&changing[0], 10, 5, 0);
	assert_true(changing[0].ratio == ONE);
}

/* A later probe belongs to the same VM and continues from debugfs' value; one vCPU may be in debugfs only */
static void test_debugfs_before_probes(void **state)
{
	struct tsc_offset_event events[] = {
		debugfs_of(1, -5), debugfs_of(2, -7), state_of(3, -5), stock(4, -5, -9), write_of(5, -9),
	};

	events[1].vcpu_id = 1;
	events[1].tid = 12;
	assert_int_equal(MAKE(events), 2);
	assert_change(&events[0], 2, -7, -7);
	assert_int_equal(events[0].vcpu_id, 1);
	assert_change(&events[1], 4, -5, -9);
	for (int i = 0; i < 2; i++)
		assert_vm(&events[i], 10, 5, 0);
}

/* A change between them was lost */
static void test_debugfs_and_lost(void **state)
{
	struct tsc_offset_event events[] = { debugfs_of(1, -5), state_of(3, -6), write_of(4, -7) };

	assert_int_equal(MAKE(events), 2);
	assert_change(&events[0], 3, -6, -6);
	assert_change(&events[1], 4, -6, -7);
	assert_vm(&events[0], 10, 5, 0);
}

/* The instance records before debugfs is read */
static void test_debugfs_after_probes(void **state)
{
	struct tsc_offset_event events[] = { state_of(1, -5), write_of(2, -6), debugfs_of(3, -6), debugfs_of(4, -8) };

	events[3].vcpu_id = 1;
	events[3].tid = 12;
	assert_int_equal(MAKE(events), 2);
	assert_change(&events[0], 2, -5, -6);
	assert_change(&events[1], 4, -8, -8);
	for (int i = 0; i < 2; i++)
		assert_vm(&events[i], 10, 5, 0);
}

/* A VM that debugfs reports, and the next one with its name, which probes report; and a VM that ended before */
static void test_debugfs_and_lives(void **state)
{
	struct tsc_offset_event events[] = { debugfs_of(1, -5), state_of(2, -5), vm_end(3), state_of(4, -30) };
	struct tsc_offset_event after[] = { state_of(1, -5), vm_end(2), debugfs_of(3, -30), state_of(4, -30) };

	events[3].vm = after[3].vm = 78;
	assert_int_equal(MAKE(events), 2);
	assert_change(&events[0], 1, -5, -5);
	assert_vm(&events[0], 10, 5, 0);
	assert_change(&events[1], 4, -30, -30);
	assert_vm(&events[1], 10, 5, 1);
	assert_int_equal(MAKE(after), 2);
	assert_change(&after[1], 3, -30, -30);
	assert_vm(&after[1], 10, 5, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stock),
		cmocka_unit_test(test_named),
		cmocka_unit_test(test_numbered),
		cmocka_unit_test(test_numbered_apart),
		cmocka_unit_test(test_numbered_lives),
		cmocka_unit_test(test_numbered_probed),
		cmocka_unit_test(test_numbered_twice),
		cmocka_unit_test(test_joined),
		cmocka_unit_test(test_preempted),
		cmocka_unit_test(test_probes_alone),
		cmocka_unit_test(test_never_changes),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_scaling),
		cmocka_unit_test(test_made),
		cmocka_unit_test(test_made_without_ratio),
		cmocka_unit_test(test_first_write),
		cmocka_unit_test(test_missed_probe),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_lives),
		cmocka_unit_test(test_freed),
		cmocka_unit_test(test_life_without_end),
		cmocka_unit_test(test_lives_without_ends),
		cmocka_unit_test(test_numbers_only),
		cmocka_unit_test(test_patched_lives),
		cmocka_unit_test(test_debugfs_alone),
		cmocka_unit_test(test_debugfs_before_probes),
		cmocka_unit_test(test_debugfs_and_lost),
		cmocka_unit_test(test_debugfs_after_probes),
		cmocka_unit_test(test_debugfs_and_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
