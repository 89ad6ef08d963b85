// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "trace_dat.h"
#include "trace_stream.h"

/**
 * trace_stream_open - open a buffer
 * @stream: result; must be closed in any case
 * @dat: the open file; must stay open
 * @buffer: a buffer of @dat
 * @clock: clock of the host that recorded it, NULL for times as in the file
 *
 * Returns: 0 or a negative errno, with the reason in @dat->error.
 */
int trace_stream_open(struct trace_stream *stream, struct trace_dat *dat,
		      const struct trace_dat_buffer *buffer, const struct host_clock *clock)
{
	int ret = 0;

	*stream = (struct trace_stream) {
		.cpus = calloc(buffer->nr_cpus + 1, sizeof(*stream->cpus)),
		.sources = calloc(buffer->nr_cpus + 1, sizeof(*stream->sources)),
	};
	if (!stream->cpus || !stream->sources)
		return trace_dat_refuse(dat, -ENOMEM, "no memory for %zu CPUs", buffer->nr_cpus);
	for (size_t i = 0; i < buffer->nr_cpus && !ret; i++) {
		struct cpu_stream *cpu = &stream->cpus[stream->nr_cpus];

		if (!buffer->cpus[i].size)
			continue;
		ret = cpu_stream_open(cpu, dat, buffer, &buffer->cpus[i]);
		if (clock)
			cpu_stream_set_clock(cpu, clock);
		stream->nr_cpus++;
	}
	return ret;
}

static int next_event(struct time_source *source)
{
	struct cpu_stream *cpu = ((struct cpu_source *)source)->cpu;
	int ret = cpu_stream_next(cpu);

	source->time = cpu->event.ts;
	return ret;
}

/* Sources are added in the order of the file, which readers use for equal times */
static int start(struct trace_stream *stream)
{
	int ret = 0;

	stream->started = true;
	for (size_t i = 0; i < stream->nr_cpus && !ret; i++) {
		stream->sources[i] = (struct cpu_source) { .source.next = next_event, .cpu = &stream->cpus[i] };
		ret = time_merge_add(&stream->merge, &stream->sources[i].source);
	}
	return ret;
}

/**
 * trace_stream_next - read the next event
 * @stream: the open stream
 * @cpu: result: the stream of the event's CPU, with the event; valid until the next read
 *
 * Returns: 1, 0 if there are no more, or a negative errno with the reason in the file's error.
 */
int trace_stream_next(struct trace_stream *stream, const struct cpu_stream **cpu)
{
	struct time_source *source;
	int ret = stream->started ? 0 : start(stream);

	if (!ret)
		ret = time_merge_next(&stream->merge, &source);
	if (ret > 0)
		*cpu = ((struct cpu_source *)source)->cpu;
	return ret;
}

/**
 * trace_stream_has_event - does a CPU have an event that was not returned, or was returned last?
 * @stream: a stream after its first read
 * @cpu: one of its CPUs
 *
 * Returns: false if the CPU's data have ended.
 */
bool trace_stream_has_event(const struct trace_stream *stream, const struct cpu_stream *cpu)
{
	return time_merge_has(&stream->merge, &stream->sources[cpu - stream->cpus].source);
}

/**
 * trace_stream_close - free a stream
 * @stream: the stream, also after a failed open
 */
void trace_stream_close(struct trace_stream *stream)
{
	for (size_t i = 0; i < stream->nr_cpus; i++)
		cpu_stream_close(&stream->cpus[i]);
	free(stream->cpus);
	free(stream->sources);
	time_merge_release(&stream->merge);
	*stream = (struct trace_stream) { 0 };
}
