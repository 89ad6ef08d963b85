/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Reads the offsets back from the output of tsc-offset show --json, which is the state of a host at a time. It has the
 * initial offsets of later recordings.
 */
#ifndef TSC_OFFSET_SNAPSHOT_H
#define TSC_OFFSET_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "estimate_bound.h"
#include "host.h"
#include "mapping.h"

struct error;
struct show_report;
struct vm_history;

/**
 * struct snapshot_thread - a thread that runs a vCPU or wrote its offset
 * @tid: its thread id
 * @vcpu_id: KVM's vcpu_id of the vCPU
 */
struct snapshot_thread {
	int		tid;
	uint32_t	vcpu_id;
};

/**
 * struct snapshot_change - a change of a vCPU's offset
 * @host_tsc: its time, in host cycles
 * @map: the mapping after it
 * @previous: the offset before it, as in the event
 * @lost_before: changes before it may be missing
 */
struct snapshot_change {
	uint64_t		host_tsc;
	struct tsc_mapping	map;
	int64_t			previous;
	bool			lost_before;
};

/**
 * struct snapshot_vcpu - a vCPU
 * @vcpu_id: KVM's vcpu_id
 * @tsc_protected: the guest's TSC may differ from what KVM reports
 * @initial_known: @initial is valid
 * @initial: the mapping before the first change
 * @changes: changes in the order of time; owned
 * @nr_changes: number of @changes
 * @known: the members below are valid
 * @host_tsc: a host TSC, in cycles, at which or since which @map is valid
 * @map: offset and scaling at the end
 * @bound: error bound of @map
 */
struct snapshot_vcpu {
	uint32_t		vcpu_id;
	bool			tsc_protected;
	bool			initial_known;
	struct tsc_mapping	initial;
	struct snapshot_change	*changes;
	size_t			nr_changes;
	bool			known;
	uint64_t		host_tsc;
	struct tsc_mapping	map;
	struct estimate_bound	bound;
};

/**
 * struct snapshot_vm - a VM
 * @id: as in struct host_vm
 * @name: as in struct host_vm, "" if the file does not have it
 * @kvm_id: its vm_id as in struct host_vm, 0 if unknown
 * @guest_trace_id: TRACEID of the guest's file, 0 if unknown
 * @threads: its threads; owned
 * @nr_threads: number of @threads
 * @vcpus: vCPUs in the order of vcpu_id, without duplicates; owned
 * @nr_vcpus: number of @vcpus
 */
struct snapshot_vm {
	int			id;
	char			name[HOST_VM_NAME_SIZE];
	uint64_t		kvm_id;
	uint64_t		guest_trace_id;
	struct snapshot_thread	*threads;
	size_t			nr_threads;
	struct snapshot_vcpu	*vcpus;
	size_t			nr_vcpus;
};

/**
 * struct snapshot - the contents of a file
 * @complete: no change was missing
 * @vms: the VMs; owned
 * @nr_vms: number of @vms
 * @path: the file; not owned
 * @error: reason of a failure; not owned
 */
struct snapshot {
	bool			complete;
	struct snapshot_vm	*vms;
	size_t			nr_vms;
	const char		*path;
	struct error		*error;
};

int snapshot_write(const struct show_report *report, FILE *file);
int snapshot_read(struct snapshot *snapshot, const char *path, struct error *error);
int snapshot_history(const struct snapshot_vm *vm, struct vm_history *history);
void snapshot_release(struct snapshot *snapshot);

#endif /* TSC_OFFSET_SNAPSHOT_H */
