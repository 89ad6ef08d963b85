/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Where the running kernel keeps the TSC values of a vCPU: offsets of struct members from the kernel's BTF. */
#ifndef TSC_OFFSET_KVM_LAYOUT_H
#define TSC_OFFSET_KVM_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#define KVM_BTF_DIR	"/sys/kernel/btf"

struct error;

/**
 * struct kvm_layout - offsets of members in their structs, in bytes
 * @vcpu_kvm: kvm_vcpu.kvm, the VM
 * @vcpu_id: kvm_vcpu.vcpu_id, 32 bits
 * @l1_offset: kvm_vcpu.arch.l1_tsc_offset, 64 bits
 * @offset: kvm_vcpu.arch.tsc_offset, 64 bits: L2's while L2 runs
 * @l1_ratio: kvm_vcpu.arch.l1_tsc_scaling_ratio, 64 bits
 * @has_protected: this kernel has guest_tsc_protected
 * @tsc_protected: kvm_vcpu.arch.guest_tsc_protected, 8 bits
 * @vm_pid: kvm.userspace_pid, 32 bits: the thread that created the VM
 * @vm_dentry: kvm.debugfs_dentry, the VM's directory in debugfs
 * @dentry_name: dentry.d_name.name, a string
 */
struct kvm_layout {
	uint32_t	vcpu_kvm;
	uint32_t	vcpu_id;
	uint32_t	l1_offset;
	uint32_t	offset;
	uint32_t	l1_ratio;
	bool		has_protected;
	uint32_t	tsc_protected;
	uint32_t	vm_pid;
	uint32_t	vm_dentry;
	uint32_t	dentry_name;
};

int kvm_layout_read(struct kvm_layout *layout, const char *btf_dir, struct error *error);

#endif /* TSC_OFFSET_KVM_LAYOUT_H */
