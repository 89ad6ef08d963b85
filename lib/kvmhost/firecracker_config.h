/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* What a file for Firecracker's --config-file says of the VM's vsock. */
#ifndef TSC_OFFSET_FIRECRACKER_CONFIG_H
#define TSC_OFFSET_FIRECRACKER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct firecracker_vsock - a vsock
 * @has_cid: the guest's address is there
 * @cid: that address
 * @socket: path of the UNIX socket on the host as the file has it, NULL without; owned
 */
struct firecracker_vsock {
	bool		has_cid;
	uint32_t	cid;
	char		*socket;
};

int firecracker_config_read(struct firecracker_vsock *vsock, const char *path);

#endif /* TSC_OFFSET_FIRECRACKER_CONFIG_H */
