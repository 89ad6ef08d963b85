/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The TSC offsets of a guest that the host has not recorded, found by guest mode: for each of its CPUs the constant
 * shift that puts its events to where the host had that vCPU in guest mode, see shift_search.h.
 *
 * It cannot know of changes. If the offset changed in the middle of what both have recorded, no shift is
 * right for all events, and the result has violations. Nor of scaling: a guest whose TSC runs at another
 * speed has no constant shift at all.
 */
#ifndef TSC_OFFSET_ESTIMATE_H
#define TSC_OFFSET_ESTIMATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shift_search.h"

struct trace_dat;
struct vcpu_modes;

/**
 * struct estimate_target - a CPU of the guest whose offset is to be estimated
 * @cpu: the guest's number of it
 * @vcpu_id: KVM's vcpu_id of the vCPU that it is
 * @modes: when that was in guest mode
 */
struct estimate_target {
	uint32_t			cpu;
	uint32_t			vcpu_id;
	const struct vcpu_modes		*modes;
};

/**
 * struct estimate_cpu - a CPU of the guest
 * @cpu: its number
 * @vcpu_id: KVM's vcpu_id of the vCPU that it is
 * @events: how many it recorded, in all buffers whose clock is the TSC
 * @found: there is a shift with which at least one event is in guest mode
 * @shift: then the best one, as far as it can be known
 */
struct estimate_cpu {
	uint32_t		cpu;
	uint32_t		vcpu_id;
	uint64_t		events;
	bool			found;
	struct shift_found	shift;
};

/**
 * struct estimate - the shifts of a guest
 * @cpus: in the order of the targets; owned
 * @nr_cpus: how many
 */
struct estimate {
	struct estimate_cpu	*cpus;
	size_t			nr_cpus;
};

int estimate_make(struct estimate *estimate, struct trace_dat *guest, bool any_clock,
		  const struct estimate_target *targets, size_t nr_targets);
void estimate_release(struct estimate *estimate);

#endif /* TSC_OFFSET_ESTIMATE_H */
