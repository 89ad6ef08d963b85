// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <search.h>
#include <stdlib.h>

#include "event.h"
#include "order.h"
#include "probe_repeats.h"

static ORDER_BY(compare, struct tsc_offset_event, vm_pid, vm_fd, vm, vcpu_id)

/* Returns: the last event of the same vCPU; NULL if this is the first, or without memory */
static struct tsc_offset_event *find(struct probe_repeats *repeats, const struct tsc_offset_event *event)
{
	struct tsc_offset_event **found, *copy;

	if (repeats->last && !compare(repeats->last, event))
		return repeats->last;
	found = tsearch(event, &repeats->vcpus, compare);
	if (!found)
		return NULL;
	if (*found != event)
		return repeats->last = *found;
	copy = malloc(sizeof(*copy));
	if (!copy) {
		tdelete(event, &repeats->vcpus, compare);
		return NULL;
	}
	*copy = *event;
	*found = repeats->last = copy;
	return NULL;
}

/**
 * probe_repeats - does an event repeat an earlier event of this vCPU on the same CPU?
 * @repeats: state of the CPU
 * @event: its next event
 *
 * If another CPU changed the values of a vCPU, the vCPU is loaded on this one before any other event here. So if loads
 * are recorded, an event with the values of the last one on its CPU can be skipped.
 *
 * Returns: true if so. False if it is uncertain, or if the event is not a probe's.
 */
bool probe_repeats(struct probe_repeats *repeats, const struct tsc_offset_event *event)
{
	struct tsc_offset_event *last;
	bool same;

	if (event->kind != TSC_EVENT_STATE && event->kind != TSC_EVENT_WRITE)
		return false;
	last = find(repeats, event);
	if (!last)
		return false;
	same = last->next == event->next && last->ratio == event->ratio && last->tid == event->tid &&
	       last->tsc_protected == event->tsc_protected &&
	       (last->kind == TSC_EVENT_STATE || event->kind == TSC_EVENT_STATE);
	last->next = event->next;
	last->ratio = event->ratio;
	last->tid = event->tid;
	last->tsc_protected = event->tsc_protected;
	/* After a first load, every load is recorded */
	if (event->kind == TSC_EVENT_STATE)
		last->kind = TSC_EVENT_STATE;
	return same;
}

/**
 * probe_repeats_release - free the state of a CPU
 * @repeats: all zeros afterwards
 */
void probe_repeats_release(struct probe_repeats *repeats)
{
	tdestroy(repeats->vcpus, free);
	*repeats = (struct probe_repeats) { 0 };
}
