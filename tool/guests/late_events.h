/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The host times of late events: those that follow a jump backward within a page of the ring buffer. The kernel gives
 * the first of them the time of the event before, so all of them are too late by the same unknown number of cycles
 * (ring_page.h). The distances between them are correct, their order is known, and each of them was recorded in guest
 * mode. Few host times fulfil all of this.
 */
#ifndef TSC_OFFSET_LATE_EVENTS_H
#define TSC_OFFSET_LATE_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fit_phase;
struct vcpu_modes;

/**
 * struct late_section - the events from one jump backward to the next one, or to the end of the page
 * @times: guest times as the file has them, all too late by the same number of cycles; the caller's
 * @nr: how many, at least one
 */
struct late_section {
	const uint64_t	*times;
	size_t		nr;
};

/**
 * struct late_window - the host time in which the sections were recorded
 * @phases: of the vCPU, in the order of host time, without those whose begin is unknown
 * @nr_phases: how many
 * @modes: when the vCPU was in guest mode
 * @from, @to: host times, in cycles, of the last event before the sections and of the first one after them
 * @steps: counts the steps of the search, for all windows of a file
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
 * @found: there are times at which all of them fit
 * @phase: number of the phase of the first event
 * @late_by: by how many guest cycles the times in the file are too late
 * @host_tsc: host time of the first event
 * @earlier, @later: by how many host cycles any of the events may be earlier and later
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
