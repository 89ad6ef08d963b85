// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "cpu_stats.h"
#include "cpu_stream.h"
#include "event_texts.h"
#include "findings.h"
#include "guest_file.h"
#include "host_file.h"
#include "perfetto_export.h"
#include "perfetto_tracks.h"
#include "perfetto_writer.h"
#include "progress.h"
#include "time_merge.h"
#include "trace_clock.h"
#include "trace_dat.h"
#include "vcpu_modes.h"

/* Events between two steps of the progress */
#define PROGRESS_STEPS	(1UL << 14)

/* Of what is no event of a recording */
#define OWN_CATEGORY	"tsc-offset"

/**
 * struct exported_file - a file while it is exported
 * @dat: the file
 * @guest: the guest that it is of, NULL for the host's
 * @texts: what its events say; owned
 * @track: all tracks of it are below this one
 * @vcpu_tracks: of a guest: those of its vCPUs, by the guest's numbers; owned
 */
struct exported_file {
	struct trace_dat	*dat;
	const struct guest_file	*guest;
	struct event_texts	texts;
	uint64_t		track;
	uint64_t		*vcpu_tracks;
};

/**
 * struct exported_cpu - the events of a CPU in one of a file's buffers
 * @source: they are a source of the merge
 * @file: the file
 * @events: the events; owned
 * @times: where readers show them, if they are a guest's
 * @cursor: where in the guest's timeline they are, if that has their host times; else all zeros
 * @tracks: where they go
 * @runs: a thread that is known; there is a slice that has not ended
 * @end: of what is known of the CPU, in nanoseconds
 * @counted: events that the kernel says are lost
 * @told: those of them of which pages tell, UINT64_MAX if these may be all
 */
struct exported_cpu {
	struct time_source		source;
	struct exported_file		*file;
	struct cpu_stream		events;
	struct merged_times		times;
	struct timeline_cursor		cursor;
	struct cpu_tracks		tracks;
	bool				runs;
	uint64_t			end;
	uint64_t			counted;
	uint64_t			told;
};

/**
 * struct exported_modes - the times that a vCPU was in guest mode
 * @source: they are a source of the merge, in the order of their ends
 * @track: where they go
 * @modes: the spans
 * @next: number of the next span; the one before is the one that was read last
 */
struct exported_modes {
	struct time_source		source;
	uint64_t			track;
	const struct vcpu_modes		*modes;
	size_t				next;
};

/**
 * struct exported_offset - the offsets of a vCPU
 * @source: its changes are a source of the merge
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
	struct time_source		source;
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
 * @files: the host's, then those of the guests; owned
 * @nr_files: how many
 * @cpus: owned
 * @nr_cpus: how many
 * @modes: for each vCPU of each guest; owned
 * @nr_modes: how many
 * @offsets: for each vCPU of each guest; owned
 * @nr_offsets: how many
 * @merge: all of them
 * @threads: the host's; owned
 * @steps: since the last step of the progress
 */
struct ctx {
	struct perfetto_export	*export;
	struct perfetto_writer	writer;
	struct exported_file	*files;
	size_t			nr_files;
	struct exported_cpu	*cpus;
	size_t			nr_cpus;
	struct exported_modes	*modes;
	size_t			nr_modes;
	struct exported_offset	*offsets;
	size_t			nr_offsets;
	struct time_merge	merge;
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

static struct exported_cpu *cpu_of(struct time_source *source)
{
	return (struct exported_cpu *)((char *)source - offsetof(struct exported_cpu, source));
}

static struct exported_modes *modes_of(struct time_source *source)
{
	return (struct exported_modes *)((char *)source - offsetof(struct exported_modes, source));
}

static struct exported_offset *offset_of(struct time_source *source)
{
	return (struct exported_offset *)((char *)source - offsetof(struct exported_offset, source));
}

static int next_event(struct time_source *source)
{
	struct exported_cpu *cpu = cpu_of(source);
	int ret = cpu_stream_next(&cpu->events);

	if (ret <= 0)
		return ret;
	if (cpu->cursor.cpu)
		source->time = timeline_event_time(&cpu->cursor, &cpu->events);
	else if (cpu->file->guest)
		source->time = merged_time(&cpu->times, cpu->events.cpu->cpu, cpu->events.event.ts);
	else
		source->time = cpu->events.event.ts;
	return ret;
}

static int next_span(struct time_source *source)
{
	struct exported_modes *modes = modes_of(source);
	const struct vcpu_modes *spans = modes->modes;

	while (modes->next < spans->nr && spans->mode[modes->next] != MODE_GUEST)
		modes->next++;
	if (modes->next == spans->nr)
		return 0;
	modes->next++;
	source->time = spans->from[modes->next] - 1;
	return 1;
}

static int next_offset(struct time_source *source)
{
	struct exported_offset *offset = offset_of(source);
	const struct vcpu_history *vcpu = offset->vcpu;
	bool begun = offset->begun;
	struct tsc_mapping map;

	offset->begun = true;
	if (!begun && !vcpu_history_begins_with_creation(vcpu) && vcpu_history_before(vcpu, 0, &map)) {
		source->time = offset->first;
		offset->offset = map.offset;
		return 1;
	}
	if (offset->next == vcpu->nr_segments)
		return 0;
	source->time = vcpu->segments[offset->next].host_tsc;
	offset->offset = vcpu->segments[offset->next].map.offset;
	offset->gap = vcpu_history_gap(vcpu, offset->next++);
	return 1;
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
	uint64_t track = cpu->file->guest ? perfetto_tracks_events(&ctx->writer, &cpu->tracks) :
		perfetto_tracks_running(&ctx->writer, &cpu->tracks);

	perfetto_writer_instant(&ctx->writer, track, ns, OWN_CATEGORY, "events lost", details, nr ? 2 : 1);
	ctx->export->lost++;
}

static void take_loss(struct ctx *ctx, struct exported_cpu *cpu)
{
	uint64_t nr = cpu->events.page.nr_lost;

	tell_loss(ctx, cpu, cpu->end, "from here on to the next event", nr);
	/* Nobody knows what ran then */
	stop_running(ctx, cpu, cpu->end);
	cpu->told = nr && cpu->told < UINT64_MAX - nr ? cpu->told + nr : UINT64_MAX;
}

static void take_switch(struct ctx *ctx, struct exported_cpu *cpu, uint64_t ns)
{
	char comm[EVENT_COMM_SIZE], name[64];
	uint64_t track;
	int pid;

	if (!event_texts_switch(&cpu->file->texts, &cpu->events.event, &pid, comm))
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
	const struct cpu_stream *events = &cpu->events;
	char task[64];
	const struct perfetto_detail details[] = {
		{ .name = "text", .text = text->text },
		{ .name = "task", .text = task },
		{ .name = "cpu", .number = events->cpu->cpu },
		{ .name = "host_tsc", .number = cpu->source.time },
		{ .name = "guest_tsc", .number = events->event.ts },
	};
	size_t nr = sizeof(details) / sizeof(details[0]);
	uint64_t track;

	track = cpu->file->guest ? perfetto_tracks_events(&ctx->writer, &cpu->tracks) :
		perfetto_tracks_thread(&ctx->writer, &ctx->threads, text->comm, text->pid);
	if (!track)
		return -ENOMEM;
	snprintf(task, sizeof(task), "%.32s-%d", text->comm, text->pid);
	if (!cpu->file->guest)
		nr--;
	perfetto_writer_instant(&ctx->writer, track, ns, text->system, text->name, details, nr);
	ctx->export->events += perfetto_writer_has_time(ns);
	return 0;
}

static int take_event(struct ctx *ctx, struct exported_cpu *cpu)
{
	const struct cpu_stream *events = &cpu->events;
	uint64_t ns = to_ns(ctx, cpu->source.time);
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

static void take_span(struct ctx *ctx, const struct exported_modes *modes)
{
	const struct vcpu_modes *spans = modes->modes;
	uint64_t from = to_ns(ctx, spans->from[modes->next - 1]), to = to_ns(ctx, spans->from[modes->next] - 1);
	bool open = spans->mode[modes->next] != MODE_HOST;

	perfetto_writer_begin(&ctx->writer, modes->track, from, "kvm",
			      open ? "guest mode, its end is not known" : "guest mode");
	perfetto_writer_end(&ctx->writer, modes->track, to);
	ctx->export->slices += !open && perfetto_writer_has_time(to);
}

static void take_offset(struct ctx *ctx, struct exported_offset *offset)
{
	uint64_t ns = to_ns(ctx, offset->source.time);

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

static int open_tracks(struct ctx *ctx, struct exported_file *file)
{
	const struct guest_vcpus *vcpus;

	if (!file->guest) {
		file->track = perfetto_tracks_host(&ctx->writer, file->dat->path, &ctx->export->frequency);
		perfetto_tracks_threads(&ctx->writer, &ctx->threads, file->track);
		return 0;
	}
	vcpus = &file->guest->fit.vcpus;
	file->track = perfetto_tracks_vm(&ctx->writer, file->dat->path, file->guest->vm, file - ctx->files);
	file->vcpu_tracks = calloc(vcpus->nr + 1, sizeof(*file->vcpu_tracks));
	if (!file->vcpu_tracks)
		return -ENOMEM;
	for (size_t i = 0; i < vcpus->nr; i++) {
		if (vcpus->cpus[i].known || has_data(file->dat, i))
			file->vcpu_tracks[i] = perfetto_tracks_vcpu(&ctx->writer, file->track, &vcpus->cpus[i], i);
	}
	return 0;
}

static int add_source(struct ctx *ctx, struct time_source *source, int (*next)(struct time_source *))
{
	int ret;

	source->next = next;
	ret = time_merge_add(&ctx->merge, source);
	return ret < 0 ? ret : 0;
}

static int add_buffer(struct ctx *ctx, struct exported_file *file, const struct trace_dat_buffer *buffer)
{
	/* Readers take an instance for a file of its own, one without TIME_SHIFT, and so a host's file */
	_cleanup_(freep) struct cpu_stats *stats = NULL;
	size_t number = (size_t)(buffer - file->dat->buffers);
	size_t nr_stats;
	int ret;

	ret = cpu_stats_of_file(&stats, &nr_stats, file->dat, buffer);
	for (size_t i = 0; i < buffer->nr_cpus && !ret; i++) {
		const struct trace_dat_cpu *data = &buffer->cpus[i];
		const struct cpu_stats *counts = cpu_stats_find(stats, nr_stats, data->cpu);
		struct exported_cpu *cpu;

		if (!data->size)
			continue;
		cpu = &ctx->cpus[ctx->nr_cpus++];
		*cpu = (struct exported_cpu) {
			.file = file,
			.tracks = {
				.parent = file->guest ? file->vcpu_tracks[data->cpu] : file->track,
				.guest = file->guest, .cpu = data->cpu, .instance = buffer->name,
			},
			.counted = counts ? counts->overrun + counts->dropped : 0,
		};
		if (file->guest)
			cpu->times = merged_times_of(&file->guest->times, buffer);
		if (file->guest && file->guest->placed && file->guest->timelines.buffers[number].known)
			cpu->cursor.cpu = &file->guest->timelines.buffers[number].timeline.cpus[i];
		ret = cpu_stream_open(&cpu->events, file->dat, buffer, data);
		if (ret)
			return ret;
		ret = add_source(ctx, &cpu->source, next_event);
	}
	return ret;
}

static int add_events(struct ctx *ctx, struct exported_file *file)
{
	int ret = 0;

	for (size_t i = 0; i < file->dat->nr_buffers && !ret; i++) {
		const struct trace_dat_buffer *buffer = &file->dat->buffers[i];
		char clock[64];

		if (!trace_dat_buffer_has_data(buffer))
			continue;
		if (!trace_clock_is_tsc(file->dat, buffer, clock, sizeof(clock)) && !ctx->export->any_clock) {
			findings_doubt(ctx->export->findings, FINDING_CLOCK,
				       "%s: %s%s%sits clock is \"%s\", not x86-tsc: left out; record with -C x86-tsc",
				       file->dat->path, *buffer->name ? "instance \"" : "", buffer->name,
				       *buffer->name ? "\": " : "", clock);
			continue;
		}
		ret = add_buffer(ctx, file, buffer);
	}
	return ret;
}

static int add_vcpu(struct ctx *ctx, struct exported_file *file, const struct guest_vcpu *vcpu, uint64_t track)
{
	const struct host *host = ctx->export->host;
	struct exported_modes *modes;
	int ret = 0;

	for (size_t i = 0; i < vcpu->nr_sources && !ret; i++) {
		struct exported_offset *offset = &ctx->offsets[ctx->nr_offsets++];

		*offset = (struct exported_offset) {
			.vcpu = vcpu->sources[i].history, .first = host->first, .tracks.parent = track
		};
		ret = add_source(ctx, &offset->source, next_offset);
	}
	if (ret || !vcpu->modes)
		return ret;
	modes = &ctx->modes[ctx->nr_modes++];
	*modes = (struct exported_modes) { .track = track, .modes = vcpu->modes };
	return add_source(ctx, &modes->source, next_span);
}

static int add_vm(struct ctx *ctx, struct exported_file *file)
{
	const struct guest_vcpus *vcpus = &file->guest->fit.vcpus;
	int ret = 0;

	for (size_t i = 0; i < vcpus->nr && !ret; i++)
		ret = add_vcpu(ctx, file, &vcpus->cpus[i], file->vcpu_tracks[i]);
	return ret;
}

/* Formats that nothing is printed by */
static void note_formats(struct findings *findings, const struct exported_file *file)
{
	const struct event_formats *formats = &file->texts.formats;

	if (formats->nr_fatal)
		findings_note(findings, FINDING_TEXT,
			      "%s: libtraceevent cannot parse the print formats of %zu %s: their fields are shown",
			      file->dat->path, formats->nr_fatal, formats->nr_fatal == 1 ? "event" : "events");
	if (formats->nr_excess)
		findings_note(findings, FINDING_TEXT,
			      "%s: the print formats of %zu %s are too large, or do not have the form that kernels write: their fields are shown",
			      file->dat->path, formats->nr_excess, formats->nr_excess == 1 ? "event" : "events");
}

static int open_file(struct ctx *ctx, struct trace_dat *dat, const struct guest_file *guest)
{
	struct exported_file *file = &ctx->files[ctx->nr_files++];
	int ret;

	*file = (struct exported_file) { .dat = dat, .guest = guest };
	ret = event_texts_open(&file->texts, dat);
	if (ret)
		return ret;
	note_formats(ctx->export->findings, file);
	ret = open_tracks(ctx, file);
	if (!ret)
		ret = add_events(ctx, file);
	if (!ret && guest)
		ret = add_vm(ctx, file);
	return ret;
}

static size_t cpus_of_file(const struct trace_dat *dat)
{
	size_t nr = 0;

	for (size_t i = 0; i < dat->nr_buffers; i++)
		nr += dat->buffers[i].nr_cpus;
	return nr;
}

static int open_all(struct ctx *ctx)
{
	const struct perfetto_export *export = ctx->export;
	size_t nr_cpus = cpus_of_file(export->host->dat), nr_vcpus = 0, nr_sources = 0;
	int ret;

	for (size_t i = 0; i < export->nr_guests; i++) {
		const struct guest_vcpus *vcpus = &export->guests[i].fit.vcpus;

		nr_cpus += cpus_of_file(&export->guests[i].dat);
		nr_vcpus += vcpus->nr;
		for (size_t j = 0; j < vcpus->nr; j++)
			nr_sources += vcpus->cpus[j].nr_sources;
	}
	ctx->files = calloc(export->nr_guests + 1, sizeof(*ctx->files));
	ctx->cpus = calloc(nr_cpus + 1, sizeof(*ctx->cpus));
	ctx->modes = calloc(nr_vcpus + 1, sizeof(*ctx->modes));
	ctx->offsets = calloc(nr_sources + 1, sizeof(*ctx->offsets));
	if (!ctx->files || !ctx->cpus || !ctx->modes || !ctx->offsets)
		return -ENOMEM;
	ret = open_file(ctx, export->host->dat, NULL);
	for (size_t i = 0; i < export->nr_guests && !ret; i++)
		ret = open_file(ctx, &export->guests[i].dat, &export->guests[i]);
	return ret;
}

static void step(struct ctx *ctx)
{
	uint64_t bytes = 0;

	if (++ctx->steps < PROGRESS_STEPS)
		return;
	ctx->steps = 0;
	for (size_t i = 0; i < ctx->nr_cpus; i++)
		bytes += ctx->cpus[i].events.cpu->size - ctx->cpus[i].events.left;
	progress_at(ctx->export->progress, bytes);
}

static int run(struct ctx *ctx)
{
	struct time_source *source;
	int ret;

	while ((ret = time_merge_next(&ctx->merge, &source)) > 0) {
		ret = 0;
		if (source->next == next_event)
			ret = take_event(ctx, cpu_of(source));
		else if (source->next == next_span)
			take_span(ctx, modes_of(source));
		else
			take_offset(ctx, offset_of(source));
		if (!ret)
			ret = ctx->writer.error;
		if (ret)
			return ret;
		step(ctx);
	}
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < ctx->nr_cpus; i++) {
		struct exported_cpu *cpu = &ctx->cpus[i];

		stop_running(ctx, cpu, cpu->end);
		/* Pages tell of those that were replaced before them, the kernel's counts of all */
		if (cpu->counted > cpu->told)
			tell_loss(ctx, cpu, cpu->end, "by the kernel's counts, at unknown times",
				  cpu->counted - cpu->told);
	}
	return ctx->writer.error;
}

static void release(struct ctx *ctx)
{
	for (size_t i = 0; i < ctx->nr_cpus; i++)
		cpu_stream_close(&ctx->cpus[i].events);
	for (size_t i = 0; i < ctx->nr_files; i++) {
		event_texts_close(&ctx->files[i].texts);
		free(ctx->files[i].vcpu_tracks);
	}
	time_merge_release(&ctx->merge);
	perfetto_writer_release(&ctx->writer);
	perfetto_tracks_release(&ctx->threads);
	free(ctx->files);
	free(ctx->cpus);
	free(ctx->modes);
	free(ctx->offsets);
}

/**
 * perfetto_export_bytes - how much is read
 * @export: what is to be exported
 *
 * Returns: the total for its progress.
 */
uint64_t perfetto_export_bytes(const struct perfetto_export *export)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i <= export->nr_guests; i++) {
		const struct trace_dat *dat = i ? &export->guests[i - 1].dat : export->host->dat;

		for (size_t b = 0; b < dat->nr_buffers; b++) {
			for (size_t c = 0; c < dat->buffers[b].nr_cpus; c++)
				bytes += dat->buffers[b].cpus[c].size;
		}
	}
	return bytes;
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
