// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "error_bound.h"
#include "number.h"
#include "tsc_frequency.h"

/**
 * error_bound_text - format a bound for people
 * @cycles: the bound, in host cycles
 * @frequency: frequency of the TSC, or unknown
 * @text: room for the result
 *
 * Returns: @text, such as "17.6 us", rounded up, or "45,758 cycles".
 */
const char *error_bound_text(uint64_t cycles, const struct tsc_frequency *frequency, char text[ERROR_BOUND_SIZE])
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	unsigned __int128 tenths;
	char number[NUMBER_GROUPED_SIZE];
	size_t unit = 0;

	if (!frequency->mult) {
		snprintf(text, ERROR_BOUND_SIZE, "%s cycles", number_grouped(cycles, number));
		return text;
	}
	for (tenths = tsc_frequency_ns(frequency, cycles) * 10 + 10; tenths >= 10000 && unit < 3; unit++)
		tenths = (tenths + 999) / 1000;
	snprintf(text, ERROR_BOUND_SIZE, "%" PRIu64 ".%u %s", (uint64_t)(tenths / 10), (unsigned int)(tenths % 10),
		 units[unit]);
	return text;
}
