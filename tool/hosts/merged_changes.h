/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Merges the TSC offset events of several buffers of a host's file: all of them, each once. */
#ifndef TSC_OFFSET_MERGED_CHANGES_H
#define TSC_OFFSET_MERGED_CHANGES_H

#include <stddef.h>
#include <stdint.h>

#include "event.h"

struct event_ids;
struct host_clock;
struct ring_event;
struct trace_dat;
struct trace_dat_buffer;

/* Limit of buffers to merge */
#define MERGED_BUFFERS_MAX	64

/**
 * struct merged_changes - the events of several buffers
 * @events: events in the order of time, without those that repeat known values; owned
 * @nr: number of @events
 * @capacity: number of events that fit without growing
 * @counts: number of events of each of tsc_event_names, including repeats
 * @needed: bit i is set if buffer i has an event that the first buffer does not have
 */
struct merged_changes {
	struct tsc_offset_event	*events;
	size_t			nr;
	size_t			capacity;
	uint64_t		counts[NR_TSC_EVENTS];
	uint64_t		needed;
};

int offset_event_read(struct trace_dat *dat, const struct event_ids *ids, const struct tsc_offset_format *format,
		      const struct ring_event *record, struct tsc_offset_event *event);
int merged_changes_read(struct merged_changes *merged, struct trace_dat *dat, const struct host_clock *clock,
			const struct event_ids *ids, const struct trace_dat_buffer *const *buffers, size_t nr);
void merged_changes_release(struct merged_changes *merged);

#endif /* TSC_OFFSET_MERGED_CHANGES_H */
