// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <inttypes.h>
#include <string.h>

#include "history_tsv.h"
#include "host_file.h"
#include "host_view.h"
#include "host_vms.h"

/* What gnuplot and most others take for a number that is not there */
#define NOT_KNOWN	"NaN"

static void write_vcpu(const struct host_view *view, const struct host_vm *vm,
		       const struct vcpu_history *vcpu, FILE *file)
{
	int thread = host_vm_thread(vm, vcpu->vcpu_id);

	for (size_t i = 0; i < vcpu->nr_segments; i++) {
		const struct tsc_segment *segment = &vcpu->segments[i];
		uint64_t since = segment->host_tsc - view->host->first;
		char seconds[TSC_SECONDS_SIZE] = NOT_KNOWN;

		if (!host_clock_went_back(&view->host->clock))
			tsc_frequency_seconds(&view->frequency, since, seconds);
		fprintf(file, "%s\t%" PRIu32 "\t%d\t%" PRIu64 "\t%s\t%" PRId64 "\t%" PRId64
			"\t%" PRId64 "\t%" PRIu64 "\t%" PRIu32 "\n", vm->name, vcpu->vcpu_id, thread,
			segment->host_tsc, seconds, segment->previous.offset, segment->map.offset,
			host_view_delta(segment), segment->map.ratio, segment->map.frac_bits);
	}
}

/**
 * history_tsv_write - write all changes as a table with tabs, for gnuplot and the like
 * @view: what to write
 * @file: where to
 *
 * seconds are those since the first event. A ratio of 0 is one of 1.
 */
void history_tsv_write(const struct host_view *view, FILE *file)
{
	const struct host_vm *vm = NULL;

	fputs("#vm\tvcpu\tthread\thost_tsc\tseconds\tprevious\tnext\tdelta\tratio\tfrac_bits\n", file);
	while ((vm = host_view_next_vm(view, vm))) {
		for (size_t i = 0; i < vm->history.nr_vcpus; i++)
			write_vcpu(view, vm, &vm->history.vcpus[i], file);
	}
}
