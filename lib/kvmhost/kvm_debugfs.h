/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The current TSC values of a VM's vCPUs in KVM's debugfs.
 *
 * A VM's directory is <debugfs>/kvm/<thread that created the VM>-<its file descriptor>, with a directory vcpu<vcpu_id>
 * for each vCPU.
 */
#ifndef TSC_OFFSET_KVM_DEBUGFS_H
#define TSC_OFFSET_KVM_DEBUGFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "mapping.h"

/**
 * struct kvm_debugfs_vm - one VM's directory
 * @path: the directory; owned
 * @creator: the thread that created the VM; it may have exited
 * @fd: the VM's file descriptor
 * @id: the number that a kernel with our patches gives the VM (event.h), 0 on others
 * @vcpu_ids: KVM's vcpu_ids in ascending order, which is the guest's order of CPUs; owned
 * @nr_vcpus: number of @vcpu_ids
 */
struct kvm_debugfs_vm {
	char		*path;
	pid_t		creator;
	int		fd;
	uint64_t	id;
	uint32_t	*vcpu_ids;
	size_t		nr_vcpus;
};

int kvm_debugfs_open(struct kvm_debugfs_vm *vm, const char *kvm_dir, pid_t pid);
int kvm_debugfs_list(struct kvm_debugfs_vm **vms, size_t *nr, const char *kvm_dir);
void kvm_debugfs_list_free(struct kvm_debugfs_vm *vms, size_t nr);
bool kvm_debugfs_shows_vm(const char *kvm_dir);
int kvm_debugfs_age(const char *kvm_dir, pid_t creator, int fd, uint64_t *seconds);
void kvm_debugfs_close(struct kvm_debugfs_vm *vm);
bool kvm_debugfs_tsc_protected(const struct kvm_debugfs_vm *vm, uint32_t vcpu_id);
bool kvm_debugfs_shows_l1(const struct kvm_debugfs_vm *vm);
int kvm_debugfs_l1(const struct kvm_debugfs_vm *vm, uint32_t vcpu_id, struct tsc_mapping *map);
pid_t kvm_debugfs_process(const struct kvm_debugfs_vm *vm);
pid_t kvm_debugfs_thread(const struct kvm_debugfs_vm *vm, uint32_t vcpu_id);
int kvm_debugfs_active(const struct kvm_debugfs_vm *vm, uint32_t vcpu_id, struct tsc_mapping *map);

#endif /* TSC_OFFSET_KVM_DEBUGFS_H */
