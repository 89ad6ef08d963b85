/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The threads of a host's vCPUs. Finds the vCPU of a kvm_entry or kvm_exit by its thread and time. */
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
 * @tid: its thread id
 * @vcpu_id: KVM's vcpu_id of the vCPU
 * @since: host TSC, in cycles, from which on it runs the vCPU, until @since of the next entry with the same @tid and
 *	@vcpu_id
 * @vcpu: index of the vCPU in the host's
 * @first: host TSC of its first entry into guest mode, in cycles
 * @entered: in the first entry with this @tid: index plus 1 of the entry with this @tid that entered guest mode last; 0
 *	without
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
 * struct vcpu_threads - the threads of a host's vCPUs
 * @host: the host's file; not owned
 * @ids: numbers of its events; owned
 * @list: the threads, in the order of tid, vcpu_id and time; owned
 * @nr: number of @list
 * @last: index of the entry that was found last
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
 * @entry: true for kvm_entry
 * @tid: the thread
 * @vcpu: index of its vCPU in the host's
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
