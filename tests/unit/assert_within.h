/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A replacement for cmocka's assert_in_range(). cmocka 2 deprecates it in favour of functions that cmocka 1 lacks.
 * Include cmocka.h first.
 */
#ifndef TEST_ASSERT_WITHIN_H
#define TEST_ASSERT_WITHIN_H

#include <stdint.h>

#define assert_within(value, low, high)							\
	do {										\
		const uintmax_t within_value = (value), within_low = (low), within_high = (high); \
											\
		if (within_value < within_low || within_value > within_high)		\
			fail_msg("%s is %ju, not within %ju to %ju", #value, within_value, within_low, within_high); \
	} while (0)

#endif
