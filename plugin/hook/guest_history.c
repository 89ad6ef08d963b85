// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include <tracefs.h>

#include "any.h"
#include "boot_instance.h"
#include "cleanup.h"
#include "guest_history.h"
#include "message.h"
#include "vm_process.h"

/* Events of a patched kernel report their VM, whichever thread wrote them */
static int is_wanted(const struct tsc_offset_event *event, void *context)
{
	struct guest_history *guest = context;
	bool is_guest;

	if (event->vm_id && guest->debugfs.id)
		is_guest = event->vm_id == guest->debugfs.id;
	else if (event->vm_pid && event->vm_fd >= 0 && guest->debugfs.path)
		is_guest = event->vm_pid == guest->debugfs.creator && event->vm_fd == guest->debugfs.fd;
	else
		is_guest = vm_threads_has(&guest->threads, event->tid);
	/* The limit is reached */
	if (is_guest && guest->nr_changes + guest->drainer.nr_batch > guest->max_sum)
		return -E2BIG;
	return is_guest;
}

/* Returns: the initial offset of a vCPU that existed at the beginning, else NULL */
static const struct current_offset *initial_of(const struct guest_history *guest, uint32_t vcpu_id)
{
	for (size_t vcpu = 0; vcpu < guest->nr_vcpus; vcpu++) {
		if (guest->initial[vcpu].vcpu_id == vcpu_id)
			return &guest->initial[vcpu];
	}
	return NULL;
}

static int take_event(struct tsc_offset_event *event, void *context)
{
	struct guest_history *guest = context;
	const struct current_offset *initial = initial_of(guest, event->vcpu_id);
	const struct vcpu_history *vcpu = vm_history_vcpu(&guest->events, event->vcpu_id);

	if (!vcpu)
		return -ENOMEM;
	if (guest->nr_changes >= guest->max_sum || vcpu->nr_segments >= guest->max_changes)
		return -E2BIG;
	guest->nr_changes++;
	/* A stock kernel's events lack the scaling, but debugfs has it; it seldom changes */
	if (!guest->drainer.instance.formats.formats[0].ratio && initial) {
		event->ratio = initial->map.ratio;
		event->previous_ratio = event->ratio;
		event->frac_bits = initial->map.frac_bits;
	}
	return vm_history_add(&guest->events, event);
}

/* Read from debugfs what it did not show before */
static void complete_initial_offsets(struct guest_history *guest)
{
	for (size_t vcpu = 0; vcpu < guest->nr_vcpus && guest->debugfs.path; vcpu++) {
		struct current_offset *initial = &guest->initial[vcpu];
		bool known = initial->scaling_known;
		size_t at;

		current_offsets_complete(initial, 1, &guest->debugfs);
		at = vm_history_find(&guest->events, initial->vcpu_id);
		/* Events from before it was known lack it */
		if (initial->scaling_known && !known && at < guest->events.nr_vcpus)
			vcpu_history_set_scaling(&guest->events.vcpus[at], &initial->map);
	}
}

static void tick(void *context)
{
	guest_history_drain(context);
	complete_initial_offsets(context);
}

static const struct event_drainer_ops drainer_ops = { is_wanted, take_event, tick };

/**
 * guest_history_drain - process the events since the last drain
 * @guest: the open history; called with the lock held
 */
void guest_history_drain(struct guest_history *guest)
{
	int error;

	if (guest->drainer.error)
		return;
	vm_threads_look(&guest->threads);
	error = event_drainer_drain(&guest->drainer);
	if (error)
		message("guest pid %d: cannot continue reading offset changes (%s): its times are wrong from the next change on",
			guest->pid, error == -E2BIG ? "there are too many" : strerror(-error));
}

/* KVM gives all vCPUs of a VM the same offset unless one is changed, so another vCPU's is a good guess */
static void guess_offset(const struct guest_history *guest, const struct vcpu_history *vcpu, struct tsc_mapping *map)
{
	if (vcpu->nr_segments) {
		map->offset = vcpu->segments[0].map.offset;
		return;
	}
	for (size_t other = 0; other < guest->nr_vcpus; other++) {
		if (guest->initial[other].offset_known) {
			map->offset = guest->initial[other].map.offset;
			return;
		}
	}
	if (guest->debugfs.path)
		kvm_debugfs_active(&guest->debugfs, vcpu->vcpu_id, map);
}

/*
 * Set the offset before the first event. An offset that was read after that event is the new one; then the event itself
 * has the previous one. The offset can stay unknown, for a vCPU that always runs a nested guest, or without debugfs. A
 * recording with a possibly wrong offset and a message is worth more than one without an offset.
 */
static void apply_initial_offset(struct guest_history *guest, size_t i)
{
	const struct current_offset *initial = &guest->initial[i];
	struct vcpu_history *vcpu = guest_history_vcpu(guest, i);
	struct tsc_mapping map = initial->map;

	guest->guessed[i] = false;
	if (initial->offset_known && (!vcpu->nr_segments || vcpu->segments[0].host_tsc > initial->host_tsc)) {
		vcpu_history_set_initial(vcpu, &map);
		return;
	}
	vcpu->initial_known = false;
	if (vcpu_history_before(vcpu, 0, &map))
		return;
	map = initial->map;
	guess_offset(guest, vcpu, &map);
	vcpu_history_set_initial(vcpu, &map);
	guest->guessed[i] = true;
}

/**
 * guest_history_update - process all that is known so far
 * @guest: the open history; called with the lock held
 *
 * Returns: 0 or -ENOMEM.
 */
int guest_history_update(struct guest_history *guest)
{
	guest_history_drain(guest);
	/* Add all first and use them second, because adding one moves the others */
	for (size_t vcpu = 0; vcpu < guest->nr_vcpus; vcpu++) {
		if (!guest_history_vcpu(guest, vcpu))
			return -ENOMEM;
	}
	for (size_t vcpu = 0; vcpu < guest->nr_vcpus; vcpu++)
		apply_initial_offset(guest, vcpu);
	return 0;
}

/**
 * guest_history_vcpu - get the history of a vCPU
 * @guest: the open history; called with the lock held
 * @vcpu: index of the vCPU in @guest->initial
 *
 * Returns: the history, created if missing; NULL without memory, but not after a guest_history_update().
 */
struct vcpu_history *guest_history_vcpu(struct guest_history *guest, size_t vcpu)
{
	return vm_history_vcpu(&guest->events, guest->initial[vcpu].vcpu_id);
}

/* Returns: 0 also without it: the boot instance may be enough */
static int find_debugfs(struct guest_history *guest)
{
	const char *dir = tracefs_debug_dir();
	_cleanup_(freep) char *kvm_dir = NULL;
	int ret = -ENOENT;

	if (dir && asprintf(&kvm_dir, "%s/kvm", dir) >= 0)
		ret = kvm_debugfs_open(&guest->debugfs, kvm_dir, guest->pid);
	if (ret != -EEXIST && (!ret || vm_process_nr_vms(guest->pid) <= 1))
		return 0;
	message("guest pid %d runs several VMs: unknown which one is the guest", guest->pid);
	return -EEXIST;
}

/* Then neither events nor debugfs report the guest's values */
static bool has_protected_tsc(const struct guest_history *guest, const struct vm_history *boot)
{
	for (size_t vcpu = 0; vcpu < guest->nr_vcpus && guest->debugfs.path; vcpu++) {
		if (kvm_debugfs_tsc_protected(&guest->debugfs, guest->initial[vcpu].vcpu_id))
			return true;
	}
	return any_of(i, boot->nr_vcpus, boot->vcpus[i].tsc_protected);
}

static void settle(struct guest_history *guest, const struct vcpu_history *boot, struct current_offset *initial)
{
	int64_t shown = initial->map.offset;

	if (!current_offset_settle(initial, boot))
		message("guest pid %d: vCPU %u: the instance " BOOT_INSTANCE " says offset %" PRId64 ", debugfs says %" PRId64 ": using the instance's",
			guest->pid, initial->vcpu_id, initial->map.offset, shown);
}

/* The vCPUs in debugfs, or without debugfs those with events in the boot instance */
static int settle_all(struct guest_history *guest, const struct vm_history *boot)
{
	guest->nr_vcpus = guest->debugfs.path ? guest->debugfs.nr_vcpus : boot->nr_vcpus;
	if (!guest->nr_vcpus) {
		message("guest pid %d: neither debugfs nor the instance " BOOT_INSTANCE " shows its vCPUs", guest->pid);
		return -ENODATA;
	}
	guest->guessed = calloc(guest->nr_vcpus, sizeof(*guest->guessed));
	if (!guest->debugfs.path)
		guest->initial = calloc(guest->nr_vcpus, sizeof(*guest->initial));
	if (!guest->initial || !guest->guessed)
		return -ENOMEM;
	for (size_t i = 0; i < boot->nr_vcpus && !guest->debugfs.path; i++)
		guest->initial[i].vcpu_id = boot->vcpus[i].vcpu_id;
	if (has_protected_tsc(guest, boot))
		return -EOPNOTSUPP;
	for (size_t i = 0; i < guest->nr_vcpus; i++) {
		size_t vcpu = vm_history_find(boot, guest->initial[i].vcpu_id);

		if (vcpu < boot->nr_vcpus)
			settle(guest, &boot->vcpus[vcpu], &guest->initial[i]);
	}
	return 0;
}

static int read_initial_offsets(struct guest_history *guest)
{
	struct vm_history boot = { .vm = guest->pid };
	int ret = guest->debugfs.path ? current_offsets_read(&guest->initial, &guest->debugfs) : 0;

	if (ret)
		return ret;
	boot_instance_history(&boot, &guest->debugfs);
	ret = settle_all(guest, &boot);
	vm_history_release(&boot);
	return ret;
}

/**
 * guest_history_open - begin to record
 * @guest: has @pid, @max_changes and @max_sum; guest_history_close() closes it, also after an error
 * @number: number of this guest in this process: distinguishes the tracefs instances of several guests
 *
 * Returns: 0, -EOPNOTSUPP if the guest's TSC is protected, so that the host cannot read it, or another negative errno.
 */
int guest_history_open(struct guest_history *guest, unsigned int number)
{
	int ret;

	guest->events.vm = guest->pid;
	vm_threads_open(&guest->threads, guest->pid);
	ret = find_debugfs(guest);
	if (ret)
		return ret;
	/* Events first, offsets second, so that no change is missed in between */
	ret = event_drainer_open(&guest->drainer, number, false, &drainer_ops, guest);
	if (ret) {
		message("guest pid %d: cannot record offset changes in a tracefs instance", guest->pid);
		return ret;
	}
	ret = read_initial_offsets(guest);
	return ret ? ret : event_drainer_start(&guest->drainer);
}

/**
 * guest_history_close - stop, remove the instance, and free all
 * @guest: the history, also after a failed open; not used by any other thread
 *
 * Returns: 0, or a negative errno if the instance still exists.
 */
int guest_history_close(struct guest_history *guest)
{
	int ret;

	event_drainer_stop(&guest->drainer);
	ret = event_drainer_close(&guest->drainer);
	kvm_debugfs_close(&guest->debugfs);
	vm_history_release(&guest->events);
	vm_threads_close(&guest->threads);
	free(guest->initial);
	free(guest->guessed);
	return ret;
}
