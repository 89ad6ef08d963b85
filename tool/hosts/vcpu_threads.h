/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Which vCPU a thread of the host runs at a time */
#ifndef TSC_OFFSET_VCPU_THREADS_H
#define TSC_OFFSET_VCPU_THREADS_H

#include <stddef.h>
#include <stdint.h>

/* Threads for which the last result is kept */
#define VCPU_THREADS_RECENT	64

/**
 * struct vcpu_thread - a thread that runs a vCPU
 * @tid: its thread id
 * @vcpu_id: KVM's vcpu_id of the vCPU
 * @since: host TSC, in cycles, from which on it runs the vCPU, until @since of the next entry with the same @tid and
 *	@vcpu_id
 * @vcpu: index of the vCPU
 * @first: host TSC of its first entry into guest mode, in cycles
 */
struct vcpu_thread {
	int		tid;
	uint32_t	vcpu_id;
	uint64_t	since;
	uint32_t	vcpu;
	uint64_t	first;
};

/**
 * struct vcpu_threads - all threads that run vCPUs
 * @list: the threads, in the order of tid, vcpu_id and time, without overlaps; owned
 * @nr: number of @list
 * @entered: for the first of @list with a tid: the entry of @list as which the thread last entered guest mode; owned
 * @recent: the last results, by tid
 */
struct vcpu_threads {
	struct vcpu_thread		*list;
	size_t				nr;
	const struct vcpu_thread	**entered;
	const struct vcpu_thread	*recent[VCPU_THREADS_RECENT];
};

int vcpu_threads_init(struct vcpu_threads *threads, const struct vcpu_thread *list, size_t nr);
const struct vcpu_thread *vcpu_threads_find(struct vcpu_threads *threads, int tid, uint32_t vcpu_id, uint64_t host_tsc);
const struct vcpu_thread **vcpu_threads_entered(const struct vcpu_threads *threads, int tid);
void vcpu_threads_release(struct vcpu_threads *threads);

#endif /* TSC_OFFSET_VCPU_THREADS_H */
