// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "array.h"
#include "clock_line.h"
#include "order.h"

/* Limit of values and of their differences: with CLOCK_LINE_BITS, their product has less than 127 bits */
#define MAX_TIME	(1ULL << 62)
#define MAX_STEP	(1ULL << 50)

/* Limit of steps considered for the extension of a line after its end */
#define MAX_END		32

/**
 * clock_line_add - add a node after the last one
 * @line: the line, all zeros at first
 * @from, @to: as in struct clock_node
 * @broken: as in struct clock_node
 *
 * Returns: 0, -ERANGE if a clock does not increase or is out of range, or -ENOMEM.
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
 * clock_line_usable - does a line have any known part?
 * @line: the line
 *
 * Returns: true if it has one between at least two nodes.
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
 * The part of a line for its extension: as long as the extension, if known for that long, because two close readings
 * are poor evidence of the rate of a clock.
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
 * clock_line_at - convert a time of the first clock into one of the second
 * @line: the line
 * @from: the time
 * @to: result
 *
 * Returns: false if it is unknown.
 */
bool clock_line_at(const struct clock_line *line, line_time from, line_time *to)
{
	size_t i = first_where(j, line->nr, line_time_of(line->nodes[j].from) > from);
	const struct clock_node *node;
	size_t first, last;
	line_time ahead;

	/* The node before; for times outside, the first and the last but one */
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
 * @line: a line with at least two nodes
 * @from: the time
 *
 * Returns: false if it is before the first or after the last.
 */
bool clock_line_inside(const struct clock_line *line, line_time from)
{
	return from >= line_time_of(line->nodes[0].from) && from <= line_time_of(line->nodes[line->nr - 1].from);
}

/**
 * clock_line_bend - get the largest bend of a line
 * @line: the line
 * @bend: result: largest distance of a node from the straight line between its neighbours, by the second clock
 *
 * A clock that is slewed in between, or that was read late, bends the line by as much as it may be wrong between nodes.
 *
 * Returns: false if there are not three nodes in a row.
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
 * clock_line_release - free a line
 * @line: the line, in any state; empty afterwards
 */
void clock_line_release(struct clock_line *line)
{
	free(line->nodes);
	*line = (struct clock_line) { 0 };
}
