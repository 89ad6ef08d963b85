/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Converts the times at which readers show a guest's events into the host's time that never goes back (host_clock.h).
 * The times that readers show of the host can differ from it: the host's file may be a guest's file, whose TIME_SHIFT
 * maps its times to the next host, and if the host slept, its TSC began anew.
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
 * @shown: the file's options for times; owned
 * @bends: the shown times are not the host's own
 * @to_shown: with @bends: from the host's own time to the shown time, as corrections of CPU 0; owned
 * @from_shown: with @bends: from the shown time to the host's own; owned
 * @ambiguous: some times are shown twice, so they cannot be converted back
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
 * struct merged_times - how readers show a guest's events, in the host's time
 * @guest: how they correct them
 * @host: the host's file
 * @added: the difference between the constants added to the guest's and to the host's times, in host cycles
 */
struct merged_times {
	const struct time_shift_reader	*guest;
	const struct host_times		*host;
	int64_t				added;
};

struct merged_times merged_times_of(const struct merged_times *file, const struct trace_dat_buffer *buffer);
uint64_t merged_time(const struct merged_times *times, size_t cpu, uint64_t guest_tsc);

#endif /* TSC_OFFSET_MERGED_TIMES_H */
