/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Collects the VMs of a host while it is read, from a file (host_file.h) or live (live_host.h), and assigns threads and
 * events to them.
 */
#ifndef TSC_OFFSET_HOST_VMS_H
#define TSC_OFFSET_HOST_VMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host.h"

int host_thread_compare(const void *a, const void *b);
void host_thread_add_entries(struct host_thread *thread, const struct host_thread *more);
int host_vms_set_threads(struct host *host, struct host_thread *threads, size_t nr);
struct host_vm *host_vms_add(struct host *host, int id, enum vm_evidence evidence);
void host_vm_set_name(struct host_vm *vm, int vm_pid, int vm_fd, uint32_t vm_life, uint64_t vm_id);
struct host_vm *host_vms_by_name(struct host *host, int vm_pid, int vm_fd, uint32_t vm_life);
int host_vms_give_thread(struct host *host, size_t i, const struct host_vm *vm);
int host_vms_group(struct host *host);
int host_vm_thread(const struct host_vm *vm, uint32_t vcpu_id);
int host_vms_build_histories(struct host *host);
void host_vms_use_tsc(struct host *host);
const char *host_vm_label(const struct host *host, const struct host_vm *vm);
void host_vms_release(struct host *host);

/* For choosing one of them */
size_t host_vms_first_of_thread(const struct host *host, int tid);
struct host_vm *host_vms_of_thread(struct host *host, int tid);
bool host_vms_share_thread(const struct host *host, int tid);
int host_vm_add_thread(struct host_vm *vm, const struct host_thread *thread);
int host_vm_add_vcpus(const struct host *host, struct host_vm *vm);
void host_vms_sort_losses(struct host *host);
void host_vms_mark_losses(const struct host *host, struct host_vm *vm);

#endif /* TSC_OFFSET_HOST_VMS_H */
