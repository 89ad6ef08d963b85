// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "order.h"
#include "vcpu_modes.h"

/**
 * vcpu_modes_add - add the next span
 * @modes: all zeros at first
 * @from: its first host TSC, in cycles
 * @to: its last one
 * @mode: its mode. The last span must be MODE_UNKNOWN.
 *
 * Returns: 0 or -ENOMEM.
 */
int vcpu_modes_add(struct vcpu_modes *modes, uint64_t from, uint64_t to, enum vcpu_mode mode)
{
	/* Out of guest mode and in again within one cycle, or a damaged file */
	if (modes->nr && from <= modes->from[modes->nr - 1])
		from = modes->from[modes->nr - 1] + 1;
	if (from > to)
		return 0;
	/* Spans that begin with an unknown mode, and those that continue */
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
	/* The span before ends where this one begins, so that no cycle counts twice */
	if (modes->nr && modes->mode[modes->nr - 1] == MODE_GUEST)
		modes->guest_time += from - modes->from[modes->nr - 1];
	else if (modes->nr && modes->mode[modes->nr - 1] == MODE_HOST)
		modes->host_time += from - modes->from[modes->nr - 1];
	modes->nr_guest += mode == MODE_GUEST;
	modes->from[modes->nr] = from;
	modes->mode[modes->nr++] = mode;
	return 0;
}

/* Spans that a search walks before it becomes a binary search */
#define STEPS 4

/**
 * vcpu_modes_find - find the span of a time
 * @modes: modes of a vCPU
 * @host_tsc: the time
 * @hint: index of a span near it, such as the last result; any value is valid
 *
 * Returns: index of the span, MODE_SPAN_NONE before the first one.
 */
size_t vcpu_modes_find(const struct vcpu_modes *modes, uint64_t host_tsc, size_t hint)
{
	size_t low = 0;

	/* Events usually come in the order of time */
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
 * @modes: modes of the vCPU
 * @from, @to: the times, both included
 *
 * Returns: false if it certainly was not.
 */
bool vcpu_modes_any_guest(const struct vcpu_modes *modes, uint64_t from, uint64_t to)
{
	size_t i = vcpu_modes_find(modes, from, 0);

	if (vcpu_modes_at(modes, i) != MODE_HOST)
		return true;
	/* Neighbours differ */
	return i + 1 < modes->nr && modes->from[i + 1] <= to;
}

/* If either thread is in guest mode, so is the vCPU; it is out of it if both are */
static enum vcpu_mode join_modes(enum vcpu_mode a, enum vcpu_mode b)
{
	if (a == MODE_GUEST || b == MODE_GUEST)
		return MODE_GUEST;
	return a == MODE_HOST && b == MODE_HOST ? MODE_HOST : MODE_UNKNOWN;
}

/**
 * vcpu_modes_join - join the modes of a vCPU that two threads ran, usually in sequence
 * @joined: result, all zeros before; must be released in any case
 * @a, @b: modes of the threads; each ends with MODE_UNKNOWN
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
 * vcpu_modes_release - free the modes
 * @modes: the modes, or none
 */
void vcpu_modes_release(struct vcpu_modes *modes)
{
	free(modes->from);
	free(modes->mode);
	*modes = (struct vcpu_modes) { 0 };
}
