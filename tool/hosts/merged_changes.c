// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "array.h"
#include "event_ids.h"
#include "host_changes.h"
#include "merged_changes.h"
#include "probe_repeats.h"
#include "time_merge.h"
#include "trace_dat.h"
#include "trace_stream.h"

/* The kernel writes an event into one buffer after the other; only interrupts can come in between */
#define COPY_DELAY	(1ULL << 20)

/* A buffer being read, up to its next TSC offset event */
struct source {
	struct time_source	source;
	struct ctx		*ctx;
	struct trace_stream	stream;
	struct tsc_offset_event	event;
	size_t			type;		/* index in tsc_event_names */
	uint32_t		cpu;
};

/* The last event of a CPU, and the buffers that have it: bit i for buffer i */
struct hit {
	uint64_t		buffers;
	size_t			type;
	struct tsc_offset_event	event;
};

struct ctx {
	struct trace_dat	*dat;
	const struct event_ids	*ids;
	struct merged_changes	*merged;
	struct source		*sources;
	struct hit		*hits;		/* of each CPU */
	size_t			nr_hits;
	struct probe_repeats	repeats;
};

/**
 * offset_event_read - decode one record of a host's file
 * @dat: the file
 * @ids: its events
 * @format: one of @ids->tsc.formats
 * @record: the record
 * @event: result
 *
 * Returns: 0, or -EBADMSG with the reason in @dat->error.
 */
int offset_event_read(struct trace_dat *dat, const struct event_ids *ids, const struct tsc_offset_format *format,
		      const struct ring_event *record, struct tsc_offset_event *event)
{
	if (!tsc_offset_event_decode(format, record->ts, record->data, record->size, event))
		return 0;
	return trace_dat_refuse(dat, -EBADMSG, "a %s that does not fit its format, at time %llu",
				tsc_event_names[format - ids->tsc.formats].name, (unsigned long long)record->ts);
}

static int next_event(struct time_source *source)
{
	struct source *self = (struct source *)source;
	const struct event_ids *ids = self->ctx->ids;
	const struct cpu_stream *cpu;
	int ret;

	while ((ret = trace_stream_next(&self->stream, &cpu)) > 0) {
		const struct tsc_offset_format *format = tsc_event_format(&ids->tsc, ring_event_id(&cpu->event));

		if (!format)
			continue;
		ret = offset_event_read(self->ctx->dat, ids, format, &cpu->event, &self->event);
		self->type = format - ids->tsc.formats;
		self->cpu = cpu->cpu->cpu;
		source->time = cpu->event.ts;
		return ret ? ret : 1;
	}
	return ret;
}

static bool is_equal(const struct tsc_offset_event *a, const struct tsc_offset_event *b)
{
	return a->tid == b->tid && a->vcpu_id == b->vcpu_id && a->previous == b->previous && a->next == b->next &&
	       a->previous_ratio == b->previous_ratio && a->ratio == b->ratio && a->frac_bits == b->frac_bits &&
	       a->vm_pid == b->vm_pid && a->vm_fd == b->vm_fd && a->vm == b->vm && a->vm_id == b->vm_id &&
	       a->tsc_protected == b->tsc_protected;
}

static void end_hit(struct merged_changes *merged, struct hit *hit)
{
	if (!(hit->buffers & 1))
		merged->needed |= hit->buffers;
}

/* Does another buffer have the event already? */
static bool is_copy(const struct hit *hit, const struct source *source, uint64_t buffer)
{
	return hit->buffers && !(hit->buffers & buffer) && hit->type == source->type &&
	       source->event.host_tsc - hit->event.host_tsc <= COPY_DELAY && is_equal(&hit->event, &source->event);
}

static int take(struct ctx *ctx, const struct source *source)
{
	struct merged_changes *merged = ctx->merged;
	uint64_t buffer = 1ULL << (source - ctx->sources);
	struct hit *hit = &ctx->hits[source->cpu];

	if (is_copy(hit, source, buffer)) {
		hit->buffers |= buffer;
		return 0;
	}
	end_hit(merged, hit);
	*hit = (struct hit) { .buffers = buffer, .type = source->type, .event = source->event };
	merged->counts[source->type]++;
	/* After the kernel's own event of a change, or after the end of a VM, the next event is not a repeat */
	if (source->event.kind == TSC_EVENT_CHANGE || source->event.kind == TSC_EVENT_VM_END)
		probe_repeats_release(&ctx->repeats);
	else if (probe_repeats(&ctx->repeats, &source->event))
		return 0;
	if (merged->nr == HOST_CHANGES_MAX)
		return trace_dat_refuse(ctx->dat, -E2BIG, "more than %u events of TSC offsets", HOST_CHANGES_MAX);
	if (array_reserve(merged->events, merged->nr, merged->capacity))
		return -ENOMEM;
	merged->events[merged->nr++] = source->event;
	return 0;
}

static int merge(struct ctx *ctx, size_t nr)
{
	struct time_merge merge = { 0 };
	struct time_source *next;
	int ret = 0;

	for (size_t i = 0; i < nr && !ret; i++)
		ret = time_merge_add(&merge, &ctx->sources[i].source);
	while (!ret && (ret = time_merge_next(&merge, &next)) > 0)
		ret = take(ctx, (struct source *)next);
	for (size_t i = 0; i < ctx->nr_hits; i++)
		end_hit(ctx->merged, &ctx->hits[i]);
	time_merge_release(&merge);
	return ret;
}

static int open_sources(struct ctx *ctx, const struct host_clock *clock, const struct trace_dat_buffer *const *buffers,
			size_t nr)
{
	int ret = 0;

	for (size_t i = 0; i < nr && !ret; i++) {
		ctx->sources[i].source.next = next_event;
		ctx->sources[i].ctx = ctx;
		ret = trace_stream_open(&ctx->sources[i].stream, ctx->dat, buffers[i], clock);
		for (size_t cpu = 0; cpu < buffers[i]->nr_cpus; cpu++) {
			if (buffers[i]->cpus[cpu].size && buffers[i]->cpus[cpu].cpu >= ctx->nr_hits)
				ctx->nr_hits = (size_t)buffers[i]->cpus[cpu].cpu + 1;
		}
	}
	ctx->hits = calloc(ctx->nr_hits + 1, sizeof(*ctx->hits));
	return ret || ctx->hits ? ret : -ENOMEM;
}

/**
 * merged_changes_read - merge the TSC offset events of several buffers
 * @merged: result; must be released in any case
 * @dat: the file
 * @clock: clock of its host
 * @ids: its events
 * @buffers: buffers with such events, all with the TSC clock
 * @nr: number of @buffers
 *
 * An event in several buffers appears once, with the earliest of its times. A buffer that lacks some, because it has a
 * filter or was recorded for a shorter time, is completed by the others.
 *
 * Returns: 0, or a negative errno, with the reason in @dat->error if it is not -ENOMEM.
 */
int merged_changes_read(struct merged_changes *merged, struct trace_dat *dat, const struct host_clock *clock,
			const struct event_ids *ids, const struct trace_dat_buffer *const *buffers, size_t nr)
{
	struct ctx ctx = { .dat = dat, .ids = ids, .merged = merged };
	int ret;

	*merged = (struct merged_changes) { 0 };
	if (nr > MERGED_BUFFERS_MAX)
		return trace_dat_refuse(dat, -E2BIG, "more than %u buffers have events of TSC offsets",
					MERGED_BUFFERS_MAX);
	ctx.sources = calloc(nr + 1, sizeof(*ctx.sources));
	ret = ctx.sources ? open_sources(&ctx, clock, buffers, nr) : -ENOMEM;
	if (!ret)
		ret = merge(&ctx, nr);
	for (size_t i = 0; i < nr && ctx.sources; i++)
		trace_stream_close(&ctx.sources[i].stream);
	probe_repeats_release(&ctx.repeats);
	free(ctx.sources);
	free(ctx.hits);
	return ret;
}

/**
 * merged_changes_release - free the events
 * @merged: the events, also after a failed read
 */
void merged_changes_release(struct merged_changes *merged)
{
	free(merged->events);
	*merged = (struct merged_changes) { 0 };
}
