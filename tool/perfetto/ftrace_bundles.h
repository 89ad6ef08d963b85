/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The ftrace events of a machine's CPUs in bundles: many events of a CPU in one packet, between two losses. */
#ifndef TSC_OFFSET_FTRACE_BUNDLES_H
#define TSC_OFFSET_FTRACE_BUNDLES_H

#include <stddef.h>
#include <stdint.h>

#include "wire.h"

struct perfetto_writer;

/* Perfetto refuses a trace with a higher CPU number */
#define FTRACE_BUNDLES_MAX_CPUS	1024U

/* The bundle's field for its events */
#define FTRACE_BUNDLES_EVENT	2

/**
 * struct ftrace_bundle - events of a CPU that have not been written
 * @fields: fields of the bundle: the CPU, whether events were lost before, and the events; owned
 */
struct ftrace_bundle {
	struct wire	fields;
};

/**
 * struct ftrace_bundles - the bundles of a machine
 * @machine: number of the machine
 * @limit: size in bytes from which on a bundle is written
 * @cpus: bundles by CPU number; owned
 */
struct ftrace_bundles {
	uint32_t		machine;
	size_t			limit;
	struct ftrace_bundle	*cpus;
};

int ftrace_bundles_init(struct ftrace_bundles *bundles, uint32_t machine, size_t nr_cpus);
struct wire *ftrace_bundles_begin(struct ftrace_bundles *bundles, struct perfetto_writer *writer, uint32_t cpu);
void ftrace_bundles_lose(struct ftrace_bundles *bundles, struct perfetto_writer *writer, uint32_t cpu);
void ftrace_bundles_describe(struct ftrace_bundles *bundles, struct perfetto_writer *writer, uint32_t cpu,
			     struct wire *description);
void ftrace_bundles_flush(struct ftrace_bundles *bundles, struct perfetto_writer *writer);
void ftrace_bundles_release(struct ftrace_bundles *bundles);

#endif /* TSC_OFFSET_FTRACE_BUNDLES_H */
