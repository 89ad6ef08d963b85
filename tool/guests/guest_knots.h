/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * From what a guest's CPUs lived through (guest_vcpus.h) to the knots for the guest's file, and what of it is in doubt:
 * each doubt names vCPU and guest times.
 */
#ifndef TSC_OFFSET_GUEST_KNOTS_H
#define TSC_OFFSET_GUEST_KNOTS_H

#include <stddef.h>

#include "findings.h"
#include "time_shift.h"

struct guest_trace;
struct guest_vcpus;
struct host_trace;

/**
 * struct guest_knots - the result
 * @shift: the knots
 * @nr_vcpus: CPUs of the guest that recorded something
 * @nr_changes: changes of an offset that are in it
 * @findings: of ranges of guest times; owned
 */
struct guest_knots {
	struct time_shift	shift;
	size_t			nr_vcpus;
	size_t			nr_changes;
	struct findings		findings;
};

int guest_knots_build(struct guest_knots *knots, const struct host_trace *host, const struct guest_vcpus *vcpus,
		      const struct guest_trace *guest);
void guest_knots_release(struct guest_knots *knots);

#endif /* TSC_OFFSET_GUEST_KNOTS_H */
