/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The running VMs of this machine as their users know them, with their current TSCs. */
#ifndef TSC_OFFSET_RUNNING_VMS_H
#define TSC_OFFSET_RUNNING_VMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent_connections.h"
#include "findings.h"
#include "live_host.h"
#include "vm_identity.h"

struct host_vm;

/**
 * struct running_vm - a VM
 * @pid: the process that runs it; 0 if unknown
 * @vm: its vCPUs and their TSCs; NULL if only /proc shows the VM. Valid as long as the running_vms
 * @identity: the claims of the process; not trusted; owned
 * @age_known: @age is known
 * @age: seconds since KVM created the VM; if debugfs cannot be read, since the process started
 * @agent: whether an agent accepts connections; unknown before running_vms_ask()
 */
struct running_vm {
	pid_t			pid;
	const struct host_vm	*vm;
	struct vm_identity	identity;
	bool			age_known;
	uint64_t		age;
	enum agent_answer	agent;
};

/**
 * struct running_vms - all running VMs
 * @live: this machine; owned
 * @vms: VMs in the order of their processes; owned
 * @nr: number of @vms
 * @capacity: number of VMs that fit without growing
 * @complete: nothing is missing
 * @findings: what is missing if not @complete; owned
 */
struct running_vms {
	struct live_host	live;
	struct running_vm	*vms;
	size_t			nr;
	size_t			capacity;
	bool			complete;
	struct findings		findings;
};

int running_vms_read(struct running_vms *vms);
bool running_vm_reached_by_cid(const struct running_vm *vm);
bool running_vm_is_called(const struct running_vm *vm, const char *name);
int running_vms_ask(struct running_vms *vms, unsigned int port, unsigned int timeout_ms);
void running_vms_release(struct running_vms *vms);

#endif /* TSC_OFFSET_RUNNING_VMS_H */
