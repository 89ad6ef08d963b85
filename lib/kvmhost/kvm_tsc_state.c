// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "event.h"
#include "kvm_isa.h"
#include "kvm_layout.h"
#include "kvm_probes.h"
#include "kvm_tsc_state.h"
#include "mounts.h"
#include "record_instance.h"

/* Number 0 is the instance in which a process records changes */
#define INSTANCE_NUMBER	1
/* vCPUs read between two drains: the instance's buffers have room for their events */
#define READS_OF_A_DRAIN	64

/* The VM whose vCPUs are read */
struct reads {
	const struct kvm_debugfs_vm	*vm;
	struct current_offset		*offsets;
};

static int take(const struct tsc_offset_event *event, void *context)
{
	const struct reads *reads = context;

	/* Other processes read debugfs as well */
	if (event->vm_pid == reads->vm->creator && event->vm_fd == reads->vm->fd)
		current_offsets_take(reads->offsets, reads->vm->nr_vcpus, event);
	return 0;
}

static int read_vm(struct record_instance *instance, const struct kvm_debugfs_vm *vm, struct current_offset *offsets)
{
	struct reads reads = { vm, offsets };
	struct tsc_mapping unused;
	bool lost = false;
	int ret = 0;

	for (size_t i = 0; i < vm->nr_vcpus && !ret; i++) {
		/* The value itself does not matter */
		kvm_debugfs_active(vm, vm->vcpu_ids[i], &unused);
		if ((i + 1) % READS_OF_A_DRAIN == 0 || i + 1 == vm->nr_vcpus)
			ret = record_instance_drain(instance, take, &reads, &lost);
	}
	return ret;
}

/* Returns: 0 if the probe could be used, even if it missed some */
static int read_by_probe(struct kvm_tsc_state *state)
{
	struct record_instance instance = { 0 };
	int ret = kvm_probes_define_read(KVM_BTF_DIR, &state->no_probe);

	if (ret)
		return ret;
	ret = record_instance_open(&instance, INSTANCE_NUMBER, RECORD_READS);
	for (size_t i = 0; i < state->nr_vms && !ret; i++)
		ret = read_vm(&instance, &state->vms[i], state->offsets[i]);
	record_instance_close(&instance);
	kvm_probes_remove_read();
	return ret ? error_set(&state->no_probe, ret, NULL, "the probe cannot be recorded: %s", strerror(-ret)) : 0;
}

/* Values that are still unknown are read from debugfs */
static void choose_source(struct kvm_tsc_state *state)
{
	_cleanup_(freep) char *tracefs = NULL;
	bool patched = false;

	for (size_t i = 0; i < state->nr_vms && !patched; i++)
		patched = kvm_debugfs_shows_l1(&state->vms[i]);
	if (patched)
		state->source = KVM_TSC_BY_PATCHED_DEBUGFS;
	else if (find_mount("tracefs", &tracefs))
		error_set(&state->no_probe, -ENODEV, NULL, "tracefs is not mounted");
	else if (state->nr_vms && !read_by_probe(state))
		state->source = KVM_TSC_BY_PROBE;
}

static int read_offsets(struct kvm_tsc_state *state)
{
	int ret = 0;

	state->offsets = calloc(state->nr_vms + 1, sizeof(*state->offsets));
	if (!state->offsets)
		return -ENOMEM;
	for (size_t i = 0; i < state->nr_vms && !ret; i++)
		ret = current_offsets_alloc(&state->offsets[i], &state->vms[i]);
	if (ret)
		return ret;
	choose_source(state);
	for (size_t i = 0; i < state->nr_vms; i++)
		current_offsets_wait(state->offsets[i], &state->vms[i]);
	return 0;
}

/**
 * kvm_tsc_state_read - read the current offsets of all vCPUs
 * @state: result; must be released in any case
 *
 * Nothing is mounted. The probe and a tracefs instance for it exist only during the call.
 *
 * Returns: 0, also if the offsets of some vCPUs are unknown; or a negative errno of debugfs: -ENODEV if it is not
 * mounted.
 */
int kvm_tsc_state_read(struct kvm_tsc_state *state)
{
	_cleanup_(freep) char *debugfs = NULL;
	int ret;

	*state = (struct kvm_tsc_state) { 0 };
	ret = find_mount("debugfs", &debugfs);
	if (ret)
		return ret;
	if (asprintf(&state->dir, "%s/kvm", debugfs) < 0) {
		state->dir = NULL;
		return -ENOMEM;
	}
	ret = kvm_debugfs_list(&state->vms, &state->nr_vms, state->dir);
	if (ret) {
		kvm_debugfs_list_free(state->vms, state->nr_vms);
		state->vms = NULL;
		state->nr_vms = 0;
		return ret;
	}
	return read_offsets(state);
}

/**
 * kvm_tsc_state_mapping - get offset and scaling of a vCPU as KVM has them
 * @offset: offset with known offset and scaling
 *
 * If the hardware cannot scale, debugfs has no ratio, and KVM has a ratio of 1.
 *
 * Returns: the mapping.
 */
struct tsc_mapping kvm_tsc_state_mapping(const struct current_offset *offset)
{
	struct tsc_mapping map = offset->map;

	if (!map.ratio) {
		map.frac_bits = kvm_isa_frac_bits();
		map.ratio = 1ULL << map.frac_bits;
	}
	return map;
}

/**
 * kvm_tsc_state_mark - get the state of a vCPU as a line of tsc-offset mark
 * @mark: result
 * @vm: its VM
 * @offset: its offset
 *
 * Returns: 0, or -ENODATA if it is unknown.
 */
int kvm_tsc_state_mark(struct vcpu_mark *mark, const struct kvm_debugfs_vm *vm, const struct current_offset *offset)
{
	*mark = (struct vcpu_mark) {
		.vm_pid = vm->creator, .vm_fd = vm->fd, .vm_id = vm->id, .vcpu_id = offset->vcpu_id,
		.tid = kvm_debugfs_thread(vm, offset->vcpu_id), .map = kvm_tsc_state_mapping(offset),
		.tsc_protected = offset->tsc_protected || kvm_debugfs_tsc_protected(vm, offset->vcpu_id),
		.from = offset->asked, .until = offset->host_tsc,
	};
	return mark->tsc_protected || (offset->offset_known && offset->scaling_known) ? 0 : -ENODATA;
}

/**
 * kvm_tsc_state_doubt - explain why some values may not be shown
 * @state: a state that was read
 * @text: result, one line
 * @size: size of @text in bytes
 *
 * Returns: false if there is no reason.
 */
bool kvm_tsc_state_doubt(const struct kvm_tsc_state *state, char *text, size_t size)
{
	char line[ERROR_TEXT_SIZE];

	if (state->source != KVM_TSC_BY_DEBUGFS || !state->nr_vms)
		return false;
	snprintf(text, size, "no probe on KVM: %s: using debugfs, which shows neither L1's offset while L2 runs nor whether a TSC is protected",
		 error_line(&state->no_probe, line, sizeof(line)));
	return true;
}

/**
 * kvm_tsc_state_release - free a state
 * @state: a state, also after a failed read
 */
void kvm_tsc_state_release(struct kvm_tsc_state *state)
{
	for (size_t i = 0; state->offsets && i < state->nr_vms; i++)
		free(state->offsets[i]);
	free(state->offsets);
	kvm_debugfs_list_free(state->vms, state->nr_vms);
	free(state->dir);
	*state = (struct kvm_tsc_state) { 0 };
}
