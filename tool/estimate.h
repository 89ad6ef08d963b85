/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The TSC offsets of a guest that nobody has recorded, found by causality: for each of its CPUs the constant
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

struct host_trace;
struct host_vm;
struct trace_dat;

/**
 * struct estimate_cpu - a CPU of the guest
 * @cpu: its number
 * @has_vcpu: the VM has a vCPU for it
 * @vcpu_id: KVM's vcpu_id of that
 * @events: how many it recorded, in all buffers whose clock is the TSC
 * @found: there is a shift with which at least one event is in guest mode
 * @shift: then the best one, as far as it can be known
 */
struct estimate_cpu {
	uint32_t		cpu;
	bool			has_vcpu;
	uint32_t		vcpu_id;
	uint64_t		events;
	bool			found;
	struct shift_found	shift;
};

/**
 * struct estimate - the shifts of a guest
 * @cpus: those with data, in the order of their numbers; owned
 * @nr_cpus: how many
 */
struct estimate {
	struct estimate_cpu	*cpus;
	size_t			nr_cpus;
};

int estimate_make(struct estimate *estimate, const struct host_trace *host, const struct host_vm *vm,
		  struct trace_dat *guest, bool any_clock);
void estimate_release(struct estimate *estimate);

#endif /* TSC_OFFSET_ESTIMATE_H */
