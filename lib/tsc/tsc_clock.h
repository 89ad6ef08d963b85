/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The trace clock whose timestamps are raw TSC values. */
#ifndef TSC_OFFSET_TSC_CLOCK_H
#define TSC_OFFSET_TSC_CLOCK_H

#define TSC_CLOCK	"x86-tsc"

#endif /* TSC_OFFSET_TSC_CLOCK_H */
