/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The host times of the events in all buffers of a guest's file, and the doubts about them. */
#ifndef TSC_OFFSET_GUEST_TIMELINES_H
#define TSC_OFFSET_GUEST_TIMELINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "findings.h"
#include "guest_fit.h"
#include "guest_timeline.h"

struct inexact_times;

/**
 * struct buffer_times - a buffer
 * @known: the host times of its events are known; false if it is empty or its clock is not the TSC
 * @fit: its fit; all zeros for the buffer that was used to fit the file
 * @timeline: the host times of its events
 */
struct buffer_times {
	bool			known;
	struct guest_fit	fit;
	struct guest_timeline	timeline;
};

/**
 * struct guest_timelines - a guest's file
 * @dat: the file; not owned
 * @buffers: the times of each of its buffers; owned
 * @tally: how their events fit; @tally.earlier and @tally.later are the maximum of all CPUs
 * @nr_changes: number of changes of an offset between two events of a CPU, in the buffer with most of them
 * @nr_jumps: jumps backward within pages, after which events have no exact times
 */
struct guest_timelines {
	struct trace_dat	*dat;
	struct buffer_times	*buffers;
	struct fit_tally	tally;
	size_t			nr_changes;
	size_t			nr_jumps;
};

int guest_timelines_make(struct guest_timelines *timelines, const struct guest_fit_input *input,
			 const struct guest_fit *fit, bool any_clock, struct findings *findings);
void guest_timelines_doubt_jumps(const struct guest_timelines *timelines, const struct trace_dat *host,
				 struct findings *findings);
int guest_timelines_inexact(const struct guest_timelines *timelines, struct inexact_times *inexact);
void guest_timelines_release(struct guest_timelines *timelines);

#endif /* TSC_OFFSET_GUEST_TIMELINES_H */
