/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* A bound of the error of a time, as text for people. */
#ifndef TSC_OFFSET_ERROR_BOUND_H
#define TSC_OFFSET_ERROR_BOUND_H

#include <stdint.h>

struct tsc_frequency;

/* Room for error_bound_text() */
#define ERROR_BOUND_SIZE 64

const char *error_bound_text(uint64_t cycles, const struct tsc_frequency *frequency, char text[ERROR_BOUND_SIZE]);

#endif /* TSC_OFFSET_ERROR_BOUND_H */
