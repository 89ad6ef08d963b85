/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The CPUs of a guest as the vCPUs that they are: which thread of the host ran each, when it was in guest mode, and the
 * history of its offset as the events in the guest's file lived through it. That can be parts of the histories of
 * several vCPUs, one after the other, and none of what happened before the guest recorded.
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
 * struct guest_vcpu_source - a vCPU of the host that a CPU was
 * @modes: when it was in guest mode
 * @history: of its offset
 */
struct guest_vcpu_source {
	const struct vcpu_modes		*modes;
	const struct vcpu_history	*history;
};

/**
 * struct guest_vcpu_part - events of a CPU, in the order in which it recorded them, for which one mapping holds
 * @page, @number: of the buffer that the fit is of: the page of the first event that may be of it, and the number of
 *	that event in the page
 * @jumped: the TSC jumped forward to @guest_from, in guest cycles: the part begins with the first event from there on
 *	whose time is not less
 * @map: the mapping
 * @host_from, @host_to: first and last host TSC, in cycles, for which it held
 * @source: number of the vCPU among the CPU's sources
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
 * @known: it is known which vCPU it is
 * @has_events: it recorded something
 * @vcpu_id: KVM's vcpu_id of that
 * @tid: the thread that runs it, the last of several; 0 if that is not known
 * @modes: when it was in guest mode; that of a vCPU of the host, or @joined; NULL if it is not known which vCPU it is
 * @joined: of several vCPUs; owned
 * @history: of its offset; owned. Where the TSC jumped backward the segments say which guest times are theirs.
 * @begins_unknown: there are events before the first change, and what held before that is not known
 * @sources: the host's vCPUs that it was, one after the other; owned
 * @nr_sources: how many
 * @parts: its events, part by part; none if it is not known what held before the first change; owned
 * @nr_parts: how many
 * @overlaps: guest times from @overlap_from to @overlap_to, in guest cycles, that are of events before a jump
 *	backward as well as of events after it, or may be
 * @undecided: for some of these events nothing decides it
 * @nr_late: events that follow a jump backward within a page, of those that were looked at: their times are too late
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
 * @cpus: from CPU 0 on; owned
 * @nr: how many
 */
struct guest_vcpus {
	struct guest_vcpu	*cpus;
	size_t			nr;
};

int guest_vcpus_make(struct guest_vcpus *vcpus, const struct fit *fit, const struct fit_input *input,
		     const struct guest_sample *sample, struct trace_dat *dat, const struct trace_dat_buffer *buffer);
void guest_vcpus_release(struct guest_vcpus *vcpus);

#endif /* TSC_OFFSET_GUEST_VCPUS_H */
