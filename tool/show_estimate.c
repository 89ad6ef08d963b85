// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "findings.h"
#include "guest_fit.h"
#include "host_choice.h"
#include "host.h"
#include "host_findings.h"
#include "host_vcpus.h"
#include "initial_estimate.h"
#include "initial_offsets.h"
#include "input_file.h"
#include "show_estimate.h"
#include "trace_dat.h"

/* An estimate applies to the whole recording, so it is also the final offset */
static int take_offsets(const struct host *host, struct host_vm *vm, const struct initial_offsets *offsets)
{
	vm->now = calloc(vm->history.nr_vcpus + 1, sizeof(*vm->now));
	if (!vm->now)
		return -ENOMEM;
	for (size_t i = 0; i < vm->history.nr_vcpus; i++) {
		const struct initial_offset *offset = initial_offsets_find(offsets, vm->history.vcpus[i].vcpu_id);

		if (offset)
			vm->now[i] = (struct vcpu_now) {
				.known = true, .host_tsc = host->last, .map = offset->map,
				.bound = offset->bound,
			};
	}
	return 0;
}

/* The buffer that shows the vCPUs of the guest's CPUs: the top buffer, or else any with events */
static const struct trace_dat_buffer *buffer_with_events(const struct trace_dat *guest)
{
	const struct trace_dat_buffer *found = NULL;

	for (size_t i = 0; i < guest->nr_buffers; i++) {
		const struct trace_dat_buffer *buffer = &guest->buffers[i];

		if (trace_dat_buffer_has_data(buffer) && (!found || !*buffer->name))
			found = buffer;
	}
	return found;
}

static int estimate_vm(struct host *host, const struct guest_fit_input *input,
		       const struct estimate_request *request, struct host_vm **chosen, struct findings *findings)
{
	struct initial_offsets offsets = { 0 };
	struct guest_fit fit;
	int ret;

	ret = guest_fit_find(&fit, input);
	if (!ret && (!fit.vm || fit.rivals))
		ret = host_refuse_vms(host, &fit, input->dat->path);
	if (!ret)
		ret = initial_offsets_estimate(&offsets, host->dat, &fit.vcpus, input->dat, request->any_clock,
					      request->limit, findings);
	if (!ret) {
		*chosen = &host->vms[fit.vm - host->vms];
		ret = take_offsets(host, *chosen, &offsets);
	}
	guest_fit_release(&fit);
	initial_offsets_release(&offsets);
	return ret;
}

static int estimate(struct host *host, const struct estimate_request *request,
		    struct trace_dat *guest, struct host_vm **chosen, struct findings *findings)
{
	struct host_vcpus vcpus = { 0 };
	struct guest_fit_input input = {
		.host = host, .vcpus = &vcpus, .insist = request->vm, .dat = guest,
		.buffer = buffer_with_events(guest),
	};
	int ret;

	if (!host->guest_modes)
		return trace_dat_refuse(host->dat, -ENODATA, "an estimate requires kvm:kvm_entry and kvm:kvm_exit");
	if (!input.buffer)
		return trace_dat_refuse(guest, -ENODATA, "no events in it");
	ret = host_named_vm(host, request->vm, trace_dat_trace_id(guest), &input.vm, host->dat->error);
	if (!ret)
		ret = host_vcpus_read(&vcpus, host);
	if (!ret)
		ret = estimate_vm(host, &input, request, chosen, findings);
	host_vcpus_release(&vcpus);
	return ret;
}

/**
 * show_estimate - add the offsets that a guest's file shows
 * @host: the host; the vCPUs of one VM get the offsets
 * @request: the guest
 * @vm: result: its VM in @host
 * @findings: each estimate is added, as a doubt if some events do not fit
 *
 * Offsets from the host's events are unchanged.
 *
 * Returns: 0 or a negative errno with the reason in the error of the host's file.
 */
int show_estimate(struct host *host, const struct estimate_request *request, struct host_vm **vm,
		  struct findings *findings)
{
	struct trace_dat guest = { .fd = -1 };
	int ret;

	ret = input_file_check_other(host->dat->path, request->guest_path, host->dat->error);
	if (ret)
		return ret;
	ret = trace_dat_open(&guest, request->guest_path, host->dat->error);
	if (!ret)
		ret = estimate(host, request, &guest, vm, findings);
	trace_dat_close(&guest);
	return error_keep(host->dat->error, ret, request->guest_path);
}
