// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Lists of changes from arbitrary events, with few threads, VMs and values, so that events interact. Some are
 * filtered by probe_repeats() first, like those of a host's file.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "mapping.h"
#include "probe_repeats.h"
#include "tsc_changes.h"

#define NR_CPUS		2
#define EVENT_SIZE	8
#define MAX_EVENTS	512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tsc_offset_event make_event(const uint8_t *data, uint64_t *time)
{
	bool named;
	struct tsc_offset_event event = {
		.host_tsc	= *time += data[0] & 0xf,
		.tid		= 100 + (data[1] & 7),
		.kind		= (enum tsc_event_kind)(data[0] >> 4 & 3),
		.vcpu_id	= data[1] >> 3 & 3,
		.previous	= (int8_t)data[2],
		.next		= (int8_t)data[3],
		.previous_ratio	= data[4] & 3,
		.ratio		= data[4] >> 2 & 3,
		.frac_bits	= TSC_SVM_FRAC_BITS,
		.vm_fd		= -1,
		.tsc_protected	= data[4] >> 4 == 15,
	};

	/* The kernel's own events lack @vm, and have the VM's name only on kernels with our patches */
	named = event.kind != TSC_EVENT_CHANGE || data[5] >> 6 == 3;
	if (named) {
		event.vm_pid = 100 + (data[5] & 1);
		event.vm_fd = event.kind == TSC_EVENT_VM_END ? -1 : (data[5] >> 1 & 3) - 1;
	}
	if (event.kind != TSC_EVENT_CHANGE)
		event.vm = data[5] >> 3 & 3;
	/* The kernel's own events and debugfs have @vm_id */
	if (event.kind == TSC_EVENT_CHANGE ? !named : !event.vm)
		event.vm_id = data[5] >> 4 & 3;
	return event;
}

/* The properties on which users of the list rely */
static void check(const struct tsc_offset_event *events, size_t nr, size_t given)
{
	if (nr > given)
		abort();
	for (size_t i = 0; i < nr; i++) {
		const struct tsc_offset_event *event = &events[i];

		if (i && events[i - 1].host_tsc > event->host_tsc)
			abort();
		if (event->kind != TSC_EVENT_CHANGE && event->kind != TSC_EVENT_STATE)
			abort();
		/* A thread's state has a VM, and only named VMs have lives */
		if ((event->kind == TSC_EVENT_STATE || event->vm_life) && !event->vm_pid)
			abort();
		if (event->vm_life >= given)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tsc_offset_event events[MAX_EVENTS];
	struct probe_repeats repeats[NR_CPUS] = { 0 };
	uint64_t time = 0;
	size_t nr = 0, given;
	bool leave_out;

	if (!size)
		return 0;
	leave_out = data[0] & 1;
	for (const uint8_t *at = data + 1; data + size - at >= EVENT_SIZE && nr < MAX_EVENTS; at += EVENT_SIZE) {
		events[nr] = make_event(at, &time);
		if (!leave_out || !probe_repeats(&repeats[at[6] % NR_CPUS], &events[nr]))
			nr++;
	}
	for (size_t cpu = 0; cpu < NR_CPUS; cpu++)
		probe_repeats_release(&repeats[cpu]);
	given = nr;
	if (tsc_changes_make(events, &nr, data[0] & 2))
		abort();
	check(events, nr, given);
	return 0;
}
