/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Things of several sources in the order of time: always that of the source whose next one is the earliest, as
 * readers merge files. A source is read as it is needed; nothing is kept but its next thing.
 */
#ifndef TSC_OFFSET_TIME_MERGE_H
#define TSC_OFFSET_TIME_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct time_source - a source; a part of what its owner knows of it
 * @next: reads the next thing and sets @time; returns 1, 0 if there are no more, or a negative errno
 * @time: of the thing that was read last
 * @rank: of equal times the source that was added first
 */
struct time_source {
	int		(*next)(struct time_source *source);
	uint64_t	time;
	size_t		rank;
};

/**
 * struct time_place - a source that has a thing
 * @time: of that thing: sources lie far from each other in memory, and are compared for each thing
 * @source: the source
 */
struct time_place {
	uint64_t		time;
	struct time_source	*source;
};

/**
 * struct time_merge - the sources while they are read; all zero to begin with
 * @heap: those that have a thing, the earliest first, as a binary heap; owned
 * @nr: how many
 * @capacity: room for so many
 * @taken: the first of @heap was handed out
 */
struct time_merge {
	struct time_place	*heap;
	size_t			nr;
	size_t			capacity;
	bool			taken;
};

int time_merge_add(struct time_merge *merge, struct time_source *source);
int time_merge_next(struct time_merge *merge, struct time_source **source);
bool time_merge_has(const struct time_merge *merge, const struct time_source *source);
void time_merge_release(struct time_merge *merge);

#endif /* TSC_OFFSET_TIME_MERGE_H */
