/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The way of a guest's CPU through the phases of vCPUs: which of its events, in the order in which it recorded them,
 * lie in which phase, so that as many as can be are at times at which the vCPU was in guest mode. Host time never
 * runs back on it.
 */
#ifndef TSC_OFFSET_FIT_PATH_H
#define TSC_OFFSET_FIT_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fit_vcpu.h"

/* No event limits how far all may be moved */
#define FIT_NO_LIMIT UINT64_MAX

/**
 * struct fit_host - what holds for all vCPUs of a host
 * @vcpus: owned by the caller, as all that belongs to them
 * @nr_vcpus: how many
 * @begin, @end: first and last host TSC, in cycles, for which it is known which vCPUs were in guest mode
 */
struct fit_host {
	const struct fit_vcpu	*vcpus;
	size_t			nr_vcpus;
	uint64_t		begin;
	uint64_t		end;
};

/**
 * struct fit_tally - how the events of a CPU fit a vCPU
 * @inside: at times at which the vCPU was in guest mode
 * @violations: at times at which it was not
 * @unknown: at times for which the host misses events
 * @outside: before or after the host's recording
 * @doubtful: of @outside: they may have been within it; see quiet_time.h
 * @impossible: with times that the vCPU's TSC never had
 * @unmoved: how often the guest's TSC went back between two of them that lie in the same phase
 * @spans: in how many different spans of guest mode those @inside are
 * @stretch: the most of these that have events one after the other, with none between them that contradicts
 * @earlier, @later: by how many cycles all those inside may be moved together so that each stays in its span;
 *	FIT_NO_LIMIT if there is none
 */
struct fit_tally {
	uint64_t	inside;
	uint64_t	violations;
	uint64_t	unknown;
	uint64_t	outside;
	uint64_t	doubtful;
	uint64_t	impossible;
	uint64_t	unmoved;
	uint64_t	spans;
	uint64_t	stretch;
	uint64_t	earlier;
	uint64_t	later;
};

/**
 * struct fit_run - events, one after the other, in one phase
 * @vcpu: number of the vCPU
 * @phase: number of its phase
 * @first, @last: numbers of the events; some between them may fit nowhere
 */
struct fit_run {
	size_t	vcpu;
	size_t	phase;
	size_t	first;
	size_t	last;
};

/**
 * struct fit_path - the way of a CPU
 * @runs: in the order of events; owned
 * @nr_runs: how many; none if no event can be of any phase
 * @impossible: for each event: is its time one that the TSC never had? Owned.
 * @tally: how the events fit it
 * @cost: its cost; the better one of two paths costs less
 */
struct fit_path {
	struct fit_run		*runs;
	size_t			nr_runs;
	bool			*impossible;
	struct fit_tally	tally;
	uint64_t		cost;
};

/**
 * enum fit_proof - what it proves that the events of a run are in guest mode
 * @FIT_NONE_INSIDE: none is
 * @FIT_BY_CHANCE: nothing: they would be at other times as well
 * @FIT_PROVED: that they belong there
 */
enum fit_proof { FIT_NONE_INSIDE, FIT_BY_CHANCE, FIT_PROVED };

int fit_path_find(struct fit_path *path, const struct fit_host *host, const size_t *vcpus, size_t nr_vcpus,
		  const uint64_t *times, const bool *went_back, size_t nr_times);
void fit_path_count_run(struct fit_tally *tally, const struct fit_host *host, const struct fit_run *run,
			const uint64_t *times);
int fit_path_prove(const struct fit_host *host, const struct fit_run *run, const uint64_t *times, uint64_t *looks);
void fit_path_move(struct fit_path *to, struct fit_path *from);
void fit_path_release(struct fit_path *path);
enum vcpu_mode fit_tally_count(struct fit_tally *tally, const struct vcpu_modes *modes, uint64_t host_tsc,
			       uint64_t begin, uint64_t end, size_t *span);
void fit_tally_add(struct fit_tally *tally, const struct fit_tally *more);
void fit_tally_add_cpu(struct fit_tally *tally, const struct fit_tally *more);

static inline uint64_t fit_tally_events(const struct fit_tally *tally)
{
	return tally->inside + tally->violations + tally->unknown + tally->outside + tally->impossible;
}

/* What contradicts it */
static inline uint64_t fit_tally_against(const struct fit_tally *tally)
{
	return tally->violations + tally->impossible + tally->unmoved;
}

#endif /* TSC_OFFSET_FIT_PATH_H */
