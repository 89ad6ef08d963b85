// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "error_bound.h"
#include "guest_timelines.h"
#include "host_vcpus.h"
#include "inexact_times.h"
#include "trace_clock.h"
#include "trace_dat.h"
#include "tsc2nsec.h"
#include "tsc_clock.h"
#include "tsc_frequency.h"

/* Jumps with a line each */
#define MAX_LINES 10

/* A CPU must be the same vCPU in all buffers */
static void compare_vcpus(const struct trace_dat *dat, const struct trace_dat_buffer *buffer,
			  const struct guest_fit *fit, const struct guest_fit *first, struct findings *findings)
{
	for (size_t i = 0; i < fit->vcpus.nr && i < first->vcpus.nr; i++) {
		const struct guest_vcpu *a = &first->vcpus.cpus[i], *b = &fit->vcpus.cpus[i];

		if (a->known && a->has_events && b->known && b->has_events &&
		    (a->vcpu_id != b->vcpu_id || a->tid != b->tid))
			findings_doubt(findings, FINDING_VCPU,
				       "%s: the events of instance \"%s\" show CPU %zu as vCPU %u (thread %d), its other events as vCPU %u (thread %d)",
				       dat->path, buffer->name, i, b->vcpu_id, b->tid, a->vcpu_id, a->tid);
	}
}

/* Doubts about a buffer's fit that the fit of the first buffer does not have */
static void doubt_buffer(const struct trace_dat *dat, const struct trace_dat_buffer *buffer,
			 const struct guest_fit *fit, const struct guest_fit *first, struct findings *findings)
{
	if (fit->max_error > first->max_error)
		findings_doubt(findings, FINDING_OFFSET,
			       "%s: instance \"%s\": the offsets of the VM that it ran in before were not recorded: found by its events, wrong by at most %" PRIu64 " cycles",
			       dat->path, buffer->name, fit->max_error);
	if (fit->rivals)
		findings_doubt(findings, FINDING_VM, "%s: events of instance \"%s\" fit several VMs equally", dat->path,
			       buffer->name);
	if (fit->fit.tally.unmoved)
		findings_doubt(findings, FINDING_BACKWARD,
			       "%s: instance \"%s\": its TSC jumped backward %" PRIu64 " time%s where the host's history has no such jump: are changes missing?",
			       dat->path, buffer->name, fit->fit.tally.unmoved, fit->fit.tally.unmoved == 1 ? "" : "s");
}

/* The events of another buffer decide separately which vCPUs its CPUs are, and which path of offsets applies */
static int fit_buffer(struct guest_timelines *timelines, struct buffer_times *of,
		      const struct trace_dat_buffer *buffer, const struct guest_fit_input *first_input,
		      const struct guest_fit *first, struct findings *findings)
{
	struct guest_fit_input input = *first_input;
	int ret;

	input.buffer = buffer;
	input.vm = first->vm;
	input.of_another = true;
	input.scaling = first->scaling.ratio ? &first->scaling : NULL;
	ret = guest_fit_find(&of->fit, &input);
	if (ret)
		return ret;
	if (input.scaling && !of->fit.scaling.ratio)
		of->fit.scaling = *input.scaling;
	findings_move(findings, &of->fit.findings);
	doubt_buffer(timelines->dat, buffer, &of->fit, first, findings);
	compare_vcpus(timelines->dat, buffer, &of->fit, first, findings);
	return 0;
}

static size_t count_changes(const struct guest_timeline *timeline)
{
	size_t nr = 0;

	for (size_t i = 0; i < timeline->buffer->nr_cpus; i++) {
		const struct timeline_cpu *cpu = &timeline->cpus[i];

		for (size_t p = 1; p < cpu->nr_parts; p++)
			nr += !tsc_mapping_equal(&cpu->parts[p].map, &cpu->parts[p - 1].map);
	}
	return nr;
}

/* Events whose order in the stream does not show the side of the jump */
static void doubt_undecided(const struct guest_vcpus *vcpus, struct findings *findings)
{
	size_t nr = 0;

	for (size_t i = 0; i < vcpus->nr; i++) {
		const struct guest_vcpu *vcpu = &vcpus->cpus[i];

		if (!vcpu->undecided)
			continue;
		if (++nr <= MAX_LINES)
			findings_doubt(findings, FINDING_BACKWARD,
				       "vCPU %u: guest times %" PRIu64 " to %" PRIu64 ": ambiguous, the TSC jumped backward; it is unknown which events precede the jump",
				       vcpu->vcpu_id, vcpu->overlap_from, vcpu->overlap_to);
		else
			findings->nr_doubts++;
	}
}

static int make_buffer(struct guest_timelines *timelines, size_t i, const struct guest_fit_input *input,
			  const struct guest_fit *first, bool any_clock, struct findings *findings)
{
	const struct trace_dat_buffer *buffer = &timelines->dat->buffers[i];
	struct buffer_times *of = &timelines->buffers[i];
	const struct guest_fit *fit = first;
	char clock[64];
	struct fit_tally tally;
	size_t nr_changes;
	int ret = 0;

	if (!trace_dat_buffer_has_data(buffer))
		return 0;
	if (buffer != input->buffer) {
		if (!any_clock && !trace_clock_is_tsc(timelines->dat, buffer, clock, sizeof(clock))) {
			findings_doubt(findings, FINDING_CLOCK,
				       "%s: the clock of instance \"%s\" is \"%s\", not " TSC_CLOCK ": its times are left unchanged",
				       timelines->dat->path, buffer->name, clock);
			return 0;
		}
		ret = fit_buffer(timelines, of, buffer, input, first, findings);
		fit = &of->fit;
	}
	if (!ret)
		ret = guest_timeline_make(&of->timeline, fit, input->vcpus, timelines->dat, buffer, input->since);
	if (!ret)
		ret = guest_timeline_prove(&of->timeline, input->vcpus, &tally);
	if (ret)
		return ret;
	doubt_undecided(&fit->vcpus, findings);
	fit_tally_add_cpu(&timelines->tally, &tally);
	nr_changes = count_changes(&of->timeline);
	if (nr_changes > timelines->nr_changes)
		timelines->nr_changes = nr_changes;
	timelines->nr_jumps += of->timeline.nr_jumps;
	of->known = true;
	return 0;
}

/**
 * guest_timelines_make - find the host time of each event of a guest's file
 * @timelines: result; must be released in any case
 * @input: input of the fit, for one buffer of the file
 * @fit: its fit; must be valid while @timelines is used
 * @any_clock: treat times as TSC values, whatever clock the file names
 * @findings: receives the doubts
 *
 * Reads the whole file.
 *
 * Returns: 0 or a negative errno with the reason in the error of one of the files: -ENXIO if the vCPU of a CPU
 * is unknown.
 */
int guest_timelines_make(struct guest_timelines *timelines, const struct guest_fit_input *input,
			 const struct guest_fit *fit, bool any_clock, struct findings *findings)
{
	struct trace_dat *dat = input->dat;
	int ret = 0;

	*timelines = (struct guest_timelines) {
		.dat = dat, .buffers = calloc(dat->nr_buffers + 1, sizeof(*timelines->buffers)),
	};
	if (!timelines->buffers)
		return -ENOMEM;
	for (size_t i = 0; i < dat->nr_buffers && !ret; i++)
		ret = make_buffer(timelines, i, input, fit, any_clock, findings);
	return ret ?: host_vcpus_error(input->vcpus, input->host);
}

static void doubt_jump(const struct guest_timelines *timelines, const struct timeline_jump *jump, const char *instance,
		       const struct tsc_frequency *frequency, struct findings *findings)
{
	const char *path = timelines->dat->path, *in = *instance ? " in instance " : "";
	char earlier[ERROR_BOUND_SIZE], later[ERROR_BOUND_SIZE];

	/* Then the events next to them may have wrong times too */
	if (!jump->found) {
		findings_doubt(findings, FINDING_BACKWARD,
			       "%s: CPU %u%s%s: its TSC jumped backward within a page of the ring buffer, but no jump in the host's history fits the %" PRIu64 " event%s from host TSC %" PRIu64 " on: their times are wrong, others may be too; are changes missing?",
			       path, jump->cpu, in, instance, jump->nr_events, jump->nr_events == 1 ? "" : "s",
			       jump->host_tsc);
		return;
	}
	findings_doubt(findings, FINDING_BACKWARD,
		       "%s: CPU %u%s%s: its TSC jumped backward within a page of the ring buffer: the %" PRIu64 " event%s from host TSC %" PRIu64 " on may be up to %s earlier or %s later",
		       path, jump->cpu, in, instance, jump->nr_events, jump->nr_events == 1 ? "" : "s", jump->host_tsc,
		       error_bound_text(jump->earlier, frequency, earlier),
		       error_bound_text(jump->later, frequency, later));
	if (jump->nr_undecided)
		findings_doubt(findings, FINDING_BACKWARD,
			       "%s: CPU %u%s%s: it is unknown whether %" PRIu64 " of these events precede or follow another jump backward",
			       path, jump->cpu, in, instance, jump->nr_undecided);
}

/**
 * guest_timelines_doubt_jumps - report how exact the times are after each jump backward within a page
 * @timelines: host times of the file
 * @host: the host's file, which may have the frequency of the TSC
 * @findings: receives the doubts
 */
void guest_timelines_doubt_jumps(const struct guest_timelines *timelines, const struct trace_dat *host,
				 struct findings *findings)
{
	struct tsc_frequency frequency;
	size_t nr = 0;

	if (!tsc2nsec_frequency(&frequency, host))
		tsc2nsec_frequency(&frequency, timelines->dat);
	for (size_t i = 0; i < timelines->dat->nr_buffers; i++) {
		const struct guest_timeline *timeline = &timelines->buffers[i].timeline;

		for (size_t j = 0; j < timeline->nr_jumps; j++, nr++) {
			if (nr < MAX_LINES)
				doubt_jump(timelines, &timeline->jumps[j], timeline->buffer->name, &frequency,
					   findings);
		}
	}
	if (nr > MAX_LINES)
		findings_doubt(findings, FINDING_BACKWARD, "%s: %zu more such jumps", timelines->dat->path,
			       nr - MAX_LINES);
}

/**
 * guest_timelines_inexact - list the events without exact times
 * @timelines: host times of the file
 * @inexact: result; must be released in any case
 *
 * Returns: 0 or -ENOMEM.
 */
int guest_timelines_inexact(const struct guest_timelines *timelines, struct inexact_times *inexact)
{
	int ret = 0;

	*inexact = (struct inexact_times) { 0 };
	for (size_t i = 0; i < timelines->dat->nr_buffers; i++) {
		const struct guest_timeline *timeline = &timelines->buffers[i].timeline;

		for (size_t j = 0; j < timeline->nr_jumps && !ret; j++) {
			const struct timeline_jump *jump = &timeline->jumps[j];

			ret = inexact_times_append(inexact, &(struct inexact_time) {
				.buffer = i, .cpu = jump->cpu, .nr_events = jump->nr_events, .host_tsc = jump->host_tsc,
				.earlier = jump->earlier, .later = jump->later,
			});
		}
	}
	return ret;
}

/**
 * guest_timelines_release - free the host times
 * @timelines: the times, also after a failure, or all zeros
 */
void guest_timelines_release(struct guest_timelines *timelines)
{
	for (size_t i = 0; timelines->buffers && i < timelines->dat->nr_buffers; i++) {
		guest_timeline_release(&timelines->buffers[i].timeline);
		guest_fit_release(&timelines->buffers[i].fit);
	}
	free(timelines->buffers);
	*timelines = (struct guest_timelines) { 0 };
}
