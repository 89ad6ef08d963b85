/* SPDX-License-Identifier: GPL-2.0 */
/* What /proc tells of a process that runs VMs: its threads and its KVM file descriptors. */
#ifndef TSC_OFFSET_VM_PROCESS_H
#define TSC_OFFSET_VM_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

bool vm_process_exists(pid_t tid);
bool vm_process_has_thread(pid_t pid, pid_t tid);
bool vm_process_has_vm(pid_t pid, int fd);
bool vm_process_may_have_cid(pid_t pid, unsigned int cid);
int vm_process_by_cid(unsigned int cid, pid_t *pid);

#endif /* TSC_OFFSET_VM_PROCESS_H */
