/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* A process that runs VMs, by /proc: its threads, its KVM file descriptors, its age. */
#ifndef TSC_OFFSET_VM_PROCESS_H
#define TSC_OFFSET_VM_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

bool vm_process_exists(pid_t tid);
bool vm_process_has_thread(pid_t pid, pid_t tid);
bool vm_process_has_vm(pid_t pid, int fd);
size_t vm_process_nr_vms(pid_t pid);
pid_t vm_process_of_thread(pid_t tid);
pid_t vm_process_of_event(pid_t tid, pid_t vm_pid, int vm_fd);
bool vm_process_has_vsock(pid_t pid);
bool vm_process_may_have_cid(pid_t pid, unsigned int cid);
int vm_process_by_cid(unsigned int cid, pid_t *pid);
int vm_process_list(pid_t **pids, size_t *nr, bool *all);
int vm_process_age(pid_t pid, uint64_t *seconds);
int vm_process_path(char **path, pid_t pid, const char *name);

#endif /* TSC_OFFSET_VM_PROCESS_H */
