/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The current TSC offset and ratio of each vCPU of this machine.
 *
 * A probe on the function that reads a vCPU's file in debugfs reports KVM's values: L1's offset and ratio, also while
 * L2 runs, the VM, and whether the TSC is protected. Reading the file triggers it for any vCPU, running or asleep. If
 * no probe can be defined, debugfs's own values are used; a kernel with our patches shows all of them there.
 */
#ifndef TSC_OFFSET_KVM_TSC_STATE_H
#define TSC_OFFSET_KVM_TSC_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include "current_offsets.h"
#include "error.h"
#include "kvm_debugfs.h"
#include "vcpu_mark.h"

/**
 * enum kvm_tsc_source - source of the values; a vCPU that the probe missed has debugfs's
 * @KVM_TSC_BY_DEBUGFS: debugfs of a stock kernel
 * @KVM_TSC_BY_PATCHED_DEBUGFS: debugfs of a kernel with our patches
 * @KVM_TSC_BY_PROBE: the probe
 */
enum kvm_tsc_source { KVM_TSC_BY_DEBUGFS, KVM_TSC_BY_PATCHED_DEBUGFS, KVM_TSC_BY_PROBE };

/**
 * struct kvm_tsc_state - all VMs, with the TSCs of their vCPUs
 * @dir: KVM's directory in debugfs; NULL if not mounted; owned
 * @vms: the VMs; owned
 * @nr_vms: number of @vms
 * @offsets: for each of @vms the offsets of its vCPUs, in the order of their ids; owned
 * @source: source of the offsets
 * @no_probe: why the probe was not used
 */
struct kvm_tsc_state {
	char			*dir;
	struct kvm_debugfs_vm	*vms;
	size_t			nr_vms;
	struct current_offset	**offsets;
	enum kvm_tsc_source	source;
	struct error		no_probe;
};

int kvm_tsc_state_read(struct kvm_tsc_state *state);
struct tsc_mapping kvm_tsc_state_mapping(const struct current_offset *offset);
int kvm_tsc_state_mark(struct vcpu_mark *mark, const struct kvm_debugfs_vm *vm, const struct current_offset *offset);
bool kvm_tsc_state_doubt(const struct kvm_tsc_state *state, char *text, size_t size);
void kvm_tsc_state_release(struct kvm_tsc_state *state);

#endif /* TSC_OFFSET_KVM_TSC_STATE_H */
