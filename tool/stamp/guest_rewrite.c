// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "guest_rewrite.h"
#include "proof.h"
#include "stamp_host.h"
#include "trace_clock.h"
#include "trace_dat.h"
#include "trace_dat_rewrite.h"
#include "tsc2nsec.h"
#include "tsc_clock.h"

/* Jumps that get a line each */
#define MAX_LINES 10

/* The vCPU that a CPU is has to be the same in all buffers */
static void compare_vcpus(const struct trace_dat *dat, const struct trace_dat_buffer *buffer,
			  const struct guest_fit *fit, const struct guest_fit *first, struct findings *findings)
{
	for (size_t i = 0; i < fit->vcpus.nr && i < first->vcpus.nr; i++) {
		const struct guest_vcpu *a = &first->vcpus.cpus[i], *b = &fit->vcpus.cpus[i];

		if (a->known && a->has_events && b->known && b->has_events && (a->vcpu_id != b->vcpu_id || a->tid != b->tid))
			findings_doubt(findings, FINDING_VCPU,
				       "%s: by instance \"%s\" CPU %zu is vCPU %u (thread %d), by its other events vCPU %u (thread %d)",
				       dat->path, buffer->name, i, b->vcpu_id, b->tid, a->vcpu_id, a->tid);
	}
}

/* Which vCPUs the CPUs of another buffer are, and by which way, is found by its own events */
static int fit_buffer(struct guest_rewrite *rewrite, struct guest_rewrite_buffer *of,
		      const struct trace_dat_buffer *buffer, const struct guest_fit_input *first_input,
		      const struct guest_fit *first, struct findings *findings)
{
	struct guest_fit_input input = *first_input;
	int ret;

	input.buffer = buffer;
	input.vm = first->vm;
	input.scaling = first->scaling.ratio ? &first->scaling : NULL;
	ret = guest_fit_find(&of->fit, &input);
	if (ret)
		return ret;
	if (input.scaling && !of->fit.scaling.ratio)
		of->fit.scaling = *input.scaling;
	findings_move(findings, &of->fit.findings);
	compare_vcpus(rewrite->dat, buffer, &of->fit, first, findings);
	return 0;
}

static bool is_empty(const struct guest_fit *fit)
{
	return !fit->sample.nr_cpus;
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

static int prepare_buffer(struct guest_rewrite *rewrite, size_t i, const struct guest_fit_input *input,
			  const struct guest_fit *first, bool any_clock, struct findings *findings)
{
	const struct trace_dat_buffer *buffer = &rewrite->dat->buffers[i];
	struct guest_rewrite_buffer *of = &rewrite->buffers[i];
	const struct guest_fit *fit = first;
	char clock[64];
	struct fit_tally tally;
	size_t nr_changes;
	int ret = 0;

	if (!trace_dat_buffer_has_data(buffer))
		return 0;
	if (buffer != input->buffer) {
		if (!any_clock && !trace_clock_is_tsc(rewrite->dat, buffer, clock, sizeof(clock))) {
			findings_doubt(findings, FINDING_CLOCK,
				       "%s: the clock of instance \"%s\" is \"%s\", not " TSC_CLOCK ": its times stay as they are",
				       rewrite->dat->path, buffer->name, clock);
			return 0;
		}
		ret = fit_buffer(rewrite, of, buffer, input, first, findings);
		fit = &of->fit;
	}
	if (ret || is_empty(fit))
		return ret;
	ret = guest_timeline_make(&of->timeline, fit, &rewrite->host->vcpus, rewrite->dat, buffer, input->since);
	if (!ret)
		ret = guest_timeline_prove(&of->timeline, &rewrite->host->vcpus, &tally);
	if (ret)
		return ret;
	fit_tally_add_cpu(&rewrite->tally, &tally);
	nr_changes = count_changes(&of->timeline);
	if (nr_changes > rewrite->nr_changes)
		rewrite->nr_changes = nr_changes;
	return 0;
}

static void say_jump(const struct guest_rewrite *rewrite, const struct timeline_jump *jump, const char *name,
		     const struct tsc_frequency *frequency, struct findings *findings)
{
	char earlier[PROOF_ERROR_SIZE], later[PROOF_ERROR_SIZE];

	findings_doubt(findings, FINDING_BACKWARD,
		       "%s: CPU %u%s%s: its TSC jumped backward within a page of the ring buffer: the %" PRIu64 " event%s from host TSC %" PRIu64 " on %smay be %s earlier or %s later",
		       rewrite->dat->path, jump->cpu, *name ? " in instance " : "", name, jump->nr_events,
		       jump->nr_events == 1 ? "" : "s", jump->host_tsc, jump->found ? "" : "fit nowhere and ",
		       proof_error(jump->earlier, frequency, earlier), proof_error(jump->later, frequency, later));
}

/* How exact the times after each jump are */
static void say_jumps(const struct guest_rewrite *rewrite, struct findings *findings)
{
	struct tsc_frequency frequency;
	size_t nr = 0;

	if (!tsc2nsec_frequency(&frequency, &rewrite->host->dat))
		tsc2nsec_frequency(&frequency, rewrite->dat);
	for (size_t i = 0; i < rewrite->dat->nr_buffers; i++) {
		const struct guest_timeline *timeline = &rewrite->buffers[i].timeline;

		for (size_t j = 0; j < timeline->nr_jumps; j++, nr++) {
			if (nr < MAX_LINES)
				say_jump(rewrite, &timeline->jumps[j], timeline->buffer->name, &frequency, findings);
		}
	}
	if (nr > MAX_LINES) {
		findings_note(findings, FINDING_BACKWARD, "%zu more such jumps", nr - MAX_LINES);
		findings->nr_doubts += nr - MAX_LINES;
	}
}

/**
 * guest_rewrite_prepare - find out the host time of each event of a guest's file, and prove it
 * @rewrite: result; to be released in any case
 * @host: the host
 * @input: what was fitted: a buffer of the file
 * @fit: its fit; valid as long as @rewrite is
 * @any_clock: the times are TSC values whatever the file says of the clock
 * @findings: what is doubtful is added
 *
 * Returns: 0 or a negative errno with the reason in the error of one of the files.
 */
int guest_rewrite_prepare(struct guest_rewrite *rewrite, const struct stamp_host *host,
			  const struct guest_fit_input *input, const struct guest_fit *fit, bool any_clock,
			  struct findings *findings)
{
	struct trace_dat *dat = input->dat;
	int ret = 0;

	*rewrite = (struct guest_rewrite) {
		.host = host, .dat = dat, .buffers = calloc(dat->nr_buffers + 1, sizeof(*rewrite->buffers)),
	};
	if (!rewrite->buffers)
		return -ENOMEM;
	for (size_t i = 0; i < dat->nr_buffers && !ret; i++)
		ret = prepare_buffer(rewrite, i, input, fit, any_clock, findings);
	if (!ret)
		say_jumps(rewrite, findings);
	return ret;
}

static int time_of(void *context, const struct rewritten_event *event, uint64_t *time)
{
	struct guest_rewrite *rewrite = context;
	struct guest_rewrite_buffer *of = &rewrite->buffers[event->buffer];
	const struct timeline_cpu *cpu = of->timeline.cpus ? &of->timeline.cpus[event->cpu] : NULL;

	*time = event->ts;
	if (!cpu || !cpu->nr_parts)
		return 0;
	if (of->cursor.cpu != cpu)
		of->cursor = (struct timeline_cursor) { .cpu = cpu };
	*time = timeline_host_time(&of->cursor, event->page, event->number, event->ts);
	/* Readers show the host at other times than its own */
	if (rewrite->host->times.bends)
		*time = time_shift_apply(&rewrite->host->times.to_shown, 0, *time);
	return 0;
}

/**
 * guest_rewrite_write - write the copy
 * @rewrite: prepared
 * @edit: what else changes
 * @path: of the copy; what is there is replaced, by the whole copy or not at all
 * @unsynced: result, as trace_dat_edit_copy() has it
 *
 * Returns: 0 or a negative errno with the reason in the file's error.
 */
int guest_rewrite_write(struct guest_rewrite *rewrite, const struct trace_dat_edit *edit, const char *path,
			int *unsynced)
{
	return trace_dat_rewrite(rewrite->dat, edit, time_of, rewrite, path, unsynced);
}

/**
 * guest_rewrite_release - free what it owns
 * @rewrite: prepared, or failed to, or all zeros
 */
void guest_rewrite_release(struct guest_rewrite *rewrite)
{
	for (size_t i = 0; rewrite->buffers && i < rewrite->dat->nr_buffers; i++) {
		guest_timeline_release(&rewrite->buffers[i].timeline);
		guest_fit_release(&rewrite->buffers[i].fit);
	}
	free(rewrite->buffers);
	*rewrite = (struct guest_rewrite) { 0 };
}
