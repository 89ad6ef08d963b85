/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The axis of a plot: the positions of values and ticks, in integers. */
#ifndef TSC_OFFSET_PLOT_AXIS_H
#define TSC_OFFSET_PLOT_AXIS_H

#include <stdint.h>

/* Wide enough for the difference of any two numbers of 64 bits, and for nanoseconds of any TSC */
typedef __int128 plot_value;

/* Room for the text of any value with separators, sign and terminator */
#define PLOT_TEXT_SIZE	128

/**
 * struct plot_axis - an axis
 * @low, @high: values at its ends, @low less than @high
 * @from, @to: positions of @low and @high, in units of the picture
 * @step: distance of ticks: 1, 2 or 5 times a power of ten
 */
struct plot_axis {
	plot_value	low;
	plot_value	high;
	int64_t		from;
	int64_t		to;
	plot_value	step;
};

void plot_axis_init(struct plot_axis *axis, plot_value low, plot_value high, int64_t from, int64_t to,
		    int max_ticks);
int64_t plot_axis_place(const struct plot_axis *axis, plot_value value);
plot_value plot_axis_first_tick(const struct plot_axis *axis);
void plot_format_number(plot_value value, char *text);
void plot_format_decimal(plot_value value, int digits, plot_value step, char *text);

#endif /* TSC_OFFSET_PLOT_AXIS_H */
