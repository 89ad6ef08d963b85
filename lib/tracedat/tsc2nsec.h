/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Option TSC2NSEC: the factors with which readers convert a file's TSC values into nanoseconds. */
#ifndef TSC_OFFSET_TSC2NSEC_H
#define TSC_OFFSET_TSC2NSEC_H

#include <stdbool.h>
#include <stdint.h>

struct trace_dat;
struct tsc_frequency;

/**
 * struct tsc2nsec - the option's payload, byte for byte: ns = (TSC * mult) >> shift
 * @mult: 0 if readers do not convert
 * @shift: unchecked, as in the file
 * @offset: in nanoseconds; readers ignore it
 */
struct tsc2nsec {
	uint32_t	mult;
	uint32_t	shift;
	uint64_t	offset;
};

bool tsc2nsec_read(struct tsc2nsec *tsc2nsec, const struct trace_dat *dat);
bool tsc2nsec_frequency(struct tsc_frequency *frequency, const struct trace_dat *dat);

#endif /* TSC_OFFSET_TSC2NSEC_H */
