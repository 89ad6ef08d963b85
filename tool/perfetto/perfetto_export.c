// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "event_texts.h"
#include "findings.h"
#include "host_vcpus.h"
#include "merged_events.h"
#include "merged_recording.h"
#include "perfetto_export.h"
#include "perfetto_tracks.h"
#include "perfetto_writer.h"
#include "progress.h"
#include "trace_dat.h"

/* Events between two steps of the progress */
#define PROGRESS_STEPS	(1UL << 14)

/* Of what is no event of a recording */
#define OWN_CATEGORY	"tsc-offset"

/**
 * struct exported_file - a file while it is exported
 * @file: the file
 * @texts: what its events say; owned
 * @track: all tracks of it are below this one
 * @vcpu_tracks: of a guest: those of its vCPUs, by the guest's numbers; owned
 */
struct exported_file {
	const struct merged_file	*file;
	struct event_texts		texts;
	uint64_t			track;
	uint64_t			*vcpu_tracks;
};

/**
 * struct exported_cpu - the events of a CPU in one of a file's buffers
 * @cpu: the events
 * @file: the file
 * @tracks: where they go
 * @runs: a thread that is known; there is a slice that has not ended
 * @end: of what is known of the CPU, in nanoseconds
 */
struct exported_cpu {
	const struct merged_cpu		*cpu;
	struct exported_file		*file;
	struct cpu_tracks		tracks;
	bool				runs;
	uint64_t			end;
};

/**
 * struct exported_offset - the offsets of a vCPU
 * @vcpu: their history
 * @first: when the host's recording begins
 * @begun: what was before the first segment was asked for
 * @next: number of the next segment
 * @offset: what holds from the time of @source on
 * @gap: changes are missing before
 * @tracks: where it goes
 * @base: what went there first
 */
struct exported_offset {
	uint64_t			time;
	const struct vcpu_history	*vcpu;
	uint64_t			first;
	bool				begun;
	size_t				next;
	int64_t				offset;
	bool				gap;
	struct offset_tracks		tracks;
	int64_t				base;
};

/**
 * struct ctx - an export while it is made
 * @export: what is asked
 * @writer: what it goes to
 * @events: what is exported
 * @files: for each of its files; owned
 * @nr_files: how many
 * @cpus: for each of its CPUs; owned
 * @threads: the host's; owned
 * @steps: since the last step of the progress
 */
struct ctx {
	struct perfetto_export	*export;
	struct perfetto_writer	writer;
	struct merged_events	events;
	struct exported_file	*files;
	size_t			nr_files;
	struct exported_cpu	*cpus;
	struct thread_tracks	threads;
	size_t			steps;
};

/* Perfetto's times are nanoseconds of 63 bits; what is more is more for the writer as well */
static uint64_t to_ns(const struct ctx *ctx, uint64_t host_tsc)
{
	unsigned __int128 ns = host_tsc;

	if (ctx->export->frequency.mult)
		ns = tsc_frequency_ns(&ctx->export->frequency, host_tsc);
	return ns > UINT64_MAX ? UINT64_MAX : (uint64_t)ns;
}

/* Returns: false if there are no more */
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

static void stop_running(struct ctx *ctx, struct exported_cpu *cpu, uint64_t ns)
{
	if (cpu->runs)
		perfetto_writer_end(&ctx->writer, cpu->tracks.running, ns);
	cpu->runs = false;
}

static void tell_loss(struct ctx *ctx, struct exported_cpu *cpu, uint64_t ns, const char *how, uint64_t nr)
{
	const struct perfetto_detail details[] = {
		{ .name = "text", .text = how },
		{ .name = "events", .number = nr },
	};
	uint64_t track = cpu->file->file->guest ? perfetto_tracks_events(&ctx->writer, &cpu->tracks) :
		perfetto_tracks_running(&ctx->writer, &cpu->tracks);

	perfetto_writer_instant(&ctx->writer, track, ns, OWN_CATEGORY, "events lost", details, nr ? 2 : 1);
	ctx->export->lost++;
}

static void take_loss(struct ctx *ctx, struct exported_cpu *cpu)
{
	tell_loss(ctx, cpu, cpu->end, "from here on to the next event", cpu->cpu->events.page.nr_lost);
	/* Nobody knows what ran then */
	stop_running(ctx, cpu, cpu->end);
}

static void take_switch(struct ctx *ctx, struct exported_cpu *cpu, uint64_t ns)
{
	char comm[EVENT_COMM_SIZE], name[64];
	uint64_t track;
	int pid;

	if (!event_texts_switch(&cpu->file->texts, &cpu->cpu->events.event, &pid, comm))
		return;
	track = perfetto_tracks_running(&ctx->writer, &cpu->tracks);
	stop_running(ctx, cpu, ns);
	/* An idle CPU is one without a slice */
	if (!pid)
		return;
	snprintf(name, sizeof(name), "%s-%d", comm, pid);
	perfetto_writer_begin(&ctx->writer, track, ns, "sched", name);
	cpu->runs = true;
}

static int tell_event(struct ctx *ctx, struct exported_cpu *cpu, uint64_t ns, const struct event_text *text)
{
	const struct cpu_stream *events = &cpu->cpu->events;
	char task[64];
	const struct perfetto_detail details[] = {
		{ .name = "text", .text = text->text },
		{ .name = "task", .text = task },
		{ .name = "cpu", .number = events->cpu->cpu },
		{ .name = "host_tsc", .number = cpu->cpu->source.time },
		{ .name = "guest_tsc", .number = events->event.ts },
	};
	size_t nr = sizeof(details) / sizeof(details[0]);
	uint64_t track;

	track = cpu->file->file->guest ? perfetto_tracks_events(&ctx->writer, &cpu->tracks) :
		perfetto_tracks_thread(&ctx->writer, &ctx->threads, text->comm, text->pid);
	if (!track)
		return -ENOMEM;
	snprintf(task, sizeof(task), "%.32s-%d", text->comm, text->pid);
	if (!cpu->file->file->guest)
		nr--;
	perfetto_writer_instant(&ctx->writer, track, ns, text->system, text->name, details, nr);
	ctx->export->events += perfetto_writer_has_time(ns);
	return 0;
}

static int take_event(struct ctx *ctx, struct exported_cpu *cpu)
{
	const struct cpu_stream *events = &cpu->cpu->events;
	uint64_t ns = to_ns(ctx, cpu->cpu->source.time);
	struct event_text text;
	int ret;

	if (events->lost) {
		if (!events->lost_since)
			cpu->end = ns;
		take_loss(ctx, cpu);
	}
	/* Corrected times may step back. Slices do not: none ends before it begins, nor begins in another. */
	if (ns > cpu->end && perfetto_writer_has_time(ns))
		cpu->end = ns;
	ret = event_texts_read(&cpu->file->texts, &events->event, events->cpu->cpu, &text);
	if (!ret)
		ret = tell_event(ctx, cpu, ns, &text);
	if (!ret)
		take_switch(ctx, cpu, perfetto_writer_has_time(ns) ? cpu->end : ns);
	return ret;
}

static void take_span(struct ctx *ctx, const struct merged_vcpu *vcpu, size_t span)
{
	const struct vcpu_modes *modes = &vcpu->vcpu->modes;
	uint64_t from, to, track;
	bool open;

	if (!vcpu->file || modes->mode[span] != MODE_GUEST)
		return;
	/* The last span of all is not one in guest mode */
	from = to_ns(ctx, modes->from[span]);
	to = to_ns(ctx, modes->from[span + 1] - 1);
	open = modes->mode[span + 1] != MODE_HOST;
	track = ctx->files[vcpu->file->number].vcpu_tracks[vcpu->cpu];
	perfetto_writer_begin(&ctx->writer, track, from, "kvm",
			      open ? "guest mode, its end is not known" : "guest mode");
	perfetto_writer_end(&ctx->writer, track, to);
	ctx->export->slices += !open && perfetto_writer_has_time(to);
}

static void take_offset(struct ctx *ctx, struct exported_offset *offset)
{
	uint64_t ns = to_ns(ctx, offset->time);

	if (!offset->tracks.absolute)
		offset->base = offset->offset;
	perfetto_tracks_offset(&ctx->writer, &offset->tracks);
	if (offset->gap)
		perfetto_writer_instant(&ctx->writer, offset->tracks.parent, ns, OWN_CATEGORY,
					"changes of the TSC offset are missing before", NULL, 0);
	perfetto_writer_count(&ctx->writer, offset->tracks.absolute, ns, offset->offset);
	perfetto_writer_count(&ctx->writer, offset->tracks.relative, ns,
			      (int64_t)((uint64_t)offset->offset - (uint64_t)offset->base));
}

static bool has_data(const struct trace_dat *dat, uint32_t cpu)
{
	for (size_t i = 0; i < dat->nr_buffers; i++) {
		for (size_t j = 0; j < dat->buffers[i].nr_cpus; j++) {
			if (dat->buffers[i].cpus[j].cpu == cpu && dat->buffers[i].cpus[j].size)
				return true;
		}
	}
	return false;
}

static int open_tracks(struct ctx *ctx, struct exported_file *exported)
{
	const struct merged_file *file = exported->file;
	const struct guest_vcpus *vcpus;

	if (!file->guest) {
		exported->track = perfetto_tracks_host(&ctx->writer, file->dat->path, &ctx->export->frequency);
		perfetto_tracks_threads(&ctx->writer, &ctx->threads, exported->track);
		return 0;
	}
	vcpus = &file->guest->fit.vcpus;
	exported->track = perfetto_tracks_vm(&ctx->writer, file->dat->path, file->guest->vm, file->number);
	exported->vcpu_tracks = calloc(vcpus->nr + 1, sizeof(*exported->vcpu_tracks));
	if (!exported->vcpu_tracks)
		return -ENOMEM;
	for (size_t i = 0; i < vcpus->nr; i++) {
		if (vcpus->cpus[i].known || has_data(file->dat, i))
			exported->vcpu_tracks[i] = perfetto_tracks_vcpu(&ctx->writer, exported->track, &vcpus->cpus[i],
									i);
	}
	return 0;
}

static void add_cpus(struct ctx *ctx)
{
	for (size_t i = 0; i < ctx->events.nr_cpus; i++) {
		const struct merged_cpu *cpu = &ctx->events.cpus[i];
		struct exported_file *file = &ctx->files[cpu->file->number];

		ctx->cpus[i] = (struct exported_cpu) {
			.cpu = cpu, .file = file,
			.tracks = {
				.parent = cpu->file->guest ? file->vcpu_tracks[cpu->events.cpu->cpu] : file->track,
				.guest = cpu->file->guest, .cpu = cpu->events.cpu->cpu,
				.instance = cpu->events.buffer->name,
			},
		};
	}
}

static void tell_offsets(struct ctx *ctx, const struct exported_file *file)
{
	const struct guest_vcpus *vcpus = &file->file->guest->fit.vcpus;

	for (size_t i = 0; i < vcpus->nr; i++) {
		for (size_t j = 0; j < vcpus->cpus[i].nr_sources; j++) {
			struct exported_offset offset = {
				.vcpu = vcpus->cpus[i].sources[j].history,
				.first = ctx->export->recording->host.host.first, .tracks.parent = file->vcpu_tracks[i],
			};

			while (next_offset(&offset))
				take_offset(ctx, &offset);
		}
	}
}

/* Formats that nothing is printed by */
static void note_formats(struct findings *findings, const struct exported_file *file)
{
	const struct event_formats *formats = &file->texts.formats;

	if (formats->nr_fatal)
		findings_note(findings, FINDING_TEXT,
			      "%s: libtraceevent cannot parse the print formats of %zu %s: their fields are shown",
			      file->file->dat->path, formats->nr_fatal, formats->nr_fatal == 1 ? "event" : "events");
	if (formats->nr_excess)
		findings_note(findings, FINDING_TEXT,
			      "%s: the print formats of %zu %s are too large, or do not have the form that kernels write: their fields are shown",
			      file->file->dat->path, formats->nr_excess, formats->nr_excess == 1 ? "event" : "events");
}

static int open_file(struct ctx *ctx, const struct merged_file *file)
{
	struct exported_file *exported = &ctx->files[ctx->nr_files++];
	int ret;

	*exported = (struct exported_file) { .file = file };
	ret = event_texts_open(&exported->texts, file->dat);
	if (ret)
		return ret;
	note_formats(ctx->export->recording->findings, exported);
	ret = open_tracks(ctx, exported);
	if (!ret && file->guest)
		tell_offsets(ctx, exported);
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
	if (!ctx->files || !ctx->cpus)
		return -ENOMEM;
	for (size_t i = 0; i < events->nr_files && !ret; i++)
		ret = open_file(ctx, &events->files[i]);
	if (!ret)
		add_cpus(ctx);
	return ret;
}

static void step(struct ctx *ctx)
{
	if (++ctx->steps < PROGRESS_STEPS)
		return;
	ctx->steps = 0;
	progress_at(ctx->export->progress, merged_events_bytes(&ctx->events));
}

static int run(struct ctx *ctx)
{
	struct merged_item item;
	int ret;

	while ((ret = merged_events_next(&ctx->events, &item)) > 0) {
		ret = 0;
		if (item.cpu)
			ret = take_event(ctx, &ctx->cpus[item.cpu - ctx->events.cpus]);
		else
			take_span(ctx, item.vcpu, item.span);
		if (!ret)
			ret = ctx->writer.error;
		if (ret)
			return ret;
		step(ctx);
	}
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < ctx->events.nr_cpus; i++) {
		struct exported_cpu *cpu = &ctx->cpus[i];
		uint64_t untold = merged_cpu_untold(cpu->cpu);

		stop_running(ctx, cpu, cpu->end);
		if (untold)
			tell_loss(ctx, cpu, cpu->end, "by the kernel's counts, at unknown times", untold);
	}
	return ctx->writer.error;
}

static void release(struct ctx *ctx)
{
	for (size_t i = 0; i < ctx->nr_files; i++) {
		event_texts_close(&ctx->files[i].texts);
		free(ctx->files[i].vcpu_tracks);
	}
	merged_events_close(&ctx->events);
	perfetto_writer_release(&ctx->writer);
	perfetto_tracks_release(&ctx->threads);
	free(ctx->files);
	free(ctx->cpus);
}

/**
 * perfetto_export_write - export
 * @export: what; the results are set
 * @file: where to
 *
 * Returns: 0 or a negative errno, with the reason in the error of the host's file; unless @file could not be written.
 */
int perfetto_export_write(struct perfetto_export *export, FILE *file)
{
	struct ctx ctx = { .export = export, .writer.file = file };
	int ret;

	ret = open_all(&ctx);
	if (!ret)
		ret = run(&ctx);
	export->unordered = ctx.writer.nr_unordered;
	for (size_t i = 0; i < ctx.nr_files; i++)
		export->untold += ctx.files[i].texts.nr_untold;
	release(&ctx);
	return ret;
}
