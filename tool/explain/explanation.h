/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Where the time went in the recordings of a host and its guests. Their events are read once, in the order of host
 * time. Memory does not grow with the size of the files: sums have a fixed number of keys.
 */
#ifndef TSC_OFFSET_EXPLANATION_H
#define TSC_OFFSET_EXPLANATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exit_reasons.h"
#include "explain_sums.h"
#include "tsc_frequency.h"
#include "vcpu_states.h"
#include "wakeups.h"

struct explained_guest;
struct findings;
struct host_vcpu;
struct merged_recording;
struct progress;

/**
 * struct explained_vcpu - a vCPU
 * @vcpu: the vCPU in the host's file
 * @guest: index of its guest's file, SIZE_MAX without
 * @cpu: with @guest: its CPU in the guest
 * @nr_threads: number of threads that ran it in sequence
 * @first: host TSC, in cycles, at which the first of them entered guest mode
 * @next: another vCPU that was the same CPU at another time, VCPU_NONE without
 * @ns: nanoseconds in each state
 */
struct explained_vcpu {
	const struct host_vcpu	*vcpu;
	size_t			guest;
	size_t			cpu;
	size_t			nr_threads;
	uint64_t		first;
	uint32_t		next;
	uint64_t		ns[NR_VCPU_STATES];
};

/**
 * struct explain_request - what to explain
 * @filter: selects results
 * @vcpu: explain only vCPUs with this vcpu_id
 * @any_vcpu: explain all vCPUs
 * @frequency: converts the host's TSC into nanoseconds; if unknown, each cycle counts as one
 * @max_keys: number of keys in each table
 */
struct explain_request {
	struct explain_filter	filter;
	uint32_t		vcpu;
	bool			any_vcpu;
	struct tsc_frequency	frequency;
	size_t			max_keys;
};

/**
 * struct explanation - the results
 * @request: the request; not owned
 * @recording: the files; not owned
 * @progress: begun with merged_recording_bytes() as the total, or all zeros; not owned
 * @begin, @end: begin and end of the period
 * @vcpus: all vCPUs of the host; owned
 * @wanted: for each of @vcpus: it is selected; owned
 * @nr_vcpus: number of @vcpus
 * @guests: data for each file of a guest; owned
 * @nr_guests: number of @guests
 * @states: states of the vCPUs; owned
 * @sums: the results; owned
 * @reasons: names of exit reasons; owned
 * @nr_events: number of events that were read
 * @nr_lost: number of places with missing events
 * @nr_untold: number of events lost at unknown times
 * @nr_unreadable: number of events that do not fit their formats
 * @nr_guest_missing: number of contradictions between sched_switch events of the guests, which show missing events
 */
struct explanation {
	const struct explain_request	*request;
	struct merged_recording		*recording;
	struct progress			*progress;
	struct moment			begin;
	struct moment			end;
	struct explained_vcpu		*vcpus;
	bool				*wanted;
	size_t				nr_vcpus;
	struct explained_guest		*guests;
	size_t				nr_guests;
	struct vcpu_states		states;
	struct explain_sums		sums;
	struct exit_reasons		reasons;
	uint64_t			nr_events;
	uint64_t			nr_lost;
	uint64_t			nr_untold;
	uint64_t			nr_unreadable;
	uint64_t			nr_guest_missing;
};

int explanation_make(struct explanation *explanation, struct merged_recording *recording,
		     const struct explain_request *request, struct progress *progress);
bool explained_vcpu_counts(const struct explanation *explanation, const struct explained_vcpu *vcpu);
bool explanation_adds_up(const struct explanation *explanation);
const struct wakeups *explanation_wakeups(const struct explanation *explanation, size_t guest);
void explanation_release(struct explanation *explanation);

#endif /* TSC_OFFSET_EXPLANATION_H */
