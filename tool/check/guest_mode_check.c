// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "any.h"
#include "cpu_stream.h"
#include "fit_vcpu.h"
#include "guest_mode_check.h"
#include "guest_vcpus.h"
#include "merged_times.h"
#include "progress.h"
#include "quiet_time.h"
#include "trace_clock.h"
#include "trace_dat.h"

/* Events between two checks of the clock */
#define PROGRESS_STEPS	(1UL << 14)

/**
 * struct cpu_check - a CPU of one of the guest's buffers being checked
 * @result: the result
 * @vcpu: its vCPU; NULL if unknown
 * @span: the span of the last event
 * @quiet: its events
 * @phases: phases of the host's vCPUs that it was, by the values of the TSC; owned
 * @nr_phases: number of these vCPUs
 * @last: the phase of the last event, NULL without
 * @explained: number of events that the history puts into the span in which they are shown
 * @possible: number of events at times that the TSC had
 * @impossible: results of the events at times that the TSC never had
 * @listed: the first of them; owned
 * @nr_listed: number of @listed
 */
struct cpu_check {
	struct guest_mode_cpu		*result;
	const struct guest_vcpu		*vcpu;
	size_t				span;
	struct quiet_time		quiet;
	struct fit_vcpu			*phases;
	size_t				nr_phases;
	const struct fit_phase		*last;
	uint64_t			explained;
	uint64_t			possible;
	struct guest_mode_counts	impossible;
	struct guest_mode_violation	*listed;
	size_t				nr_listed;
};

/* A check in progress */
struct ctx {
	const struct guest_mode_check_input	*input;
	uint64_t			bytes_done;
	size_t				steps;
};

static void step(struct ctx *ctx, const struct cpu_stream *events)
{
	if (++ctx->steps < PROGRESS_STEPS)
		return;
	ctx->steps = 0;
	progress_at(ctx->input->progress, ctx->bytes_done + events->cpu->size - events->left);
}

/* The span of guest mode @span, if it is one; without its end if an unknown mode follows */
static struct guest_mode_span guest_span(const struct vcpu_modes *modes, size_t span)
{
	struct guest_mode_span result = { 0 };

	if (span >= modes->nr || vcpu_modes_at(modes, span) != MODE_GUEST)
		return result;
	result.entry = vcpu_modes_from(modes, span);
	if (span + 1 < modes->nr && vcpu_modes_at(modes, span + 1) == MODE_HOST)
		result.exit = vcpu_modes_from(modes, span + 1) - 1;
	return result;
}

static void list(struct guest_mode_violation *listed, size_t *nr, size_t most, const struct cpu_check *cpu,
		 uint64_t guest_tsc, uint64_t host_tsc, bool impossible)
{
	const struct vcpu_modes *modes = cpu->vcpu->modes;

	if (*nr == most)
		return;
	listed[*nr] = (struct guest_mode_violation) {
		.guest_tsc = guest_tsc, .host_tsc = host_tsc, .impossible = impossible,
	};
	if (vcpu_modes_at(modes, cpu->span) == MODE_HOST) {
		if (cpu->span)
			listed[*nr].before = guest_span(modes, cpu->span - 1);
		listed[*nr].after = guest_span(modes, cpu->span + 1);
	}
	(*nr)++;
}

/**
 * guest_mode_counts_add - add the results of further events
 * @sums: updated
 * @counts: results of the further events
 */
void guest_mode_counts_add(struct guest_mode_counts *sums, const struct guest_mode_counts *counts)
{
	sums->events += counts->events;
	sums->inside += counts->inside;
	sums->violations += counts->violations;
	sums->impossible += counts->impossible;
	sums->outside += counts->outside;
	sums->doubtful += counts->doubtful;
	sums->unprovable += counts->unprovable;
}

/* Did the TSC ever have this value? */
static bool is_possible(struct cpu_check *cpu, uint64_t guest_tsc)
{
	struct fit_place places[FIT_MAX_PLACES];

	if (!cpu->nr_phases)
		return true;
	if (cpu->last && (int64_t)guest_tsc >= cpu->last->guest_from && (int64_t)guest_tsc <= cpu->last->guest_to)
		return true;
	for (size_t i = 0; i < cpu->nr_phases; i++) {
		if (fit_vcpu_places(&cpu->phases[i], guest_tsc, places)) {
			cpu->last = &cpu->phases[i].phases[places[0].phase];
			return true;
		}
	}
	return false;
}

/* Does the history explain the time at which an event is shown, within some tolerance? */
static bool is_explained(const struct cpu_check *cpu, uint64_t guest_tsc, uint64_t host_tsc)
{
	uint64_t wanted;

	if (!cpu->last || tsc_host_from_guest(&cpu->last->map, guest_tsc, &wanted))
		return false;
	return wanted == host_tsc || vcpu_modes_find(cpu->vcpu->modes, wanted, cpu->span) == cpu->span;
}

static void judge(const struct ctx *ctx, struct cpu_check *cpu, uint64_t guest_tsc, uint64_t host_tsc)
{
	const struct guest_mode_check_input *input = ctx->input;
	const struct vcpu_modes *modes = cpu->vcpu->modes;
	struct guest_mode_cpu *result = cpu->result;
	struct guest_mode_counts *counts = &cpu->impossible, possible = { 0 };

	cpu->span = vcpu_modes_find(modes, host_tsc, cpu->span);
	if (is_possible(cpu, guest_tsc)) {
		counts = &possible;
		cpu->possible++;
		cpu->explained += is_explained(cpu, guest_tsc, host_tsc);
	} else {
		list(cpu->listed, &cpu->nr_listed, input->max_listed, cpu, guest_tsc, host_tsc, true);
	}
	quiet_time_event(&cpu->quiet, host_tsc, input->begin, input->end, cpu->span);
	switch (vcpu_modes_at(modes, cpu->span)) {
	case MODE_GUEST:
		counts->inside++;
		vcpu_modes_limit(modes, cpu->span, host_tsc, &result->earlier, &result->later);
		break;
	case MODE_HOST:
		counts->violations++;
		if (counts == &possible)
			list(result->listed, &result->nr_listed, input->max_listed, cpu, guest_tsc, host_tsc,
			     false);
		break;
	case MODE_UNKNOWN:
		if (host_tsc < input->begin || host_tsc > input->end)
			counts->outside++;
		else
			counts->unprovable++;
		break;
	}
	guest_mode_counts_add(&result->counts, &possible);
}

/*
 * The values that the TSC had are known if its whole history is known: from before the first change, without a gap, and
 * with its scaling, which a stock kernel does not report. In this case, it explains where most other events are shown.
 */
static void take_impossible(struct cpu_check *cpu, size_t max_listed)
{
	struct guest_mode_cpu *result = cpu->result;
	const struct guest_mode_counts *counts = &cpu->impossible;
	uint64_t impossible = counts->inside + counts->violations + counts->outside + counts->unprovable;

	if (cpu->explained <= cpu->possible / 2 || cpu->explained < impossible / 8) {
		guest_mode_counts_add(&result->counts, counts);
		return;
	}
	result->counts.impossible = impossible;
	result->counts.violations += impossible;
	for (size_t i = 0; i < cpu->nr_listed && result->nr_listed < max_listed; i++)
		result->listed[result->nr_listed++] = cpu->listed[i];
}

static bool is_complete(const struct vcpu_history *history)
{
	struct tsc_mapping map;

	if (history->tsc_protected || vcpu_history_previous_unreported(history) ||
	    !vcpu_history_before(history, 0, &map))
		return false;
	return !any_of(i, history->nr_segments + 1, vcpu_history_gap(history, i));
}

static int make_phases(struct cpu_check *cpu)
{
	int ret = 0;

	if (!cpu->vcpu)
		return 0;
	for (size_t i = 0; i < cpu->vcpu->nr_sources; i++) {
		if (!is_complete(cpu->vcpu->sources[i].history))
			return 0;
	}
	cpu->phases = calloc(cpu->vcpu->nr_sources + 1, sizeof(*cpu->phases));
	if (!cpu->phases)
		return -ENOMEM;
	for (size_t i = 0; i < cpu->vcpu->nr_sources && !ret; i++) {
		struct fit_vcpu *phases = &cpu->phases[cpu->nr_phases++];

		*phases = (struct fit_vcpu) {
			.modes = cpu->vcpu->sources[i].modes, .history = cpu->vcpu->sources[i].history,
		};
		ret = fit_vcpu_make(phases, NULL, 0);
	}
	return ret;
}

static int read_cpu(struct ctx *ctx, struct cpu_check *cpu, const struct trace_dat_buffer *buffer,
		    const struct trace_dat_cpu *data, const struct merged_times *times)
{
	struct guest_mode_cpu *result = cpu->result;
	struct cpu_stream events;
	int ret;

	ret = cpu_stream_open(&events, ctx->input->guest, buffer, data);
	while (!ret && (ret = cpu_stream_next(&events)) > 0) {
		uint64_t guest_tsc = events.event.ts;
		uint64_t host_tsc = merged_time(times, data->cpu, guest_tsc);

		ret = 0;
		result->counts.events++;
		if (cpu->vcpu)
			judge(ctx, cpu, guest_tsc, host_tsc);
		else
			result->counts.outside++;
		step(ctx, &events);
	}
	ctx->bytes_done += data->size;
	cpu_stream_close(&events);
	return ret;
}

static int check_cpu(struct ctx *ctx, struct guest_mode_buffer *buffer, const struct trace_dat_cpu *data,
		     const struct merged_times *times)
{
	const struct guest_mode_check_input *input = ctx->input;
	struct guest_mode_cpu *result = &buffer->cpus[buffer->nr_cpus++];
	struct cpu_check cpu = {
		.result = result, .span = MODE_SPAN_NONE,
		.listed = calloc(input->max_listed + 1, sizeof(*cpu.listed)),
	};
	int ret = 0;

	if (data->cpu < input->vcpus->nr && input->vcpus->cpus[data->cpu].known)
		cpu.vcpu = &input->vcpus->cpus[data->cpu];
	*result = (struct guest_mode_cpu) {
		.cpu = data->cpu, .has_vcpu = cpu.vcpu, .vcpu_id = cpu.vcpu ? cpu.vcpu->vcpu_id : 0,
		.corrected = time_shift_corrects(times->guest, data->cpu),
		.earlier = GUEST_MODE_NO_LIMIT, .later = GUEST_MODE_NO_LIMIT,
		.listed = calloc(input->max_listed + 1, sizeof(*result->listed)),
	};
	if (!cpu.listed || !result->listed)
		ret = -ENOMEM;
	if (!ret)
		ret = make_phases(&cpu);
	if (!ret)
		ret = read_cpu(ctx, &cpu, buffer->buffer, data, times);
	if (!ret)
		take_impossible(&cpu, input->max_listed);
	if (!ret && cpu.vcpu)
		result->counts.doubtful = quiet_time_doubtful(&cpu.quiet, cpu.vcpu->modes);
	for (size_t i = 0; i < cpu.nr_phases; i++)
		fit_vcpu_release(&cpu.phases[i]);
	free(cpu.phases);
	free(cpu.listed);
	return ret;
}

static int check_buffer(struct ctx *ctx, struct guest_mode_buffer *buffer)
{
	const struct trace_dat_buffer *data = buffer->buffer;
	const struct guest_mode_check_input *input = ctx->input;
	struct merged_times times = input->only ? *input->file : merged_times_of(input->file, data);
	int ret = 0;

	buffer->cpus = calloc(data->nr_cpus + 1, sizeof(*buffer->cpus));
	if (!buffer->cpus)
		return -ENOMEM;
	for (size_t i = 0; i < data->nr_cpus && !ret; i++) {
		if (data->cpus[i].size)
			ret = check_cpu(ctx, buffer, &data->cpus[i], &times);
	}
	return ret;
}

/**
 * guest_mode_check_bytes - get the number of bytes that guest_mode_check() reads
 * @guest: the guest's file
 * @only: the buffer to check, NULL for all
 *
 * Returns: the total for its progress.
 */
uint64_t guest_mode_check_bytes(const struct trace_dat *guest, const struct trace_dat_buffer *only)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < guest->nr_buffers; i++) {
		if (only && only != &guest->buffers[i])
			continue;
		for (size_t j = 0; j < guest->buffers[i].nr_cpus; j++)
			bytes += guest->buffers[i].cpus[j].size;
	}
	return bytes;
}

/**
 * guest_mode_check - compare a guest's file with its host's
 * @result: must be released in any case
 * @input: what to compare
 *
 * Returns: 0, also with violations, or a negative errno with the reason in the file's error.
 */
int guest_mode_check(struct guest_mode_check *result, const struct guest_mode_check_input *input)
{
	struct trace_dat *guest = input->guest;
	struct ctx ctx = { .input = input };
	int ret = 0;

	*result = (struct guest_mode_check) { .buffers = calloc(guest->nr_buffers + 1, sizeof(*result->buffers)) };
	if (!result->buffers)
		ret = -ENOMEM;
	for (size_t i = 0; i < guest->nr_buffers && !ret; i++) {
		struct guest_mode_buffer *buffer = &result->buffers[result->nr_buffers];

		if (input->only && input->only != &guest->buffers[i])
			continue;
		result->nr_buffers++;
		buffer->buffer = &guest->buffers[i];
		buffer->checked = trace_clock_is_tsc(guest, buffer->buffer, buffer->clock,
						     sizeof(buffer->clock)) || input->any_clock;
		if (buffer->checked)
			ret = check_buffer(&ctx, buffer);
	}
	return error_keep(guest->error, ret, guest->path);
}

/**
 * guest_mode_check_release - free a result
 * @result: the result, also after a failed check
 */
void guest_mode_check_release(struct guest_mode_check *result)
{
	for (size_t i = 0; i < result->nr_buffers; i++) {
		for (size_t j = 0; j < result->buffers[i].nr_cpus; j++)
			free(result->buffers[i].cpus[j].listed);
		free(result->buffers[i].cpus);
	}
	free(result->buffers);
	*result = (struct guest_mode_check) { 0 };
}
