/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Finds which vCPU of the host each CPU of a guest is, by evidence: with the right vCPUs, all events of the guest lie
 * at times at which the host had the vCPU in guest mode.
 *
 * Order is not evidence: a guest numbers CPUs in the order in which they are plugged in, threads of VMs that start at
 * the same time are interleaved, and a restored VM runs in another process. Order decides only where evidence leaves a
 * choice.
 */
#ifndef TSC_OFFSET_FIT_H
#define TSC_OFFSET_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fit_path.h"

struct vcpu_modes;

/**
 * struct fit_cpu - a CPU of the guest
 * @cpu: number of the CPU in the guest
 * @times: guest times of some of its events, in recorded order; not owned
 * @went_back: for each of @times: the TSC went back since the time before; not owned, NULL if unknown
 * @nr_times: number of @times
 * @tid: the thread that runs it by some other source, 0 without
 */
struct fit_cpu {
	uint32_t	cpu;
	const uint64_t	*times;
	const bool	*went_back;
	size_t		nr_times;
	int		tid;
};

/**
 * struct fit_input - the input of a fit
 * @host: the vCPUs of the host
 * @nr_vms: number of VMs of these vCPUs, as far as the host's file shows it
 * @apart: for each of these VMs: its vCPUs are certain
 * @cpus: the guest's CPUs that have events, in the order of their numbers
 * @nr_cpus: number of @cpus
 * @nr_guest_cpus: number of all CPUs of the guest
 * @vm: the VM of the guest if it is known, else FIT_NONE
 */
struct fit_input {
	struct fit_host		host;
	size_t			nr_vms;
	const bool		*apart;
	const struct fit_cpu	*cpus;
	size_t			nr_cpus;
	size_t			nr_guest_cpus;
	size_t			vm;
};

/**
 * enum fit_doubt - why a result is uncertain
 * @FIT_CERTAIN: it is certain
 * @FIT_ANOTHER_VM: the guest also fits another VM
 * @FIT_ANOTHER_VCPU: a CPU also fits another vCPU
 * @FIT_ANOTHER_PHASE: a CPU's events also fit another phase of the vCPU
 * @FIT_FEW_EVENTS: all events fit if the CPU was another vCPU before, but they are too few to prove it
 */
enum fit_doubt {
	FIT_CERTAIN,
	FIT_ANOTHER_VM,
	FIT_ANOTHER_VCPU,
	FIT_ANOTHER_PHASE,
	FIT_FEW_EVENTS,
};

/**
 * struct fit_result - the result for a CPU
 * @vcpu: its vCPU, the last of several; FIT_NONE if no vCPU is left for it
 * @path: its path through phases; owned
 * @doubt: why it is uncertain
 * @rival: index of the other vCPU or the other phase, unless @doubt is FIT_CERTAIN
 * @rival_run: index of the run that has another phase
 * @rival_first, @rival_last: indices of the events of this run that may belong to the other phase
 */
struct fit_result {
	size_t		vcpu;
	struct fit_path	path;
	enum fit_doubt	doubt;
	size_t		rival;
	size_t		rival_run;
	size_t		rival_first;
	size_t		rival_last;
};

/**
 * struct fit - the result for a guest
 * @vm: index of the VM of most CPUs at the end, FIT_NONE without any
 * @rival_vm: another VM that also fits, FIT_NONE without
 * @results: results of the guest's CPUs; owned
 * @nr_results: number of @results
 * @tally: sum of all CPUs
 */
struct fit {
	size_t			vm;
	size_t			rival_vm;
	struct fit_result	*results;
	size_t			nr_results;
	struct fit_tally	tally;
};

bool fit_proves(const struct vcpu_modes *modes, const struct fit_tally *tally, uint64_t hypotheses);
size_t fit_by_order(const struct fit_input *input, size_t vm, uint32_t cpu);
int fit_find(struct fit *fit, const struct fit_input *input);
bool fit_is_significant(const struct fit *fit, const struct fit_input *input);
void fit_release(struct fit *fit);

#endif /* TSC_OFFSET_FIT_H */
