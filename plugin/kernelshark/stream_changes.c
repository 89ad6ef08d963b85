// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <libkshark.h>
#include <libkshark-tepdata.h>
#include <traceevent/event-parse.h>

#include "array.h"
#include "cleanup.h"
#include "cpu_stream.h"
#include "duration.h"
#include "event_ids.h"
#include "guest_option.h"
#include "history.h"
#include "order.h"
#include "stream_changes.h"
#include "trace_dat.h"
#include "tsc2nsec.h"

typedef unsigned __int128 u128;

/**
 * struct change_record - an event in the stream's file that may report a change
 * @place: offset of its entry in its page, in bytes
 * @event: its contents; of another kind if the record is damaged, because KernelShark has a row of it too
 * @thread: the host thread that runs the vCPU
 * @segment: index of the segment that it begins in the history of @thread
 * @jump: in guest cycles, 0 for none
 */
struct change_record {
	size_t			place;
	struct tsc_offset_event	event;
	int			thread;
	size_t			segment;
	int64_t			jump;
};

/* The records of a CPU, in the order of the file: from @first to before @end; the next row is @next */
struct cpu_records {
	uint32_t	cpu;
	size_t		first;
	size_t		end;
	size_t		next;
};

/**
 * struct stream_changes - the changes in a stream
 * @stream: the stream
 * @formats: formats of the events in the stream's file
 * @entry_id: number of kvm_entry, TSC_EVENT_NONE without
 * @entry_pid: its field common_pid
 * @entry_vcpu_id: its field vcpu_id
 * @host_khz: frequency of the host's TSC, 0 if the file does not have it
 * @page_size: page size of the ring buffer, in bytes
 * @cpus: CPUs with records; owned
 * @nr_cpus: number of @cpus
 * @cpu_capacity: number of CPUs that fit without growing
 * @records: records, CPU after CPU; owned
 * @nr_records: number of @records
 * @record_capacity: number of records that fit without growing
 * @rows: the rows that were loaded when @changes were found
 * @nr_rows: number of @rows
 * @changes: changes in the order of rows, with space for all @records; owned
 * @nr_changes: number of @changes
 */
struct stream_changes {
	struct kshark_data_stream	*stream;
	struct tsc_event_formats	formats;
	int				entry_id;
	struct tep_format_field		*entry_pid;
	struct tep_format_field		*entry_vcpu_id;
	uint64_t			host_khz;
	size_t				page_size;
	struct cpu_records		*cpus;
	size_t				nr_cpus;
	size_t				cpu_capacity;
	struct change_record		*records;
	size_t				nr_records;
	size_t				record_capacity;
	struct kshark_entry		**rows;
	size_t				nr_rows;
	struct stream_change		*changes;
	size_t				nr_changes;
};

/*
 * In the history, each thread that runs a vCPU is a VM by itself, because vcpu_ids are not unique across VMs. The
 * option GUEST has such threads.
 */
static int link_threads(struct tsc_history *history, const struct trace_dat *dat)
{
	_cleanup_(guest_option_release) struct guest_option guest = { 0 };
	size_t at = 0;

	/* An unreadable option has no CPUs */
	while (guest_option_next(&guest, dat, &at)) {
		for (size_t cpu = 0; cpu < guest.nr_cpus; cpu++) {
			if (guest.cpus[cpu].tid > 0 && !tsc_history_vm(history, guest.cpus[cpu].tid))
				return -ENOMEM;
		}
	}
	return 0;
}

/* A thread that enters guest mode always runs the same vCPU */
static int learn_thread(const struct stream_changes *changes, struct tsc_history *history,
			const struct ring_event *event)
{
	unsigned long long tid, vcpu_id;
	struct vm_history *thread;

	if (tsc_event_read_field(changes->entry_pid, event->data, event->size, &tid) ||
	    tsc_event_read_field(changes->entry_vcpu_id, event->data, event->size, &vcpu_id))
		return 0;
	thread = tsc_history_vm(history, (int)tid);
	if (!thread || (!thread->nr_vcpus && !vm_history_vcpu(thread, (uint32_t)vcpu_id)))
		return -ENOMEM;
	return 0;
}

static int add_record(struct stream_changes *changes, const struct tsc_offset_format *format,
		      const struct cpu_stream *cpu)
{
	const uint8_t *page = cpu->pages + cpu->page_at - changes->page_size;
	struct change_record *record;

	if (array_reserve(changes->records, changes->nr_records, changes->record_capacity))
		return -ENOMEM;
	record = &changes->records[changes->nr_records++];
	/* An entry of this size has one word before the record */
	*record = (struct change_record) { .place = (size_t)(cpu->event.data - page) - sizeof(uint32_t) };
	if (tsc_offset_event_decode(format, cpu->event.ts, cpu->event.data, cpu->event.size, &record->event))
		record->event = (struct tsc_offset_event) { .kind = TSC_EVENT_STATE };
	return 0;
}

static int take_event(struct stream_changes *changes, struct tsc_history *history, const struct cpu_stream *cpu)
{
	int id = ring_event_id(&cpu->event);
	const struct tsc_offset_format *format;

	if (id == changes->entry_id)
		return learn_thread(changes, history, &cpu->event);
	format = tsc_event_format(&changes->formats, id);
	return format ? add_record(changes, format, cpu) : 0;
}

/* After damaged data, the rest of the CPU is skipped */
static int read_cpu(struct stream_changes *changes, struct tsc_history *history, struct trace_dat *dat,
		    const struct trace_dat_buffer *buffer, const struct trace_dat_cpu *cpu)
{
	size_t first = changes->nr_records;
	struct cpu_stream stream;
	int ret = cpu_stream_open(&stream, dat, buffer, cpu);

	while (!ret) {
		ret = cpu_stream_next(&stream);
		if (ret <= 0)
			break;
		ret = take_event(changes, history, &stream);
	}
	cpu_stream_close(&stream);
	if (ret == -ENOMEM)
		return ret;
	if (changes->nr_records == first)
		return 0;
	if (array_reserve(changes->cpus, changes->nr_cpus, changes->cpu_capacity))
		return -ENOMEM;
	changes->cpus[changes->nr_cpus++] = (struct cpu_records) {
		.cpu = cpu->cpu, .first = first, .end = changes->nr_records
	};
	return 0;
}

/*
 * Find the thread that runs the vCPU of an event. Usually this is the writer. If the writer runs no vCPU, it is the
 * only thread that runs a vCPU with this number; otherwise it is unknown, and the writer is used.
 */
static int thread_of(const struct tsc_history *history, const struct tsc_offset_event *event)
{
	const struct vm_history *found = NULL;
	bool several = false;

	for (size_t i = 0; i < history->nr_vms; i++) {
		const struct vm_history *thread = &history->vms[i];

		if (thread->vm == event->tid)
			return event->tid;
		if (!thread->nr_vcpus || thread->vcpus[0].vcpu_id != event->vcpu_id)
			continue;
		several = found;
		found = thread;
	}
	return found && !several ? found->vm : event->tid;
}

/* Returns: 1 if the record begins a segment of the history, 0 if not, or -ENOMEM */
static int add_to_history(struct tsc_history *history, struct change_record *record)
{
	struct vm_history *thread = tsc_history_vm(history, record->thread);
	struct vcpu_history *vcpu = thread ? vm_history_vcpu(thread, record->event.vcpu_id) : NULL;

	if (!vcpu)
		return -ENOMEM;
	record->segment = vcpu->nr_segments;
	if (vm_history_add(thread, &record->event) == -ENOMEM)
		return -ENOMEM;
	return vcpu->nr_segments > record->segment;
}

static int64_t jump_of(struct tsc_history *history, const struct change_record *record)
{
	struct vm_history *thread = tsc_history_vm(history, record->thread);

	return vcpu_history_jump(vm_history_vcpu(thread, record->event.vcpu_id), record->segment);
}

static int by_time(const void *a, const void *b)
{
	const struct change_record *x = *(struct change_record *const *)a, *y = *(struct change_record *const *)b;
	int order = tsc_offset_event_compare(&x->event, &y->event);

	return order ? order : (x > y) - (x < y);
}

static int find_jumps(struct stream_changes *changes, struct tsc_history *history)
{
	_cleanup_(freep) struct change_record **sorted = calloc(changes->nr_records + 1, sizeof(*sorted));
	size_t nr_segments = 0;

	if (!sorted)
		return -ENOMEM;
	/* First, all threads that run vCPUs: afterwards, the history may get other threads */
	for (size_t i = 0; i < changes->nr_records; i++) {
		sorted[i] = &changes->records[i];
		sorted[i]->thread = thread_of(history, &sorted[i]->event);
	}
	array_sort(sorted, changes->nr_records, by_time);
	for (size_t i = 0; i < changes->nr_records; i++) {
		int ret = add_to_history(history, sorted[i]);

		if (ret < 0)
			return ret;
		if (ret)
			sorted[nr_segments++] = sorted[i];
	}
	/* The meaning of a vCPU's first events is known only now */
	for (size_t i = 0; i < nr_segments; i++)
		sorted[i]->jump = jump_of(history, sorted[i]);
	return 0;
}

static uint64_t read_khz(const struct trace_dat *dat)
{
	struct tsc2nsec tsc2nsec;

	if (!tsc2nsec_read(&tsc2nsec, dat) || tsc2nsec.shift > 63)
		return 0;
	return (uint64_t)((((u128)1000000 << tsc2nsec.shift) + tsc2nsec.mult / 2) / tsc2nsec.mult);
}

static int read_file(struct stream_changes *changes)
{
	struct kshark_data_stream *stream = changes->stream;
	const struct trace_dat_buffer *buffer;
	struct tsc_history history = { 0 };
	struct error error = { 0 };
	struct trace_dat dat;
	int ret;

	ret = trace_dat_open(&dat, stream->file, &error);
	if (ret)
		return ret;
	changes->host_khz = read_khz(&dat);
	ret = link_threads(&history, &dat);
	buffer = trace_dat_buffer_by_name(&dat, kshark_tep_is_top_stream(stream) ? "" : stream->name);
	if (buffer)
		changes->page_size = buffer->page_size;
	for (size_t i = 0; buffer && i < buffer->nr_cpus && !ret; i++)
		ret = read_cpu(changes, &history, &dat, buffer, &buffer->cpus[i]);
	if (!ret)
		ret = find_jumps(changes, &history);
	tsc_history_release(&history);
	trace_dat_close(&dat);
	return ret;
}

/* Keep only the events that report a change by themselves. Returns: false without any. */
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
 * stream_changes_init - read the changes in a stream's file
 * @changes: result; NULL if the stream cannot have changes, such as a guest's
 * @stream: an open stream in trace-cmd's format
 *
 * KernelShark's rows do not have the records, and its event handlers see records only while a stream's rows are loaded,
 * which is too early for a file that is opened as a second one.
 *
 * Returns: 0, -ENOMEM, or another negative errno if our reader refuses the file.
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
	new->entry_pid = entry ? tep_find_common_field(entry, "common_pid") : NULL;
	new->entry_vcpu_id = entry ? tep_find_field(entry, "vcpu_id") : NULL;
	if (new->entry_pid && new->entry_vcpu_id)
		new->entry_id = entry->id;
	ret = read_file(new);
	if (!ret) {
		new->changes = calloc(new->nr_records + 1, sizeof(*new->changes));
		ret = new->changes ? 0 : -ENOMEM;
	}
	if (ret) {
		stream_changes_free(new);
		return ret;
	}
	*changes = new;
	return 0;
}

/**
 * stream_changes_free - free the changes of a stream
 * @changes: may be NULL
 */
void stream_changes_free(struct stream_changes *changes)
{
	if (!changes)
		return;
	free(changes->cpus);
	free(changes->records);
	free(changes->changes);
	free(changes);
}

/* The frequency after a change, 0 if the file does not have it or no TSC has it */
static uint32_t guest_khz(const struct stream_changes *changes, const struct tsc_offset_event *event)
{
	u128 khz = changes->host_khz;

	if (event->ratio && khz <= UINT32_MAX)
		khz = (khz * event->ratio) >> event->frac_bits;
	return khz <= UINT32_MAX ? (uint32_t)khz : 0;
}

/*
 * KernelShark has the place of a record's entry in the file, or in the decompressed data. Pages begin at multiples of
 * their size there too.
 */
static bool is_row_of(const struct stream_changes *changes, const struct change_record *record,
		      const struct kshark_entry *row)
{
	return (uint64_t)row->offset % changes->page_size == record->place;
}

/* File and rows have the records of a CPU in recorded order */
static const struct change_record *next_record(struct stream_changes *changes, const struct kshark_entry *row)
{
	for (size_t i = 0; i < changes->nr_cpus; i++) {
		struct cpu_records *cpu = &changes->cpus[i];
		const struct change_record *record;

		if (cpu->cpu != (uint32_t)row->cpu)
			continue;
		if (cpu->next == cpu->end)
			return NULL;
		record = &changes->records[cpu->next++];
		return is_row_of(changes, record, row) ? record : NULL;
	}
	return NULL;
}

static bool is_ours(const struct stream_changes *changes, const struct kshark_entry *row)
{
	return row->stream_id == changes->stream->stream_id && tsc_event_format(&changes->formats, row->event_id);
}

/* KernelShark does not report that it reloaded rows, and the allocator often reuses freed memory */
static bool up_to_date(const struct stream_changes *changes, struct kshark_entry **rows, size_t nr_rows)
{
	if (rows != changes->rows || nr_rows != changes->nr_rows)
		return false;
	for (size_t i = 0; i < changes->nr_changes; i++) {
		const struct stream_change *change = &changes->changes[i];

		if (!is_ours(changes, rows[change->row]) || rows[change->row]->offset != change->position)
			return false;
	}
	return true;
}

static void find_rows(struct stream_changes *changes, struct kshark_entry **rows, size_t nr_rows)
{
	changes->rows = rows;
	changes->nr_rows = nr_rows;
	changes->nr_changes = 0;
	for (size_t i = 0; i < changes->nr_cpus; i++)
		changes->cpus[i].next = changes->cpus[i].first;
	for (size_t i = 0; i < nr_rows; i++) {
		const struct change_record *record =
			is_ours(changes, rows[i]) ? next_record(changes, rows[i]) : NULL;

		if (!record || !record->jump)
			continue;
		changes->changes[changes->nr_changes++] = (struct stream_change) {
			.row		= i,
			.position	= rows[i]->offset,
			.thread		= record->thread,
			.vcpu_id	= record->event.vcpu_id,
			.jump		= record->jump,
			.khz		= guest_khz(changes, &record->event),
		};
	}
}

/**
 * stream_changes_find - find the changes among the loaded rows
 * @changes: changes of a stream
 * @rows: rows of all streams, in the order of time
 * @nr_rows: number of @rows
 * @first: result: an array in the order of rows; valid until the next call
 *
 * Costs nearly nothing if nothing was loaded since the last call.
 *
 * Returns: its length.
 */
size_t stream_changes_find(struct stream_changes *changes, struct kshark_entry **rows, size_t nr_rows,
			   const struct stream_change **first)
{
	if (!up_to_date(changes, rows, nr_rows))
		find_rows(changes, rows, nr_rows);
	*first = changes->changes;
	return changes->nr_changes;
}

/**
 * stream_change_text - describe a change
 * @change: the change
 * @time: time of its row, as KernelShark has it
 * @text: room for the text
 *
 * Returns: the text in @text, such as "vcpu 0: +52000000 cycles (+20.030 ms) at 73.733233384".
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
