// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Initial offsets of a host's vCPUs from other sources, and whether its events of kvm_exit are complete. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "host_vcpus.h"
#include "initial_offsets.h"

#define TWO	(2ULL << 32)
#define THREE	(3ULL << 32)

struct scaling_case {
	const char	*name;
	uint64_t	initial;	/* ratio of the initial offset */
	uint64_t	ratios[2];	/* of the events */
	uint64_t	wanted[2];
};

/* A kernel whose events do not report the ratio does not report changes of the ratio either */
static void test_initial(void **state)
{
	static const struct scaling_case cases[] = {
		{ "no event says it: it holds on", TWO, { 0, 0 }, { TWO, TWO } },
		{ "an event says it: that counts", TWO, { THREE, THREE }, { THREE, THREE } },
		{ "the last event says it", TWO, { 0, THREE }, { 0, THREE } },
		{ "it is not scaled", 0, { 0, 0 }, { 0, 0 } },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct initial_offset offset = {
			.vcpu_id = 1, .map = { .offset = -7, .ratio = cases[i].initial, .frac_bits = 32 },
		};
		const struct initial_offsets initial[2] = { { NULL, 0 }, { &offset, 1 } };
		/* vCPUs of two VMs; only one vCPU of the second VM has an initial offset */
		struct host_vcpu list[3] = {
			{ .vm = 0, .vcpu_id = 1 }, { .vm = 1, .vcpu_id = 0 }, { .vm = 1, .vcpu_id = 1 },
		};
		struct host_vcpus vcpus = { .vcpus = list, .nr = 3 };
		struct vcpu_history *history = &list[2].history;

		for (size_t j = 0; j < 2; j++) {
			const struct tsc_mapping before = { .offset = -7 - (int64_t)j };
			const struct tsc_mapping map = {
				.offset = -8 - (int64_t)j, .ratio = cases[i].ratios[j], .frac_bits = 32,
			};

			assert_int_equal(vcpu_history_add(history, 100 * j + 100, &map, &before), 0);
		}
		host_vcpus_set_initial(&vcpus, initial);
		assert_false(list[0].history.initial_known);
		assert_false(list[1].history.initial_known);
		assert_true(history->initial_known && history->initial.offset == -7);
		for (size_t j = 0; j < 2; j++) {
			if (history->segments[j].map.ratio != cases[i].wanted[j] ||
			    history->segments[j].map.offset != -8 - (int64_t)j)
				fail_msg("%s: change %zu has ratio %#lx", cases[i].name, j,
					 (unsigned long)history->segments[j].map.ratio);
		}
		free(history->segments);
	}
}

/* A kvm_exit is missing now and then even without a filter */
static void test_lack_exits(void **state)
{
	static const struct { const char *name; uint64_t entries, missing; bool lack; } cases[] = {
		{ "no entry", 0, 0, false },
		{ "all are there", 5000, 0, false },
		{ "one of a thousand", 5000, 5, false },
		{ "one more", 5000, 6, true },
		{ "one of a few", 999, 1, true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct host_vcpus vcpus = { .nr_entries = cases[i].entries, .missing_exits = cases[i].missing };

		if (host_vcpus_lack_exits(&vcpus) != cases[i].lack)
			fail_msg("%s: not %d", cases[i].name, cases[i].lack);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_initial),
		cmocka_unit_test(test_lack_exits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
