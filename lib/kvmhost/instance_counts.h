/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* What the ring buffer of an instance holds and what it lost, CPU by CPU. */
#ifndef TSC_OFFSET_INSTANCE_COUNTS_H
#define TSC_OFFSET_INSTANCE_COUNTS_H

#include <stddef.h>
#include <stdint.h>

struct tracefs_instance;

/**
 * struct cpu_counts - the buffer of one CPU, or the sum over all
 * @cpu: its number
 * @buffer_kb: size in KiB; in a sum that of the smallest
 * @entries: events that are there
 * @overrun: events that newer ones replaced
 * @commit_overrun: events that came while the buffer was full of unfinished ones
 * @dropped: events that a full buffer did not take
 * @read: events that a reader took away
 * @oldest: time of the oldest event that is there; 0 if there is none, with a clock of nanoseconds, and in a sum
 */
struct cpu_counts {
	unsigned int	cpu;
	uint64_t	buffer_kb;
	uint64_t	entries;
	uint64_t	overrun;
	uint64_t	commit_overrun;
	uint64_t	dropped;
	uint64_t	read;
	uint64_t	oldest;
};

/**
 * struct instance_counts - the buffers of an instance
 * @cpus: in the order of their numbers; owned
 * @nr_cpus: how many
 * @sum: over all of them
 */
struct instance_counts {
	struct cpu_counts	*cpus;
	size_t			nr_cpus;
	struct cpu_counts	sum;
};

int instance_counts_read(struct instance_counts *counts, struct tracefs_instance *instance);
uint64_t cpu_counts_lost(const struct cpu_counts *counts);
uint64_t cpu_counts_lost_until(const struct cpu_counts *counts);
void instance_counts_release(struct instance_counts *counts);

#endif /* TSC_OFFSET_INSTANCE_COUNTS_H */
