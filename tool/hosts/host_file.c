// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "boot_instance.h"
#include "cleanup.h"
#include "cpu_stats.h"
#include "cpu_stream.h"
#include "event_ids.h"
#include "host_changes.h"
#include "host_file.h"
#include "host_marks_apply.h"
#include "host_vms.h"
#include "merged_changes.h"
#include "order.h"
#include "probe_repeats.h"
#include "progress.h"
#include "trace_clock.h"
#include "trace_dat.h"
#include "tsc_changes.h"

/* Events between two checks of the clock */
#define PROGRESS_EVENTS	4096
/* Limit of pairs of threads and vCPUs: a host with thousands of CPUs has far fewer in a recording */
#define MAX_THREADS	(1U << 17)

/* The data of all buffers together */
struct totals {
	uint64_t	bytes;
	size_t		threads;
	size_t		changes;
};

/* A buffer being read */
struct scan {
	const struct trace_dat_buffer	*buffer;
	struct progress			*progress;
	struct totals			*totals;
	bool				by_tsc;
	struct tsc_offset_event		*events;
	size_t				nr_events, events_capacity;
	uint64_t			counts[NR_TSC_EVENTS];	/* including those that repeat known values */
	struct lost_range		*lost;
	size_t				nr_lost, lost_capacity;
	struct counted_loss		*counted;	/* at most one for each CPU */
	size_t				nr_counted;
	struct host_marks		marks;
	void				*threads;	/* a tree of struct host_thread */
	size_t				nr_threads;
	struct host_thread		*last_thread;
	struct probe_repeats		repeats;	/* of the current CPU */
	uint64_t			nr_entries;
	int				isa;
	uint64_t			nr_all;
	uint64_t			first, last;
	uint64_t			changes_first;	/* the latest of all merged buffers */
	bool				merged;		/* another buffer took all of its changes */
	struct host_clock		*clock;
	bool				clock_known;
};

static struct host_thread *new_thread(struct scan *scan, struct trace_dat *dat, const struct host_thread *key)
{
	struct host_thread *thread;

	if (scan->totals->threads == MAX_THREADS) {
		trace_dat_refuse(dat, -E2BIG, "more than %u threads of vCPUs", MAX_THREADS);
		return NULL;
	}
	thread = malloc(sizeof(*thread));
	if (thread)
		*thread = *key;
	return thread;
}

/* @key: without entries. Returns: NULL without memory, or after an error if there are too many. */
static struct host_thread *find_thread(struct scan *scan, struct trace_dat *dat, const struct host_thread *key)
{
	struct host_thread **found;

	if (scan->last_thread && !host_thread_compare(scan->last_thread, key))
		return scan->last_thread;
	found = tsearch(key, &scan->threads, host_thread_compare);
	if (!found)
		return NULL;
	if (*found == key) {
		struct host_thread *thread = new_thread(scan, dat, key);

		if (!thread) {
			tdelete(key, &scan->threads, host_thread_compare);
			return NULL;
		}
		*found = thread;
		scan->nr_threads++;
		scan->totals->threads++;
	}
	return scan->last_thread = *found;
}

/* Why find_thread() failed */
static int no_thread(const struct scan *scan)
{
	return scan->totals->threads == MAX_THREADS ? -E2BIG : -ENOMEM;
}

static int take_offset_event(struct scan *scan, struct trace_dat *dat, const struct event_ids *ids,
			     const struct tsc_offset_format *format, const struct ring_event *record)
{
	struct tsc_offset_event event;
	int ret = offset_event_read(dat, ids, format, record, &event);

	if (ret)
		return ret;
	scan->counts[format - ids->tsc.formats]++;
	if (probe_repeats(&scan->repeats, &event))
		return 0;
	if (scan->totals->changes++ == HOST_CHANGES_MAX)
		return trace_dat_refuse(dat, -E2BIG, "more than %u events of TSC offsets", HOST_CHANGES_MAX);
	if (array_reserve(scan->events, scan->nr_events, scan->events_capacity))
		return -ENOMEM;
	scan->events[scan->nr_events++] = event;
	return 0;
}

/* Their times are TSC values as in the file */
static int take_print(struct scan *scan, const struct event_ids *ids, const struct ring_event *record)
{
	size_t size, nr = scan->marks.nr;
	const char *text = scan->by_tsc ? print_text(&ids->print, record, &size) : NULL;
	uint64_t time = scan->clock_known ? host_clock_tsc(scan->clock, record->ts) : record->ts;
	struct host_mark *mark;
	int ret = text ? host_marks_take(&scan->marks, text, size, time) : 0;

	if (ret || scan->marks.nr == nr)
		return ret;
	mark = &scan->marks.list[nr];
	mark->from = record->ts - (time - mark->mark.from);
	mark->until = record->ts - (time - mark->mark.until);
	mark->epoch = scan->clock_known ? host_clock_epoch(scan->clock, record->ts) : 0;
	return 0;
}

static int take_entry(struct scan *scan, struct trace_dat *dat, const struct event_ids *ids,
		      const struct ring_event *record)
{
	struct host_thread key = { .vm_fd = -1 }, *thread;

	if (guest_mode_decode(&ids->entry, record, &key.tid, &key.vcpu_id))
		return trace_dat_fail(dat, -EBADMSG, 0,
				      "a kvm_entry that does not fit its format, at time %llu",
				      (unsigned long long)record->ts);
	thread = find_thread(scan, dat, &key);
	if (!thread)
		return no_thread(scan);
	host_thread_add_entries(thread, &(struct host_thread) {
		.entries = 1, .first = record->ts, .last = record->ts,
	});
	scan->nr_entries++;
	return 0;
}

static int add_loss(struct scan *scan, uint64_t from, uint64_t to)
{
	if (array_reserve(scan->lost, scan->nr_lost, scan->lost_capacity))
		return -ENOMEM;
	scan->lost[scan->nr_lost++] = (struct lost_range) { .from = from, .to = to };
	return 0;
}

static int take_counts(struct scan *scan, const struct trace_dat_cpu *cpu, const struct cpu_stats *stats,
		       const struct cpu_events *events)
{
	struct counted_loss *counted = &scan->counted[scan->nr_counted];

	*counted = (struct counted_loss) { .cpu = cpu->cpu };
	if (!stats || !cpu_stats_loss(stats, events, &counted->lost))
		return 0;
	scan->nr_counted++;
	return add_loss(scan, counted->lost.from, counted->lost.to);
}

/* Where to store the times of a CPU; NULL if they are known, or are not TSC values */
static struct host_clock_cpu *new_times(struct scan *scan, const struct trace_dat_cpu *cpu)
{
	struct host_clock_cpu *times;

	if (scan->clock_known || !scan->by_tsc || !cpu->size)
		return NULL;
	times = &scan->clock->cpus[scan->clock->nr_cpus++];
	times->cpu = cpu;
	return times;
}

static int scan_cpu(struct scan *scan, struct trace_dat *dat, const struct event_ids *ids,
		    const struct trace_dat_cpu *cpu, const struct cpu_stats *stats)
{
	struct host_clock_cpu *times = new_times(scan, cpu);
	struct cpu_events events = { 0 };
	struct cpu_stream stream;
	int ret;

	ret = cpu_stream_open(&stream, dat, scan->buffer, cpu);
	cpu_stream_set_clock(&stream, scan->clock);
	while (!ret && (ret = cpu_stream_next(&stream)) > 0) {
		int id = ring_event_id(&stream.event);
		const struct tsc_offset_format *format = tsc_event_format(&ids->tsc, id);

		ret = 0;
		events.nr++;
		events.last = stream.event.ts;
		if (!(scan->nr_all % PROGRESS_EVENTS))
			progress_at(scan->progress, scan->totals->bytes + cpu->size - stream.left);
		if (!scan->nr_all++ || stream.event.ts < scan->first)
			scan->first = stream.event.ts;
		if (stream.event.ts > scan->last)
			scan->last = stream.event.ts;
		if (stream.lost) {
			/* The repeated values may be among the lost ones */
			probe_repeats_release(&scan->repeats);
			ret = add_loss(scan, stream.lost_since, stream.event.ts);
			/* A loss without a number may have been all */
			events.told = stream.page.nr_lost && events.told < UINT64_MAX - stream.page.nr_lost ?
				events.told + stream.page.nr_lost : UINT64_MAX;
		}
		if (!ret && times && !host_clock_add(times, stream.event.ts))
			ret = trace_dat_refuse(dat, -ERANGE, "the host's TSC went back more than %d times",
					     HOST_CLOCK_MAX_EPOCHS - 1);
		if (!ret && format)
			ret = take_offset_event(scan, dat, ids, format, &stream.event);
		else if (!ret && id == ids->entry.id)
			ret = take_entry(scan, dat, ids, &stream.event);
		else if (!ret && id == ids->print.id)
			ret = take_print(scan, ids, &stream.event);
		else if (!scan->isa && id == ids->exit.id)
			scan->isa = guest_mode_isa(&ids->exit, &stream.event);
	}
	if (!ret)
		ret = take_counts(scan, cpu, stats, &events);
	scan->totals->bytes += cpu->size;
	probe_repeats_release(&scan->repeats);
	cpu_stream_close(&stream);
	return ret;
}

static int scan_buffer(struct scan *scan, struct trace_dat *dat, const struct event_ids *ids,
		       const struct trace_dat_buffer *buffer)
{
	_cleanup_(freep) struct cpu_stats *stats = NULL;
	size_t nr_stats;
	char clock[64];
	int ret;

	scan->buffer = buffer;
	scan->by_tsc = trace_clock_is_tsc(dat, buffer, clock, sizeof(clock));
	scan->counted = calloc(buffer->nr_cpus + 1, sizeof(*scan->counted));
	ret = scan->counted ? cpu_stats_of_file(&stats, &nr_stats, dat, buffer) : -ENOMEM;
	for (size_t i = 0; i < buffer->nr_cpus && !ret; i++)
		ret = scan_cpu(scan, dat, ids, &buffer->cpus[i],
			       cpu_stats_find(stats, nr_stats, buffer->cpus[i].cpu));
	return ret;
}

static void release_scan(struct scan *scan)
{
	free(scan->events);
	free(scan->lost);
	free(scan->counted);
	host_marks_release(&scan->marks);
	tdestroy(scan->threads, free);
}

struct collect {
	struct host_thread	*threads;
	size_t			nr;
};

static void collect_thread(const void *node, VISIT visit, void *closure)
{
	struct collect *collect = closure;

	if (visit == postorder || visit == leaf)
		collect->threads[collect->nr++] = **(struct host_thread *const *)node;
}

/* The threads of changes */
static int take_threads_of_changes(struct host *host, struct scan *offsets)
{
	for (size_t i = 0; i < host->nr_offset_events; i++) {
		const struct tsc_offset_event *event = &host->events[i];
		struct host_thread *thread = find_thread(offsets, host->dat, &(struct host_thread) {
			.tid = event->tid, .vcpu_id = event->vcpu_id,
			.vm_pid = event->vm_pid, .vm_fd = event->vm_fd, .vm_life = event->vm_life,
			.vm_id = event->vm_id,
		});

		if (!thread)
			return no_thread(offsets);
		if (!thread->vm_id)
			thread->vm_id = event->vm_id;
		/* Before that, another VM had that name */
		if (event->vm_life && !thread->since)
			thread->since = event->host_tsc;
	}
	return 0;
}

/* Do events have the VM of a thread's vCPU? @known: in the order of host_thread_compare() */
static bool is_named(const struct collect *known, const struct host_thread *marked)
{
	const struct host_thread key = { .tid = marked->tid, .vcpu_id = marked->vcpu_id, .vm_pid = INT_MIN };
	size_t first = first_where(i, known->nr, host_thread_compare(&known->threads[i], &key) >= 0);

	for (size_t i = first; i < known->nr; i++) {
		const struct host_thread *thread = &known->threads[i];

		if (thread->tid != marked->tid || thread->vcpu_id != marked->vcpu_id)
			return false;
		if (thread->vm_pid)
			return true;
	}
	return false;
}

/* The threads in marks, unless events have their VMs */
static int take_threads_of_marks(struct host *host, struct scan *offsets)
{
	_cleanup_(freep) struct host_thread *threads = NULL;
	struct collect known = { 0 };
	size_t nr;
	int ret = host_marks_threads(host, &threads, &nr);

	if (ret || !nr)
		return ret;
	known.threads = calloc(offsets->nr_threads + 1, sizeof(*known.threads));
	if (!known.threads)
		return -ENOMEM;
	twalk_r(offsets->threads, collect_thread, &known);
	for (size_t i = 0; i < nr && !ret; i++) {
		if (!is_named(&known, &threads[i]) && !find_thread(offsets, host->dat, &threads[i]))
			ret = no_thread(offsets);
	}
	free(known.threads);
	return ret;
}

/* Changes come from one buffer and guest modes perhaps from another: both show threads */
static int take_threads(struct host *host, struct scan *offsets, const struct scan *modes)
{
	struct collect collect = { 0 };
	int ret = take_threads_of_changes(host, offsets);

	if (!ret)
		ret = take_threads_of_marks(host, offsets);
	if (ret)
		return ret;
	if (modes && modes != offsets) {
		struct collect more = { calloc(modes->nr_threads + 1, sizeof(*more.threads)), 0 };

		ret = more.threads ? 0 : -ENOMEM;
		if (!ret)
			twalk_r(modes->threads, collect_thread, &more);
		for (size_t i = 0; i < more.nr && !ret; i++) {
			struct host_thread key = more.threads[i], *thread;

			key.entries = 0;
			thread = find_thread(offsets, host->dat, &key);
			ret = thread ? 0 : no_thread(offsets);
			if (thread)
				host_thread_add_entries(thread, &more.threads[i]);
		}
		free(more.threads);
		if (ret)
			return ret;
	}
	collect.threads = calloc(offsets->nr_threads + 1, sizeof(*collect.threads));
	if (!collect.threads)
		return -ENOMEM;
	twalk_r(offsets->threads, collect_thread, &collect);
	return host_vms_set_threads(host, collect.threads, collect.nr);
}

static bool is_boot_instance(const struct scan *scan)
{
	return !strcmp(scan->buffer->name, BOOT_INSTANCE);
}

static uint64_t nr_writes(const struct scan *scan)
{
	uint64_t nr = 0;

	for (size_t i = 0; i < NR_TSC_WRITES; i++)
		nr += scan->counts[i];
	return nr;
}

static bool better_for_offsets(const struct scan *a, const struct scan *b)
{
	if (a->by_tsc != b->by_tsc)
		return a->by_tsc;
	/* Loads show a change afterwards */
	if (!nr_writes(a) != !nr_writes(b))
		return nr_writes(a);
	if (is_boot_instance(a) != is_boot_instance(b))
		return is_boot_instance(a);
	return a->nr_events > b->nr_events;
}

static bool better_for_modes(const struct scan *a, const struct scan *b)
{
	return a->by_tsc != b->by_tsc ? a->by_tsc : a->nr_entries > b->nr_entries;
}

static void take_span(struct host *host, const struct scan *scans, size_t nr, const struct scan *modes)
{
	host->recorded_first = UINT64_MAX;
	for (size_t i = 0; i < nr; i++) {
		const struct scan *scan = &scans[i];

		if (!scan->nr_all || (!scan->by_tsc && scan != modes))
			continue;
		if (scan->first < host->recorded_first)
			host->recorded_first = scan->first;
		if (scan->last > host->recorded_last)
			host->recorded_last = scan->last;
	}
}

/* Do @changes belong to the VMs of the file? Then they include its first event. */
static bool concerns_file(const struct host_changes *changes, const struct host *host)
{
	const struct tsc_offset_event *first = host->events;

	if (changes->lost || !host->nr_offset_events)
		return true;
	for (size_t i = 0; i < changes->nr; i++) {
		if (changes->events[i].tid == first->tid)
			return true;
	}
	return false;
}

/* @changes are complete from the beginning, even if the file is not */
static int use_changes(struct host *host, const struct host_changes *changes)
{
	free(host->events);
	free(host->lost);
	host->lost = NULL;
	host->nr_lost = host->nr_offset_events = 0;
	host->events = calloc(changes->nr + 1, sizeof(*host->events));
	if (!host->events)
		return -ENOMEM;
	if (changes->nr)
		memcpy(host->events, changes->events, changes->nr * sizeof(*host->events));
	host->nr_offset_events = changes->nr;
	if (!changes->lost)
		return 0;
	host->lost = calloc(1, sizeof(*host->lost));
	if (!host->lost)
		return -ENOMEM;
	host->lost[host->nr_lost++] = (struct lost_range) { .to = UINT64_MAX };
	return 0;
}

/* A buffer's losses may be changes that no other buffer has */
static int take_losses(struct scan *offsets, const struct scan *other)
{
	int ret = 0;

	for (size_t i = 0; i < other->nr_lost && !ret; i++)
		ret = add_loss(offsets, other->lost[i].from, other->lost[i].to);
	return ret;
}

/* @other has changes that @offsets lacks */
static int join(struct scan *offsets, const struct scan *other)
{
	if (other->first < offsets->first)
		offsets->first = other->first;
	if (other->first > offsets->changes_first)
		offsets->changes_first = other->first;
	if (other->last > offsets->last)
		offsets->last = other->last;
	offsets->nr_all += other->nr_all;
	return take_losses(offsets, other);
}

/* Changes may be spread over several buffers, and some may be in more than one, each time with another time */
static int merge_changes(struct host *host, struct scan *scans, size_t nr, struct scan *offsets,
			 const struct event_ids *ids)
{
	_cleanup_(freep) const struct trace_dat_buffer **buffers = calloc(nr + 1, sizeof(*buffers));
	struct merged_changes merged;
	size_t nr_buffers = 1;
	int ret;

	if (!buffers)
		return -ENOMEM;
	buffers[0] = offsets->buffer;
	for (size_t i = 0; i < nr; i++) {
		scans[i].merged = offsets->by_tsc && scans[i].by_tsc && scans[i].nr_events;
		if (scans[i].merged && &scans[i] != offsets)
			buffers[nr_buffers++] = scans[i].buffer;
	}
	if (nr_buffers == 1)
		return 0;
	ret = merged_changes_read(&merged, host->dat, &host->clock, ids, buffers, nr_buffers);
	for (size_t i = 0, buffer = 1; i < nr && !ret; i++) {
		if (scans[i].merged && &scans[i] != offsets && merged.needed >> buffer++ & 1)
			ret = join(offsets, &scans[i]);
	}
	if (!ret) {
		free(offsets->events);
		offsets->events = merged.events;
		offsets->nr_events = merged.nr;
		memcpy(offsets->counts, merged.counts, sizeof(offsets->counts));
		merged.events = NULL;
	}
	merged_changes_release(&merged);
	return ret;
}

/* Changes with another clock cannot be merged: does it have some that the others lack? */
static bool is_missed(const struct scan *scan, const struct scan *offsets)
{
	for (size_t i = 0; i < NR_TSC_WRITES; i++) {
		if (scan->counts[i] > offsets->counts[i])
			return !scan->merged;
	}
	return false;
}

/* Would the kernel's own event of any write have been read, or be in a reported loss? */
static bool has_kernel_events(const struct scan *scans, size_t nr, const struct scan *offsets,
			      const struct event_ids *ids)
{
	if (ids->tsc.ids[0] == TSC_EVENT_NONE || offsets->counts[0])
		return ids->tsc.ids[0] != TSC_EVENT_NONE;
	for (size_t i = 0; i < nr; i++) {
		if (&scans[i] != offsets && !scans[i].merged && (scans[i].nr_lost || scans[i].counts[0]))
			return false;
	}
	return true;
}

/* Merge the changes of all buffers into @offsets, the best of them */
static int join_buffers(struct host *host, struct scan *scans, size_t nr, struct scan *offsets,
			const struct scan *modes, const struct event_ids *ids)
{
	int ret;

	offsets->changes_first = offsets->first;
	ret = merge_changes(host, scans, nr, offsets, ids);
	/* In a buffer with other KVM events, there may have been events of changes that were all lost */
	if (!ret && modes && modes != offsets && modes->by_tsc && !modes->merged && !nr_writes(offsets))
		ret = take_losses(offsets, modes);
	for (size_t i = 0; i < nr && !host->missed; i++) {
		if (is_missed(&scans[i], offsets))
			host->missed = scans[i].buffer;
	}
	return ret;
}

/* The time from which on no event was lost */
static uint64_t complete_from(const struct scan *scan)
{
	uint64_t from = scan->first;

	for (size_t i = 0; i < scan->nr_lost; i++) {
		if (scan->lost[i].to > from)
			from = scan->lost[i].to;
	}
	return from;
}

/*
 * Changes with another clock than the TSC are not usable, but show what the file could have if there are no others.
 */
static int choose_buffers(struct host *host, struct scan *scans, size_t nr, const struct event_ids *ids,
			  const struct host_changes *changes)
{
	struct scan *offsets = NULL, *modes = NULL;
	bool with_kernel;
	int ret;

	for (size_t i = 0; i < nr; i++) {
		struct scan *scan = &scans[i];

		if (scan->nr_events && (!offsets || better_for_offsets(scan, offsets)))
			offsets = scan;
		if (scan->nr_entries && (!modes || better_for_modes(scan, modes)))
			modes = scan;
	}
	host->offsets = offsets ? offsets->buffer : NULL;
	host->guest_modes = modes ? modes->buffer : NULL;
	host->modes_from = modes && modes->by_tsc ? complete_from(modes) : UINT64_MAX;
	host->modes_last = modes ? modes->last : 0;
	host->isa = modes ? modes->isa : 0;
	if (modes) {
		host->modes_lost = modes->counted;
		host->nr_modes_lost = modes->nr_counted;
		modes->counted = NULL;
	}
	take_span(host, scans, nr, modes);
	for (size_t i = 0; i < nr; i++) {
		ret = host_marks_move(&host->marks, &scans[i].marks);
		if (ret)
			return ret;
	}
	if (!offsets)
		offsets = modes;
	if (!offsets && changes && nr)
		offsets = &scans[0];
	if (!offsets)
		return 0;
	ret = join_buffers(host, scans, nr, offsets, modes, ids);
	if (ret)
		return ret;
	with_kernel = has_kernel_events(scans, nr, offsets, ids);
	host->first = offsets->first;
	host->changes_first = offsets->changes_first;
	host->last = offsets->last;
	host->nr_events = offsets->nr_all;
	host->events = offsets->events;
	host->nr_offset_events = offsets->nr_events;
	host->lost = offsets->lost;
	host->nr_lost = offsets->nr_lost;
	offsets->events = NULL;
	offsets->lost = NULL;
	/* Otherwise the file has everything */
	if (changes && !concerns_file(changes, host))
		changes = NULL;
	if (changes) {
		host->missed = NULL;
		ret = use_changes(host, changes);
	}
	if (ret)
		return ret;
	if (host->nr_offset_events)
		qsort(host->events, host->nr_offset_events, sizeof(*host->events),
		      tsc_offset_event_compare);
	host_vms_sort_losses(host);
	ret = host_marks_name_vms(host);
	if (ret)
		return ret;
	ret = tsc_changes_make(host->events, &host->nr_offset_events, changes || with_kernel);
	return ret ? ret : take_threads(host, offsets, modes);
}

static uint64_t bytes_of_buffers(const struct trace_dat *dat, size_t *nr_cpus)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < dat->nr_buffers; i++) {
		for (size_t cpu = 0; cpu < dat->buffers[i].nr_cpus; cpu++)
			sum += dat->buffers[i].cpus[cpu].size;
		*nr_cpus += dat->buffers[i].nr_cpus;
	}
	return sum;
}

static void release_scans(struct scan *scans, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		release_scan(&scans[i]);
}

static int scan_buffers(struct host *host, struct scan *scans, struct totals *totals, const struct event_ids *ids,
			bool clock_known)
{
	struct trace_dat *dat = host->dat;
	struct progress progress;
	size_t nr_cpus = 0;
	int ret = 0;

	*totals = (struct totals) { 0 };
	progress_begin(&progress, dat->path, bytes_of_buffers(dat, &nr_cpus));
	if (!clock_known)
		host->clock.cpus = calloc(nr_cpus + 1, sizeof(*host->clock.cpus));
	if (!host->clock.cpus)
		ret = -ENOMEM;
	for (size_t i = 0; i < dat->nr_buffers && !ret; i++) {
		scans[i] = (struct scan) {
			.progress = &progress, .totals = totals, .clock = &host->clock,
			.clock_known = clock_known,
		};
		ret = scan_buffer(&scans[i], dat, ids, &dat->buffers[i]);
	}
	progress_end(&progress);
	return ret;
}

static int scan_file(struct host *host, const struct event_ids *ids, const struct host_changes *changes)
{
	struct trace_dat *dat = host->dat;
	struct scan *scans = calloc(dat->nr_buffers + 1, sizeof(*scans));
	struct totals totals;
	int ret = scans ? scan_buffers(host, scans, &totals, ids, false) : -ENOMEM;

	if (!ret && host_clock_make(&host->clock))
		ret = trace_dat_refuse(dat, -ERANGE, "the host's TSC went back, and its times do not fit into 63 bits");
	/* Rare: read all again, with times that do not go back */
	if (!ret && host_clock_went_back(&host->clock)) {
		release_scans(scans, dat->nr_buffers);
		ret = scan_buffers(host, scans, &totals, ids, true);
	}
	if (!ret)
		ret = choose_buffers(host, scans, dat->nr_buffers, ids, changes);
	if (scans)
		release_scans(scans, dat->nr_buffers);
	free(scans);
	return ret;
}

/* trace-cmd includes the formats of those events in its recordings */
static bool reports_changes(const struct event_ids *ids)
{
	for (size_t i = 0; i < NR_TSC_EVENTS; i++) {
		const struct tsc_event_name *event = &tsc_event_names[i];

		if (ids->tsc.ids[i] != TSC_EVENT_NONE &&
		    (!strcmp(event->name, TSC_OFFSET_EVENT) || !strcmp(event->name, TSC_PROBE_OFFSET)))
			return true;
	}
	return false;
}

/**
 * host_file_read - read the VMs of a host's file
 * @host: result; must be released in any case
 * @dat: the open file; must stay open while the result is used
 * @changes: the events that record captured, used instead of those in the file; NULL without
 *
 * All buffers are read, from the raw pages.
 *
 * Returns: 0, also without any VM, or a negative errno with the reason in @dat->error.
 */
int host_file_read(struct host *host, struct trace_dat *dat, const struct host_changes *changes)
{
	struct event_ids ids;
	int ret;

	*host = (struct host) { .dat = dat };
	ret = event_ids_read(&ids, dat);
	/* On arm64 and others, kvm_entry does not have this field, and there is no TSC */
	if (!ret && ids.entry.id != EVENT_ID_NONE && !ids.entry.vcpu_id)
		ret = trace_dat_refuse(dat, -ENOTSUP,
				       "its kvm_entry does not say which vCPU it is of: this is not the file of an x86 host");
	host->reports_changes = !ret && (changes || reports_changes(&ids));
	if (!ret)
		ret = scan_file(host, &ids, changes);
	event_ids_release(&ids);
	if (!ret)
		ret = host_vms_group(host);
	if (!ret)
		ret = host_vms_build_histories(host);
	if (!ret)
		ret = host_marks_apply(host);
	return error_keep(dat->error, ret, dat->path);
}

/**
 * host_release - free a host
 * @host: the host, also after a failed read
 */
void host_release(struct host *host)
{
	host_vms_release(host);
	free(host->events);
	free(host->lost);
	free(host->modes_lost);
	host_marks_release(&host->marks);
	host_clock_release(&host->clock);
	free(host->threads);
	*host = (struct host) { 0 };
}

/* Returns: false if the file does not have the kernel that recorded it: "Linux NODE 6.1.0-1-amd64 x86_64" */
static bool kernel_version(const struct host *host, int *major, int *minor)
{
	const struct trace_dat_option *uname = trace_dat_option(host->dat, TRACE_DAT_UNAME);

	return uname && sscanf((const char *)uname->data, "%*s %*s %d.%d", major, minor) == 2;
}

/*
 * Up to Linux 6.1, KVM on AMD recorded kvm_exit in svm_handle_exit(), which the fast paths of svm_vcpu_run() bypass. On
 * Intel each exit is recorded.
 */
static bool may_pass_exits(const struct host *host, bool if_not_known)
{
	int major, minor;

	if (host->isa != GUEST_MODE_SVM)
		return false;
	if (!kernel_version(host, &major, &minor))
		return if_not_known;
	return major < 6 || (major == 6 && minor <= 1);
}

/**
 * host_has_fast_path - may a vCPU enter guest mode again without a kvm_exit?
 * @host: a host from a file
 *
 * Returns: true if KVM certainly does that.
 */
bool host_has_fast_path(const struct host *host)
{
	return may_pass_exits(host, false);
}

/**
 * host_records_exits - does each exit from guest mode have a kvm_exit?
 * @host: a host from a file
 *
 * Returns: true if so; false if KVM may have fast paths without one.
 */
bool host_records_exits(const struct host *host)
{
	return !may_pass_exits(host, true);
}
