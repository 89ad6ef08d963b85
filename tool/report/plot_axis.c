// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <string.h>

#include "plot_axis.h"

/* A space without a line break */
#define GROUP_SPACE	"\xc2\xa0"
#define DIGITS		40

/**
 * plot_axis_init - set up an axis for a range of values
 * @axis: result
 * @low, @high: the range; an empty one is widened
 * @from, @to: positions of its ends
 * @max_ticks: number of ticks that are legible
 */
void plot_axis_init(struct plot_axis *axis, plot_value low, plot_value high, int64_t from, int64_t to,
		    int max_ticks)
{
	static const int factors[] = { 2, 5, 10 };
	plot_value power = 1;
	size_t i = 0;

	if (high <= low)
		high = low + 1;
	*axis = (struct plot_axis) { .low = low, .high = high, .from = from, .to = to, .step = 1 };
	while ((high - low) / axis->step >= max_ticks) {
		axis->step = power * factors[i];
		if (factors[i] == 10)
			power = axis->step;
		i = (i + 1) % (sizeof(factors) / sizeof(factors[0]));
	}
}

/**
 * plot_axis_place - get the position of a value
 * @axis: the axis
 * @value: a value in its range
 *
 * Returns: the position, in units of the picture.
 */
int64_t plot_axis_place(const struct plot_axis *axis, plot_value value)
{
	return axis->from + (int64_t)((value - axis->low) * (axis->to - axis->from) /
				      (axis->high - axis->low));
}

/**
 * plot_axis_first_tick - get the value of the first tick
 * @axis: the axis
 *
 * The others follow at each step, up to the axis' end.
 *
 * Returns: the value; after the end if there is no tick.
 */
plot_value plot_axis_first_tick(const struct plot_axis *axis)
{
	plot_value tick = axis->low / axis->step * axis->step;

	return tick < axis->low ? tick + axis->step : tick;
}

/* Returns: begin of the digits in @text, which has DIGITS + 1 bytes */
static const char *digits_of(plot_value value, int at_least, char *text)
{
	unsigned __int128 rest = value < 0 ? -(unsigned __int128)value : (unsigned __int128)value;
	char *at = text + DIGITS;

	*at = '\0';
	while (rest || text + DIGITS - at < at_least) {
		*--at = (char)('0' + (int)(rest % 10));
		rest /= 10;
	}
	return at;
}

/**
 * plot_format_number - format an integer with its digits in groups of three
 * @value: the number
 * @text: result, PLOT_TEXT_SIZE bytes
 */
void plot_format_number(plot_value value, char *text)
{
	char buffer[DIGITS + 1];
	const char *digits = digits_of(value, 1, buffer);

	if (value < 0)
		*text++ = '-';
	for (size_t left = strlen(digits); left; left--) {
		*text++ = *digits++;
		if (left % 3 == 1 && left > 1)
			text = stpcpy(text, GROUP_SPACE);
	}
	*text = '\0';
}

/**
 * plot_format_decimal - format a decimal fraction
 * @value: the number, in units of the last digit
 * @digits: number of digits after the point
 * @step: the precision to show: all values are a multiple of it
 * @text: result, PLOT_TEXT_SIZE bytes
 */
void plot_format_decimal(plot_value value, int digits, plot_value step, char *text)
{
	char buffer[DIGITS + 1];

	while (digits && step % 10 == 0) {
		value /= 10;
		step /= 10;
		digits--;
	}
	if (value < 0)
		*text++ = '-';
	for (const char *at = digits_of(value, digits + 1, buffer); *at; at++) {
		if (digits && strlen(at) == (size_t)digits)
			*text++ = '.';
		*text++ = *at;
	}
	*text = '\0';
}
