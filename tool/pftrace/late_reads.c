// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stdlib.h>

#include "late_reads.h"

/* Two always lie on a line */
#define MIN_READS	3

/* Is b on or above the straight line from a to c? */
static bool not_below(const struct late_read *a, const struct late_read *b, const struct late_read *c)
{
	return (__int128)(b->tsc - a->tsc) * (__int128)(c->raw - a->raw) >=
	       (__int128)(c->tsc - a->tsc) * (__int128)(b->raw - a->raw);
}

static __int128 above(const struct late_read *from, const struct late_read *to, const struct late_read *read)
{
	__int128 after = (__int128)read->raw - (__int128)from->raw;

	return (__int128)read->tsc - (__int128)from->tsc -
	       after * (__int128)(to->tsc - from->tsc) / (__int128)(to->raw - from->raw);
}

/* The line below all readings that is nearest to them: an edge of their lower hull, in their middle */
static bool find_line(const struct late_read *reads, size_t nr, struct late_read *from, struct late_read *to)
{
	struct late_read *hull = calloc(nr, sizeof(*hull));
	unsigned __int128 sum = 0;
	size_t size = 0, i = 0;

	if (!hull)
		return false;
	for (size_t j = 0; j < nr; j++) {
		while (size >= 2 && not_below(&hull[size - 2], &hull[size - 1], &reads[j]))
			size--;
		hull[size++] = reads[j];
		sum += reads[j].raw;
	}
	while (i + 2 < size && hull[i + 1].raw < sum / nr)
		i++;
	*from = hull[i];
	*to = hull[i + 1];
	free(hull);
	return true;
}

/**
 * late_reads_correct - correct late readings of the TSC
 * @reads: snapshots in the order of time; updated
 * @nr: number of @reads
 * @limit: in cycles: a larger delay has another cause, and nothing is changed
 * @latest: result: the largest delay, in cycles; 0 if nothing was changed
 *
 * Returns: false if it is undecided: there are too few, a clock went back, or a delay is too large.
 */
bool late_reads_correct(struct late_read *reads, size_t nr, uint64_t limit, uint64_t *latest)
{
	struct late_read from, to;

	*latest = 0;
	for (size_t i = 1; i < nr; i++) {
		if (reads[i].raw <= reads[i - 1].raw || reads[i].tsc <= reads[i - 1].tsc)
			return false;
	}
	if (nr < MIN_READS || !find_line(reads, nr, &from, &to))
		return false;
	for (size_t i = 0; i < nr; i++) {
		__int128 late = above(&from, &to, &reads[i]);

		if (late > (__int128)limit)
			return false;
	}
	for (size_t i = 0; i < nr; i++) {
		__int128 late = above(&from, &to, &reads[i]);

		if (late > (__int128)*latest)
			*latest = (uint64_t)late;
		reads[i].tsc -= (uint64_t)late;
	}
	return true;
}
