/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The contents of tsc-offset show, for all sources and all formats. */
#ifndef TSC_OFFSET_SHOW_REPORT_H
#define TSC_OFFSET_SHOW_REPORT_H

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
 * struct show_report - a host to show
 * @source: name of the file, or SOURCE_LIVE
 * @host: the host
 * @buffer: name of the instance with the changes, "" for the top buffer, NULL without
 * @only: the selected VM, NULL for all
 * @frequency: frequency of the TSC
 * @complete: nothing shows that a change is missing
 * @scaled: a shown TSC is scaled
 * @findings: findings about it; not owned
 */
struct show_report {
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

void show_report_complete(struct show_report *report);
bool show_report_is_live(const struct show_report *report);
const struct host_vm *show_report_next_vm(const struct show_report *report, const struct host_vm *vm);
const char *show_report_evidence(const struct host_vm *vm);
struct vcpu_now show_report_current(const struct host_vm *vm, size_t vcpu);
int64_t show_report_delta(const struct tsc_segment *segment);
size_t show_report_gaps(const struct vcpu_history *vcpu);
size_t show_report_jumps(const struct vcpu_history *vcpu);

#endif /* TSC_OFFSET_SHOW_REPORT_H */
