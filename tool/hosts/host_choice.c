// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "any.h"
#include "event.h"
#include "host.h"
#include "host_choice.h"
#include "host_vms.h"
#include "number.h"
#include "trace_dat.h"
#include "vm_process.h"

/**
 * host_list_vms - append a list of the VMs to a text, with the names that --vm takes: ": VM 110 (threads 110 = vCPU 0,
 * 111 = vCPU 1); VM ..."
 * @host: the host
 * @text: NUL-terminated
 * @size: size of @text in bytes; what does not fit is omitted
 */
void host_list_vms(const struct host *host, char *text, size_t size)
{
	size_t used = strlen(text);

	for (size_t i = 0; i < host->nr_vms; i++) {
		const struct host_vm *vm = &host->vms[i];

		if (used < size)
			used += snprintf(text + used, size - used, "%s VM %s", i ? ";" : ":", vm->name);
		for (size_t j = 0; j < vm->nr_threads && used < size; j++)
			used += snprintf(text + used, size - used, "%s%d = vCPU %u%s",
					 j ? ", " : " (threads ", vm->threads[j].tid,
					 vm->threads[j].vcpu_id, j + 1 < vm->nr_threads ? "" : ")");
	}
}

/* Returns: length of a list of numbers, at most @max, or 0 if it is malformed */
static size_t parse_threads(const char *list, int *tids, size_t max)
{
	size_t nr = 0;

	for (;;) {
		uint64_t number;

		if (!number_take(&list, &number) || !number || number > INT32_MAX || nr == max)
			return 0;
		tids[nr++] = (int)number;
		if (!*list)
			return nr;
		if (*list++ != ',')
			return 0;
	}
}

static bool is_listed(const int *tids, size_t nr, int tid)
{
	return any_of(i, nr, tids[i] == tid);
}

/* Do events name more than one VM of these threads? */
static bool names_differ(const struct host *host, const int *tids, size_t nr)
{
	const struct host_thread *named = NULL;

	for (size_t i = 0; i < host->nr_threads; i++) {
		const struct host_thread *thread = &host->threads[i];

		if (!thread->vm_pid || !is_listed(tids, nr, thread->tid))
			continue;
		if (named && (named->vm_pid != thread->vm_pid || named->vm_fd != thread->vm_fd ||
			      named->vm_life != thread->vm_life))
			return true;
		named = thread;
	}
	return false;
}

/* A VM as the user specified it; other VMs are unchanged */
static struct host_vm *vm_of_threads(struct host *host, const int *tids, size_t nr)
{
	struct host_vm *vm;

	for (size_t i = 0; i < nr; i++) {
		if (host_vms_first_of_thread(host, tids[i]) == host->nr_threads)
			return NULL;
	}
	if (names_differ(host, tids, nr))
		return NULL;
	vm = host_vms_add(host, tids[0], VM_BY_USER);
	for (size_t i = 0; vm && i < host->nr_threads; i++) {
		if (is_listed(tids, nr, host->threads[i].tid) && host_vm_add_thread(vm, &host->threads[i]))
			return NULL;
	}
	if (!vm || host_vm_add_vcpus(host, vm))
		return NULL;
	for (size_t i = 0; i < host->nr_offset_events; i++) {
		if (is_listed(tids, nr, host->events[i].tid) &&
		    vm_history_add(&vm->history, &host->events[i]))
			return NULL;
	}
	host_vms_mark_losses(host, vm);
	return vm;
}

static bool is_of_process(const struct host_vm *vm, pid_t pid)
{
	return any_of(i, vm->nr_threads, vm_process_has_thread(pid, vm->threads[i].tid));
}

/*
 * By its number, one of its threads, or, on a live host, its process. If a process or a thread has several VMs, its
 * number names none of them.
 */
static struct host_vm *vm_by_number(struct host *host, int number)
{
	struct host_vm *vm = NULL;
	size_t found = 0;

	for (size_t i = 0; i < host->nr_vms; i++) {
		if (host->vms[i].id == number) {
			vm = &host->vms[i];
			found++;
		}
	}
	if (found)
		return found == 1 ? vm : NULL;
	vm = host_vms_of_thread(host, number);
	if (vm)
		return host_vms_share_thread(host, number) ? NULL : vm;
	for (size_t i = 0; i < host->nr_vms; i++) {
		if (!is_of_process(&host->vms[i], number))
			continue;
		if (vm)
			return NULL;
		vm = &host->vms[i];
	}
	return vm;
}

static struct host_vm *vm_by_name(struct host *host, const char *name)
{
	for (size_t i = 0; i < host->nr_vms; i++) {
		if (!strcmp(host->vms[i].name, name))
			return &host->vms[i];
	}
	return NULL;
}

static struct host_vm *vm_wanted(struct host *host, const char *wanted)
{
	int tids[256];
	size_t nr = parse_threads(wanted, tids, sizeof(tids) / sizeof(*tids));

	if (!nr)
		return vm_by_name(host, wanted);
	return nr > 1 ? vm_of_threads(host, tids, nr) : vm_by_number(host, tids[0]);
}

/**
 * host_named_vm - find the VM of a guest by name
 * @host: the host
 * @wanted: from the user: name or id of a VM, one of its threads, its VMM's process if it runs on this machine, or all
 *	its threads separated by commas; NULL for none
 * @guest_trace_id: TRACEID of the guest's file, 0 without
 * @vm: result: the VM, NULL if nothing names it
 * @error: reason of a failure, with the candidates
 *
 * Returns: 0, or -ENOENT if there is no VM, or not the wanted one.
 */
int host_named_vm(struct host *host, const char *wanted, uint64_t guest_trace_id,
		  const struct host_vm **vm, struct error *error)
{
	const char *path = host->dat ? host->dat->path : NULL;
	char list[ERROR_TEXT_SIZE] = "";

	*vm = NULL;
	if (!host->nr_vms)
		return error_set(error, -ENOENT, path,
				 "there is no VM in it: neither kvm_write_tsc_offset nor kvm_entry; record the host with -e kvm, or is this the guest's file? HOST.dat comes first");
	if (wanted) {
		*vm = vm_wanted(host, wanted);
		if (*vm)
			return 0;
		host_list_vms(host, list, sizeof(list));
		return error_set(error, -ENOENT, path, "no VM \"%s\" is in it; there are%s", wanted, list);
	}
	for (size_t i = 0; i < host->nr_vms && guest_trace_id && !*vm; i++) {
		if (host->vms[i].guest_trace_id == guest_trace_id)
			*vm = &host->vms[i];
	}
	return 0;
}

/**
 * host_choose_vm - choose a VM
 * @host: the host
 * @wanted: as for host_named_vm()
 * @guest_trace_id: TRACEID of the guest's file, 0 without
 * @error: reason if there is no VM, with the candidates
 *
 * Returns: the VM, or NULL if it is uncertain.
 */
struct host_vm *host_choose_vm(struct host *host, const char *wanted, uint64_t guest_trace_id,
			       struct error *error)
{
	char list[ERROR_TEXT_SIZE] = "";
	const struct host_vm *vm;

	if (host_named_vm(host, wanted, guest_trace_id, &vm, error))
		return NULL;
	if (!vm && host->nr_vms == 1)
		vm = &host->vms[0];
	if (!vm) {
		host_list_vms(host, list, sizeof(list));
		error_set(error, -ENOENT, host->dat ? host->dat->path : NULL,
			  "there are %zu VMs in it, choose one with --vm%s", host->nr_vms, list);
	}
	return vm ? &host->vms[vm - host->vms] : NULL;
}
