/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The current offset of each vCPU of this machine.
 *
 * A probe on the function that reads a vCPU's file in debugfs reports what KVM has: L1's offset and ratio, also while L2
 * runs, the VM, and whether the TSC is protected. Reading the file is enough for any vCPU, whether it runs or sleeps.
 * If no probe can be defined, debugfs's own values are used; a kernel with our patches shows all of them there.
 */
#ifndef TSC_OFFSET_HOST_NOW_H
#define TSC_OFFSET_HOST_NOW_H

#include <stdbool.h>
#include <stddef.h>

#include "current_offsets.h"
#include "error.h"
#include "kvm_debugfs.h"
#include "vcpu_mark.h"

/**
 * enum host_now_source - where the values are from; a vCPU that a probe missed has debugfs's
 * @HOST_NOW_DEBUGFS: debugfs of a stock kernel
 * @HOST_NOW_PATCHED: debugfs of a kernel with our patches
 * @HOST_NOW_PROBE: the probe
 */
enum host_now_source { HOST_NOW_DEBUGFS, HOST_NOW_PATCHED, HOST_NOW_PROBE };

/**
 * struct host_now - all VMs
 * @dir: KVM's directory in debugfs; NULL if that is not mounted; owned
 * @vms: owned
 * @nr_vms: how many
 * @offsets: for each of @vms those of its vCPUs, in the order of their ids; owned
 * @source: where they are from
 * @no_probe: why not from the probe
 */
struct host_now {
	char			*dir;
	struct kvm_debugfs_vm	*vms;
	size_t			nr_vms;
	struct current_offset	**offsets;
	enum host_now_source	source;
	struct error		no_probe;
};

int host_now_read(struct host_now *now);
struct tsc_mapping host_now_mapping(const struct current_offset *offset);
int host_now_mark(struct vcpu_mark *mark, const struct kvm_debugfs_vm *vm, const struct current_offset *offset);
bool host_now_doubt(const struct host_now *now, char *text, size_t size);
void host_now_release(struct host_now *now);

#endif /* TSC_OFFSET_HOST_NOW_H */
