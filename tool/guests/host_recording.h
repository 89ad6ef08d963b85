/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* A host's file, read once for the files of all its guests. */
#ifndef TSC_OFFSET_HOST_RECORDING_H
#define TSC_OFFSET_HOST_RECORDING_H

#include <stdbool.h>

#include "host.h"
#include "host_vcpus.h"
#include "merged_times.h"
#include "trace_dat.h"

struct error;
struct host_changes;

/**
 * struct host_recording - a host's file
 * @error: reasons of failures, also of the guests' files; not owned
 * @dat: the file
 * @host: its contents
 * @times: how readers show its times
 * @vcpus: when its vCPUs were in guest mode; set by host_recording_vcpus()
 */
struct host_recording {
	struct error		*error;
	struct trace_dat	dat;
	struct host		host;
	struct host_times	times;
	struct host_vcpus	vcpus;
};

int host_recording_open(struct host_recording *host, const char *path, const struct host_changes *changes,
			struct error *error);
int host_recording_read_times(struct host_recording *host);
int host_recording_place(struct host_recording *host, bool any_clock);
int host_recording_vcpus(struct host_recording *host);
void host_recording_close(struct host_recording *host);

#endif /* TSC_OFFSET_HOST_RECORDING_H */
