// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <inttypes.h>
#include <stdio.h>

#include "mapping.h"
#include "tsc_ratio.h"

/**
 * tsc_ratio_text - format a ratio
 * @map: mapping with the ratio; hardware has up to 48 fraction bits, of which nine digits are shown
 * @text: room for the result
 *
 * Returns: @text, such as "1.041700000", or "1" if the TSC is not scaled.
 */
const char *tsc_ratio_text(const struct tsc_mapping *map, char text[TSC_RATIO_SIZE])
{
	const uint64_t unit = 1000000000;
	uint64_t integer, fraction;

	if (!tsc_mapping_scaled(map)) {
		snprintf(text, TSC_RATIO_SIZE, "1");
		return text;
	}
	integer = map->ratio >> map->frac_bits;
	fraction = map->ratio - (integer << map->frac_bits);
	fraction = (uint64_t)(((unsigned __int128)fraction * unit) >> map->frac_bits);
	snprintf(text, TSC_RATIO_SIZE, "%" PRIu64 ".%09" PRIu64, integer, fraction);
	return text;
}
