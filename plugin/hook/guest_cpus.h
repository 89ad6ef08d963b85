/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The vCPU of each CPU of a recorded guest. */
#ifndef TSC_OFFSET_GUEST_CPUS_H
#define TSC_OFFSET_GUEST_CPUS_H

#include <stddef.h>

struct guest_history;
struct guest_probes;
struct vcpu_history;

/**
 * struct guest_cpus - the CPUs of a guest
 * @nr_cpus: number of CPUs that the guest has configured
 * @nr_vcpus: number of CPUs with a vCPU at the beginning; later CPUs were plugged in later, or do not exist
 * @vcpus: number of the vCPU of each CPU, then the vCPUs without a CPU; owned
 * @probes: probes of the guest's TSC on each of @nr_cpus CPUs; owned
 * @misfits: number of CPUs with probes that fit no vCPU
 * @misfit: one of these CPUs
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
