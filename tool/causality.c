// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "causality.h"
#include "cpu_stream.h"
#include "host_trace.h"
#include "mode_stream.h"
#include "progress.h"
#include "time_shift_reader.h"
#include "trace_clock.h"
#include "trace_dat.h"

/*
 * A correction that steps back makes a CPU's later events earlier ones: so many spans of each vCPU are kept
 * for them, and so many of all vCPUs together.
 */
#define PAST_OF_VCPU	(1UL << 14)
#define PAST_OF_ALL	(1UL << 20)
#define PAST_AT_LEAST	64UL

/* Spans and events between two looks at the clock */
#define PROGRESS_STEPS	(1UL << 14)

/**
 * struct cpu_trial - a CPU of one of the guest's buffers while it is read
 * @events: its events
 * @more: there is an event that was not judged yet
 * @host_tsc: then the time at which readers show it
 * @reader: what corrects it
 * @result: what its events come to
 * @nr_waiting: violations at the end of the list whose next span is not known yet
 * @next: the next one of the same vCPU
 */
struct cpu_trial {
	struct cpu_stream		events;
	bool				more;
	uint64_t			host_tsc;
	const struct time_shift_reader	*reader;
	struct causality_cpu		*result;
	size_t				nr_waiting;
	struct cpu_trial		*next;
};

/**
 * struct vcpu_trial - what is known of a vCPU up to now
 * @cpus: the guest's CPUs that it is
 * @past: its last spans, span i at i modulo the capacity; owned
 * @nr_past: how many there were
 */
struct vcpu_trial {
	struct cpu_trial	*cpus;
	struct mode_span	*past;
	size_t			nr_past;
};

/**
 * struct trial - a check while it is made
 * @question: what is asked
 * @cpus: of all buffers; owned
 * @nr_cpus: how many
 * @vcpus: owned
 * @nr_vcpus: how many
 * @past_capacity: spans that are kept for each of them
 * @host: the spans of the VM's vCPUs
 * @steps: since its last update
 */
struct trial {
	const struct causality_question	*question;
	struct cpu_trial		*cpus;
	size_t				nr_cpus;
	struct vcpu_trial		*vcpus;
	size_t				nr_vcpus;
	size_t				past_capacity;
	struct mode_stream		host;
	size_t				steps;
};

static void step(struct trial *trial)
{
	uint64_t bytes;

	if (++trial->steps < PROGRESS_STEPS)
		return;
	trial->steps = 0;
	bytes = mode_stream_bytes(&trial->host);
	for (size_t i = 0; i < trial->nr_cpus; i++)
		bytes += trial->cpus[i].events.cpu->size - trial->cpus[i].events.left;
	progress_at(trial->question->progress, bytes);
}

static struct mode_span *past_span(const struct trial *trial, const struct vcpu_trial *vcpu, size_t i)
{
	return &vcpu->past[i % trial->past_capacity];
}

/* The earliest span that is still remembered */
static size_t past_begin(const struct trial *trial, const struct vcpu_trial *vcpu)
{
	return vcpu->nr_past > trial->past_capacity ? vcpu->nr_past - trial->past_capacity : 0;
}

/* Returns: number of the span that a time lies in, or the number of spans */
static size_t find_past(const struct trial *trial, const struct vcpu_trial *vcpu, uint64_t host_tsc)
{
	size_t low = past_begin(trial, vcpu), high = vcpu->nr_past;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (past_span(trial, vcpu, mid)->to < host_tsc)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < vcpu->nr_past && past_span(trial, vcpu, low)->from <= host_tsc)
		return low;
	return vcpu->nr_past;
}

/* What follows a span in which the vCPU did not run */
static struct causality_span span_after(const struct mode_span *next)
{
	if (next->mode != SPAN_GUEST)
		return (struct causality_span) { 0 };
	return (struct causality_span) { next->from, next->open ? 0 : next->to };
}

static void list_violation(struct trial *trial, const struct vcpu_trial *vcpu, struct cpu_trial *cpu,
			   size_t number)
{
	const struct mode_span *span = past_span(trial, vcpu, number), *last;
	struct causality_cpu *result = cpu->result;
	struct causality_violation *violation;

	if (result->nr_listed == trial->question->max_listed)
		return;
	violation = &result->listed[result->nr_listed++];
	*violation = (struct causality_violation) {
		.guest_tsc	= cpu->events.event.ts,
		.host_tsc	= cpu->host_tsc,
		.before.exit	= span->from - 1,
	};
	if (number > past_begin(trial, vcpu)) {
		last = past_span(trial, vcpu, number - 1);
		if (last->mode == SPAN_GUEST && last->to == violation->before.exit)
			violation->before.entry = last->from;
	}
	if (number + 1 < vcpu->nr_past)
		violation->after = span_after(past_span(trial, vcpu, number + 1));
	else
		cpu->nr_waiting++;
}

static void judge(struct trial *trial, const struct vcpu_trial *vcpu, struct cpu_trial *cpu,
		  size_t number)
{
	const struct mode_span *span = past_span(trial, vcpu, number);
	struct causality_cpu *result = cpu->result;
	uint64_t host_tsc = cpu->host_tsc;

	switch (span->mode) {
	case SPAN_GUEST:
		result->inside++;
		if (host_tsc - span->from < result->earlier)
			result->earlier = host_tsc - span->from;
		if (!span->open && span->to - host_tsc < result->later)
			result->later = span->to - host_tsc;
		break;
	case SPAN_HOST:
		result->violations++;
		list_violation(trial, vcpu, cpu, number);
		break;
	case SPAN_UNKNOWN:
		result->unprovable++;
		break;
	case SPAN_OUTSIDE:
		result->outside++;
		break;
	}
}

static int read_event(struct cpu_trial *cpu)
{
	int ret = cpu_stream_next(&cpu->events);

	if (ret < 0)
		return ret;
	cpu->more = ret;
	if (!ret)
		return 0;
	cpu->result->events++;
	cpu->host_tsc = time_shift_apply(cpu->reader, cpu->result->cpu, cpu->events.event.ts);
	return 0;
}

/* All events up to the end of the vCPU's last span, of one of the guest's buffers */
static int take_events(struct trial *trial, const struct vcpu_trial *vcpu, struct cpu_trial *cpu)
{
	size_t number = vcpu->nr_past - 1;
	const struct mode_span *span = past_span(trial, vcpu, number);
	int ret = 0;

	while (!ret && cpu->more && cpu->host_tsc <= span->to) {
		size_t in = number;

		if (cpu->host_tsc < span->from)
			in = find_past(trial, vcpu, cpu->host_tsc);
		if (in < vcpu->nr_past)
			judge(trial, vcpu, cpu, in);
		else
			cpu->result->unordered++;
		step(trial);
		ret = read_event(cpu);
	}
	return ret;
}

static int take_span(struct trial *trial, const struct mode_span *span)
{
	struct vcpu_trial *vcpu = &trial->vcpus[span->vcpu];
	int ret = 0;

	*past_span(trial, vcpu, vcpu->nr_past++) = *span;
	for (struct cpu_trial *cpu = vcpu->cpus; cpu && !ret; cpu = cpu->next) {
		struct causality_cpu *result = cpu->result;

		for (; cpu->nr_waiting; cpu->nr_waiting--)
			result->listed[result->nr_listed - cpu->nr_waiting].after = span_after(span);
		ret = take_events(trial, vcpu, cpu);
	}
	return ret;
}

/* What no vCPU of the VM has recorded, as far as the host knows */
static int take_rest(struct cpu_trial *cpu)
{
	int ret = 0;

	while (!ret && cpu->more) {
		cpu->result->outside++;
		ret = read_event(cpu);
	}
	return ret;
}

static int open_cpu(struct trial *trial, struct causality_buffer *buffer,
		    const struct trace_dat_cpu *data, const struct time_shift_reader *reader)
{
	const struct causality_question *question = trial->question;
	struct causality_cpu *result = &buffer->cpus[buffer->nr_cpus++];
	struct cpu_trial *cpu = &trial->cpus[trial->nr_cpus++];
	int ret;

	*result = (struct causality_cpu) {
		.cpu = data->cpu, .has_vcpu = data->cpu < trial->nr_vcpus,
		.corrected = time_shift_corrects(reader, data->cpu),
		.earlier = CAUSALITY_NO_LIMIT, .later = CAUSALITY_NO_LIMIT,
		.listed = calloc(question->max_listed + 1, sizeof(*result->listed)),
	};
	if (result->has_vcpu)
		result->vcpu_id = question->vm->history.vcpus[data->cpu].vcpu_id;
	*cpu = (struct cpu_trial) { .reader = reader, .result = result };
	ret = cpu_stream_open(&cpu->events, question->guest, buffer->buffer, data);
	if (ret)
		return ret;
	if (!result->listed)
		return -ENOMEM;
	if (result->has_vcpu) {
		cpu->next = trial->vcpus[data->cpu].cpus;
		trial->vcpus[data->cpu].cpus = cpu;
	}
	return read_event(cpu);
}

static size_t cpus_of_file(const struct trace_dat *dat)
{
	size_t nr = 0;

	for (size_t i = 0; i < dat->nr_buffers; i++)
		nr += dat->buffers[i].nr_cpus;
	return nr;
}

static int open_buffer(struct trial *trial, struct causality_buffer *buffer)
{
	/* Readers take an instance for a file of its own, one without TIME_SHIFT */
	static const struct time_shift_reader uncorrected;
	const struct trace_dat_buffer *data = buffer->buffer;
	int ret = 0;

	buffer->cpus = calloc(data->nr_cpus + 1, sizeof(*buffer->cpus));
	if (!buffer->cpus)
		return -ENOMEM;
	for (size_t i = 0; i < data->nr_cpus && !ret; i++) {
		if (data->cpus[i].size)
			ret = open_cpu(trial, buffer, &data->cpus[i],
				       *data->name ? &uncorrected : trial->question->reader);
	}
	return ret;
}

static int open_guest(struct trial *trial, struct causality *result)
{
	const struct trace_dat *guest = trial->question->guest;
	int ret = 0;

	trial->cpus = calloc(cpus_of_file(guest) + 1, sizeof(*trial->cpus));
	result->buffers = calloc(guest->nr_buffers + 1, sizeof(*result->buffers));
	if (!trial->cpus || !result->buffers)
		return -ENOMEM;
	for (size_t i = 0; i < guest->nr_buffers && !ret; i++) {
		struct causality_buffer *buffer = &result->buffers[result->nr_buffers++];

		buffer->buffer = &guest->buffers[i];
		buffer->checked = trace_clock_is_tsc(guest, buffer->buffer, buffer->clock,
						     sizeof(buffer->clock)) ||
				  trial->question->any_clock;
		if (buffer->checked)
			ret = open_buffer(trial, buffer);
	}
	return ret;
}

static int open_vcpus(struct trial *trial)
{
	size_t capacity = trial->nr_vcpus ? PAST_OF_ALL / trial->nr_vcpus : PAST_AT_LEAST;

	if (capacity > PAST_OF_VCPU)
		capacity = PAST_OF_VCPU;
	if (capacity < PAST_AT_LEAST)
		capacity = PAST_AT_LEAST;
	trial->past_capacity = capacity;
	trial->vcpus = calloc(trial->nr_vcpus + 1, sizeof(*trial->vcpus));
	for (size_t i = 0; trial->vcpus && i < trial->nr_vcpus; i++) {
		trial->vcpus[i].past = calloc(capacity, sizeof(*trial->vcpus[i].past));
		if (!trial->vcpus[i].past)
			return -ENOMEM;
	}
	return trial->vcpus ? 0 : -ENOMEM;
}

static int run(struct trial *trial)
{
	struct mode_span span;
	int ret;

	while ((ret = mode_stream_next(&trial->host, &span)) > 0) {
		step(trial);
		ret = take_span(trial, &span);
		if (ret)
			break;
	}
	for (size_t i = 0; i < trial->nr_cpus && !ret; i++)
		ret = take_rest(&trial->cpus[i]);
	return ret;
}

/**
 * causality_bytes - how much causality_check() reads
 * @host: the host
 * @guest: the guest's file
 *
 * Returns: the total for its progress.
 */
uint64_t causality_bytes(const struct host_trace *host, const struct trace_dat *guest)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < host->guest_modes->nr_cpus; i++)
		bytes += host->guest_modes->cpus[i].size;
	for (size_t i = 0; i < guest->nr_buffers; i++) {
		for (size_t j = 0; j < guest->buffers[i].nr_cpus; j++)
			bytes += guest->buffers[i].cpus[j].size;
	}
	return bytes;
}

/**
 * causality_check - hold a guest's file against its host's
 * @result: to be released in any case
 * @question: which files
 *
 * Returns: 0, also with violations, or a negative errno with the reason in the error of one of the files.
 */
int causality_check(struct causality *result, const struct causality_question *question)
{
	struct trial trial = { .question = question, .nr_vcpus = question->vm->history.nr_vcpus };
	int ret;

	*result = (struct causality) { 0 };
	ret = mode_stream_open(&trial.host, question->host, question->vm);
	if (!ret)
		ret = open_vcpus(&trial);
	if (!ret)
		ret = open_guest(&trial, result);
	if (!ret)
		ret = run(&trial);
	mode_stream_close(&trial.host);
	for (size_t i = 0; i < trial.nr_cpus; i++)
		cpu_stream_close(&trial.cpus[i].events);
	for (size_t i = 0; trial.vcpus && i < trial.nr_vcpus; i++)
		free(trial.vcpus[i].past);
	free(trial.cpus);
	free(trial.vcpus);
	if (ret && !*question->guest->error && !*question->host->dat->error)
		trace_dat_fail(question->guest, ret, 0, "%s", strerror(-ret));
	return ret;
}

/**
 * causality_release - free a result
 * @result: of a check, also of one that failed
 */
void causality_release(struct causality *result)
{
	for (size_t i = 0; i < result->nr_buffers; i++) {
		for (size_t j = 0; j < result->buffers[i].nr_cpus; j++)
			free(result->buffers[i].cpus[j].listed);
		free(result->buffers[i].cpus);
	}
	free(result->buffers);
	*result = (struct causality) { 0 };
}
