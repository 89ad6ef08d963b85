// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "order.h"
#include "progress.h"
#include "vcpu_modes.h"
#include "shift_sweep.h"

/* Number of shifts swept together: as many as fit into the fastest cache */
#define WORD_BITS	64UL
#define BLOCK_WORDS	512UL
#define BLOCK_BITS	(BLOCK_WORDS * WORD_BITS)
/* With more cells, the row exceeds 128 MiB, or the sweep takes more than some seconds. Fuzzing uses a lower limit. */
#ifndef MAX_CELLS
#define MAX_CELLS	(1ULL << 30)
#define MAX_SHIFTS	(1ULL << 33)
#endif
#define MAX_CELL	(1ULL << 40)
/* Events between two checks of the remaining shifts */
#define EVENTS_AT_ONCE	8
/* With fewer words left, each is processed alone */
#define FEW_WORDS	(BLOCK_WORDS / 8)

/* Time out of guest mode to be kept in the row */
static uint64_t time_of_bits(const struct vcpu_modes *spans, uint64_t cell)
{
	uint64_t time = 0;

	for (size_t i = 0; i + 1 < spans->nr; i++) {
		uint64_t length = vcpu_modes_from(spans, i + 1) - vcpu_modes_from(spans, i);

		if (vcpu_modes_at(spans, i) == MODE_HOST && length > 2 * cell)
			time += length - 2 * cell;
	}
	return time;
}

/*
 * The largest cell with which half of the time out of guest mode is still visible and spans in guest mode are distinct.
 */
static uint64_t choose_cell(const struct vcpu_modes *spans, uint64_t recorded)
{
	uint64_t known = vcpu_modes_known(spans), cell = 1;
	uint64_t guest_span = spans->guest_time / spans->nr_guest;

	while (cell < guest_span / 2 && cell < MAX_CELL && time_of_bits(spans, 2 * cell) >= spans->host_time / 2)
		cell *= 2;
	while (known / cell >= MAX_CELLS || (known + recorded) / cell >= MAX_SHIFTS)
		cell *= 2;
	return cell;
}

static void set_bits(uint64_t *bits, uint64_t from, uint64_t to)
{
	for (; from < to && from % WORD_BITS; from++)
		bits[from / WORD_BITS] |= 1ULL << from % WORD_BITS;
	for (; to - from >= WORD_BITS && from < to; from += WORD_BITS)
		bits[from / WORD_BITS] = UINT64_MAX;
	for (; from < to; from++)
		bits[from / WORD_BITS] |= 1ULL << from % WORD_BITS;
}

/**
 * shift_row_make - make the row of a vCPU
 * @row: result; must be released in any case
 * @spans: its modes; they include spans in guest mode
 * @recorded: cycles from the first to the last event of the guest's CPU. This and the known times of the host are at
 *	most SHIFT_MAX_TIME
 *
 * Returns: 0 or -ENOMEM.
 */
int shift_row_make(struct shift_row *row, const struct vcpu_modes *spans, uint64_t recorded)
{
	uint64_t cell = choose_cell(spans, recorded), begin = vcpu_modes_from(spans, 0);

	*row = (struct shift_row) {
		.spans = spans, .cell = cell, .nr_bits = vcpu_modes_known(spans) / cell + 1
	};
	/* Zeros on both sides, and one more word that is read after the last one */
	row->bits = calloc(row->nr_bits / WORD_BITS + 2 * BLOCK_WORDS + 2, sizeof(*row->bits));
	if (!row->bits)
		return -ENOMEM;
	for (size_t i = 0; i + 1 < spans->nr; i++) {
		uint64_t from = vcpu_modes_from(spans, i) - begin, to = vcpu_modes_from(spans, i + 1) - begin;

		/*
		 * With the shifts of a cell, an event is in one of two adjacent cells: both must be out of guest mode
		 */
		from = from / cell + (from % cell != 0);
		to = to / cell;
		if (vcpu_modes_at(spans, i) == MODE_HOST && to > from + 1)
			set_bits(row->bits + BLOCK_WORDS, from, to - 1);
	}
	return 0;
}

/**
 * shift_row_release - free a row
 * @row: the row, also after a failure
 */
void shift_row_release(struct shift_row *row)
{
	free(row->bits);
	row->bits = NULL;
}

/* Some shifts being swept */
struct block {
	uint64_t	excluded[BLOCK_WORDS];
	uint16_t	left[BLOCK_WORDS];
	size_t		nr_left;
	bool		few;
};

/* Check the remaining shifts; returns: false if there are none */
static bool look(struct block *block)
{
	size_t nr = 0;

	for (size_t i = 0; i < BLOCK_WORDS; i++) {
		if (block->excluded[i] != UINT64_MAX)
			block->left[nr++] = i;
	}
	block->nr_left = nr;
	block->few = nr <= FEW_WORDS;
	return nr;
}

/* Simple enough for compilers to vectorise */
static void exclude_all(uint64_t *restrict excluded, const uint64_t *restrict bits, unsigned int by)
{
	for (size_t i = 0; i < BLOCK_WORDS; i++)
		excluded[i] |= bits[i] >> by | bits[i + 1] << 1 << (WORD_BITS - 1 - by);
}

/* Returns: false if no shift remains */
static bool exclude(struct block *block, const uint64_t *bits, unsigned int by)
{
	size_t nr = 0;

	if (!block->few) {
		exclude_all(block->excluded, bits, by);
		return true;
	}
	for (size_t i = 0; i < block->nr_left; i++) {
		size_t word = block->left[i];

		/* Two shifts, because a shift by 64 is undefined */
		block->excluded[word] |= bits[word] >> by | bits[word + 1] << 1 << (WORD_BITS - 1 - by);
		if (block->excluded[word] != UINT64_MAX)
			block->left[nr++] = word;
	}
	block->nr_left = nr;
	return nr;
}

/* Returns: number of events at most @most cycles before the last one */
static size_t count_within(const uint64_t *before_last, size_t nr, uint64_t most)
{
	return first_where(i, nr, before_last[i] > most);
}

static void keep(const struct shift_row *row, const uint64_t *before_last, size_t nr,
		 struct shift_ranges *found, uint64_t from, uint64_t to)
{
	uint64_t known = vcpu_modes_known(row->spans);
	struct shift_range range = { .from = from, .to = to }, *ranges = found->ranges;
	size_t at;

	/* Times from the first span on, up to the last one */
	range.known = count_within(before_last, nr, to);
	if (from > known)
		range.known -= count_within(before_last, nr, from - known - 1);
	if (!range.known)
		return;
	/* A binary heap with the worst first */
	if (found->nr < SHIFT_RANGES) {
		for (at = found->nr++; at && ranges[(at - 1) / 2].known > range.known; at = (at - 1) / 2)
			ranges[at] = ranges[(at - 1) / 2];
		ranges[at] = range;
		return;
	}
	if (range.known <= ranges[0].known)
		return;
	for (at = 0; 2 * at + 1 < found->nr;) {
		size_t child = 2 * at + 1;

		if (child + 1 < found->nr && ranges[child + 1].known < ranges[child].known)
			child++;
		if (ranges[child].known >= range.known)
			break;
		ranges[at] = ranges[child];
		at = child;
	}
	ranges[at] = range;
}

/* Collects remaining shifts across words and blocks */
struct remains {
	const struct shift_row	*row;
	const uint64_t		*before_last;
	size_t			nr;
	struct shift_ranges	*found;
	bool			left;	/* the last bit was set */
	uint64_t		from;	/* with @left: the first shift */
};

static void take_bit(struct remains *remains, uint64_t bit, bool excluded)
{
	if (remains->left && excluded)
		keep(remains->row, remains->before_last, remains->nr, remains->found,
		     remains->from * remains->row->cell, bit * remains->row->cell - 1);
	else if (!remains->left && !excluded)
		remains->from = bit;
	remains->left = !excluded;
}

static void take_word(struct remains *remains, uint64_t first, uint64_t excluded)
{
	/* Usually all bits equal the last one */
	if (excluded == (remains->left ? 0 : UINT64_MAX))
		return;
	for (size_t i = 0; i < WORD_BITS; i++)
		take_bit(remains, first + i, excluded >> i & 1);
}

/* Indices of events in an order that begins with events from everywhere */
static size_t choose_stride(size_t nr)
{
	size_t stride = (size_t)((unsigned __int128)nr * 618 / 1000) | 1;

	for (;; stride++) {
		size_t a = nr, b = stride;

		while (b) {
			size_t rest = a % b;

			a = b;
			b = rest;
		}
		if (a == 1)
			return stride;
	}
}

/* Returns: false if no shift of the block remains. The events are those in the row with any of these shifts. */
static bool sweep_block(const struct shift_row *row, struct block *block, uint64_t first,
			const uint64_t *before_last, size_t nr)
{
	size_t stride = nr ? choose_stride(nr) : 0;

	memset(block->excluded, 0, sizeof(block->excluded));
	block->few = false;
	for (size_t i = 1, which = 0; i <= nr; i++) {
		uint64_t cells = before_last[which] / row->cell + (before_last[which] % row->cell != 0);
		/* The row has as many zeros before and after it as a block has bits */
		uint64_t at = first + BLOCK_BITS - cells;

		if (at < row->nr_bits + BLOCK_BITS &&
		    !exclude(block, &row->bits[at / WORD_BITS], at % WORD_BITS))
			return false;
		if (i % EVENTS_AT_ONCE == 0 && !block->few && !look(block))
			return false;
		which = which + stride < nr ? which + stride : which + stride - nr;
	}
	return nr && look(block);
}

/**
 * shift_sweep - find the shifts that no event excludes
 * @row: row of the vCPU
 * @before_last: distance of each event from the last one, in cycles, in ascending order
 * @nr: number of events, at least one
 * @found: result: shifts relative to the lowest, which moves the last event to the begin of the row
 * @progress: progress of the caller
 * @done: number of steps done; increased by SHIFT_SWEEP_STEPS
 *
 * Returns: 0 or -ENOMEM.
 */
int shift_sweep(const struct shift_row *row, const uint64_t *before_last, size_t nr,
		struct shift_ranges *found, struct progress *progress, uint64_t done)
{
	_cleanup_(freep) struct block *block = malloc(sizeof(*block));
	uint64_t begin = before_last[0] / row->cell, end = before_last[nr - 1] / row->cell + row->nr_bits + 1;
	struct remains remains = { .row = row, .before_last = before_last, .nr = nr, .found = found };

	found->nr = 0;
	if (!block)
		return -ENOMEM;
	begin -= begin % WORD_BITS;
	for (uint64_t first = begin; first < end; first += BLOCK_BITS) {
		/* The last of its shifts moves these into the row, and the first does not move them out of it */
		size_t to = count_within(before_last, nr, (first + BLOCK_BITS - 1) * row->cell);
		size_t from = first > row->nr_bits ?
			count_within(before_last, nr, (first - row->nr_bits) * row->cell) : 0;
		bool any = sweep_block(row, block, first, before_last + from, to - from);

		progress_at(progress, done + (first - begin) * SHIFT_SWEEP_STEPS / (end - begin));
		for (size_t i = 0; i < BLOCK_WORDS && any; i++)
			take_word(&remains, first + i * WORD_BITS, block->excluded[i]);
		if (!any)
			take_bit(&remains, first, true);
	}
	take_bit(&remains, end, true);
	return 0;
}
