// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>

#include "cleanup.h"
#include "firecracker_config.h"
#include "unix_listeners.h"
#include "vm_identity.h"
#include "vm_process.h"

/* Returns: 0 also if the file cannot be read, or -ENOMEM */
static int take_config(struct vmm_command_line *line, pid_t pid)
{
	_cleanup_(freep) char *path = NULL;
	struct firecracker_vsock vsock;
	int ret = vm_process_path(&path, pid, line->config_file);

	if (ret)
		return ret;
	ret = firecracker_config_read(&vsock, path);
	line->has_cid = vsock.has_cid;
	line->cid = vsock.cid;
	line->socket = vsock.socket;
	return ret == -ENOMEM ? ret : 0;
}

/* Returns: 0, also if the process has no socket or several; or -ENOMEM */
static int find_socket(struct vm_identity *identity, pid_t pid)
{
	struct vmm_command_line *line = &identity->line;
	int ret = line->socket ? 0 : unix_listeners_other(&line->socket, pid, line->api_socket);

	identity->vsock = !ret ? VSOCK_SOCKET : ret == -ENOENT ? VSOCK_NONE : VSOCK_UNKNOWN;
	return ret == -ENOMEM ? ret : 0;
}

/**
 * vm_identity_read - find the name and the vsock of a process's VM
 * @identity: result; must be released in any case
 * @pid: the process
 *
 * A configuration file on the command line is read too. A VMM whose vsock is a UNIX socket may have its path from its
 * API: then the socket is the only other one at which the VMM listens.
 *
 * Returns: 0, also if a part is unknown; -ENOENT if the process has ended, or another negative errno.
 */
int vm_identity_read(struct vm_identity *identity, pid_t pid)
{
	struct vmm_command_line *line = &identity->line;
	int ret;

	identity->vsock = VSOCK_UNKNOWN;
	ret = vmm_command_line_read(line, pid);
	if (!ret && line->config_file)
		ret = take_config(line, pid);
	if (ret)
		return ret;
	if (line->hybrid)
		return find_socket(identity, pid);
	if (line->has_cid)
		identity->vsock = VSOCK_CID;
	else if (!vm_process_has_vsock(pid))
		identity->vsock = VSOCK_NONE;
	return 0;
}

/**
 * vm_identity_release - free an identity
 * @identity: an identity, also after a failed read
 */
void vm_identity_release(struct vm_identity *identity)
{
	vmm_command_line_release(&identity->line);
}
