// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "any.h"
#include "array.h"
#include "cleanup.h"
#include "kvm_debugfs.h"
#include "mounts.h"
#include "number.h"
#include "order.h"
#include "running_vms.h"
#include "vm_process.h"

static int add(struct running_vms *vms, pid_t pid, const struct host_vm *vm)
{
	if (array_reserve(vms->vms, vms->nr, vms->capacity))
		return -ENOMEM;
	vms->vms[vms->nr++] = (struct running_vm) { .pid = pid, .vm = vm };
	return 0;
}

/* A VM of a live host has the number of its process, or of one of its threads */
static int add_live(struct running_vms *vms)
{
	const struct host *host = &vms->live.host;
	int ret = 0;

	for (size_t i = 0; !ret && i < host->nr_vms; i++)
		ret = add(vms, vm_process_of_thread(host->vms[i].id), &host->vms[i]);
	return ret;
}

static bool is_listed(const struct running_vms *vms, pid_t pid)
{
	return any_of(i, vms->nr, vms->vms[i].pid == pid);
}

/* If debugfs cannot be read, /proc shows the processes with a VM */
static int add_processes(struct running_vms *vms)
{
	_cleanup_(freep) pid_t *pids = NULL;
	size_t nr;
	bool all;
	int ret = vm_process_list(&pids, &nr, &all);

	for (size_t i = 0; !ret && i < nr; i++) {
		if (!is_listed(vms, pids[i]))
			ret = add(vms, pids[i], NULL);
	}
	if (!ret && !all)
		findings_doubt(&vms->findings, FINDING_VM,
			       "cannot look into processes of other users: their VMs are missing (this needs root)");
	return ret;
}

/* The path of KVM's debugfs; NULL if it cannot be read, or without memory. To be freed. */
static char *kvm_directory(void)
{
	_cleanup_(freep) char *debugfs = NULL;
	char *dir;

	if (find_mount("debugfs", &debugfs) || asprintf(&dir, "%s/kvm", debugfs) < 0)
		return NULL;
	if (!access(dir, R_OK | X_OK))
		return dir;
	free(dir);
	return NULL;
}

static void read_age(struct running_vm *vm, const char *kvm_dir)
{
	if (kvm_dir && vm->vm && vm->vm->vm_pid)
		vm->age_known = !kvm_debugfs_age(kvm_dir, vm->vm->vm_pid, vm->vm->vm_fd, &vm->age);
	if (!vm->age_known && vm->pid)
		vm->age_known = !vm_process_age(vm->pid, &vm->age);
}

/* A VM that ends meanwhile has no identity, which is not an error */
static int read_vms(struct running_vms *vms, const char *kvm_dir)
{
	for (size_t i = 0; i < vms->nr; i++) {
		struct running_vm *vm = &vms->vms[i];

		read_age(vm, kvm_dir);
		if (vm->pid && vm_identity_read(&vm->identity, vm->pid) == -ENOMEM)
			return -ENOMEM;
	}
	return 0;
}

/* A missing history is irrelevant here. Other missing data are doubts, but not the source of the offsets. */
static void take_findings(struct running_vms *vms)
{
	struct findings *from = &vms->live.findings;

	for (size_t i = 0; i < from->nr; i++) {
		if (from->list[i].kind != FINDING_HISTORY && from->list[i].kind != FINDING_CLOCK)
			findings_add(&vms->findings, from->list[i].kind, from->list[i].kind != FINDING_HOST_EVENTS, "%s",
				     from->list[i].text);
	}
}

static int compare(const void *a, const void *b)
{
	const struct running_vm *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->vm && y->vm ? strcmp(x->vm->name, y->vm->name) : 0;
}

/**
 * running_vms_read - find the running VMs
 * @vms: result; must be released in any case
 *
 * Does not contact guests.
 *
 * Returns: 0 or a negative errno.
 */
int running_vms_read(struct running_vms *vms)
{
	_cleanup_(freep) char *kvm_dir = kvm_directory();
	int ret;

	*vms = (struct running_vms) { 0 };
	ret = live_host_read(&vms->live);
	if (ret && ret != -ENODATA)
		return ret;
	take_findings(vms);
	ret = add_live(vms);
	if (!ret && !kvm_dir)
		ret = add_processes(vms);
	if (!ret)
		ret = read_vms(vms, kvm_dir);
	array_sort(vms->vms, vms->nr, compare);
	vms->complete = !vms->findings.nr_doubts;
	return ret;
}

/**
 * running_vm_reached_by_cid - does the host reach a VM's vsock by its CID?
 * @vm: the VM
 *
 * Returns: true if it has a CID, and its process has the device that CIDs need.
 */
bool running_vm_reached_by_cid(const struct running_vm *vm)
{
	return vm->identity.vsock == VSOCK_CID && vm_process_may_have_cid(vm->pid, vm->identity.line.cid);
}

/**
 * running_vm_is_called - does a name mean a VM?
 * @vm: the VM
 * @name: its name, its process, or its name in the output of show
 *
 * Returns: true if so, possibly for several VMs.
 */
bool running_vm_is_called(const struct running_vm *vm, const char *name)
{
	uint64_t number;

	if (vm->identity.line.name && !strcmp(vm->identity.line.name, name))
		return true;
	if (vm->vm && !strcmp(vm->vm->name, name))
		return true;
	return number_parse(name, &number) && vm->pid && number == (uint64_t)vm->pid;
}

/**
 * running_vms_ask - find which VMs have an agent
 * @vms: the VMs; sets their member @agent
 * @port: port of agents
 * @timeout_ms: as for agent_connections_try()
 *
 * Returns: 0 or -ENOMEM.
 */
int running_vms_ask(struct running_vms *vms, unsigned int port, unsigned int timeout_ms)
{
	_cleanup_(freep) struct agent_question *questions = calloc(vms->nr + 1, sizeof(*questions));
	_cleanup_(freep) struct running_vm **asked = calloc(vms->nr + 1, sizeof(struct running_vm *));
	size_t nr = 0;
	int ret;

	if (!questions || !asked)
		return -ENOMEM;
	for (size_t i = 0; i < vms->nr; i++) {
		struct running_vm *vm = &vms->vms[i];

		if (vm->identity.vsock != VSOCK_SOCKET && !running_vm_reached_by_cid(vm))
			continue;
		questions[nr] = (struct agent_question) {
			.socket = vm->identity.line.socket, .pid = vm->pid, .cid = vm->identity.line.cid,
		};
		asked[nr++] = vm;
	}
	ret = agent_connections_try(questions, nr, port, timeout_ms);
	for (size_t i = 0; i < nr; i++)
		asked[i]->agent = questions[i].answer;
	return ret;
}

/**
 * running_vms_release - free the VMs
 * @vms: the VMs, also after a failed read
 */
void running_vms_release(struct running_vms *vms)
{
	for (size_t i = 0; i < vms->nr; i++)
		vm_identity_release(&vms->vms[i].identity);
	free(vms->vms);
	findings_release(&vms->findings);
	live_host_release(&vms->live);
}
