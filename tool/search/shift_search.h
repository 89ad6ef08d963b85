/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Finds the shift from a guest CPU's times to its host's by guest mode alone. With the correct shift, each event lies
 * in a span of guest mode of the vCPU. A wrong shift moves some of them out of guest mode.
 *
 * The search does not use the offset: it tries all 64-bit shifts with which any event meets any span. It begins with
 * some of the events, and sweeps the score of each shift exactly over the edges of all spans. It then tries the best
 * places with more events, and the best of these with all. Events at times of unknown mode do not count, because
 * otherwise the best shift would move all events there.
 */
#ifndef TSC_OFFSET_SHIFT_SEARCH_H
#define TSC_OFFSET_SHIFT_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shift_sweep.h"
#include "vcpu_modes.h"

struct progress;

/* Progress units of a search: those of five sweeps */
#define SHIFT_SEARCH_STEPS (5 * SHIFT_SWEEP_STEPS)

/**
 * struct shift_found - the result
 * @low, @high: host TSC minus guest TSC, in cycles modulo 2^64: range of the correct shift
 * @inside: number of events in guest mode with the best shift of the range
 * @violations: number of events out of guest mode with it
 * @unique: no other shift is nearly as good
 */
struct shift_found {
	uint64_t	low;
	uint64_t	high;
	uint64_t	inside;
	uint64_t	violations;
	bool		unique;
};

/**
 * struct shift_search - a search
 * @spans: spans of the vCPU; not owned
 * @row: the part of @spans being swept
 * @last: guest time of the last event
 * @base: the lowest shift; others are stored as differences from it
 * @near: shifts that differ by less count as the same
 * @nr_shifts: number of different shifts
 * @rivals: results of the sweeps; owned
 * @nr_rivals: number of @rivals
 * @nr_tried_with: number of events with which @rivals were tried
 * @places: places of the best shifts; owned
 * @nr_places: number of @places
 * @nr_added: number of events with which @places were tried
 */
struct shift_search {
	const struct vcpu_modes		*spans;
	struct shift_row		row;
	uint64_t			last;
	uint64_t			base;
	uint64_t			near;
	uint64_t			nr_shifts;
	struct shift_rival		*rivals;
	size_t				nr_rivals;
	uint64_t			nr_tried_with;
	struct shift_place		*places;
	size_t				nr_places;
	uint64_t			nr_added;
};

int shift_search_begin(struct shift_search *search, const struct vcpu_modes *spans,
		       const uint64_t *samples, size_t nr_samples, struct progress *progress,
		       uint64_t done);
int shift_search_add(struct shift_search *search, uint64_t guest_tsc);
int shift_search_end(struct shift_search *search, struct shift_found *found);
void shift_search_release(struct shift_search *search);

#endif /* TSC_OFFSET_SHIFT_SEARCH_H */
