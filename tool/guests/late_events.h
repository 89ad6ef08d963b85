/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The host times of late events, which follow a jump backward within a page of the ring buffer. The kernel gives the
 * first of them the time of the event before, so all of them are too late by the same unknown number of cycles
 * (ring_page.h). The distances between them are correct, their order is known, and each was recorded in guest mode. Few
 * host times satisfy all of this.
 */
#ifndef TSC_OFFSET_LATE_EVENTS_H
#define TSC_OFFSET_LATE_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fit_phase;
struct vcpu_modes;

/**
 * struct late_section - the events from a jump backward to the next one, or to the end of the page
 * @times: guest times as in the file, all too late by the same number of cycles; not owned
 * @nr: number of @times, at least one
 */
struct late_section {
	const uint64_t	*times;
	size_t		nr;
};

/**
 * struct late_window - the host time in which the sections were recorded
 * @phases: phases of the vCPU in the order of host time, without those whose begin is unknown
 * @nr_phases: number of @phases
 * @modes: when the vCPU was in guest mode
 * @from, @to: host times, in cycles, of the last event before the sections and of the first one after them
 * @steps: counter of the search's cost, for all windows of a file
 */
struct late_window {
	const struct fit_phase	*const *phases;
	size_t			nr_phases;
	const struct vcpu_modes	*modes;
	uint64_t		from;
	uint64_t		to;
	uint64_t		*steps;
};

/**
 * struct late_place - the host times of a section's events
 * @found: all of them fit there
 * @phase: index of the phase of the first event
 * @late_by: the guest cycles by which the times in the file are too late
 * @host_tsc: host time of the first event
 * @earlier, @later: the host cycles by which any event may be earlier and later at most
 */
struct late_place {
	bool		found;
	size_t		phase;
	uint64_t	late_by;
	uint64_t	host_tsc;
	uint64_t	earlier;
	uint64_t	later;
};

int late_events_place(struct late_place *places, const struct late_window *window, const struct late_section *sections,
		      size_t nr);
size_t late_events_phases(const struct late_window *window, const struct late_section *section,
			  const struct late_place *place, size_t *phases);

#endif /* TSC_OFFSET_LATE_EVENTS_H */
