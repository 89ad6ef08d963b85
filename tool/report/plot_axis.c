// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <string.h>

#include "plot_axis.h"

/* A space that no line breaks at */
#define GROUP_SPACE	"\xc2\xa0"
#define DIGITS		40

/**
 * plot_axis_init - an axis for a range of values
 * @axis: result
 * @low, @high: the range; not empty afterwards in any case
 * @from, @to: where its ends are to be
 * @max_ticks: how many are legible
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
 * plot_axis_place - where a value lies
 * @axis: the axis
 * @value: within its range
 *
 * Returns: the place, in units of the picture.
 */
int64_t plot_axis_place(const struct plot_axis *axis, plot_value value)
{
	return axis->from + (int64_t)((value - axis->low) * (axis->to - axis->from) /
				      (axis->high - axis->low));
}

/**
 * plot_axis_first_tick - the value of the first tick
 * @axis: the axis
 *
 * The others follow step by step, up to the axis' end.
 *
 * Returns: the value; beyond the end if there is no tick.
 */
plot_value plot_axis_first_tick(const struct plot_axis *axis)
{
	plot_value tick = axis->low / axis->step * axis->step;

	return tick < axis->low ? tick + axis->step : tick;
}

/* Returns: where the digits begin in @text, which has DIGITS + 1 bytes */
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
 * plot_format_number - a whole number with its digits in groups of three
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
 * plot_format_decimal - a decimal fraction
 * @value: the number, as a whole one of the last digit's unit
 * @digits: how many of its digits stand behind the point
 * @step: how much of them is worth to be shown: what all values are a multiple of
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
