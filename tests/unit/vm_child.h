/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Processes that seem to have a KVM VM, without /dev/kvm, and independent of the machine's VMs.
 *
 * /proc shows VMs by the targets of links, and devices by their numbers. A test with vm_child.c is linked with
 * --wrap=readlink, which makes files named kvm-vm VMs, and with --wrap=statx, which makes /dev/null /dev/vhost-vsock.
 */
#ifndef TEST_VM_CHILD_H
#define TEST_VM_CHILD_H

#include <sys/types.h>

/**
 * struct vm_child - a process
 * @pid: its number
 * @stdin_fd: it ends when this is closed
 */
struct vm_child {
	pid_t	pid;
	int	stdin_fd;
};

/* What a child has for the device vhost-vsock */
enum vm_child_vsock { NO_VSOCK, VSOCK_DEVICE, VSOCK_FILE };

void vm_child_start(struct vm_child *child, int vm_fd, enum vm_child_vsock vsock, const char *argument);
void vm_child_end(struct vm_child *child);

#endif /* TEST_VM_CHILD_H */
