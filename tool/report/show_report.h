/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* What tsc-offset show shows, whatever it was read from and however it is written. */
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
 * struct show_report - a host as it is shown
 * @source: name of the file, or SOURCE_LIVE
 * @host: what was read
 * @buffer: name of the instance that changes are from, "" for the top buffer, NULL if there is none
 * @only: the VM that is asked for, NULL for all
 * @frequency: of the TSC
 * @complete: nothing says that a change is missing
 * @scaled: a TSC that is shown is scaled
 * @findings: what is found of it; the caller's
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
