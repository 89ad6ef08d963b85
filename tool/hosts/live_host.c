// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tracefs.h>

#include "array.h"
#include "boot_instance.h"
#include "cleanup.h"
#include "findings.h"
#include "host_file.h"
#include "host_vms.h"
#include "kvm_tsc_state.h"
#include "live_host.h"
#include "mounts.h"
#include "order.h"
#include "refusal.h"
#include "tree.h"
#include "tsc_clock.h"
#include "vm_process.h"

/**
 * struct reading - this machine being read
 * @live: result
 * @now: the VMs in debugfs, with the same indices as in the result
 * @pids: the process of each VM of the result, 0 if unknown; owned
 * @event_capacity: number of events that fit without growing
 * @lost_capacity: number of losses that fit without growing
 */
struct reading {
	struct live_host	*live;
	struct kvm_tsc_state	now;
	pid_t			*pids;
	size_t			event_capacity;
	size_t			lost_capacity;
};

/* Returns: 0 also if there is nothing to read: then a finding reports it */
static int read_now(struct reading *reading, bool *readable)
{
	struct findings *findings = &reading->live->findings;
	char doubt[ERROR_TEXT_SIZE], why[REFUSAL_SIZE];
	int ret = kvm_tsc_state_read(&reading->now);

	*readable = !ret;
	if (ret == -ENODEV && !reading->now.dir) {
		findings_note(findings, FINDING_OFFSET,
			      "debugfs is not mounted: current offsets are known from the last changes only; mount it with 'mount -t debugfs nodev /sys/kernel/debug'");
		return 0;
	}
	if (!ret && kvm_tsc_state_doubt(&reading->now, doubt, sizeof(doubt)))
		findings_note(findings, FINDING_HOST_EVENTS, "%s", doubt);
	if (!ret || ret == -ENOMEM)
		return ret;
	findings_note(findings, FINDING_OFFSET, "%s: %s: current offsets are known from the last changes only",
		      reading->now.dir, refusal_text(-ret, why));
	return 0;
}

static int take_event(const struct tsc_offset_event *event, void *context)
{
	struct reading *reading = context;
	struct host *host = &reading->live->host;

	/* VMs that have ended are left out */
	if (event->vm_ended)
		return 0;
	if (array_reserve(host->events, host->nr_offset_events, reading->event_capacity))
		return -ENOMEM;
	host->events[host->nr_offset_events++] = *event;
	return 0;
}

static int add_loss(struct reading *reading, uint64_t to)
{
	struct host *host = &reading->live->host;

	if (array_reserve(host->lost, host->nr_lost, reading->lost_capacity))
		return -ENOMEM;
	host->lost[host->nr_lost++] = (struct lost_range) { .to = to };
	return 0;
}

static int read_losses(struct reading *reading)
{
	struct instance_counts counts;
	int ret = boot_instance_counts(&counts);

	for (size_t i = 0; i < counts.nr_cpus && !ret; i++) {
		uint64_t until = cpu_counts_lost_until(&counts.cpus[i]);

		if (until)
			ret = add_loss(reading, until);
	}
	instance_counts_release(&counts);
	host_vms_sort_losses(&reading->live->host);
	return ret;
}

/* A process, in a tree, and the highest number of a VM that its events have */
struct process {
	pid_t		pid;
	uint64_t	vm_id;
};

static ORDER_BY(compare_processes, struct process, pid)

/*
 * Without debugfs a VM that events know by its number is one of their thread's process. Of several that such a process
 * had the last may be there.
 */
static int drop_earlier_vms(struct host *host)
{
	_cleanup_(freep) pid_t *pids = calloc(host->nr_offset_events + 1, sizeof(*pids));
	void *processes = NULL;
	size_t kept = 0;
	int ret = pids ? 0 : -ENOMEM;

	for (size_t i = 0; i < host->nr_offset_events && !ret; i++) {
		const struct tsc_offset_event *event = &host->events[i];
		struct process *process;

		if (!event->vm_id || event->vm_pid)
			continue;
		pids[i] = i && pids[i - 1] && event[-1].tid == event->tid ?
			pids[i - 1] : vm_process_of_thread(event->tid);
		process = tree_find_or_add(&processes, &(struct process) { .pid = pids[i] }, sizeof(*process),
					   compare_processes);
		if (!process)
			ret = -ENOMEM;
		else if (process->vm_id < event->vm_id)
			process->vm_id = event->vm_id;
	}
	for (size_t i = 0; i < host->nr_offset_events && !ret; i++) {
		const struct process key = { .pid = pids[i] };
		struct process **process = pids[i] ? tfind(&key, &processes, compare_processes) : NULL;

		if (!process || (*process)->vm_id == host->events[i].vm_id)
			host->events[kept++] = host->events[i];
	}
	if (!ret)
		host->nr_offset_events = kept;
	tdestroy(processes, free);
	return ret;
}

/* Are its times TSC values? */
static bool has_tsc_clock(struct findings *findings)
{
	_cleanup_(freep) char *clock = boot_instance_clock();
	int error = errno;
	char why[REFUSAL_SIZE];

	if (clock && !strcmp(clock, TSC_CLOCK))
		return true;
	if (!clock && error) {
		findings_note(findings, FINDING_HISTORY,
			      "the clock of the instance " BOOT_INSTANCE " cannot be read: %s: no history",
			      refusal_text(error, why));
		return false;
	}
	findings_note(findings, FINDING_HISTORY,
		      "the clock of the instance " BOOT_INSTANCE " is %s and not " TSC_CLOCK ": its events cannot be used; 'tsc-offset instance start' corrects it",
		      clock ? clock : "unknown");
	return false;
}

static bool has_instance(struct findings *findings)
{
	_cleanup_(freep) char *dir = NULL;
	char why[REFUSAL_SIZE];

	if (find_mount("tracefs", &dir)) {
		findings_note(findings, FINDING_HISTORY,
			      "tracefs is not mounted: no history; mount it with 'mount -t tracefs nodev /sys/kernel/tracing'");
		return false;
	}
	if (access(dir, R_OK | X_OK)) {
		findings_note(findings, FINDING_HISTORY, "%s: %s: no history", dir, refusal_text(errno, why));
		return false;
	}
	if (!tracefs_instance_exists(BOOT_INSTANCE)) {
		findings_note(findings, FINDING_HISTORY,
			      "there is no instance " BOOT_INSTANCE ": no history; 'tsc-offset instance start' records later changes");
		return false;
	}
	return has_tsc_clock(findings);
}

static int read_instance(struct reading *reading)
{
	struct live_host *live = reading->live;
	struct host *host = &live->host;
	char why[REFUSAL_SIZE];
	int ret;

	if (!has_instance(&live->findings))
		return 0;
	ret = boot_instance_read(take_event, reading);
	if (ret == -ENOENT) {
		findings_note(&live->findings, FINDING_HISTORY,
			      "the instance " BOOT_INSTANCE " does not record: changes are missing; see 'tsc-offset instance status'");
		ret = add_loss(reading, UINT64_MAX);
		if (!ret)
			ret = boot_instance_events(take_event, reading);
	}
	if (!ret)
		ret = read_losses(reading);
	if (ret) {
		findings_note(&live->findings, FINDING_HISTORY, "the instance " BOOT_INSTANCE " cannot be read: %s",
			      refusal_text(-ret, why));
		return ret;
	}
	live->has_history = true;
	ret = drop_earlier_vms(host);
	if (ret)
		return ret;
	host->nr_events = host->nr_offset_events;
	if (!host->nr_events)
		return 0;
	array_sort(host->events, host->nr_offset_events, tsc_offset_event_compare);
	host->first = host->events[0].host_tsc;
	host->last = host->events[host->nr_offset_events - 1].host_tsc;
	return 0;
}

/* Its creator may have ended, or another thread may have its number; the threads that run its vCPUs exist */
static pid_t process_of_dir(const struct kvm_debugfs_vm *dir)
{
	pid_t pid = kvm_debugfs_process(dir);

	return pid ? pid : vm_process_of_thread(dir->creator);
}

static int add_vm(struct reading *reading, int id, pid_t pid)
{
	struct host *host = &reading->live->host;
	pid_t *pids = reallocarray(reading->pids, host->nr_vms + 1, sizeof(*pids));

	if (!pids)
		return -ENOMEM;
	reading->pids = pids;
	pids[host->nr_vms] = pid;
	return host_vms_add(host, id, VM_BY_PROCESS) ? 0 : -ENOMEM;
}

/* Returns: the lowest thread of the VM's vCPUs, 0 if none has run yet */
static pid_t lowest_thread(const struct kvm_debugfs_vm *dir)
{
	pid_t lowest = 0;

	for (size_t v = 0; v < dir->nr_vcpus; v++) {
		pid_t tid = kvm_debugfs_thread(dir, dir->vcpu_ids[v]);

		if (tid && (!lowest || tid < lowest))
			lowest = tid;
	}
	return lowest;
}

/* A VM has the number of its process; if a process has several, each has the number of a thread that only it uses */
static int add_dirs(struct reading *reading)
{
	for (size_t i = 0; i < reading->now.nr_vms; i++) {
		pid_t pid = process_of_dir(&reading->now.vms[i]);
		int ret = add_vm(reading, pid ? pid : reading->now.vms[i].creator, pid);

		if (ret)
			return ret;
		host_vm_set_name(&reading->live->host.vms[i], reading->now.vms[i].creator, reading->now.vms[i].fd, 0,
				 reading->now.vms[i].id);
	}
	for (size_t i = 0; i < reading->now.nr_vms; i++) {
		pid_t thread = lowest_thread(&reading->now.vms[i]);
		size_t of_process = 0;

		for (size_t j = 0; j < reading->now.nr_vms; j++)
			of_process += reading->pids[j] == reading->pids[i];
		if (of_process > 1 && thread)
			reading->live->host.vms[i].id = thread;
	}
	return 0;
}

/* All threads in events or in debugfs */
static int find_threads(struct reading *reading)
{
	struct host *host = &reading->live->host;
	size_t room = host->nr_offset_events + 1, nr = 0, unique = 0;
	struct host_thread *threads;

	for (size_t i = 0; i < reading->now.nr_vms; i++)
		room += reading->now.vms[i].nr_vcpus;
	threads = calloc(room, sizeof(*threads));
	if (!threads)
		return -ENOMEM;
	for (size_t i = 0; i < host->nr_offset_events; i++)
		threads[nr++] = (struct host_thread) {
			.tid = host->events[i].tid, .vcpu_id = host->events[i].vcpu_id,
			.vm_pid = host->events[i].vm_pid, .vm_fd = host->events[i].vm_fd,
			.vm_id = host->events[i].vm_id,
		};
	for (size_t i = 0; i < reading->now.nr_vms; i++) {
		const struct kvm_debugfs_vm *dir = &reading->now.vms[i];

		for (size_t v = 0; v < dir->nr_vcpus; v++) {
			pid_t tid = kvm_debugfs_thread(dir, dir->vcpu_ids[v]);

			/* A thread that ran a vCPU has priority over one that only wrote */
			if (tid)
				threads[nr++] = (struct host_thread) {
					.tid = tid, .vcpu_id = dir->vcpu_ids[v], .vm_fd = -1,
					.entries = 1,
				};
		}
	}
	array_sort(threads, nr, host_thread_compare);
	for (size_t i = 0; i < nr; i++) {
		if (unique && !host_thread_compare(&threads[unique - 1], &threads[i]))
			threads[unique - 1].entries |= threads[i].entries;
		else
			threads[unique++] = threads[i];
	}
	return host_vms_set_threads(host, threads, unique);
}

/* Does debugfs have this thread for this vCPU of a VM? */
static bool runs(const struct kvm_debugfs_vm *dir, const struct host_thread *thread)
{
	return kvm_debugfs_thread(dir, thread->vcpu_id) == thread->tid;
}

/*
 * Find the VM of a thread: the one in its events, the only one of its process, or, of several, the one whose vCPU it
 * runs.
 *
 * Returns: index of the VM; the number of VMs without one, or if it is undecided between several.
 */
static size_t vm_of(const struct reading *reading, const struct host_thread *thread, pid_t pid,
		    size_t *candidates)
{
	size_t nr_vms = reading->live->host.nr_vms, found = nr_vms;

	*candidates = 0;
	for (size_t i = 0; i < nr_vms && thread->vm_pid; i++) {
		if (reading->live->host.vms[i].vm_pid == thread->vm_pid &&
		    reading->live->host.vms[i].vm_fd == thread->vm_fd &&
		    reading->live->host.vms[i].vm_id == thread->vm_id) {
			*candidates = 1;
			return i;
		}
	}
	if (thread->vm_pid)
		return nr_vms;
	for (size_t i = 0; i < nr_vms; i++) {
		if (reading->pids[i] != pid)
			continue;
		if (i < reading->now.nr_vms && runs(&reading->now.vms[i], thread)) {
			*candidates = 1;
			return i;
		}
		++*candidates;
		found = i;
	}
	return *candidates == 1 ? found : nr_vms;
}

/* Only its events show it */
static int add_named_vm(struct reading *reading, const struct host_thread *thread, pid_t pid)
{
	struct host *host = &reading->live->host;
	int ret = add_vm(reading, pid, pid);

	if (ret)
		return ret;
	host_vm_set_name(&host->vms[host->nr_vms - 1], thread->vm_pid, thread->vm_fd, 0, thread->vm_id);
	return host_vms_give_thread(host, (size_t)(thread - host->threads), &host->vms[host->nr_vms - 1]);
}

/* VMs whose process ended, or has no VM any more, have ended */
static int group_by_process(struct reading *reading, bool has_debugfs)
{
	struct host *host = &reading->live->host;
	int said = 0;

	for (size_t i = 0; i < host->nr_threads; i++) {
		const struct host_thread *thread = &host->threads[i];
		pid_t pid = vm_process_of_event(thread->tid, thread->vm_pid, thread->vm_fd);
		size_t candidates, vm;
		int ret = 0;

		if (!pid && !thread->vm_pid)
			continue;
		vm = vm_of(reading, thread, pid, &candidates);
		if (vm == host->nr_vms && thread->vm_pid) {
			ret = has_debugfs || !pid ? 0 : add_named_vm(reading, thread, pid);
			if (ret)
				return ret;
			continue;
		}
		if (!candidates && !has_debugfs && pid)
			candidates = vm_process_nr_vms(pid);
		if (candidates == 1 && vm == host->nr_vms)
			ret = add_vm(reading, pid, pid);
		if (candidates > 1 && said != pid) {
			findings_note(&reading->live->findings, FINDING_VM,
				      "process %d has %zu VMs: unknown which of them thread %d changes", pid,
				      candidates, thread->tid);
			reading->live->complete = false;
			said = pid;
		}
		if (!ret && vm < host->nr_vms)
			ret = host_vms_give_thread(host, i, &host->vms[vm]);
		if (ret)
			return ret;
	}
	return 0;
}

/* vCPUs without events have a history too */
static int add_vcpus(struct reading *reading)
{
	for (size_t i = 0; i < reading->now.nr_vms; i++) {
		const struct kvm_debugfs_vm *dir = &reading->now.vms[i];

		for (size_t v = 0; v < dir->nr_vcpus; v++) {
			if (!vm_history_vcpu(&reading->live->host.vms[i].history, dir->vcpu_ids[v]))
				return -ENOMEM;
		}
	}
	return 0;
}

/* Returns: true if nothing is missing */
static bool take_offset(struct findings *findings, const struct host_vm *vm, struct vcpu_history *vcpu,
			struct current_offset *offset, struct vcpu_now *now)
{
	int64_t shown = offset->map.offset;
	char why[REFUSAL_SIZE];
	bool settled;

	if (offset->error == -EPERM || offset->error == -EACCES) {
		findings_note(findings, FINDING_OFFSET, "VM %s vCPU %" PRIu32 ": debugfs cannot be read: %s", vm->name,
			      vcpu->vcpu_id, refusal_text(-offset->error, why));
		return false;
	}
	if (offset->error) {
		findings_note(findings, FINDING_OFFSET,
			      "VM %s vCPU %" PRIu32 ": debugfs does not show its own offset: with nested virtualization it reports L2's offset while L2 runs",
			      vm->name, vcpu->vcpu_id);
		return false;
	}
	vcpu_history_set_scaling(vcpu, &offset->map);
	settled = current_offset_settle(offset, vcpu);
	if (!settled && offset->by_probe)
		findings_note(findings, FINDING_OFFSET,
			      "VM %s vCPU %" PRIu32 ": KVM has the offset %" PRId64 ", which is not that of the last event in the instance " BOOT_INSTANCE ": using KVM's",
			      vm->name, vcpu->vcpu_id, offset->map.offset);
	else if (!settled)
		findings_note(findings, FINDING_OFFSET,
			      "VM %s vCPU %" PRIu32 ": the instance " BOOT_INSTANCE " says offset %" PRId64 ", debugfs says %" PRId64 ": using the instance's",
			      vm->name, vcpu->vcpu_id, offset->map.offset, shown);
	*now = (struct vcpu_now) { .known = true, .host_tsc = offset->host_tsc, .map = offset->map };
	return settled;
}

static int take_offsets(struct reading *reading, size_t i)
{
	const struct kvm_debugfs_vm *dir = &reading->now.vms[i];
	struct host_vm *vm = &reading->live->host.vms[i];

	vm->now = calloc(vm->history.nr_vcpus + 1, sizeof(*vm->now));
	if (!vm->now)
		return -ENOMEM;
	/* Both are in the order of vcpu_id; a vCPU with events only has been removed */
	for (size_t h = 0, v = 0; h < vm->history.nr_vcpus && v < dir->nr_vcpus; h++) {
		struct vcpu_history *vcpu = &vm->history.vcpus[h];
		struct current_offset *offset = &reading->now.offsets[i][v];

		if (vcpu->vcpu_id != offset->vcpu_id)
			continue;
		v++;
		vcpu->tsc_protected |= offset->tsc_protected || kvm_debugfs_tsc_protected(dir, vcpu->vcpu_id);
		if (!vcpu->tsc_protected || !offset->error)
			reading->live->complete &= take_offset(&reading->live->findings, vm, vcpu, offset, &vm->now[h]);
		/* A kernel whose KVM has protected TSCs reports them to a probe, or in debugfs with our patches */
		vcpu->protection_known |= offset->by_probe || kvm_debugfs_shows_l1(dir);
	}
	return 0;
}

static int read_all(struct reading *reading)
{
	struct live_host *live = reading->live;
	bool has_debugfs;
	int ret;

	ret = read_now(reading, &has_debugfs);
	if (!ret)
		ret = read_instance(reading);
	if (ret)
		return ret;
	if (!has_debugfs && !live->has_history)
		return -ENODATA;
	live->complete = has_debugfs && live->has_history;
	ret = add_dirs(reading);
	if (!ret)
		ret = find_threads(reading);
	if (!ret)
		ret = group_by_process(reading, has_debugfs);
	if (!ret)
		ret = add_vcpus(reading);
	if (!ret)
		ret = host_vms_build_histories(&live->host);
	for (size_t i = 0; i < reading->now.nr_vms && !ret; i++)
		ret = take_offsets(reading, i);
	return ret;
}

/**
 * live_host_read - read the VMs of this machine
 * @live: result; must be released in any case
 *
 * Consumes and mounts nothing. VMs that have ended are omitted. Missing or contradictory sources become
 * @live->findings.
 *
 * Returns: 0, -ENODATA if neither debugfs nor the instance exists, or another negative errno.
 */
int live_host_read(struct live_host *live)
{
	struct reading reading = { .live = live };
	int ret;

	*live = (struct live_host) { 0 };
	ret = read_all(&reading);
	free(reading.pids);
	kvm_tsc_state_release(&reading.now);
	return ret;
}

/**
 * live_host_release - free the machine
 * @live: the machine, also after a failed read
 */
void live_host_release(struct live_host *live)
{
	host_release(&live->host);
	findings_release(&live->findings);
}
