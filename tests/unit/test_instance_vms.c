// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Missing events, detected by a VM's other events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "event.h"
#include "instance_counts.h"
#include "instance_vms.h"

/* One vCPU: the previous and the new offset of its events, and the expected result */
struct sequence {
	struct {
		int64_t	previous;
		int64_t	next;
	}	events[4];
	size_t	nr_events;
	size_t	late;
	size_t	gaps;
};

static const struct sequence sequences[] = {
	{ { { 0, -5 } }, 1, 0, 0 },
	{ { { 0, -5 }, { -5, -7 }, { -7, 0 }, { 0, 3 } }, 4, 0, 0 },
	/* The vCPU existed before its first event */
	{ { { -5, -7 } }, 1, 1, 0 },
	{ { { -5, -7 }, { -7, -9 } }, 2, 1, 0 },
	/* The event from -5 to -6 is missing */
	{ { { 0, -5 }, { -6, -7 } }, 2, 0, 1 },
	{ { { 0, -5 }, { -5, -7 }, { -8, -9 }, { 4, 3 } }, 4, 0, 1 },
	{ { { 1, -5 }, { 2, -7 } }, 2, 1, 1 },
	/* A new VM replaced another one */
	{ { { 0, -5 }, { -5, -7 }, { 0, -8 }, { -8, -9 } }, 4, 0, 0 },
	/* With a hypervisor that always reports 0 nothing can be detected */
	{ { { 0, -5 }, { 0, -7 }, { 0, -9 } }, 3, 0, 0 },
};

#define NR_SEQUENCES	(sizeof(sequences) / sizeof(sequences[0]))

static void add_vcpu(struct vm_history *vm, uint32_t vcpu_id, const struct sequence *sequence)
{
	for (size_t i = 0; i < sequence->nr_events; i++) {
		struct tsc_offset_event event = {
			.host_tsc	= 1000 * (i + 1),
			.vcpu_id	= vcpu_id,
			.previous	= sequence->events[i].previous,
			.next		= sequence->events[i].next,
		};

		assert_int_equal(vm_history_add(vm, &event), 0);
	}
}

static void one_vcpu(void **state)
{
	for (size_t i = 0; i < NR_SEQUENCES; i++) {
		struct vm_history vm = { 0 };

		add_vcpu(&vm, 0, &sequences[i]);
		assert_int_equal(instance_vm_late(&vm), sequences[i].late);
		assert_int_equal(instance_vm_gaps(&vm), sequences[i].gaps);
		vm_history_release(&vm);
	}
}

static void many_vcpus(void **state)
{
	struct vm_history vm = { 0 };
	size_t late = 0, gaps = 0;

	for (uint32_t i = 0; i < NR_SEQUENCES; i++) {
		add_vcpu(&vm, 3 * i, &sequences[i]);
		late += sequences[i].late;
		gaps += sequences[i].gaps;
	}
	assert_int_equal(instance_vm_late(&vm), late);
	assert_int_equal(instance_vm_gaps(&vm), gaps);
	vm_history_release(&vm);
}

static void no_vcpu(void **state)
{
	struct vm_history vm = { 0 };

	assert_int_equal(instance_vm_late(&vm), 0);
	assert_int_equal(instance_vm_gaps(&vm), 0);
}

/* Up to which time events are missing by the counts of a CPU's buffer */
static void test_counts(void **state)
{
	static const struct {
		struct cpu_counts	counts;
		uint64_t		until;
	} cases[] = {
		{ { .entries = 5, .oldest = 70 }, 0 },
		{ { .overrun = 1, .oldest = 70 }, 70 },
		{ { .read = 1, .oldest = 70 }, 70 },
		{ { .read = 1 }, UINT64_MAX },
		{ { .dropped = 1, .oldest = 70 }, UINT64_MAX },
		{ { .commit_overrun = 1, .overrun = 1, .oldest = 70 }, UINT64_MAX },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(cpu_counts_lost_until(&cases[i].counts), cases[i].until);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_vcpu),
		cmocka_unit_test(many_vcpus),
		cmocka_unit_test(no_vcpu),
		cmocka_unit_test(test_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
