// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "findings.h"
#include "host.h"
#include "initial_offsets.h"
#include "initial_snapshot.h"
#include "snapshot.h"
#include "trace_dat.h"

/*
 * KVM's number distinguishes VMs, and so does the name in debugfs. Without both, equal thread ids mean the same VM,
 * while it runs and is the only one of its process.
 */
static bool is_same_vm(const struct snapshot_vm *a, const struct host_vm *b)
{
	if (a->kvm_id && b->vm_id)
		return a->kvm_id == b->vm_id;
	if (strchr(a->name, '-') && b->vm_fd >= 0)
		return !strcmp(a->name, b->name);
	if (b->guest_trace_id && a->guest_trace_id == b->guest_trace_id)
		return true;
	for (size_t i = 0; i < a->nr_threads; i++) {
		for (size_t j = 0; j < b->nr_threads; j++) {
			if (a->threads[i].tid == b->threads[j].tid &&
			    a->threads[i].vcpu_id == b->threads[j].vcpu_id)
				return true;
		}
	}
	return a->id == b->id;
}

/* Changes between the snapshot and the recording are unknown */
static void note_if_apart(struct findings *findings, const struct snapshot_vcpu *vcpu, const char *path,
			  const struct host *host)
{
	if (vcpu->host_tsc >= host->first && vcpu->host_tsc <= host->last)
		return;
	findings_note(findings, FINDING_OFFSET,
		      "vCPU %u: %s is from %s the host's recording; changes between them are unknown", vcpu->vcpu_id,
		      path, vcpu->host_tsc < host->first ? "before" : "after");
}

static void add_if_estimated(struct findings *findings, const struct snapshot_vcpu *vcpu, const char *path)
{
	if (vcpu->bound.estimated)
		findings_add(findings, FINDING_OFFSET, vcpu->bound.violations,
			     "vCPU %u: the offset in %s is an estimate, %s %" PRIu64 " cycles", vcpu->vcpu_id, path,
			     estimate_words(&vcpu->bound), vcpu->bound.max_error);
}

/**
 * initial_offsets_read - add a VM's initial offsets from a snapshot
 * @initial: the known offsets, which are kept; others are added
 * @path: the output of tsc-offset show --json on the host
 * @host: the host's file
 * @vm: a VM of @host
 * @found: set if the snapshot has the VM
 * @findings: estimates in it are added, as doubts if some events do not fit
 *
 * Returns: 0 or a negative errno with the reason in the error of the host's file.
 */
int initial_offsets_read(struct initial_offsets *initial, const char *path,
			const struct host *host, const struct host_vm *vm, bool *found,
			struct findings *findings)
{
	const struct snapshot_vm *same = NULL;
	struct snapshot snapshot;
	int ret;

	ret = snapshot_read(&snapshot, path, host->dat->error);
	for (size_t i = 0; i < snapshot.nr_vms && !ret && !same; i++) {
		if (is_same_vm(&snapshot.vms[i], vm))
			same = &snapshot.vms[i];
	}
	*found |= same != NULL;
	for (size_t i = 0; !ret && same && i < same->nr_vcpus; i++) {
		const struct snapshot_vcpu *vcpu = &same->vcpus[i];

		if (!vcpu->known || initial_offsets_find(initial, vcpu->vcpu_id))
			continue;
		note_if_apart(findings, vcpu, path, host);
		add_if_estimated(findings, vcpu, path);
		ret = initial_offsets_add(initial, &(struct initial_offset) {
			.vcpu_id = vcpu->vcpu_id, .map = vcpu->map, .bound = vcpu->bound,
		});
	}
	snapshot_release(&snapshot);
	return error_keep(host->dat->error, ret, path);
}
