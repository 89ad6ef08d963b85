/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* TSC cycles as a time for people. */
#ifndef TSC_OFFSET_DURATION_H
#define TSC_OFFSET_DURATION_H

#include <stdint.h>

/* struct tsc_duration - room for the longest text that tsc_duration() makes */
struct tsc_duration {
	char	text[32];
};

const char *tsc_duration(struct tsc_duration *duration, int64_t cycles, uint32_t khz);

#endif /* TSC_OFFSET_DURATION_H */
