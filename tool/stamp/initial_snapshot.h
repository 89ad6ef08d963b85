/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Initial offsets from the output of tsc-offset show --json on the host while the VM ran. */
#ifndef TSC_OFFSET_INITIAL_SNAPSHOT_H
#define TSC_OFFSET_INITIAL_SNAPSHOT_H

#include <stdbool.h>

struct findings;
struct host;
struct host_vm;
struct initial_offsets;

int initial_offsets_read(struct initial_offsets *initial, const char *path,
			const struct host *host, const struct host_vm *vm, bool *found,
			struct findings *findings);

#endif /* TSC_OFFSET_INITIAL_SNAPSHOT_H */
