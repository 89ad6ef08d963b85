/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Estimates TSC offsets of a guest that the host did not record, by guest mode: finds for each of its CPUs the shift
 * with which its events are at times at which the host had that vCPU in guest mode, see shift_search.h.
 *
 * It does not consider changes. If the offset changed while both recorded, no shift is correct for all events, and the
 * result has violations. It does not consider scaling either: a guest whose TSC has another frequency has no constant
 * shift.
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
 * @cpu: number of the CPU in the guest
 * @vcpu_id: KVM's vcpu_id of its vCPU
 * @modes: when that vCPU was in guest mode
 */
struct estimate_target {
	uint32_t			cpu;
	uint32_t			vcpu_id;
	const struct vcpu_modes		*modes;
};

/**
 * struct estimate_cpu - the result for a CPU of the guest
 * @cpu: number of the CPU
 * @vcpu_id: KVM's vcpu_id of its vCPU
 * @events: number of its events, in all buffers whose clock is the TSC
 * @found: with some shift at least one event is in guest mode
 * @shift: with @found: the best shift, as precisely as it can be found
 */
struct estimate_cpu {
	uint32_t		cpu;
	uint32_t		vcpu_id;
	uint64_t		events;
	bool			found;
	struct shift_found	shift;
};

/**
 * struct estimate - the result for a guest
 * @cpus: CPUs in the order of the targets; owned
 * @nr_cpus: number of @cpus
 */
struct estimate {
	struct estimate_cpu	*cpus;
	size_t			nr_cpus;
};

int estimate_make(struct estimate *estimate, struct trace_dat *guest, bool any_clock,
		  const struct estimate_target *targets, size_t nr_targets);
void estimate_release(struct estimate *estimate);

#endif /* TSC_OFFSET_ESTIMATE_H */
