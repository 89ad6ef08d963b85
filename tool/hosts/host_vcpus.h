/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The vCPUs that a host's file shows, each with the times at which it was in guest mode and with the history of its
 * offset.
 *
 * Where the events name the VM, or the user its threads, a vCPU is all threads that run that vcpu_id of the VM. A stock
 * kernel shows threads only: there each thread is a vCPU by itself, and which of them are one VM's, or one vCPU before
 * and after it was unplugged, is for the fit (fit.h) to find out.
 */
#ifndef TSC_OFFSET_HOST_VCPUS_H
#define TSC_OFFSET_HOST_VCPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "history.h"
#include "vcpu_modes.h"

struct host;
struct initial_offsets;

/**
 * struct host_vcpu - a vCPU
 * @vm: number of its VM in the host's file, as far as the file shows it
 * @vcpu_id: KVM's vcpu_id
 * @tid: the thread that runs it; of several the lowest; 0 if none was seen to enter guest mode
 * @whole: all threads of the vCPU are in it
 * @modes: when it was in guest mode; owned
 * @history: of its offset; owned
 */
struct host_vcpu {
	size_t			vm;
	uint32_t		vcpu_id;
	int			tid;
	bool			whole;
	struct vcpu_modes	modes;
	struct vcpu_history	history;
};

/**
 * struct host_vcpus - all of a host's file
 * @vcpus: in the order of their VMs, vcpu_ids and threads; owned
 * @nr: how many
 * @begin, @end: first and last host TSC, in cycles, for which the file shows which vCPUs were in guest mode;
 *	@begin after @end if it does not show that
 * @nr_entries: entries into guest mode
 * @missing_exits: of these: those that came without the exit of the one before, on a host that records all exits
 */
struct host_vcpus {
	struct host_vcpu	*vcpus;
	size_t			nr;
	uint64_t		begin;
	uint64_t		end;
	uint64_t		nr_entries;
	uint64_t		missing_exits;
};

int host_vcpus_read(struct host_vcpus *vcpus, const struct host *host);
size_t host_vcpus_of_thread(const struct host_vcpus *vcpus, const struct host *host, size_t thread);
bool host_vcpus_lack_exits(const struct host_vcpus *vcpus);
void host_vcpus_set_initial(struct host_vcpus *vcpus, const struct initial_offsets *initial);
void host_vcpus_release(struct host_vcpus *vcpus);

#endif /* TSC_OFFSET_HOST_VCPUS_H */
