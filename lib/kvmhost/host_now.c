// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "event.h"
#include "host_now.h"
#include "kvm_isa.h"
#include "kvm_layout.h"
#include "kvm_probes.h"
#include "mounts.h"
#include "record_instance.h"

/* Number 0 is the instance in which a process records changes */
#define INSTANCE_NUMBER	1
/* vCPUs that are read between two drains: the instance's buffers hold their events */
#define READS_OF_A_DRAIN	64

/* The VM whose vCPUs are read */
struct reads {
	const struct kvm_debugfs_vm	*vm;
	struct current_offset		*offsets;
};

static int take(const struct tsc_offset_event *event, void *context)
{
	const struct reads *reads = context;

	/* Others read debugfs as well */
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
		/* What it shows does not matter */
		kvm_debugfs_active(vm, vm->vcpu_ids[i], &unused);
		if ((i + 1) % READS_OF_A_DRAIN == 0 || i + 1 == vm->nr_vcpus)
			ret = record_instance_drain(instance, take, &reads, &lost);
	}
	return ret;
}

/* Returns: 0 if the probe could be used, also if it missed some */
static int read_by_probe(struct host_now *now)
{
	struct record_instance instance = { 0 };
	int ret = kvm_probes_define_read(KVM_BTF_DIR, &now->no_probe);

	if (ret)
		return ret;
	ret = record_instance_open(&instance, INSTANCE_NUMBER, RECORD_READS);
	for (size_t i = 0; i < now->nr_vms && !ret; i++)
		ret = read_vm(&instance, &now->vms[i], now->offsets[i]);
	record_instance_close(&instance);
	kvm_probes_remove_read();
	return ret ? error_set(&now->no_probe, ret, NULL, "the probe cannot be recorded: %s", strerror(-ret)) : 0;
}

/* Whatever is not known by then is read in debugfs */
static void choose_source(struct host_now *now)
{
	_cleanup_(freep) char *tracefs = NULL;
	bool patched = false;

	for (size_t i = 0; i < now->nr_vms && !patched; i++)
		patched = kvm_debugfs_shows_l1(&now->vms[i]);
	if (patched)
		now->source = HOST_NOW_PATCHED;
	else if (find_mount("tracefs", &tracefs))
		error_set(&now->no_probe, -ENODEV, NULL, "tracefs is not mounted");
	else if (now->nr_vms && !read_by_probe(now))
		now->source = HOST_NOW_PROBE;
}

static int read_offsets(struct host_now *now)
{
	int ret = 0;

	now->offsets = calloc(now->nr_vms + 1, sizeof(*now->offsets));
	if (!now->offsets)
		return -ENOMEM;
	for (size_t i = 0; i < now->nr_vms && !ret; i++)
		ret = current_offsets_alloc(&now->offsets[i], &now->vms[i]);
	if (ret)
		return ret;
	choose_source(now);
	for (size_t i = 0; i < now->nr_vms; i++)
		current_offsets_wait(now->offsets[i], &now->vms[i]);
	return 0;
}

/**
 * host_now_read - read the current offsets of all vCPUs
 * @now: result; to be released in any case
 *
 * Nothing is mounted. The probe and a tracefs instance for it exist only during the call.
 *
 * Returns: 0, also if the offsets of some vCPUs are unknown; or a negative errno of debugfs: -ENODEV if it is not
 * mounted.
 */
int host_now_read(struct host_now *now)
{
	_cleanup_(freep) char *debugfs = NULL;
	int ret;

	*now = (struct host_now) { 0 };
	ret = find_mount("debugfs", &debugfs);
	if (ret)
		return ret;
	if (asprintf(&now->dir, "%s/kvm", debugfs) < 0) {
		now->dir = NULL;
		return -ENOMEM;
	}
	ret = kvm_debugfs_list(&now->vms, &now->nr_vms, now->dir);
	if (ret) {
		kvm_debugfs_list_free(now->vms, now->nr_vms);
		now->vms = NULL;
		now->nr_vms = 0;
		return ret;
	}
	return read_offsets(now);
}

/**
 * host_now_mapping - offset and scaling of a vCPU as KVM has them
 * @offset: with both known
 *
 * If the hardware cannot scale, debugfs has no ratio, and KVM has a ratio of 1.
 *
 * Returns: the mapping.
 */
struct tsc_mapping host_now_mapping(const struct current_offset *offset)
{
	struct tsc_mapping map = offset->map;

	if (!map.ratio) {
		map.frac_bits = kvm_isa_frac_bits();
		map.ratio = 1ULL << map.frac_bits;
	}
	return map;
}

/**
 * host_now_mark - what a vCPU has, as tsc-offset mark writes it
 * @mark: result
 * @vm: its VM
 * @offset: read
 *
 * Returns: 0, or -ENODATA if it is not known.
 */
int host_now_mark(struct vcpu_mark *mark, const struct kvm_debugfs_vm *vm, const struct current_offset *offset)
{
	*mark = (struct vcpu_mark) {
		.vm_pid = vm->creator, .vm_fd = vm->fd, .vcpu_id = offset->vcpu_id,
		.tid = kvm_debugfs_thread(vm, offset->vcpu_id), .map = host_now_mapping(offset),
		.tsc_protected = offset->tsc_protected || kvm_debugfs_tsc_protected(vm, offset->vcpu_id),
		.from = offset->asked, .until = offset->host_tsc,
	};
	return mark->tsc_protected || (offset->offset_known && offset->scaling_known) ? 0 : -ENODATA;
}

/**
 * host_now_doubt - why the source may not show all values
 * @now: read
 * @text: result, one line
 * @size: bytes at @text
 *
 * Returns: false if there is no reason.
 */
bool host_now_doubt(const struct host_now *now, char *text, size_t size)
{
	char line[ERROR_TEXT_SIZE];

	if (now->source != HOST_NOW_DEBUGFS || !now->nr_vms)
		return false;
	snprintf(text, size, "no probe on KVM: %s: using debugfs, which shows neither L1's offset while L2 runs nor whether a TSC is protected",
		 error_line(&now->no_probe, line, sizeof(line)));
	return true;
}

/**
 * host_now_release - free what was read
 * @now: read, or failed to
 */
void host_now_release(struct host_now *now)
{
	for (size_t i = 0; now->offsets && i < now->nr_vms; i++)
		free(now->offsets[i]);
	free(now->offsets);
	kvm_debugfs_list_free(now->vms, now->nr_vms);
	free(now->dir);
	*now = (struct host_now) { 0 };
}
