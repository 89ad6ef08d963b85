/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Completes a host's histories with the lines of tsc-offset mark in its file. Any process with access to trace_marker
 * can write such lines, so they are used only where events report nothing.
 */
#ifndef TSC_OFFSET_HOST_MARKS_APPLY_H
#define TSC_OFFSET_HOST_MARKS_APPLY_H

#include <stddef.h>

struct host;
struct host_thread;

int host_marks_threads(const struct host *host, struct host_thread **threads, size_t *nr);
int host_marks_name_vms(struct host *host);
int host_marks_apply(struct host *host);

#endif /* TSC_OFFSET_HOST_MARKS_APPLY_H */
