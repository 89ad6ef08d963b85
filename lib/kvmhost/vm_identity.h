/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The user's name of a process's VM, and how the host reaches its vsock. */
#ifndef TSC_OFFSET_VM_IDENTITY_H
#define TSC_OFFSET_VM_IDENTITY_H

#include <sys/types.h>

#include "vmm_command_line.h"

/**
 * enum vm_vsock - how the host reaches a VM's vsock
 * @VSOCK_UNKNOWN: unknown
 * @VSOCK_NONE: it has no vsock
 * @VSOCK_CID: by its CID
 * @VSOCK_SOCKET: by a UNIX socket
 */
enum vm_vsock { VSOCK_UNKNOWN, VSOCK_NONE, VSOCK_CID, VSOCK_SOCKET };

/**
 * struct vm_identity - what a process claims about its VM; it may be wrong
 * @line: names, CIDs and paths, from the command line and other sources
 * @vsock: which of them reaches the guest
 */
struct vm_identity {
	struct vmm_command_line	line;
	enum vm_vsock		vsock;
};

int vm_identity_read(struct vm_identity *identity, pid_t pid);
void vm_identity_release(struct vm_identity *identity);

#endif /* TSC_OFFSET_VM_IDENTITY_H */
