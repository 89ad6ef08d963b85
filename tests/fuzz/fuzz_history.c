// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Histories of two vCPUs from arbitrary events, and the sync points made from them: for any input, they follow the
 * rules on which readers rely.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "history.h"
#include "time_shift.h"

#define NR_VCPUS 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct time_shift *shift)
{
	if (shift->nr_points < 2 || shift->nr_vcpus != NR_VCPUS)
		abort();
	for (size_t v = 0; v < NR_VCPUS; v++)
		for (size_t i = 1; i < shift->nr_points; i++)
			if (time_shift_vcpu(shift, v)[i].guest_tsc <=
			    time_shift_vcpu(shift, v)[i - 1].guest_tsc)
				abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct vcpu_history *vcpus[NR_VCPUS];
	struct tsc_offset_event event = { 0 };
	struct tsc_history history = { 0 };
	struct vm_history *vm = tsc_history_vm(&history, 1);
	struct time_shift shift;
	uint64_t span[2], limit, a, b;
	bool scaled;
	size_t encoded;
	void *option;

	if (!vm || size < sizeof(span))
		goto out;
	memcpy(span, data, sizeof(span));
	/*
	 * A scaled guest needs sync points for all guest times that pass and that it skips. Limit times and jumps to
	 * minutes, and ratios to about 1, as hardware has them; otherwise this would only test memory. An unscaled
	 * guest may do anything.
	 */
	scaled = span[1] & 1;
	limit = scaled ? (1ULL << 40) - 1 : UINT64_MAX;
	span[0] &= limit;
	span[1] = span[0] + (span[1] & limit);
	for (data += sizeof(span), size -= sizeof(span); size >= 28; data += 28, size -= 28) {
		memcpy(&event.host_tsc, data, 8);
		memcpy(&event.previous, data + 8, 8);
		memcpy(&event.next, data + 16, 8);
		event.host_tsc &= limit;
		event.vcpu_id = data[24] % NR_VCPUS;
		event.frac_bits = data[25] % 70;
		event.ratio = 0;
		if (scaled) {
			event.previous >>= 23;
			event.next >>= 23;
			if (data[26] && event.frac_bits >= 8 && event.frac_bits < 63)
				event.ratio = (1ULL << event.frac_bits) / 128 * (64 + data[27] / 2);
		}
		vm_history_add(vm, &event);
	}
	for (uint32_t v = 0; v < NR_VCPUS; v++)
		vm_history_vcpu(vm, v);
	for (size_t v = 0; v < vm->nr_vcpus; v++) {
		vcpus[v] = &vm->vcpus[v];
		for (size_t i = 0; i < vcpus[v]->nr_segments; i++) {
			vcpu_history_gap(vcpus[v], i);
			vcpu_history_backward(vcpus[v], i, &a, &b);
		}
	}
	if (vm->nr_vcpus == NR_VCPUS &&
	    !time_shift_build(&shift, vcpus, NR_VCPUS, span[0], span[1])) {
		check(&shift);
		if (!time_shift_encode(&shift, 1, &option, &encoded))
			free(option);
		time_shift_release(&shift);
	}
out:
	tsc_history_release(&history);
	return 0;
}
