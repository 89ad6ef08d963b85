// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include "any.h"
#include "host.h"
#include "show_report.h"
#include "vm_boots.h"

/**
 * show_report_is_live - does a report show this machine now, instead of a file?
 * @report: the report
 *
 * Returns: true if so.
 */
bool show_report_is_live(const struct show_report *report)
{
	return !report->host->dat;
}

/**
 * show_report_next_vm - iterate over the shown VMs
 * @report: the report
 * @vm: the current VM, NULL to begin
 *
 * Returns: the next, NULL at the end.
 */
const struct host_vm *show_report_next_vm(const struct show_report *report, const struct host_vm *vm)
{
	const struct host *host = report->host;

	if (report->only)
		return vm ? NULL : report->only;
	vm = vm ? vm + 1 : host->vms;
	return vm && vm < host->vms + host->nr_vms ? vm : NULL;
}

/**
 * show_report_evidence - name the evidence that threads belong to one VM
 * @vm: the VM
 *
 * Returns: the word.
 */
const char *show_report_evidence(const struct host_vm *vm)
{
	static const char *const names[] = {
		[VM_BY_EVENT]		= "event",
		[VM_BY_GUEST_OPTION]	= "guest option",
		[VM_BY_THREADS]		= "threads",
		[VM_BY_USER]		= "user",
		[VM_BY_PROCESS]		= "process",
	};

	return names[vm->evidence];
}

/**
 * show_report_current - get the final state of a vCPU
 * @vm: the VM
 * @vcpu: index of the vCPU in its history
 *
 * Returns: the state as far as it is known.
 */
struct vcpu_now show_report_current(const struct host_vm *vm, size_t vcpu)
{
	const struct vcpu_history *history = &vm->history.vcpus[vcpu];
	const struct tsc_segment *last;

	if (vm->now && vm->now[vcpu].known)
		return vm->now[vcpu];
	/* After a loss, the offset is unknown */
	if (!history->nr_segments || history->lost_after)
		return (struct vcpu_now) { 0 };
	last = &history->segments[history->nr_segments - 1];
	return (struct vcpu_now) { .known = true, .host_tsc = last->host_tsc, .map = last->map };
}

/**
 * show_report_delta - get the change of a vCPU's offset
 * @segment: the segment that the change begins
 *
 * Returns: guest cycles, by the event's own previous value.
 */
int64_t show_report_delta(const struct tsc_segment *segment)
{
	return (int64_t)((uint64_t)segment->map.offset - (uint64_t)segment->previous.offset);
}

/**
 * show_report_gaps - count the places at which changes of a vCPU may be missing
 * @vcpu: the vCPU
 *
 * Returns: their number.
 */
size_t show_report_gaps(const struct vcpu_history *vcpu)
{
	size_t gaps = 0;

	for (size_t i = 0; i <= vcpu->nr_segments; i++)
		gaps += vcpu_history_gap(vcpu, i);
	return gaps;
}

/**
 * show_report_jumps - count the jumps backward of a vCPU's TSC while its guest continued
 * @vcpu: the vCPU
 *
 * A reset is not counted, because no trace of the guest continues after it.
 *
 * Returns: their number.
 */
size_t show_report_jumps(const struct vcpu_history *vcpu)
{
	uint64_t from, to;
	size_t jumps = 0;

	for (size_t i = 0; i < vcpu->nr_segments; i++)
		jumps += vcpu_history_backward(vcpu, i, &from, &to) && vcpu_boot_kind(vcpu, i) == VM_GOES_ON;
	return jumps;
}

static bool vm_is_scaled(const struct host_vm *vm)
{
	return any_of(i, vm->history.nr_vcpus, (vm->now && vm->now[i].known &&
					       tsc_mapping_scaled(&vm->now[i].map)) ||
					       vcpu_history_scaled(&vm->history.vcpus[i]));
}

/**
 * show_report_complete - compute the derived members of a report
 * @report: sets @complete and @scaled; changes @complete only from true to false
 */
void show_report_complete(struct show_report *report)
{
	const struct host_vm *vm = NULL;

	report->complete &= !report->host->nr_lost;
	report->scaled = false;
	while ((vm = show_report_next_vm(report, vm))) {
		report->scaled |= vm_is_scaled(vm);
		for (size_t i = 0; i < vm->history.nr_vcpus; i++)
			report->complete &= !show_report_gaps(&vm->history.vcpus[i]);
	}
}
