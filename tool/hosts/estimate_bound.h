/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* How far an offset may be wrong that nobody told, but that was estimated (estimate.h). */
#ifndef TSC_OFFSET_ESTIMATE_BOUND_H
#define TSC_OFFSET_ESTIMATE_BOUND_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct estimate_bound - of one vCPU's offset; all zero for one that is not estimated
 * @estimated: the others say how far it may be wrong
 * @max_error: to either side, in cycles
 * @violations: events of the guest that do not fit it. With any of them nothing is proved, it is the best fit.
 */
struct estimate_bound {
	bool		estimated;
	uint64_t	max_error;
	uint64_t	violations;
};

/**
 * estimate_words - what to say before the number of cycles
 * @bound: of an estimate
 *
 * Returns: the words.
 */
static inline const char *estimate_words(const struct estimate_bound *bound)
{
	return bound->violations ? "the best fit, within" : "wrong by at most";
}

#endif /* TSC_OFFSET_ESTIMATE_BOUND_H */
