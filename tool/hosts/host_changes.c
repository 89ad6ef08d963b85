// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "array.h"
#include "cleanup.h"
#include "error.h"
#include "host_changes.h"
#include "kvm_layout.h"
#include "kvm_probes.h"
#include "kvm_tsc_state.h"
#include "left_instance.h"
#include "mounts.h"
#include "order.h"
#include "refusal.h"
#include "tsc_changes.h"

/* A running vCPU is loaded within this many drains of the buffers, of which there are ten a second */
#define LOOKS_WITH_LOADS 10

static int add_event(struct host_changes *changes, const struct tsc_offset_event *event)
{
	if (changes->nr == HOST_CHANGES_MAX)
		return -E2BIG;
	if (array_reserve(changes->events, changes->nr, changes->capacity))
		return -ENOMEM;
	changes->events[changes->nr++] = *event;
	return 0;
}

static int want(const struct tsc_offset_event *event __attribute__((unused)), void *context __attribute__((unused)))
{
	return 1;
}

static int take(struct tsc_offset_event *event, void *context)
{
	return add_event(context, event);
}

/*
 * Remove events that repeat known values. A buffer that was read early may lack events of a time for which another one
 * has them: only events from before the drain are complete. A later event with an earlier time contradicts this.
 */
static void settle(struct host_changes *changes, uint64_t until)
{
	size_t nr = changes->nr, kept = changes->nr_settled;
	struct tsc_offset_event *events = changes->events;

	if (nr > kept)
		array_sort(events + kept, nr - kept, tsc_offset_event_compare);
	if (kept < nr && kept && events[kept].host_tsc < events[kept - 1].host_tsc)
		changes->lost = true;
	for (size_t i = kept; i < nr; i++) {
		bool settled = events[i].host_tsc <= until;

		if (settled && probe_repeats(&changes->repeats, &events[i]))
			continue;
		events[kept++] = events[i];
		changes->nr_settled += settled;
	}
	changes->nr = kept;
}

/* From then on there are few events. Events that are not drained are left if this process is killed. */
static void end_loads(struct host_changes *changes)
{
	if (changes->probes)
		record_instance_set_loads(&changes->drainer.instance, false);
	changes->loads = 0;
	changes->drainer.lazy = true;
}

static void look(void *context)
{
	struct host_changes *changes = context;
	uint64_t now = __rdtsc();

	event_drainer_drain(&changes->drainer);
	if (changes->drainer.nr_batch)
		left_instance_drained(&changes->drainer.instance);
	settle(changes, now);
	if (changes->loads && !--changes->loads)
		end_loads(changes);
}

static const struct event_drainer_ops ops = { .wanted = want, .take = take, .tick = look };

/* Add the state of a vCPU as if it had been loaded: a sleeping one is not */
static int add_state(struct host_changes *changes, const struct kvm_debugfs_vm *vm, const struct current_offset *now)
{
	struct tsc_offset_event event;
	struct vcpu_mark mark;

	if (kvm_tsc_state_mark(&mark, vm, now))
		return 0;
	/* A failure is harmless while this process lives */
	left_instance_mark(&changes->drainer.instance, &mark);
	vcpu_mark_event(&event, &mark);
	event.vm = now->vm;
	return add_event(changes, &event);
}

static int add_states(struct host_changes *changes)
{
	struct kvm_tsc_state now;
	char why[REFUSAL_SIZE];
	int ret = kvm_tsc_state_read(&now);
	bool complete = changes->probes && !ret;

	if (ret && ret != -ENOMEM) {
		findings_note(&changes->findings, FINDING_OFFSET,
			      "%s: %s: initial offsets of sleeping vCPUs are unknown", now.dir ? now.dir : "debugfs",
			      refusal_text(-ret, why));
		ret = 0;
	}
	for (size_t i = 0; i < now.nr_vms && !ret; i++) {
		for (size_t v = 0; v < now.vms[i].nr_vcpus && !ret; v++) {
			ret = add_state(changes, &now.vms[i], &now.offsets[i][v]);
			complete &= now.offsets[i][v].by_probe;
		}
	}
	/* Loads would report nothing new, or are not recorded */
	if (complete || !changes->probes)
		end_loads(changes);
	kvm_tsc_state_release(&now);
	return ret;
}

/* @heir: another recording must remove them, or was killed before it did */
static void define_probes(struct host_changes *changes, bool heir)
{
	struct error error = { 0 };
	char line[ERROR_TEXT_SIZE];

	changes->own_probes = heir || !kvm_probes_defined();
	changes->probes = !kvm_probes_define(KVM_BTF_DIR, &error);
	if (!changes->probes)
		findings_note(&changes->findings, FINDING_HOST_EVENTS,
			      "no probes on KVM: %s: scaling ratios, L1's offsets while L2 runs, and the VMs of a process that has several may be unknown",
			      error_line(&error, line, sizeof(line)));
}

/* While it exists, other recordings keep the probes */
static int open_instance(struct host_changes *changes)
{
	_cleanup_(closep) __attribute__((unused)) int lock = record_instance_lock();
	bool heir = record_instance_nr_removing(true);

	if (record_instance_sweep())
		findings_note(&changes->findings, FINDING_INSTANCE, "removed leftovers of a killed recording from tracefs");
	if (!tsc_event_names_vm())
		define_probes(changes, heir);
	return event_drainer_open(&changes->drainer, changes->probes && changes->own_probes ? RECORD_NUMBER_REMOVES : 0,
				  changes->probes, &ops, changes);
}

/**
 * host_changes_begin - begin to record
 * @changes: result; must be ended and released, also after a failure
 * @path: path of the host's file being recorded, which may not exist yet
 *
 * Removes instances of killed recordings. @changes->findings has notes for users.
 *
 * Returns: 0, or a negative errno: then nothing is recorded.
 */
int host_changes_begin(struct host_changes *changes, const char *path)
{
	int ret;

	*changes = (struct host_changes) { .loads = LOOKS_WITH_LOADS };
	ret = open_instance(changes);
	if (ret)
		return ret;
	left_instance_name_file(&changes->drainer.instance, path);
	pthread_mutex_lock(&changes->drainer.lock);
	ret = add_states(changes);
	pthread_mutex_unlock(&changes->drainer.lock);
	return ret ? ret : event_drainer_start(&changes->drainer);
}

/**
 * host_changes_adopt - take over the instance of a killed recording
 * @changes: result; must be ended and released
 * @path: path of the recorded host's file
 *
 * Returns: 0, or a negative errno: -ENOENT if no instance belongs to the file. Then there is nothing to end.
 */
int host_changes_adopt(struct host_changes *changes, const char *path)
{
	struct event_drainer *drainer = &changes->drainer;

	*changes = (struct host_changes) {
		.drainer = { .lock = PTHREAD_MUTEX_INITIALIZER, .ops = &ops, .context = changes, .wake_fd = -1 },
	};
	drainer->error = left_instance_open(&drainer->instance, path);
	changes->probes = !drainer->error;
	changes->own_probes = changes->probes && record_instance_removes(&drainer->instance);
	return drainer->error;
}

/*
 * VMs that were created since the beginning: events have their numbers, and debugfs has their names while they exist. A
 * VM that has ended gets no name, nor does any if debugfs cannot be read.
 */
static void name_vms(struct host_changes *changes)
{
	_cleanup_(freep) char *debugfs = NULL, *dir = NULL;
	struct kvm_debugfs_vm *vms = NULL;
	size_t nr = 0;

	if (!find_mount("debugfs", &debugfs) && asprintf(&dir, "%s/kvm", debugfs) >= 0 &&
	    !kvm_debugfs_list(&vms, &nr, dir)) {
		_cleanup_(freep) struct tsc_vm_name *names = calloc(nr + 1, sizeof(*names));

		for (size_t i = 0; names && i < nr; i++)
			names[i] = (struct tsc_vm_name) { vms[i].id, vms[i].creator, vms[i].fd };
		if (names)
			tsc_changes_name_vms(changes->events, changes->nr, names, nr);
	}
	kvm_debugfs_list_free(vms, nr);
}

/* The last recording that must remove the probes does so; probes that another program records stay */
static void close_instance(struct host_changes *changes)
{
	_cleanup_(closep) __attribute__((unused)) int lock = record_instance_lock();

	event_drainer_close(&changes->drainer);
	if (changes->probes && changes->own_probes && !record_instance_nr_removing(false))
		kvm_probes_remove();
}

/**
 * host_changes_end - end recording
 * @changes: begun or adopted
 *
 * Afterwards its events are complete and in the order of time, unless @changes->lost.
 */
void host_changes_end(struct host_changes *changes)
{
	event_drainer_stop(&changes->drainer);
	if (changes->drainer.instance.dir)
		event_drainer_drain(&changes->drainer);
	settle(changes, UINT64_MAX);
	name_vms(changes);
	changes->lost |= changes->drainer.lost || changes->drainer.error;
	close_instance(changes);
}

/**
 * host_changes_release - free the events
 * @changes: the changes, after their end
 */
void host_changes_release(struct host_changes *changes)
{
	probe_repeats_release(&changes->repeats);
	free(changes->events);
	findings_release(&changes->findings);
}
