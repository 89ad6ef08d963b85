/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The time of a host whose own TSC went back because the host slept. In the file, an event is then older than the one
 * before on the same CPU. An epoch is the time between two such events.
 *
 * All code uses a time that never goes back: the TSC plus a constant for each epoch. The duration of the sleep is not
 * known: an epoch begins one cycle after the end of the epoch before.
 */
#ifndef TSC_OFFSET_HOST_CLOCK_H
#define TSC_OFFSET_HOST_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace_dat_cpu;

/* No real host sleeps more often during a recording */
#define HOST_CLOCK_MAX_EPOCHS 8

/**
 * struct host_run - a span of a CPU's times that do not go back
 * @first, @last: its first and last time, as in the file
 */
struct host_run {
	uint64_t	first;
	uint64_t	last;
};

/**
 * struct host_clock_cpu - the times of one CPU of a buffer
 * @cpu: the CPU
 * @runs: the runs of its times
 * @nr_runs: number of @runs
 * @added: the constant that is added to the times of each run
 */
struct host_clock_cpu {
	const struct trace_dat_cpu	*cpu;
	struct host_run			runs[HOST_CLOCK_MAX_EPOCHS];
	size_t				nr_runs;
	uint64_t			added[HOST_CLOCK_MAX_EPOCHS];
};

/**
 * struct host_clock - the clock of a host
 * @cpus: CPUs that have events with its TSC; owned
 * @nr_cpus: number of @cpus
 * @epochs: the times of each epoch, as in the file
 * @added: the constant that is added to the times of each epoch; 0 for the first
 * @nr_epochs: number of epochs: one, unless its TSC went back; 0 without events
 */
struct host_clock {
	struct host_clock_cpu	*cpus;
	size_t			nr_cpus;
	struct host_run		epochs[HOST_CLOCK_MAX_EPOCHS];
	uint64_t		added[HOST_CLOCK_MAX_EPOCHS];
	size_t			nr_epochs;
};

/**
 * host_clock_went_back - did the host's own TSC go back?
 * @clock: the clock, or all zeros
 *
 * Returns: true if so: then the difference of two of its values means nothing.
 */
static inline bool host_clock_went_back(const struct host_clock *clock)
{
	return clock->nr_epochs > 1;
}

bool host_clock_add(struct host_clock_cpu *cpu, uint64_t time);
int host_clock_make(struct host_clock *clock);
const struct host_clock_cpu *host_clock_cpu(const struct host_clock *clock, const struct trace_dat_cpu *cpu);
size_t host_clock_epoch(const struct host_clock *clock, uint64_t time);
uint64_t host_clock_begin(const struct host_clock *clock, size_t epoch);
uint64_t host_clock_tsc(const struct host_clock *clock, uint64_t time);
void host_clock_release(struct host_clock *clock);

#endif /* TSC_OFFSET_HOST_CLOCK_H */
