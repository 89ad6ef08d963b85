// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>

#include "guest_fit.h"
#include "host_choice.h"
#include "host_doubts.h"
#include "host_trace.h"
#include "host_vcpus.h"
#include "initial.h"
#include "initial_estimate.h"
#include "input_file.h"
#include "message.h"
#include "show_estimate.h"
#include "trace_dat.h"

/* An estimate is of the whole recording: it is what holds at its end as well */
static int take_values(const struct host_trace *host, struct host_vm *vm,
		       const struct initial_values *values)
{
	vm->now = calloc(vm->history.nr_vcpus + 1, sizeof(*vm->now));
	if (!vm->now)
		return -ENOMEM;
	for (size_t i = 0; i < vm->history.nr_vcpus; i++) {
		const struct initial_value *value = initial_value(values, vm->history.vcpus[i].vcpu_id);

		if (value)
			vm->now[i] = (struct vcpu_now) {
				.known = true, .host_tsc = host->last, .map = value->map,
				.bound = value->bound,
			};
	}
	return 0;
}

/* The buffer that shows which vCPUs the guest's CPUs are: the top buffer, or else any that has events */
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

static int estimate_vm(struct host_trace *host, const struct guest_fit_question *question,
		       const struct estimate_request *request, struct host_vm **chosen, size_t *nr_doubts)
{
	struct initial_values values = { 0 };
	struct guest_fit fit;
	int ret;

	ret = guest_fit_find(&fit, question);
	if (ret)
		input_file_fail(host->dat->error);
	if (!ret && (!fit.vm || fit.rivals)) {
		host_doubts_which_vm(host, &fit, question->dat->path);
		ret = -ENOENT;
	}
	if (!ret)
		ret = initial_values_estimate(&values, host->dat, &fit.vcpus, question->dat, request->any_clock,
					      request->limit, nr_doubts);
	if (!ret) {
		*chosen = &host->vms[fit.vm - host->vms];
		ret = take_values(host, *chosen, &values);
	}
	guest_fit_release(&fit);
	initial_values_release(&values);
	return ret;
}

static int estimate(struct host_trace *host, const struct estimate_request *request,
		    struct trace_dat *guest, struct host_vm **chosen, size_t *nr_doubts)
{
	struct host_vcpus vcpus = { 0 };
	struct guest_fit_question question = {
		.host = host, .vcpus = &vcpus, .insist = request->vm, .dat = guest,
		.buffer = buffer_with_events(guest),
	};
	char why[1024];
	int ret;

	if (!host->guest_modes) {
		message("%s: an estimate needs kvm:kvm_entry and kvm:kvm_exit", host->dat->path);
		return -ENODATA;
	}
	if (!question.buffer) {
		message("%s: no events in it", guest->path);
		return -ENODATA;
	}
	ret = host_trace_named(host, request->vm, trace_dat_trace_id(guest), &question.vm, why, sizeof(why));
	if (ret) {
		message("%s: %s", host->dat->path, why);
		return ret;
	}
	ret = host_vcpus_read(&vcpus, host);
	if (ret)
		input_file_fail(host->dat->error);
	else
		ret = estimate_vm(host, &question, request, chosen, nr_doubts);
	host_vcpus_release(&vcpus);
	return ret;
}

/**
 * show_estimate - add what a guest's file tells of its offsets
 * @host: the host's file, read; the vCPUs of one VM get what holds for them
 * @request: which guest
 * @vm: result: the VM that it is, one of @host
 * @nr_doubts: increased for each vCPU some of whose events do not fit
 *
 * Offsets that the host's events tell are left as they are.
 *
 * Returns: 0 or a negative errno after a message.
 */
int show_estimate(struct host_trace *host, const struct estimate_request *request, struct host_vm **vm,
		  size_t *nr_doubts)
{
	struct trace_dat guest = { .fd = -1 };
	int ret;

	ret = input_file_check_other(host->dat->path, request->guest_path);
	if (ret)
		return ret;
	ret = trace_dat_open(&guest, request->guest_path, host->dat->error);
	if (ret)
		input_file_fail(guest.error);
	else
		ret = estimate(host, request, &guest, vm, nr_doubts);
	trace_dat_close(&guest);
	return ret;
}
