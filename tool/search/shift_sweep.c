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

/* Shifts that are swept together: as many as stay in the fastest cache */
#define WORD_BITS	64UL
#define BLOCK_WORDS	512UL
#define BLOCK_BITS	(BLOCK_WORDS * WORD_BITS)
/* More cells make the row larger than 128 MiB, or the sweep longer than some seconds. Fuzzing takes less. */
#ifndef MAX_CELLS
#define MAX_CELLS	(1ULL << 30)
#define MAX_SHIFTS	(1ULL << 33)
#endif
#define MAX_CELL	(1ULL << 40)
/* Events between two looks at what is left */
#define EVENTS_AT_ONCE	8
/* From then on each word that is left is looked at by itself */
#define FEW_WORDS	(BLOCK_WORDS / 8)

/* Time out of guest mode that is left for the row */
static uint64_t time_of_bits(const struct vcpu_modes *spans, uint64_t cell)
{
	uint64_t time = 0;

	for (size_t i = 0; i + 1 < spans->nr; i++) {
		uint64_t length = spans->from[i + 1] - spans->from[i];

		if (spans->mode[i] == MODE_HOST && length > 2 * cell)
			time += length - 2 * cell;
	}
	return time;
}

/*
 * As large as can be, so that half of the time out of guest mode is still seen, and that spans in guest mode
 * are told apart.
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
 * @row: result; to be released in any case
 * @spans: what is known of it; there are spans in guest mode
 * @recorded: from the first to the last event of the guest's CPU, in cycles. That, and what is known of the
 *	host, is at most SHIFT_MAX_TIME.
 *
 * Returns: 0 or -ENOMEM.
 */
int shift_row_make(struct shift_row *row, const struct vcpu_modes *spans, uint64_t recorded)
{
	uint64_t cell = choose_cell(spans, recorded);

	*row = (struct shift_row) {
		.spans = spans, .cell = cell, .nr_bits = vcpu_modes_known(spans) / cell + 1
	};
	/* Zeros on both sides, and a word more that is read beside the last one */
	row->bits = calloc(row->nr_bits / WORD_BITS + 2 * BLOCK_WORDS + 2, sizeof(*row->bits));
	if (!row->bits)
		return -ENOMEM;
	for (size_t i = 0; i + 1 < spans->nr; i++) {
		uint64_t from = spans->from[i] - spans->from[0], to = spans->from[i + 1] - spans->from[0];

		/*
		 * With the shifts of a cell an event is at times in one cell and the one behind it: both
		 * must be out of guest mode
		 */
		from = from / cell + (from % cell != 0);
		to = to / cell;
		if (spans->mode[i] == MODE_HOST && to > from + 1)
			set_bits(row->bits + BLOCK_WORDS, from, to - 1);
	}
	return 0;
}

/**
 * shift_row_release - free a row
 * @row: made, or failed to
 */
void shift_row_release(struct shift_row *row)
{
	free(row->bits);
	row->bits = NULL;
}

/* Some shifts while they are swept */
struct block {
	uint64_t	excluded[BLOCK_WORDS];
	uint16_t	left[BLOCK_WORDS];
	size_t		nr_left;
	bool		few;
};

/* Look at what is left; returns: false if it is nothing */
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

/* Kept so simple that compilers make it work on several words at once */
static void exclude_all(uint64_t *restrict excluded, const uint64_t *restrict bits, unsigned int by)
{
	for (size_t i = 0; i < BLOCK_WORDS; i++)
		excluded[i] |= bits[i] >> by | bits[i + 1] << 1 << (WORD_BITS - 1 - by);
}

/* Returns: false if nothing is left */
static bool exclude(struct block *block, const uint64_t *bits, unsigned int by)
{
	size_t nr = 0;

	if (!block->few) {
		exclude_all(block->excluded, bits, by);
		return true;
	}
	for (size_t i = 0; i < block->nr_left; i++) {
		size_t word = block->left[i];

		/* Two shifts, as one by 64 is none */
		block->excluded[word] |= bits[word] >> by | bits[word + 1] << 1 << (WORD_BITS - 1 - by);
		if (block->excluded[word] != UINT64_MAX)
			block->left[nr++] = word;
	}
	block->nr_left = nr;
	return nr;
}

/* Returns: how many of the events are at most @most cycles before the last one */
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

	/* Times from the first span on, without those behind the last one */
	range.known = count_within(before_last, nr, to);
	if (from > known)
		range.known -= count_within(before_last, nr, from - known - 1);
	if (!range.known)
		return;
	/* A binary heap, the worst first */
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

/* Shifts that are left, over the ends of words and blocks */
struct remains {
	const struct shift_row	*row;
	const uint64_t		*before_last;
	size_t			nr;
	struct shift_ranges	*found;
	bool			left;	/* that of the last bit */
	uint64_t		from;	/* then the first one */
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
	/* Mostly all of them are as the last one was */
	if (excluded == (remains->left ? 0 : UINT64_MAX))
		return;
	for (size_t i = 0; i < WORD_BITS; i++)
		take_bit(remains, first + i, excluded >> i & 1);
}

/* Numbers of events in an order in which the first ones are from everywhere */
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

/* Returns: false if no shift of the block is left. The events are those in the row with any of these shifts. */
static bool sweep_block(const struct shift_row *row, struct block *block, uint64_t first,
			const uint64_t *before_last, size_t nr)
{
	size_t stride = nr ? choose_stride(nr) : 0;

	memset(block->excluded, 0, sizeof(block->excluded));
	block->few = false;
	for (size_t i = 1, which = 0; i <= nr; i++) {
		uint64_t cells = before_last[which] / row->cell + (before_last[which] % row->cell != 0);
		/* Before the row are as many zeros as a block has bits, and behind it */
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
 * @row: of the vCPU
 * @before_last: for each event how much later the last one of all is, in cycles, in the order of that
 * @nr: how many, at least one
 * @found: result: shifts beyond the least of all, which is that with which the last event of all is at the
 *	begin of the row
 * @progress: of the caller
 * @done: steps that are done; the sweep adds SHIFT_SWEEP_STEPS
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
		/* The last of its shifts brings these to the row, and the first of them not behind it */
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
