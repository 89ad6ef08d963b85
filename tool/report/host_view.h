/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* What tsc-offset show shows, whatever it was read from and however it is written. */
#ifndef TSC_OFFSET_HOST_VIEW_H
#define TSC_OFFSET_HOST_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mapping.h"
#include "tsc_frequency.h"

struct findings;
struct host;
struct host_vm;
struct tsc_segment;
struct vcpu_history;
struct vcpu_now;

/**
 * struct host_view - a host as it is shown
 * @source: name of the file, or SOURCE_LIVE
 * @host: what was read
 * @buffer: name of the instance that changes are from, "" for the top buffer, NULL if there is none
 * @only: the VM that is asked for, NULL for all
 * @frequency: of the TSC
 * @complete: nothing says that a change is missing
 * @scaled: a TSC that is shown is scaled
 * @findings: what is found of it; the caller's
 */
struct host_view {
	const char		*source;
	const struct host	*host;
	const char		*buffer;
	const struct host_vm	*only;
	struct tsc_frequency	frequency;
	bool			complete;
	bool			scaled;
	const struct findings	*findings;
};

#define SOURCE_LIVE	"live"

void host_view_complete(struct host_view *view);
bool host_view_is_live(const struct host_view *view);
const struct host_vm *host_view_next_vm(const struct host_view *view, const struct host_vm *vm);
const char *host_view_evidence(const struct host_vm *vm);
struct vcpu_now host_view_current(const struct host_vm *vm, size_t vcpu);
int64_t host_view_delta(const struct tsc_segment *segment);
size_t host_view_gaps(const struct vcpu_history *vcpu);
size_t host_view_jumps(const struct vcpu_history *vcpu);

#endif /* TSC_OFFSET_HOST_VIEW_H */
