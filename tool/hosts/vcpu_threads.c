// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "order.h"
#include "vcpu_threads.h"

static ORDER_BY(compare_threads, struct vcpu_thread, tid, vcpu_id, since)

/**
 * vcpu_threads_init - begin with a list of threads
 * @threads: result; must be released in any case
 * @list: the threads in any order, without overlaps for a tid and vcpu_id; not owned
 * @nr: number of @list
 *
 * Returns: 0 or -ENOMEM.
 */
int vcpu_threads_init(struct vcpu_threads *threads, const struct vcpu_thread *list, size_t nr)
{
	*threads = (struct vcpu_threads) {
		.list = calloc(nr + 1, sizeof(*threads->list)), .nr = nr,
		.entered = calloc(nr + 1, sizeof(*threads->entered)),
	};
	if (!threads->list || !threads->entered)
		return -ENOMEM;
	if (nr)
		memcpy(threads->list, list, nr * sizeof(*list));
	array_sort(threads->list, nr, compare_threads);
	return 0;
}

/* Does a thread run a vCPU at a time, as given by @key? */
static bool runs(const struct vcpu_threads *threads, const struct vcpu_thread *thread, const struct vcpu_thread *key)
{
	const struct vcpu_thread *after = thread + 1;

	return thread->tid == key->tid && thread->vcpu_id == key->vcpu_id && thread->since <= key->since &&
	       (after == threads->list + threads->nr || compare_threads(after, key) > 0);
}

/**
 * vcpu_threads_find - find the vCPU that a thread runs
 * @threads: the threads
 * @tid: the thread
 * @vcpu_id: KVM's vcpu_id of the vCPU
 * @host_tsc: the time, in cycles
 *
 * Returns: its entry, valid until the release; NULL if the thread runs no such vCPU.
 */
const struct vcpu_thread *vcpu_threads_find(struct vcpu_threads *threads, int tid, uint32_t vcpu_id, uint64_t host_tsc)
{
	const struct vcpu_thread key = { .tid = tid, .vcpu_id = vcpu_id, .since = host_tsc };
	const struct vcpu_thread **recent = &threads->recent[(unsigned int)tid % VCPU_THREADS_RECENT];
	size_t after;

	/* Usually a thread runs one vCPU */
	if (*recent && runs(threads, *recent, &key))
		return *recent;
	after = first_where(i, threads->nr, compare_threads(&threads->list[i], &key) > 0);
	if (!after || !runs(threads, &threads->list[after - 1], &key))
		return NULL;
	return *recent = &threads->list[after - 1];
}

/**
 * vcpu_threads_entered - find the place for the vCPU with which a thread entered guest mode last
 * @threads: the threads
 * @tid: the thread
 *
 * Kernels before 5.10 do not report the vCPU of a kvm_exit: it is the one with which the thread entered. The caller
 * writes this place at each kvm_entry.
 *
 * Returns: the place, with NULL at first; all unknown threads share one.
 */
const struct vcpu_thread **vcpu_threads_entered(const struct vcpu_threads *threads, int tid)
{
	size_t low = first_where(i, threads->nr, threads->list[i].tid >= tid);

	return &threads->entered[low < threads->nr && threads->list[low].tid != tid ? threads->nr : low];
}

/**
 * vcpu_threads_release - free the threads
 * @threads: the threads, also after a failed init, or all zeros
 */
void vcpu_threads_release(struct vcpu_threads *threads)
{
	free(threads->list);
	free(threads->entered);
	*threads = (struct vcpu_threads) { 0 };
}
