/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The CPUs of a guest with their vCPUs: the host thread that ran each, when it was in guest mode, and the history of
 * its offset for the events of the guest's file. This history can consist of parts of the histories of several vCPUs in
 * sequence, and has no changes from before the guest recorded.
 */
#ifndef TSC_OFFSET_GUEST_VCPUS_H
#define TSC_OFFSET_GUEST_VCPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "history.h"
#include "vcpu_modes.h"

struct fit;
struct fit_input;
struct guest_sample;
struct trace_dat;
struct trace_dat_buffer;

/**
 * struct guest_vcpu_source - a vCPU of the host that was this CPU
 * @modes: when it was in guest mode
 * @history: the history of its offset
 */
struct guest_vcpu_source {
	const struct vcpu_modes		*modes;
	const struct vcpu_history	*history;
};

/**
 * struct guest_vcpu_part - consecutive events of a CPU with one mapping
 * @page, @number: place in the fitted buffer of the first event that may belong to the part: page, and number in the
 *	page
 * @jumped: the TSC jumped forward to @guest_from, in guest cycles: the part begins with the first event from that place
 *	on whose time is not less
 * @map: the mapping
 * @host_from, @host_to: first and last host TSC of the mapping, in cycles
 * @source: index of the vCPU in the CPU's sources
 */
struct guest_vcpu_part {
	uint64_t		page;
	uint32_t		number;
	bool			jumped;
	uint64_t		guest_from;
	struct tsc_mapping	map;
	uint64_t		host_from;
	uint64_t		host_to;
	size_t			source;
};

/**
 * struct guest_vcpu - a CPU of a guest
 * @known: its vCPU is known
 * @has_events: it has events
 * @vcpu_id: KVM's vcpu_id of the vCPU
 * @tid: the thread that runs it, the last of several; 0 if unknown
 * @modes: when it was in guest mode; of a vCPU of the host, or @joined; NULL if the vCPU is unknown
 * @joined: modes joined from several vCPUs; owned
 * @history: the history of its offset; owned. After a jump backward, segments have the first guest time of theirs
 * @begins_unknown: there are events before the first change, and the offset before it is unknown
 * @sources: the host's vCPUs that were this CPU, in sequence; owned
 * @nr_sources: number of @sources
 * @parts: its events in parts; none if the offset before the first change is unknown; owned
 * @nr_parts: number of @parts
 * @overlaps: guest times from @overlap_from to @overlap_to, in guest cycles, belong or may belong to events before as
 *	well as after a jump backward
 * @undecided: nothing decides it for some of these events
 * @nr_late: number of read events after a jump backward within a page: their times are too late
 */
struct guest_vcpu {
	bool				known;
	bool				has_events;
	uint32_t			vcpu_id;
	int				tid;
	const struct vcpu_modes		*modes;
	struct vcpu_modes		joined;
	struct vcpu_history		history;
	bool				begins_unknown;
	struct guest_vcpu_source	*sources;
	size_t				nr_sources;
	struct guest_vcpu_part		*parts;
	size_t				nr_parts;
	bool				overlaps;
	bool				undecided;
	uint64_t			overlap_from;
	uint64_t			overlap_to;
	uint64_t			nr_late;
};

/**
 * struct guest_vcpus - the CPUs of a guest
 * @cpus: CPUs from 0 on; owned
 * @nr: number of @cpus
 */
struct guest_vcpus {
	struct guest_vcpu	*cpus;
	size_t			nr;
};

int guest_vcpus_make(struct guest_vcpus *vcpus, const struct fit *fit, const struct fit_input *input,
		     const struct guest_sample *sample, struct trace_dat *dat, const struct trace_dat_buffer *buffer);
void guest_vcpus_release(struct guest_vcpus *vcpus);

#endif /* TSC_OFFSET_GUEST_VCPUS_H */
