/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The frequency of a TSC, and conversion of cycles into seconds. */
#ifndef TSC_OFFSET_TSC_FREQUENCY_H
#define TSC_OFFSET_TSC_FREQUENCY_H

#include <stdbool.h>
#include <stdint.h>

/* Room for the text of any time in seconds, its sign and its end */
#define TSC_SECONDS_SIZE	32

/**
 * struct tsc_frequency - as the kernel defines it: ns = (cycles * mult) >> shift
 * @mult: 0 if unknown
 * @shift: less than 64
 */
struct tsc_frequency {
	uint32_t	mult;
	uint32_t	shift;
};

bool tsc_frequency_set(struct tsc_frequency *frequency, uint32_t mult, uint32_t shift);
bool tsc_frequency_of_khz(struct tsc_frequency *frequency, uint64_t khz);
uint64_t tsc_frequency_hz(const struct tsc_frequency *frequency);
unsigned __int128 tsc_frequency_ns(const struct tsc_frequency *frequency, uint64_t cycles);
uint64_t tsc_frequency_time(const struct tsc_frequency *frequency, uint64_t tsc);
bool tsc_frequency_seconds(const struct tsc_frequency *frequency, uint64_t cycles, char *text);

#endif /* TSC_OFFSET_TSC_FREQUENCY_H */
