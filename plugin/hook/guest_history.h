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
 * struct guest_history - a guest that is being watched
 * @pid: process of its VMM
 * @debugfs: the VM there; without a path: it is not there
 * @max_changes: how many of a vCPU are kept
 * @max_sum: how many of all vCPUs are kept
 * @drainer: where the events come from; its lock is for all that follows. With an error they are not read any more.
 * @threads: which are the guest's
 * @initial: the initial offset of each vCPU, in the order of vcpu_id; owned
 * @guessed: for each vCPU, neither its own events nor anything else reported its initial offset
 * @nr_vcpus: vCPUs that the host showed at the beginning
 * @events: the changes, of these vCPUs and of those that came since
 * @nr_changes: how many of them were taken up
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
