/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Which VMs the instance tsc_offset has events of, and which that run it has not. */
#ifndef TSC_OFFSET_INSTANCE_VMS_H
#define TSC_OFFSET_INSTANCE_VMS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "history.h"

/**
 * struct recorded_thread - a thread that wrote offsets of a VM
 * @tid: the thread
 * @vm_pid, @vm_fd: the VM as its events name it, 0 and -1 if they do not
 * @vm_id: its number (event.h), 0 if they do not report it
 * @pid: the process that runs the VM now, 0 if it has ended
 */
struct recorded_thread {
	int		tid;
	int		vm_pid;
	int		vm_fd;
	uint64_t	vm_id;
	pid_t		pid;
};

/**
 * struct instance_vms - what the events and /proc say together
 * @history: of the VMs that run, each known by its process
 * @threads: all that wrote offsets, for each VM
 * @nr_threads: how many
 * @nr_ended: how many of them belong to no VM that runs
 * @unrecorded: processes that run a VM of which there is no event
 * @nr_unrecorded: how many
 * @nr_events: how many events were read
 * @oldest: time of the first of them, by the instance's clock
 */
struct instance_vms {
	struct tsc_history	history;
	struct recorded_thread	*threads;
	size_t			nr_threads;
	size_t			nr_ended;
	pid_t			*unrecorded;
	size_t			nr_unrecorded;
	size_t			nr_events;
	uint64_t		oldest;
};

int instance_vms_read(struct instance_vms *vms);
int instance_vms_find_unrecorded(struct instance_vms *vms);
size_t instance_vm_late(const struct vm_history *vm);
size_t instance_vm_gaps(const struct vm_history *vm);
void instance_vms_release(struct instance_vms *vms);

#endif /* TSC_OFFSET_INSTANCE_VMS_H */
