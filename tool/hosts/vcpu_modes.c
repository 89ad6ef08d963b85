// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "order.h"
#include "vcpu_modes.h"

/* Spans of the first allocation; MODE_BLOCK is a multiple */
#define FIRST_CAPACITY	16

static int set_capacity(struct vcpu_modes *modes, size_t capacity, size_t kept)
{
	uint64_t *from = calloc(capacity, sizeof(*modes->from) + sizeof(*modes->mode));

	if (!from)
		return -ENOMEM;
	if (kept) {
		memcpy(from, modes->from, kept * sizeof(*from));
		memcpy(from + capacity, modes->mode, kept);
		free(modes->from);
	}
	modes->from = from;
	modes->mode = (uint8_t *)(from + capacity);
	modes->capacity = capacity;
	return 0;
}

/* The latest spans become a block */
static int keep_block(struct vcpu_modes *modes)
{
	struct mode_block **blocks = modes->blocks;
	struct mode_block *block;

	/* A power of two is full */
	if (!(modes->nr_blocks & (modes->nr_blocks - 1))) {
		blocks = reallocarray(blocks, modes->nr_blocks ? 2 * modes->nr_blocks : 1, sizeof(*blocks));
		if (!blocks)
			return -ENOMEM;
		modes->blocks = blocks;
	}
	block = malloc(sizeof(*block));
	if (!block)
		return -ENOMEM;
	*block = (struct mode_block) { .from = modes->from, .mode = modes->mode, .first = modes->from[0] };
	blocks[modes->nr_blocks++] = block;
	modes->from = NULL;
	modes->mode = NULL;
	modes->capacity = 0;
	return mode_store_keep(modes->store, block);
}

static int make_room(struct vcpu_modes *modes)
{
	size_t latest = modes->nr - modes->nr_blocks * MODE_BLOCK;

	if (latest < modes->capacity)
		return 0;
	if (latest == MODE_BLOCK)
		return keep_block(modes) ?: set_capacity(modes, MODE_BLOCK, 0);
	return set_capacity(modes, modes->capacity ? 2 * modes->capacity : FIRST_CAPACITY, latest);
}

/**
 * vcpu_modes_add - add the next span
 * @modes: all zeros at first, but for @store
 * @from: its first host TSC, in cycles
 * @to: its last one
 * @mode: its mode. The last span must be MODE_UNKNOWN.
 *
 * Returns: 0 or -ENOMEM.
 */
int vcpu_modes_add(struct vcpu_modes *modes, uint64_t from, uint64_t to, enum vcpu_mode mode)
{
	size_t last = modes->nr ? modes->nr - 1 : MODE_SPAN_NONE, at;
	int ret;

	/* Out of guest mode and in again within one cycle, or a damaged file */
	if (modes->nr && from <= vcpu_modes_from(modes, last))
		from = vcpu_modes_from(modes, last) + 1;
	if (from > to)
		return 0;
	/* Spans that begin with an unknown mode, and those that continue */
	if (mode == vcpu_modes_at(modes, last))
		return 0;
	/* The span before ends where this one begins, so that no cycle counts twice */
	if (vcpu_modes_at(modes, last) == MODE_GUEST)
		modes->guest_time += from - vcpu_modes_from(modes, last);
	else if (vcpu_modes_at(modes, last) == MODE_HOST)
		modes->host_time += from - vcpu_modes_from(modes, last);
	ret = make_room(modes);
	if (ret)
		return ret;
	at = modes->nr++ - modes->nr_blocks * MODE_BLOCK;
	modes->from[at] = from;
	modes->mode[at] = mode;
	modes->nr_guest += mode == MODE_GUEST;
	return 0;
}

/* How many of some spans begin at a time or before it? */
static size_t nr_begun(const uint64_t *from, size_t nr, uint64_t host_tsc)
{
	return first_where(i, nr, from[i] > host_tsc);
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
	size_t end, latest;

	/* Events usually come in the order of time */
	if (hint < modes->nr && vcpu_modes_from(modes, hint) <= host_tsc) {
		for (int i = 0; i < STEPS; i++, hint++) {
			if (hint + 1 == modes->nr || vcpu_modes_from(modes, hint + 1) > host_tsc)
				return hint;
		}
	}
	/* It is in the last block that begins before it, or in the latest spans: only one block is read */
	end = first_where(i, modes->nr_blocks, modes->blocks[i]->first > host_tsc) * MODE_BLOCK;
	latest = end == modes->nr_blocks * MODE_BLOCK ? nr_begun(modes->from, modes->nr - end, host_tsc) : 0;
	if (latest)
		return end + latest - 1;
	if (!end)
		return MODE_SPAN_NONE;
	return end - MODE_BLOCK + nr_begun(vcpu_modes_block(modes, end - MODE_BLOCK)->from, MODE_BLOCK, host_tsc) - 1;
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
	return i + 1 < modes->nr && vcpu_modes_from(modes, i + 1) <= to;
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
 * @joined: result, all zeros before, but for @store; must be released in any case, and before @store
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
		uint64_t from_a = i < a->nr ? vcpu_modes_from(a, i) : UINT64_MAX;
		uint64_t from_b = j < b->nr ? vcpu_modes_from(b, j) : UINT64_MAX;
		uint64_t from = from_a < from_b ? from_a : from_b, to = UINT64_MAX;

		if (i < a->nr && from_a == from)
			mode_a = vcpu_modes_at(a, i++);
		if (j < b->nr && from_b == from)
			mode_b = vcpu_modes_at(b, j++);
		if (i < a->nr)
			to = vcpu_modes_from(a, i) - 1;
		if (j < b->nr && vcpu_modes_from(b, j) - 1 < to)
			to = vcpu_modes_from(b, j) - 1;
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
	for (size_t i = 0; i < modes->nr_blocks; i++)
		mode_store_drop(modes->store, modes->blocks[i]);
	free(modes->blocks);
	free(modes->from);
	*modes = (struct vcpu_modes) { 0 };
}
