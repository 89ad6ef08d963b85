/* SPDX-License-Identifier: GPL-2.0 */
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
 * @overrun: events that newer ones replaced before they were read
 * @dropped: events that found no room
 * @read: events that a reader took away
 * @oldest: time of the oldest event that is there, 0 if there is none; of use with @by_cycles
 * @now: when it was counted, likewise
 * @by_cycles: times are whole numbers, as with the clocks that do not count nanoseconds: x86-tsc, counter
 *	and uptime
 * @by_ns: times are seconds with a point, as with all other clocks
 */
struct cpu_stats {
	unsigned int	cpu;
	uint64_t	overrun;
	uint64_t	dropped;
	uint64_t	read;
	uint64_t	oldest;
	uint64_t	now;
	bool		by_cycles;
	bool		by_ns;
};

void cpu_stats_parse(struct cpu_stats *stats, const char *text);
int cpu_stats_of_file(struct cpu_stats **stats, size_t *nr, const struct trace_dat *dat,
		      const struct trace_dat_buffer *buffer);
const struct cpu_stats *cpu_stats_find(const struct cpu_stats *stats, size_t nr, unsigned int cpu);

#endif /* TSC_OFFSET_CPU_STATS_H */
