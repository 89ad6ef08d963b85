// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "host_recording.h"
#include "merged_events.h"
#include "order.h"
#include "trace_dat.h"
#include "vcpu_threads.h"

static ORDER_BY(compare_threads, struct vcpu_thread, tid, vcpu_id, since)

/**
 * vcpu_threads_read - list the threads that run vCPUs
 * @threads: result; must be released in any case
 * @host: the open host's file, with its vCPUs; must stay open while @threads is used
 *
 * Returns: 0 or a negative errno with the reason in @host->error.
 */
int vcpu_threads_read(struct vcpu_threads *threads, struct host_recording *host)
{
	int ret;

	*threads = (struct vcpu_threads) { .host = host };
	ret = event_ids_read(&threads->ids, &host->dat);
	if (ret)
		return ret;
	threads->list = calloc(host->host.nr_threads + 1, sizeof(*threads->list));
	if (!threads->list)
		return trace_dat_refuse(&host->dat, -ENOMEM, "no memory");
	for (size_t i = 0; i < host->host.nr_threads; i++) {
		const struct host_thread *thread = &host->host.threads[i];
		size_t vcpu = host_vcpus_of_thread(&host->vcpus, &host->host, i);

		if (vcpu < host->vcpus.nr)
			threads->list[threads->nr++] = (struct vcpu_thread) {
				thread->tid, thread->vcpu_id, thread->since, vcpu, thread->first, 0
			};
	}
	array_sort(threads->list, threads->nr, compare_threads);
	return 0;
}

/* Does a thread run a vCPU at a time, as given by @key? */
static bool runs(const struct vcpu_threads *threads, size_t i, const struct vcpu_thread *key)
{
	return i < threads->nr && threads->list[i].tid == key->tid && threads->list[i].vcpu_id == key->vcpu_id &&
	       threads->list[i].since <= key->since &&
	       (i + 1 == threads->nr || compare_threads(&threads->list[i + 1], key) > 0);
}

/* Returns: index of the thread, or @threads->nr */
static size_t find_thread(struct vcpu_threads *threads, int tid, uint32_t vcpu_id, uint64_t host_tsc)
{
	const struct vcpu_thread key = { .tid = tid, .vcpu_id = vcpu_id, .since = host_tsc };
	size_t after;

	/* Usually an exit follows the entry of the same thread */
	if (runs(threads, threads->last, &key))
		return threads->last;
	after = first_where(i, threads->nr, compare_threads(&threads->list[i], &key) > 0);
	if (!after || !runs(threads, after - 1, &key))
		return threads->nr;
	return threads->last = after - 1;
}

/* Kernels before 5.10 do not report the vCPU of a kvm_exit: it is the one with which the thread entered */
static size_t find_entered(const struct vcpu_threads *threads, int tid)
{
	size_t i = first_where(j, threads->nr, threads->list[j].tid >= tid);

	return i < threads->nr && threads->list[i].tid == tid && threads->list[i].entered ?
	       threads->list[i].entered - 1 : threads->nr;
}

static void set_entered(struct vcpu_threads *threads, size_t thread)
{
	int tid = threads->list[thread].tid;

	threads->list[first_where(j, threads->nr, threads->list[j].tid >= tid)].entered = thread + 1;
}

/**
 * vcpu_threads_event - is a CPU's event a kvm_entry or kvm_exit of a vCPU?
 * @threads: the threads
 * @cpu: the CPU, with the event; all events must come in the order of time
 * @host_tsc: its time
 * @result: the result if so
 *
 * Returns: 1 if so, 0 for other events and buffers; -EINVAL if it is one, but the record is too short.
 */
int vcpu_threads_event(struct vcpu_threads *threads, const struct merged_cpu *cpu, uint64_t host_tsc,
		       struct vcpu_event *result)
{
	const struct ring_event *event = &cpu->events.event;
	const struct guest_mode_format *format;
	int id = ring_event_id(event);
	uint32_t vcpu_id = 0;
	size_t thread;

	if (cpu->file->guest || cpu->events.buffer != threads->host->host.guest_modes || id < 0 ||
	    (id != threads->ids.entry.id && id != threads->ids.exit.id))
		return 0;
	result->entry = id == threads->ids.entry.id;
	format = result->entry ? &threads->ids.entry : &threads->ids.exit;
	if (guest_mode_decode(format, event, &result->tid, &vcpu_id))
		return -EINVAL;
	thread = format->vcpu_id ? find_thread(threads, result->tid, vcpu_id, host_tsc) :
		find_entered(threads, result->tid);
	if (thread == threads->nr)
		return 0;
	if (result->entry && !threads->ids.exit.vcpu_id)
		set_entered(threads, thread);
	result->vcpu = threads->list[thread].vcpu;
	return 1;
}

/**
 * vcpu_threads_release - free the threads
 * @threads: the threads, also after a failed read
 */
void vcpu_threads_release(struct vcpu_threads *threads)
{
	event_ids_release(&threads->ids);
	free(threads->list);
	*threads = (struct vcpu_threads) { 0 };
}
