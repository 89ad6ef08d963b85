// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>

#include "guest_vcpus.h"
#include "host_trace.h"
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

static int estimate(struct host_trace *host, const struct estimate_request *request,
		    struct trace_dat *guest, struct host_vm **chosen, size_t *nr_doubts)
{
	struct initial_values values = { 0 };
	struct host_vm *vm;
	char why[1024];
	int ret;

	vm = host_trace_choose(host, request->vm, trace_dat_trace_id(guest), why, sizeof(why));
	*chosen = vm;
	if (!vm) {
		message("%s: %s", host->dat->path, why);
		return -ENOENT;
	}
	ret = guest_vcpus_match(vm, guest);
	if (!ret)
		ret = initial_values_estimate(&values, host, vm, guest, request->any_clock,
					      request->limit, nr_doubts);
	if (!ret)
		ret = take_values(host, vm, &values);
	initial_values_release(&values);
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
	ret = trace_dat_open(&guest, request->guest_path);
	if (ret)
		input_file_fail(&guest, ret);
	else
		ret = estimate(host, request, &guest, vm, nr_doubts);
	trace_dat_close(&guest);
	return ret;
}
