// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "host_clock.h"
#include "number.h"

/**
 * host_clock_add - add the next time of a CPU
 * @cpu: the CPU
 * @time: as in the file
 *
 * Returns: false if its times go back too often.
 */
bool host_clock_add(struct host_clock_cpu *cpu, uint64_t time)
{
	if (!cpu->nr_runs || time < cpu->runs[cpu->nr_runs - 1].last) {
		if (cpu->nr_runs == HOST_CLOCK_MAX_EPOCHS)
			return false;
		cpu->runs[cpu->nr_runs++].first = time;
	}
	cpu->runs[cpu->nr_runs - 1].last = time;
	return true;
}

/* Distance of a run from the times of an epoch */
static uint64_t distance(const struct host_run *run, const struct host_run *epoch)
{
	if (run->first > epoch->last)
		return run->first - epoch->last;
	return epoch->first > run->last ? epoch->first - run->last : 0;
}

/* Which runs of a CPU are of which epochs: in their order, and as near to them as can be */
static void place_runs(const struct host_clock *clock, const struct host_clock_cpu *cpu, size_t *epoch_of)
{
	/* Cost of the first runs in the first epochs, if the last of these runs is in the last of these epochs */
	uint64_t cost[HOST_CLOCK_MAX_EPOCHS][HOST_CLOCK_MAX_EPOCHS];
	size_t before[HOST_CLOCK_MAX_EPOCHS][HOST_CLOCK_MAX_EPOCHS] = { 0 };
	size_t last = cpu->nr_runs - 1, best = last;

	for (size_t run = 0; run < cpu->nr_runs; run++) {
		for (size_t epoch = run; epoch < clock->nr_epochs; epoch++) {
			uint64_t least = run ? UINT64_MAX : 0;

			for (size_t e = run ? run - 1 : epoch; run && e < epoch; e++) {
				if (cost[run - 1][e] < least || e == run - 1) {
					least = cost[run - 1][e];
					before[run][epoch] = e;
				}
			}
			cost[run][epoch] = number_sum(least, distance(&cpu->runs[run], &clock->epochs[epoch]));
		}
	}
	for (size_t epoch = last; epoch < clock->nr_epochs; epoch++) {
		if (cost[last][epoch] < cost[last][best])
			best = epoch;
	}
	for (size_t run = cpu->nr_runs; run; run--) {
		epoch_of[run - 1] = best;
		best = before[run - 1][best];
	}
}

static void extend_epochs(struct host_clock *clock, const struct host_clock_cpu *cpu, const size_t *epoch_of)
{
	for (size_t i = 0; i < cpu->nr_runs; i++) {
		struct host_run *epoch = &clock->epochs[epoch_of[i]];

		if (cpu->runs[i].first < epoch->first)
			epoch->first = cpu->runs[i].first;
		if (cpu->runs[i].last > epoch->last)
			epoch->last = cpu->runs[i].last;
	}
}

/**
 * host_clock_make - find the epochs of the runs of all CPUs
 * @clock: the clock; its CPUs have their runs
 *
 * A CPU without events in an epoch has fewer runs; their times decide which epochs they belong to.
 *
 * Returns: 0, or -ERANGE if the times do not fit into 63 bits.
 */
int host_clock_make(struct host_clock *clock)
{
	const struct host_clock_cpu *most = NULL;

	for (size_t i = 0; i < clock->nr_cpus; i++) {
		if (!most || clock->cpus[i].nr_runs > most->nr_runs)
			most = &clock->cpus[i];
	}
	clock->nr_epochs = most ? most->nr_runs : 0;
	for (size_t i = 0; i < clock->nr_epochs; i++)
		clock->epochs[i] = most->runs[i];
	for (size_t nr = clock->nr_epochs; nr; nr--) {
		for (size_t i = 0; i < clock->nr_cpus; i++) {
			size_t epoch_of[HOST_CLOCK_MAX_EPOCHS];

			if (clock->cpus[i].nr_runs != nr)
				continue;
			place_runs(clock, &clock->cpus[i], epoch_of);
			extend_epochs(clock, &clock->cpus[i], epoch_of);
		}
	}
	for (size_t i = 1; i < clock->nr_epochs; i++) {
		const struct host_run *before = &clock->epochs[i - 1];
		uint64_t end = clock->added[i - 1] + before->last;

		/* Half of 64 bits, because readers treat times as signed */
		if (before->last > INT64_MAX - clock->added[i - 1] || clock->epochs[i].last > INT64_MAX - end - 1)
			return -ERANGE;
		clock->added[i] = end + 1 - clock->epochs[i].first;
	}
	for (size_t i = 0; i < clock->nr_cpus; i++) {
		size_t epoch_of[HOST_CLOCK_MAX_EPOCHS] = { 0 };

		if (clock->cpus[i].nr_runs)
			place_runs(clock, &clock->cpus[i], epoch_of);
		for (size_t run = 0; run < clock->cpus[i].nr_runs; run++)
			clock->cpus[i].added[run] = clock->added[epoch_of[run]];
	}
	return 0;
}

/**
 * host_clock_cpu - find the times of a CPU
 * @clock: the clock
 * @cpu: the CPU
 *
 * Returns: its times, NULL if the clock does not have it.
 */
const struct host_clock_cpu *host_clock_cpu(const struct host_clock *clock, const struct trace_dat_cpu *cpu)
{
	for (size_t i = 0; i < clock->nr_cpus; i++) {
		if (clock->cpus[i].cpu == cpu)
			return &clock->cpus[i];
	}
	return NULL;
}

/**
 * host_clock_begin - get the begin of an epoch
 * @clock: the clock
 * @epoch: index of the epoch
 *
 * Returns: the time, which never goes back.
 */
uint64_t host_clock_begin(const struct host_clock *clock, size_t epoch)
{
	return clock->added[epoch] + clock->epochs[epoch].first;
}

/**
 * host_clock_epoch - find the epoch of a time
 * @clock: the clock, or all zeros
 * @time: a time that never goes back
 *
 * Returns: index of the epoch.
 */
size_t host_clock_epoch(const struct host_clock *clock, uint64_t time)
{
	size_t epoch = 0;

	while (epoch + 1 < clock->nr_epochs && time >= host_clock_begin(clock, epoch + 1))
		epoch++;
	return epoch;
}

/**
 * host_clock_tsc - get the host's TSC at a time
 * @clock: the clock, or all zeros
 * @time: a time that never goes back
 *
 * Returns: the TSC, as in the file.
 */
uint64_t host_clock_tsc(const struct host_clock *clock, uint64_t time)
{
	return time - clock->added[host_clock_epoch(clock, time)];
}

/**
 * host_clock_release - free a clock
 * @clock: the clock, or all zeros
 */
void host_clock_release(struct host_clock *clock)
{
	free(clock->cpus);
	*clock = (struct host_clock) { 0 };
}
