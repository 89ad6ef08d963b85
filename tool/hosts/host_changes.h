/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* All TSC events of this machine's vCPUs during a recording, whichever events the file has. */
#ifndef TSC_OFFSET_HOST_CHANGES_H
#define TSC_OFFSET_HOST_CHANGES_H

#include <stdbool.h>
#include <stddef.h>

#include "event_drainer.h"
#include "findings.h"
#include "probe_repeats.h"

/* Limit of events; each takes some 130 bytes of memory */
#define HOST_CHANGES_MAX	(1U << 20)

/**
 * struct host_changes - events while they are recorded
 * @drainer: drains them from an instance of this process
 * @probes: events of probes are included
 * @own_probes: remove the probes at the end, unless another recording must do so too
 * @events: events in the order of time, except those of the latest read; owned
 * @nr: number of @events
 * @capacity: number of events that fit without growing
 * @nr_settled: number of @events that precede the latest read, and are sorted
 * @repeats: the values of each vCPU in these
 * @lost: events may be missing
 * @loads: see kvm_probes.h: every load of a vCPU causes an event, which is needed only at the beginning
 * @findings: why something is unknown
 */
struct host_changes {
	struct event_drainer	drainer;
	bool			probes;
	bool			own_probes;
	struct tsc_offset_event	*events;
	size_t			nr;
	size_t			capacity;
	size_t			nr_settled;
	struct probe_repeats	repeats;
	bool			lost;
	unsigned int		loads;
	struct findings		findings;
};

int host_changes_begin(struct host_changes *changes, const char *path);
int host_changes_adopt(struct host_changes *changes, const char *path);
void host_changes_end(struct host_changes *changes);
void host_changes_release(struct host_changes *changes);

#endif /* TSC_OFFSET_HOST_CHANGES_H */
