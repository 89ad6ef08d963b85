/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The events of one CPU in one buffer of a trace.dat, in recorded order, read a few pages at a time. */
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
 * struct cpu_stream - a CPU being read
 * @dat: the file; stays open by the caller
 * @buffer: the buffer
 * @cpu: the CPU
 * @event: the last event that was read; its bytes are valid until the next read
 * @lost: this CPU dropped events between the event before and this one
 * @lost_since: with @lost: the time of the event before, 0 if there is none
 * @host: the file is a host's, whose TSC may have gone back; see cpu_stream_set_clock()
 * @times: with @host: the conversion of its times, NULL if they are unchanged
 * @run: index into @times: how often the times went back so far
 * @tsc: with @host: the time of @event as in the file
 * @at: place of the next bytes in the file
 * @left: bytes of the CPU's data from @at on
 * @chunks: with compression: number of chunks that remain
 * @pages: pages that were read; owned
 * @pages_size: bytes in use at @pages
 * @pages_from: place in the file of @pages, or of their chunk
 * @pages_capacity: bytes allocated at @pages
 * @packed: compressed data; owned
 * @packed_capacity: bytes allocated at @packed
 * @page_at: where the next page begins in @pages
 * @page: the current page
 * @nr_events: number of its events that were read
 * @nr_pages: number of pages up to and including it, with those in holes of the file
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
