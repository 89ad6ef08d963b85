// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "any.h"
#include "boot_instance.h"
#include "cleanup.h"
#include "instance_vms.h"
#include "vm_process.h"

static struct recorded_thread *thread_of(struct instance_vms *vms, const struct tsc_offset_event *event)
{
	struct recorded_thread *threads;
	pid_t pid;

	for (size_t i = 0; i < vms->nr_threads; i++) {
		if (vms->threads[i].tid == event->tid && vms->threads[i].vm_pid == event->vm_pid &&
		    vms->threads[i].vm_fd == event->vm_fd && vms->threads[i].vm_id == event->vm_id)
			return &vms->threads[i];
	}
	threads = reallocarray(vms->threads, vms->nr_threads + 1, sizeof(*threads));
	if (!threads)
		return NULL;
	vms->threads = threads;
	pid = event->vm_ended ? 0 : vm_process_of_event(event->tid, event->vm_pid, event->vm_fd);
	if (pid && !vm_process_nr_vms(pid))
		pid = 0;
	/* A thread that had several VMs is one */
	vms->nr_ended += !pid && !any_of(i, vms->nr_threads, vms->threads[i].tid == event->tid && !vms->threads[i].pid);
	threads[vms->nr_threads] = (struct recorded_thread) {
		.tid = event->tid, .vm_pid = event->vm_pid, .vm_fd = event->vm_fd, .vm_id = event->vm_id, .pid = pid,
	};
	return &threads[vms->nr_threads++];
}

static int take(const struct tsc_offset_event *event, void *context)
{
	struct instance_vms *vms = context;
	struct recorded_thread *thread = thread_of(vms, event);
	struct vm_history *vm;

	if (!thread)
		return -ENOMEM;
	if (!vms->nr_events++)
		vms->oldest = event->host_tsc;
	if (!thread->pid)
		return 0;
	vm = tsc_history_vm(&vms->history, thread->pid);
	return vm ? vm_history_add(vm, event) : -ENOMEM;
}

static bool is_recorded(const struct instance_vms *vms, pid_t pid)
{
	return any_of(i, vms->history.nr_vms, vms->history.vms[i].vm == pid);
}

/**
 * instance_vms_find_unrecorded - find the running VMs without events
 * @vms: partially read; all zeros if there are no events
 *
 * Returns: 0 or a negative errno.
 */
int instance_vms_find_unrecorded(struct instance_vms *vms)
{
	_cleanup_(freep) pid_t *pids = NULL;
	size_t nr;
	bool all;
	int ret = vm_process_list(&pids, &nr, &all);

	for (size_t i = 0; !ret && i < nr; i++) {
		if (!is_recorded(vms, pids[i]))
			pids[vms->nr_unrecorded++] = pids[i];
	}
	if (ret)
		return ret;
	vms->unrecorded = pids;
	pids = NULL;
	return 0;
}

/**
 * instance_vms_read - read the events and find their VMs
 * @vms: result; release with instance_vms_release(), also after an error
 *
 * Nothing is consumed.
 *
 * Returns: 0 or a negative errno.
 */
int instance_vms_read(struct instance_vms *vms)
{
	int ret;

	*vms = (struct instance_vms) { 0 };
	ret = boot_instance_events(take, vms);
	return ret ? ret : instance_vms_find_unrecorded(vms);
}

/* Two VMs in one process can have vCPUs with the same number */
static bool can_be_judged(const struct vm_history *vm, const struct vcpu_history *vcpu)
{
	return vm_process_nr_vms(vm->vm) <= 1 && !vcpu_history_previous_unreported(vcpu);
}

/**
 * instance_vm_late - count vCPUs whose first events are missing
 * @vm: the VM
 *
 * Returns: the number of vCPUs with an offset before their first event; a new vCPU has 0.
 */
size_t instance_vm_late(const struct vm_history *vm)
{
	size_t late = 0;

	for (size_t i = 0; i < vm->nr_vcpus; i++)
		late += can_be_judged(vm, &vm->vcpus[i]) && vm->vcpus[i].segments[0].previous.offset;
	return late;
}

/**
 * instance_vm_gaps - count vCPUs with a missing event between two others
 * @vm: the VM
 *
 * Returns: the number of vCPUs with an event that does not follow from the one before.
 */
size_t instance_vm_gaps(const struct vm_history *vm)
{
	size_t gaps = 0;

	for (size_t i = 0; i < vm->nr_vcpus; i++) {
		const struct vcpu_history *vcpu = &vm->vcpus[i];
		bool gap = false;

		/* An event with a previous offset of 0 may be the first of a VM that replaced another */
		for (size_t s = 1; s < vcpu->nr_segments; s++)
			gap |= vcpu_history_gap(vcpu, s) && vcpu->segments[s].previous.offset;
		gaps += gap && can_be_judged(vm, vcpu);
	}
	return gaps;
}

/**
 * instance_vms_release - free all that is owned
 * @vms: reusable afterwards
 */
void instance_vms_release(struct instance_vms *vms)
{
	tsc_history_release(&vms->history);
	free(vms->threads);
	free(vms->unrecorded);
	*vms = (struct instance_vms) { 0 };
}
