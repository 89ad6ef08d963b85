// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "order.h"
#include "vcpu_modes.h"

/**
 * vcpu_modes_add - tell of the next span
 * @modes: all zeros at first
 * @from: its first host TSC, in cycles
 * @to: its last one
 * @mode: what is known of it. The last one of all is to be MODE_UNKNOWN.
 *
 * Returns: 0 or -ENOMEM.
 */
int vcpu_modes_add(struct vcpu_modes *modes, uint64_t from, uint64_t to, enum vcpu_mode mode)
{
	/* Out of guest mode and in again within one cycle, or a file that nobody should believe */
	if (modes->nr && from <= modes->from[modes->nr - 1])
		from = modes->from[modes->nr - 1] + 1;
	if (from > to)
		return 0;
	/* Those that begin with nothing known, and those that go on */
	if (mode == (modes->nr ? modes->mode[modes->nr - 1] : MODE_UNKNOWN))
		return 0;
	if (modes->nr == modes->capacity) {
		size_t capacity = modes->capacity ? 2 * modes->capacity : 16;
		uint64_t *starts = reallocarray(modes->from, capacity, sizeof(*starts));
		uint8_t *kinds;

		if (!starts)
			return -ENOMEM;
		modes->from = starts;
		kinds = reallocarray(modes->mode, capacity, sizeof(*kinds));
		if (!kinds)
			return -ENOMEM;
		modes->mode = kinds;
		modes->capacity = capacity;
	}
	/* The span before ends where this one begins, whatever was said of its end: no cycle counts twice */
	if (modes->nr && modes->mode[modes->nr - 1] == MODE_GUEST)
		modes->guest_time += from - modes->from[modes->nr - 1];
	else if (modes->nr && modes->mode[modes->nr - 1] == MODE_HOST)
		modes->host_time += from - modes->from[modes->nr - 1];
	modes->nr_guest += mode == MODE_GUEST;
	modes->from[modes->nr] = from;
	modes->mode[modes->nr++] = mode;
	return 0;
}

/* How far a search goes from span to span before it halves */
#define STEPS 4

/**
 * vcpu_modes_find - find the span that a time lies in
 * @modes: of a vCPU
 * @host_tsc: the time
 * @hint: a span near to it, as the one that was found last; any number will do
 *
 * Returns: number of the span, MODE_SPAN_NONE before the first one.
 */
size_t vcpu_modes_find(const struct vcpu_modes *modes, uint64_t host_tsc, size_t hint)
{
	size_t low = 0;

	/* Events come in the order of time, mostly */
	if (hint < modes->nr && modes->from[hint] <= host_tsc) {
		for (int i = 0; i < STEPS; i++, hint++) {
			if (hint + 1 == modes->nr || modes->from[hint + 1] > host_tsc)
				return hint;
		}
		low = hint;
	}
	low += first_where(i, modes->nr - low, modes->from[low + i] > host_tsc);
	return low ? low - 1 : MODE_SPAN_NONE;
}

/**
 * vcpu_modes_any_guest - may a vCPU have been in guest mode between two times?
 * @modes: of it
 * @from, @to: the times, both included
 *
 * Returns: false if it certainly was not.
 */
bool vcpu_modes_any_guest(const struct vcpu_modes *modes, uint64_t from, uint64_t to)
{
	size_t i = vcpu_modes_find(modes, from, 0);

	if (vcpu_modes_at(modes, i) != MODE_HOST)
		return true;
	/* No two neighbours are the same */
	return i + 1 < modes->nr && modes->from[i + 1] <= to;
}

/* One that runs in guest mode runs; it does not if neither thread does */
static enum vcpu_mode join_modes(enum vcpu_mode a, enum vcpu_mode b)
{
	if (a == MODE_GUEST || b == MODE_GUEST)
		return MODE_GUEST;
	return a == MODE_HOST && b == MODE_HOST ? MODE_HOST : MODE_UNKNOWN;
}

/**
 * vcpu_modes_join - what is known of a vCPU that two threads ran, mostly one after the other
 * @joined: result, all zeros before; to be released in any case
 * @a, @b: what is known of the threads; each ends with MODE_UNKNOWN
 *
 * Returns: 0 or -ENOMEM.
 */
int vcpu_modes_join(struct vcpu_modes *joined, const struct vcpu_modes *a, const struct vcpu_modes *b)
{
	enum vcpu_mode mode_a = MODE_UNKNOWN, mode_b = MODE_UNKNOWN;
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
		ret = vcpu_modes_add(joined, from, to, join_modes(mode_a, mode_b));
	}
	return ret;
}

/**
 * vcpu_modes_release - free what is known
 * @modes: with spans or without
 */
void vcpu_modes_release(struct vcpu_modes *modes)
{
	free(modes->from);
	free(modes->mode);
	*modes = (struct vcpu_modes) { 0 };
}
