/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Times next to the begin or end of the host's recording in which a vCPU ran and its guest recorded no event.
 *
 * Events before and after the host's recording are normal and prove nothing. But if a change of the offset or of the
 * ratio is missing, the events on one side of it are shown there too. The time at which they were recorded is then
 * quiet, or they are shown further outside of the recording than a guest is ever silent.
 */
#ifndef TSC_OFFSET_QUIET_TIME_H
#define TSC_OFFSET_QUIET_TIME_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vcpu_modes;

/* Arguments: a number, and the unit: events or sampled events */
#define QUIET_TIME_DOUBT \
	"%" PRIu64 " %s are outside of the host's recording, unusually long before or after those within it: is a change of its offset or scaling missing?"

/**
 * struct quiet_time - the events of a CPU in recorded order; all zeros at first
 * @before, @after: numbers of events before and after the host's recording
 * @back: number of these recorded after an event that is shown later, or before one that is shown earlier
 * @any: some events are within the host's recording
 * @begin: number of spans of the vCPU's modes before the first of these
 * @nr: number of different spans with such events
 * @longest: the largest number of spans between two consecutive such events
 * @last: the span of the last such event
 * @first_tsc, @last_tsc: host TSCs of the first and the last such event, in cycles
 * @before_tsc, @after_tsc: the last event before the host's recording and the first after it; valid if they exist
 * @outside_tsc: the last event outside of it
 * @silent: the longest time between two consecutive events on the same side outside of it, in host cycles
 */
struct quiet_time {
	uint64_t	before;
	uint64_t	after;
	uint64_t	back;
	bool		any;
	size_t		begin;
	size_t		nr;
	size_t		longest;
	size_t		last;
	uint64_t	first_tsc;
	uint64_t	last_tsc;
	uint64_t	before_tsc;
	uint64_t	after_tsc;
	uint64_t	outside_tsc;
	uint64_t	silent;
};

void quiet_time_outside(struct quiet_time *quiet, uint64_t host_tsc, bool is_before);
void quiet_time_within(struct quiet_time *quiet, uint64_t host_tsc, size_t span);
void quiet_time_event(struct quiet_time *quiet, uint64_t host_tsc, uint64_t begin, uint64_t end, size_t span);
uint64_t quiet_time_doubtful(const struct quiet_time *quiet, const struct vcpu_modes *modes);

#endif /* TSC_OFFSET_QUIET_TIME_H */
