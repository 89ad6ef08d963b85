/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Processes that look as if they had a VM of KVM: without /dev/kvm, and whatever VMs the machine has.
 *
 * /proc shows which files are VMs by the targets of links, and which are devices by their numbers. A test that has
 * vm_child.c is linked with --wrap=readlink, which has files named kvm-vm be VMs, and with --wrap=statx, which has
 * /dev/null be /dev/vhost-vsock.
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
