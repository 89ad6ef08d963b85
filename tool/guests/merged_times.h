/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Where readers show a guest's events among its host's, in the host's time that never goes back (host_clock.h).
 * What they show of the host is not always that time: the host's file may be a guest's itself, whose TIME_SHIFT carries
 * its times into those of the next host; and if the host slept its TSC began anew.
 */
#ifndef TSC_OFFSET_MERGED_TIMES_H
#define TSC_OFFSET_MERGED_TIMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shown_times.h"

struct host;
struct trace_dat_buffer;

/**
 * struct host_times - how readers show the host's file
 * @shown: what the file's options say of it; owned
 * @bends: the times that they show are not the host's own
 * @to_shown: if @bends, from the host's own time to the time that they show, as the corrections of CPU 0; owned
 * @from_shown: if @bends, from the time that they show to the host's own; owned
 * @ambiguous: some times are shown twice, so that there is no way back from them
 */
struct host_times {
	struct shown_times		shown;
	bool				bends;
	struct time_shift_reader	to_shown;
	struct time_shift_reader	from_shown;
	bool				ambiguous;
};

int host_times_read(struct host_times *times, const struct host *host);
void host_times_release(struct host_times *times);

/**
 * struct merged_times - where readers show a guest's events in the host's time
 * @guest: what they correct them with
 * @host: the host's file
 * @added: how much more they add to the guest's times than to the host's, in host cycles
 */
struct merged_times {
	const struct time_shift_reader	*guest;
	const struct host_times		*host;
	int64_t				added;
};

struct merged_times merged_times_of(const struct merged_times *file, const struct trace_dat_buffer *buffer);
uint64_t merged_time(const struct merged_times *times, size_t cpu, uint64_t guest_tsc);

#endif /* TSC_OFFSET_MERGED_TIMES_H */
