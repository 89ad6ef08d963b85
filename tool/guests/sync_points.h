/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Computes the sync points of a guest's file from the histories of its CPUs (guest_vcpus.h), with the doubts about
 * them, each with vCPU and guest times.
 */
#ifndef TSC_OFFSET_SYNC_POINTS_H
#define TSC_OFFSET_SYNC_POINTS_H

#include <stdbool.h>
#include <stddef.h>

#include "findings.h"
#include "time_shift.h"

struct guest_buffer;
struct guest_vcpus;
struct host;

/**
 * struct sync_points - the result
 * @shift: the sync points; empty if not requested
 * @nr_vcpus: number of CPUs of the guest with events
 * @nr_changes: number of changes of an offset
 * @findings: findings about ranges of guest times; owned
 */
struct sync_points {
	struct time_shift	shift;
	size_t			nr_vcpus;
	size_t			nr_changes;
	struct findings		findings;
};

int sync_points_build(struct sync_points *points, const struct host *host, const struct guest_vcpus *vcpus,
		      const struct guest_buffer *guest, bool by_stream);
void sync_points_release(struct sync_points *points);

#endif /* TSC_OFFSET_SYNC_POINTS_H */
