/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* A vCPU's modes over all host time, in memory, for repeated use. */
#ifndef TSC_OFFSET_VCPU_MODES_H
#define TSC_OFFSET_VCPU_MODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Not the index of a span */
#define MODE_SPAN_NONE SIZE_MAX

/**
 * enum vcpu_mode - the mode of a vCPU at a time
 * @MODE_UNKNOWN: unknown: events are missing, or the time is before or after the host's recording
 * @MODE_GUEST: in guest mode
 * @MODE_HOST: out of guest mode
 */
enum vcpu_mode {
	MODE_UNKNOWN,
	MODE_GUEST,
	MODE_HOST,
};

/**
 * struct vcpu_modes - the modes of a vCPU
 * @from: first host TSC of each span, in cycles, in order; a span lasts until the next; owned
 * @mode: enum vcpu_mode of each span; neighbours differ; owned
 * @nr: number of spans. The mode before the first is unknown, and the last span is MODE_UNKNOWN
 * @capacity: number of spans that fit without growing
 * @guest_time, @host_time: cycles in and out of guest mode, without the last span: less than 2^64 together
 * @nr_guest: number of spans in guest mode
 */
struct vcpu_modes {
	uint64_t	*from;
	uint8_t		*mode;
	size_t		nr;
	size_t		capacity;
	uint64_t	guest_time;
	uint64_t	host_time;
	size_t		nr_guest;
};

int vcpu_modes_add(struct vcpu_modes *modes, uint64_t from, uint64_t to, enum vcpu_mode mode);
int vcpu_modes_join(struct vcpu_modes *joined, const struct vcpu_modes *a, const struct vcpu_modes *b);
size_t vcpu_modes_find(const struct vcpu_modes *modes, uint64_t host_tsc, size_t hint);
bool vcpu_modes_any_guest(const struct vcpu_modes *modes, uint64_t from, uint64_t to);
void vcpu_modes_release(struct vcpu_modes *modes);

/**
 * vcpu_modes_at - get the mode of a span
 * @modes: modes of a vCPU
 * @span: index of the span, from vcpu_modes_find()
 *
 * Returns: the span's mode, MODE_UNKNOWN for MODE_SPAN_NONE.
 */
static inline enum vcpu_mode vcpu_modes_at(const struct vcpu_modes *modes, size_t span)
{
	return span == MODE_SPAN_NONE ? MODE_UNKNOWN : modes->mode[span];
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
	if (host_tsc - modes->from[span] < *earlier)
		*earlier = host_tsc - modes->from[span];
	/* The last of all spans is unknown */
	if (modes->mode[span + 1] == MODE_HOST && modes->from[span + 1] - 1 - host_tsc < *later)
		*later = modes->from[span + 1] - 1 - host_tsc;
}

/* Cycles from the begin of the first span to that of the last */
static inline uint64_t vcpu_modes_known(const struct vcpu_modes *modes)
{
	return modes->from[modes->nr - 1] - modes->from[0];
}

#endif /* TSC_OFFSET_VCPU_MODES_H */
