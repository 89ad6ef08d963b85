/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Option VERSION: which program recorded a file. Our own marks are options of this number as well. */
#ifndef TSC_OFFSET_RECORDER_VERSION_H
#define TSC_OFFSET_RECORDER_VERSION_H

struct trace_dat;

/* The longest text that may be one: a version, and a mark after it */
#define RECORDER_VERSION_MAX	512

const char *recorder_version(const struct trace_dat *dat);

#endif /* TSC_OFFSET_RECORDER_VERSION_H */
