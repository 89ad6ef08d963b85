// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <string.h>

#include "trace_dat.h"
#include "tsc2nsec.h"
#include "tsc_frequency.h"

_Static_assert(sizeof(struct tsc2nsec) == 16, "the option's payload has no gaps");

/**
 * tsc2nsec_read - read the factors with which readers convert a file's times into nanoseconds
 * @tsc2nsec: result, all zeros without an option that readers use
 * @dat: the open file
 *
 * Readers use the last of several options, and skip those that are shorter than their three numbers.
 *
 * Returns: true if they convert.
 */
bool tsc2nsec_read(struct tsc2nsec *tsc2nsec, const struct trace_dat *dat)
{
	*tsc2nsec = (struct tsc2nsec) { 0 };
	for (size_t i = 0; i < dat->nr_options; i++) {
		const struct trace_dat_option *option = &dat->options[i];

		if (option->id == TRACE_DAT_TSC2NSEC && option->size >= sizeof(*tsc2nsec))
			memcpy(tsc2nsec, option->data, sizeof(*tsc2nsec));
	}
	return tsc2nsec->mult;
}

/**
 * tsc2nsec_frequency - get the frequency of the TSC from a file
 * @frequency: result; unknown if the file does not have it
 * @dat: the open file
 *
 * Returns: true if it is known.
 */
bool tsc2nsec_frequency(struct tsc_frequency *frequency, const struct trace_dat *dat)
{
	struct tsc2nsec tsc2nsec;

	tsc2nsec_read(&tsc2nsec, dat);
	return tsc_frequency_set(frequency, tsc2nsec.mult, tsc2nsec.shift);
}
