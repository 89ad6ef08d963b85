/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Unsigned decimal numbers of 64 bits: strict parsing, and printing with commas. */
#ifndef TSC_OFFSET_NUMBER_H
#define TSC_OFFSET_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* Room for any number of 64 bits with commas */
#define NUMBER_GROUPED_SIZE 32

bool number_take(const char **text, uint64_t *number);
bool number_parse(const char *text, uint64_t *number);
const char *number_grouped(uint64_t number, char text[NUMBER_GROUPED_SIZE]);

#endif /* TSC_OFFSET_NUMBER_H */
