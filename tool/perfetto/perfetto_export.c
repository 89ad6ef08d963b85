// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <event-parse.h>

#include "event_texts.h"
#include "exit_reasons.h"
#include "ftrace_bundles.h"
#include "ftrace_records.h"
#include "host_vcpus.h"
#include "host_vms.h"
#include "machine_info.h"
#include "merged_events.h"
#include "merged_recording.h"
#include "perfetto_export.h"
#include "perfetto_tracks.h"
#include "perfetto_writer.h"
#include "progress.h"
#include "trace_dat.h"
#include "vcpu_slices.h"
#include "vcpu_events.h"

/* Events between two updates of the progress */
#define PROGRESS_STEPS	(1UL << 14)

/**
 * struct exported_file - a file being exported
 * @file: the file
 * @machine: number of its machine
 * @texts: texts of its events; owned
 * @records: conversion of its events; owned
 * @bundles: bundles being written; owned
 * @begun: it had an event
 * @first, @last: times of the first and the last event, in nanoseconds
 */
struct exported_file {
	const struct merged_file	*file;
	uint32_t			machine;
	struct event_texts		texts;
	struct ftrace_records		records;
	struct ftrace_bundles		bundles;
	bool				begun;
	uint64_t			first;
	uint64_t			last;
};

/**
 * struct exported_cpu - a CPU in one of a file's buffers
 * @file: the file
 * @lost_track: track of its losses, 0 until there are some
 * @begun: it had an event
 * @last: time of the last event, in nanoseconds
 */
struct exported_cpu {
	struct exported_file	*file;
	uint64_t		lost_track;
	bool			begun;
	uint64_t		last;
};

/**
 * struct exported_offset - the offset of a vCPU
 * @vcpu: its history
 * @first: begin of the host's recording, in cycles
 * @begun: the offset before the first segment was handled
 * @next: index of the next segment
 * @time: begin of @offset, in cycles
 * @offset: the current offset
 * @gap: changes are missing before
 * @tracks: its tracks
 * @base: the first value on them
 */
struct exported_offset {
	const struct vcpu_history	*vcpu;
	uint64_t			first;
	bool				begun;
	size_t				next;
	uint64_t			time;
	int64_t				offset;
	bool				gap;
	struct offset_tracks		tracks;
	int64_t				base;
};

/**
 * struct ctx - an export in progress
 * @export: the request
 * @writer: the output
 * @events: the merge of all events
 * @files: state of each file; owned
 * @nr_files: number of @files
 * @cpus: state of each CPU; owned
 * @kvm: finds the vCPU of a kvm_entry or kvm_exit; owned
 * @exits: exit reasons; owned
 * @vcpus: the slices of each vCPU; owned
 * @nr_vcpus: number of @vcpus
 * @slices: common data of the slices
 * @described: number of the next described message
 * @description: description of a message; owned
 * @steps: steps since the last update of the progress
 */
struct ctx {
	struct perfetto_export	*export;
	struct perfetto_writer	writer;
	struct merged_events	events;
	struct exported_file	*files;
	size_t			nr_files;
	struct exported_cpu	*cpus;
	struct vcpu_events	kvm;
	struct exit_reasons	exits;
	struct vcpu_slices	*vcpus;
	size_t			nr_vcpus;
	struct slice_ctx	slices;
	uint32_t		described;
	struct wire		description;
	size_t			steps;
};

/* Perfetto's times are nanoseconds of 63 bits; the writer handles larger times */
static uint64_t to_ns(const struct ctx *ctx, uint64_t host_tsc)
{
	return tsc_frequency_time(&ctx->export->frequency, host_tsc);
}

/* Returns: false at the end */
static bool next_offset(struct exported_offset *offset)
{
	const struct vcpu_history *vcpu = offset->vcpu;
	bool begun = offset->begun;
	struct tsc_mapping map;

	offset->begun = true;
	if (!begun && !vcpu_history_begins_with_creation(vcpu) && vcpu_history_before(vcpu, 0, &map)) {
		offset->time = offset->first;
		offset->offset = map.offset;
		return true;
	}
	if (offset->next == vcpu->nr_segments)
		return false;
	offset->time = vcpu->segments[offset->next].host_tsc;
	offset->offset = vcpu->segments[offset->next].map.offset;
	offset->gap = vcpu_history_gap(vcpu, offset->next++);
	return true;
}

static void take_offset(struct ctx *ctx, struct exported_offset *offset)
{
	uint64_t ns = to_ns(ctx, offset->time);

	if (!offset->tracks.absolute)
		offset->base = offset->offset;
	perfetto_tracks_offset(&ctx->writer, &offset->tracks);
	if (offset->gap) {
		const struct perfetto_slice instant = { .track = offset->tracks.parent, .name = NAME_MISSING };

		perfetto_writer_instant(&ctx->writer, ns, &instant);
	}
	perfetto_writer_count(&ctx->writer, offset->tracks.absolute, ns, offset->offset);
	perfetto_writer_count(&ctx->writer, offset->tracks.relative, ns,
			      (int64_t)((uint64_t)offset->offset - (uint64_t)offset->base));
}

static void write_offsets(struct ctx *ctx, const struct exported_file *file)
{
	const struct guest_file *guest = file->file->guest;
	uint64_t vm = 0;

	for (size_t i = 0; i < guest->fit.vcpus.nr; i++) {
		const struct guest_vcpu *vcpu = &guest->fit.vcpus.cpus[i];
		uint64_t track = 0;

		for (size_t j = 0; j < vcpu->nr_sources; j++) {
			struct exported_offset offset = {
				.vcpu = vcpu->sources[j].history, .first = ctx->export->recording->host.host.first,
			};

			while (next_offset(&offset)) {
				if (!vm)
					vm = perfetto_tracks_vm(&ctx->writer, file->file->dat->path, guest->vm,
								file->machine);
				if (!track)
					track = perfetto_tracks_vcpu(&ctx->writer, vm, vcpu, i);
				offset.tracks.parent = track;
				take_offset(ctx, &offset);
			}
		}
	}
}

static void write_machine(struct ctx *ctx, const struct exported_file *file)
{
	const struct guest_file *guest = file->file->guest;
	struct machine_info info;
	struct perfetto_machine machine;

	machine_info_read(&info, file->file->dat, guest && guest->vm ? guest->vm->guest_name : NULL);
	machine = (struct perfetto_machine) {
		.name = info.name, .sysname = info.sysname, .release = info.release, .machine = info.machine,
		.nr_cpus = file->file->dat->nr_cpus,
	};
	perfetto_writer_machine(&ctx->writer, file->machine, &machine);
}

static size_t cpus_of_file(const struct trace_dat *dat)
{
	size_t nr = 0;

	for (size_t i = 0; i < dat->nr_buffers; i++)
		nr += dat->buffers[i].nr_cpus;
	return nr;
}

static int open_file(struct ctx *ctx, const struct merged_file *file)
{
	struct exported_file *exported = &ctx->files[ctx->nr_files++];
	int ret;

	*exported = (struct exported_file) { .file = file, .machine = (uint32_t)file->number };
	ret = event_texts_open(&exported->texts, file->dat);
	if (!ret)
		ret = ftrace_records_init(&exported->records, exported->texts.tep, &ctx->described);
	if (!ret)
		ret = ftrace_bundles_init(&exported->bundles, exported->machine, cpus_of_file(file->dat));
	if (ret)
		return ret;
	write_machine(ctx, exported);
	if (file->guest)
		write_offsets(ctx, exported);
	return 0;
}

/* Names of threads at the end of the recording */
static const char *comm_of(const struct ctx *ctx, int tid)
{
	const char *comm = tep_data_comm_from_pid(ctx->files[0].texts.tep, tid);

	return comm && *comm && strcmp(comm, "<...>") ? comm : NULL;
}

static int open_vcpu(struct ctx *ctx, struct vcpu_slices *slices, const struct merged_vcpu *vcpu)
{
	const struct host *host = &ctx->export->recording->host.host;
	int ret;

	*slices = (struct vcpu_slices) { .vcpu = vcpu, .vm = &host->vms[vcpu->vcpu->vm] };
	if (!vcpu->vcpu->modes.nr)
		return 0;
	slices->vm_text = perfetto_writer_intern(&ctx->writer, host_vm_label(host, slices->vm));
	if (vcpu->file)
		slices->guest_track = perfetto_tracks_running(&ctx->writer, (uint32_t)vcpu->file->number, vcpu->cpu);
	ret = vcpu_slices_thread(slices, &ctx->slices, vcpu->vcpu->tid, comm_of(ctx, vcpu->vcpu->tid));
	if (!ret)
		vcpu_slices_start(slices, &ctx->slices, to_ns(ctx, vcpu_modes_from(&vcpu->vcpu->modes, 0)));
	return ret;
}

static int open_vcpus(struct ctx *ctx)
{
	struct merged_recording *recording = ctx->export->recording;
	int ret;

	ctx->slices = (struct slice_ctx) {
		.writer = &ctx->writer, .first = to_ns(ctx, recording->host.host.recorded_first),
		.last = to_ns(ctx, recording->host.host.recorded_last),
	};
	ret = vcpu_events_open(&ctx->kvm, &recording->host);
	if (!ret)
		ret = exit_reasons_init(&ctx->exits, ctx->files[0].texts.tep);
	for (size_t i = 0; i < ctx->events.nr_vcpus && !ret; i++)
		ret = open_vcpu(ctx, &ctx->vcpus[ctx->nr_vcpus++], &ctx->events.vcpus[i]);
	return ret;
}

static int open_all(struct ctx *ctx)
{
	const struct merged_events *events = &ctx->events;
	int ret = merged_events_open(&ctx->events, ctx->export->recording);

	if (ret)
		return ret;
	ctx->files = calloc(events->nr_files + 1, sizeof(*ctx->files));
	ctx->cpus = calloc(events->nr_cpus + 1, sizeof(*ctx->cpus));
	ctx->vcpus = calloc(events->nr_vcpus + 1, sizeof(*ctx->vcpus));
	if (!ctx->files || !ctx->cpus || !ctx->vcpus)
		return -ENOMEM;
	for (size_t i = 0; i < events->nr_files && !ret; i++)
		ret = open_file(ctx, &events->files[i]);
	for (size_t i = 0; i < events->nr_cpus && !ret; i++)
		ctx->cpus[i].file = &ctx->files[events->cpus[i].file->number];
	return ret ? ret : open_vcpus(ctx);
}

/* From a CPU's last event before a loss to its first event after it */
static void write_loss(struct ctx *ctx, const struct merged_cpu *cpu, uint64_t from, uint64_t to, uint64_t nr)
{
	struct exported_cpu *exported = &ctx->cpus[cpu - ctx->events.cpus];
	uint32_t machine = exported->file->machine;
	const struct perfetto_detail details[] = {
		{ DETAIL_MACHINE, false, machine },
		{ DETAIL_CPU, false, cpu->events.cpu->cpu },
		{ DETAIL_EVENTS, false, nr },
	};
	struct perfetto_slice slice = {
		.machine = machine, .name = NAME_EVENTS_LOST, .details = details, .nr_details = nr ? 3 : 2,
	};

	if (!exported->lost_track)
		exported->lost_track = perfetto_tracks_lost(&ctx->writer, machine, cpu->events.cpu->cpu,
							    cpu->events.buffer->name);
	slice.track = exported->lost_track;
	perfetto_writer_begin(&ctx->writer, from, &slice);
	perfetto_writer_end(&ctx->writer, machine, slice.track, to > from ? to : from, NULL, 0);
	ctx->export->lost++;
	if (!machine)
		ctx->slices.lossy = true;
}

static int write_record(struct ctx *ctx, const struct merged_item *item, uint64_t ns)
{
	const struct merged_cpu *cpu = item->cpu;
	struct exported_file *file = ctx->cpus[cpu - ctx->events.cpus].file;
	uint32_t number = cpu->events.cpu->cpu;
	struct wire *bundle;
	int ret;

	if (number >= FTRACE_BUNDLES_MAX_CPUS) {
		ctx->export->other_cpus++;
		return 0;
	}
	if (!perfetto_writer_has_time(ns)) {
		ctx->writer.nr_unordered++;
		return 0;
	}
	if (cpu->events.lost)
		ftrace_bundles_lose(&file->bundles, &ctx->writer, number);
	/* Perfetto has one buffer: it would take a copy for another event, and a second sched_switch for an error */
	if (item->copy) {
		ctx->export->copies++;
		return 0;
	}
	bundle = ftrace_bundles_begin(&file->bundles, &ctx->writer, number);
	ctx->description.size = 0;
	ret = ftrace_records_write(&file->records, &file->texts, &cpu->events.event, number, ns, FTRACE_BUNDLES_EVENT,
				   bundle, &ctx->description);
	if (!ret && ctx->description.size)
		ftrace_bundles_describe(&file->bundles, &ctx->writer, number, &ctx->description);
	ctx->export->events += !ret;
	return ret;
}

/* The modes of vCPUs begin and end with events */
static int follow_vcpus(struct ctx *ctx, const struct merged_item *item, uint64_t ns)
{
	const struct cpu_stream *events = &item->cpu->events;
	struct vcpu_event event;
	struct vcpu_slices *slices;
	struct exit_reason_name *reason;
	int ret;

	if (vcpu_events_read(&ctx->kvm, item->cpu, item->time, &event) <= 0)
		return 0;
	slices = &ctx->vcpus[event.vcpu];
	if (!slices->nr_threads)
		return 0;
	if (event.entry) {
		ret = slices->state == SLICE_ENTERED ?
			vcpu_slices_thread(slices, &ctx->slices, event.tid, comm_of(ctx, event.tid)) : 0;
		if (!ret)
			vcpu_slices_enter(slices, &ctx->slices);
		return ret;
	}
	reason = exit_reasons_read(&ctx->exits, &ctx->files[0].texts, &ctx->kvm.ids.exit, &events->event,
				   events->cpu->cpu);
	if (!reason)
		return -ENOMEM;
	vcpu_slices_exit(slices, &ctx->slices, item->time, ns, reason);
	return 0;
}

static int take_event(struct ctx *ctx, const struct merged_item *item)
{
	struct exported_cpu *cpu = &ctx->cpus[item->cpu - ctx->events.cpus];
	struct exported_file *file = cpu->file;
	uint64_t ns = to_ns(ctx, item->time);
	int ret;

	if (!file->begun)
		file->first = ns;
	file->begun = true;
	if (item->cpu->events.lost)
		write_loss(ctx, item->cpu, cpu->begun ? cpu->last : file->first, ns, item->cpu->events.page.nr_lost);
	cpu->begun = true;
	cpu->last = ns;
	if (ns > file->last && perfetto_writer_has_time(ns))
		file->last = ns;
	ret = write_record(ctx, item, ns);
	return ret ? ret : follow_vcpus(ctx, item, ns);
}

static void take_span(struct ctx *ctx, const struct merged_item *item)
{
	struct vcpu_slices *slices = &ctx->vcpus[item->vcpu - ctx->events.vcpus];

	vcpu_slices_span(slices, &ctx->slices, item->span, to_ns(ctx, item->time),
			 to_ns(ctx, item->time ? item->time - 1 : 0));
}

static void step(struct ctx *ctx)
{
	if (++ctx->steps < PROGRESS_STEPS)
		return;
	ctx->steps = 0;
	progress_at(ctx->export->progress, merged_events_bytes(&ctx->events));
}

static void finish(struct ctx *ctx)
{
	for (size_t i = 0; i < ctx->nr_vcpus; i++) {
		if (ctx->vcpus[i].nr_threads)
			vcpu_slices_finish(&ctx->vcpus[i], &ctx->slices);
	}
	for (size_t i = 0; i < ctx->events.nr_cpus; i++) {
		const struct merged_cpu *cpu = &ctx->events.cpus[i];
		const struct exported_file *file = ctx->cpus[i].file;
		uint64_t untold = merged_cpu_untold(cpu);

		/* At an unknown time */
		if (untold)
			write_loss(ctx, cpu, file->first, file->last, untold);
		if (untold && cpu->events.cpu->cpu < FTRACE_BUNDLES_MAX_CPUS)
			ftrace_bundles_lose(&ctx->cpus[i].file->bundles, &ctx->writer, cpu->events.cpu->cpu);
	}
	for (size_t i = 0; i < ctx->nr_files; i++)
		ftrace_bundles_flush(&ctx->files[i].bundles, &ctx->writer);
	perfetto_writer_flush(&ctx->writer);
}

static int run(struct ctx *ctx)
{
	struct merged_item item;
	int ret;

	while ((ret = merged_events_next(&ctx->events, &item)) > 0) {
		ret = 0;
		if (item.cpu)
			ret = take_event(ctx, &item);
		else
			take_span(ctx, &item);
		if (!ret)
			ret = ctx->writer.error;
		if (ret)
			return ret;
		step(ctx);
	}
	if (ret < 0)
		return ret;
	finish(ctx);
	merged_events_review(&ctx->events);
	return ctx->writer.error;
}

static void release(struct ctx *ctx)
{
	for (size_t i = 0; i < ctx->nr_files; i++) {
		ftrace_bundles_release(&ctx->files[i].bundles);
		ftrace_records_release(&ctx->files[i].records);
		event_texts_close(&ctx->files[i].texts);
	}
	for (size_t i = 0; i < ctx->nr_vcpus; i++)
		vcpu_slices_release(&ctx->vcpus[i]);
	exit_reasons_release(&ctx->exits);
	vcpu_events_close(&ctx->kvm);
	merged_events_close(&ctx->events);
	perfetto_writer_release(&ctx->writer);
	wire_release(&ctx->description);
	free(ctx->files);
	free(ctx->cpus);
	free(ctx->vcpus);
}

/**
 * perfetto_export_write - write the export
 * @export: the request; its results are set
 * @file: the output
 *
 * Returns: 0 or a negative errno, with the reason in the error of the host's file, unless writing @file failed.
 */
int perfetto_export_write(struct perfetto_export *export, FILE *file)
{
	struct ctx ctx = { .export = export, .writer.file = file, .described = FTRACE_FIRST_DESCRIBED };
	int ret;

	ret = open_all(&ctx);
	if (!ret)
		ret = run(&ctx);
	export->slices = ctx.slices.nr_guest;
	export->unordered = ctx.writer.nr_unordered;
	for (size_t i = 0; i < ctx.nr_files; i++)
		export->cut += ctx.files[i].records.nr_cut;
	release(&ctx);
	return ret;
}
