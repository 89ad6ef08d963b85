/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * What the kernel counted for one CPU's part of a ring buffer: the file per_cpu/cpuN/stats of tracefs, which
 * trace-cmd copies into its files when it has stopped.
 */
#ifndef TSC_OFFSET_CPU_STATS_H
#define TSC_OFFSET_CPU_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace_dat;
struct trace_dat_buffer;

/**
 * struct cpu_stats - the counts of one CPU
 * @cpu: its number
 * @entries: events that are there and were not read
 * @overrun: events that newer ones replaced before they were read
 * @commit_overrun: events that came while the buffer was full of unfinished ones
 * @dropped: events that a full buffer did not take
 * @read: events that a reader took away
 * @oldest: time of the oldest event that is there, 0 if there is none; of use with @by_cycles
 * @now: when it was counted, likewise
 * @by_cycles: times are whole numbers, as with the clocks that do not count nanoseconds: x86-tsc, counter
 *	and uptime
 * @by_ns: times are seconds with a point, as with all other clocks
 */
struct cpu_stats {
	unsigned int	cpu;
	uint64_t	entries;
	uint64_t	overrun;
	uint64_t	commit_overrun;
	uint64_t	dropped;
	uint64_t	read;
	uint64_t	oldest;
	uint64_t	now;
	bool		by_cycles;
	bool		by_ns;
};

/**
 * struct cpu_events - what a file has of a CPU
 * @nr: events
 * @last: time of the last one, 0 if there is none
 * @told: lost events that its pages report, UINT64_MAX if these may be all
 */
struct cpu_events {
	uint64_t	nr;
	uint64_t	last;
	uint64_t	told;
};

/**
 * struct lost_range - a span of time in which events of one CPU were lost
 * @from: time of the CPU's last event before, 0 if there is none or it is not known
 * @to: time of its first event after; without one that at which the recording ended, UINT64_MAX if the file
 *	does not say
 * @earliest: the first @from of this loss and of all that end after it: host_vms_sort_losses()
 */
struct lost_range {
	uint64_t	from;
	uint64_t	to;
	uint64_t	earliest;
};

void cpu_stats_parse(struct cpu_stats *stats, const char *text);
int cpu_stats_of_file(struct cpu_stats **stats, size_t *nr, const struct trace_dat *dat,
		      const struct trace_dat_buffer *buffer);
bool cpu_stats_loss(const struct cpu_stats *stats, const struct cpu_events *events, struct lost_range *lost);
const struct cpu_stats *cpu_stats_find(const struct cpu_stats *stats, size_t nr, unsigned int cpu);

#endif /* TSC_OFFSET_CPU_STATS_H */
