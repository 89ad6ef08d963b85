/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * What tsc-offset show --json writes, and how others get the offsets back from it: a host as it was at a
 * time, to be kept until a recording needs to know with which offsets it began.
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
 * struct snapshot_thread - a thread that has to do with a vCPU
 * @tid: its id
 * @vcpu_id: KVM's vcpu_id of that vCPU
 */
struct snapshot_thread {
	int		tid;
	uint32_t	vcpu_id;
};

/**
 * struct snapshot_change - a change of a vCPU's offset
 * @host_tsc: when, in host cycles
 * @map: what held from then on
 * @previous: the offset before, as the event said
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
 * @tsc_protected: what KVM says of its TSC is not what the guest has
 * @initial_known: @initial is what held before the first change
 * @initial: likewise
 * @changes: in the order of time; owned
 * @nr_changes: how many
 * @known: the others say what held at the end
 * @host_tsc: a host TSC, in cycles, since which or at which it held
 * @map: offset and scaling
 * @bound: how far it may be wrong
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
 * @id: as struct host_vm has it
 * @name: likewise, "" if the file does not say
 * @kvm_id: likewise its vm_id, 0 if it is not known
 * @guest_trace_id: TRACEID of the guest's file, 0 if it is not known
 * @threads: owned
 * @nr_threads: how many
 * @vcpus: in the order of vcpu_id, none twice; owned
 * @nr_vcpus: how many
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
 * struct snapshot - what was read back
 * @complete: no change was missing
 * @vms: owned
 * @nr_vms: how many
 * @path: the file; the caller's
 * @error: where reading it says what is wrong; the caller's
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
