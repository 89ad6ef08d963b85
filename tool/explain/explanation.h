/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Where the time went in the recordings of a host and its guests: their events are read once, in the order of host time.
 * Memory does not grow with them, but for 9 bytes for each change of a vCPU's mode: sums have a fixed number of keys.
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
 * @vcpu: what the host's file shows of it
 * @guest: number of its guest's file, SIZE_MAX without
 * @cpu: then which CPU of the guest it is
 * @nr_threads: how many threads run it, one after the other
 * @first: host TSC, in cycles, at which the first of them entered guest mode
 * @next: another vCPU that this CPU was at another time, VCPU_NONE without
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
 * struct explain_request - what is to be explained
 * @filter: of what there are answers
 * @vcpu: only of the vCPUs with this vcpu_id
 * @any_vcpu: of all
 * @frequency: what makes nanoseconds of the host's TSC; without it each cycle counts as one
 * @max_keys: for how many keys each table has room
 */
struct explain_request {
	struct explain_filter	filter;
	uint32_t		vcpu;
	bool			any_vcpu;
	struct tsc_frequency	frequency;
	size_t			max_keys;
};

/**
 * struct explanation - the answers
 * @request: what was asked; the caller's
 * @recording: the files; the caller's
 * @progress: begun with merged_recording_bytes() as the total, or all zeros; the caller's
 * @begin, @end: of the period
 * @vcpus: all vCPUs of the host; owned
 * @wanted: for each of these: there are answers of it; owned
 * @nr_vcpus: how many
 * @guests: for each file of a guest; owned
 * @nr_guests: how many
 * @states: what the vCPUs do; owned
 * @sums: the answers; owned
 * @reasons: names of reasons; owned
 * @nr_events: events that were read
 * @nr_lost: places in which events are missing
 * @nr_untold: events that were lost at unknown times
 * @nr_unreadable: events that do not fit their formats
 * @nr_guest_missing: how often sched_switch of the guests contradict each other, so that some are missing
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
