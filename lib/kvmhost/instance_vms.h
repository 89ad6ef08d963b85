/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The VMs of which the instance tsc_offset has events, and the running VMs of which it has none. */
#ifndef TSC_OFFSET_INSTANCE_VMS_H
#define TSC_OFFSET_INSTANCE_VMS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "history.h"

/**
 * struct recorded_thread - a thread that wrote offsets of a VM
 * @tid: the thread
 * @vm_pid, @vm_fd: the VM as its events name it, 0 and -1 without
 * @vm_id: the VM's number (event.h), 0 without
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
 * struct instance_vms - the events matched with /proc
 * @history: history of the running VMs, each identified by its process
 * @threads: all threads that wrote offsets
 * @nr_threads: number of @threads
 * @nr_ended: number of them that belong to no running VM
 * @unrecorded: processes that run a VM without events
 * @nr_unrecorded: number of @unrecorded
 * @nr_events: number of events that were read
 * @oldest: time of the first event by the instance's clock
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
