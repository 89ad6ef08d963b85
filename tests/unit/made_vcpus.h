/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A fake host: vCPUs that are in guest mode for random spans of host time, with offsets that change, and events of
 * guests' CPUs in these spans.
 */
#ifndef TEST_MADE_VCPUS_H
#define TEST_MADE_VCPUS_H

#include <stddef.h>
#include <stdint.h>

#include "fit_path.h"
#include "history.h"
#include "vcpu_modes.h"

#define MADE_VCPUS	12
#define MADE_BEGIN	1000000ULL
#define MADE_END	2000000ULL

/**
 * struct made_vcpu - a vCPU to make
 * @vm, @vcpu_id, @tid: as in struct fit_vcpu
 * @from, @to: bounds of the host time in which it runs; outside them it is not in guest mode. 0: all of the recording
 * @offset: its offset; 0 if it is not known
 * @change: host TSC of its only change of offset; 0 for none
 * @changed: offset after this change
 */
struct made_vcpu {
	size_t		vm;
	uint32_t	vcpu_id;
	int		tid;
	uint64_t	from;
	uint64_t	to;
	int64_t		offset;
	uint64_t	change;
	int64_t		changed;
};

/**
 * struct made_vcpus - a host
 * @host: the input of the code under test
 * @vcpus, @modes, @histories: what @host points to
 */
struct made_vcpus {
	struct fit_host		host;
	struct fit_vcpu		vcpus[MADE_VCPUS];
	struct vcpu_modes	modes[MADE_VCPUS];
	struct vcpu_history	histories[MADE_VCPUS];
};

void made_vcpus_make(struct made_vcpus *made, const struct made_vcpu *vcpus, size_t nr, uint64_t *seed);
uint64_t made_vcpus_time(const struct vcpu_modes *modes, uint64_t from, uint64_t to, uint64_t *seed);
void made_vcpus_events(const struct made_vcpus *made, size_t vcpu, uint64_t from, uint64_t to, uint64_t *times,
		       size_t nr, uint64_t *seed);
void made_vcpus_release(struct made_vcpus *made);

#endif /* TEST_MADE_VCPUS_H */
