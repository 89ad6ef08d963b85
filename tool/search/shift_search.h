/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The constant that brings a guest CPU's times into its host's, found by guest mode alone: with the right
 * shift each event lies in a span in which the vCPU was in guest mode, and a wrong one puts some of them
 * where it was not.
 *
 * The search knows nothing of the offset: all shifts of 64 bits with which any event meets any span are
 * tried. First with some of the events, for which the score of each shift is swept exactly from edge to
 * edge of all spans; the places with the best scores are then tried with more events, and the best of them
 * with all. Events at times of which the host knows nothing count for nothing, or else a shift that moves
 * all of them there would be the best.
 */
#ifndef TSC_OFFSET_SHIFT_SEARCH_H
#define TSC_OFFSET_SHIFT_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shift_sweep.h"
#include "vcpu_modes.h"

struct progress;

/* What a search adds to the progress: that of five sweeps */
#define SHIFT_SEARCH_STEPS (5 * SHIFT_SWEEP_STEPS)

/**
 * struct shift_found - the result
 * @low, @high: host minus guest, in cycles modulo 2^64: the right shift is not less and not more
 * @inside: events in guest mode with the best shift of those
 * @violations: events out of guest mode with it
 * @unique: no other shift comes near to it
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
 * @spans: the caller's
 * @row: what of it is swept
 * @last: guest time of the last event
 * @base: the least shift that is tried; all others are told by how much they are more
 * @near: shifts that differ by less are about the same
 * @nr_shifts: how many different shifts there are
 * @rivals: what the sweeps left; owned
 * @nr_rivals: how many
 * @nr_tried_with: events that these were tried with
 * @places: where the best shifts are; owned
 * @nr_places: how many
 * @nr_added: events that these were tried with
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
