/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Reconciles the sources of the current offset of each vCPU of a running VM. Call them in this order: probe, debugfs,
 * boot instance, settle.
 */
#ifndef TSC_OFFSET_CURRENT_OFFSETS_H
#define TSC_OFFSET_CURRENT_OFFSETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mapping.h"

struct kvm_debugfs_vm;
struct tsc_offset_event;
struct vcpu_history;

/**
 * struct current_offset - the current offset of a vCPU
 * @vcpu_id: KVM's vcpu_id
 * @offset_known: the offset of @map is known
 * @scaling_known: the scaling of @map is known
 * @map: L1's offset and scaling
 * @asked: host TSC before the offset was read, in cycles: later changes may be missing
 * @host_tsc: host TSC after it was read, in cycles: earlier changes may be included
 * @by_probe: a probe read the kernel's memory, at @asked, which equals @host_tsc
 * @vm: number of the VM as a probe reports it, 0 without
 * @tsc_protected: a probe reports that KVM cannot change the TSC: the guest's offset and scaling are unknown, and @map
 *	has those with which KVM computes
 * @error: negative errno of the last read of debugfs, 0 if it succeeded
 */
struct current_offset {
	uint32_t		vcpu_id;
	bool			offset_known;
	bool			scaling_known;
	struct tsc_mapping	map;
	uint64_t		asked;
	uint64_t		host_tsc;
	bool			by_probe;
	uint32_t		vm;
	bool			tsc_protected;
	int			error;
};

int current_offsets_alloc(struct current_offset **offsets, const struct kvm_debugfs_vm *vm);
void current_offsets_take(struct current_offset *offsets, size_t nr, const struct tsc_offset_event *event);
void current_offsets_wait(struct current_offset *offsets, const struct kvm_debugfs_vm *vm);
int current_offsets_read(struct current_offset **offsets, const struct kvm_debugfs_vm *vm);
bool current_offsets_complete(struct current_offset *offsets, size_t nr, const struct kvm_debugfs_vm *vm);
bool current_offset_settle(struct current_offset *offset, const struct vcpu_history *boot);

#endif /* TSC_OFFSET_CURRENT_OFFSETS_H */
