// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <libkshark.h>
#include <libkshark-tepdata.h>
#include <traceevent/event-parse.h>
#include <trace-cmd/trace-cmd.h>

#include "array.h"
#include "cleanup.h"
#include "duration.h"
#include "event.h"
#include "guest_option.h"
#include "history.h"
#include "stream_changes.h"
#include "trace_dat.h"
#include "tsc2nsec.h"

typedef unsigned __int128 u128;

/* A thread that runs a vCPU; which one is known if it entered guest mode */
struct vcpu_thread {
	int		tid;
	bool		entered;
	uint32_t	vcpu_id;
};

/**
 * struct stream_changes - the jumps in a stream
 * @stream: the stream
 * @formats: of the events, in the stream's file
 * @entry_id: number of kvm_entry, TSC_EVENT_NONE if there is none
 * @entry_vcpu_id: its field
 * @tsc2nsec: what made nanoseconds of the file's TSC values
 * @threads: that run vCPUs; owned
 * @nr_threads: how many
 * @nr_linked: the first of them, which the file itself names
 * @rows: what was loaded when @changes were found
 * @nr_rows: how many
 * @changes: in the order of rows; owned
 * @nr_changes: how many
 */
struct stream_changes {
	struct kshark_data_stream	*stream;
	struct tsc_event_formats	formats;
	int				entry_id;
	struct tep_format_field		*entry_vcpu_id;
	struct tsc2nsec			tsc2nsec;
	struct vcpu_thread		*threads;
	size_t				nr_threads;
	size_t				nr_linked;
	struct kshark_entry		**rows;
	size_t				nr_rows;
	struct stream_change		*changes;
	size_t				nr_changes;
};

/* What a change is while the history that it is part of is not whole */
struct found_change {
	struct stream_change	change;
	uint32_t		segment;
};

/* Linear: there are as many as vCPUs */
static struct vcpu_thread *find_thread(const struct stream_changes *changes, int tid)
{
	for (size_t i = 0; i < changes->nr_threads; i++) {
		if (changes->threads[i].tid == tid)
			return &changes->threads[i];
	}
	return NULL;
}

static struct vcpu_thread *add_thread(struct stream_changes *changes, int tid)
{
	struct vcpu_thread *threads;

	threads = reallocarray(changes->threads, changes->nr_threads + 1, sizeof(*threads));
	if (!threads)
		return NULL;
	changes->threads = threads;
	threads[changes->nr_threads] = (struct vcpu_thread) { .tid = tid };
	return &threads[changes->nr_threads++];
}

static int link_threads(struct stream_changes *changes, const struct trace_dat *dat)
{
	for (size_t i = 0; i < dat->nr_options; i++) {
		const struct trace_dat_option *option = &dat->options[i];
		struct guest_option guest;

		if (option->id != TRACE_DAT_GUEST ||
		    guest_option_decode(&guest, option->data, option->size))
			continue;
		for (size_t cpu = 0; cpu < guest.nr_cpus; cpu++) {
			int tid = guest.cpus[cpu].tid;

			if (tid > 0 && !find_thread(changes, tid) && !add_thread(changes, tid)) {
				guest_option_release(&guest);
				return -ENOMEM;
			}
		}
		guest_option_release(&guest);
	}
	changes->nr_linked = changes->nr_threads;
	return 0;
}

/* What KernelShark does not tell of a file. One that our reader does not take has times as they are. */
static int read_options(struct stream_changes *changes)
{
	struct error error = { 0 };
	struct trace_dat dat;
	int ret;

	if (trace_dat_open(&dat, changes->stream->file, &error))
		return 0;
	tsc2nsec_read(&changes->tsc2nsec, &dat);
	if (changes->tsc2nsec.shift > 63)
		changes->tsc2nsec.mult = 0;
	ret = link_threads(changes, &dat);
	trace_dat_close(&dat);
	return ret;
}

/* Of the events only those that report a change by themselves. Returns: false if there are none. */
static bool keep_changes(struct tsc_event_formats *formats, struct tep_handle *tep)
{
	bool any = false;

	if (tsc_event_formats_init(formats, tep, NULL))
		return false;
	for (size_t i = 0; i < NR_TSC_EVENTS; i++) {
		if (formats->ids[i] == TSC_EVENT_NONE)
			continue;
		if (formats->formats[i].kind == TSC_EVENT_CHANGE)
			any = true;
		else
			formats->ids[i] = TSC_EVENT_NONE;
	}
	return any;
}

/**
 * stream_changes_init - what there is to know of a stream before its rows are loaded
 * @changes: result; NULL if the stream cannot have changes, which is what a guest's cannot
 * @stream: of trace-cmd's format, open
 *
 * Returns: 0 or -ENOMEM.
 */
int stream_changes_init(struct stream_changes **changes, struct kshark_data_stream *stream)
{
	struct tep_handle *tep = kshark_get_tep(stream);
	struct tep_event *entry;
	struct stream_changes *new;
	int ret;

	*changes = NULL;
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->stream = stream;
	new->entry_id = TSC_EVENT_NONE;
	if (!keep_changes(&new->formats, tep)) {
		free(new);
		return 0;
	}
	entry = tep_find_event_by_name(tep, TSC_OFFSET_SYSTEM, "kvm_entry");
	new->entry_vcpu_id = entry ? tep_find_field(entry, "vcpu_id") : NULL;
	if (new->entry_vcpu_id)
		new->entry_id = entry->id;
	ret = read_options(new);
	if (ret) {
		stream_changes_free(new);
		return ret;
	}
	*changes = new;
	return 0;
}

/**
 * stream_changes_free - free all that they own
 * @changes: NULL will do
 */
void stream_changes_free(struct stream_changes *changes)
{
	if (!changes)
		return;
	free(changes->threads);
	free(changes->changes);
	free(changes);
}

static struct tep_record *read_record(const struct stream_changes *changes, const struct kshark_entry *row)
{
	struct tep_record *record;

	/* KernelShark's own lock: a file has one place at which it is read */
	pthread_mutex_lock(&changes->stream->input_mutex);
	record = tracecmd_read_at(kshark_get_tep_input(changes->stream), (unsigned long long)row->offset,
				  NULL);
	pthread_mutex_unlock(&changes->stream->input_mutex);
	return record;
}

static void free_record(const struct stream_changes *changes, struct tep_record *record)
{
	pthread_mutex_lock(&changes->stream->input_mutex);
	tracecmd_free_record(record);
	pthread_mutex_unlock(&changes->stream->input_mutex);
}

/* The first TSC of which readers make these nanoseconds, or just that if they make none */
static uint64_t tsc_of_time(const struct tsc2nsec *tsc2nsec, uint64_t time)
{
	if (!tsc2nsec->mult)
		return time;
	return (uint64_t)((((u128)time << tsc2nsec->shift) + tsc2nsec->mult - 1) / tsc2nsec->mult);
}

/* The frequency after the change, 0 if the file does not tell or no TSC has it */
static uint32_t guest_khz(const struct tsc2nsec *tsc2nsec, const struct tsc_offset_event *event)
{
	const u128 million = 1000000;
	u128 khz;

	if (!tsc2nsec->mult)
		return 0;
	khz = ((million << tsc2nsec->shift) + tsc2nsec->mult / 2) / tsc2nsec->mult;
	if (event->ratio && khz <= UINT32_MAX)
		khz = (khz * event->ratio) >> event->frac_bits;
	return khz <= UINT32_MAX ? (uint32_t)khz : 0;
}

static int learn_thread(struct stream_changes *changes, const struct kshark_entry *row)
{
	struct vcpu_thread *thread = find_thread(changes, row->pid);
	unsigned long long vcpu_id;
	struct tep_record *record;
	int tid, ret = 0;

	if (thread && thread->entered)
		return 0;
	record = read_record(changes, row);
	if (!record)
		return 0;
	/* Not the row's: plugins change that to whom the row is shown with */
	tid = tep_data_pid(kshark_get_tep(changes->stream), record);
	thread = find_thread(changes, tid);
	if (!thread)
		thread = add_thread(changes, tid);
	if (!thread) {
		ret = -ENOMEM;
	} else if (!thread->entered && record->size >= 0 &&
		   record->size >= changes->entry_vcpu_id->offset + changes->entry_vcpu_id->size &&
		   !tep_read_number_field(changes->entry_vcpu_id, record->data, &vcpu_id)) {
		thread->entered = true;
		thread->vcpu_id = (uint32_t)vcpu_id;
	}
	free_record(changes, record);
	return ret;
}

/*
 * The thread that runs the vCPU of an event. It wrote the event itself, mostly; if the writer runs no vCPU, it
 * is the only thread that runs one of this number. Else nobody knows, and it is the writer.
 */
static int thread_of(const struct stream_changes *changes, const struct tsc_offset_event *event)
{
	int tid = 0;

	if (find_thread(changes, event->tid))
		return event->tid;
	for (size_t i = 0; i < changes->nr_threads; i++) {
		const struct vcpu_thread *thread = &changes->threads[i];

		if (!thread->entered || thread->vcpu_id != event->vcpu_id)
			continue;
		if (tid)
			return event->tid;
		tid = thread->tid;
	}
	return tid ? tid : event->tid;
}

/* A thread has a history of its own: vcpu_ids are not unique across VMs */
static struct vcpu_history *history_of(struct tsc_history *history, const struct stream_change *change)
{
	struct vm_history *vm = tsc_history_vm(history, change->thread);

	return vm ? vm_history_vcpu(vm, change->vcpu_id) : NULL;
}

/* Takes up one row. Returns 1 if it is a segment of a history, and then what is known of it by itself. */
static int take_row(struct stream_changes *changes, struct tsc_history *history, size_t i,
		    struct found_change *found)
{
	const struct kshark_entry *row = changes->rows[i];
	struct tep_record *record = read_record(changes, row);
	const struct tsc_offset_format *format;
	struct tsc_offset_event event;
	struct vcpu_history *vcpu;
	struct vm_history *vm;
	size_t before;
	int ret;

	if (!record)
		return 0;
	format = tsc_event_format(&changes->formats, row->event_id);
	ret = record->size < 0 ? -EBADMSG :
	      tsc_offset_event_decode(format, tsc_of_time(&changes->tsc2nsec, record->ts), record->data,
				      (size_t)record->size, &event);
	free_record(changes, record);
	if (ret)
		return 0;

	found->change = (struct stream_change) {
		.row		= i,
		.position	= row->offset,
		.thread		= thread_of(changes, &event),
		.vcpu_id	= event.vcpu_id,
		.khz		= guest_khz(&changes->tsc2nsec, &event),
	};
	vcpu = history_of(history, &found->change);
	vm = tsc_history_vm(history, found->change.thread);
	if (!vcpu || !vm)
		return -ENOMEM;
	before = vcpu->nr_segments;
	ret = vm_history_add(vm, &event);
	if (ret)
		return ret == -EINVAL ? 0 : ret;
	/* Rows are in the order of time, so it is the last */
	found->segment = (uint32_t)before;
	return vcpu->nr_segments > before;
}

static int find_changes(struct stream_changes *changes, struct tsc_history *history)
{
	_cleanup_(freep) struct found_change *found = NULL;
	size_t nr_found = 0, capacity = 0;

	for (size_t i = 0; i < changes->nr_rows; i++) {
		const struct kshark_entry *row = changes->rows[i];
		int ret;

		if (row->stream_id != changes->stream->stream_id ||
		    !tsc_event_format(&changes->formats, row->event_id))
			continue;
		if (array_reserve(found, nr_found, capacity))
			return -ENOMEM;
		ret = take_row(changes, history, i, &found[nr_found]);
		if (ret < 0)
			return ret;
		nr_found += (size_t)ret;
	}

	/* Only now is it known what the first events of a vCPU mean */
	changes->changes = calloc(nr_found + 1, sizeof(*changes->changes));
	if (!changes->changes)
		return -ENOMEM;
	for (size_t i = 0; i < nr_found; i++) {
		struct stream_change *change = &found[i].change;

		change->jump = vcpu_history_jump(history_of(history, change), found[i].segment);
		if (change->jump)
			changes->changes[changes->nr_changes++] = *change;
	}
	return 0;
}

static int find_threads(struct stream_changes *changes)
{
	if (changes->entry_id == TSC_EVENT_NONE)
		return 0;
	for (size_t i = 0; i < changes->nr_rows; i++) {
		const struct kshark_entry *row = changes->rows[i];

		if (row->stream_id == changes->stream->stream_id && row->event_id == changes->entry_id &&
		    learn_thread(changes, row))
			return -ENOMEM;
	}
	return 0;
}

/* KernelShark does not say that it loaded rows anew; memory that was freed is often given out again */
static bool up_to_date(const struct stream_changes *changes, struct kshark_entry **rows, size_t nr_rows)
{
	if (rows != changes->rows || nr_rows != changes->nr_rows)
		return false;
	for (size_t i = 0; i < changes->nr_changes; i++) {
		const struct stream_change *change = &changes->changes[i];
		const struct kshark_entry *row = rows[change->row];

		if (row->stream_id != changes->stream->stream_id || row->offset != change->position ||
		    !tsc_event_format(&changes->formats, row->event_id))
			return false;
	}
	return true;
}

/**
 * stream_changes_update - find the changes among the rows that are loaded
 * @changes: of a stream
 * @rows: of all streams, in the order of time
 * @nr_rows: how many
 *
 * As good as free if nothing was loaded since the last time.
 *
 * Returns: 0 or -ENOMEM; then there are none.
 */
int stream_changes_update(struct stream_changes *changes, struct kshark_entry **rows, size_t nr_rows)
{
	struct tsc_history history = { 0 };
	int ret;

	if (up_to_date(changes, rows, nr_rows))
		return 0;
	changes->rows = rows;
	changes->nr_rows = nr_rows;
	changes->nr_threads = changes->nr_linked;
	for (size_t i = 0; i < changes->nr_threads; i++)
		changes->threads[i].entered = false;
	free(changes->changes);
	changes->changes = NULL;
	changes->nr_changes = 0;

	ret = find_threads(changes);
	if (!ret)
		ret = find_changes(changes, &history);
	tsc_history_release(&history);
	return ret;
}

/**
 * stream_changes_get - what stream_changes_update() found
 * @changes: of a stream
 * @first: result: as many as returned, in the order of rows; they last until the next update
 *
 * Returns: how many.
 */
size_t stream_changes_get(const struct stream_changes *changes, const struct stream_change **first)
{
	*first = changes->changes;
	return changes->nr_changes;
}

/**
 * stream_change_text - say what there is to say of a change
 * @change: the change
 * @time: of its row, as KernelShark has it
 * @text: room for it
 *
 * Returns: the text in @text, as "vcpu 0: +52000000 cycles (+20.030 ms) at 73.733233384".
 */
const char *stream_change_text(const struct stream_change *change, int64_t time,
			       struct stream_change_text *text)
{
	const int64_t billion = 1000000000;
	struct tsc_duration duration;
	char brackets[sizeof(duration) + 4] = "";

	if (change->khz)
		snprintf(brackets, sizeof(brackets), " (%s)",
			 tsc_duration(&duration, change->jump, change->khz));
	snprintf(text->text, sizeof(text->text), "vcpu %u: %+lld cycles%s at %lld.%09lld", change->vcpu_id,
		 (long long)change->jump, brackets, (long long)(time / billion),
		 (long long)(time % billion));
	return text->text;
}
