// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "any.h"
#include "array.h"
#include "time_merge.h"

static bool earlier(const struct time_place *a, const struct time_place *b)
{
	return a->time != b->time ? a->time < b->time : a->source->rank < b->source->rank;
}

/* Both begin with a free place, and move others into it until the place of @moved is free */
static void sift_up(struct time_merge *merge, size_t at, struct time_place moved)
{
	for (; at && earlier(&moved, &merge->heap[(at - 1) / 2]); at = (at - 1) / 2)
		merge->heap[at] = merge->heap[(at - 1) / 2];
	merge->heap[at] = moved;
}

static void sift_down(struct time_merge *merge, size_t at, struct time_place moved)
{
	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= merge->nr)
			break;
		if (child + 1 < merge->nr && earlier(&merge->heap[child + 1], &merge->heap[child]))
			child++;
		if (!earlier(&merge->heap[child], &moved))
			break;
		merge->heap[at] = merge->heap[child];
		at = child;
	}
	merge->heap[at] = moved;
}

/**
 * time_merge_add - add a source
 * @merge: a merge before its first read
 * @source: the source; not owned, must stay valid while @merge is used
 *
 * Returns: 0, also for an empty source, or a negative errno: the source's own, or -ENOMEM.
 */
int time_merge_add(struct time_merge *merge, struct time_source *source)
{
	int ret;

	if (array_reserve(merge->heap, merge->nr, merge->capacity))
		return -ENOMEM;
	source->rank = merge->nr;
	ret = source->next(source);
	if (ret <= 0)
		return ret;
	sift_up(merge, merge->nr++, (struct time_place) { source->time, source });
	return 0;
}

/**
 * time_merge_next - read the next element
 * @merge: the merge, with its sources
 * @source: result: the source of the element; after an error, the one that failed
 *
 * Returns: 1, 0 at the end, or a negative errno.
 */
int time_merge_next(struct time_merge *merge, struct time_source **source)
{
	if (merge->taken && merge->nr) {
		struct time_place first = merge->heap[0];
		int ret = first.source->next(first.source);

		*source = first.source;
		if (ret < 0)
			return ret;
		first.time = first.source->time;
		sift_down(merge, 0, ret ? first : merge->heap[--merge->nr]);
	}
	merge->taken = true;
	if (!merge->nr)
		return 0;
	*source = merge->heap[0].source;
	return 1;
}

/**
 * time_merge_has - does a source have an element that was not returned, or was returned last?
 * @merge: the merge, with its sources
 * @source: one of its sources
 *
 * Returns: false if the source has ended.
 */
bool time_merge_has(const struct time_merge *merge, const struct time_source *source)
{
	return any_of(i, merge->nr, merge->heap[i].source == source);
}

/**
 * time_merge_release - free a merge
 * @merge: the merge, in any state
 */
void time_merge_release(struct time_merge *merge)
{
	free(merge->heap);
	*merge = (struct time_merge) { 0 };
}
