/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A host's recording and those of its guests as one Perfetto trace, on host time: which things are a track, a
 * slice, an instant or a counter.
 *
 *	host trace.dat
 *		CPU 0			slices: the thread that runs
 *		threads
 *			qemu-162	instants: its events
 *	VM 162, guest g1, trace-g1.dat
 *		vCPU 0			slices: from kvm_entry to kvm_exit
 *			running		slices: the guest's thread that runs
 *			events		instants: the guest's events
 *			TSC offset	counter
 *			TSC offset, moved by	counter: against the first offset that is known
 *
 * Guest times are taken as stock readers show them. All files are read as streams; what is kept does not grow with
 * them, but for a few bytes for each of the host's threads.
 */
#ifndef TSC_OFFSET_PERFETTO_EXPORT_H
#define TSC_OFFSET_PERFETTO_EXPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tsc_frequency.h"

struct merged_recording;
struct progress;

/**
 * struct perfetto_export - what is to be exported, and what came of it
 * @recording: the files; its findings get the buffers by other clocks and formats that cannot be used
 * @frequency: what makes nanoseconds of the host's TSC; without it a cycle is shown as one
 * @progress: begun with merged_recording_bytes() as the total, or all zeros
 * @events: result: instants that are events
 * @slices: result: times in guest mode
 * @lost: result: places in which events are missing
 * @unordered: result: things with times that Perfetto does not have, which were left out
 * @untold: result: events without a text, which would have been out of proportion
 */
struct perfetto_export {
	const struct merged_recording	*recording;
	struct tsc_frequency		frequency;
	struct progress			*progress;
	uint64_t			events;
	uint64_t			slices;
	uint64_t			lost;
	uint64_t			unordered;
	uint64_t			untold;
};

int perfetto_export_write(struct perfetto_export *export, FILE *file);

#endif /* TSC_OFFSET_PERFETTO_EXPORT_H */
