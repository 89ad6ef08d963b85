// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* The history of offsets: its order, the mapping at each time, lost events, and backward jumps of the guest's TSC. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "event.h"
#include "history.h"
#include "prng.h"
#include "time_shift.h"

#define MILLION 1000000

static void add(struct vcpu_history *vcpu, uint64_t host_tsc, int64_t previous, int64_t next)
{
	const struct tsc_mapping map = { .offset = next };
	const struct tsc_mapping before = { .offset = previous };

	assert_int_equal(vcpu_history_add(vcpu, host_tsc, &map, &before), 0);
}

static void drop(struct vcpu_history *vcpu)
{
	free(vcpu->segments);
}

static int64_t offset_at(const struct vcpu_history *vcpu, uint64_t host_tsc)
{
	struct tsc_mapping map;

	assert_true(vcpu_history_at(vcpu, host_tsc, &map));
	return map.offset;
}

/* CPU time of this process, because the machine may be busy */
static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static void test_at_and_before(void **state)
{
	struct vcpu_history vcpu = { 0 };
	struct tsc_mapping map;

	assert_false(vcpu_history_at(&vcpu, 0, &map));
	assert_false(vcpu_history_before(&vcpu, 0, &map));

	add(&vcpu, 1000, -50, -70);
	add(&vcpu, 2000, -70, INT64_MIN);
	assert_int_equal(offset_at(&vcpu, 0), -50);
	assert_int_equal(offset_at(&vcpu, 999), -50);
	assert_int_equal(offset_at(&vcpu, 1000), -70);
	assert_int_equal(offset_at(&vcpu, 1999), -70);
	assert_true(offset_at(&vcpu, 2000) == INT64_MIN);
	assert_true(offset_at(&vcpu, UINT64_MAX) == INT64_MIN);

	assert_true(vcpu_history_before(&vcpu, 0, &map));
	assert_int_equal(map.offset, -50);
	assert_true(vcpu_history_before(&vcpu, 1, &map));
	assert_int_equal(map.offset, -70);
	assert_true(vcpu_history_before(&vcpu, 2, &map));
	assert_true(map.offset == INT64_MIN);
	drop(&vcpu);
}

static void test_jump(void **state)
{
	const struct tsc_mapping third = { .offset = -100, .ratio = 3, .frac_bits = 1 };
	const struct tsc_mapping half = { .offset = -100, .ratio = 1, .frac_bits = 1 };
	struct vcpu_history vcpu = { 0 }, made = { 0 }, silent = { 0 };

	add(&vcpu, 1000, -50, -70);
	add(&vcpu, 2000, -70, 30);
	/* The change between the two is lost: the jump is the event's own */
	add(&vcpu, 3000, 40, 41);
	add(&vcpu, 4000, INT64_MAX, INT64_MIN);
	assert_int_equal(vcpu_history_jump(&vcpu, 0), -20);
	assert_int_equal(vcpu_history_jump(&vcpu, 1), 100);
	assert_int_equal(vcpu_history_jump(&vcpu, 2), 1);
	assert_int_equal(vcpu_history_jump(&vcpu, 3), 1);

	/* The ratio changes from 1/2 to 3/2 at 5000 */
	assert_int_equal(vcpu_history_add(&vcpu, 5000, &third, &half), 0);
	assert_int_equal(vcpu_history_jump(&vcpu, 4), 5000);
	drop(&vcpu);

	add(&made, 1000 * MILLION, 0, -999 * MILLION);
	add(&made, 1001 * MILLION, -999 * MILLION, -998 * MILLION);
	assert_int_equal(vcpu_history_jump(&made, 0), 0);
	assert_int_equal(vcpu_history_jump(&made, 1), MILLION);
	drop(&made);

	/* The mapping before the first event is unknown */
	add(&silent, 1000, 0, -70);
	add(&silent, 2000, 0, -60);
	assert_int_equal(vcpu_history_jump(&silent, 0), 0);
	assert_int_equal(vcpu_history_jump(&silent, 1), 10);
	drop(&silent);
}

static void test_initial(void **state)
{
	const struct tsc_mapping scaled = { .offset = -9, .ratio = 5ULL << 30, .frac_bits = 32 };
	struct vcpu_history vcpu = { 0 };
	struct tsc_mapping map;

	vcpu_history_set_initial(&vcpu, &scaled);
	assert_true(vcpu_history_at(&vcpu, 12345, &map));
	assert_true(tsc_mapping_equal(&map, &scaled));
	assert_false(vcpu_history_gap(&vcpu, 0));

	/*
	 * An event that agrees with the initial offset, and one that does not. The event's previous offset takes
	 * precedence, and there is a gap.
	 */
	add(&vcpu, 1000, -9, 4);
	assert_false(vcpu_history_gap(&vcpu, 0));
	assert_true(vcpu_history_at(&vcpu, 999, &map));
	assert_true(tsc_mapping_equal(&map, &scaled));
	drop(&vcpu);

	vcpu = (struct vcpu_history) { 0 };
	vcpu_history_set_initial(&vcpu, &scaled);
	add(&vcpu, 1000, -10, 4);
	assert_true(vcpu_history_gap(&vcpu, 0));
	assert_int_equal(offset_at(&vcpu, 999), -10);
	assert_true(vcpu_history_before(&vcpu, 0, &map));
	assert_true(tsc_mapping_scaled(&map));
	drop(&vcpu);

	/* Offset 0 is a value like any other */
	vcpu = (struct vcpu_history) { 0 };
	vcpu_history_set_initial(&vcpu, &(struct tsc_mapping) { 0 });
	assert_int_equal(offset_at(&vcpu, 1), 0);
	drop(&vcpu);
}

/* The same events in many orders give the same history */
static void test_any_order(void **state)
{
	enum { NR = 2000, ORDERS = 20 };
	uint64_t seed = 3;

	for (int order = 0; order < ORDERS; order++) {
		struct vcpu_history vcpu = { 0 };
		int when[NR];

		for (int i = 0; i < NR; i++)
			when[i] = i;
		if (order == 1)		/* like the buffers of two host CPUs, read one after the other */
			for (int i = 0; i < NR; i++)
				when[i] = i < NR / 2 ? 2 * i : 2 * (i - NR / 2) + 1;
		else if (order == 2)
			for (int i = 0; i < NR; i++)
				when[i] = NR - 1 - i;
		else if (order)
			for (int i = NR - 1; i; i--) {
				int j = prng(&seed) % (i + 1), t = when[i];

				when[i] = when[j];
				when[j] = t;
			}
		for (int i = 0; i < NR; i++)
			add(&vcpu, 10 * when[i] + 5, when[i] - 1, when[i]);

		assert_int_equal(vcpu.nr_segments, NR);
		for (int i = 0; i < NR; i++) {
			assert_int_equal(vcpu.segments[i].host_tsc, 10 * i + 5);
			assert_int_equal(vcpu.segments[i].map.offset, i);
			assert_int_equal(vcpu.segments[i].previous.offset, i - 1);
			assert_false(vcpu_history_gap(&vcpu, i));
			assert_int_equal(offset_at(&vcpu, 10 * i + 4), i - 1);
			assert_int_equal(offset_at(&vcpu, 10 * i + 5), i);
		}
		drop(&vcpu);
	}
	print_message("%d events in %d orders give the same history\n", NR, ORDERS);
}

static void test_equal_times(void **state)
{
	struct vcpu_history vcpu = { 0 };

	add(&vcpu, 500, 3, 4);
	add(&vcpu, 100, 0, 1);
	add(&vcpu, 100, 1, 2);
	add(&vcpu, 100, 2, 3);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(vcpu.segments[i].map.offset, i + 1);
		assert_false(vcpu_history_gap(&vcpu, i));
	}
	assert_int_equal(offset_at(&vcpu, 99), 0);
	assert_int_equal(offset_at(&vcpu, 100), 3);
	drop(&vcpu);
	print_message("of events with equal times the one that came last holds\n");
}

static void test_gaps(void **state)
{
	struct vcpu_history vcpu = { 0 };

	add(&vcpu, 100, 5, 10);
	add(&vcpu, 200, 10, 20);
	add(&vcpu, 300, 21, 30);	/* an event 20 -> 21 is missing */
	add(&vcpu, 400, 30, 30);
	assert_false(vcpu_history_gap(&vcpu, 0));
	assert_false(vcpu_history_gap(&vcpu, 1));
	assert_true(vcpu_history_gap(&vcpu, 2));
	assert_false(vcpu_history_gap(&vcpu, 3));
	assert_false(vcpu_history_gap(&vcpu, 4));

	/* The missing event arrives late */
	add(&vcpu, 250, 20, 21);
	for (size_t i = 0; i <= 5; i++)
		assert_false(vcpu_history_gap(&vcpu, i));

	/* A loss that the ring buffer reports is a gap even if the offsets agree */
	vcpu.segments[3].lost_before = true;
	assert_true(vcpu_history_gap(&vcpu, 3));
	assert_false(vcpu_history_gap(&vcpu, 4));
	vcpu.lost_after = true;
	assert_true(vcpu_history_gap(&vcpu, 5));
	drop(&vcpu);

	vcpu = (struct vcpu_history) { .lost_after = true };
	assert_true(vcpu_history_gap(&vcpu, 0));
}

/* A hypervisor that reports previous = 0 in every event: there are no gaps, and no initial offset is known */
static void test_previous_unreported(void **state)
{
	struct vcpu_history vcpu = { 0 };
	struct tsc_mapping map;

	add(&vcpu, 100, 0, 10);
	/* A single such event can also be the first event of a new vCPU */
	assert_int_equal(offset_at(&vcpu, 99), 0);
	add(&vcpu, 200, 0, 20);
	add(&vcpu, 300, 0, 0);
	for (size_t i = 0; i <= 3; i++)
		assert_false(vcpu_history_gap(&vcpu, i));
	assert_false(vcpu_history_before(&vcpu, 0, &map));
	assert_false(vcpu_history_at(&vcpu, 99, &map));
	assert_int_equal(offset_at(&vcpu, 250), 20);

	vcpu_history_set_initial(&vcpu, &(struct tsc_mapping) { .offset = 7 });
	assert_int_equal(offset_at(&vcpu, 99), 7);
	assert_false(vcpu_history_gap(&vcpu, 0));

	/* Once one event reports a previous offset, the zeros of all other events count as reported values */
	add(&vcpu, 400, 3, 4);
	add(&vcpu, 500, 0, 5);
	assert_true(vcpu_history_gap(&vcpu, 1));
	assert_true(vcpu_history_gap(&vcpu, 3));
	assert_true(vcpu_history_gap(&vcpu, 4));
	drop(&vcpu);
}

/* A known initial offset of 0, and an event that reports it */
static void test_offset_0_before(void **state)
{
	struct vcpu_history vcpu = { 0 };

	add(&vcpu, 100, 0, 10);
	vcpu_history_set_initial(&vcpu, &(struct tsc_mapping) { 0 });
	assert_false(vcpu_history_previous_unreported(&vcpu));
	/* The control: the event would have to report any other initial offset */
	vcpu_history_set_initial(&vcpu, &(struct tsc_mapping) { .offset = 7 });
	assert_true(vcpu_history_previous_unreported(&vcpu));
	drop(&vcpu);
}

static void test_backward(void **state)
{
	struct vcpu_history vcpu = { 0 };
	uint64_t from, to;

	add(&vcpu, 10000, 100, 5100);		/* forward by 5000 */
	add(&vcpu, 20000, 5100, 5100);		/* written again */
	add(&vcpu, 30000, 5100, 5099);		/* back by one cycle */
	add(&vcpu, 40000, 5099, -20000);	/* back by 25099 */
	assert_false(vcpu_history_backward(&vcpu, 0, &from, &to));
	assert_false(vcpu_history_backward(&vcpu, 1, &from, &to));
	assert_true(vcpu_history_backward(&vcpu, 2, &from, &to));
	assert_int_equal(from, 35099);
	assert_int_equal(to, 35100);
	assert_true(vcpu_history_backward(&vcpu, 3, &from, &to));
	assert_int_equal(from, 20000);
	assert_int_equal(to, 45099);
	drop(&vcpu);

	/* Across the end of 64 bits: negative before, small after. This is a jump forward. */
	vcpu = (struct vcpu_history) { 0 };
	add(&vcpu, 1000, -5000, 0);
	assert_false(vcpu_history_backward(&vcpu, 0, &from, &to));
	add(&vcpu, 2000, 0, -2001);
	assert_true(vcpu_history_backward(&vcpu, 1, &from, &to));
	assert_true(from == UINT64_MAX);
	assert_int_equal(to, 2000);
	drop(&vcpu);

	/* A change of the ratio alone can move the guest's TSC too */
	vcpu = (struct vcpu_history) { 0 };
	const struct tsc_mapping fast = { .ratio = 5ULL << 30, .frac_bits = 32 };
	const struct tsc_mapping none = { 0 }, slow = { .ratio = 4ULL << 30, .frac_bits = 32 };

	assert_int_equal(vcpu_history_add(&vcpu, 1000, &fast, &none), 0);
	assert_int_equal(vcpu_history_add(&vcpu, 2000, &slow, &fast), 0);
	assert_true(vcpu_history_backward(&vcpu, 1, &from, &to));
	assert_int_equal(from, 2000);
	assert_int_equal(to, 2500);
	drop(&vcpu);
	print_message("backward jumps are found, with the guest times that are passed twice\n");
}

/* Events of a kernel that also reports the ratio: both previous values are compared with the history */
static void test_scaling(void **state)
{
	const uint64_t one = 1ULL << 48, fast = 5ULL << 46;
	const struct tsc_offset_event events[] = {
		/* KVM makes a vCPU: it sets the ratio, then the offset */
		{ .host_tsc = 1000, .ratio = one, .frac_bits = 48 },
		{ .host_tsc = 1001, .next = -1001, .previous_ratio = one, .ratio = one, .frac_bits = 48 },
		/* A higher ratio, an offset that compensates for it, an even higher ratio */
		{ .host_tsc = 2000, .previous = -1001, .next = -1001, .previous_ratio = one, .ratio = fast,
		  .frac_bits = 48 },
		{ .host_tsc = 2001, .previous = -1001, .next = -1501, .previous_ratio = fast, .ratio = fast,
		  .frac_bits = 48 },
		{ .host_tsc = 3000, .previous = -1501, .next = -1501, .previous_ratio = fast, .ratio = 2 * fast,
		  .frac_bits = 48 },
		/* The change back was lost */
		{ .host_tsc = 4000, .previous = -1501, .next = -1600, .previous_ratio = one, .ratio = one,
		  .frac_bits = 48 },
	};
	struct vm_history vm = { 0 };
	struct vcpu_history *vcpu;
	struct tsc_mapping map;

	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
		assert_int_equal(vm_history_add(&vm, &events[i]), 0);
		/* The first event alone is not enough: a vCPU exists only with a segment from an event */
		assert_int_equal(vm.nr_vcpus, i > 0);
	}
	vcpu = &vm.vcpus[0];
	assert_int_equal(vcpu->nr_segments, 5);
	assert_true(vcpu_history_begins_with_creation(vcpu));
	for (size_t i = 0; i < 4; i++)
		assert_false(vcpu_history_gap(vcpu, i));
	assert_true(vcpu_history_gap(vcpu, 4));
	for (size_t i = 0; i < 5; i++)
		assert_true(tsc_segment_changes(&vcpu->segments[i]));
	assert_true(vcpu_history_at(vcpu, 2000, &map));
	assert_true(map.ratio == fast && map.offset == -1001);
	assert_true(vcpu_history_at(vcpu, 3500, &map));
	assert_true(map.ratio == 2 * fast && map.offset == -1501);

	/* The previous values of the first event take precedence over an initial offset that was set */
	vm_history_release(&vm);
	assert_int_equal(vm_history_add(&vm, &events[2]), 0);
	vcpu_history_set_initial(&vm.vcpus[0], &(struct tsc_mapping) { -1001, fast, 48 });
	assert_true(vcpu_history_before(&vm.vcpus[0], 0, &map));
	assert_true(map.ratio == one && map.offset == -1001);
	assert_true(vcpu_history_gap(&vm.vcpus[0], 0));
	vm_history_release(&vm);

	/* Nothing is known before the first event: it has a gap only if events were lost before it */
	for (int i = 0; i < 2; i++) {
		struct tsc_offset_event event = events[3];

		event.lost_before = i;
		assert_int_equal(vm_history_add(&vm, &events[4]), 0);
		assert_int_equal(vm_history_add(&vm, &event), 0);
		assert_int_equal(vcpu_history_gap(&vm.vcpus[0], 0), i);
		assert_false(vcpu_history_gap(&vm.vcpus[0], 1));
		vm_history_release(&vm);
	}
	print_message("changes of the scaling are changes, and one that was lost is a gap\n");
}

/* Events of a stock kernel, whose ratio comes from another source: an unreported ratio did not change */
static void test_jump_of_unreported_ratio(void **state)
{
	const struct tsc_mapping before = { .offset = -50 };
	const struct tsc_mapping half_more = { .offset = -70, .ratio = 3, .frac_bits = 1 };
	struct vcpu_history vcpu = { 0 };
	struct tsc_mapping map;

	assert_int_equal(vcpu_history_add(&vcpu, 1000, &half_more, &before), 0);
	assert_int_equal(vcpu_history_jump(&vcpu, 0), -20);
	/* The ratio was the same before the first event */
	assert_true(vcpu_history_before(&vcpu, 0, &map));
	assert_true(map.offset == -50 && map.ratio == 3 && map.frac_bits == 1);
	/* An event with an unchanged offset changes nothing */
	assert_int_equal(vcpu_history_add(&vcpu, 2000, &half_more, &(struct tsc_mapping) { .offset = -70 }), 0);
	assert_false(tsc_segment_changes(&vcpu.segments[1]));
	drop(&vcpu);
}

/* The ratio is a fixed-point number: the same bits with another number of fraction bits are another ratio */
static void test_gap_in_frac_bits(void **state)
{
	const struct tsc_mapping intel = { .ratio = 1ULL << 48, .frac_bits = 48 };
	const struct tsc_mapping other = { .ratio = 1ULL << 48, .frac_bits = 47 };
	struct vcpu_history vcpu = { 0 };

	assert_int_equal(vcpu_history_add(&vcpu, 1000, &intel, &intel), 0);
	assert_int_equal(vcpu_history_add(&vcpu, 2000, &intel, &intel), 0);
	assert_int_equal(vcpu_history_add(&vcpu, 3000, &other, &other), 0);
	assert_false(vcpu_history_gap(&vcpu, 1));
	assert_true(vcpu_history_gap(&vcpu, 2));
	drop(&vcpu);
}

/* The values that KVM computes are not the guest's. With Secure TSC there is no previous ratio; with TDX there is. */
static void test_protected(void **state)
{
	struct tsc_offset_event event = {
		.host_tsc = 1000, .ratio = 1ULL << 48, .frac_bits = 48, .vm_fd = -1, .tsc_protected = true,
	};
	struct vm_history vm = { 0 };
	struct tsc_mapping map;

	for (uint32_t i = 0; i < 2; i++) {
		event.vcpu_id = i;
		event.previous_ratio = i ? 5ULL << 46 : 0;
		event.previous = event.next = i ? -5000 : 0;
		assert_int_equal(vm_history_add(&vm, &event), 0);
		assert_int_equal(vm.nr_vcpus, i + 1);
		assert_true(vm.vcpus[i].tsc_protected);
		assert_int_equal(vm.vcpus[i].nr_segments, 0);
		assert_false(vcpu_history_before(&vm.vcpus[i], 0, &map));
		assert_false(vcpu_history_at(&vm.vcpus[i], 2000, &map));
		assert_false(vcpu_history_gap(&vm.vcpus[i], 0));
	}
	/* Once protected, it stays protected, whatever another event reports */
	event.tsc_protected = false;
	assert_int_equal(vm_history_add(&vm, &event), 0);
	assert_true(vm.vcpus[1].tsc_protected);
	event.tsc_protected = true;
	/* A caller that knows the offset can set it */
	vcpu_history_set_initial(&vm.vcpus[0], &(struct tsc_mapping) { .offset = -7 });
	assert_int_equal(offset_at(&vm.vcpus[0], 2000), -7);
	/* The control: another vCPU is not protected */
	event.tsc_protected = false;
	event.vcpu_id = 2;
	assert_int_equal(vm_history_add(&vm, &event), 0);
	assert_false(vm.vcpus[2].tsc_protected);
	assert_int_equal(vm.vcpus[2].nr_segments, 1);
	vm_history_release(&vm);
	print_message("a protected TSC has no history, and nobody knows its offset\n");
}

/* A VM ends, and another one gets its vcpu_id: nothing was lost between the two */
static void test_gap_before_birth(void **state)
{
	struct vcpu_history vcpu = { 0 };

	add(&vcpu, 1000 * MILLION, 0, -999 * MILLION);
	add(&vcpu, 1500 * MILLION, -999 * MILLION, -900 * MILLION);
	add(&vcpu, 3000LL * MILLION, 0, -2999LL * MILLION);
	assert_true(vcpu_history_birth(&vcpu, 2));
	assert_false(vcpu_history_gap(&vcpu, 2));
	/* Any other previous offset of 0 is a gap */
	add(&vcpu, 4000LL * MILLION, 0, -5);
	assert_false(vcpu_history_birth(&vcpu, 3));
	assert_true(vcpu_history_gap(&vcpu, 3));
	drop(&vcpu);
}

/* KVM's own first write: from an offset of 0, which was never in force, to a guest TSC of about 0 */
static void test_creation(void **state)
{
	struct vcpu_history vcpu = { 0 };
	uint64_t from, to;

	assert_false(vcpu_history_begins_with_creation(&vcpu));
	add(&vcpu, 10 * MILLION, 0, -10 * MILLION);
	add(&vcpu, 20 * MILLION, -10 * MILLION, -15 * MILLION);
	assert_true(vcpu_history_begins_with_creation(&vcpu));
	assert_false(vcpu_history_backward(&vcpu, 0, &from, &to));
	assert_true(vcpu_history_backward(&vcpu, 1, &from, &to));
	assert_false(vcpu_history_gap(&vcpu, 0));

	/* The vCPU is known to have existed before with offset 0: then the TSC did jump */
	vcpu_history_set_initial(&vcpu, &(struct tsc_mapping) { 0 });
	assert_false(vcpu_history_begins_with_creation(&vcpu));
	assert_true(vcpu_history_backward(&vcpu, 0, &from, &to));
	assert_int_equal(from, 0);
	assert_int_equal(to, 10 * MILLION);
	drop(&vcpu);

	/* A guest that has the host's TSC and sets it back a little */
	vcpu = (struct vcpu_history) { 0 };
	add(&vcpu, 10 * MILLION, 0, -MILLION);
	assert_false(vcpu_history_begins_with_creation(&vcpu));
	assert_true(vcpu_history_backward(&vcpu, 0, &from, &to));
	drop(&vcpu);

	/* A vCPU that is plugged into a guest as old as its host ran only afterwards */
	vcpu = (struct vcpu_history) { .entries_from = 9 * MILLION, .first_entry = 11 * MILLION };
	add(&vcpu, 10 * MILLION, 0, -MILLION);
	assert_true(vcpu_history_begins_with_creation(&vcpu));
	/* It ran before, or may have run */
	vcpu.first_entry = 10 * MILLION;
	assert_false(vcpu_history_begins_with_creation(&vcpu));
	vcpu.first_entry = 11 * MILLION;
	vcpu.entries_from = 10 * MILLION;
	assert_false(vcpu_history_begins_with_creation(&vcpu));
	drop(&vcpu);

	/* If no event reports the previous offset, the first event's 0 means nothing */
	vcpu = (struct vcpu_history) { 0 };
	add(&vcpu, 10 * MILLION, 0, -10 * MILLION);
	add(&vcpu, 20 * MILLION, 0, -15 * MILLION);
	assert_false(vcpu_history_begins_with_creation(&vcpu));
	drop(&vcpu);
	print_message("the making of a vCPU is no jump backward\n");
}

static void test_vms(void **state)
{
	struct tsc_history history = { 0 };
	struct tsc_offset_event event = { 0 };
	uint64_t seed = 4;

	/* Three VMs with four vCPUs each. The vCPUs come in any order, and all VMs have the same vcpu_ids. */
	for (int i = 0; i < 6000; i++) {
		int vm = prng(&seed) % 3;

		event.vcpu_id = 10 * (prng(&seed) % 4);
		event.host_tsc = i;
		event.next = 1000 * vm + event.vcpu_id;
		assert_int_equal(vm_history_add(tsc_history_vm(&history, 100 * vm), &event), 0);
	}
	assert_int_equal(history.nr_vms, 3);
	for (size_t v = 0; v < 3; v++) {
		const struct vm_history *vm = &history.vms[v];

		assert_int_equal(vm->nr_vcpus, 4);
		for (size_t c = 0; c < 4; c++) {
			assert_int_equal(vm->vcpus[c].vcpu_id, 10 * c);
			for (size_t s = 0; s < vm->vcpus[c].nr_segments; s++)
				assert_int_equal(vm->vcpus[c].segments[s].map.offset,
						 10 * vm->vm + 10 * c);
		}
	}
	assert_ptr_equal(tsc_history_vm(&history, 100), tsc_history_vm(&history, 100));
	assert_int_equal(history.nr_vms, 3);

	/* Invalid mappings are refused, both as the new and as the previous one */
	event.ratio = event.previous_ratio = 1;
	event.frac_bits = 64;
	assert_int_equal(vm_history_add(tsc_history_vm(&history, 0), &event), -EINVAL);
	event.ratio = 0;
	assert_int_equal(vm_history_add(tsc_history_vm(&history, 0), &event), -EINVAL);
	event.frac_bits = 63;
	assert_int_equal(vm_history_add(tsc_history_vm(&history, 0), &event), 0);

	tsc_history_release(&history);
	assert_int_equal(history.nr_vms, 0);
	assert_null(history.vms);
	tsc_history_release(&history);
	assert_non_null(tsc_history_vm(&history, 1));
	tsc_history_release(&history);
	print_message("vCPUs of the same number in three VMs stay apart\n");
}

/*
 * The work for a million events must grow linearly, not with the square of their number. The limits are some hundred
 * times of what it takes, and a thousandth of what the square would take.
 */
static void test_million(void **state)
{
	struct vcpu_history vcpu = { 0 };
	double start = seconds(), added, asked;
	uint64_t seed = 5;
	size_t gaps = 0;

	/* Nearly in order: neighbours are swapped, as when two host CPUs' buffers interleave */
	for (uint64_t i = 0; i < MILLION; i++)
		add(&vcpu, 100 * (i ^ 1), (int64_t)(i ^ 1) - 1, (int64_t)(i ^ 1));
	added = seconds();
	assert_int_equal(vcpu.nr_segments, MILLION);
	for (size_t i = 0; i < MILLION; i++) {
		uint64_t t = prng(&seed) % (100ULL * MILLION);

		assert_int_equal(offset_at(&vcpu, t), t / 100);
		gaps += vcpu_history_gap(&vcpu, i);
	}
	asked = seconds();
	assert_int_equal(gaps, 0);
	drop(&vcpu);
	assert_true(added - start < 20 && asked - added < 20);
	print_message(
		"a million segments: %.2f s to add, %.2f s for a million questions and gaps\n",
		added - start, asked - added);
}

/* The same for a hypervisor that never reports a previous offset */
static void test_million_unreported(void **state)
{
	struct vcpu_history vcpu = { 0 };
	double start;

	for (uint64_t i = 0; i < MILLION; i++)
		add(&vcpu, 100 * i, 0, (int64_t)i + 1);
	start = seconds();
	for (size_t i = 0; i < MILLION && seconds() - start < 20; i++)
		assert_false(vcpu_history_gap(&vcpu, i));
	assert_true(seconds() - start < 20);
	drop(&vcpu);
	print_message("a million segments without previous offsets: %.2f s to look for gaps\n",
		      seconds() - start);
}

/* The buffers of host CPUs one after the other, while the vCPU ran on both CPUs in turns */
static void test_buffer_by_buffer(void **state)
{
	enum { NR = 20000 };
	struct vcpu_history vcpu = { 0 };
	double start = seconds();

	for (uint64_t cpu = 0; cpu < 2; cpu++)
		for (uint64_t i = cpu; i < NR; i += 2)
			add(&vcpu, 100 * i, (int64_t)i - 1, (int64_t)i);
	assert_int_equal(vcpu.nr_segments, NR);
	for (size_t i = 0; i < NR; i++)
		assert_false(vcpu_history_gap(&vcpu, i));
	drop(&vcpu);
	print_message("%d segments from two buffers, one after the other: %.2f s\n", NR,
		      seconds() - start);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_and_before),
		cmocka_unit_test(test_initial),
		cmocka_unit_test(test_jump),
		cmocka_unit_test(test_any_order),
		cmocka_unit_test(test_equal_times),
		cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_scaling),
		cmocka_unit_test(test_jump_of_unreported_ratio),
		cmocka_unit_test(test_gap_in_frac_bits),
		cmocka_unit_test(test_previous_unreported),
		cmocka_unit_test(test_offset_0_before),
		cmocka_unit_test(test_backward),
		cmocka_unit_test(test_protected),
		cmocka_unit_test(test_creation),
		cmocka_unit_test(test_gap_before_birth),
		cmocka_unit_test(test_vms),
		cmocka_unit_test(test_million),
		cmocka_unit_test(test_million_unreported),
		cmocka_unit_test(test_buffer_by_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
