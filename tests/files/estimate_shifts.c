// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * What estimate_make() finds, as lines: CPU, events, inside, violations, 1 if unique, the lowest and the
 * highest shift as signed numbers. A CPU without a shift has only the first two.
 *
 * Arguments: the host's file, the guest's file, which VM unless there is one only.
 */
#include <inttypes.h>
#include <stdio.h>

#include "estimate.h"
#include "host_choice.h"
#include "host_file.h"
#include "host_vcpus.h"
#include "trace_dat.h"

int main(int argc, char **argv)
{
	struct error error = { 0 };
	struct trace_dat host_dat, guest_dat;
	struct host host;
	struct estimate_target targets[64];
	struct host_vcpus vcpus;
	struct estimate estimate;
	struct host_vm *vm;
	size_t nr = 0;
	int ret;

	if (argc < 3)
		return 2;
	if (trace_dat_open(&host_dat, argv[1], &error) || host_file_read(&host, &host_dat, NULL) ||
	    trace_dat_open(&guest_dat, argv[2], &error) || !host.guest_modes)
		return 1;
	vm = host_choose_vm(&host, argv[3], trace_dat_trace_id(&guest_dat), &error);
	if (!vm) {
		fprintf(stderr, "%s\n", error.text);
		return 1;
	}
	if (host_vcpus_read(&vcpus, &host))
		return 1;
	/* CPU n is vCPU n of the VM */
	for (size_t i = 0; i < vcpus.nr && nr < 64; i++) {
		if (&host.vms[vcpus.vcpus[i].vm] == vm) {
			targets[nr] = (struct estimate_target) { nr, vcpus.vcpus[i].vcpu_id, &vcpus.vcpus[i].modes };
			nr++;
		}
	}
	ret = estimate_make(&estimate, &guest_dat, false, targets, nr);
	if (ret)
		fprintf(stderr, "%s\n", error.text);
	for (size_t i = 0; i < estimate.nr_cpus && !ret; i++) {
		const struct estimate_cpu *cpu = &estimate.cpus[i];

		if (!cpu->events)
			continue;
		printf("%u %" PRIu64, cpu->cpu, cpu->events);
		if (cpu->found)
			printf(" %" PRIu64 " %" PRIu64 " %d %" PRId64 " %" PRId64, cpu->shift.inside,
			       cpu->shift.violations, cpu->shift.unique, (int64_t)cpu->shift.low,
			       (int64_t)cpu->shift.high);
		printf("\n");
	}
	estimate_release(&estimate);
	host_vcpus_release(&vcpus);
	trace_dat_close(&guest_dat);
	host_release(&host);
	trace_dat_close(&host_dat);
	return ret != 0;
}
