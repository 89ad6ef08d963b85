/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The VM's vsock in a file for Firecracker's --config-file. */
#ifndef TSC_OFFSET_FIRECRACKER_CONFIG_H
#define TSC_OFFSET_FIRECRACKER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

/**
 * struct firecracker_vsock - a vsock
 * @has_cid: @cid is valid
 * @cid: the guest's CID
 * @socket: path of the UNIX socket on the host as in the file, or NULL; owned
 */
struct firecracker_vsock {
	bool		has_cid;
	uint32_t	cid;
	char		*socket;
};

int firecracker_config_read(struct firecracker_vsock *vsock, const char *path);

#endif /* TSC_OFFSET_FIRECRACKER_CONFIG_H */
