// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stdlib.h>

#include "made_vcpus.h"
#include "prng.h"

/* The longest span in guest mode and out of it, in cycles */
#define GUEST_CYCLES	2000
#define HOST_CYCLES	4000

static void add(struct vcpu_modes *modes, uint64_t from, uint64_t to, enum vcpu_mode mode)
{
	if (from <= to && vcpu_modes_add(modes, from, to, mode))
		abort();
}

static void make_modes(struct vcpu_modes *modes, uint64_t from, uint64_t to, uint64_t *seed)
{
	uint64_t at = from + prng_range(seed, 0, HOST_CYCLES);

	add(modes, MADE_BEGIN, at - 1, MODE_HOST);
	while (at < to) {
		uint64_t exit = at + prng_range(seed, 1, GUEST_CYCLES), next = exit + prng_range(seed, 1, HOST_CYCLES);

		add(modes, at, exit, MODE_GUEST);
		add(modes, exit + 1, next - 1, MODE_HOST);
		at = next;
	}
	add(modes, at, MADE_END, MODE_HOST);
	add(modes, (at > MADE_END ? at : MADE_END) + 1, UINT64_MAX, MODE_UNKNOWN);
}

static void make_history(struct vcpu_history *history, const struct made_vcpu *vcpu)
{
	struct tsc_mapping map = { .offset = vcpu->offset }, changed = { .offset = vcpu->changed };

	history->vcpu_id = vcpu->vcpu_id;
	if (!vcpu->offset)
		return;
	vcpu_history_set_initial(history, &map);
	if (vcpu->change && vcpu_history_add(history, vcpu->change, &changed, &map))
		abort();
}

/**
 * made_vcpus_make - make a host
 * @made: result; to be released
 * @vcpus: its vCPUs, in the order of their VMs
 * @nr: how many, at most MADE_VCPUS
 * @seed: of the random numbers
 */
void made_vcpus_make(struct made_vcpus *made, const struct made_vcpu *vcpus, size_t nr, uint64_t *seed)
{
	*made = (struct made_vcpus) { .host = { made->vcpus, nr, MADE_BEGIN, MADE_END } };
	for (size_t i = 0; i < nr; i++) {
		const struct made_vcpu *vcpu = &vcpus[i];

		make_modes(&made->modes[i], vcpu->from ? vcpu->from : MADE_BEGIN, vcpu->to ? vcpu->to : MADE_END, seed);
		make_history(&made->histories[i], vcpu);
		made->vcpus[i] = (struct fit_vcpu) {
			.vm = vcpu->vm, .vcpu_id = vcpu->vcpu_id, .tid = vcpu->tid, .modes = &made->modes[i],
			.history = &made->histories[i],
		};
		if (fit_vcpu_make(&made->vcpus[i], NULL, 0))
			abort();
	}
}

/**
 * made_vcpus_time - choose a host time at which a vCPU was in guest mode
 * @modes: the vCPU's modes
 * @from, @to: bounds of the time
 * @seed: of the random numbers
 *
 * Returns: the time.
 */
uint64_t made_vcpus_time(const struct vcpu_modes *modes, uint64_t from, uint64_t to, uint64_t *seed)
{
	for (int i = 0; i < 1000000; i++) {
		uint64_t time = prng_range(seed, from, to);

		if (vcpu_modes_at(modes, vcpu_modes_find(modes, time, 0)) == MODE_GUEST)
			return time;
	}
	abort();
}

static int compare_times(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/**
 * made_vcpus_events - make events of a guest's CPU
 * @made: the host
 * @vcpu: number of the CPU's vCPU
 * @from, @to: bounds of the events' host times
 * @times: result: their guest times, in the order in which they were recorded
 * @nr: how many
 * @seed: of the random numbers
 */
void made_vcpus_events(const struct made_vcpus *made, size_t vcpu, uint64_t from, uint64_t to, uint64_t *times,
		       size_t nr, uint64_t *seed)
{
	for (size_t i = 0; i < nr; i++)
		times[i] = made_vcpus_time(&made->modes[vcpu], from, to, seed);
	if (nr)
		qsort(times, nr, sizeof(*times), compare_times);
	for (size_t i = 0; i < nr; i++) {
		struct tsc_mapping map;

		if (!vcpu_history_at(&made->histories[vcpu], times[i], &map))
			abort();
		times[i] = tsc_guest_from_host(&map, times[i]);
	}
}

/**
 * made_vcpus_release - free what belongs to a host
 * @made: made
 */
void made_vcpus_release(struct made_vcpus *made)
{
	for (size_t i = 0; i < made->host.nr_vcpus; i++) {
		fit_vcpu_release(&made->vcpus[i]);
		vcpu_modes_release(&made->modes[i]);
		free(made->histories[i].segments);
	}
}
