// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>

#include "guest_file.h"
#include "host_choice.h"
#include "host_file.h"
#include "host_findings.h"
#include "host_vcpus.h"
#include "input_file.h"
#include "trace_clock.h"

/**
 * guest_file_open - open a guest's file
 * @guest: result; to be closed in any case
 * @path: the file
 * @host: what the host's file shows
 * @host_times: how readers show it; valid as long as @guest is
 * @wanted: which VM the user says that it is, NULL if the files decide
 *
 * Returns: 0, then @guest->vm is the VM that it is said to be, NULL if nothing says it; or a negative errno with the
 * reason in the error of the host's file.
 */
int guest_file_open(struct guest_file *guest, const char *path, struct host *host,
		    const struct host_times *host_times, const char *wanted)
{
	struct error *error = host->dat->error;
	int ret;

	*guest = (struct guest_file) { .dat.fd = -1 };
	ret = input_file_check_other(host->dat->path, path, error);
	if (ret)
		return ret;
	ret = trace_dat_open(&guest->dat, path, error);
	if (!ret)
		ret = shown_times_read(&guest->shown, &guest->dat);
	if (ret)
		return ret;
	guest->times = (struct merged_times) {
		.guest = &guest->shown.shift, .host = host_times,
		.added = shown_times_difference(&guest->shown, &host_times->shown),
	};
	return host_named_vm(host, wanted, trace_dat_trace_id(&guest->dat), &guest->vm, error);
}

/* The buffer whose events are to show which vCPUs they are of: the top buffer, or else any that has events */
static const struct trace_dat_buffer *buffer_with_events(const struct trace_dat *dat, bool any_clock)
{
	const struct trace_dat_buffer *found = NULL;
	char clock[64];

	for (size_t i = 0; i < dat->nr_buffers; i++) {
		const struct trace_dat_buffer *buffer = &dat->buffers[i];

		if (trace_dat_buffer_has_data(buffer) &&
		    (any_clock || trace_clock_is_tsc(dat, buffer, clock, sizeof(clock))) &&
		    (!found || !*buffer->name))
			found = buffer;
	}
	return found;
}

/**
 * guest_file_find_vm - find out which VM and which vCPUs a guest's file is of
 * @guest: open; @guest->vm is the VM that it is said to be
 * @host: what the host's file shows
 * @vcpus: its vCPUs; read now if all is zeros
 * @insist: the user says which VM it is
 * @any_clock: the times are TSC values whatever the file says of the clock
 *
 * Returns: 0, also if nothing fits, or if there is no buffer by the TSC; or a negative errno with the reason in the
 * error of the host's file: -ENOENT if it is not certain which VM it is.
 */
int guest_file_find_vm(struct guest_file *guest, const struct host *host, struct host_vcpus *vcpus,
		       bool insist, bool any_clock)
{
	struct merged_times shown;
	struct guest_fit_question question = {
		.host = host, .vcpus = vcpus, .vm = guest->vm, .insist = insist, .dat = &guest->dat,
		.buffer = buffer_with_events(&guest->dat, any_clock),
	};
	int ret;

	if (!question.buffer)
		return 0;
	if (!vcpus->vcpus) {
		ret = host_vcpus_read(vcpus, host);
		if (ret)
			return ret;
	}
	shown = merged_times_of(&guest->times, question.buffer);
	question.shown = &shown;
	ret = guest_fit_find(&guest->fit, &question);
	if (ret)
		return ret;
	if (!guest->vm && guest->fit.rivals)
		return host_refuse_vms(host, &guest->fit, guest->dat.path);
	guest->vm = guest->fit.vm;
	return 0;
}

/**
 * guest_file_is_of - was a guest's file corrected for this recording of its host?
 * @guest: the guest's file
 * @host: what the host's file tells
 *
 * Returns: false if readers correct it by what holds for another recording.
 */
bool guest_file_is_of(const struct guest_file *guest, const struct host *host)
{
	uint64_t host_id = trace_dat_trace_id(host->dat);

	return !guest->shown.has_shift || !host_id || guest->shown.shift.host_trace_id == host_id;
}

/**
 * guest_file_close - free what belongs to a guest's file
 * @guest: opened, or failed to, or all zero but for a file that is not open
 */
void guest_file_close(struct guest_file *guest)
{
	guest_fit_release(&guest->fit);
	shown_times_release(&guest->shown);
	trace_dat_close(&guest->dat);
}
