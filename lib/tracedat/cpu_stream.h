/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The events that one CPU recorded into one buffer of a trace.dat, in their order, a few pages at a time. */
#ifndef TSC_OFFSET_CPU_STREAM_H
#define TSC_OFFSET_CPU_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ring_page.h"

struct host_clock;
struct host_clock_cpu;
struct trace_dat;
struct trace_dat_buffer;
struct trace_dat_cpu;

/**
 * struct cpu_stream - the events of a CPU while they are read
 * @dat: the file; the caller keeps it open
 * @buffer: the buffer
 * @cpu: the CPU
 * @event: the event that was read last; its bytes are valid until the next is read
 * @lost: events were dropped between this event and the one before it on this CPU
 * @lost_since: then the time of the one before, 0 if there is none
 * @host: it is a host's, whose TSC may have gone back; see cpu_stream_set_clock()
 * @times: then what its times become, NULL if they stay as they are
 * @run: of @times: how often its times went back up to now
 * @tsc: then the time of @event as in the file
 * @at: where in the file the next bytes are
 * @left: how many bytes of the CPU's data follow there
 * @chunks: compressed data: how many chunks follow
 * @pages: pages that were read; owned
 * @pages_size: bytes at @pages
 * @pages_from: where in the file they begin, or the chunk that they come from
 * @pages_capacity: room there
 * @packed: compressed data; owned
 * @packed_capacity: room there
 * @page_at: where in @pages the next page begins
 * @page: the page that is read
 * @nr_events: how many events of it were read
 * @nr_pages: how many there were up to and with it, those in holes of the file included
 */
struct cpu_stream {
	struct trace_dat		*dat;
	const struct trace_dat_buffer	*buffer;
	const struct trace_dat_cpu	*cpu;
	struct ring_event		event;
	bool				lost;
	uint64_t			lost_since;
	bool				host;
	const struct host_clock_cpu	*times;
	size_t				run;
	uint64_t			tsc;
	uint64_t			at;
	uint64_t			left;
	uint32_t			chunks;
	uint8_t				*pages;
	size_t				pages_size;
	uint64_t			pages_from;
	size_t				pages_capacity;
	uint8_t				*packed;
	size_t				packed_capacity;
	size_t				page_at;
	struct ring_page		page;
	uint32_t			nr_events;
	uint64_t			nr_pages;
};

int cpu_stream_open(struct cpu_stream *stream, struct trace_dat *dat,
		    const struct trace_dat_buffer *buffer, const struct trace_dat_cpu *cpu);
int cpu_stream_open_last_page(struct cpu_stream *stream, struct trace_dat *dat,
			      const struct trace_dat_buffer *buffer, const struct trace_dat_cpu *cpu);
void cpu_stream_set_clock(struct cpu_stream *stream, const struct host_clock *clock);
int cpu_stream_next(struct cpu_stream *stream);
int cpu_stream_next_page(struct cpu_stream *stream);
int cpu_stream_next_in_page(struct cpu_stream *stream);
void cpu_stream_close(struct cpu_stream *stream);

#endif /* TSC_OFFSET_CPU_STREAM_H */
