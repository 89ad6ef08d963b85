/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The boots of a VM: KVM created its vCPUs, the guest was reset, or a saved state was loaded. */
#ifndef TSC_OFFSET_VM_BOOTS_H
#define TSC_OFFSET_VM_BOOTS_H

#include <stddef.h>
#include <stdint.h>

struct vcpu_history;
struct vm_history;

/**
 * enum vm_boot_kind - how a guest booted
 * @VM_GOES_ON: no boot
 * @VM_MADE: KVM created the vCPU, whose TSC began near 0
 * @VM_RESET: the TSC was set back to near 0
 * @VM_RESTORED: the VMM set the TSC of a new or reset vCPU to that of a saved guest
 */
enum vm_boot_kind {
	VM_GOES_ON,
	VM_MADE,
	VM_RESET,
	VM_RESTORED,
};

/**
 * struct vm_boot - a boot of a VM
 * @host_tsc: time of the first vCPU's change, in cycles
 * @kind: what it was
 */
struct vm_boot {
	uint64_t		host_tsc;
	enum vm_boot_kind	kind;
};

/**
 * struct vm_boots - all boots of a VM
 * @boots: in the order of time; owned
 * @nr: number of @boots
 */
struct vm_boots {
	struct vm_boot	*boots;
	size_t		nr;
};

size_t vcpu_change_before(const struct vcpu_history *vcpu, size_t i);
enum vm_boot_kind vcpu_boot_kind(const struct vcpu_history *vcpu, size_t i);
const char *vm_boot_word(enum vm_boot_kind kind);
int vm_boots_find(struct vm_boots *boots, const struct vm_history *vm);
void vm_boots_release(struct vm_boots *boots);

#endif /* TSC_OFFSET_VM_BOOTS_H */
