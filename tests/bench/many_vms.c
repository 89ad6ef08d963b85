// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The cost of histories of many VMs: many_vms VMS VCPUS CHANGES
 *
 * It adds events of all VMs in turn to histories, and then makes a TIME_SHIFT of each VM's history. It prints the
 * nanoseconds that each change takes in both steps, and the largest number of bytes of memory for each.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "event.h"
#include "history.h"
#include "time_shift.h"

#define CYCLES_BETWEEN	100000
#define FORWARD		1000
#define MAX_VCPUS	1024

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "many_vms: %s\n", what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

/* Peak memory of this program. getrusage() would include that of its parent. */
static long peak_kib(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	long kib = -1;

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "VmHWM: %ld", &kib) == 1)
			break;
	}
	if (kib < 0)
		die("/proc/self/status has no VmHWM");
	fclose(file);
	return kib;
}

/* Returns: the host TSC after the last event */
static uint64_t fill(struct tsc_history *history, int vms, int vcpus, int changes)
{
	uint64_t host_tsc = 0;

	for (int change = 1; change <= changes; change++) {
		for (int vm = 1; vm <= vms; vm++) {
			for (int vcpu = 0; vcpu < vcpus; vcpu++) {
				const struct tsc_offset_event event = {
					.host_tsc = host_tsc += CYCLES_BETWEEN, .tid = vm, .vcpu_id = vcpu,
					.previous = change * FORWARD, .next = (change + 1) * FORWARD,
					.vm_fd = -1,
				};
				struct vm_history *of = tsc_history_vm(history, vm);

				if (!of || vm_history_add(of, &event))
					die("no memory");
			}
		}
	}
	return host_tsc;
}

/* Returns: the number of sync points */
static uint64_t shifts(const struct tsc_history *history, uint64_t host_to)
{
	uint64_t points = 0;

	for (size_t i = 0; i < history->nr_vms; i++) {
		const struct vm_history *vm = &history->vms[i];
		const struct vcpu_history *vcpus[MAX_VCPUS];
		struct time_shift shift;
		void *option;
		size_t size;

		for (size_t vcpu = 0; vcpu < vm->nr_vcpus; vcpu++)
			vcpus[vcpu] = &vm->vcpus[vcpu];
		if (time_shift_build(&shift, vcpus, vm->nr_vcpus, 0, host_to) ||
		    time_shift_encode(&shift, 1, &option, &size))
			die("no time shift");
		points += shift.nr_vcpus * shift.nr_points;
		free(option);
		time_shift_release(&shift);
	}
	return points;
}

int main(int argc, char **argv)
{
	struct tsc_history history = { 0 };
	uint64_t begin, filled, done, host_to, points, count;
	int vms, vcpus, changes;
	long before;

	if (argc != 4)
		die("wants VMS VCPUS CHANGES");
	vms = atoi(argv[1]);
	vcpus = atoi(argv[2]);
	changes = atoi(argv[3]);
	if (vms < 1 || vcpus < 1 || vcpus > MAX_VCPUS || changes < 1)
		die("wants numbers above 0");
	count = (uint64_t)vms * vcpus * changes;

	before = peak_kib();
	begin = now_ns();
	host_to = fill(&history, vms, vcpus, changes);
	filled = now_ns();
	points = shifts(&history, host_to);
	done = now_ns();
	/* Each change gives at least two sync points: otherwise the measured time is that of something else */
	if (points < 2 * count)
		die("sync points are missing");
	printf("%.1f %.1f %.1f\n", (double)(filled - begin) / count, (double)(done - filled) / count,
	       (peak_kib() - before) * 1024.0 / count);
	tsc_history_release(&history);
	return 0;
}
