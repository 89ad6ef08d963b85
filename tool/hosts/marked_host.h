/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * What the lines of tsc-offset mark in a host's file complete. Any process that may write to trace_marker can have
 * written them: they decide where events say nothing, and nowhere else.
 */
#ifndef TSC_OFFSET_MARKED_HOST_H
#define TSC_OFFSET_MARKED_HOST_H

#include <stddef.h>

struct host;
struct host_thread;

int marked_host_threads(const struct host *host, struct host_thread **threads, size_t *nr);
int marked_host_complete(struct host *host);

#endif /* TSC_OFFSET_MARKED_HOST_H */
