/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The error bound of an offset that the host did not record and that was estimated (estimate.h). */
#ifndef TSC_OFFSET_ESTIMATE_BOUND_H
#define TSC_OFFSET_ESTIMATE_BOUND_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct estimate_bound - the error bound of one vCPU's offset; all zeros if it was not estimated
 * @estimated: the members below are valid
 * @max_error: largest error in either direction, in cycles
 * @violations: number of guest events that do not fit. If any, the estimate is only the best fit and nothing is proved
 */
struct estimate_bound {
	bool		estimated;
	uint64_t	max_error;
	uint64_t	violations;
};

/**
 * estimate_words - get the words that precede the number of cycles
 * @bound: bound of an estimate
 *
 * Returns: the words.
 */
static inline const char *estimate_words(const struct estimate_bound *bound)
{
	return bound->violations ? "the best fit, within" : "wrong by at most";
}

#endif /* TSC_OFFSET_ESTIMATE_BOUND_H */
