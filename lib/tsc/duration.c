// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stddef.h>
#include <stdio.h>

#include "duration.h"

typedef unsigned __int128 u128;

/**
 * tsc_duration - format cycles as a duration
 * @duration: room for the text
 * @cycles: cycles, possibly negative
 * @khz: cycles per millisecond, not 0
 *
 * The unit leaves at most three digits before the point, except for seconds. Halves are rounded away from zero.
 *
 * Returns: the text in @duration, such as "+20.030 ms".
 */
const char *tsc_duration(struct tsc_duration *duration, int64_t cycles, uint32_t khz)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	const size_t last = sizeof(units) / sizeof(units[0]) - 1;
	uint64_t magnitude = cycles < 0 ? -(uint64_t)cycles : (uint64_t)cycles;
	/* cycles / kHz is milliseconds, and a millisecond is 10^9 thousandths of a nanosecond */
	u128 dividend = (u128)magnitude * 1000000000;
	u128 divisor = khz;
	u128 thousandths;
	size_t unit = 0;

	/* Each unit is rounded from the exact value: 1000 ns after rounding is 1 us */
	while (thousandths = (dividend + divisor / 2) / divisor,
	       thousandths >= 1000000 && unit < last) {
		divisor *= 1000;
		unit++;
	}
	snprintf(duration->text, sizeof(duration->text), "%c%llu.%03llu %s", cycles < 0 ? '-' : '+',
		 (unsigned long long)(thousandths / 1000), (unsigned long long)(thousandths % 1000),
		 units[unit]);
	return duration->text;
}
