/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Which vCPU of the host each of a guest's CPUs is, found by evidence: with the right ones all events of the guest lie
 * at times at which the host had the vCPU in guest mode.
 *
 * Order is not evidence: a guest numbers CPUs in the order in which they are plugged in, the threads of VMs that start
 * at the same time mix, and a restored VM runs in another process. Order counts where evidence leaves a choice.
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
 * @cpu: the guest's number of it
 * @times: guest times of some of its events, in the order in which it recorded them; the caller's
 * @went_back: of each of them: its TSC went back since the one before; the caller's, NULL if nothing tells it
 * @nr_times: how many
 * @tid: the thread that is said to run it, 0 if nothing says it
 */
struct fit_cpu {
	uint32_t	cpu;
	const uint64_t	*times;
	const bool	*went_back;
	size_t		nr_times;
	int		tid;
};

/**
 * struct fit_input - what is to be found out
 * @host: the vCPUs of the host
 * @nr_vms: how many VMs these belong to, as far as the host's file shows it
 * @apart: for each of these VMs whether it is certain which vCPUs it has
 * @cpus: the guest's CPUs that have events, in the order of their numbers
 * @nr_cpus: how many
 * @nr_guest_cpus: how many CPUs the guest has
 * @vm: the VM that the guest is known to be, FIT_NONE if that is not known
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
 * enum fit_doubt - why a result is not certain
 * @FIT_CERTAIN: it is
 * @FIT_ANOTHER_VM: the guest fits another VM as well
 * @FIT_ANOTHER_VCPU: a CPU fits another vCPU as well
 * @FIT_ANOTHER_PHASE: a CPU's events fit another phase of the vCPU as well
 * @FIT_FEW_EVENTS: all events fit if the CPU was another vCPU before, but these are too few to prove it
 */
enum fit_doubt {
	FIT_CERTAIN,
	FIT_ANOTHER_VM,
	FIT_ANOTHER_VCPU,
	FIT_ANOTHER_PHASE,
	FIT_FEW_EVENTS,
};

/**
 * struct fit_result - what was found of a CPU
 * @vcpu: the vCPU that it is, or the last one that it was; FIT_NONE if none is left for it
 * @path: its path through phases; owned
 * @doubt: what is not certain
 * @rival: number of the other vCPU or of the other phase, unless @doubt is FIT_CERTAIN
 * @rival_run: number of the run for which there is another phase
 * @rival_first, @rival_last: numbers of the events of this run that may be of the other phase
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
 * struct fit - what was found
 * @vm: number of the VM in which most CPUs are at the end, FIT_NONE without any
 * @rival_vm: another VM that fits as well, FIT_NONE if there is none
 * @results: for each of the guest's CPUs; owned
 * @nr_results: how many
 * @tally: all of them together
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
