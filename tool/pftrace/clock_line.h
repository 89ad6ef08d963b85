/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * One clock as a function of another: straight between moments at which both are known, and straight on before the
 * first and after the last. All in integers; times have CLOCK_LINE_BITS bits after the point, so that two lines one
 * after the other lose nothing of a nanosecond.
 */
#ifndef TSC_OFFSET_CLOCK_LINE_H
#define TSC_OFFSET_CLOCK_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOCK_LINE_BITS	16

/* A time with these bits; lines take those of 0 to 2^62 */
typedef __int128 line_time;

/**
 * struct clock_node - a moment
 * @from: the one clock, of any unit
 * @to: the other one
 * @broken: from here to the next node nothing is known
 */
struct clock_node {
	uint64_t	from;
	uint64_t	to;
	bool		broken;
};

/**
 * struct clock_line - a clock as a function of another
 * @nodes: @from rises from one to the next, and @to where it is not broken; owned
 * @nr: how many
 * @capacity: room there
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
