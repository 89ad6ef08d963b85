/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Copies a trace.dat with other times in its ring buffer pages: for times that no option can express, and for readers
 * that do not know the option. Version, compression and all other parts of the file are kept.
 */
#ifndef TSC_OFFSET_TRACE_DAT_REWRITE_H
#define TSC_OFFSET_TRACE_DAT_REWRITE_H

#include "cpu_rewrite.h"

struct trace_dat;
struct trace_dat_edit;

int trace_dat_rewrite(struct trace_dat *dat, const struct trace_dat_edit *edit, rewrite_time time, void *context,
		      const char *path, int *unsynced);

#endif /* TSC_OFFSET_TRACE_DAT_REWRITE_H */
