// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* The boots of a VM's guest, by the history of its offsets alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "event.h"
#include "history.h"
#include "vm_boots.h"

/* Host times are a billion cycles and more */
#define G 1000000000LL

struct write {
	uint64_t	host_tsc;
	uint32_t	vcpu_id;
	int64_t		previous;
	int64_t		next;
};

struct boot_case {
	const char	*name;
	struct write	writes[12];
	struct vm_boot	boots[4];
};

/* KVM makes a vCPU: its TSC is 0 at that time */
#define MADE(at, vcpu)	{ at, vcpu, 0, -(at) }

static const struct boot_case cases[] = {
	{ "nothing", { }, { } },
	{ "two vCPUs are made", { MADE(80 * G, 0), { 80 * G + 500, 1, 0, -80 * G } }, { { 80 * G, VM_MADE } } },
	{
		"one more is plugged in", { MADE(80 * G, 0), MADE(80 * G + 500, 1), { 99 * G, 2, 0, -80 * G } },
		{ { 80 * G, VM_MADE } }
	},
	{
		"the first one is made last", { MADE(80 * G, 1), MADE(80 * G + 500, 0) }, { { 80 * G, VM_MADE } }
	},
	{
		"a state is loaded into a VM that is made",
		{ MADE(80 * G, 0), MADE(80 * G, 1), { 81 * G, 0, -80 * G, -60 * G },
		  { 81 * G + 5, 1, -80 * G, -60 * G } },
		{ { 80 * G, VM_MADE }, { 81 * G, VM_RESTORED } }
	},
	{
		"the VMM writes the offset again before it loads a state",
		{
			MADE(80 * G, 0), { 81 * G, 0, -80 * G, -80 * G }, { 82 * G, 0, -80 * G, -80 * G },
			{ 83 * G, 0, -80 * G, 60 * G },
		},
		{ { 80 * G, VM_MADE }, { 83 * G, VM_RESTORED } }
	},
	{
		"a reset of both vCPUs, the second one first",
		{ { 60 * G, 1, -40 * G, -60 * G }, { 60 * G + 90, 0, -40 * G, -60 * G } }, { { 60 * G, VM_RESET } }
	},
	{
		"the offset of a reset is written twice",
		{ { 60 * G, 0, -40 * G, -60 * G }, { 60 * G + 90, 0, -60 * G, -60 * G - 90 } },
		{ { 60 * G, VM_RESET } }
	},
	{
		"two resets",
		{ { 60 * G, 0, -40 * G, -60 * G }, { 80 * G, 0, -60 * G, -80 * G } },
		{ { 60 * G, VM_RESET }, { 80 * G, VM_RESET } }
	},
	{
		"a state is loaded, as QEMU's loadvm does: a reset before",
		{ { 60 * G, 0, -40 * G, -60 * G }, { 61 * G, 0, -60 * G, -45 * G } },
		{ { 60 * G, VM_RESET }, { 61 * G, VM_RESTORED } }
	},
	{
		"a guest that corrects its TSC after a reset",
		{ { 60 * G, 0, -40 * G, -60 * G }, { 72 * G, 0, -60 * G, -59 * G } }, { { 60 * G, VM_RESET } }
	},
	{
		"a guest that corrects its TSC soon after a reset",
		{ { 60 * G, 0, -40 * G, -60 * G }, { 61 * G, 0, -60 * G, -56 * G } }, { { 60 * G, VM_RESET } }
	},
	{ "a TSC set back by some seconds", { { 60 * G, 0, -40 * G, -50 * G } }, { } },
	{ "a TSC set back by half", { { 60 * G, 0, -50 * G, -55 * G } }, { } },
	{ "a TSC set forward", { { 60 * G, 0, -40 * G, -10 * G } }, { } },
	{ "only the second vCPU is reset", { { 50 * G, 0, -40 * G, -41 * G }, { 60 * G, 1, -40 * G, -60 * G } }, { } },
};

static void make_vm(struct vm_history *vm, const struct write *writes)
{
	*vm = (struct vm_history) { 0 };
	for (; writes->host_tsc; writes++) {
		const struct tsc_offset_event event = {
			.host_tsc = writes->host_tsc, .vcpu_id = writes->vcpu_id, .previous = writes->previous,
			.next = writes->next, .vm_fd = -1,
		};

		assert_int_equal(vm_history_add(vm, &event), 0);
	}
}

static void test_boots(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct vm_history vm;
		struct vm_boots boots;
		size_t nr = 0;

		make_vm(&vm, cases[i].writes);
		assert_int_equal(vm_boots_find(&boots, &vm), 0);
		while (cases[i].boots[nr].kind != VM_GOES_ON)
			nr++;
		if (boots.nr != nr)
			fail_msg("%s: %zu boots, not %zu", cases[i].name, boots.nr, nr);
		for (size_t n = 0; n < nr; n++) {
			if (boots.boots[n].host_tsc != cases[i].boots[n].host_tsc ||
			    boots.boots[n].kind != cases[i].boots[n].kind)
				fail_msg("%s: boot %zu: %s at %llu", cases[i].name, n + 1,
					 vm_boot_word(boots.boots[n].kind),
					 (unsigned long long)boots.boots[n].host_tsc);
		}
		vm_boots_release(&boots);
		vm_history_release(&vm);
	}
}

/* Repeated writes of the same offset are not scanned from the beginning each time */
static void test_many(void **state)
{
	enum { MANY = 1 << 20 };
	struct vcpu_history vcpu = { 0 };
	struct vm_history vm = { .vcpus = &vcpu, .nr_vcpus = 1 };
	const struct tsc_mapping map = { .offset = -5 * G };
	struct vm_boots boots;

	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(vcpu_history_add(&vcpu, 80 * G + i, &map, &map), 0);
	assert_int_equal(vm_boots_find(&boots, &vm), 0);
	assert_int_equal(boots.nr, 0);
	vm_boots_release(&boots);
	free(vcpu.segments);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boots),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
