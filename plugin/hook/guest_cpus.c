// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "guest_cpus.h"
#include "guest_history.h"
#include "guest_probe.h"
#include "message.h"

/**
 * guest_cpus_open - assign the CPUs to the vCPUs in order
 * @cpus: result; must be released, also after an error
 * @nr_cpus: number of CPUs that the guest has configured
 * @guest: the open history
 *
 * Both are in the order of vcpu_id. A guest that is configured for more CPUs than it has numbers the existing ones
 * first.
 *
 * Returns: 0 or -ENOMEM.
 */
int guest_cpus_open(struct guest_cpus *cpus, size_t nr_cpus, const struct guest_history *guest)
{
	if (guest->nr_vcpus > nr_cpus)
		message("guest pid %d has %zu CPUs and %zu vCPUs: the vCPUs after the first %zu are assumed to be unused",
			guest->pid, nr_cpus, guest->nr_vcpus, nr_cpus);
	*cpus = (struct guest_cpus) {
		.nr_cpus = nr_cpus,
		.nr_vcpus = guest->nr_vcpus < nr_cpus ? guest->nr_vcpus : nr_cpus,
		.vcpus = calloc(guest->nr_vcpus, sizeof(*cpus->vcpus)),
		.probes = calloc(nr_cpus, sizeof(*cpus->probes)),
	};
	for (size_t vcpu = 0; cpus->vcpus && vcpu < guest->nr_vcpus; vcpu++)
		cpus->vcpus[vcpu] = vcpu;
	return cpus->vcpus && cpus->probes ? 0 : -ENOMEM;
}

/* Do the probes of a CPU fit vCPU @at? Unknown values contradict nothing. */
static bool probes_fit(const struct guest_cpus *cpus, struct guest_history *guest, size_t cpu, size_t at)
{
	size_t vcpu = cpus->vcpus[at];

	return cpu >= cpus->nr_vcpus || guest->guessed[vcpu] ||
	       guest_probes_fit(&cpus->probes[cpu], guest_history_vcpu(guest, vcpu));
}

/* If changes were lost, nothing is certain */
static bool lost_changes(const struct guest_history *guest)
{
	return guest->drainer.lost || guest->drainer.error;
}

/* Give a CPU a vCPU without a CPU, or that of another CPU whose answers contradict it as well */
static bool find_vcpu(struct guest_cpus *cpus, struct guest_history *guest, size_t cpu)
{
	for (size_t other = 0; other < guest->nr_vcpus; other++) {
		size_t vcpu = cpus->vcpus[other];

		if (other == cpu || guest->guessed[vcpu] || !probes_fit(cpus, guest, cpu, other) ||
		    (other < cpus->nr_vcpus && probes_fit(cpus, guest, other, other)))
			continue;
		cpus->vcpus[other] = cpus->vcpus[cpu];
		cpus->vcpus[cpu] = vcpu;
		message("guest pid %d: CPU %zu is vCPU %u: the time that it answered fits the TSC of this vCPU, and not that of vCPU %u",
			guest->pid, cpu, guest->initial[vcpu].vcpu_id, guest->initial[cpus->vcpus[other]].vcpu_id);
		return true;
	}
	return false;
}

/**
 * guest_cpus_judge - check and correct the assignment by the probes
 * @cpus: the open assignment
 * @guest: the updated history; called with its lock held
 *
 * A guest numbers its CPUs in the order of arrival, so hot-plug can change the order.
 */
void guest_cpus_judge(struct guest_cpus *cpus, struct guest_history *guest)
{
	cpus->misfits = 0;
	for (size_t cpu = 0; cpu < cpus->nr_vcpus && !lost_changes(guest); cpu++) {
		if (probes_fit(cpus, guest, cpu, cpu) || find_vcpu(cpus, guest, cpu) ||
		    !guest_probes_contradict(&cpus->probes[cpu], guest_history_vcpu(guest, cpus->vcpus[cpu])))
			continue;
		cpus->misfit = cpu;
		cpus->misfits++;
	}
}

/**
 * guest_cpus_absent - find the vCPU of a CPU that KVM does not seem to have
 * @cpus: the assignment, judged
 * @guest: the updated history; called with its lock held
 * @cpu: the CPU
 * @absent: the history to use if its probes do not decide
 *
 * Guests skip numbers of CPUs: then this CPU exists and another one does not, whose agent answers on any CPU. The last
 * answer therefore decides, and other CPUs keep their vCPUs.
 *
 * Returns: the history of its vCPU, or @absent.
 */
const struct vcpu_history *guest_cpus_absent(struct guest_cpus *cpus, struct guest_history *guest, size_t cpu,
					     const struct vcpu_history *absent)
{
	const struct guest_probes last = guest_probes_last(&cpus->probes[cpu]);
	bool unknown = false;

	if (lost_changes(guest) || guest_probes_fit(&last, absent))
		return absent;
	for (size_t at = 0; at < guest->nr_vcpus; at++) {
		size_t vcpu = cpus->vcpus[at];

		unknown |= guest->guessed[vcpu];
		if (!guest->guessed[vcpu] && guest_probes_fit(&last, guest_history_vcpu(guest, vcpu)))
			return guest_history_vcpu(guest, vcpu);
	}
	if (!unknown) {
		cpus->misfit = cpu;
		cpus->misfits++;
	}
	return absent;
}

/**
 * guest_cpus_release - free the assignment
 * @cpus: the assignment, also after a failed open, or all zeros
 */
void guest_cpus_release(struct guest_cpus *cpus)
{
	free(cpus->vcpus);
	free(cpus->probes);
}
