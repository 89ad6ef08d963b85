// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>

#include "current_offsets.h"
#include "event.h"
#include "history.h"
#include "kvm_debugfs.h"
#include "order.h"

/* A vCPU that runs a nested guest shows its L1 offset only at times: number of tries */
#define NESTED_TRIES	20
#define NESTED_WAIT_NS	(2 * 1000 * 1000)

static void read_debugfs(struct current_offset *offset, const struct kvm_debugfs_vm *vm)
{
	uint64_t asked = __rdtsc();
	struct tsc_mapping map;

	offset->error = kvm_debugfs_l1(vm, offset->vcpu_id, &map);
	if (offset->error)
		return;
	if (!offset->offset_known) {
		offset->map.offset = map.offset;
		offset->asked = asked;
		offset->host_tsc = __rdtsc();
		offset->offset_known = true;
	}
	if (!offset->scaling_known) {
		offset->map.ratio = map.ratio;
		offset->map.frac_bits = map.frac_bits;
		offset->scaling_known = true;
	}
}

/**
 * current_offsets_complete - read unknown values from debugfs
 * @offsets: offsets of the VM's vCPUs
 * @nr: number of @offsets
 * @vm: the VM
 *
 * Returns: true if all are known now.
 */
bool current_offsets_complete(struct current_offset *offsets, size_t nr, const struct kvm_debugfs_vm *vm)
{
	bool complete = true;

	for (size_t i = 0; i < nr; i++) {
		/*
		 * debugfs of stock kernels does not show that the TSC is protected and that the guest has another
		 * offset
		 */
		if (offsets[i].tsc_protected)
			continue;
		if (!offsets[i].offset_known || !offsets[i].scaling_known)
			read_debugfs(&offsets[i], vm);
		complete &= offsets[i].offset_known && offsets[i].scaling_known;
	}
	return complete;
}

/**
 * current_offsets_alloc - allocate unknown values
 * @offsets: result: one for each vCPU, in the order of @vm->vcpu_ids; to be freed
 * @vm: the VM
 *
 * Returns: 0 or -ENOMEM.
 */
int current_offsets_alloc(struct current_offset **offsets, const struct kvm_debugfs_vm *vm)
{
	*offsets = calloc(vm->nr_vcpus + 1, sizeof(**offsets));
	if (!*offsets)
		return -ENOMEM;
	for (size_t i = 0; i < vm->nr_vcpus; i++)
		(*offsets)[i].vcpu_id = vm->vcpu_ids[i];
	return 0;
}

/**
 * current_offsets_take - take the values of a probe
 * @offsets: offsets of the vCPUs of its VM, in the order of their ids
 * @nr: number of @offsets
 * @event: the probe's event
 */
void current_offsets_take(struct current_offset *offsets, size_t nr, const struct tsc_offset_event *event)
{
	size_t place = first_where(i, nr, offsets[i].vcpu_id >= event->vcpu_id);

	/* Without a ratio the vCPU is still being created, or KVM knows only the scaling that debugfs shows */
	if (place == nr || offsets[place].vcpu_id != event->vcpu_id || !event->ratio)
		return;
	offsets[place] = (struct current_offset) {
		.vcpu_id = event->vcpu_id,
		.offset_known = !event->tsc_protected, .scaling_known = !event->tsc_protected,
		.map = { .offset = event->next, .ratio = event->ratio, .frac_bits = event->frac_bits },
		.asked = event->host_tsc, .host_tsc = event->host_tsc,
		.by_probe = true, .vm = event->vm, .tsc_protected = event->tsc_protected,
		.error = event->tsc_protected ? -EOPNOTSUPP : 0,
	};
}

/**
 * current_offsets_wait - read unknown values from debugfs, until all are known or a short time has passed
 * @offsets: offsets of the VM's vCPUs
 * @vm: the VM
 *
 * While a vCPU runs a nested guest, debugfs does not show its L1 offset.
 */
void current_offsets_wait(struct current_offset *offsets, const struct kvm_debugfs_vm *vm)
{
	for (int i = 0; !current_offsets_complete(offsets, vm->nr_vcpus, vm) && i < NESTED_TRIES; i++)
		nanosleep(&(struct timespec) { .tv_nsec = NESTED_WAIT_NS }, NULL);
}

/**
 * current_offsets_read - read a VM's offsets from debugfs
 * @offsets: result: one for each vCPU, in the order of @vm->vcpu_ids; to be freed
 * @vm: the VM
 *
 * Waits as current_offsets_wait() does.
 *
 * Returns: 0, also if debugfs does not show some of them, or -ENOMEM.
 */
int current_offsets_read(struct current_offset **offsets, const struct kvm_debugfs_vm *vm)
{
	int ret = current_offsets_alloc(offsets, vm);

	if (!ret)
		current_offsets_wait(*offsets, vm);
	return ret;
}

/**
 * current_offset_settle - reconcile an offset from debugfs with the boot instance
 * @offset: the offset from debugfs, read before the instance, if known; result: the current offset
 * @boot: the changes of the vCPU in the instance
 *
 * Some kernels leave a wrong value in debugfs when a nested guest ends in an unusual way. An instance without losses is
 * correct; one with losses is used if debugfs does not show the offset. A value from a probe is correct until a later
 * change.
 *
 * Returns: false if they contradict each other.
 */
bool current_offset_settle(struct current_offset *offset, const struct vcpu_history *boot)
{
	const struct tsc_segment *last;
	bool agree;

	if (!boot->nr_segments || (offset->offset_known && vcpu_history_gap(boot, boot->nr_segments)))
		return true;
	last = &boot->segments[boot->nr_segments - 1];
	agree = !offset->offset_known || offset->map.offset == last->map.offset;
	if (offset->by_probe && last->host_tsc < offset->asked)
		return agree || vcpu_history_previous_unreported(boot);
	/* The events of a stock kernel do not report the scaling */
	if (last->map.ratio)
		offset->map = last->map;
	offset->map.offset = last->map.offset;
	offset->offset_known = true;
	offset->scaling_known |= last->map.ratio != 0;
	if (last->host_tsc > offset->host_tsc)
		offset->host_tsc = last->host_tsc;
	return agree || last->host_tsc >= offset->asked || vcpu_history_previous_unreported(boot);
}
