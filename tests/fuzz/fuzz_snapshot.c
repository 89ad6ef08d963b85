// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* The output of show --json, or anything else: what is read from it is within bounds, and an error has a text. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "history.h"
#include "snapshot.h"

struct memory_file memory_files[2];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_history(const struct snapshot_vm *vm)
{
	struct vm_history history = { 0 };

	if (!snapshot_history(vm, &history) && history.nr_vcpus != vm->nr_vcpus)
		abort();
	vm_history_release(&history);
}

static void check(const struct snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->nr_vms; i++) {
		const struct snapshot_vm *vm = &snapshot->vms[i];

		if (vm->id < 0 || !memchr(vm->name, '\0', sizeof(vm->name)))
			abort();
		for (size_t t = 0; t < vm->nr_threads; t++) {
			if (vm->threads[t].tid < 0)
				abort();
		}
		for (size_t v = 0; v < vm->nr_vcpus; v++) {
			if (vm->vcpus[v].map.frac_bits > TSC_MAX_FRAC_BITS)
				abort();
			if (v && vm->vcpus[v - 1].vcpu_id >= vm->vcpus[v].vcpu_id)
				abort();
		}
		check_history(vm);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error error = { 0 };
	struct snapshot snapshot;
	int ret;

	memory_files[0] = (struct memory_file) { data, size };
	ret = snapshot_read(&snapshot, "memory", &error);
	if (ret && (error.code != ret || !*error.text))
		abort();
	if (!ret)
		check(&snapshot);
	snapshot_release(&snapshot);
	return 0;
}
