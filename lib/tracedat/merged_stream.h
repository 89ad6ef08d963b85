/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Things of several sources in the order of time: always that of the source whose next one is the earliest, as
 * readers merge files. A source is read as it is needed; nothing is kept but its next thing.
 */
#ifndef TSC_OFFSET_MERGED_STREAM_H
#define TSC_OFFSET_MERGED_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct merged_source - a source; a part of what its owner knows of it
 * @next: reads the next thing and sets @time; returns 1, 0 if there are no more, or a negative errno
 * @time: of the thing that was read last
 * @rank: of equal times the source that was added first
 */
struct merged_source {
	int		(*next)(struct merged_source *source);
	uint64_t	time;
	size_t		rank;
};

/**
 * struct merged_stream - the sources while they are read; all zero to begin with
 * @heap: those that have a thing, the earliest first, as a binary heap; owned
 * @nr: how many
 * @capacity: room for so many
 * @taken: the first of @heap was handed out
 */
struct merged_stream {
	struct merged_source	**heap;
	size_t			nr;
	size_t			capacity;
	bool			taken;
};

int merged_stream_add(struct merged_stream *stream, struct merged_source *source);
int merged_stream_next(struct merged_stream *stream, struct merged_source **source);
bool merged_stream_has(const struct merged_stream *stream, const struct merged_source *source);
void merged_stream_release(struct merged_stream *stream);

#endif /* TSC_OFFSET_MERGED_STREAM_H */
