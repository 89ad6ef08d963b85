/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Decimal numbers as users write them, without a sign, without blanks, and within 64 bits; as they read them; and sums.
 */
#ifndef TSC_OFFSET_NUMBER_H
#define TSC_OFFSET_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* Room for any number of 64 bits with commas */
#define NUMBER_GROUPED_SIZE 32

bool number_take(const char **text, uint64_t *number);
bool number_parse(const char *text, uint64_t *number);
const char *number_grouped(uint64_t number, char text[NUMBER_GROUPED_SIZE]);

/* Numbers of files may be anything: a sum that does not fit is the largest number */
static inline uint64_t number_sum(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

#endif /* TSC_OFFSET_NUMBER_H */
