/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Merges several sources in the order of time, as readers merge files: the next element is always the earliest of all
 * sources. Sources are read as needed; only the next element of each is kept.
 */
#ifndef TSC_OFFSET_TIME_MERGE_H
#define TSC_OFFSET_TIME_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct time_source - a source; embedded in its owner's structure
 * @next: reads the next element and sets @time; returns 1, 0 at the end, or a negative errno
 * @time: time of the last element that was read
 * @rank: of equal times, the source that was added first is first
 */
struct time_source {
	int		(*next)(struct time_source *source);
	uint64_t	time;
	size_t		rank;
};

/**
 * struct time_place - a source that has an element
 * @time: time of that element. A copy, because sources are scattered in memory and are compared for each element
 * @source: the source
 */
struct time_place {
	uint64_t		time;
	struct time_source	*source;
};

/**
 * struct time_merge - the sources being merged; all zeros at first
 * @heap: sources that have an element, as a binary heap with the earliest first; owned
 * @nr: number of sources in @heap
 * @capacity: number of sources that fit without growing
 * @taken: the first element of @heap was returned
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
