/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The trace clock of a trace.dat. */
#ifndef TSC_OFFSET_TRACE_CLOCK_H
#define TSC_OFFSET_TRACE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>

struct trace_dat;
struct trace_dat_buffer;

bool trace_clock_is_tsc(const struct trace_dat *dat, const struct trace_dat_buffer *buffer,
			char *name, size_t size);

#endif /* TSC_OFFSET_TRACE_CLOCK_H */
