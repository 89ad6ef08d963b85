// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * A history given as text, turned into the payload of a TIME_SHIFT option on stdout.
 *
 * Arguments: the number of vCPUs, first and last host TSC, the host's trace id.
 * Lines on stdin: vcpu host_tsc offset ratio frac_bits; host TSC 0 stands for what held at first.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history.h"
#include "time_shift.h"

#define MAX_VCPUS 16

int main(int argc, char **argv)
{
	const struct vcpu_history *vcpus[MAX_VCPUS];
	struct vm_history vm = { 0 };
	struct tsc_mapping map;
	struct time_shift shift;
	uint64_t host_tsc;
	uint32_t vcpu;
	void *option;
	size_t size;
	int nr, ret;

	nr = argc == 5 ? atoi(argv[1]) : 0;
	if (nr < 1 || nr > MAX_VCPUS)
		return 2;
	for (int i = 0; i < nr; i++)
		if (!vm_history_vcpu(&vm, i))
			return 1;
	while (scanf("%" SCNu32 " %" SCNu64 " %" SCNd64 " %" SCNu64 " %" SCNu32, &vcpu, &host_tsc,
		     &map.offset, &map.ratio, &map.frac_bits) == 5) {
		struct vcpu_history *history = vm_history_vcpu(&vm, vcpu);
		struct tsc_mapping before;

		if (!history)
			return 1;
		if (!host_tsc) {
			vcpu_history_set_initial(history, &map);
			continue;
		}
		if (!vcpu_history_at(history, UINT64_MAX, &before) ||
		    vcpu_history_add(history, host_tsc, &map, &before))
			return 1;
	}
	for (int i = 0; i < nr; i++)
		vcpus[i] = &vm.vcpus[i];

	ret = time_shift_build(&shift, vcpus, nr, strtoull(argv[2], NULL, 0),
			       strtoull(argv[3], NULL, 0));
	if (!ret)
		ret = time_shift_encode(&shift, strtoull(argv[4], NULL, 0), &option, &size);
	if (ret) {
		fprintf(stderr, "no TIME_SHIFT: %s\n", strerror(-ret));
		return 1;
	}
	fwrite(option, 1, size, stdout);
	free(option);
	time_shift_release(&shift);
	vm_history_release(&vm);
	return 0;
}
