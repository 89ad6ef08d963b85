// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_stream.h"
#include "estimate.h"
#include "order.h"
#include "progress.h"
#include "vcpu_modes.h"
#include "trace_clock.h"
#include "trace_dat.h"

/* Events used in the search. Afterwards all events are tried, but only where these leave a chance. */
#define MAX_SAMPLES (1UL << 17)

/* A sample of a CPU's events: every @every-th one. When it is full, drop every second sample. */
struct samples {
	uint64_t	*times;
	size_t		nr;
	uint64_t	every;
	uint64_t	skipped;
};

/* The data of one run */
struct ctx {
	struct trace_dat	*guest;
	bool			*by_tsc;	/* of each buffer; owned */
	struct progress		progress;
};

static int take_sample(struct samples *samples, uint64_t guest_tsc)
{
	if (++samples->skipped < samples->every)
		return 0;
	samples->skipped = 0;
	if (samples->nr == MAX_SAMPLES) {
		samples->nr /= 2;
		samples->every *= 2;
		for (size_t i = 0; i < samples->nr; i++)
			samples->times[i] = samples->times[2 * i];
	}
	samples->times[samples->nr++] = guest_tsc;
	return 0;
}

/* All events of a CPU, buffer after buffer */
static int read_events(struct ctx *ctx, uint32_t cpu, int (*take)(void *data, uint64_t guest_tsc),
		       void *data)
{
	int ret = 0;

	for (size_t i = 0; i < ctx->guest->nr_buffers; i++) {
		const struct trace_dat_buffer *buffer = &ctx->guest->buffers[i];

		for (size_t j = 0; j < buffer->nr_cpus && ctx->by_tsc[i] && !ret; j++) {
			struct cpu_stream stream;

			if (buffer->cpus[j].cpu != cpu || !buffer->cpus[j].size)
				continue;
			ret = cpu_stream_open(&stream, ctx->guest, buffer, &buffer->cpus[j]);
			while (!ret && (ret = cpu_stream_next(&stream)) > 0)
				ret = take(data, stream.event.ts);
			cpu_stream_close(&stream);
		}
	}
	return ret;
}

/* The first pass over a CPU's events */
struct first_pass {
	struct estimate_cpu	*cpu;
	struct samples		samples;
	uint64_t		first, last;
};

static int take_first(void *data, uint64_t guest_tsc)
{
	struct first_pass *pass = data;

	if (!pass->cpu->events++ || guest_tsc < pass->first)
		pass->first = guest_tsc;
	if (guest_tsc > pass->last)
		pass->last = guest_tsc;
	return take_sample(&pass->samples, guest_tsc);
}

static int take_second(void *data, uint64_t guest_tsc)
{
	return shift_search_add(data, guest_tsc);
}

static ORDER_NUMBERS(compare_times, uint64_t)

static int search(struct ctx *ctx, struct estimate_cpu *cpu, const struct vcpu_modes *modes,
		  struct first_pass *pass, uint64_t done)
{
	struct samples *samples = &pass->samples;
	struct shift_search search;
	int ret;

	/* Including the first and the last: they limit the possible shifts */
	samples->times[samples->nr++] = pass->first;
	samples->times[samples->nr++] = pass->last;
	array_sort(samples->times, samples->nr, compare_times);
	ret = shift_search_begin(&search, modes, samples->times, samples->nr, &ctx->progress, done);
	if (ret == -ERANGE)
		ret = trace_dat_refuse(ctx->guest, ret, "times of CPU %u are too far apart", cpu->cpu);
	if (!ret)
		ret = read_events(ctx, cpu->cpu, take_second, &search);
	if (!ret) {
		ret = shift_search_end(&search, &cpu->shift);
		cpu->found = !ret;
		if (ret == -ENODATA)
			ret = 0;
	}
	shift_search_release(&search);
	return ret;
}

static int estimate_cpu(struct ctx *ctx, struct estimate_cpu *cpu, const struct vcpu_modes *modes, uint64_t done)
{
	struct first_pass pass = { .cpu = cpu, .samples.every = 1 };
	int ret;

	pass.samples.times = calloc(MAX_SAMPLES + 2, sizeof(*pass.samples.times));
	if (!pass.samples.times)
		return -ENOMEM;
	ret = read_events(ctx, cpu->cpu, take_first, &pass);
	if (!ret && cpu->events)
		ret = search(ctx, cpu, modes, &pass, done);
	free(pass.samples.times);
	return ret;
}

/**
 * estimate_make - find the shifts of a guest's CPUs
 * @estimate: result; must be released in any case
 * @guest: the open file of the guest
 * @any_clock: treat times as TSC values, whatever clock the file names
 * @targets: the CPUs to estimate
 * @nr_targets: number of @targets
 *
 * Returns: 0, also without a shift, or a negative errno with the reason in @guest->error.
 */
int estimate_make(struct estimate *estimate, struct trace_dat *guest, bool any_clock,
		  const struct estimate_target *targets, size_t nr_targets)
{
	struct ctx ctx = { .guest = guest, .by_tsc = calloc(guest->nr_buffers + 1, sizeof(*ctx.by_tsc)) };
	char clock[64];
	int ret = 0;

	*estimate = (struct estimate) { .cpus = calloc(nr_targets + 1, sizeof(*estimate->cpus)) };
	if (!ctx.by_tsc || !estimate->cpus)
		ret = -ENOMEM;
	for (size_t i = 0; i < guest->nr_buffers && !ret; i++)
		ctx.by_tsc[i] = any_clock || trace_clock_is_tsc(guest, &guest->buffers[i], clock, sizeof(clock));
	progress_begin(&ctx.progress, "searching", (nr_targets + 1) * SHIFT_SEARCH_STEPS);
	for (size_t i = 0; i < nr_targets && !ret; i++) {
		struct estimate_cpu *cpu = &estimate->cpus[estimate->nr_cpus++];

		*cpu = (struct estimate_cpu) { .cpu = targets[i].cpu, .vcpu_id = targets[i].vcpu_id };
		ret = estimate_cpu(&ctx, cpu, targets[i].modes, i * SHIFT_SEARCH_STEPS);
	}
	progress_end(&ctx.progress);
	free(ctx.by_tsc);
	return error_keep(guest->error, ret, guest->path);
}

/**
 * estimate_release - free the shifts
 * @estimate: the shifts, also after a failure
 */
void estimate_release(struct estimate *estimate)
{
	free(estimate->cpus);
	*estimate = (struct estimate) { 0 };
}
