// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chunk.h"
#include "cpu_stream.h"
#include "host_clock.h"
#include "trace_dat.h"

/* Bytes of a read of uncompressed data, less with many CPUs; one page if that is larger */
#define READ_SIZE	(64UL << 10)
#define READ_SIZE_MANY	(8UL << 10)
#define MANY_CPUS	512
/* Compressed chunks are included: two streams of 2048 CPUs with pages of 4 KiB need less */
#define MAX_STREAM_BYTES	(256UL << 20)

/**
 * cpu_stream_open - open a CPU's events
 * @stream: result; must be closed in any case
 * @dat: the open file; must stay open
 * @buffer: a buffer of @dat
 * @cpu: a CPU of @buffer
 *
 * Returns: 0 or a negative errno, with the reason in @dat->error.
 */
int cpu_stream_open(struct cpu_stream *stream, struct trace_dat *dat,
		    const struct trace_dat_buffer *buffer, const struct trace_dat_cpu *cpu)
{
	int ret;

	*stream = (struct cpu_stream) {
		.dat = dat, .buffer = buffer, .cpu = cpu, .at = cpu->offset, .left = cpu->size
	};
	if (!buffer->compressed || !cpu->size)
		return 0;
	/* trace-cmd does not include the number of chunks in the data's size */
	ret = trace_dat_read(dat, cpu->offset, &stream->chunks, sizeof(stream->chunks));
	stream->at += sizeof(stream->chunks);
	return ret;
}

/**
 * cpu_stream_open_last_page - open the last page of a CPU's events
 * @stream: result; must be closed in any case
 * @dat: the open file; must stay open
 * @buffer: a buffer of @dat
 * @cpu: a CPU of @buffer
 *
 * Reads one page of files of any size. In compressed data the last page can be found only by reading all before it.
 *
 * Returns: 0, -ENOTSUP if the data are compressed, or another negative errno with the reason in @dat->error.
 */
int cpu_stream_open_last_page(struct cpu_stream *stream, struct trace_dat *dat,
			      const struct trace_dat_buffer *buffer, const struct trace_dat_cpu *cpu)
{
	uint64_t before;
	int ret;

	ret = cpu_stream_open(stream, dat, buffer, cpu);
	if (ret || buffer->compressed)
		return ret ? ret : -ENOTSUP;
	before = stream->left ? (stream->left - 1) / buffer->page_size * buffer->page_size : 0;
	stream->at += before;
	stream->left -= before;
	return 0;
}

static int ensure_room(struct cpu_stream *stream, uint8_t **bytes, size_t *capacity, size_t size)
{
	if (size > *capacity) {
		/* Discard the old contents */
		free(*bytes);
		stream->dat->stream_bytes -= *capacity;
		*bytes = NULL;
		*capacity = 0;
		if (size > MAX_STREAM_BYTES - stream->dat->stream_bytes)
			return trace_dat_fail(stream->dat, -EBADMSG, stream->at,
					      "its CPUs need more than %lu MiB of memory", MAX_STREAM_BYTES >> 20);
		*bytes = malloc(size);
		*capacity = *bytes ? size : 0;
		stream->dat->stream_bytes += *capacity;
	}
	return *bytes ? 0 : trace_dat_fail(stream->dat, -ENOMEM, stream->at, "no memory for %zu bytes",
					   size);
}

/* Place in the file of a byte in the pages; in compressed data the place of the chunk */
static uint64_t place(const struct cpu_stream *stream, const uint8_t *bytes)
{
	return stream->pages_from + (stream->buffer->compressed ? 0 : bytes - stream->pages);
}

/* Pages in a hole of the file are zeros and have no events. A hole may have terabytes. */
static int skip_hole(struct cpu_stream *stream)
{
	size_t page_size = stream->buffer->page_size;
	off_t data = lseek(stream->dat->fd, (off_t)stream->at, SEEK_DATA);
	uint64_t hole = data < 0 ? 0 : (uint64_t)data - stream->at;
	char last;

	if ((data < 0 && errno == ENXIO) || hole > stream->left)
		hole = stream->left;
	hole -= hole % page_size;
	stream->at += hole;
	stream->left -= hole;
	stream->nr_pages += hole / page_size;
	/* A truncated file looks the same */
	return hole ? trace_dat_read(stream->dat, stream->at - 1, &last, sizeof(last)) : 0;
}

static int read_pages(struct cpu_stream *stream)
{
	size_t page_size = stream->buffer->page_size;
	size_t size = stream->buffer->nr_cpus > MANY_CPUS ? READ_SIZE_MANY : READ_SIZE;
	int ret = skip_hole(stream);

	if (ret || !stream->left)
		return ret;
	size = size < page_size ? page_size : size - size % page_size;
	if (size > stream->left)
		size = stream->left - stream->left % page_size;
	if (!size)
		return trace_dat_fail(stream->dat, -EBADMSG, stream->at, "incomplete page");
	ret = ensure_room(stream, &stream->pages, &stream->pages_capacity, size);
	if (!ret)
		ret = trace_dat_read(stream->dat, stream->at, stream->pages, size);
	stream->pages_size = size;
	stream->pages_from = stream->at;
	stream->at += size;
	stream->left -= size;
	return ret;
}

static int read_chunk(struct cpu_stream *stream)
{
	struct chunk_sizes sizes;
	int ret = chunk_read_sizes(stream->dat, stream->buffer, stream->cpu, stream->at, &sizes);

	if (!ret)
		ret = ensure_room(stream, &stream->packed, &stream->packed_capacity, sizes.packed + 1UL);
	if (!ret)
		ret = ensure_room(stream, &stream->pages, &stream->pages_capacity, sizes.unpacked + 1UL);
	if (!ret)
		ret = chunk_read(stream->dat, stream->at, &sizes, stream->packed, stream->pages);
	if (ret)
		return ret;
	stream->pages_size = sizes.unpacked;
	stream->pages_from = stream->at;
	stream->at += sizeof(sizes) + sizes.packed;
	stream->left -= sizeof(sizes) + sizes.packed;
	stream->chunks--;
	return 0;
}

/* Many streams may be open, and most of them may have ended long ago */
static void free_pages(struct cpu_stream *stream)
{
	if (!stream->dat)
		return;
	stream->dat->stream_bytes -= stream->pages_capacity + stream->packed_capacity;
	free(stream->pages);
	free(stream->packed);
	stream->pages = NULL;
	stream->packed = NULL;
	stream->pages_capacity = stream->packed_capacity = 0;
	stream->pages_size = stream->page_at = 0;
	stream->page = (struct ring_page) { 0 };
}

/**
 * cpu_stream_next_page - advance to the next page
 * @stream: the open stream
 *
 * For callers that need pages: cpu_stream_next_in_page() then returns the page's events.
 *
 * Returns: 1 with the page in @stream, 0 if there are no more, or a negative errno with the reason in the file's error.
 */
int cpu_stream_next_page(struct cpu_stream *stream)
{
	size_t page_size = stream->buffer->page_size;
	int ret = 0;

	while (stream->page_at == stream->pages_size && !ret) {
		if (stream->buffer->compressed ? !stream->chunks : !stream->left) {
			free_pages(stream);
			return 0;
		}
		stream->page_at = 0;
		stream->pages_size = 0;
		ret = stream->buffer->compressed ? read_chunk(stream) : read_pages(stream);
	}
	if (ret)
		return ret;
	ret = ring_page_open(&stream->page, stream->pages + stream->page_at, page_size,
			     stream->dat->long_size);
	if (ret)
		return trace_dat_fail(stream->dat, ret, place(stream, stream->pages + stream->page_at),
				      "a page of CPU %u is damaged", stream->cpu->cpu);
	stream->page_at += page_size;
	stream->nr_events = 0;
	stream->nr_pages++;
	return 1;
}

/**
 * cpu_stream_next_in_page - read the next event of the page
 * @stream: the open stream
 *
 * Returns: 1 with the event in @stream, as in the page; 0 if the page has no more, or a negative errno with the reason
 * in the file's error.
 */
int cpu_stream_next_in_page(struct cpu_stream *stream)
{
	int ret = ring_page_next(&stream->page, &stream->event);

	stream->nr_events += ret > 0;
	return ret >= 0 ? ret : trace_dat_fail(stream->dat, ret, place(stream, stream->page.data + stream->page.at),
					       "an event of CPU %u is damaged", stream->cpu->cpu);
}

/**
 * cpu_stream_set_clock - convert the times of a host whose TSC may have gone back
 * @stream: a stream that was just opened
 * @clock: the host's clock; must be valid while @stream is open
 *
 * Times are those of @clock afterwards. If the TSC went back within a page, the times of the later events of the page
 * are unknown: these events count as lost.
 */
void cpu_stream_set_clock(struct cpu_stream *stream, const struct host_clock *clock)
{
	stream->host = true;
	stream->times = host_clock_went_back(clock) ? host_clock_cpu(clock, stream->cpu) : NULL;
}

static void lose(struct cpu_stream *stream, uint64_t since)
{
	stream->lost = true;
	stream->lost_since = since;
}

static void set_time(struct cpu_stream *stream)
{
	if (stream->event.ts < stream->tsc)
		stream->run++;
	stream->tsc = stream->event.ts;
	stream->event.ts += stream->times->added[stream->run];
}

static int next_event(struct cpu_stream *stream)
{
	uint64_t before = stream->event.ts;

	stream->lost = false;
	for (;;) {
		int ret = cpu_stream_next_in_page(stream);

		if (ret < 0)
			return ret;
		if (ret && stream->host && stream->page.late) {
			lose(stream, before);
			continue;
		}
		if (ret && stream->times)
			set_time(stream);
		if (ret)
			return 1;
		ret = cpu_stream_next_page(stream);
		if (ret <= 0)
			return ret;
		if (stream->page.lost)
			lose(stream, before);
	}
}

/**
 * cpu_stream_next - read the next event
 * @stream: the open stream
 *
 * Returns: 1 with the event in @stream, 0 if there are no more, or a negative errno with the reason in the file's
 * error. An error ends the stream.
 */
int cpu_stream_next(struct cpu_stream *stream)
{
	int ret = next_event(stream);

	if (ret < 0) {
		stream->left = 0;
		stream->chunks = 0;
		free_pages(stream);
	}
	return ret;
}

/**
 * cpu_stream_close - free a stream
 * @stream: the stream, also after a failed open
 */
void cpu_stream_close(struct cpu_stream *stream)
{
	free_pages(stream);
}
