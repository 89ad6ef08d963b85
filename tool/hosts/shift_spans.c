// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "shift_spans.h"

/**
 * shift_spans_add - tell of the next span
 * @spans: all zeros at first
 * @from: its first host TSC, in cycles
 * @to: its last one
 * @mode: what is known of it. The last one of all is to be SHIFT_FREE.
 *
 * Returns: 0 or -ENOMEM.
 */
int shift_spans_add(struct shift_spans *spans, uint64_t from, uint64_t to, enum shift_mode mode)
{
	/* Out of guest mode and in again within one cycle, or a file that nobody should believe */
	if (spans->nr && from <= spans->from[spans->nr - 1])
		from = spans->from[spans->nr - 1] + 1;
	if (from > to)
		return 0;
	/* Those that begin with nothing known, and those that go on */
	if (mode == (spans->nr ? spans->mode[spans->nr - 1] : SHIFT_FREE))
		return 0;
	if (spans->nr == spans->capacity) {
		size_t capacity = spans->capacity ? 2 * spans->capacity : 16;
		uint64_t *starts = reallocarray(spans->from, capacity, sizeof(*starts));
		uint8_t *modes;

		if (!starts)
			return -ENOMEM;
		spans->from = starts;
		modes = reallocarray(spans->mode, capacity, sizeof(*modes));
		if (!modes)
			return -ENOMEM;
		spans->mode = modes;
		spans->capacity = capacity;
	}
	/* The span before ends where this one begins, whatever was said of its end: no cycle counts twice */
	if (spans->nr && spans->mode[spans->nr - 1] == SHIFT_GUEST)
		spans->guest_time += from - spans->from[spans->nr - 1];
	else if (spans->nr && spans->mode[spans->nr - 1] == SHIFT_HOST)
		spans->host_time += from - spans->from[spans->nr - 1];
	spans->nr_guest += mode == SHIFT_GUEST;
	spans->from[spans->nr] = from;
	spans->mode[spans->nr++] = mode;
	return 0;
}

/* How far a search goes from span to span before it halves */
#define STEPS 4

/**
 * shift_spans_find - find the span that a time lies in
 * @spans: of a vCPU
 * @host_tsc: the time
 * @hint: a span near to it, as the one that was found last; any number will do
 *
 * Returns: number of the span, SHIFT_SPAN_NONE before the first one.
 */
size_t shift_spans_find(const struct shift_spans *spans, uint64_t host_tsc, size_t hint)
{
	size_t low = 0, high = spans->nr;

	/* Events come in the order of time, mostly */
	if (hint < spans->nr && spans->from[hint] <= host_tsc) {
		for (int i = 0; i < STEPS; i++, hint++) {
			if (hint + 1 == spans->nr || spans->from[hint + 1] > host_tsc)
				return hint;
		}
		low = hint;
	}
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (spans->from[mid] <= host_tsc)
			low = mid + 1;
		else
			high = mid;
	}
	return low ? low - 1 : SHIFT_SPAN_NONE;
}

/**
 * shift_spans_any_guest - may a vCPU have been in guest mode between two times?
 * @spans: of it
 * @from, @to: the times, both included
 *
 * Returns: false if it certainly was not.
 */
bool shift_spans_any_guest(const struct shift_spans *spans, uint64_t from, uint64_t to)
{
	size_t i = shift_spans_find(spans, from, 0);

	if (shift_spans_mode(spans, i) != SHIFT_HOST)
		return true;
	/* No two neighbours are the same */
	return i + 1 < spans->nr && spans->from[i + 1] <= to;
}

/* One that runs in guest mode runs; it does not if neither thread does */
static enum shift_mode join_modes(enum shift_mode a, enum shift_mode b)
{
	if (a == SHIFT_GUEST || b == SHIFT_GUEST)
		return SHIFT_GUEST;
	return a == SHIFT_HOST && b == SHIFT_HOST ? SHIFT_HOST : SHIFT_FREE;
}

/**
 * shift_spans_join - what is known of a vCPU that two threads ran, mostly one after the other
 * @joined: result, all zeros before; to be released in any case
 * @a, @b: what is known of the threads; each ends with SHIFT_FREE
 *
 * Returns: 0 or -ENOMEM.
 */
int shift_spans_join(struct shift_spans *joined, const struct shift_spans *a, const struct shift_spans *b)
{
	enum shift_mode mode_a = SHIFT_FREE, mode_b = SHIFT_FREE;
	size_t i = 0, j = 0;
	int ret = 0;

	while ((i < a->nr || j < b->nr) && !ret) {
		uint64_t from, to;

		if (j == b->nr || (i < a->nr && a->from[i] <= b->from[j]))
			from = a->from[i];
		else
			from = b->from[j];
		if (i < a->nr && a->from[i] == from)
			mode_a = a->mode[i++];
		if (j < b->nr && b->from[j] == from)
			mode_b = b->mode[j++];
		to = i < a->nr ? a->from[i] - 1 : UINT64_MAX;
		if (j < b->nr && b->from[j] - 1 < to)
			to = b->from[j] - 1;
		ret = shift_spans_add(joined, from, to, join_modes(mode_a, mode_b));
	}
	return ret;
}

/**
 * shift_spans_release - free what is known
 * @spans: with spans or without
 */
void shift_spans_release(struct shift_spans *spans)
{
	free(spans->from);
	free(spans->mode);
	*spans = (struct shift_spans) { 0 };
}
