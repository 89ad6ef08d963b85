/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A copy of a trace.dat in which the pages of the ring buffer have other times: for what no option can say, and for
 * readers that know no option. It has the version, the compression and all else of the file.
 */
#ifndef TSC_OFFSET_TRACE_DAT_REWRITE_H
#define TSC_OFFSET_TRACE_DAT_REWRITE_H

#include "cpu_rewrite.h"

struct trace_dat;
struct trace_dat_edit;

int trace_dat_rewrite(struct trace_dat *dat, const struct trace_dat_edit *edit, rewrite_time time, void *context,
		      const char *path, int *unsynced);

#endif /* TSC_OFFSET_TRACE_DAT_REWRITE_H */
