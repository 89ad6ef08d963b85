/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Reduces the events of all sources to the changes of each vCPU's TSC: each change once, with its VM. */
#ifndef TSC_OFFSET_TSC_CHANGES_H
#define TSC_OFFSET_TSC_CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tsc_offset_event;

/**
 * struct tsc_vm_name - which VM has a number, as KVM's debugfs told while it was there
 * @vm_id: the number
 * @vm_pid, @vm_fd: the VM
 */
struct tsc_vm_name {
	uint64_t	vm_id;
	int		vm_pid;
	int		vm_fd;
};

int tsc_changes_name_vms(struct tsc_offset_event *events, size_t nr, const struct tsc_vm_name *names, size_t nr_names);
int tsc_changes_make(struct tsc_offset_event *events, size_t *nr, bool with_kernel);

#endif /* TSC_OFFSET_TSC_CHANGES_H */
