/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* What is known of a vCPU's mode over all host time, in memory: for those who look at it more than once. */
#ifndef TSC_OFFSET_SHIFT_SPANS_H
#define TSC_OFFSET_SHIFT_SPANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In place of the number of a span: none */
#define SHIFT_SPAN_NONE SIZE_MAX

/**
 * enum shift_mode - what is known of a vCPU at a time
 * @SHIFT_FREE: nothing
 * @SHIFT_GUEST: it was in guest mode
 * @SHIFT_HOST: it was not
 */
enum shift_mode {
	SHIFT_FREE,
	SHIFT_GUEST,
	SHIFT_HOST,
};

/**
 * struct shift_spans - what is known of a vCPU over all times
 * @from: first host TSC of each span, in cycles, in order; it lasts to the next one; owned
 * @mode: enum shift_mode of each, of which no two neighbours are the same; owned
 * @nr: how many. Before the first one nothing is known, and the last one is SHIFT_FREE.
 * @capacity: room for so many
 * @guest_time, @host_time: cycles in guest mode and out of it, without the last span: less than 2^64 together
 * @nr_guest: spans in guest mode
 */
struct shift_spans {
	uint64_t	*from;
	uint8_t		*mode;
	size_t		nr;
	size_t		capacity;
	uint64_t	guest_time;
	uint64_t	host_time;
	size_t		nr_guest;
};

int shift_spans_add(struct shift_spans *spans, uint64_t from, uint64_t to, enum shift_mode mode);
int shift_spans_join(struct shift_spans *joined, const struct shift_spans *a, const struct shift_spans *b);
size_t shift_spans_find(const struct shift_spans *spans, uint64_t host_tsc, size_t hint);
bool shift_spans_any_guest(const struct shift_spans *spans, uint64_t from, uint64_t to);
void shift_spans_release(struct shift_spans *spans);

/**
 * shift_spans_mode - what is known at a time
 * @spans: of a vCPU
 * @span: the span that the time lies in, as shift_spans_find() gave it
 *
 * Returns: the span's mode, SHIFT_FREE for SHIFT_SPAN_NONE.
 */
static inline enum shift_mode shift_spans_mode(const struct shift_spans *spans, size_t span)
{
	return span == SHIFT_SPAN_NONE ? SHIFT_FREE : spans->mode[span];
}

/* From the begin of the first span to that of the last, in cycles */
static inline uint64_t shift_spans_known(const struct shift_spans *spans)
{
	return spans->from[spans->nr - 1] - spans->from[0];
}

#endif /* TSC_OFFSET_SHIFT_SPANS_H */
