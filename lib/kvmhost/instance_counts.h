/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The ring buffer of an instance: events and losses of each CPU. */
#ifndef TSC_OFFSET_INSTANCE_COUNTS_H
#define TSC_OFFSET_INSTANCE_COUNTS_H

#include <stddef.h>
#include <stdint.h>

struct tracefs_instance;

/**
 * struct cpu_counts - the buffer of one CPU, or the sum of all
 * @cpu: number of the CPU
 * @buffer_kb: size in KiB; in a sum that of the smallest buffer
 * @entries: events in the buffer
 * @overrun: events that newer ones overwrote
 * @commit_overrun: events that arrived while the buffer was full of uncommitted ones
 * @dropped: events that a full buffer rejected
 * @read: events that were read
 * @oldest: time of the oldest event; 0 without events, with a clock of nanoseconds, and in a sum
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
 * @cpus: CPUs in the order of their numbers; owned
 * @nr_cpus: number of @cpus
 * @sum: sum of all CPUs
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
