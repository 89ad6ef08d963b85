// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>

#include "trace_dat.h"
#include "trace_stream.h"

/**
 * trace_stream_open - begin to read a buffer
 * @stream: result; to be closed in any case
 * @dat: open, for as long as the stream is
 * @buffer: one of @dat
 *
 * Returns: 0 or a negative errno, with the reason in @dat->error.
 */
int trace_stream_open(struct trace_stream *stream, struct trace_dat *dat,
		      const struct trace_dat_buffer *buffer)
{
	int ret = 0;

	*stream = (struct trace_stream) {
		.cpus = calloc(buffer->nr_cpus + 1, sizeof(*stream->cpus)),
		.heap = calloc(buffer->nr_cpus + 1, sizeof(*stream->heap)),
	};
	if (!stream->cpus || !stream->heap)
		return trace_dat_fail(dat, -ENOMEM, 0, "no memory for %zu CPUs", buffer->nr_cpus);
	for (size_t i = 0; i < buffer->nr_cpus && !ret; i++) {
		if (buffer->cpus[i].size)
			ret = cpu_stream_open(&stream->cpus[stream->nr_cpus++], dat, buffer,
					      &buffer->cpus[i]);
	}
	return ret;
}

/* Of equal times the CPU that the file has first, as readers show it */
static bool earlier(const struct cpu_stream *a, const struct cpu_stream *b)
{
	return a->event.ts != b->event.ts ? a->event.ts < b->event.ts : a < b;
}

static void sift_down(struct trace_stream *stream, size_t at)
{
	struct cpu_stream **heap = stream->heap;

	for (;;) {
		size_t child = 2 * at + 1;
		struct cpu_stream *moved = heap[at];

		if (child >= stream->nr_heap)
			return;
		if (child + 1 < stream->nr_heap && earlier(heap[child + 1], heap[child]))
			child++;
		if (!earlier(heap[child], moved))
			return;
		heap[at] = heap[child];
		heap[child] = moved;
		at = child;
	}
}

static int start(struct trace_stream *stream)
{
	stream->started = true;
	for (size_t i = 0; i < stream->nr_cpus; i++) {
		int ret = cpu_stream_next(&stream->cpus[i]);

		if (ret < 0)
			return ret;
		if (ret)
			stream->heap[stream->nr_heap++] = &stream->cpus[i];
	}
	for (size_t i = stream->nr_heap / 2; i; i--)
		sift_down(stream, i - 1);
	return 0;
}

/**
 * trace_stream_next - read the next event
 * @stream: open
 * @cpu: result: the stream of the CPU that recorded it, with the event; until the next is read
 *
 * Returns: 1, 0 if there are no more, or a negative errno with the reason in the file's error.
 */
int trace_stream_next(struct trace_stream *stream, const struct cpu_stream **cpu)
{
	int ret;

	if (!stream->started) {
		ret = start(stream);
		if (ret)
			return ret;
	} else if (stream->nr_heap) {
		ret = cpu_stream_next(stream->heap[0]);
		if (ret < 0)
			return ret;
		if (!ret)
			stream->heap[0] = stream->heap[--stream->nr_heap];
		sift_down(stream, 0);
	}
	if (!stream->nr_heap)
		return 0;
	*cpu = stream->heap[0];
	return 1;
}

/**
 * trace_stream_close - free what a stream owns
 * @stream: opened, or failed to
 */
void trace_stream_close(struct trace_stream *stream)
{
	for (size_t i = 0; i < stream->nr_cpus; i++)
		cpu_stream_close(&stream->cpus[i]);
	free(stream->cpus);
	free(stream->heap);
	*stream = (struct trace_stream) { 0 };
}
