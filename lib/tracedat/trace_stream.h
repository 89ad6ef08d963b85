/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The events of all CPUs of one buffer of a trace.dat, in the order of time. */
#ifndef TSC_OFFSET_TRACE_STREAM_H
#define TSC_OFFSET_TRACE_STREAM_H

#include <stddef.h>

#include "cpu_stream.h"
#include "time_merge.h"

struct host_clock;

struct cpu_source {
	struct time_source	source;
	struct cpu_stream	*cpu;
};

/**
 * struct trace_stream - a buffer being read
 * @cpus: one stream for each CPU with data; owned
 * @nr_cpus: number of @cpus
 * @sources: the streams as sources of @merge; owned
 * @merge: merges the streams; owned
 * @started: the first event was read
 */
struct trace_stream {
	struct cpu_stream	*cpus;
	size_t			nr_cpus;
	struct cpu_source	*sources;
	struct time_merge	merge;
	bool			started;
};

int trace_stream_open(struct trace_stream *stream, struct trace_dat *dat,
		      const struct trace_dat_buffer *buffer, const struct host_clock *clock);
int trace_stream_next(struct trace_stream *stream, const struct cpu_stream **cpu);
bool trace_stream_has_event(const struct trace_stream *stream, const struct cpu_stream *cpu);
void trace_stream_close(struct trace_stream *stream);

#endif /* TSC_OFFSET_TRACE_STREAM_H */
