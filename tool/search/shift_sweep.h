/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * All shifts of a guest CPU's times at once: which of them put no event of some to where the vCPU was
 * certainly not in guest mode?
 *
 * Shifts are taken together in cells of some cycles, one bit for each. Where the vCPU was out of guest mode
 * is a row of bits as well; moved by an event's time it is the row of shifts that this event excludes, 64
 * of them with each operation. Shifts that no event excludes are left, and some beside them: a cell is
 * excluded only if all of its shifts are.
 */
#ifndef TSC_OFFSET_SHIFT_SWEEP_H
#define TSC_OFFSET_SHIFT_SWEEP_H

#include <stddef.h>
#include <stdint.h>

struct progress;
struct vcpu_modes;

/* Cycles of the longest recording: decades */
#define SHIFT_MAX_TIME (1ULL << 62)
/* Shifts that are left by one sweep: so many of the best */
#define SHIFT_RANGES 256
/* What a sweep adds to the progress */
#define SHIFT_SWEEP_STEPS 1000

/**
 * struct shift_range - shifts that are left
 * @from, @to: first and last, beyond the least shift of all
 * @known: events that are then at times of which something is known, and so probably in guest mode
 */
struct shift_range {
	uint64_t	from;
	uint64_t	to;
	size_t		known;
};

/**
 * struct shift_row - where a vCPU was out of guest mode, as bits
 * @spans: what is known of it
 * @cell: cycles of each bit
 * @bits: owned; zeros precede and follow
 * @nr_bits: how many, without those
 */
struct shift_row {
	const struct vcpu_modes		*spans;
	uint64_t			cell;
	uint64_t			*bits;
	uint64_t			nr_bits;
};

/**
 * struct shift_ranges - the shifts with the most events at known times, of those that are left
 * @ranges: in no order
 * @nr: how many
 */
struct shift_ranges {
	struct shift_range	ranges[SHIFT_RANGES];
	size_t			nr;
};

int shift_row_make(struct shift_row *row, const struct vcpu_modes *spans, uint64_t recorded);
void shift_row_release(struct shift_row *row);
int shift_sweep(const struct shift_row *row, const uint64_t *before_last, size_t nr,
		struct shift_ranges *found, struct progress *progress, uint64_t done);

#endif /* TSC_OFFSET_SHIFT_SWEEP_H */
