/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* What is known of a vCPU's mode over all host time, in memory: for those who look at it more than once. */
#ifndef TSC_OFFSET_VCPU_MODES_H
#define TSC_OFFSET_VCPU_MODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In place of the number of a span: none */
#define MODE_SPAN_NONE SIZE_MAX

/**
 * enum vcpu_mode - what is known of a vCPU at a time
 * @MODE_UNKNOWN: nothing: events are missing, or it is before or after the host's recording
 * @MODE_GUEST: it was in guest mode
 * @MODE_HOST: it was not
 */
enum vcpu_mode {
	MODE_UNKNOWN,
	MODE_GUEST,
	MODE_HOST,
};

/**
 * struct vcpu_modes - what is known of a vCPU over all times
 * @from: first host TSC of each span, in cycles, in order; it lasts to the next one; owned
 * @mode: enum vcpu_mode of each, of which no two neighbours are the same; owned
 * @nr: how many. Before the first one nothing is known, and the last one is MODE_UNKNOWN.
 * @capacity: room for so many
 * @guest_time, @host_time: cycles in guest mode and out of it, without the last span: less than 2^64 together
 * @nr_guest: spans in guest mode
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
 * vcpu_modes_at - what is known at a time
 * @modes: of a vCPU
 * @span: the span that the time lies in, as vcpu_modes_find() gave it
 *
 * Returns: the span's mode, MODE_UNKNOWN for MODE_SPAN_NONE.
 */
static inline enum vcpu_mode vcpu_modes_at(const struct vcpu_modes *modes, size_t span)
{
	return span == MODE_SPAN_NONE ? MODE_UNKNOWN : modes->mode[span];
}

/**
 * vcpu_modes_limit - by how much can an event in guest mode be moved so that it stays in its span?
 * @modes: of its vCPU
 * @span: the span, one in guest mode
 * @host_tsc: time of the event, in it
 * @earlier: made smaller if the event cannot be moved by as many cycles to an earlier time
 * @later: the same to a later time; guest mode that ends in what is not known may go on
 */
static inline void vcpu_modes_limit(const struct vcpu_modes *modes, size_t span, uint64_t host_tsc,
				    uint64_t *earlier, uint64_t *later)
{
	if (host_tsc - modes->from[span] < *earlier)
		*earlier = host_tsc - modes->from[span];
	/* The last span of all is one of which nothing is known */
	if (modes->mode[span + 1] == MODE_HOST && modes->from[span + 1] - 1 - host_tsc < *later)
		*later = modes->from[span + 1] - 1 - host_tsc;
}

/* From the begin of the first span to that of the last, in cycles */
static inline uint64_t vcpu_modes_known(const struct vcpu_modes *modes)
{
	return modes->from[modes->nr - 1] - modes->from[0];
}

#endif /* TSC_OFFSET_VCPU_MODES_H */
