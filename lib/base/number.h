/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Decimal numbers in what users write: without a sign, without blanks, and within 64 bits. */
#ifndef TSC_OFFSET_NUMBER_H
#define TSC_OFFSET_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

bool number_take(const char **text, uint64_t *number);
bool number_parse(const char *text, uint64_t *number);

#endif /* TSC_OFFSET_NUMBER_H */
