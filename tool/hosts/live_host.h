/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The running VMs of this machine: the history of their offsets from the instance that was set up at boot, the current
 * values from KVM's debugfs, and the processes of the VMs from /proc.
 */
#ifndef TSC_OFFSET_LIVE_HOST_H
#define TSC_OFFSET_LIVE_HOST_H

#include <stdbool.h>

#include "findings.h"
#include "host.h"

/**
 * struct live_host - this machine
 * @host: the host, without a file
 * @has_history: the instance exists
 * @complete: nothing is missing
 * @findings: what is missing if not @complete; owned
 */
struct live_host {
	struct host		host;
	bool			has_history;
	bool			complete;
	struct findings		findings;
};

int live_host_read(struct live_host *live);
void live_host_release(struct live_host *live);

#endif /* TSC_OFFSET_LIVE_HOST_H */
