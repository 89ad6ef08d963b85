/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Questions about the elements of an array. */
#ifndef TSC_OFFSET_ANY_H
#define TSC_OFFSET_ANY_H

#include <stdbool.h>
#include <stddef.h>

/**
 * any_of - does a condition hold for any number?
 * @i: name of the number in @condition
 * @nr: how many numbers there are, from 0 on
 * @condition: not asked after the first number for which it holds
 *
 * Returns: true if so.
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
