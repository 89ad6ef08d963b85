/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Tests of the elements of an array. */
#ifndef TSC_OFFSET_ANY_H
#define TSC_OFFSET_ANY_H

#include <stdbool.h>
#include <stddef.h>

/**
 * any_of - is a condition true for any index?
 * @i: name of the index in @condition
 * @nr: number of indices, from 0 on
 * @condition: not evaluated after the first index for which it is true
 *
 * Returns: true if it is true for at least one index.
 */
#define any_of(i, nr, condition)								\
	({											\
		bool found_ = false;								\
												\
		for (size_t i = 0, nr_ = (nr); i < nr_ && !found_; i++)				\
			found_ = (condition);							\
		found_;										\
	})

#endif /* TSC_OFFSET_ANY_H */
