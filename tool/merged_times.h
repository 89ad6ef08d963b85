/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where readers show a guest's events among its host's. The host's file may be a guest's itself, whose TIME_SHIFT carries
 * its times into those of the next host: then readers correct its events as well, and what they show of both is to be
 * brought back to the times that the host recorded.
 */
#ifndef TSC_OFFSET_MERGED_TIMES_H
#define TSC_OFFSET_MERGED_TIMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shown_times.h"

struct trace_dat;
struct trace_dat_buffer;

/**
 * struct host_times - how readers show the host's file
 * @shown: read of it; owned
 * @cpu: a CPU of it with events: what holds for it holds for all
 * @first, @last: the first and the last time of the host's file for which all CPUs are to agree
 * @undo: brings a time that readers show back to the one that the host recorded; owned
 */
struct host_times {
	struct shown_times		shown;
	uint32_t			cpu;
	uint64_t			first;
	uint64_t			last;
	struct time_shift_reader	undo;
};

int host_times_read(struct host_times *host, struct trace_dat *dat, uint64_t first, uint64_t last);
void host_times_release(struct host_times *host);

/**
 * struct merged_times - where readers show a guest's events in the host's time
 * @guest: what they correct them with
 * @host: the host's file
 * @ahead: how much more they add to the guest's times than to the host's, in host cycles
 */
struct merged_times {
	const struct time_shift_reader	*guest;
	const struct host_times		*host;
	int64_t				ahead;
};

struct merged_times merged_times_of(const struct merged_times *file, const struct trace_dat_buffer *buffer);
uint64_t merged_time(const struct merged_times *times, size_t cpu, uint64_t guest_tsc);

#endif /* TSC_OFFSET_MERGED_TIMES_H */
