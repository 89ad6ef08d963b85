// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>

#include "host_recording.h"
#include "merged_events.h"
#include "trace_dat.h"
#include "vcpu_events.h"

/**
 * vcpu_events_open - find the events and threads of a host's vCPUs
 * @events: result; must be closed in any case
 * @host: the open host's file, with its vCPUs; must stay open while @events is used
 *
 * Returns: 0 or a negative errno with the reason in @host->error.
 */
int vcpu_events_open(struct vcpu_events *events, struct host_recording *host)
{
	int ret;

	*events = (struct vcpu_events) { .host = host };
	ret = event_ids_read(&events->ids, &host->dat);
	if (ret)
		return ret;
	ret = host_vcpus_threads(&host->vcpus, &host->host, &events->threads);
	return ret ? trace_dat_refuse(&host->dat, ret, "no memory") : 0;
}

/**
 * vcpu_events_read - is a CPU's event a kvm_entry or kvm_exit of a vCPU?
 * @events: the open events
 * @cpu: the CPU, with the event; all events must come in the order of time
 * @host_tsc: its time
 * @result: the result if so
 *
 * Returns: 1 if so, 0 for other events and buffers; -EINVAL if it is one, but the record is too short.
 */
int vcpu_events_read(struct vcpu_events *events, const struct merged_cpu *cpu, uint64_t host_tsc,
		     struct vcpu_event *result)
{
	const struct ring_event *event = &cpu->events.event;
	const struct guest_mode_format *format;
	const struct vcpu_thread *thread;
	int id = ring_event_id(event);
	uint32_t vcpu_id = 0;

	if (cpu->file->guest || cpu->events.buffer != events->host->host.guest_modes || id < 0 ||
	    (id != events->ids.entry.id && id != events->ids.exit.id))
		return 0;
	result->entry = id == events->ids.entry.id;
	format = result->entry ? &events->ids.entry : &events->ids.exit;
	if (guest_mode_decode(format, event, &result->tid, &vcpu_id))
		return -EINVAL;
	thread = format->vcpu_id ? vcpu_threads_find(&events->threads, result->tid, vcpu_id, host_tsc) :
		*vcpu_threads_entered(&events->threads, result->tid);
	if (!thread)
		return 0;
	if (result->entry && !events->ids.exit.vcpu_id)
		*vcpu_threads_entered(&events->threads, result->tid) = thread;
	result->vcpu = thread->vcpu;
	return 1;
}

/**
 * vcpu_events_close - free the events
 * @events: the events, also after a failed open, or all zeros
 */
void vcpu_events_close(struct vcpu_events *events)
{
	event_ids_release(&events->ids);
	vcpu_threads_release(&events->threads);
}
