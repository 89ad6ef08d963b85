// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "array.h"
#include "merged_stream.h"

static bool earlier(const struct merged_source *a, const struct merged_source *b)
{
	return a->time != b->time ? a->time < b->time : a->rank < b->rank;
}

static void swap(struct merged_source **a, struct merged_source **b)
{
	struct merged_source *moved = *a;

	*a = *b;
	*b = moved;
}

static void sift_up(struct merged_stream *stream, size_t at)
{
	for (; at && earlier(stream->heap[at], stream->heap[(at - 1) / 2]); at = (at - 1) / 2)
		swap(&stream->heap[at], &stream->heap[(at - 1) / 2]);
}

static void sift_down(struct merged_stream *stream, size_t at)
{
	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= stream->nr)
			return;
		if (child + 1 < stream->nr && earlier(stream->heap[child + 1], stream->heap[child]))
			child++;
		if (!earlier(stream->heap[child], stream->heap[at]))
			return;
		swap(&stream->heap[child], &stream->heap[at]);
		at = child;
	}
}

/**
 * merged_stream_add - add a source
 * @stream: of which nothing was read yet
 * @source: the source; the caller's, for as long as the stream is
 *
 * Returns: 0, also if there is nothing in it, or a negative errno: the source's own, or -ENOMEM.
 */
int merged_stream_add(struct merged_stream *stream, struct merged_source *source)
{
	int ret;

	if (array_reserve(stream->heap, stream->nr, stream->capacity))
		return -ENOMEM;
	source->rank = stream->nr;
	ret = source->next(source);
	if (ret <= 0)
		return ret;
	stream->heap[stream->nr++] = source;
	sift_up(stream, stream->nr - 1);
	return 0;
}

/**
 * merged_stream_next - read the next thing
 * @stream: with its sources
 * @source: result: the source that it is of; after an error the one that failed
 *
 * Returns: 1, 0 if there are no more, or a negative errno.
 */
int merged_stream_next(struct merged_stream *stream, struct merged_source **source)
{
	if (stream->taken && stream->nr) {
		int ret = stream->heap[0]->next(stream->heap[0]);

		*source = stream->heap[0];
		if (ret < 0)
			return ret;
		if (!ret)
			stream->heap[0] = stream->heap[--stream->nr];
		sift_down(stream, 0);
	}
	stream->taken = true;
	if (!stream->nr)
		return 0;
	*source = stream->heap[0];
	return 1;
}

/**
 * merged_stream_has - is there a thing of a source that was read and not handed out, or handed out last?
 * @stream: with its sources
 * @source: one of them
 *
 * Returns: false if the source has ended.
 */
bool merged_stream_has(const struct merged_stream *stream, const struct merged_source *source)
{
	for (size_t i = 0; i < stream->nr; i++) {
		if (stream->heap[i] == source)
			return true;
	}
	return false;
}

/**
 * merged_stream_release - free what a stream owns
 * @stream: in any state
 */
void merged_stream_release(struct merged_stream *stream)
{
	free(stream->heap);
	*stream = (struct merged_stream) { 0 };
}
