/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Which vCPU each CPU of a recorded guest is. */
#ifndef TSC_OFFSET_GUEST_CPUS_H
#define TSC_OFFSET_GUEST_CPUS_H

#include <stddef.h>

struct guest_history;
struct guest_probes;
struct vcpu_history;

/**
 * struct guest_cpus - the CPUs of a guest
 * @nr_cpus: CPUs that the guest has configured
 * @nr_vcpus: CPUs that are a vCPU; those after the first so many were plugged in later, or are not there
 * @vcpus: number of the vCPU that each CPU is; then vCPUs that are no CPU; owned
 * @probes: what the guest's TSC was on a CPU; @nr_cpus of them; owned
 * @misfits: how many CPUs have probes that fit no vCPU
 * @misfit: one of them
 */
struct guest_cpus {
	size_t			nr_cpus;
	size_t			nr_vcpus;
	size_t			*vcpus;
	struct guest_probes	*probes;
	size_t			misfits;
	size_t			misfit;
};

int guest_cpus_open(struct guest_cpus *cpus, size_t nr_cpus, const struct guest_history *guest);
void guest_cpus_judge(struct guest_cpus *cpus, struct guest_history *guest);
const struct vcpu_history *guest_cpus_absent(struct guest_cpus *cpus, struct guest_history *guest, size_t cpu,
					     const struct vcpu_history *absent);
void guest_cpus_release(struct guest_cpus *cpus);

#endif /* TSC_OFFSET_GUEST_CPUS_H */
