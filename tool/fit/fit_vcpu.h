/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A vCPU of the host as a guest's times can be held in it: when it was in guest mode, and the phases of its TSC, each
 * with the mapping that held and the host times for which it did.
 */
#ifndef TSC_OFFSET_FIT_VCPU_H
#define TSC_OFFSET_FIT_VCPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mapping.h"

struct vcpu_modes;
struct vcpu_history;

/* In place of the number of a phase, a vCPU or an event: none */
#define FIT_NONE SIZE_MAX

/**
 * struct fit_phase - host times for which one mapping held
 * @from, @to: the first and the last of them
 * @map: the mapping
 * @segment: number of the segment of the history that began it, FIT_NONE for what held before the first
 * @restored: when a saved state of the VM was loaded for the last time, by then (vm_boots.h), host TSC; 0 if it was not
 * @load: number of that load, from 1 on; 0 without one, or if no phase began with it
 * @saved: the guest time of that state: what the guest recorded at later ones before it was loaded is gone
 * @lost: the change that began it was lost: @from is the earliest that it can have been
 * @guest_from, @guest_to: the guest times of @from and @to, as signed numbers
 * @reach: the latest @guest_to of the phases of which this is the middle one, see fit_vcpu_places()
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
 * @vm: number of its VM, as far as the host's file shows it
 * @vcpu_id: KVM's vcpu_id
 * @tid: the thread that runs it, 0 if that is not known
 * @modes: when it was in guest mode; the caller's
 * @history: of its offset; the caller's
 * @phases: in the order of @guest_from; owned
 * @nr_phases: how many; none if no offset is known
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
 * struct fit_place - where a guest time lies on a vCPU
 * @phase: number of the phase
 * @host_tsc: the host time
 */
struct fit_place {
	size_t		phase;
	uint64_t	host_tsc;
};

/* Phases that can hold the same guest time; more of them are left out */
#define FIT_MAX_PLACES 16

int fit_vcpu_make(struct fit_vcpu *vcpu, const struct tsc_mapping *scaling, uint64_t since);
int fit_vcpu_make_shown(struct fit_vcpu *vcpu);
size_t fit_vcpu_places(const struct fit_vcpu *vcpu, uint64_t guest_tsc, struct fit_place *places);
bool fit_vcpu_lifetime(const struct fit_vcpu *vcpu, uint64_t *from, uint64_t *to);
bool fit_vcpu_coexist(const struct fit_vcpu *a, const struct fit_vcpu *b);
void fit_vcpu_release(struct fit_vcpu *vcpu);

#endif /* TSC_OFFSET_FIT_VCPU_H */
