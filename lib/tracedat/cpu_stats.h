/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The kernel's counts for one CPU of a ring buffer: the file per_cpu/cpuN/stats of tracefs. trace-cmd copies it into
 * its files when recording stops.
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
 * @cpu: number of the CPU
 * @entries: events in the buffer that were not read
 * @overrun: events that newer ones overwrote before they were read
 * @commit_overrun: events that arrived while the buffer was full of uncommitted ones
 * @dropped: events that a full buffer rejected
 * @read: events that were read
 * @oldest: time of the oldest event in the buffer, 0 if it is empty; valid with @by_cycles
 * @now: time at which the kernel counted; valid with @by_cycles
 * @by_cycles: times are integers, as for the clocks that do not count nanoseconds: x86-tsc, counter and uptime
 * @by_ns: times are seconds with a decimal point, as for all other clocks
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
 * struct cpu_events - the events of a CPU in a file
 * @nr: number of events
 * @last: time of the last one, 0 without events
 * @told: number of lost events that its pages report, UINT64_MAX if all losses may be reported
 */
struct cpu_events {
	uint64_t	nr;
	uint64_t	last;
	uint64_t	told;
};

/**
 * struct lost_range - a span of time in which a CPU lost events
 * @from: time of the CPU's last event before the loss, 0 if there is none or it is unknown
 * @to: time of its first event after the loss; without one, the end of the recording, or UINT64_MAX if the file does
 *	not have that
 * @earliest: the smallest @from of this loss and of all that end later; set by host_vms_sort_losses()
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
