// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "guest_vcpus.h"
#include "host_trace.h"
#include "message.h"
#include "trace_dat.h"

/* From CPU 0 on to the last that has data in any buffer */
static size_t recorded_cpus(const struct trace_dat *guest)
{
	size_t nr = 0;

	for (size_t i = 0; i < guest->nr_buffers; i++) {
		const struct trace_dat_buffer *buffer = &guest->buffers[i];

		for (size_t j = 0; j < buffer->nr_cpus; j++) {
			if (buffer->cpus[j].size && buffer->cpus[j].cpu >= nr)
				nr = buffer->cpus[j].cpu + 1UL;
		}
	}
	return nr;
}

/**
 * guest_vcpus_match - find the vCPU of each of a guest's CPUs
 * @vm: the VM that the guest is; vCPUs that the host did not see are added to its history
 * @guest: the guest's file, open
 *
 * The guest numbers its CPUs in the order of vcpu_id, which may have holes. That helps if the host saw all
 * vCPUs. If it saw some only, their vcpu_ids have to be the guest's numbers, as they are without holes.
 *
 * Returns: 0, then CPU n of those that recorded anything is vCPU n of @vm's history; -ENXIO after a message if
 * nobody knows which is which, -ENOMEM.
 */
int guest_vcpus_match(struct host_vm *vm, const struct trace_dat *guest)
{
	const struct vm_history *history = &vm->history;
	size_t nr = history->nr_vcpus, recorded = recorded_cpus(guest);
	size_t nr_cpus = guest->nr_cpus > recorded ? guest->nr_cpus : recorded;

	if (nr == nr_cpus || (nr && history->vcpus[nr - 1].vcpu_id == nr - 1 && nr >= recorded))
		return 0;
	if (nr > nr_cpus) {
		message("%s is of a guest with %zu CPUs, VM %s has %zu vCPUs", guest->path, nr_cpus,
			vm->name, nr);
		return -ENXIO;
	}
	if (nr && history->vcpus[nr - 1].vcpu_id >= nr_cpus) {
		message("VM %s: %zu vCPUs were seen of the %zu CPUs in %s, the highest is %u: which is which "
			"is not known; a host recording with kvm:kvm_entry shows all", vm->name, nr, nr_cpus,
			guest->path, history->vcpus[nr - 1].vcpu_id);
		return -ENXIO;
	}
	for (uint32_t vcpu_id = 0; vcpu_id < recorded; vcpu_id++) {
		if (!vm_history_vcpu(&vm->history, vcpu_id))
			return -ENOMEM;
	}
	return 0;
}
