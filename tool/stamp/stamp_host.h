/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The host's file, read for the files of all its guests. */
#ifndef TSC_OFFSET_STAMP_HOST_H
#define TSC_OFFSET_STAMP_HOST_H

#include <stdbool.h>

#include "host.h"
#include "host_vcpus.h"
#include "merged_times.h"
#include "trace_dat.h"

struct error;
struct host_changes;

/**
 * struct stamp_host - a host
 * @error: gets the reasons of failures, of the guests' files too; the caller's
 * @dat: its file
 * @host: what it shows
 * @times: at which times readers show its events
 * @vcpus: when its vCPUs were in guest mode, once stamp_host_vcpus() was called
 * @has_vcpus: it was
 */
struct stamp_host {
	struct error		*error;
	struct trace_dat	dat;
	struct host		host;
	struct host_times	times;
	struct host_vcpus	vcpus;
	bool			has_vcpus;
};

int stamp_host_open(struct stamp_host *host, const char *path, const struct host_changes *changes, struct error *error);
int stamp_host_vcpus(struct stamp_host *host);
void stamp_host_close(struct stamp_host *host);

#endif /* TSC_OFFSET_STAMP_HOST_H */
