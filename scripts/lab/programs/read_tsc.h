/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Reads the TSC after all earlier instructions of the program, and before all later ones. */
#ifndef READ_TSC_H
#define READ_TSC_H

#include <stdint.h>
#include <x86intrin.h>

static inline uint64_t read_tsc(void)
{
	uint64_t tsc;

	_mm_lfence();
	tsc = __rdtsc();
	_mm_lfence();
	return tsc;
}

#endif /* READ_TSC_H */
