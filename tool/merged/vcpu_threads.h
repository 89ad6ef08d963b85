/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Which threads run a host's vCPUs, and which vCPU a kvm_entry or kvm_exit is of, by its thread and its time. */
#ifndef TSC_OFFSET_VCPU_THREADS_H
#define TSC_OFFSET_VCPU_THREADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event_ids.h"

struct host_recording;
struct merged_cpu;

/**
 * struct vcpu_thread - a thread that runs a vCPU
 * @tid: its id
 * @vcpu_id: KVM's vcpu_id of that vCPU
 * @since: host TSC, in cycles, from which on it does, until the same of the next with equal @tid and @vcpu_id
 * @vcpu: number of the vCPU among the host's
 * @first: host TSC, in cycles, at which it entered guest mode first
 * @entered: in the first of the list with its @tid: number of the one with that @tid that entered guest mode last, plus
 *	1; 0 if none did
 */
struct vcpu_thread {
	int		tid;
	uint32_t	vcpu_id;
	uint64_t	since;
	size_t		vcpu;
	uint64_t	first;
	size_t		entered;
};

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
int vcpu_threads_event(struct vcpu_threads *threads, const struct merged_cpu *cpu, uint64_t host_tsc,
		       struct vcpu_event *result);
void vcpu_threads_release(struct vcpu_threads *threads);

#endif /* TSC_OFFSET_VCPU_THREADS_H */
