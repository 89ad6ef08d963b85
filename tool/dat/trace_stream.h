/* SPDX-License-Identifier: GPL-2.0 */
/* The events of all CPUs of one buffer of a trace.dat, in the order of time. */
#ifndef TSC_OFFSET_TRACE_STREAM_H
#define TSC_OFFSET_TRACE_STREAM_H

#include <stddef.h>

#include "cpu_stream.h"

/**
 * struct trace_stream - a buffer while it is read
 * @cpus: one stream for each CPU with data; owned
 * @nr_cpus: how many
 * @heap: those that have an event, the earliest first, as a binary heap; owned
 * @nr_heap: how many
 * @started: the first event was read
 */
struct trace_stream {
	struct cpu_stream	*cpus;
	size_t			nr_cpus;
	struct cpu_stream	**heap;
	size_t			nr_heap;
	bool			started;
};

int trace_stream_open(struct trace_stream *stream, struct trace_dat *dat,
		      const struct trace_dat_buffer *buffer);
int trace_stream_next(struct trace_stream *stream, const struct cpu_stream **cpu);
void trace_stream_close(struct trace_stream *stream);

#endif /* TSC_OFFSET_TRACE_STREAM_H */
