/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The history of a VM's TSC from a host's recording, or from the output of show --json. */
#ifndef TSC_OFFSET_HISTORY_SOURCE_H
#define TSC_OFFSET_HISTORY_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "history.h"
#include "host.h"
#include "snapshot.h"
#include "trace_dat.h"

struct error;
struct findings;

/**
 * struct history_source - a VM's history
 * @vm: the history
 * @name: name of the VM
 * @from, @to: range of host times of its changes, in cycles, as far as known; equal if unknown
 * @dat: the recording; not open for a snapshot
 * @host: its host
 * @snapshot: the snapshot, empty for a recording
 * @own: @vm of a snapshot
 */
struct history_source {
	const struct vm_history	*vm;
	const char		*name;
	uint64_t		from;
	uint64_t		to;
	struct trace_dat	dat;
	struct host		host;
	struct snapshot		snapshot;
	struct vm_history	own;
};

int history_source_read(struct history_source *source, const char *path, const char *vm, struct findings *findings,
			struct error *error);
int history_source_other(struct history_source *source, size_t number, const struct vm_history **vm, const char **name,
			 struct vm_history *own);
void history_source_release(struct history_source *source);

#endif /* TSC_OFFSET_HISTORY_SOURCE_H */
