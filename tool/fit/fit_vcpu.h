/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A vCPU of the host, prepared for the fit of guest times: when it was in guest mode, and the phases of its TSC, each
 * with its mapping and its host times.
 */
#ifndef TSC_OFFSET_FIT_VCPU_H
#define TSC_OFFSET_FIT_VCPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mapping.h"

struct vcpu_modes;
struct vcpu_history;

/* Not the index of a phase, a vCPU or an event */
#define FIT_NONE SIZE_MAX

/**
 * struct fit_phase - a span of host time with one mapping
 * @from, @to: its first and last host time
 * @map: the mapping
 * @segment: index of the segment of the history that begins it, FIT_NONE before the first
 * @restored: host TSC of the last load of a saved state until then (vm_boots.h); 0 without
 * @load: number of that load, from 1 on; 0 without one, or if no phase begins with it
 * @saved: guest time of that state. Events that the guest recorded later, but before the load, are lost
 * @lost: the change that begins it was lost: @from is its earliest possible time
 * @guest_from, @guest_to: guest times of @from and @to, as signed numbers
 * @reach: the latest @guest_to of the subtree of phases of which this is the middle, see fit_vcpu_places()
 */
struct fit_phase {
	uint64_t		from;
	uint64_t		to;
	struct tsc_mapping	map;
	size_t			segment;
	uint64_t		restored;
	size_t			load;
	int64_t			saved;
	bool			lost;
	int64_t			guest_from;
	int64_t			guest_to;
	int64_t			reach;
};

/**
 * struct fit_vcpu - a vCPU
 * @vm: index of its VM, as far as the host's file shows it
 * @vcpu_id: KVM's vcpu_id
 * @tid: the thread that runs it, 0 if unknown
 * @modes: when it was in guest mode; not owned
 * @history: the history of its offset; not owned
 * @phases: phases in the order of @guest_from; owned
 * @nr_phases: number of @phases; 0 if no offset is known
 */
struct fit_vcpu {
	size_t				vm;
	uint32_t			vcpu_id;
	int				tid;
	const struct vcpu_modes		*modes;
	const struct vcpu_history	*history;
	struct fit_phase		*phases;
	size_t				nr_phases;
};

/**
 * struct fit_place - a place of a guest time on a vCPU
 * @phase: index of the phase
 * @host_tsc: the host time
 */
struct fit_place {
	size_t		phase;
	uint64_t	host_tsc;
};

/* The most phases considered for one guest time */
#define FIT_MAX_PLACES 16

int fit_vcpu_make(struct fit_vcpu *vcpu, const struct tsc_mapping *scaling, uint64_t since);
int fit_vcpu_make_shown(struct fit_vcpu *vcpu);
size_t fit_vcpu_places(const struct fit_vcpu *vcpu, uint64_t guest_tsc, struct fit_place *places);
bool fit_vcpu_lifetime(const struct fit_vcpu *vcpu, uint64_t *from, uint64_t *to);
bool fit_vcpu_coexist(const struct fit_vcpu *a, const struct fit_vcpu *b);
void fit_vcpu_release(struct fit_vcpu *vcpu);

#endif /* TSC_OFFSET_FIT_VCPU_H */
