// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Which events of probes are left out: only events whose absence does not alter the list of changes, and nearly all
 * of those that repeat what their CPU already recorded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "event.h"
#include "probe_repeats.h"
#include "prng.h"
#include "tsc_changes.h"

#define NR_CPUS		2
#define NR_VCPUS	3
#define NR_EVENTS	200

static struct tsc_offset_event probe(enum tsc_event_kind kind, int64_t offset)
{
	return (struct tsc_offset_event) {
		.kind = kind, .tid = 11, .next = offset, .ratio = 1, .vm_pid = 10, .vm_fd = 5, .vm = 77,
	};
}

/* Events of one CPU, and whether each is left out: x or - */
struct repeat_case {
	const char		*name;
	struct tsc_offset_event	events[6];
	const char		*repeats;
};

static void test_cases(void **state)
{
	const struct tsc_offset_event load = probe(TSC_EVENT_STATE, -5), write = probe(TSC_EVENT_WRITE, -5);
	struct tsc_offset_event changed = write, thread = load, vcpu = load, ratio = load, vm = load, named = load,
				protected = load, kernel = write, end = load;
	struct probe_repeats repeats = { 0 };

	changed.next = -9;
	thread.tid = 12;
	vcpu.vcpu_id = 1;
	ratio.ratio = 2;
	vm.vm = 78;
	named.vm_fd = 6;
	protected.tsc_protected = true;
	kernel.kind = TSC_EVENT_CHANGE;
	end.kind = TSC_EVENT_VM_END;
	const struct repeat_case cases[] = {
		{ "loads", { load, load, load }, "-xx" },
		{ "writes after a load", { load, write, load, write }, "-xxx" },
		{ "writes alone: another CPU may have written between them", { write, write, write }, "---" },
		{ "a load after writes", { write, load, write }, "-xx" },
		{ "a change, and back", { load, changed, changed, load, write }, "--x-x" },
		{ "another thread", { load, thread, thread, load }, "--x-" },
		{ "another vCPU", { load, vcpu, load, vcpu }, "--xx" },
		{ "another ratio", { load, ratio, ratio, load }, "--x-" },
		{ "another VM", { load, vm, load, vm }, "--xx" },
		{ "another name", { load, named, load, named }, "--xx" },
		{ "protected", { load, protected, protected }, "--x" },
		{ "no probe", { load, kernel, kernel, end, end, load }, "-----x" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (size_t j = 0; cases[i].repeats[j]; j++) {
			if (probe_repeats(&repeats, &cases[i].events[j]) != (cases[i].repeats[j] == 'x'))
				fail_msg("%s: event %zu", cases[i].name, j);
		}
		probe_repeats_release(&repeats);
		assert_null(repeats.vcpus);
		assert_null(repeats.last);
	}
}

/* vCPUs that move between CPUs: a load when a vCPU comes to a CPU, and writes while it is there */
static size_t make_story(struct tsc_offset_event *events, size_t *cpus, uint64_t *seed)
{
	int64_t offsets[NR_VCPUS] = { 0 };
	size_t on[NR_VCPUS] = { 0 };
	bool begun[NR_VCPUS] = { 0 };

	for (size_t i = 0; i < NR_EVENTS; i++) {
		uint32_t v = prng(seed) % NR_VCPUS;
		bool load = !begun[v] || prng(seed) % 2;

		if (load)
			on[v] = prng(seed) % NR_CPUS;
		else if (prng(seed) % 3 == 0)
			offsets[v] = -(int64_t)prng_range(seed, 1, 3);
		begun[v] = true;
		cpus[i] = on[v];
		events[i] = probe(load ? TSC_EVENT_STATE : TSC_EVENT_WRITE, offsets[v]);
		events[i].host_tsc = i + 1;
		events[i].tid = 11 + (int)v;
		events[i].vcpu_id = v;
	}
	return NR_EVENTS;
}

/* If loads are recorded, the list of changes is the same without the events that are left out */
static void test_same_changes(void **state)
{
	uint64_t seed = 5;
	size_t left_out = 0;

	for (int n = 0; n < 500; n++) {
		struct tsc_offset_event all[NR_EVENTS], some[NR_EVENTS];
		struct probe_repeats repeats[NR_CPUS] = { 0 };
		size_t cpus[NR_EVENTS], nr = make_story(all, cpus, &seed), kept = 0;

		for (size_t i = 0; i < nr; i++) {
			if (!probe_repeats(&repeats[cpus[i]], &all[i]))
				some[kept++] = all[i];
		}
		for (size_t cpu = 0; cpu < NR_CPUS; cpu++)
			probe_repeats_release(&repeats[cpu]);
		left_out += nr - kept;
		assert_int_equal(tsc_changes_make(all, &nr, false), 0);
		assert_int_equal(tsc_changes_make(some, &kept, false), 0);
		assert_int_equal(kept, nr);
		assert_memory_equal(all, some, nr * sizeof(*all));
	}
	assert_true(left_out > 500 * NR_EVENTS / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_same_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
