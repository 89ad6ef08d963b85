// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "cleanup.h"
#include "cpu_stats.h"
#include "findings.h"
#include "guest_file.h"
#include "host_vcpus.h"
#include "merged_events.h"
#include "merged_recording.h"
#include "number.h"
#include "trace_clock.h"
#include "trace_dat.h"

static struct merged_cpu *cpu_of(struct time_source *source)
{
	return (struct merged_cpu *)((char *)source - offsetof(struct merged_cpu, source));
}

static struct merged_vcpu *vcpu_of(struct time_source *source)
{
	return (struct merged_vcpu *)((char *)source - offsetof(struct merged_vcpu, source));
}

static void count_told(struct merged_cpu *cpu)
{
	uint64_t nr = cpu->events.page.nr_lost;

	cpu->told = nr ? number_sum(cpu->told, nr) : UINT64_MAX;
}

/* A vCPU that records an event is in guest mode: guest_mode_check.h */
static void compare_mode(struct merged_cpu *cpu, uint64_t host_tsc)
{
	enum vcpu_mode mode;

	cpu->file->nr_events++;
	if (!cpu->modes)
		return;
	cpu->span = vcpu_modes_find(cpu->modes, host_tsc, cpu->span);
	mode = vcpu_modes_at(cpu->modes, cpu->span);
	cpu->file->nr_inside += mode == MODE_GUEST;
	cpu->file->nr_violations += mode == MODE_HOST;
}

static int next_event(struct time_source *source)
{
	struct merged_cpu *cpu = cpu_of(source);
	int ret = cpu_stream_next(&cpu->events);

	if (ret <= 0)
		return ret;
	if (cpu->events.lost)
		count_told(cpu);
	if (cpu->cursor.cpu)
		source->time = timeline_event_time(&cpu->cursor, &cpu->events);
	else if (cpu->file->guest)
		source->time = merged_time(&cpu->times, cpu->events.cpu->cpu, cpu->events.event.ts);
	else
		source->time = cpu->events.event.ts;
	if (cpu->file->guest)
		compare_mode(cpu, source->time);
	return ret;
}

static int next_span(struct time_source *source)
{
	struct merged_vcpu *vcpu = vcpu_of(source);

	if (vcpu->next == vcpu->vcpu->modes.nr)
		return 0;
	source->time = vcpu_modes_from(&vcpu->vcpu->modes, vcpu->next++);
	return 1;
}

static int add_source(struct merged_events *events, struct time_source *source, int (*next)(struct time_source *))
{
	int ret;

	source->next = next;
	ret = time_merge_add(&events->merge, source);
	return ret < 0 ? ret : 0;
}

static const struct vcpu_modes *modes_of(const struct guest_file *guest, uint32_t cpu)
{
	const struct guest_vcpus *vcpus = &guest->fit.vcpus;

	return cpu < vcpus->nr ? vcpus->cpus[cpu].modes : NULL;
}

static int add_buffer(struct merged_events *events, struct merged_file *file,
		      const struct trace_dat_buffer *buffer)
{
	/* Readers treat an instance as a separate file without TIME_SHIFT, also that of a host's file */
	_cleanup_(freep) struct cpu_stats *stats = NULL;
	size_t number = (size_t)(buffer - file->dat->buffers);
	size_t nr_stats;
	int ret;

	ret = cpu_stats_of_file(&stats, &nr_stats, file->dat, buffer);
	for (size_t i = 0; i < buffer->nr_cpus && !ret; i++) {
		const struct trace_dat_cpu *data = &buffer->cpus[i];
		const struct cpu_stats *counts = cpu_stats_find(stats, nr_stats, data->cpu);
		struct merged_cpu *cpu;

		if (!data->size)
			continue;
		cpu = &events->cpus[events->nr_cpus++];
		*cpu = (struct merged_cpu) {
			.file = file, .counted = counts ? number_sum(counts->overrun, counts->dropped) : 0,
		};
		if (file->guest) {
			cpu->times = merged_times_of(&file->guest->times, buffer);
			cpu->modes = modes_of(file->guest, data->cpu);
		}
		if (file->guest && file->guest->placed && file->guest->timelines.buffers[number].known)
			cpu->cursor.cpu = &file->guest->timelines.buffers[number].timeline.cpus[i];
		ret = cpu_stream_open(&cpu->events, file->dat, buffer, data);
		/* All other times are the host's time that never goes back */
		if (!file->guest)
			cpu_stream_set_clock(&cpu->events, &events->recording->host.host.clock);
		if (!ret)
			ret = add_source(events, &cpu->source, next_event);
	}
	return ret;
}

static int make_last(struct merged_file *file)
{
	const struct trace_dat *dat = file->dat;
	size_t nr_buffers = 0, nr_cpus = 0;

	for (size_t i = 0; i < dat->nr_buffers; i++) {
		nr_buffers += trace_dat_buffer_has_data(&dat->buffers[i]);
		for (size_t j = 0; j < dat->buffers[i].nr_cpus; j++) {
			if (dat->buffers[i].cpus[j].size && dat->buffers[i].cpus[j].cpu >= nr_cpus)
				nr_cpus = dat->buffers[i].cpus[j].cpu + 1UL;
		}
	}
	if (nr_buffers < 2)
		return 0;
	file->last = calloc(nr_cpus, sizeof(*file->last));
	return file->last ? 0 : -ENOMEM;
}

static int add_file(struct merged_events *events, struct merged_file *file)
{
	const struct merged_recording *recording = events->recording;
	int ret = make_last(file);

	for (size_t i = 0; i < file->dat->nr_buffers && !ret; i++) {
		const struct trace_dat_buffer *buffer = &file->dat->buffers[i];
		char clock[64];

		if (!trace_dat_buffer_has_data(buffer))
			continue;
		if (!trace_clock_is_tsc(file->dat, buffer, clock, sizeof(clock)) && !recording->request->any_clock) {
			findings_doubt(recording->findings, FINDING_CLOCK,
				       "%s: %s%s%sits clock is \"%s\", not x86-tsc: left out; record with -C x86-tsc",
				       file->dat->path, *buffer->name ? "instance \"" : "", buffer->name,
				       *buffer->name ? "\": " : "", clock);
			continue;
		}
		ret = add_buffer(events, file, buffer);
	}
	return ret;
}

/* Returns: the vCPU of these spans, which are those of a vCPU of the host */
static struct merged_vcpu *vcpu_with(struct merged_events *events, const struct vcpu_modes *modes)
{
	const char *vcpu = (const char *)modes - offsetof(struct host_vcpu, modes);

	return &events->vcpus[(const struct host_vcpu *)vcpu - events->recording->host.vcpus.vcpus];
}

/* Finds the guests' CPUs of the host's vCPUs */
static void name_vcpus(struct merged_events *events, const struct merged_file *file)
{
	const struct guest_vcpus *cpus = &file->guest->fit.vcpus;
	const struct merged_file *other = NULL;

	for (size_t i = 0; i < cpus->nr; i++) {
		for (size_t j = 0; j < cpus->cpus[i].nr_sources; j++) {
			struct merged_vcpu *vcpu = vcpu_with(events, cpus->cpus[i].sources[j].modes);

			if (vcpu->file && vcpu->file != file)
				other = vcpu->file;
			vcpu->file = file;
			vcpu->cpu = i;
		}
	}
	if (other)
		findings_doubt(events->recording->findings, FINDING_VCPU,
			       "%s: its CPUs are the same vCPUs as those of %s: the times of these vCPUs count for %s only",
			       file->dat->path, other->dat->path, file->dat->path);
}

static size_t cpus_of_file(const struct trace_dat *dat)
{
	size_t nr = 0;

	for (size_t i = 0; i < dat->nr_buffers; i++)
		nr += dat->buffers[i].nr_cpus;
	return nr;
}

static int make_room(struct merged_events *events)
{
	const struct merged_recording *recording = events->recording;
	size_t nr_cpus = cpus_of_file(&recording->host.dat);

	for (size_t i = 0; i < recording->nr_guests; i++)
		nr_cpus += cpus_of_file(&recording->guests[i].dat);
	events->files = calloc(recording->nr_guests + 1, sizeof(*events->files));
	events->cpus = calloc(nr_cpus + 1, sizeof(*events->cpus));
	events->vcpus = calloc(recording->host.vcpus.nr + 1, sizeof(*events->vcpus));
	return events->files && events->cpus && events->vcpus ? 0 : -ENOMEM;
}

static int add_all(struct merged_events *events)
{
	const struct merged_recording *recording = events->recording;
	const struct host_vcpus *vcpus = &recording->host.vcpus;
	int ret = 0;

	events->files[events->nr_files++] = (struct merged_file) { .dat = (struct trace_dat *)&recording->host.dat };
	for (size_t i = 0; i < vcpus->nr; i++)
		events->vcpus[events->nr_vcpus++].vcpu = &vcpus->vcpus[i];
	for (size_t i = 0; i < recording->nr_guests; i++) {
		struct guest_file *guest = &recording->guests[i];

		events->files[events->nr_files] = (struct merged_file) {
			.dat = &guest->dat, .guest = guest, .number = events->nr_files,
		};
		name_vcpus(events, &events->files[events->nr_files++]);
	}
	/* A mode applies to the events at the time of its first cycle */
	for (size_t i = 0; i < events->nr_vcpus && !ret; i++)
		ret = add_source(events, &events->vcpus[i].source, next_span);
	for (size_t i = 0; i < events->nr_files && !ret; i++)
		ret = add_file(events, &events->files[i]);
	return ret;
}

/**
 * merged_events_open - open the merge
 * @events: result; must be closed in any case
 * @recording: the files; must be valid while @events is used; buffers that are left out become findings of it
 *
 * Returns: 0 or a negative errno with the reason in @recording->error.
 */
int merged_events_open(struct merged_events *events, const struct merged_recording *recording)
{
	int ret;

	*events = (struct merged_events) { .recording = recording };
	ret = make_room(events);
	if (!ret)
		ret = add_all(events);
	return error_keep(recording->host.error, ret, recording->host.dat.path);
}

/* Readers do not correct the times of a guest's instance: its copies are elsewhere */
static bool has_order(const struct merged_cpu *cpu)
{
	const struct guest_file *guest = cpu->file->guest;

	return !guest || guest->rewritten || cpu->cursor.cpu;
}

/* All but common_flags and common_preempt_count, in which an interruption may show */
static uint64_t hash_record(const struct ring_event *event)
{
	uint64_t hash = event->size;

	for (size_t i = 0; i < event->size; i++) {
		if (i != 2 && i != 3)
			hash = (hash ^ event->data[i]) * 0x100000001b3ULL;
	}
	return hash;
}

/*
 * An event goes into each buffer that records it, one after the other, and nothing else of its CPU comes between. Two
 * events of one buffer are two, however alike they are.
 */
static bool is_copy(const struct merged_cpu *cpu)
{
	struct merged_last *last = cpu->file->last ? &cpu->file->last[cpu->events.cpu->cpu] : NULL;
	const struct trace_dat_buffer *buffer = cpu->events.buffer;
	uint64_t hash;

	if (!last || !has_order(cpu))
		return false;
	hash = hash_record(&cpu->events.event);
	if (last->buffer && last->buffer != buffer && last->hash == hash)
		return true;
	*last = (struct merged_last) { buffer, hash };
	return false;
}

/**
 * merged_events_next - read the next event, or the next change of a vCPU's mode
 * @events: the open merge
 * @item: result; valid until the next call
 *
 * The order at equal times is: modes, events of the host, events of the guests in the order of their files. Within a
 * CPU of a guest, times that readers show may go back.
 *
 * Returns: 1, 0 at the end, or a negative errno with the reason in the error of the files.
 */
int merged_events_next(struct merged_events *events, struct merged_item *item)
{
	struct time_source *source;
	int ret = time_merge_next(&events->merge, &source);

	if (!ret)
		return host_vcpus_error(&events->recording->host.vcpus, &events->recording->host.host);
	if (ret < 0)
		return error_keep(events->recording->host.error, ret, events->recording->host.dat.path);
	*item = (struct merged_item) { .time = source->time };
	if (source->next == next_event) {
		item->cpu = cpu_of(source);
		item->copy = is_copy(item->cpu);
	} else {
		item->vcpu = vcpu_of(source);
		item->span = item->vcpu->next - 1;
	}
	return 1;
}

/**
 * merged_events_review - add findings about events that contradict the host's file
 * @events: the merge, read to the end
 */
void merged_events_review(const struct merged_events *events)
{
	for (size_t i = 0; i < events->nr_files; i++) {
		const struct merged_file *file = &events->files[i];

		/* If the host recorded no modes, or if the times are wrong anyway, there is a finding already */
		if (file->nr_events && !file->nr_inside && !file->nr_violations &&
		    events->recording->host.host.guest_modes &&
		    (file->guest->shown.has_shift || file->guest->rewritten || file->guest->placed))
			findings_doubt(events->recording->findings, FINDING_PROOF,
				       "%s: none of its events is at a time at which %s shows its vCPU in guest mode: nothing proves its times",
				       file->dat->path, events->files[0].dat->path);
		if (file->nr_violations)
			findings_doubt(events->recording->findings, FINDING_PROOF,
				       "%s: %" PRIu64 " of %" PRIu64 " events are at times at which their vCPU was not in guest mode: its times are wrong; see 'tsc-offset check', and synchronise it with 'tsc-offset stamp'",
				       file->dat->path, file->nr_violations, file->nr_events);
	}
}

/**
 * merged_events_bytes - get the amount of data read so far
 * @events: the open merge
 *
 * Returns: bytes, a part of merged_recording_bytes().
 */
uint64_t merged_events_bytes(const struct merged_events *events)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < events->nr_cpus; i++)
		bytes += events->cpus[i].events.cpu->size - events->cpus[i].events.left;
	return bytes;
}

/**
 * merged_cpu_untold - count the lost events of a CPU at unknown times
 * @cpu: the CPU, read to the end
 *
 * Pages report losses before them, the kernel's counts all losses.
 *
 * Returns: their number.
 */
uint64_t merged_cpu_untold(const struct merged_cpu *cpu)
{
	return cpu->counted > cpu->told ? cpu->counted - cpu->told : 0;
}

/**
 * merged_events_close - free the merge
 * @events: the merge, also after a failed open
 */
void merged_events_close(struct merged_events *events)
{
	for (size_t i = 0; i < events->nr_cpus; i++)
		cpu_stream_close(&events->cpus[i].events);
	time_merge_release(&events->merge);
	for (size_t i = 0; i < events->nr_files; i++)
		free(events->files[i].last);
	free(events->files);
	free(events->cpus);
	free(events->vcpus);
	*events = (struct merged_events) { 0 };
}
