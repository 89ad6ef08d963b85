// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host_file.h"
#include "mode_stream.h"
#include "order.h"
#include "trace_dat.h"

/* Returns: index of a CPU among those with events, or their number */
static size_t number_of_cpu(const struct trace_stream *events, uint32_t cpu)
{
	size_t i = 0;

	while (i < events->nr_cpus && events->cpus[i].cpu->cpu != cpu)
		i++;
	return i;
}

/* A loss at an unknown time counts from the beginning; other losses count once the CPU's last event was read */
static int take_counted(struct mode_stream *stream, const struct host *host)
{
	int ret = 0;

	for (size_t i = 0; i < host->nr_modes_lost && !ret; i++) {
		const struct counted_loss *counted = &host->modes_lost[i];
		size_t cpu = number_of_cpu(&stream->events, counted->cpu);

		stream->ends_lost[cpu] = counted->lost.from;
		if (!counted->lost.from)
			ret = mode_tracker_lose(&stream->tracker, cpu, 0, UINT64_MAX);
	}
	return ret;
}

/**
 * mode_stream_open - open a stream of spans
 * @stream: result; must be closed in any case
 * @host: the host; it has guest_modes
 * @threads: threads that run the vCPUs; must be valid while @stream is used
 * @nr_vcpus: number of their vCPUs, numbered from 0
 *
 * Returns: 0 or a negative errno, with the reason in the file's error.
 */
int mode_stream_open(struct mode_stream *stream, const struct host *host, struct vcpu_threads *threads, size_t nr_vcpus)
{
	int ret;

	*stream = (struct mode_stream) { .dat = host->dat, .threads = threads, .end = host->modes_last };
	ret = event_ids_read(&stream->ids, host->dat);
	if (!ret)
		ret = trace_stream_open(&stream->events, host->dat, host->guest_modes, &host->clock);
	if (ret)
		return ret;
	stream->ends_lost = calloc(stream->events.nr_cpus + 1, sizeof(*stream->ends_lost));
	stream->running = calloc(stream->events.nr_cpus + 1, sizeof(*stream->running));
	if (!stream->ends_lost || !stream->running ||
	    mode_tracker_init(&stream->tracker, nr_vcpus, stream->events.nr_cpus + 1,
			      host_has_fast_path(host)) ||
	    take_counted(stream, host))
		return trace_dat_refuse(host->dat, -ENOMEM, "no memory");
	return 0;
}

/* For a kvm_exit without a vCPU */
static const struct vcpu_thread *find_entered(const struct mode_stream *stream, int tid)
{
	const struct vcpu_thread *thread = *vcpu_threads_entered(stream->threads, tid);

	return thread && mode_tracker_in_guest(&stream->tracker, thread->vcpu) ? thread : NULL;
}

static int take_event(struct mode_stream *stream, const struct cpu_stream *cpu)
{
	bool entry = ring_event_id(&cpu->event) == stream->ids.entry.id;
	const struct guest_mode_format *format = entry ? &stream->ids.entry : &stream->ids.exit;
	size_t number = cpu - stream->events.cpus;
	const struct vcpu_thread *thread;
	uint32_t vcpu_id = 0;
	int tid;

	if (guest_mode_decode(format, &cpu->event, &tid, &vcpu_id))
		return trace_dat_fail(stream->dat, -EBADMSG, 0,
				      "a %s that does not fit its format, at time %llu",
				      entry ? "kvm_entry" : "kvm_exit",
				      (unsigned long long)cpu->event.ts);
	thread = format->vcpu_id ? vcpu_threads_find(stream->threads, tid, vcpu_id, cpu->event.ts) :
		find_entered(stream, tid);
	if (thread && entry && !stream->ids.exit.vcpu_id)
		*vcpu_threads_entered(stream->threads, tid) = thread;
	if (thread && entry) {
		struct mode_running *running = &stream->running[number];

		/* A thread that runs several */
		if (running->thread && running->thread->vcpu != thread->vcpu)
			mode_tracker_leave(&stream->tracker, running->thread->vcpu, number, cpu->event.ts);
		mode_tracker_enter(&stream->tracker, thread->vcpu, number, cpu->event.ts);
		*running = (struct mode_running) { thread, tid };
	} else if (thread) {
		mode_tracker_exit(&stream->tracker, thread->vcpu, number, cpu->event.ts);
	}
	return 0;
}

/* Each event belongs to the thread that has the CPU, and sched_switch to the one that gives it up */
static void take_running(struct mode_stream *stream, const struct cpu_stream *cpu, int id)
{
	size_t number = cpu - stream->events.cpus;
	struct mode_running *running = &stream->running[number];
	int tid;

	if (!running->thread || guest_mode_tid(&stream->ids.entry, &cpu->event, &tid))
		return;
	if (tid == running->tid && id != stream->ids.sched_switch)
		return;
	mode_tracker_leave(&stream->tracker, running->thread->vcpu, number, cpu->event.ts);
	running->thread = NULL;
}

/* The event after a loss shows it when it is read; it is the CPU's next, and may be far in the future */
static int take_loss(struct mode_stream *stream, const struct cpu_stream *cpu)
{
	size_t number = cpu - stream->events.cpus;
	bool ended = !trace_stream_has_event(&stream->events, cpu);
	int ret = 0;

	if (cpu->lost)
		ret = mode_tracker_lose(&stream->tracker, number, cpu->lost_since,
					ended ? UINT64_MAX : cpu->event.ts);
	if (!ret && ended && stream->ends_lost[number])
		ret = mode_tracker_lose(&stream->tracker, number, cpu->event.ts, UINT64_MAX);
	return ret ? trace_dat_refuse(stream->dat, ret, "no memory") : 0;
}

/* Returns: the result of trace_stream_next() */
static int next_event(struct mode_stream *stream, const struct cpu_stream **cpu)
{
	struct trace_stream *events = &stream->events;
	size_t nr = events->merge.nr;
	int more = trace_stream_next(events, cpu), ret = 0;

	if (more < 0)
		return more;
	for (size_t i = 0; i < events->nr_cpus && !stream->last && !ret; i++)
		ret = take_loss(stream, &events->cpus[i]);
	if (stream->last && (stream->last->lost || events->merge.nr < nr))
		ret = take_loss(stream, stream->last);
	stream->last = more ? *cpu : NULL;
	return ret ? ret : more;
}

/**
 * mode_stream_next - read the next span
 * @stream: the open stream
 * @span: result
 *
 * Returns: 1, 0 if there are no more, or a negative errno with the reason in the file's error.
 */
int mode_stream_next(struct mode_stream *stream, struct mode_span *span)
{
	struct mode_tracker *tracker = &stream->tracker;

	while (stream->at == tracker->nr_ready) {
		const struct cpu_stream *cpu;
		int id, ret;

		stream->at = 0;
		tracker->nr_ready = 0;
		if (stream->ended) {
			if (stream->next_vcpu == tracker->nr_vcpus)
				return 0;
			mode_tracker_end(tracker, stream->next_vcpu++, stream->end);
			continue;
		}
		ret = next_event(stream, &cpu);
		if (ret < 0)
			return ret;
		if (!ret) {
			stream->ended = true;
			continue;
		}
		id = ring_event_id(&cpu->event);
		take_running(stream, cpu, id);
		if (id != stream->ids.entry.id && id != stream->ids.exit.id)
			continue;
		ret = take_event(stream, cpu);
		if (ret)
			return ret;
	}
	*span = tracker->ready[stream->at++];
	return 1;
}

/**
 * mode_stream_total - get the amount of data
 * @stream: the open stream
 *
 * Returns: bytes of the buffer's data.
 */
uint64_t mode_stream_total(const struct mode_stream *stream)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < stream->events.nr_cpus; i++)
		bytes += stream->events.cpus[i].cpu->size;
	return bytes;
}

/**
 * mode_stream_bytes - get the amount of data read so far
 * @stream: the open stream
 *
 * Returns: bytes of the buffer's data.
 */
uint64_t mode_stream_bytes(const struct mode_stream *stream)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < stream->events.nr_cpus; i++)
		bytes += stream->events.cpus[i].cpu->size - stream->events.cpus[i].left;
	return bytes;
}

/**
 * mode_stream_close - free a stream
 * @stream: the stream, also after a failed open
 */
void mode_stream_close(struct mode_stream *stream)
{
	mode_tracker_release(&stream->tracker);
	trace_stream_close(&stream->events);
	event_ids_release(&stream->ids);
	free(stream->running);
	free(stream->ends_lost);
}
