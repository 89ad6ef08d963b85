/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The name that users gave the VM of a process, and how the host reaches its vsock. */
#ifndef TSC_OFFSET_VM_IDENTITY_H
#define TSC_OFFSET_VM_IDENTITY_H

#include <sys/types.h>

#include "vmm_command_line.h"

/**
 * enum vm_vsock - how the host reaches a VM's vsock
 * @VSOCK_UNKNOWN: that is not known
 * @VSOCK_NONE: it has none
 * @VSOCK_CID: by its address
 * @VSOCK_SOCKET: by a UNIX socket
 */
enum vm_vsock { VSOCK_UNKNOWN, VSOCK_NONE, VSOCK_CID, VSOCK_SOCKET };

/**
 * struct vm_identity - what a process says of its VM, which need not be true
 * @line: names, addresses and paths, of the command line and of other sources
 * @vsock: which of these leads to the guest
 */
struct vm_identity {
	struct vmm_command_line	line;
	enum vm_vsock		vsock;
};

int vm_identity_read(struct vm_identity *identity, pid_t pid);
void vm_identity_release(struct vm_identity *identity);

#endif /* TSC_OFFSET_VM_IDENTITY_H */
