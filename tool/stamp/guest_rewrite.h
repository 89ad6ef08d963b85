/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Copies a guest's file with host times in its events, which all readers show without an option. */
#ifndef TSC_OFFSET_GUEST_REWRITE_H
#define TSC_OFFSET_GUEST_REWRITE_H

struct guest_timelines;
struct host_times;
struct trace_dat_edit;

int guest_rewrite(const struct guest_timelines *timelines, const struct host_times *host,
		  const struct trace_dat_edit *edit, const char *path, int *unsynced);

#endif /* TSC_OFFSET_GUEST_REWRITE_H */
