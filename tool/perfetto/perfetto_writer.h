/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* A file that the Perfetto UI opens, as a stream of tracks and of what is on them: see perfetto_trace.proto. */
#ifndef TSC_OFFSET_PERFETTO_WRITER_H
#define TSC_OFFSET_PERFETTO_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/**
 * struct perfetto_writer - a file while it is written
 * @file: where to; the caller's
 * @bytes: the packet that is written; owned
 * @capacity: room there
 * @nr_tracks: how many there are
 * @nr_unordered: things that have no place on Perfetto's clock, and were left out
 * @error: what failed first, a negative errno; nothing was written since
 */
struct perfetto_writer {
	FILE		*file;
	uint8_t		*bytes;
	size_t		capacity;
	uint64_t	nr_tracks;
	uint64_t	nr_unordered;
	int		error;
};

/**
 * struct perfetto_track - a track as it is made
 * @parent: the track that it is a part of, 0 for none
 * @name: what it is called
 * @description: more of it, NULL for none
 * @unit: of a track of a counter, what it counts; NULL for other tracks
 * @rank: its place among those of the same parent
 */
struct perfetto_track {
	uint64_t	parent;
	const char	*name;
	const char	*description;
	const char	*unit;
	int32_t		rank;
};

/**
 * struct perfetto_detail - something that is told of an instant
 * @name: what
 * @text: its value, NULL if that is a number
 * @number: the number
 */
struct perfetto_detail {
	const char	*name;
	const char	*text;
	uint64_t	number;
};

/**
 * perfetto_writer_has_time - is there such a time?
 * @ns: nanoseconds
 *
 * Returns: true if it is one of Perfetto's, which are signed. What has another one is left out.
 */
static inline bool perfetto_writer_has_time(uint64_t ns)
{
	return ns <= INT64_MAX;
}

uint64_t perfetto_writer_track(struct perfetto_writer *writer, const struct perfetto_track *track);
void perfetto_writer_begin(struct perfetto_writer *writer, uint64_t track, uint64_t ns, const char *category,
			   const char *name);
void perfetto_writer_end(struct perfetto_writer *writer, uint64_t track, uint64_t ns);
void perfetto_writer_instant(struct perfetto_writer *writer, uint64_t track, uint64_t ns, const char *category,
			     const char *name, const struct perfetto_detail *details, size_t nr_details);
void perfetto_writer_count(struct perfetto_writer *writer, uint64_t track, uint64_t ns, int64_t value);
void perfetto_writer_release(struct perfetto_writer *writer);

#endif /* TSC_OFFSET_PERFETTO_WRITER_H */
