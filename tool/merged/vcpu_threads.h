/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Which vCPU a kvm_entry or kvm_exit of a host is of, by its thread and its time. */
#ifndef TSC_OFFSET_VCPU_THREADS_H
#define TSC_OFFSET_VCPU_THREADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event_ids.h"

struct host_recording;
struct merged_item;

/**
 * struct vcpu_threads - the threads that run a host's vCPUs
 * @host: the host's file; the caller's
 * @ids: numbers of its events; owned
 * @list: the threads, in the order of tid, vcpu_id and time; owned
 * @nr: how many
 * @last: number of the one that was found last
 */
struct vcpu_threads {
	const struct host_recording	*host;
	struct event_ids		ids;
	struct vcpu_thread		*list;
	size_t				nr;
	size_t				last;
};

/**
 * struct vcpu_event - a kvm_entry or kvm_exit
 * @entry: which of them
 * @tid: the thread
 * @vcpu: number of its vCPU among the host's
 */
struct vcpu_event {
	bool	entry;
	int	tid;
	size_t	vcpu;
};

int vcpu_threads_read(struct vcpu_threads *threads, struct host_recording *host);
bool vcpu_threads_event(struct vcpu_threads *threads, const struct merged_item *item, struct vcpu_event *result);
void vcpu_threads_release(struct vcpu_threads *threads);

#endif /* TSC_OFFSET_VCPU_THREADS_H */
