/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The histories of a guest's vCPUs while it is recorded: its initial offsets and its events. */
#ifndef TSC_OFFSET_GUEST_HISTORY_H
#define TSC_OFFSET_GUEST_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "current_offsets.h"
#include "event_drainer.h"
#include "history.h"
#include "kvm_debugfs.h"
#include "vm_threads.h"

/**
 * struct guest_history - a guest being recorded
 * @pid: process of its VMM
 * @debugfs: the VM in debugfs; without a path if it is not there
 * @max_changes: limit of changes of a vCPU
 * @max_sum: limit of changes of all vCPUs
 * @drainer: source of events; its lock protects all members below. With an error, events are not read any more
 * @threads: the guest's threads
 * @initial: the initial offset of each vCPU, in the order of vcpu_id; owned
 * @guessed: for each vCPU: no source reported its initial offset
 * @nr_vcpus: number of vCPUs at the beginning
 * @events: the changes of these vCPUs and of vCPUs that were added since
 * @nr_changes: number of changes that were processed
 */
struct guest_history {
	pid_t			pid;
	struct kvm_debugfs_vm	debugfs;
	size_t			max_changes;
	size_t			max_sum;
	struct event_drainer	drainer;
	struct vm_threads	threads;
	struct current_offset	*initial;
	bool			*guessed;
	size_t			nr_vcpus;
	struct vm_history	events;
	size_t			nr_changes;
};

int guest_history_open(struct guest_history *guest, unsigned int number);
void guest_history_drain(struct guest_history *guest);
int guest_history_update(struct guest_history *guest);
struct vcpu_history *guest_history_vcpu(struct guest_history *guest, size_t vcpu);
int guest_history_close(struct guest_history *guest);

#endif /* TSC_OFFSET_GUEST_HISTORY_H */
