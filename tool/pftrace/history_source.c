// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "any.h"
#include "error.h"
#include "findings.h"
#include "history_source.h"
#include "host_choice.h"
#include "host_file.h"
#include "host_findings.h"
#include "input_file.h"
#include "number.h"

/* A snapshot taken during the host's recording may have what events lack */
static void complete_initial(struct host_vm *vm)
{
	for (size_t i = 0; vm->now && i < vm->history.nr_vcpus; i++) {
		struct vcpu_history *vcpu = &vm->history.vcpus[i];

		if (!vcpu->nr_segments && !vcpu->initial_known && vm->now[i].known)
			vcpu_history_set_initial(vcpu, &vm->now[i].map);
	}
}

static int read_recording(struct history_source *source, const char *path, const char *wanted,
			  struct findings *findings, struct error *error)
{
	const struct trace_dat_buffer *buffer;
	struct host_vm *vm;
	int ret;

	ret = trace_dat_open(&source->dat, path, error);
	if (!ret)
		ret = host_file_read(&source->host, &source->dat, NULL);
	if (ret)
		return ret;
	if (!source->host.nr_vms)
		return error_set(error, -ENOENT, path,
				 "there is no VM in it; record the host with -C x86-tsc -e kvm:kvm_write_tsc_offset");
	buffer = source->host.offsets ? source->host.offsets : source->host.guest_modes;
	ret = buffer ? input_file_check_clock(&source->dat, buffer) : 0;
	if (ret)
		return ret;
	if (host_clock_went_back(&source->host.clock))
		return error_set(error, -EINVAL, path,
				 "the host slept while it was recorded, and its TSC began anew: its times cannot be compared with those of other files");
	host_findings_add(findings, &source->host, NULL);
	vm = host_choose_vm(&source->host, wanted, 0, error);
	if (!vm)
		return error->code;
	complete_initial(vm);
	if (!source->host.reports_changes)
		findings_doubt(findings, FINDING_HISTORY,
			       "%s: changes of TSC offsets were not recorded in it; record the host with -e kvm:kvm_write_tsc_offset",
			       path);
	source->vm = &vm->history;
	source->name = vm->name;
	source->from = source->host.recorded_first;
	source->to = source->host.recorded_last;
	return 0;
}

static const struct snapshot_vm *find_vm(const struct snapshot *snapshot, const char *wanted)
{
	uint64_t id;
	bool number = wanted && number_parse(wanted, &id);

	for (size_t i = 0; i < snapshot->nr_vms; i++) {
		const struct snapshot_vm *vm = &snapshot->vms[i];

		if (wanted ? !strcmp(vm->name, wanted) || (number && id == (uint64_t)vm->id) : snapshot->nr_vms == 1)
			return vm;
	}
	return NULL;
}

static int read_snapshot(struct history_source *source, const char *path, const char *wanted,
			 struct findings *findings, struct error *error)
{
	const struct snapshot_vm *vm;
	int ret = snapshot_read(&source->snapshot, path, error);

	if (ret)
		return ret;
	vm = find_vm(&source->snapshot, wanted);
	if (!vm)
		return error_set(error, -ENOENT, path, wanted ? "the VM that --vm names is not in it" :
				 "there are %zu VMs in it, choose one with --vm", source->snapshot.nr_vms);
	ret = snapshot_history(vm, &source->own);
	if (ret)
		return error_set(error, ret, path, "its history cannot be used: %s", strerror(-ret));
	if (!source->snapshot.complete)
		findings_doubt(findings, FINDING_HISTORY, "%s: changes of TSC offsets may be missing in it", path);
	for (size_t i = 0; i < vm->nr_vcpus; i++) {
		if (vm->vcpus[i].known && vm->vcpus[i].host_tsc > source->to)
			source->to = vm->vcpus[i].host_tsc;
	}
	source->vm = &source->own;
	source->name = vm->name;
	return 0;
}

static bool is_known(const struct vcpu_history *vcpu)
{
	struct tsc_mapping map;

	return vcpu->nr_segments || vcpu_history_before(vcpu, 0, &map);
}

static bool has_gap(const struct vcpu_history *vcpu)
{
	return any_of(i, vcpu->nr_segments + 1, vcpu_history_gap(vcpu, i));
}

static int review(const struct history_source *source, const char *path, struct findings *findings,
		  struct error *error)
{
	const struct vm_history *vm = source->vm;
	size_t known = 0, gaps = 0;

	for (size_t i = 0; i < vm->nr_vcpus; i++) {
		if (vm->vcpus[i].tsc_protected)
			return error_set(error, -EINVAL, path,
					 "VM %s: its TSC is protected: the offsets that KVM reports are not those of the guest",
					 source->name);
		known += is_known(&vm->vcpus[i]);
		gaps += has_gap(&vm->vcpus[i]);
	}
	if (!known)
		return error_set(error, -ENODATA, path,
				 "VM %s: none of its TSC offsets is known; record the host with -e tsc_offset (tsc-offset instance start --probes), or run tsc-offset mark while it records",
				 source->name);
	if (known < vm->nr_vcpus)
		findings_doubt(findings, FINDING_OFFSET, "VM %s: the TSC offsets of %zu of its %zu vCPUs are unknown",
			       source->name, vm->nr_vcpus - known, vm->nr_vcpus);
	if (gaps)
		findings_doubt(findings, FINDING_HISTORY,
			       "VM %s: changes of the TSC offsets of %zu of its vCPUs may be missing; tsc-offset show says where",
			       source->name, gaps);
	return 0;
}

/**
 * history_source_read - read a VM's history
 * @source: result; must be released in any case
 * @path: the file; must be valid until then
 * @vm: the VM, NULL for the only one
 * @findings: receives doubts
 * @error: reason of a failure; its code is 0 if it was reported already
 *
 * Returns: 0 or a negative errno.
 */
int history_source_read(struct history_source *source, const char *path, const char *vm, struct findings *findings,
			struct error *error)
{
	int ret;

	*source = (struct history_source) { .dat.fd = -1 };
	ret = input_file_is_recording(path) ? read_recording(source, path, vm, findings, error) :
					      read_snapshot(source, path, vm, findings, error);
	return ret ? ret : review(source, path, findings, error);
}

/**
 * history_source_other - get the history of another VM of the same file
 * @source: the source
 * @number: number of the VM, from 0 on
 * @vm: result: its history; NULL if it has no usable one, or is the VM of @source
 * @name: result: its name
 * @own: result: storage for @vm; must be released in any case
 *
 * Returns: 1, 0 if there are fewer VMs, or -ENOMEM.
 */
int history_source_other(struct history_source *source, size_t number, const struct vm_history **vm, const char **name,
			 struct vm_history *own)
{
	*own = (struct vm_history) { 0 };
	*vm = NULL;
	if (number < source->host.nr_vms) {
		struct host_vm *other = &source->host.vms[number];

		*name = other->name;
		if (&other->history != source->vm) {
			complete_initial(other);
			*vm = &other->history;
		}
		return 1;
	}
	if (number < source->snapshot.nr_vms) {
		int ret;

		*name = source->snapshot.vms[number].name;
		if (*name == source->name)
			return 1;
		ret = snapshot_history(&source->snapshot.vms[number], own);
		if (ret == -ENOMEM)
			return ret;
		*vm = ret ? NULL : own;
		return 1;
	}
	return 0;
}

/**
 * history_source_release - free a source
 * @source: the source, also after a failed read
 */
void history_source_release(struct history_source *source)
{
	vm_history_release(&source->own);
	snapshot_release(&source->snapshot);
	host_release(&source->host);
	trace_dat_close(&source->dat);
}
