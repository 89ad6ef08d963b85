// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Which vCPU each CPU of a guest is, on fake hosts. The test knows the truth: the fit has to find it or to report a
 * doubt. Each case runs with several seeds, so that it does not pass by luck.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fit.h"
#include "made_vcpus.h"
#include "prng.h"

#define SEEDS		8
#define MAX_CPUS	4
#define MAX_PARTS	3
#define MAX_TIMES	1024
#define B		MADE_BEGIN
#define E		MADE_END
#define MID		((B + E) / 2)
#define NONE		FIT_NONE

/* The events of a CPU while it is this vCPU. @strange: events of another guest, at any time. */
struct part {
	size_t		vcpu;
	uint64_t	from;
	uint64_t	to;
	size_t		nr;
	bool		strange;
};

/* A CPU, its events, and the expected result */
struct cpu_case {
	uint32_t	cpu;
	struct part	parts[MAX_PARTS];
	int		tid;
	size_t		vcpu;
	enum fit_doubt	doubt;
	size_t		rival;
	bool		fits;
};

struct fit_case {
	const char		*name;
	struct made_vcpu	vcpus[MADE_VCPUS];
	size_t			nr_vcpus;
	size_t			nr_vms;
	bool			apart[4];
	struct cpu_case		cpus[MAX_CPUS];
	size_t			nr_cpus;
	size_t			nr_guest_cpus;
	size_t			known;		/* the known VM of the guest, or NONE */
	size_t			vm;
	size_t			rival_vm;
	bool			significant;
};

#define VCPU(v, id, thread, off)	{ .vm = v, .vcpu_id = id, .tid = thread, .offset = off }
#define VCPU_FROM_TO(v, id, thread, first, last, off) \
	{ .vm = v, .vcpu_id = id, .tid = thread, .from = first, .to = last, .offset = off }
#define VCPU_JUMP(v, id, thread, off, at, then) \
	{ .vm = v, .vcpu_id = id, .tid = thread, .offset = off, .change = at, .changed = then }
#define IS(v, events)		{ { .vcpu = v, .from = B, .to = E, .nr = events } }
#define CPU(number, v, events)	{ .cpu = number, .parts = IS(v, events), .vcpu = v, .fits = true }

static const struct fit_case fit_cases[] = {
	{ .name = "in order", .nr_vcpus = 3, .nr_vms = 1, .apart = { true }, .nr_cpus = 3, .nr_guest_cpus = 3,
	  .vcpus = { VCPU(0, 0, 10, -500), VCPU(0, 1, 11, -500), VCPU(0, 2, 12, -500) },
	  .cpus = { CPU(0, 0, 60), CPU(1, 1, 60), CPU(2, 2, 60) }, .known = NONE, .rival_vm = NONE,
	  .significant = true },
	{ .name = "plugged in in another order", .nr_vcpus = 4, .nr_vms = 1, .apart = { true }, .nr_cpus = 4,
	  .nr_guest_cpus = 4,
	  .vcpus = { VCPU(0, 0, 10, -500), VCPU(0, 1, 13, -500), VCPU(0, 2, 12, -900), VCPU(0, 3, 11, -500) },
	  .cpus = { CPU(0, 0, 60), CPU(1, 3, 60), CPU(2, 2, 60), CPU(3, 1, 60) }, .known = NONE, .rival_vm = NONE,
	  .significant = true },
	{ .name = "ids have holes, all vCPUs were seen", .nr_vcpus = 3, .nr_vms = 1, .apart = { true }, .nr_cpus = 3,
	  .nr_guest_cpus = 3, .vcpus = { VCPU(0, 0, 10, -500), VCPU(0, 2, 11, -500), VCPU(0, 4, 12, -500) },
	  .cpus = { CPU(0, 0, 60), CPU(1, 1, 60), CPU(2, 2, 60) }, .known = NONE, .rival_vm = NONE,
	  .significant = true },
	{ .name = "ids have holes, the host did not see the vCPU of one", .nr_vcpus = 2, .nr_vms = 1,
	  .apart = { true }, .nr_cpus = 2, .nr_guest_cpus = 4,
	  .vcpus = { VCPU(0, 0, 10, -500), VCPU(0, 2, 11, -500) },
	  .cpus = { CPU(0, 0, 60), { .cpu = 2, .parts = { { 0, B, E, 60, true } }, .vcpu = NONE } },
	  .known = NONE, .rival_vm = NONE, .significant = true },
	{ .name = "a CPU that recorded nothing", .nr_vcpus = 3, .nr_vms = 1, .apart = { true }, .nr_cpus = 2,
	  .nr_guest_cpus = 3, .vcpus = { VCPU(0, 0, 10, -500), VCPU(0, 1, 11, -500), VCPU(0, 2, 12, -500) },
	  .cpus = { CPU(0, 0, 60), CPU(2, 2, 60) }, .known = NONE, .rival_vm = NONE, .significant = true },
	{ .name = "the second of two VMs", .nr_vcpus = 4, .nr_vms = 2, .apart = { true, true }, .nr_cpus = 2,
	  .nr_guest_cpus = 2,
	  .vcpus = { VCPU(0, 0, 10, -500), VCPU(0, 1, 11, -500), VCPU(1, 0, 20, -500), VCPU(1, 1, 21, -500) },
	  .cpus = { CPU(0, 2, 60), CPU(1, 3, 60) }, .known = NONE, .vm = 1, .rival_vm = NONE, .significant = true },
	{ .name = "the second of two VMs, and it is known", .nr_vcpus = 4, .nr_vms = 2, .apart = { true, true },
	  .nr_cpus = 2, .nr_guest_cpus = 2,
	  .vcpus = { VCPU(0, 0, 10, -500), VCPU(0, 1, 11, -500), VCPU(1, 0, 20, -500), VCPU(1, 1, 21, -500) },
	  .cpus = { CPU(0, 2, 60), CPU(1, 3, 60) }, .known = 1, .vm = 1, .rival_vm = NONE, .significant = true },
	{ .name = "it is said to be the wrong VM: that is what is looked at", .nr_vcpus = 4, .nr_vms = 2,
	  .apart = { true, true }, .nr_cpus = 2, .nr_guest_cpus = 2,
	  .vcpus = { VCPU(0, 0, 10, -500), VCPU(0, 1, 11, -500), VCPU(1, 0, 20, -500), VCPU(1, 1, 21, -500) },
	  .cpus = { { .cpu = 0, .parts = IS(2, 60), .vcpu = 0 }, { .cpu = 1, .parts = IS(3, 60), .vcpu = 1 } },
	  .known = 0, .vm = 0, .rival_vm = NONE },
	{ .name = "threads of two VMs that the host's file does not distinguish", .nr_vcpus = 4, .nr_vms = 2,
	  .nr_cpus = 2, .nr_guest_cpus = 2,
	  .vcpus = { VCPU(0, 0, 10, -500), VCPU(0, 1, 13, -500), VCPU(1, 0, 11, -500), VCPU(1, 1, 12, -500) },
	  .cpus = { CPU(0, 0, 120), { .cpu = 1, .parts = IS(3, 120), .vcpu = 3, .fits = true } },
	  .known = NONE, .vm = 0, .rival_vm = NONE, .significant = true },
	{ .name = "a thread that was plugged in later, and seems to be another VM's", .nr_vcpus = 3, .nr_vms = 2,
	  .nr_cpus = 2, .nr_guest_cpus = 2,
	  .vcpus = { VCPU(0, 0, 10, -500), VCPU_FROM_TO(0, 1, 11, B, MID - 20000, -500),
		     VCPU_FROM_TO(1, 1, 99, MID + 20000, E, -500) },
	  .cpus = { CPU(0, 0, 60), { .cpu = 1, .vcpu = 2, .fits = true,
		    .parts = { { 1, B, MID - 30000, 60, false }, { 2, MID + 30000, E - 20000, 60, false } } } },
	  .known = NONE, .vm = 0, .rival_vm = NONE, .significant = true },
	{ .name = "a few events alone do not prove that it was another vCPU before", .nr_vcpus = 3, .nr_vms = 2,
	  .nr_cpus = 2, .nr_guest_cpus = 2,
	  .vcpus = { VCPU(0, 0, 10, -500), VCPU_FROM_TO(0, 1, 11, B, MID - 20000, -500),
		     VCPU_FROM_TO(1, 1, 99, MID + 20000, E, -500) },
	  .cpus = { CPU(0, 0, 60), { .cpu = 1, .vcpu = 2, .fits = true, .doubt = FIT_FEW_EVENTS, .rival = 1,
		    .parts = { { 1, B, MID - 30000, 60, false }, { 2, MID + 30000, E - 20000, 3, false } } } },
	  .known = NONE, .vm = 0, .rival_vm = NONE, .significant = true },
	{ .name = "a guest that was moved to another process", .nr_vcpus = 4, .nr_vms = 2, .nr_cpus = 2,
	  .nr_guest_cpus = 2,
	  .vcpus = { VCPU_FROM_TO(0, 0, 10, B, MID - 20000, -500), VCPU_FROM_TO(0, 1, 11, B, MID - 20000, -500),
		     VCPU_FROM_TO(1, 0, 90, MID + 20000, E, -30000), VCPU_FROM_TO(1, 1, 91, MID + 20000, E, -30000) },
	  .cpus = { { .cpu = 0, .vcpu = 2, .fits = true,
		      .parts = { { 0, B, MID - 30000, 60, false }, { 2, MID + 30000, E - 20000, 60, false } } },
		    { .cpu = 1, .vcpu = 3, .fits = true,
		      .parts = { { 1, B, MID - 30000, 60, false }, { 3, MID + 30000, E - 20000, 60, false } } } },
	  .known = NONE, .vm = 1, .rival_vm = NONE, .significant = true },
	{ .name = "a few events after a jump, and then it was another vCPU", .nr_vcpus = 3, .nr_vms = 2,
	  .nr_cpus = 2, .nr_guest_cpus = 2,
	  .vcpus = { VCPU(0, 0, 10, -500),
		     { .vm = 0, .vcpu_id = 1, .tid = 11, .to = MID - 20000, .offset = -500, .change = MID - 60000,
		       .changed = 70000 },
		     VCPU_FROM_TO(1, 1, 99, MID + 20000, E, 200000) },
	  .cpus = { CPU(0, 0, 60), { .cpu = 1, .vcpu = 2, .fits = true,
		    .parts = { { 1, B, MID - 61000, 60, false }, { 1, MID - 60000, MID - 30000, 2, false },
			       { 2, MID + 30000, E - 20000, 40, false } } } },
	  .known = NONE, .vm = 0, .rival_vm = NONE, .significant = true },
	{ .name = "before a jump and after it", .nr_vcpus = 2, .nr_vms = 1, .apart = { true }, .nr_cpus = 2,
	  .nr_guest_cpus = 2, .vcpus = { VCPU_JUMP(0, 0, 10, -500, MID, -900000), VCPU(0, 1, 11, -500) },
	  .cpus = { CPU(0, 0, 120), CPU(1, 1, 60) }, .known = NONE, .rival_vm = NONE, .significant = true },
	{ .name = "all before a jump backward, at times that come once", .nr_vcpus = 1, .nr_vms = 1, .apart = { true },
	  .nr_cpus = 1, .nr_guest_cpus = 1, .vcpus = { VCPU_JUMP(0, 0, 10, -500, MID, -90000) },
	  .cpus = { { .cpu = 0, .parts = { { 0, B, MID - 90001, 60, false } }, .vcpu = 0, .fits = true } },
	  .known = NONE, .rival_vm = NONE, .significant = true },
	{ .name = "all after a jump backward, at times that come once", .nr_vcpus = 1, .nr_vms = 1, .apart = { true },
	  .nr_cpus = 1, .nr_guest_cpus = 1, .vcpus = { VCPU_JUMP(0, 0, 10, -500, MID, -90000) },
	  .cpus = { { .cpu = 0, .parts = { { 0, MID + 90000, E - 20000, 60, false } }, .vcpu = 0, .fits = true } },
	  .known = NONE, .rival_vm = NONE, .significant = true },
	{ .name = "the last events are of times before those of the thread that came after it", .nr_vcpus = 2,
	  .nr_vms = 1, .apart = { false }, .nr_cpus = 1, .nr_guest_cpus = 1,
	  .vcpus = { VCPU_FROM_TO(0, 0, 10, 0, MID, -500), VCPU_FROM_TO(0, 0, 20, MID + 50000, 0, -200500) },
	  .cpus = { { .cpu = 0, .parts = { { 0, B, MID - 150000, 60, false } }, .vcpu = 0, .fits = true } },
	  .known = NONE, .rival_vm = NONE, .significant = true },
	{ .name = "too few events to prove anything, by order", .nr_vcpus = 2, .nr_vms = 1, .apart = { true },
	  .nr_cpus = 2, .nr_guest_cpus = 2, .vcpus = { VCPU(0, 0, 10, -500), VCPU(0, 1, 11, -500) },
	  .cpus = { CPU(0, 0, 1), CPU(1, 1, 1) }, .known = NONE, .rival_vm = NONE },
	{ .name = "one event of two CPUs, and an offset that is not known", .nr_vcpus = 2, .nr_vms = 1,
	  .apart = { true }, .nr_cpus = 1, .nr_guest_cpus = 2, .vcpus = { VCPU(0, 0, 11, -500), VCPU(0, 1, 10, 0) },
	  .cpus = { { .cpu = 0, .parts = IS(0, 1), .vcpu = 0, .fits = true, .doubt = FIT_ANOTHER_VCPU, .rival = 1 } },
	  .known = NONE, .rival_vm = NONE },
	{ .name = "what fits no other is the vCPU whose offset is not known", .nr_vcpus = 2, .nr_vms = 1,
	  .apart = { true }, .nr_cpus = 2, .nr_guest_cpus = 2, .vcpus = { VCPU(0, 0, 10, -500), VCPU(0, 1, 11, 0) },
	  .cpus = { CPU(0, 0, 60), { .cpu = 1, .parts = { { 0, B, E, 60, true } }, .vcpu = 1 } }, .known = NONE,
	  .rival_vm = NONE, .significant = true },
	{ .name = "its thread is known", .nr_vcpus = 2, .nr_vms = 1, .apart = { true }, .nr_cpus = 1,
	  .nr_guest_cpus = 2, .vcpus = { VCPU(0, 0, 10, 0), VCPU(0, 1, 11, 0) },
	  .cpus = { { .cpu = 0, .parts = { { 0, B, E, 60, true } }, .tid = 11, .vcpu = 1 } }, .known = NONE,
	  .rival_vm = NONE },
	{ .name = "a VM of which it is certain which vCPUs it has is not completed", .nr_vcpus = 3, .nr_vms = 2,
	  .apart = { true, false }, .nr_cpus = 2, .nr_guest_cpus = 2,
	  .vcpus = { VCPU(0, 0, 10, -500), VCPU(0, 1, 11, -500), VCPU(1, 1, 20, -500) },
	  .cpus = { CPU(0, 0, 120), { .cpu = 1, .parts = IS(2, 60), .vcpu = 1 } }, .known = NONE, .vm = 0,
	  .rival_vm = NONE, .significant = true },
	{ .name = "it is said to be a VM in which nothing fits, of which the vCPUs are not certain", .nr_vcpus = 4,
	  .nr_vms = 2, .nr_cpus = 2, .nr_guest_cpus = 2,
	  .vcpus = { VCPU(0, 0, 10, -500), VCPU(0, 1, 11, -500), VCPU(1, 0, 20, -500), VCPU(1, 1, 21, -500) },
	  .cpus = { { .cpu = 0, .parts = IS(2, 60), .vcpu = 0 }, { .cpu = 1, .parts = IS(3, 60), .vcpu = 1 } },
	  .known = 0, .vm = 0, .rival_vm = NONE },
	{ .name = "what is outside of the recording proves no VM", .nr_vcpus = 2, .nr_vms = 2, .apart = { true, true },
	  .nr_cpus = 1, .nr_guest_cpus = 1, .vcpus = { VCPU(0, 0, 10, -5000000), VCPU(1, 0, 20, -500) },
	  .cpus = { { .cpu = 0, .vcpu = 1,
		      .parts = { { 1, B, MID, 60, false }, { 0, MID + 100000, E, 100, true } } } },
	  .known = NONE, .vm = 1, .rival_vm = NONE, .significant = true },
	{ .name = "what is outside of the recording on one vCPU, and proved on another", .nr_vcpus = 2, .nr_vms = 1,
	  .apart = { true }, .nr_cpus = 1, .nr_guest_cpus = 2,
	  .vcpus = { VCPU(0, 0, 11, -500), VCPU(0, 1, 10, -5000000) },
	  .cpus = { { .cpu = 1, .vcpu = 0, .fits = true,
		      .parts = { { 0, B - 900000, B - 100000, 300, true }, { 0, B, E - 20000, 30, false } } } },
	  .known = NONE, .rival_vm = NONE, .significant = true },
	{ .name = "an event that fits another vCPU by chance", .nr_vcpus = 3, .nr_vms = 1, .apart = { true },
	  .nr_cpus = 2, .nr_guest_cpus = 3,
	  .vcpus = { VCPU(0, 0, 10, -500), VCPU(0, 1, 11, 0), VCPU(0, 2, 12, -500) },
	  .cpus = { CPU(0, 0, 60), { .cpu = 1, .parts = IS(2, 1), .vcpu = 2, .fits = true,
				     .doubt = FIT_ANOTHER_VCPU, .rival = 1 } },
	  .known = NONE, .rival_vm = NONE, .significant = true },
	{ .name = "few events of another vCPU before, and some that contradict it anyway", .nr_vcpus = 3, .nr_vms = 2,
	  .nr_cpus = 2, .nr_guest_cpus = 2,
	  .vcpus = { VCPU(0, 0, 10, -500), VCPU_FROM_TO(0, 1, 11, B, MID - 20000, -500),
		     VCPU_FROM_TO(1, 1, 99, MID + 20000, E - 200000, -500) },
	  .cpus = { CPU(0, 0, 60), { .cpu = 1, .vcpu = 1,
		    .parts = { { 1, B, MID - 30000, 60, false }, { 2, MID + 30000, E - 220000, 3, false },
			       { 2, E - 100000, E, 4, true } } } },
	  .known = NONE, .vm = 0, .rival_vm = NONE, .significant = true },
	{ .name = "a guest of which the host has nothing", .nr_vcpus = 1, .nr_vms = 1, .apart = { true }, .nr_cpus = 1,
	  .nr_guest_cpus = 1, .vcpus = { VCPU(0, 0, 10, -500) },
	  .cpus = { { .cpu = 0, .parts = { { 0, B, E, 60, true } }, .vcpu = 0 } }, .known = NONE, .rival_vm = NONE },
	{ .name = "a host without a vCPU", .nr_vcpus = 0, .nr_vms = 0, .nr_cpus = 1, .nr_guest_cpus = 1,
	  .cpus = { { .cpu = 0, .parts = { { 0, B, E, 5, true } }, .vcpu = NONE } }, .known = NONE, .vm = NONE,
	  .rival_vm = NONE },
};

static size_t make_times(const struct made_vcpus *made, const struct cpu_case *cpu, uint64_t *times, uint64_t *seed)
{
	size_t nr = 0;

	for (size_t i = 0; i < MAX_PARTS && cpu->parts[i].nr; i++) {
		const struct part *part = &cpu->parts[i];

		if (!part->strange)
			made_vcpus_events(made, part->vcpu, part->from, part->to, times + nr, part->nr, seed);
		/* Spread evenly, so that they are in order */
		for (size_t j = 0; part->strange && j < part->nr; j++)
			times[nr + j] = part->from - 40000 + (part->to - part->from) * j / part->nr +
					prng_range(seed, 0, 1000);
		nr += part->nr;
	}
	return nr;
}

static void check_result(const struct fit_case *c, uint64_t seed, size_t cpu, const struct fit_result *result)
{
	const struct cpu_case *wanted = &c->cpus[cpu];
	bool fits = !fit_tally_against(&result->path.tally);
	size_t nr = 0;

	if (result->vcpu != wanted->vcpu || result->doubt != wanted->doubt)
		fail_msg("%s, seed %lu: CPU %u is vCPU %zd, doubt %d", c->name, (unsigned long)seed, wanted->cpu,
			 result->vcpu, result->doubt);
	if (wanted->doubt != FIT_CERTAIN && result->rival != wanted->rival)
		fail_msg("%s, seed %lu: the rival of CPU %u is %zd", c->name, (unsigned long)seed, wanted->cpu,
			 result->rival);
	for (size_t i = 0; i < MAX_PARTS; i++)
		nr += wanted->parts[i].strange ? 0 : wanted->parts[i].nr;
	if (fits != wanted->fits || (fits && result->path.tally.inside != nr))
		fail_msg("%s, seed %lu: %lu of %zu inside", c->name, (unsigned long)seed,
			 (unsigned long)result->path.tally.inside, nr);
}

static void check_fit(const struct fit_case *c, uint64_t seed)
{
	static uint64_t times[MAX_CPUS][MAX_TIMES];
	struct fit_cpu cpus[MAX_CPUS];
	struct fit_tally sum = { .earlier = FIT_NO_LIMIT, .later = FIT_NO_LIMIT };
	uint64_t numbers = seed;
	struct made_vcpus made;
	struct fit fit;

	made_vcpus_make(&made, c->vcpus, c->nr_vcpus, &numbers);
	for (size_t i = 0; i < c->nr_cpus; i++)
		cpus[i] = (struct fit_cpu) {
			.cpu = c->cpus[i].cpu, .times = times[i], .tid = c->cpus[i].tid,
			.nr_times = make_times(&made, &c->cpus[i], times[i], &numbers),
		};
	struct fit_input input = {
		.host = made.host, .nr_vms = c->nr_vms, .apart = c->apart, .cpus = cpus, .nr_cpus = c->nr_cpus,
		.nr_guest_cpus = c->nr_guest_cpus, .vm = c->known,
	};
	assert_int_equal(fit_find(&fit, &input), 0);
	assert_int_equal(fit.nr_results, c->nr_cpus);
	if (fit.vm != c->vm || fit.rival_vm != c->rival_vm)
		fail_msg("%s, seed %lu: VM %zd, or VM %zd", c->name, (unsigned long)seed, fit.vm, fit.rival_vm);
	for (size_t i = 0; i < c->nr_cpus; i++) {
		check_result(c, seed, i, &fit.results[i]);
		fit_tally_add(&sum, &fit.results[i].path.tally);
	}
	assert_memory_equal(&sum, &fit.tally, sizeof(sum));
	if (fit_is_significant(&fit, &input) != c->significant)
		fail_msg("%s, seed %lu: significant is %d", c->name, (unsigned long)seed, !c->significant);
	fit_release(&fit);
	made_vcpus_release(&made);
}

static void test_find(void **state)
{
	for (size_t i = 0; i < sizeof(fit_cases) / sizeof(*fit_cases); i++) {
		for (uint64_t seed = 1; seed <= SEEDS; seed++)
			check_fit(&fit_cases[i], seed);
	}
}

/* Two VMs whose vCPUs run at the same times */
static void test_rival_vm(void **state)
{
	static const struct made_vcpu vcpus[] = { VCPU(0, 0, 10, -500), VCPU(1, 0, 20, -500) };
	static const bool apart[] = { true, true };
	static uint64_t times[60];
	uint64_t seed = 5;
	struct made_vcpus made;
	struct fit_cpu cpu = { .times = times, .nr_times = 60 };
	struct fit_input input = {
		.nr_vms = 2, .apart = apart, .cpus = &cpu, .nr_cpus = 1, .nr_guest_cpus = 1, .vm = FIT_NONE,
	};
	struct fit fit;

	made_vcpus_make(&made, vcpus, 2, &seed);
	made.vcpus[1].modes = &made.modes[0];
	input.host = made.host;
	made_vcpus_events(&made, 0, B, E, times, 60, &seed);

	/* With equal offsets it does not matter which VM is chosen */
	assert_int_equal(fit_find(&fit, &input), 0);
	assert_true(fit.vm == 0 && fit.rival_vm == FIT_NONE && fit_is_significant(&fit, &input));
	fit_release(&fit);

	/* A vCPU that is always in guest mode fits any offset, so it proves nothing */
	fit_vcpu_release(&made.vcpus[1]);
	made.histories[1].initial.offset = -502;
	vcpu_modes_release(&made.modes[1]);
	assert_int_equal(vcpu_modes_add(&made.modes[1], B - 1000, E + 1000, MODE_GUEST), 0);
	assert_int_equal(vcpu_modes_add(&made.modes[1], E + 1001, UINT64_MAX, MODE_UNKNOWN), 0);
	made.vcpus[1].modes = &made.modes[1];
	assert_int_equal(fit_vcpu_make(&made.vcpus[1], NULL, 0), 0);
	assert_int_equal(fit_find(&fit, &input), 0);
	assert_true(fit.vm == 0 && fit.rival_vm == 1);
	fit_release(&fit);

	/* The user names the VM */
	input.vm = 1;
	assert_int_equal(fit_find(&fit, &input), 0);
	assert_true(fit.vm == 1 && fit.rival_vm == FIT_NONE && fit.results[0].vcpu == 1);
	assert_false(fit_is_significant(&fit, &input));
	fit_release(&fit);
	made_vcpus_release(&made);
}

/* Two vCPUs of a VM that run at the same times with different offsets, with threads in order or not */
static void test_rival_vcpu(void **state)
{
	/*
	 * @nr: number of events. @lost: number of spans of the second vCPU in
	 * which the host lost events. @cpus: of the guest.
	 */
	static const struct {
		const char	*name;
		int		tids[2];
		size_t		nr, lost, cpus;
		enum fit_doubt	doubts[2];
	} cases[] = {
		{ "threads in order", { 10, 11 }, 60, 0, 2, { FIT_CERTAIN, FIT_CERTAIN } },
		{ "threads plugged in in another order", { 11, 10 }, 60, 0, 2,
		  { FIT_ANOTHER_VCPU, FIT_ANOTHER_VCPU } },
		{ "one that is a bit worse", { 11, 10 }, 60, 3, 2, { FIT_ANOTHER_VCPU, FIT_ANOTHER_VCPU } },
		{ "one that is a bit worse, and no CPU's", { 11, 10 }, 60, 3, 1, { FIT_ANOTHER_VCPU, FIT_CERTAIN } },
		{ "one that is much worse, and no CPU's", { 11, 10 }, 60, 20, 1, { FIT_CERTAIN, FIT_CERTAIN } },
		{ "one for which less than half of the events speak", { 11, 10 }, 8, 5, 2,
		  { FIT_CERTAIN, FIT_ANOTHER_VCPU } },
	};
	static const bool apart[] = { true };

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct made_vcpu vcpus[] = {
			VCPU(0, 0, cases[i].tids[0], -500), VCPU(0, 1, cases[i].tids[1], -501),
		};
		static uint64_t times[2][60];
		uint64_t seed = 6;
		struct made_vcpus made;
		struct fit_cpu cpus[2] = { { 0, times[0], NULL, cases[i].nr, 0 },
					   { 1, times[1], NULL, cases[i].nr, 0 } };
		struct fit_input input = {
			.nr_vms = 1, .apart = apart, .cpus = cpus, .nr_cpus = cases[i].cpus, .nr_guest_cpus = 2,
			.vm = FIT_NONE,
		};
		struct fit fit;

		made_vcpus_make(&made, vcpus, 2, &seed);
		vcpu_modes_release(&made.modes[1]);
		for (size_t span = 0, lost = 0; span < made.modes[0].nr; span++) {
			bool last = span + 1 == made.modes[0].nr, guest = made.modes[0].mode[span] == MODE_GUEST;
			bool wide = !last && made.modes[0].from[span + 1] - made.modes[0].from[span] > 10;

			lost += guest && wide;
			assert_int_equal(vcpu_modes_add(&made.modes[1], made.modes[0].from[span], UINT64_MAX,
							guest && wide && lost <= cases[i].lost ? MODE_UNKNOWN :
							made.modes[0].mode[span]), 0);
		}
		input.host = made.host;
		/* In the middle of spans in which both vCPUs are in guest mode */
		for (size_t c = 0; c < 2; c++) {
			size_t span = 0;

			for (size_t n = 0; n < cases[i].nr; span++) {
				if (made.modes[0].mode[span] == MODE_GUEST &&
				    made.modes[0].from[span + 1] - made.modes[0].from[span] > 10)
					times[c][n++] = (made.modes[0].from[span] + made.modes[0].from[span + 1]) / 2 -
							500;
			}
		}
		assert_int_equal(fit_find(&fit, &input), 0);
		for (size_t c = 0; c < cases[i].cpus; c++) {
			if (fit.results[c].vcpu != c || fit.results[c].doubt != cases[i].doubts[c])
				fail_msg("%s: CPU %zu is vCPU %zd, doubt %d", cases[i].name, c, fit.results[c].vcpu,
					 fit.results[c].doubt);
			if (cases[i].doubts[c])
				assert_int_equal(fit.results[c].rival, 1 - c);
		}
		fit_release(&fit);
		made_vcpus_release(&made);
	}
}

/* A TSC is set back by 100000 cycles, and the vCPU then has the same modes as 100000 cycles before */
static void test_rival_phase(void **state)
{
	static const bool apart[] = { true };
	static uint64_t times[40];

	for (int same = 0; same < 2; same++) {
		struct vcpu_modes modes = { 0 };
		struct vcpu_history history = { 0 };
		const struct tsc_mapping before = { .offset = -500 }, after = { .offset = -500 - 100000 };
		struct fit_vcpu vcpu = { .modes = &modes, .history = &history };
		struct fit_cpu cpu = { .times = times, .nr_times = 40 };
		struct fit_input input = {
			.host = { &vcpu, 1, B, B + 200000 - 1 }, .nr_vms = 1, .apart = apart, .cpus = &cpu,
			.nr_cpus = 1, .nr_guest_cpus = 1, .vm = FIT_NONE,
		};
		struct fit fit;

		/* 100 cycles in guest mode of each 1000; in the second half at the same times, or at others */
		for (uint64_t at = 0; at < 200000; at += 1000) {
			uint64_t begin = B + at + (at >= 100000 && !same ? 300 + at % 7000 / 20 : 0);

			assert_int_equal(vcpu_modes_add(&modes, begin, begin + 99, MODE_GUEST), 0);
			assert_int_equal(vcpu_modes_add(&modes, begin + 100, UINT64_MAX, MODE_HOST), 0);
		}
		assert_int_equal(vcpu_modes_add(&modes, B + 200000, UINT64_MAX, MODE_UNKNOWN), 0);
		vcpu_history_set_initial(&history, &before);
		assert_int_equal(vcpu_history_add(&history, B + 100000, &after, &before), 0);
		assert_int_equal(fit_vcpu_make(&vcpu, NULL, 0), 0);
		for (size_t i = 0; i < 40; i++)
			times[i] = B + 2000 * i + 50 - 500;
		assert_int_equal(fit_find(&fit, &input), 0);
		assert_int_equal(fit.results[0].path.tally.inside, 40);
		assert_int_equal(fit.results[0].path.nr_runs, 1);
		assert_int_equal(fit.results[0].doubt, same ? FIT_ANOTHER_PHASE : FIT_CERTAIN);
		if (same) {
			assert_int_equal(fit.results[0].rival, 1 - fit.results[0].path.runs[0].phase);
			assert_int_equal(fit.results[0].rival_run, 0);
		}
		fit_release(&fit);
		fit_vcpu_release(&vcpu);
		vcpu_modes_release(&modes);
		free(history.segments);
	}
}

/* Events at guest times that the TSC had twice: before it was set back and again afterwards */
static const struct edge_case {
	const char	*name;
	size_t		nr;		/* number of events, one every 2000 cycles */
	uint64_t	forward;	/* host time at which it is set forward again; 0: never */
	bool		same;		/* the vCPU has the same modes again after the TSC was set back */
	bool		restored;	/* the guest lost what it recorded in between */
	enum fit_doubt	doubt;
} edge_cases[] = {
	{ "the last ones", 45, 0, true, false, FIT_ANOTHER_PHASE },
	{ "the last ones, which are gone if they were before", 45, 0, true, true, FIT_ANOTHER_PHASE },
	{ "the last ones, which do not fit after it", 45, 0, false, false, FIT_CERTAIN },
	{ "those in the midst", 65, 0, true, false, FIT_ANOTHER_PHASE },
	{ "those in the midst, which are gone if they were before", 65, 0, true, true, FIT_CERTAIN },
	{ "those in the midst, which do not fit before it", 65, 0, false, false, FIT_CERTAIN },
	{ "those before it is set forward", 45, B + 110000, true, false, FIT_ANOTHER_PHASE },
	{ "those before it is set forward, which do not fit after it", 45, B + 110000, false, false, FIT_CERTAIN },
};

static void check_edge(const struct edge_case *edge)
{
	static const bool apart[] = { true };
	static uint64_t times[66];
	struct vcpu_modes modes = { 0 };
	struct vcpu_history history = { 0 };
	const struct tsc_mapping first = { .offset = -500 }, second = { .offset = -20500 }, third = { .offset = 79500 };
	struct fit_vcpu vcpu = { .modes = &modes, .history = &history };
	struct fit_cpu cpu = { .times = times, .nr_times = edge->nr + !!edge->forward };
	struct fit_input input = {
		.host = { &vcpu, 1, B, B + 200000 - 1 }, .nr_vms = 1, .apart = apart, .cpus = &cpu,
		.nr_cpus = 1, .nr_guest_cpus = 1, .vm = FIT_NONE,
	};
	const struct fit_result *result;
	struct fit fit;

	/*
	 * 100 cycles in guest mode of each 2000. Where the TSC has the same
	 * values twice, the modes are equal or differ.
	 */
	for (uint64_t at = 0; at < 200000; at += 2000) {
		bool before = at >= 80000 && at < 100000, after = at >= 100000 && at < 120000;
		uint64_t begin = B + at + (!edge->same && (edge->nr == 65 ? before : after) ? 900 : 0);

		assert_int_equal(vcpu_modes_add(&modes, begin, begin + 99, MODE_GUEST), 0);
		assert_int_equal(vcpu_modes_add(&modes, begin + 100, UINT64_MAX, MODE_HOST), 0);
	}
	assert_int_equal(vcpu_modes_add(&modes, B + 200000, UINT64_MAX, MODE_UNKNOWN), 0);
	vcpu_history_set_initial(&history, &first);
	assert_int_equal(vcpu_history_add(&history, B + 100000, &second, &first), 0);
	if (edge->forward)
		assert_int_equal(vcpu_history_add(&history, edge->forward, &third, &second), 0);
	assert_int_equal(fit_vcpu_make(&vcpu, NULL, 0), 0);
	for (size_t i = 0; i < vcpu.nr_phases && edge->restored; i++) {
		vcpu.phases[i].restored = vcpu.phases[i].from ? B + 100000 : 0;
		vcpu.phases[i].saved = B + 80000 - 500;
	}
	for (size_t i = 0; i < edge->nr; i++)
		times[i] = B + 2000 * i + 50 - 500;
	times[edge->nr] = B + 140000 + 50 + 79500;
	assert_int_equal(fit_find(&fit, &input), 0);
	result = &fit.results[0];
	assert_int_equal(result->path.tally.inside, cpu.nr_times);
	if (result->doubt != edge->doubt)
		fail_msg("%s: doubt %d", edge->name, result->doubt);
	/* The first 40 events are certain, and so are those after the next ten */
	if (edge->doubt) {
		assert_int_equal(result->rival_first, 40);
		assert_int_equal(result->rival_last, edge->nr == 65 ? 49 : 44);
	}
	fit_release(&fit);
	fit_vcpu_release(&vcpu);
	vcpu_modes_release(&modes);
	free(history.segments);
}

static void test_rival_edge(void **state)
{
	for (size_t i = 0; i < sizeof(edge_cases) / sizeof(*edge_cases); i++)
		check_edge(&edge_cases[i]);
}

/* Two threads that run concurrently with the same vcpu_id belong to different guests, even if nothing else shows it */
static void test_stranger(void **state)
{
	static const struct made_vcpu vcpus[] = {
		VCPU(0, 0, 10, -500), VCPU(0, 1, 11, -500), VCPU(1, 1, 20, -500),
	};
	static const bool apart[] = { false, false };
	static uint64_t times[3][60];
	uint64_t seed = 8;
	struct made_vcpus made;
	struct fit_cpu cpus[3] = { { 0, times[0], NULL, 60, 0 }, { 1, times[1], NULL, 60, 0 },
				   { 2, times[2], NULL, 40, 0 } };
	struct fit_input input = {
		.nr_vms = 2, .apart = apart, .cpus = cpus, .nr_cpus = 3, .nr_guest_cpus = 3, .vm = FIT_NONE,
	};
	struct fit fit;

	made_vcpus_make(&made, vcpus, 3, &seed);
	input.host = made.host;
	for (size_t i = 0; i < 3; i++)
		made_vcpus_events(&made, i, B, E, times[i], cpus[i].nr_times, &seed);
	assert_int_equal(fit_find(&fit, &input), 0);
	assert_int_equal(fit.results[0].vcpu, 0);
	assert_int_equal(fit.results[1].vcpu, 1);
	/* The vCPU with fewer events is dropped; its CPU gets no vCPU */
	assert_int_equal(fit.results[2].vcpu, FIT_NONE);
	fit_release(&fit);
	made_vcpus_release(&made);
}

/* The VM is chosen by the total cost of all CPUs, not by that of the last one */
static void test_cost_of_all(void **state)
{
	static const bool apart[] = { true, true };
	static const uint64_t times[2][3] = { { B + 1000, B + 3000, B + 5000 }, { B + 1100, B + 3100, B + 5100 } };
	struct fit_cpu cpus[2] = { { 0, times[0], NULL, 3, 0 }, { 1, times[1], NULL, 3, 0 } };
	struct vcpu_modes modes[4] = { { 0 } };
	struct vcpu_history histories[4] = { { 0 } };
	struct fit_vcpu vcpus[4];
	struct fit_input input = {
		.host = { vcpus, 4, B, E }, .nr_vms = 2, .apart = apart, .cpus = cpus, .nr_cpus = 2,
		.nr_guest_cpus = 2, .vm = FIT_NONE,
	};
	/* When each vCPU is in guest mode: never, with CPU 1's events, with CPU 0's events, unknown */
	static const uint64_t since[4] = { 0, 1050, 950, 0 };
	const struct tsc_mapping none = { 0 };
	struct fit fit;

	for (size_t i = 0; i < 4; i++) {
		if (i < 3)
			assert_int_equal(vcpu_modes_add(&modes[i], B, E, MODE_HOST), 0);
		for (uint64_t at = B; since[i] && at < B + 6000; at += 2000) {
			assert_int_equal(vcpu_modes_add(&modes[i], at + since[i], E, MODE_GUEST), 0);
			assert_int_equal(vcpu_modes_add(&modes[i], at + since[i] + 100, E, MODE_HOST), 0);
		}
		assert_int_equal(vcpu_modes_add(&modes[i], E + 1, UINT64_MAX, MODE_UNKNOWN), 0);
		vcpu_history_set_initial(&histories[i], &none);
		vcpus[i] = (struct fit_vcpu) {
			.vm = i / 2, .vcpu_id = i % 2, .tid = 10 + i, .modes = &modes[i], .history = &histories[i],
		};
		assert_int_equal(fit_vcpu_make(&vcpus[i], NULL, 0), 0);
	}
	assert_int_equal(fit_find(&fit, &input), 0);
	assert_int_equal(fit.vm, 1);
	fit_release(&fit);
	for (size_t i = 0; i < 4; i++) {
		fit_vcpu_release(&vcpus[i]);
		vcpu_modes_release(&modes[i]);
	}
}

static void test_by_order(void **state)
{
	static const struct made_vcpu vcpus[] = {
		VCPU(0, 0, 10, -5), VCPU(0, 1, 11, -5), VCPU(0, 1, 12, -5), VCPU(0, 2, 13, -5),
		VCPU(1, 0, 20, -5), VCPU(1, 2, 21, -5), VCPU(1, 4, 22, -5),
		VCPU(2, 1, 30, -5), VCPU(2, 2, 31, -5),
	};
	static const struct { const char *name; size_t vm, nr_guest_cpus; uint32_t cpu; size_t vcpu; } cases[] = {
		{ "the first", 0, 3, 0, 0 },
		{ "a vCPU that two threads ran counts once", 0, 3, 2, 3 },
		{ "of two threads the first", 0, 3, 1, 1 },
		{ "a CPU that there is not", 0, 3, 3, NONE },
		{ "no holes, the guest has more CPUs", 0, 8, 2, 3 },
		{ "no holes, the guest has fewer CPUs", 0, 2, 1, 1 },
		{ "holes, all were seen", 1, 3, 1, 5 },
		{ "holes, all were seen: the last", 1, 3, 2, 6 },
		{ "holes, some were seen: by its number", 1, 5, 2, 5 },
		{ "holes, some were seen: one that was not", 1, 5, 1, NONE },
		{ "holes that numbers do not reach", 1, 4, 2, NONE },
		{ "the first is missing", 2, 3, 1, 7 },
		{ "the first is missing, and was not seen", 2, 3, 0, NONE },
		{ "a VM that there is not", 3, 1, 0, NONE },
	};
	uint64_t seed = 9;
	struct made_vcpus made;

	made_vcpus_make(&made, vcpus, 9, &seed);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct fit_input input = {
			.host = made.host, .nr_vms = 3, .nr_guest_cpus = cases[i].nr_guest_cpus, .vm = FIT_NONE,
		};
		size_t vcpu = fit_by_order(&input, cases[i].vm, cases[i].cpu);

		if (vcpu != cases[i].vcpu)
			fail_msg("%s: %zd", cases[i].name, vcpu);
	}
	made_vcpus_release(&made);
}

struct proof_case {
	const char	*name;
	uint64_t	guest_time, host_time;
	struct fit_tally tally;
	uint64_t	hypotheses;
	bool		proves;
};

/*
 * The events prove a fit if part^stretch x (hypotheses + 1) x (events + 1) is at most 1/1000. part: guest mode's
 * share of the time, but at least a quarter, and at least the share of the events that are in guest mode if there are
 * violations.
 */
static void test_proves(void **state)
{
	static const struct proof_case cases[] = {
		{ "no event", 500, 500, { 0 }, 1, false },
		{ "half of the time, one less than needed", 500, 500, { .inside = 1023, .stretch = 20 }, 1, false },
		{ "half of the time, as many as needed", 500, 500, { .inside = 1023, .stretch = 21 }, 1, true },
		{ "twice as many hypotheses need one more", 500, 500, { .inside = 1023, .stretch = 21 }, 3, false },
		{ "and with that it is enough", 500, 500, { .inside = 1023, .stretch = 22 }, 3, true },
		{ "impossible events count as events", 500, 500,
		  { .inside = 1000, .impossible = 1047, .stretch = 21 }, 1, false },
		{ "in guest mode all the time", 1000, 0, { .inside = 5000, .stretch = 5000 }, 1, false },
		{ "nothing known of its time", 0, 0, { .inside = 5000, .stretch = 5000 }, 1, false },
		{ "seldom in guest mode counts as a quarter", 1, 999, { .inside = 63, .stretch = 8 }, 1, false },
		{ "and is enough with one more", 1, 999, { .inside = 63, .stretch = 9 }, 1, true },
		{ "where most fit and some do not, a stretch is worth less", 1, 999,
		  { .inside = 56, .violations = 7, .stretch = 9 }, 1, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct vcpu_modes modes = { .guest_time = cases[i].guest_time, .host_time = cases[i].host_time };

		if (fit_proves(&modes, &cases[i].tally, cases[i].hypotheses) != cases[i].proves)
			fail_msg("%s: not %d", cases[i].name, cases[i].proves);
	}
}

/* A hostile file can have so many pairs that the search would take hours */
static void test_too_many(void **state)
{
	static bool apart[1 << 12];
	struct fit_vcpu *vcpus = calloc(1 << 12, sizeof(*vcpus));
	struct fit_cpu *cpus = calloc(1 << 12, sizeof(*cpus));
	struct fit_input input = {
		.host = { vcpus, 1 << 12, B, E }, .nr_vms = 1 << 12, .apart = apart, .cpus = cpus, .nr_cpus = 1 << 12,
		.nr_guest_cpus = 1 << 12, .vm = FIT_NONE,
	};
	struct fit fit;

	assert_non_null(vcpus);
	assert_non_null(cpus);
	for (size_t i = 0; i < 1 << 12; i++)
		vcpus[i].vm = i;
	assert_int_equal(fit_find(&fit, &input), -E2BIG);
	fit_release(&fit);
	free(cpus);
	free(vcpus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_rival_vm),
		cmocka_unit_test(test_rival_vcpu),
		cmocka_unit_test(test_rival_phase),
		cmocka_unit_test(test_rival_edge),
		cmocka_unit_test(test_stranger),
		cmocka_unit_test(test_cost_of_all),
		cmocka_unit_test(test_by_order),
		cmocka_unit_test(test_proves),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
