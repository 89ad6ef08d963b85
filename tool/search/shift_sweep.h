/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Tests all shifts of a guest CPU's times at once, with some of its events: finds the shifts with which no event is at
 * a time at which the vCPU was certainly out of guest mode.
 *
 * Shifts are grouped into cells of some cycles, one bit for each cell. The times at which the vCPU was out of guest
 * mode are a row of bits too. Moved by an event's time, this is the row of shifts that the event excludes, 64 of them
 * with each operation. The result has all shifts that no event excludes, and some more: a cell is excluded only if all
 * of its shifts are.
 */
#ifndef TSC_OFFSET_SHIFT_SWEEP_H
#define TSC_OFFSET_SHIFT_SWEEP_H

#include <stddef.h>
#include <stdint.h>

struct progress;
struct vcpu_modes;

/* Cycles of the longest recording: decades */
#define SHIFT_MAX_TIME (1ULL << 62)
/* Most shifts that one sweep returns: the best ones */
#define SHIFT_RANGES 256
/* Progress units of a sweep */
#define SHIFT_SWEEP_STEPS 1000

/**
 * struct shift_range - a range of shifts that remain
 * @from, @to: first and last, relative to the lowest shift
 * @known: number of events at times of known mode with these shifts, so probably in guest mode
 */
struct shift_range {
	uint64_t	from;
	uint64_t	to;
	size_t		known;
};

/**
 * struct shift_row - the times at which a vCPU was out of guest mode, as bits
 * @spans: spans of the vCPU
 * @cell: cycles for each bit
 * @bits: the bits, with zeros before and after them; owned
 * @nr_bits: number of bits without those zeros
 */
struct shift_row {
	const struct vcpu_modes		*spans;
	uint64_t			cell;
	uint64_t			*bits;
	uint64_t			nr_bits;
};

/**
 * struct shift_ranges - of the ranges that remain, those with most events at times of known mode
 * @ranges: ranges in any order
 * @nr: number of @ranges
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
