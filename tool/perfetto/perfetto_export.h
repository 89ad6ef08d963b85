/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Exports a host's recording and its guests' as one Perfetto trace on host time, as if Perfetto had recorded them. Each
 * is a machine with its ftrace events, from which Perfetto makes its tables and its tracks of CPUs, threads and their
 * states. Further tracks are
 *
 *	host
 *		threads of vCPUs	slices: guest mode, and where that is not known
 *		VM 162, guest g1, trace-g1.dat
 *			vCPU 0
 *				TSC offset		counter
 *				TSC offset, moved by	counter: against the first offset that is known
 *		CPU 0, events lost	slices
 *	guest
 *		CPU 0, in guest mode	slices: the vCPU's
 *		CPU 0, events lost	slices
 *
 * Guest times are those that stock readers show, or come from the history of offsets. Files are read as streams: memory
 * does not grow with them.
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
 * struct perfetto_export - the input and the result of an export
 * @recording: the files; buffers with other clocks become findings of it
 * @frequency: converts the host's TSC into nanoseconds; if unknown, a cycle is shown as one
 * @progress: begun with merged_recording_bytes() as the total, or all zeros
 * @events: result: ftrace events
 * @copies: result: events that were left out, as another buffer has them as well
 * @slices: result: times in guest mode
 * @lost: result: places in which events are missing
 * @unordered: result: things with times that Perfetto does not have, which were left out
 * @other_cpus: result: events of CPUs that Perfetto does not have, which were left out
 * @cut: result: events of which not all is in their records, or of which a text was too long
 */
struct perfetto_export {
	struct merged_recording	*recording;
	struct tsc_frequency	frequency;
	struct progress		*progress;
	uint64_t		events;
	uint64_t		copies;
	uint64_t		slices;
	uint64_t		lost;
	uint64_t		unordered;
	uint64_t		other_cpus;
	uint64_t		cut;
};

int perfetto_export_write(struct perfetto_export *export, FILE *file);

#endif /* TSC_OFFSET_PERFETTO_EXPORT_H */
