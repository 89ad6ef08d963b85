/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The ratio of a guest's TSC as a decimal number. */
#ifndef TSC_OFFSET_TSC_RATIO_H
#define TSC_OFFSET_TSC_RATIO_H

struct tsc_mapping;

/* Room for tsc_ratio_text() */
#define TSC_RATIO_SIZE 32

const char *tsc_ratio_text(const struct tsc_mapping *map, char text[TSC_RATIO_SIZE]);

#endif /* TSC_OFFSET_TSC_RATIO_H */
