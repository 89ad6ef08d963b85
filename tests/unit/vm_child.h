/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Processes that appear to have a KVM VM, without /dev/kvm, and independent of the machine's VMs.
 *
 * /proc shows VMs by the targets of links, and devices by their numbers. Link a test with vm_child.c with
 * --wrap=readlink, which turns files named kvm-vm into VMs, and with --wrap=statx, which turns /dev/null into
 * /dev/vhost-vsock.
 */
#ifndef TEST_VM_CHILD_H
#define TEST_VM_CHILD_H

#include <sys/types.h>

/**
 * struct vm_child - a process
 * @pid: its number
 * @stdin_fd: the process ends when this is closed
 */
struct vm_child {
	pid_t	pid;
	int	stdin_fd;
};

/* Whether a child has the device vhost-vsock, or an ordinary file with its name */
enum vm_child_vsock { NO_VSOCK, VSOCK_DEVICE, VSOCK_FILE };

void vm_child_start(struct vm_child *child, int vm_fd, enum vm_child_vsock vsock, const char *argument);
void vm_child_end(struct vm_child *child);

#endif /* TEST_VM_CHILD_H */
