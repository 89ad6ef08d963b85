// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "array.h"
#include "clock_line.h"
#include "order.h"

/* Values of nodes, and between two of them: with CLOCK_LINE_BITS their product has less than 127 bits */
#define MAX_TIME	(1ULL << 62)
#define MAX_STEP	(1ULL << 50)

/* Steps that are looked at where a line goes on after its end */
#define MAX_END		32

/**
 * clock_line_add - add a node after the last one
 * @line: the line, all zeros at first
 * @from, @to: as struct clock_node has them
 * @broken: likewise
 *
 * Returns: 0, -ERANGE if a clock does not rise or is not one that can be computed with, or -ENOMEM.
 */
int clock_line_add(struct clock_line *line, uint64_t from, uint64_t to, bool broken)
{
	const struct clock_node *last = line->nr ? &line->nodes[line->nr - 1] : NULL;

	if (from > MAX_TIME || to > MAX_TIME || (last && (from <= last->from || (to <= last->to && !last->broken))))
		return -ERANGE;
	if (array_reserve(line->nodes, line->nr, line->capacity))
		return -ENOMEM;
	line->nodes[line->nr++] = (struct clock_node) { from, to, broken };
	return 0;
}

static bool known_after(const struct clock_line *line, size_t i)
{
	const struct clock_node *node;

	if (i + 1 >= line->nr)
		return false;
	node = &line->nodes[i];
	return !node->broken && node[1].from - node->from <= MAX_STEP && node[1].to - node->to <= MAX_STEP;
}

/**
 * clock_line_usable - is anything known?
 * @line: the line
 *
 * Returns: true if it is, between two nodes at least.
 */
bool clock_line_usable(const struct clock_line *line)
{
	for (size_t i = 0; i < line->nr; i++) {
		if (known_after(line, i))
			return true;
	}
	return false;
}

/*
 * The part of a line that goes on where it ends: as long as it is to go on, if it is known for so long, as two readings
 * that are near to each other say little of how fast a clock runs.
 */
static void find_end(const struct clock_line *line, line_time ahead, size_t *first, size_t *last)
{
	bool before = ahead < 0;

	ahead = before ? -ahead : ahead;
	for (size_t i = 0; i < MAX_END; i++) {
		if (line_time_of(line->nodes[*last].from - line->nodes[*first].from) >= ahead)
			return;
		if (before && known_after(line, *last))
			++*last;
		else if (!before && *first && known_after(line, *first - 1))
			--*first;
		else
			return;
	}
}

/**
 * clock_line_at - a time of the one clock as one of the other
 * @line: the line
 * @from: the one
 * @to: result
 *
 * Returns: false if it is not known.
 */
bool clock_line_at(const struct clock_line *line, line_time from, line_time *to)
{
	size_t i = first_where(j, line->nr, line_time_of(line->nodes[j].from) > from);
	const struct clock_node *node;
	size_t first, last;
	line_time ahead;

	/* The node before, or the first and the last but one for times outside */
	first = i ? i - 1 : 0;
	if (first + 1 >= line->nr && first)
		first--;
	if (!known_after(line, first))
		return false;
	last = first + 1;
	node = &line->nodes[i == line->nr ? last : first];
	ahead = from - line_time_of(node->from);
	if (ahead > line_time_of(MAX_STEP) || -ahead > line_time_of(MAX_STEP))
		return false;
	if (!i || i == line->nr)
		find_end(line, ahead, &first, &last);
	*to = line_time_of(node->to) + ahead * (line_time)(line->nodes[last].to - line->nodes[first].to) /
	      (line_time)(line->nodes[last].from - line->nodes[first].from);
	return true;
}

/**
 * clock_line_inside - is a time between two nodes?
 * @line: the line, of two nodes at least
 * @from: the time
 *
 * Returns: false if it is before the first or after the last.
 */
bool clock_line_inside(const struct clock_line *line, line_time from)
{
	return from >= line_time_of(line->nodes[0].from) && from <= line_time_of(line->nodes[line->nr - 1].from);
}

/**
 * clock_line_bend - by how much a line is not straight
 * @line: the line
 * @bend: result: how far a node is from the straight line between its neighbours at most, by the other clock
 *
 * A clock that is slewed in between, or that was read late, bends the line by as much as it may be wrong between nodes.
 *
 * Returns: false if there are no three nodes in a row.
 */
bool clock_line_bend(const struct clock_line *line, uint64_t *bend)
{
	bool found = false;

	*bend = 0;
	for (size_t i = 1; i + 1 < line->nr; i++) {
		const struct clock_node *before = &line->nodes[i - 1], *node = &line->nodes[i], *after = node + 1;
		line_time straight, off;

		if (!known_after(line, i - 1) || !known_after(line, i))
			continue;
		straight = (line_time)before->to + (line_time)(node->from - before->from) *
			   (line_time)(after->to - before->to) / (line_time)(after->from - before->from);
		off = straight - (line_time)node->to;
		off = off < 0 ? -off : off;
		if (off > *bend)
			*bend = (uint64_t)off;
		found = true;
	}
	return found;
}

/**
 * clock_line_release - free what a line owns
 * @line: in any state; empty then
 */
void clock_line_release(struct clock_line *line)
{
	free(line->nodes);
	*line = (struct clock_line) { 0 };
}
