/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * One clock as a function of another: linear between moments at which both are known, and extended before the first and
 * after the last. Uses integers only; times have CLOCK_LINE_BITS fraction bits, so that two lines in sequence keep the
 * precision of a nanosecond.
 */
#ifndef TSC_OFFSET_CLOCK_LINE_H
#define TSC_OFFSET_CLOCK_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOCK_LINE_BITS	16

/* A time with these fraction bits; lines take times from 0 to 2^62 */
typedef __int128 line_time;

/**
 * struct clock_node - a moment at which both clocks are known
 * @from: the first clock, in any unit
 * @to: the second clock
 * @broken: the function is unknown from here to the next node
 */
struct clock_node {
	uint64_t	from;
	uint64_t	to;
	bool		broken;
};

/**
 * struct clock_line - a clock as a function of another
 * @nodes: nodes with increasing @from, and with increasing @to where not broken; owned
 * @nr: number of @nodes
 * @capacity: number of nodes that fit without growing
 */
struct clock_line {
	struct clock_node	*nodes;
	size_t			nr;
	size_t			capacity;
};

static inline line_time line_time_of(uint64_t time)
{
	return (line_time)time << CLOCK_LINE_BITS;
}

int clock_line_add(struct clock_line *line, uint64_t from, uint64_t to, bool broken);
bool clock_line_usable(const struct clock_line *line);
bool clock_line_at(const struct clock_line *line, line_time from, line_time *to);
bool clock_line_inside(const struct clock_line *line, line_time from);
bool clock_line_bend(const struct clock_line *line, uint64_t *bend);
void clock_line_release(struct clock_line *line);

#endif /* TSC_OFFSET_CLOCK_LINE_H */
