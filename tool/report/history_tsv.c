// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <inttypes.h>
#include <string.h>

#include "history_tsv.h"
#include "host.h"
#include "host_vms.h"
#include "show_report.h"

/* A missing number for gnuplot and most other programs */
#define NOT_KNOWN	"NaN"

static void write_vcpu(const struct show_report *report, const struct host_vm *vm,
		       const struct vcpu_history *vcpu, FILE *file)
{
	int thread = host_vm_thread(vm, vcpu->vcpu_id);

	for (size_t i = 0; i < vcpu->nr_segments; i++) {
		const struct tsc_segment *segment = &vcpu->segments[i];
		uint64_t since = segment->host_tsc - report->host->first;
		char seconds[TSC_SECONDS_SIZE] = NOT_KNOWN;

		if (!host_clock_went_back(&report->host->clock))
			tsc_frequency_seconds(&report->frequency, since, seconds);
		fprintf(file, "%s\t%" PRIu32 "\t%d\t%" PRIu64 "\t%s\t%" PRId64 "\t%" PRId64
			"\t%" PRId64 "\t%" PRIu64 "\t%" PRIu32 "\n", vm->name, vcpu->vcpu_id, thread,
			segment->host_tsc, seconds, segment->previous.offset, segment->map.offset,
			show_report_delta(segment), segment->map.ratio, segment->map.frac_bits);
	}
}

/**
 * history_tsv_write - write all changes as a table with tabs, for gnuplot and similar programs
 * @report: the report
 * @file: the output
 *
 * Seconds count from the first event. A ratio of 0 means 1.
 */
void history_tsv_write(const struct show_report *report, FILE *file)
{
	const struct host_vm *vm = NULL;

	fputs("#vm\tvcpu\tthread\thost_tsc\tseconds\tprevious\tnext\tdelta\tratio\tfrac_bits\n", file);
	while ((vm = show_report_next_vm(report, vm))) {
		for (size_t i = 0; i < vm->history.nr_vcpus; i++)
			write_vcpu(report, vm, &vm->history.vcpus[i], file);
	}
}
