// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cpu_stream.h"
#include "estimate.h"
#include "host_trace.h"
#include "mode_stream.h"
#include "progress.h"
#include "trace_clock.h"
#include "trace_dat.h"

/* Events that are searched with. All are tried then, but only where these leave a chance. */
#define MAX_SAMPLES (1UL << 17)

/* Some of a CPU's events: each so many-th. When there is no room for more, each second of them goes. */
struct samples {
	uint64_t	*times;
	size_t		nr;
	uint64_t	every;
	uint64_t	skipped;
};

/* Everything that belongs to one run */
struct run {
	const struct host_trace	*host;
	const struct host_vm	*vm;
	struct trace_dat	*guest;
	bool			any_clock;
	bool			*by_tsc;	/* of each buffer; owned */
	struct shift_spans	*spans;		/* of each vCPU; owned */
	struct progress		progress;
};

static enum shift_mode mode_of(enum span_mode mode)
{
	switch (mode) {
	case SPAN_GUEST:
		return SHIFT_GUEST;
	case SPAN_HOST:
		return SHIFT_HOST;
	default:
		return SHIFT_FREE;
	}
}

static int read_spans(struct run *run)
{
	struct mode_stream stream;
	struct mode_span span;
	int ret;

	run->spans = calloc(run->vm->history.nr_vcpus + 1, sizeof(*run->spans));
	if (!run->spans)
		return -ENOMEM;
	ret = mode_stream_open(&stream, run->host, run->vm);
	while (!ret && (ret = mode_stream_next(&stream, &span)) > 0)
		ret = shift_spans_add(&run->spans[span.vcpu], span.from, span.to, mode_of(span.mode));
	mode_stream_close(&stream);
	return ret;
}

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

/* All events of a CPU, one buffer after the other */
static int read_events(struct run *run, uint32_t cpu, int (*take)(void *data, uint64_t guest_tsc),
		       void *data)
{
	int ret = 0;

	for (size_t i = 0; i < run->guest->nr_buffers; i++) {
		const struct trace_dat_buffer *buffer = &run->guest->buffers[i];

		for (size_t j = 0; j < buffer->nr_cpus && run->by_tsc[i] && !ret; j++) {
			struct cpu_stream stream;

			if (buffer->cpus[j].cpu != cpu || !buffer->cpus[j].size)
				continue;
			ret = cpu_stream_open(&stream, run->guest, buffer, &buffer->cpus[j]);
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

static int compare_times(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int search(struct run *run, struct estimate_cpu *cpu, struct first_pass *pass, uint64_t done)
{
	struct samples *samples = &pass->samples;
	struct shift_search search;
	int ret;

	/* The ends as well: they say which shifts there can be */
	samples->times[samples->nr++] = pass->first;
	samples->times[samples->nr++] = pass->last;
	qsort(samples->times, samples->nr, sizeof(*samples->times), compare_times);
	ret = shift_search_begin(&search, &run->spans[cpu->cpu], samples->times, samples->nr,
				 &run->progress, done);
	if (ret == -ERANGE)
		ret = trace_dat_fail(run->guest, ret, 0, "times of CPU %u are too far apart", cpu->cpu);
	if (!ret)
		ret = read_events(run, cpu->cpu, take_second, &search);
	if (!ret) {
		ret = shift_search_end(&search, &cpu->shift);
		cpu->found = !ret;
		if (ret == -ENODATA)
			ret = 0;
	}
	shift_search_release(&search);
	return ret;
}

static int estimate_cpu(struct run *run, struct estimate_cpu *cpu, uint64_t done)
{
	struct first_pass pass = { .cpu = cpu, .samples.every = 1 };
	int ret;

	pass.samples.times = calloc(MAX_SAMPLES + 2, sizeof(*pass.samples.times));
	if (!pass.samples.times)
		return -ENOMEM;
	ret = read_events(run, cpu->cpu, take_first, &pass);
	if (!ret && cpu->events && cpu->has_vcpu)
		ret = search(run, cpu, &pass, done);
	free(pass.samples.times);
	return ret;
}

static int compare_cpus(const void *a, const void *b)
{
	const struct estimate_cpu *x = a, *y = b;

	return (x->cpu > y->cpu) - (x->cpu < y->cpu);
}

/* The CPUs of all buffers, each once */
static int list_cpus(struct run *run, struct estimate *estimate)
{
	const struct trace_dat *guest = run->guest;
	size_t nr = 0, kept = 0;
	char clock[64];

	for (size_t i = 0; i < guest->nr_buffers; i++)
		nr += guest->buffers[i].nr_cpus;
	estimate->cpus = calloc(nr + 1, sizeof(*estimate->cpus));
	run->by_tsc = calloc(guest->nr_buffers + 1, sizeof(*run->by_tsc));
	if (!estimate->cpus || !run->by_tsc)
		return -ENOMEM;
	nr = 0;
	for (size_t i = 0; i < guest->nr_buffers; i++) {
		const struct trace_dat_buffer *buffer = &guest->buffers[i];

		run->by_tsc[i] = run->any_clock ||
				 trace_clock_is_tsc(guest, buffer, clock, sizeof(clock));
		for (size_t j = 0; j < buffer->nr_cpus && run->by_tsc[i]; j++) {
			if (buffer->cpus[j].size)
				estimate->cpus[nr++].cpu = buffer->cpus[j].cpu;
		}
	}
	if (nr)
		qsort(estimate->cpus, nr, sizeof(*estimate->cpus), compare_cpus);
	for (size_t i = 0; i < nr; i++) {
		struct estimate_cpu *cpu = &estimate->cpus[kept];

		if (kept && cpu[-1].cpu == estimate->cpus[i].cpu)
			continue;
		*cpu = estimate->cpus[i];
		cpu->has_vcpu = cpu->cpu < run->vm->history.nr_vcpus;
		if (cpu->has_vcpu)
			cpu->vcpu_id = run->vm->history.vcpus[cpu->cpu].vcpu_id;
		kept++;
	}
	estimate->nr_cpus = kept;
	return 0;
}

/**
 * estimate_make - find the shifts of a guest's CPUs
 * @estimate: result; to be released in any case
 * @host: what the host's file tells; it has kvm_entry
 * @vm: the VM that the guest is
 * @guest: the guest's file, open
 * @any_clock: the times are TSC values whatever the file says of the clock
 *
 * Returns: 0, also if there is none, or a negative errno with the reason in the error of one of the files.
 */
int estimate_make(struct estimate *estimate, const struct host_trace *host, const struct host_vm *vm,
		  struct trace_dat *guest, bool any_clock)
{
	struct run run = { .host = host, .vm = vm, .guest = guest, .any_clock = any_clock };
	int ret;

	*estimate = (struct estimate) { 0 };
	ret = list_cpus(&run, estimate);
	progress_begin(&run.progress, "searching", (estimate->nr_cpus + 1) * SHIFT_SEARCH_STEPS);
	if (!ret)
		ret = read_spans(&run);
	for (size_t i = 0; i < estimate->nr_cpus && !ret; i++)
		ret = estimate_cpu(&run, &estimate->cpus[i], i * SHIFT_SEARCH_STEPS);
	progress_end(&run.progress);
	for (size_t i = 0; run.spans && i < vm->history.nr_vcpus; i++)
		shift_spans_release(&run.spans[i]);
	free(run.spans);
	free(run.by_tsc);
	if (ret && !*guest->error && !*host->dat->error)
		trace_dat_fail(guest, ret, 0, "%s", strerror(-ret));
	return ret;
}

/**
 * estimate_release - free a result
 * @estimate: made, or failed to
 */
void estimate_release(struct estimate *estimate)
{
	free(estimate->cpus);
	*estimate = (struct estimate) { 0 };
}
