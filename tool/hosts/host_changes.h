/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* All that this machine reports of its vCPUs' TSCs during a recording, whichever events the file has. */
#ifndef TSC_OFFSET_HOST_CHANGES_H
#define TSC_OFFSET_HOST_CHANGES_H

#include <stdbool.h>
#include <stddef.h>

#include "event_drainer.h"
#include "findings.h"
#include "probe_repeats.h"

/* Events of which each takes some 130 bytes of memory */
#define HOST_CHANGES_MAX	(1U << 20)

/**
 * struct host_changes - events while they are recorded
 * @drainer: takes them from an instance of our own
 * @probes: the events of probes are among them
 * @own_probes: they are to be removed at the end, unless another recording has to do so as well
 * @events: in the order of time, but for the last that were read; owned
 * @nr: how many
 * @capacity: room for this many
 * @nr_settled: how many of them are older than the last look at the buffers, and sorted
 * @repeats: what each vCPU had in those
 * @lost: some may be missing
 * @loads: kvm_probes.h: each time that a vCPU is loaded there is an event, which is only of use at the beginning
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
