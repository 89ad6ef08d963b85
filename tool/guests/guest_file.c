// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "cpu_stats.h"
#include "cpu_stream.h"
#include "guest_file.h"
#include "host_choice.h"
#include "host.h"
#include "host_findings.h"
#include "host_vcpus.h"
#include "input_file.h"
#include "rewritten_mark.h"
#include "trace_clock.h"

/**
 * guest_file_open - open a guest's file
 * @guest: result; must be closed in any case
 * @path: the file
 * @host: the host
 * @host_times: how readers show its times; must be valid while @guest is used
 * @wanted: the VM by the user, NULL if the files decide
 *
 * Returns: 0, with @guest->vm set to the named VM, NULL without; or a negative errno with the reason in the error of
 * the host's file.
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
	guest->rewritten = rewritten_mark_read(&guest->dat, &guest->host_trace_id);
	if (guest->rewritten)
		ret = inexact_times_read(&guest->inexact, &guest->dat);
	if (ret)
		return trace_dat_refuse(&guest->dat, ret, ret == -ENOMEM ? "no memory" :
					"its list of inexact times is damaged: repeat 'stamp --rewrite'");
	guest->times = (struct merged_times) {
		.guest = &guest->shown.shift, .host = host_times,
		.added = shown_times_difference(&guest->shown, &host_times->shown),
	};
	return host_named_vm(host, wanted, trace_dat_trace_id(&guest->dat), &guest->vm, error);
}

/* The buffer whose events are used to find the vCPUs: the top buffer, or else any with events */
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
 * guest_file_find_vm - find the VM and the vCPUs of a guest's file
 * @guest: the open file; @guest->vm is the named VM
 * @host: the host
 * @vcpus: its vCPUs; read now if all zeros
 * @insist: the user named the VM
 * @any_clock: treat times as TSC values, whatever clock the file names
 *
 * Returns: 0, also if nothing fits, or if no buffer has the TSC clock; or a negative errno with the reason in the error
 * of the host's file: -ENOENT if the VM is uncertain.
 */
int guest_file_find_vm(struct guest_file *guest, const struct host *host, struct host_vcpus *vcpus,
		       bool insist, bool any_clock)
{
	struct merged_times shown;
	struct guest_fit_input input = {
		.host = host, .vcpus = vcpus, .vm = guest->vm, .insist = insist, .dat = &guest->dat,
		.buffer = buffer_with_events(&guest->dat, any_clock),
	};
	int ret;

	if (!input.buffer)
		return 0;
	if (!vcpus->vcpus) {
		ret = host_vcpus_read(vcpus, host);
		if (ret)
			return ret;
	}
	shown = merged_times_of(&guest->times, input.buffer);
	input.shown = &shown;
	ret = guest_fit_find(&guest->fit, &input);
	if (ret)
		return ret;
	if (!guest->vm && guest->fit.rivals)
		return host_refuse_vms(host, &guest->fit, guest->dat.path);
	guest->vm = guest->fit.vm;
	return 0;
}

/* Are the times by the history at least as good as those that readers show? */
static bool is_placed_better(const struct guest_file *guest)
{
	const struct fit_tally *own = &guest->timelines.tally, *shown = &guest->fit.tally;

	return own->inside && !fit_tally_against(own) && !guest->other_fit.fit.tally.unmoved &&
	       own->outside <= own->inside && (fit_tally_against(shown) || own->inside >= shown->inside);
}

/**
 * guest_file_place - find the host time of each event of a guest's file by its own times
 * @guest: the open file, with its VM
 * @host: the host
 * @vcpus: its vCPUs
 * @insist: the user named the VM
 * @any_clock: treat times as TSC values, whatever clock the file names
 * @findings: receives uncertainties of these times, if they are used
 *
 * Reads the whole file. If the host's file does not have enough data, @guest->placed stays false.
 *
 * Returns: 0 or a negative errno with the reason in the error of one of the files.
 */
int guest_file_place(struct guest_file *guest, const struct host *host, const struct host_vcpus *vcpus, bool insist,
		     bool any_clock, struct findings *findings)
{
	const struct guest_fit_input input = {
		.host = host, .vcpus = vcpus, .vm = guest->vm, .insist = insist, .dat = &guest->dat,
		.buffer = buffer_with_events(&guest->dat, any_clock),
	};
	struct findings found = { 0 };
	int ret;

	if (!input.buffer || guest->rewritten)
		return 0;
	ret = guest_fit_find(&guest->other_fit, &input);
	if (!ret && guest->other_fit.vm && !guest->other_fit.rivals && !guest->other_fit.corrected) {
		ret = guest_timelines_make(&guest->timelines, &input, &guest->other_fit, any_clock, &found);
		guest->placed = !ret && is_placed_better(guest);
	}
	if (guest->placed) {
		struct guest_fit shown = guest->fit;

		guest->fit = guest->other_fit;
		guest->other_fit = shown;
		guest->vm = guest->fit.vm;
		guest_fit_doubt(&guest->fit, guest->dat.path, false, findings);
		findings_move(findings, &guest->fit.findings);
		findings_move(findings, &found);
		guest_timelines_doubt_jumps(&guest->timelines, host->dat, findings);
		ret = guest_timelines_inexact(&guest->timelines, &guest->inexact);
	}
	findings_release(&found);
	/* A CPU with an unknown offset: only the times that readers show are available */
	if (ret == -ENXIO) {
		*guest->dat.error = (struct error) { 0 };
		ret = 0;
	}
	return ret;
}

/**
 * guest_file_is_of - was a guest's file corrected for this recording of its host?
 * @guest: the guest's file
 * @host: the host
 *
 * Returns: false if it was corrected for another recording.
 */
bool guest_file_is_of(const struct guest_file *guest, const struct host *host)
{
	uint64_t host_id = trace_dat_trace_id(host->dat);

	if (guest->rewritten)
		return guest->host_trace_id == host_id;
	return !guest->shown.has_shift || !host_id || guest->shown.shift.host_trace_id == host_id;
}

/**
 * guest_file_close - close a guest's file
 * @guest: the file, also after a failed open, or all zeros except for a file that is not open
 */
void guest_file_close(struct guest_file *guest)
{
	inexact_times_release(&guest->inexact);
	guest_timelines_release(&guest->timelines);
	guest_fit_release(&guest->other_fit);
	guest_fit_release(&guest->fit);
	shown_times_release(&guest->shown);
	trace_dat_close(&guest->dat);
}

static int read_first(struct guest_buffer *guest, const struct trace_dat_cpu *cpu)
{
	struct cpu_stream stream;
	int ret;

	ret = cpu_stream_open(&stream, guest->dat, guest->buffer, cpu);
	if (!ret)
		ret = cpu_stream_next(&stream);
	if (ret > 0)
		guest->cpus[cpu->cpu] = (struct guest_cpu) { true, stream.event.ts, UINT64_MAX };
	cpu_stream_close(&stream);
	return ret < 0 ? ret : 0;
}

/*
 * From the last page, or else from the time of the kernel's counts, which is after the last event. It only decides
 * whether both were recorded at the same time, so read errors are ignored.
 */
static void read_last(struct guest_buffer *guest, const struct trace_dat_cpu *cpu, const struct cpu_stats *stats)
{
	struct guest_cpu *result = &guest->cpus[cpu->cpu];
	struct cpu_stream stream;
	uint64_t last = 0;
	int ret;

	ret = cpu_stream_open_last_page(&stream, guest->dat, guest->buffer, cpu);
	while (!ret && (ret = cpu_stream_next(&stream)) > 0) {
		last = stream.event.ts;
		ret = 0;
	}
	cpu_stream_close(&stream);
	if (ret && stats && stats->by_cycles)
		last = stats->now;
	if (last >= result->first)
		result->last = last;
}

static int read_lasts(struct guest_buffer *guest)
{
	_cleanup_(freep) struct cpu_stats *stats = NULL;
	size_t nr_stats;
	int ret;

	ret = cpu_stats_of_file(&stats, &nr_stats, guest->dat, guest->buffer);
	for (size_t i = 0; i < guest->buffer->nr_cpus && !ret; i++) {
		const struct trace_dat_cpu *cpu = &guest->buffer->cpus[i];

		if (cpu->size && guest->cpus[cpu->cpu].has_events)
			read_last(guest, cpu, cpu_stats_find(stats, nr_stats, cpu->cpu));
	}
	return ret ? trace_dat_refuse(guest->dat, ret, "no memory") : 0;
}

/**
 * guest_buffer_read - read the times of a guest's CPUs in a buffer
 * @guest: result; must be released in any case
 * @dat: the open file; must stay open while the result is used
 * @buffer: the buffer
 *
 * Reads only the first pages of each CPU and the last, in files of any size.
 *
 * Returns: 0 or a negative errno with the reason in @dat->error.
 */
int guest_buffer_read(struct guest_buffer *guest, struct trace_dat *dat, const struct trace_dat_buffer *buffer)
{
	size_t nr = 0;
	int ret = 0;

	*guest = (struct guest_buffer) {
		.dat = dat, .buffer = buffer, .trace_id = trace_dat_trace_id(dat)
	};
	for (size_t i = 0; i < buffer->nr_cpus; i++) {
		if (buffer->cpus[i].size && buffer->cpus[i].cpu >= nr)
			nr = buffer->cpus[i].cpu + 1UL;
	}
	guest->cpus = calloc(nr + 1, sizeof(*guest->cpus));
	if (!guest->cpus)
		return trace_dat_refuse(dat, -ENOMEM, "no memory");
	for (size_t i = 0; i < buffer->nr_cpus && !ret; i++) {
		if (buffer->cpus[i].size)
			ret = read_first(guest, &buffer->cpus[i]);
	}
	for (size_t i = 0; i < nr; i++) {
		if (guest->cpus[i].has_events)
			guest->nr_cpus = i + 1;
	}
	return ret ? ret : read_lasts(guest);
}

/**
 * guest_buffer_release - free the times
 * @guest: the times, also after a failed read
 */
void guest_buffer_release(struct guest_buffer *guest)
{
	free(guest->cpus);
	guest->cpus = NULL;
}
