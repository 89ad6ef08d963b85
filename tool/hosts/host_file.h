/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A host by its trace.dat.
 *
 * vcpu_ids are unique only within a VM. These sources show which threads belong to one VM, best first: the event itself
 * (kernels with our patches); GUEST options (trace-cmd record -A); and threads: VMMs start the threads of a VM one
 * after the other, so that vcpu_ids grow with thread ids and begin anew with the next VM.
 */
#ifndef TSC_OFFSET_HOST_FILE_H
#define TSC_OFFSET_HOST_FILE_H

#include <stdbool.h>

#include "host.h"

struct host_changes;

int host_file_read(struct host *host, struct trace_dat *dat, const struct host_changes *changes);
void host_release(struct host *host);
bool host_has_fast_path(const struct host *host);
bool host_records_exits(const struct host *host);

#endif /* TSC_OFFSET_HOST_FILE_H */
