/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * From what a guest's CPUs lived through (guest_vcpus.h) to the sync points for the guest's file, and what of it is in
 * doubt: each doubt names vCPU and guest times.
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
 * @shift: the sync points; none if these are not wanted
 * @nr_vcpus: CPUs of the guest that recorded something
 * @nr_changes: changes of an offset that are in it
 * @findings: of ranges of guest times; owned
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
