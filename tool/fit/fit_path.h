/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The path of a guest's CPU through the phases of vCPUs. It assigns events, in recorded order, to phases, so that as
 * many events as possible are at times at which the vCPU was in guest mode. Host time never goes back on a path.
 */
#ifndef TSC_OFFSET_FIT_PATH_H
#define TSC_OFFSET_FIT_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fit_vcpu.h"

/* No event limits how far all events may be moved */
#define FIT_NO_LIMIT UINT64_MAX

/**
 * struct fit_host - common data of all vCPUs of a host
 * @vcpus: the vCPUs; not owned, including their members
 * @nr_vcpus: number of @vcpus
 * @begin, @end: first and last host TSC, in cycles, for which the vCPUs in guest mode are known
 */
struct fit_host {
	const struct fit_vcpu	*vcpus;
	size_t			nr_vcpus;
	uint64_t		begin;
	uint64_t		end;
};

/**
 * struct fit_tally - how the events of a CPU fit a vCPU
 * @inside: number of events at times at which the vCPU was in guest mode
 * @violations: number of events at times at which it was not
 * @unknown: number of events at times for which the host misses events
 * @outside: number of events before or after the host's recording
 * @doubtful: of @outside: those that may have been recorded within it; see quiet_time.h
 * @impossible: number of events with times that the vCPU's TSC never had
 * @unmoved: how often the guest's TSC went back between two events in the same phase
 * @spans: number of different spans of guest mode with events inside
 * @stretch: the largest number of these spans with consecutive events and no contradicting event between them
 * @earlier, @later: the number of cycles by which all events inside can be moved together and still be in their spans;
 *	FIT_NO_LIMIT without a limit
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
 * struct fit_run - consecutive events in one phase
 * @vcpu: index of the vCPU
 * @phase: index of its phase
 * @first, @last: indices of the events; some between them may fit no phase
 */
struct fit_run {
	size_t	vcpu;
	size_t	phase;
	size_t	first;
	size_t	last;
};

/**
 * struct fit_path - the path of a CPU
 * @runs: runs in the order of events; owned
 * @nr_runs: number of @runs; 0 if no event fits any phase
 * @impossible: for each event: the TSC never had its time; owned
 * @tally: how the events fit it
 * @cost: its cost; the better of two paths has the lower cost
 */
struct fit_path {
	struct fit_run		*runs;
	size_t			nr_runs;
	bool			*impossible;
	struct fit_tally	tally;
	uint64_t		cost;
};

/**
 * enum fit_proof - what the events of a run in guest mode prove
 * @FIT_NONE_INSIDE: no event is in guest mode
 * @FIT_BY_CHANCE: nothing, because they would be in guest mode at other times as well
 * @FIT_PROVED: that they belong to this phase
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

/* Evidence against it */
static inline uint64_t fit_tally_against(const struct fit_tally *tally)
{
	return tally->violations + tally->impossible + tally->unmoved;
}

#endif /* TSC_OFFSET_FIT_PATH_H */
