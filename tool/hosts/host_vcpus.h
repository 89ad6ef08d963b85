/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The vCPUs of a host's file, each with the times at which it was in guest mode and with the history of its offset.
 *
 * If events have the VM, or the user named its threads, a vCPU consists of all threads that run that vcpu_id of the VM.
 * A stock kernel shows only threads: then each thread is a vCPU of its own, and the fit (fit.h) finds which of them are
 * one VM's, or the same vCPU before and after it was unplugged.
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
struct vcpu_threads;

/**
 * struct host_vcpu - a vCPU
 * @vm: index of its VM in the host's file, as far as the file shows it
 * @vcpu_id: KVM's vcpu_id
 * @tid: the thread that runs it, the lowest of several; 0 if none entered guest mode
 * @whole: it includes all threads of the vCPU
 * @modes: when it was in guest mode; owned
 * @history: the history of its offset; owned
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
 * struct host_vcpus - all vCPUs of a host's file
 * @vcpus: vCPUs in the order of VM, vcpu_id and thread; owned
 * @nr: number of @vcpus
 * @store: where the spans of all @modes are that need more memory than a limit; @vcpus point to it
 * @begin, @end: first and last host TSC, in cycles, for which the file shows the vCPUs in guest mode; @begin is after
 *	@end if it does not show them
 * @nr_entries: number of entries into guest mode
 * @missing_exits: number of entries without an exit before them, on a host that records all exits
 */
struct host_vcpus {
	struct host_vcpu	*vcpus;
	size_t			nr;
	struct mode_store	store;
	uint64_t		begin;
	uint64_t		end;
	uint64_t		nr_entries;
	uint64_t		missing_exits;
};

int host_vcpus_read(struct host_vcpus *vcpus, const struct host *host);
size_t host_vcpus_of_thread(const struct host_vcpus *vcpus, const struct host *host, size_t thread);
int host_vcpus_threads(const struct host_vcpus *vcpus, const struct host *host, struct vcpu_threads *threads);
int host_vcpus_error(const struct host_vcpus *vcpus, const struct host *host);
bool host_vcpus_lack_exits(const struct host_vcpus *vcpus);
void host_vcpus_set_initial(struct host_vcpus *vcpus, const struct initial_offsets *initial);
void host_vcpus_release(struct host_vcpus *vcpus);

#endif /* TSC_OFFSET_HOST_VCPUS_H */
