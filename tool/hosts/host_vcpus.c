// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "host_file.h"
#include "host_vcpus.h"
#include "initial_offsets.h"
#include "mode_stream.h"
#include "order.h"
#include "progress.h"
#include "trace_dat.h"

/* Spans between two updates of the progress */
#define PROGRESS_SPANS	(1UL << 14)
/* Blocks of modes in memory, 2.3 MiB; at least two for each vCPU */
#define BLOCKS		64

/* Do all threads of a VM with the same vcpu_id run the same vCPU? */
static bool is_whole(const struct host_vm *vm)
{
	return vm->evidence == VM_BY_EVENT || vm->evidence == VM_BY_USER || vm->evidence == VM_BY_PROCESS;
}

static ORDER_BY(compare_vcpus, struct host_vcpu, vm, vcpu_id, tid)

/* A vCPU for each thread that entered guest mode, and for each vcpu_id; duplicates are adjacent */
static int list_vcpus(struct host_vcpus *vcpus, const struct host *host)
{
	size_t nr = 0, kept = 0;

	for (size_t i = 0; i < host->nr_vms; i++)
		nr += host->vms[i].nr_threads + host->vms[i].history.nr_vcpus;
	vcpus->vcpus = calloc(nr + 1, sizeof(*vcpus->vcpus));
	if (!vcpus->vcpus)
		return -ENOMEM;
	for (size_t i = 0; i < host->nr_vms; i++) {
		const struct host_vm *vm = &host->vms[i];

		for (size_t j = 0; j < vm->nr_threads; j++) {
			if (vm->threads[j].entries)
				vcpus->vcpus[vcpus->nr++] = (struct host_vcpu) {
					.vm = i, .vcpu_id = vm->threads[j].vcpu_id, .tid = vm->threads[j].tid,
					.whole = is_whole(vm),
				};
		}
		for (size_t j = 0; j < vm->history.nr_vcpus; j++)
			vcpus->vcpus[vcpus->nr++] = (struct host_vcpu) {
				.vm = i, .vcpu_id = vm->history.vcpus[j].vcpu_id, .whole = is_whole(vm),
			};
	}
	array_sort(vcpus->vcpus, vcpus->nr, compare_vcpus);
	for (size_t i = 0; i < vcpus->nr; i++) {
		struct host_vcpu *vcpu = &vcpus->vcpus[i], *last = kept ? &vcpus->vcpus[kept - 1] : NULL;

		/* The one without a thread comes first, and gets the thread of the next one */
		if (last && last->vm == vcpu->vm && last->vcpu_id == vcpu->vcpu_id && (!last->tid || vcpu->whole)) {
			if (!last->tid)
				last->tid = vcpu->tid;
			continue;
		}
		vcpus->vcpus[kept++] = *vcpu;
	}
	vcpus->nr = kept;
	return 0;
}

/* Like compare_vcpus() for a thread's vCPU; a whole vCPU includes all threads */
static int compare_with_thread(const struct host_vcpu *vcpu, size_t vm, const struct host_thread *thread)
{
	return order_of(vcpu->vm, vm) ?: order_of(vcpu->vcpu_id, thread->vcpu_id) ?:
	       (vcpu->whole ? 0 : order_of(vcpu->tid, thread->tid));
}

/* Returns: index of a thread's vCPU, or @vcpus->nr */
static size_t vcpu_of_thread(const struct host_vcpus *vcpus, size_t vm, const struct host_thread *thread)
{
	size_t first = first_where(i, vcpus->nr, compare_with_thread(&vcpus->vcpus[i], vm, thread) >= 0);

	return first < vcpus->nr && !compare_with_thread(&vcpus->vcpus[first], vm, thread) ? first : vcpus->nr;
}

static int take_history(struct host_vcpu *vcpu, const struct host *host)
{
	const struct host_vm *vm = &host->vms[vcpu->vm];
	size_t number = vm_history_find(&vm->history, vcpu->vcpu_id);
	const struct vcpu_history *history = &vm->history.vcpus[number];

	vcpu->history = (struct vcpu_history) { .vcpu_id = vcpu->vcpu_id };
	if (number == vm->history.nr_vcpus)
		return 0;
	vcpu->history = *history;
	vcpu->history.segments = calloc(history->nr_segments + 1, sizeof(*history->segments));
	if (!vcpu->history.segments)
		return -ENOMEM;
	vcpu->history.capacity = history->nr_segments + 1;
	if (history->nr_segments)
		memcpy(vcpu->history.segments, history->segments, history->nr_segments * sizeof(*history->segments));
	return 0;
}

/* Returns: index of a thread's VM; the user's choice has priority */
static size_t vm_of_thread(const struct host *host, size_t thread)
{
	for (size_t i = host->nr_vms; i && host->vms[i - 1].evidence == VM_BY_USER; i--) {
		const struct host_vm *vm = &host->vms[i - 1];

		for (size_t j = 0; j < vm->nr_threads; j++) {
			if (vm->threads[j].tid == host->threads[thread].tid)
				return i - 1;
		}
	}
	return host->owners[thread];
}

/**
 * host_vcpus_of_thread - find the vCPU of a thread
 * @vcpus: the vCPUs
 * @host: the file
 * @thread: index of the thread in @host->threads
 *
 * Returns: index of the vCPU in @vcpus, or their number if it runs none.
 */
size_t host_vcpus_of_thread(const struct host_vcpus *vcpus, const struct host *host, size_t thread)
{
	if (!host->threads[thread].entries)
		return vcpus->nr;
	return vcpu_of_thread(vcpus, vm_of_thread(host, thread), &host->threads[thread]);
}

/**
 * host_vcpus_threads - list the threads that run vCPUs
 * @vcpus: the vCPUs
 * @host: the file
 * @threads: result; must be released in any case
 *
 * Returns: 0 or -ENOMEM.
 */
int host_vcpus_threads(const struct host_vcpus *vcpus, const struct host *host, struct vcpu_threads *threads)
{
	_cleanup_(freep) struct vcpu_thread *list = calloc(host->nr_threads + 1, sizeof(*list));
	size_t nr = 0;

	*threads = (struct vcpu_threads) { 0 };
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < host->nr_threads; i++) {
		const struct host_thread *thread = &host->threads[i];
		size_t vcpu = host_vcpus_of_thread(vcpus, host, i);

		if (vcpu < vcpus->nr)
			list[nr++] = (struct vcpu_thread) {
				thread->tid, thread->vcpu_id, thread->since, (uint32_t)vcpu, thread->first,
			};
	}
	return vcpu_threads_init(threads, list, nr);
}

static int read_modes(struct host_vcpus *vcpus, const struct host *host)
{
	_cleanup_(vcpu_threads_release) struct vcpu_threads threads;
	struct mode_stream stream = { 0 };
	struct progress progress;
	struct mode_span span;
	size_t steps = 0;
	int ret = host_vcpus_threads(vcpus, host, &threads);

	if (ret)
		return ret;
	ret = mode_stream_open(&stream, host, &threads, vcpus->nr);
	progress_begin(&progress, host->dat->path, mode_stream_total(&stream));
	while (!ret && (ret = mode_stream_next(&stream, &span)) > 0) {
		if (!(steps++ % PROGRESS_SPANS))
			progress_at(&progress, mode_stream_bytes(&stream));
		ret = vcpu_modes_add(&vcpus->vcpus[span.vcpu].modes, span.from, span.to, span.mode);
	}
	progress_end(&progress);
	vcpus->begin = stream.tracker.begin;
	vcpus->end = stream.end;
	for (size_t i = 0; i < host->nr_threads; i++)
		vcpus->nr_entries += host->threads[i].entries;
	if (host_records_exits(host))
		vcpus->missing_exits = stream.tracker.missing_exits;
	mode_stream_close(&stream);
	return ret;
}

/**
 * host_vcpus_read - read when the vCPUs of a host's file were in guest mode
 * @vcpus: result; must be released in any case
 * @host: the host; it may have no events of guest mode
 *
 * A change of a vCPU's mode takes 9 bytes, in memory up to a limit and in a temporary file beyond it.
 *
 * Returns: 0 or a negative errno with the reason in the file's error.
 */
int host_vcpus_read(struct host_vcpus *vcpus, const struct host *host)
{
	int ret;

	*vcpus = (struct host_vcpus) { .begin = 1, .end = 0 };
	ret = list_vcpus(vcpus, host);
	for (size_t i = 0; i < vcpus->nr && !ret; i++)
		ret = take_history(&vcpus->vcpus[i], host);
	mode_store_begin(&vcpus->store, BLOCKS > 2 * vcpus->nr ? BLOCKS : 2 * vcpus->nr);
	for (size_t i = 0; i < vcpus->nr; i++)
		vcpus->vcpus[i].modes.store = &vcpus->store;
	if (!ret && host->guest_modes)
		ret = read_modes(vcpus, host);
	return error_keep(host->dat->error, ret, host->dat->path);
}

/**
 * host_vcpus_error - could all modes be read whenever they were used?
 * @vcpus: the vCPUs
 * @host: the host's file
 *
 * Modes that cannot be read are unknown, so results are incomplete, but not wrong.
 *
 * Returns: 0 or a negative errno with the reason in the file's error.
 */
int host_vcpus_error(const struct host_vcpus *vcpus, const struct host *host)
{
	int ret = vcpus->store.read_error;

	return ret ? error_set(host->dat->error, ret, host->dat->path,
			       "the temporary file for the modes of its vCPUs cannot be read: %s", strerror(-ret)) : 0;
}

/**
 * host_vcpus_lack_exits - are events of kvm_exit missing, for example filtered?
 * @vcpus: the vCPUs
 *
 * A few are missing without a filter: a failed entry into guest mode has none.
 *
 * Returns: true if more than that are missing.
 */
bool host_vcpus_lack_exits(const struct host_vcpus *vcpus)
{
	return vcpus->missing_exits > vcpus->nr_entries / 1000;
}

/**
 * host_vcpus_set_initial - set the mappings before the first changes
 * @vcpus: the vCPUs
 * @initial: for each of the host's VMs, the known offsets of its vCPUs
 */
void host_vcpus_set_initial(struct host_vcpus *vcpus, const struct initial_offsets *initial)
{
	for (size_t i = 0; i < vcpus->nr; i++) {
		struct host_vcpu *vcpu = &vcpus->vcpus[i];
		const struct initial_offset *offset = initial_offsets_find(&initial[vcpu->vm], vcpu->vcpu_id);

		if (!offset)
			continue;
		vcpu_history_set_initial(&vcpu->history, &offset->map);
		vcpu_history_set_scaling(&vcpu->history, &offset->map);
	}
}

/**
 * host_vcpus_release - free the vCPUs
 * @vcpus: the vCPUs, also after a failed read, or all zeros
 */
void host_vcpus_release(struct host_vcpus *vcpus)
{
	for (size_t i = 0; i < vcpus->nr; i++) {
		vcpu_modes_release(&vcpus->vcpus[i].modes);
		free(vcpus->vcpus[i].history.segments);
	}
	free(vcpus->vcpus);
	mode_store_release(&vcpus->store);
	*vcpus = (struct host_vcpus) { 0 };
}
