/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* A vCPU's modes over all host time, for repeated use. The latest spans are in memory, those before in a mode_store. */
#ifndef TSC_OFFSET_VCPU_MODES_H
#define TSC_OFFSET_VCPU_MODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mode_store.h"
#include "vcpu_mode.h"

/* Not the index of a span */
#define MODE_SPAN_NONE SIZE_MAX

/**
 * struct vcpu_modes - the modes of a vCPU
 * @store: where the blocks are; NULL: in memory. The only member that is set before the first span.
 * @blocks: the spans before those of @from, MODE_BLOCK in each; owned
 * @nr_blocks: number of @blocks
 * @from: first host TSC of each of the latest spans, in cycles, and after them @mode; a span lasts until the next one;
 *	owned
 * @mode: enum vcpu_mode of each of the latest spans; neighbours differ
 * @capacity: number of spans that fit into @from without growing
 * @nr: number of all spans. The mode before the first is unknown, and the last span is MODE_UNKNOWN
 * @guest_time, @host_time: cycles in and out of guest mode, without the last span: less than 2^64 together
 * @nr_guest: number of spans in guest mode
 */
struct vcpu_modes {
	struct mode_store	*store;
	struct mode_block	**blocks;
	size_t			nr_blocks;
	uint64_t		*from;
	uint8_t			*mode;
	size_t			capacity;
	size_t			nr;
	uint64_t		guest_time;
	uint64_t		host_time;
	size_t			nr_guest;
};

int vcpu_modes_add(struct vcpu_modes *modes, uint64_t from, uint64_t to, enum vcpu_mode mode);
int vcpu_modes_join(struct vcpu_modes *joined, const struct vcpu_modes *a, const struct vcpu_modes *b);
size_t vcpu_modes_find(const struct vcpu_modes *modes, uint64_t host_tsc, size_t hint);
bool vcpu_modes_any_guest(const struct vcpu_modes *modes, uint64_t from, uint64_t to);
void vcpu_modes_release(struct vcpu_modes *modes);

static inline const struct mode_block *vcpu_modes_block(const struct vcpu_modes *modes, size_t span)
{
	struct mode_block *block = modes->blocks[span / MODE_BLOCK];

	if (!block->from)
		mode_store_load(modes->store, block);
	return block;
}

/**
 * vcpu_modes_from - get the begin of a span
 * @modes: modes of a vCPU
 * @span: index of the span, less than their number
 *
 * Returns: its first host TSC, in cycles.
 */
static inline uint64_t vcpu_modes_from(const struct vcpu_modes *modes, size_t span)
{
	size_t latest = modes->nr_blocks * MODE_BLOCK;

	if (span >= latest)
		return modes->from[span - latest];
	return vcpu_modes_block(modes, span)->from[span % MODE_BLOCK];
}

/**
 * vcpu_modes_at - get the mode of a span
 * @modes: modes of a vCPU
 * @span: index of the span, less than their number, or MODE_SPAN_NONE
 *
 * Returns: the span's mode, MODE_UNKNOWN for MODE_SPAN_NONE.
 */
static inline enum vcpu_mode vcpu_modes_at(const struct vcpu_modes *modes, size_t span)
{
	size_t latest = modes->nr_blocks * MODE_BLOCK;

	if (span == MODE_SPAN_NONE)
		return MODE_UNKNOWN;
	if (span >= latest)
		return modes->mode[span - latest];
	return vcpu_modes_block(modes, span)->mode[span % MODE_BLOCK];
}

/**
 * vcpu_modes_limit - limit the cycles by which an event can be moved within its span of guest mode
 * @modes: modes of its vCPU
 * @span: index of the span, one in guest mode
 * @host_tsc: time of the event, inside the span
 * @earlier: lowered to the number of cycles to the begin of the span
 * @later: the same for the end of the span; unchanged if an unknown mode follows, because guest mode may continue
 */
static inline void vcpu_modes_limit(const struct vcpu_modes *modes, size_t span, uint64_t host_tsc,
				    uint64_t *earlier, uint64_t *later)
{
	if (host_tsc - vcpu_modes_from(modes, span) < *earlier)
		*earlier = host_tsc - vcpu_modes_from(modes, span);
	/* The last of all spans is unknown */
	if (vcpu_modes_at(modes, span + 1) == MODE_HOST && vcpu_modes_from(modes, span + 1) - 1 - host_tsc < *later)
		*later = vcpu_modes_from(modes, span + 1) - 1 - host_tsc;
}

/* Cycles from the begin of the first span to that of the last */
static inline uint64_t vcpu_modes_known(const struct vcpu_modes *modes)
{
	return vcpu_modes_from(modes, modes->nr - 1) - vcpu_modes_from(modes, 0);
}

#endif /* TSC_OFFSET_VCPU_MODES_H */
