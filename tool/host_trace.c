// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "cpu_stats.h"
#include "cpu_stream.h"
#include "event_ids.h"
#include "guest_option.h"
#include "host_trace.h"
#include "instance.h"
#include "progress.h"
#include "trace_clock.h"
#include "trace_dat.h"
#include "vm_process.h"

/* How many events between two looks at the time */
#define PROGRESS_EVENTS	4096

/* One buffer while it is read */
struct scan {
	const struct trace_dat_buffer	*buffer;
	struct progress			*progress;
	uint64_t			*bytes_done;	/* of all buffers, for @progress */
	bool				by_tsc;
	struct tsc_offset_event		*events;
	size_t				nr_events, events_capacity;
	struct lost_range		*lost;
	size_t				nr_lost, lost_capacity;
	void				*threads;	/* a tree of struct host_thread */
	size_t				nr_threads;
	struct host_thread		*last_thread;
	uint64_t			nr_entries;
	uint64_t			nr_all;
	uint64_t			first, last;
};

/* Returns: room for one more at the end of an array, or NULL */
static void *grow(void *array, size_t nr, size_t *capacity, size_t size)
{
	size_t wanted = *capacity ? 2 * *capacity : 64;
	void *grown;

	if (nr < *capacity)
		return array;
	grown = reallocarray(array, wanted, size);
	if (grown)
		*capacity = wanted;
	return grown;
}

/* A thread whose VM is not known yet */
#define NO_OWNER	SIZE_MAX

static int compare_numbers(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int compare_threads(const void *a, const void *b)
{
	const struct host_thread *x = a, *y = b;
	int order = compare_numbers(x->tid, y->tid);

	return order ? order : compare_numbers(x->vcpu_id, y->vcpu_id);
}

static struct host_thread *find_thread(struct scan *scan, int tid, uint32_t vcpu_id)
{
	struct host_thread key = { .tid = tid, .vcpu_id = vcpu_id }, **found;

	if (scan->last_thread && !compare_threads(scan->last_thread, &key))
		return scan->last_thread;
	found = tsearch(&key, &scan->threads, compare_threads);
	if (!found)
		return NULL;
	if (*found == &key) {
		struct host_thread *thread = malloc(sizeof(*thread));

		if (!thread) {
			tdelete(&key, &scan->threads, compare_threads);
			return NULL;
		}
		*thread = key;
		*found = thread;
		scan->nr_threads++;
	}
	return scan->last_thread = *found;
}

static int take_offset_event(struct scan *scan, struct trace_dat *dat,
			     const struct tsc_offset_format *format, const struct ring_event *record)
{
	struct tsc_offset_event event, *events;
	struct host_thread *thread;

	if (tsc_offset_event_decode(format, record->ts, record->data, record->size, &event))
		return trace_dat_fail(dat, -EBADMSG, 0, "a %s that does not fit its format, at time %llu",
				      TSC_OFFSET_EVENT, (unsigned long long)record->ts);
	events = grow(scan->events, scan->nr_events, &scan->events_capacity, sizeof(*events));
	thread = find_thread(scan, event.tid, event.vcpu_id);
	if (events)
		scan->events = events;
	if (!events || !thread)
		return -ENOMEM;
	events[scan->nr_events++] = event;
	if (event.vm_pid)
		thread->vm = event.vm_pid;
	return 0;
}

static int take_entry(struct scan *scan, struct trace_dat *dat, const struct event_ids *ids,
		      const struct ring_event *record)
{
	struct host_thread *thread;
	uint32_t vcpu_id = 0;
	int tid;

	if (guest_mode_decode(&ids->entry, record, &tid, &vcpu_id))
		return trace_dat_fail(dat, -EBADMSG, 0,
				      "a kvm_entry that does not fit its format, at time %llu",
				      (unsigned long long)record->ts);
	thread = find_thread(scan, tid, vcpu_id);
	if (!thread)
		return -ENOMEM;
	thread->entries++;
	scan->nr_entries++;
	return 0;
}

static int add_loss(struct scan *scan, uint64_t from, uint64_t to)
{
	struct lost_range *lost = grow(scan->lost, scan->nr_lost, &scan->lost_capacity, sizeof(*lost));

	if (!lost)
		return -ENOMEM;
	scan->lost = lost;
	lost[scan->nr_lost++] = (struct lost_range) { from, to };
	return 0;
}

/*
 * A page tells of events that were overwritten before it. Those after the last page, and those that found
 * no room at any time, only the kernel's counts know of.
 */
static int take_counted_losses(struct scan *scan, const struct cpu_stream *stream,
			       const struct cpu_stats *stats, uint64_t told)
{
	uint64_t last = stream->event.ts, end = UINT64_MAX;

	if (!stats)
		return 0;
	if (stats->by_cycles && stats->now > last)
		end = stats->now;
	if (stats->dropped)
		return add_loss(scan, 0, end);
	return stats->overrun > told ? add_loss(scan, last, end) : 0;
}

static int scan_cpu(struct scan *scan, struct trace_dat *dat, const struct event_ids *ids,
		    const struct trace_dat_cpu *cpu, const struct cpu_stats *stats)
{
	struct cpu_stream stream;
	uint64_t told = 0;
	int ret;

	ret = cpu_stream_open(&stream, dat, scan->buffer, cpu);
	while (!ret && (ret = cpu_stream_next(&stream)) > 0) {
		int id = ring_event_id(&stream.event);
		const struct tsc_offset_format *format = tsc_event_format(&ids->tsc, id);

		ret = 0;
		if (!(scan->nr_all % PROGRESS_EVENTS))
			progress_at(scan->progress, *scan->bytes_done + cpu->size - stream.left);
		if (!scan->nr_all++ || stream.event.ts < scan->first)
			scan->first = stream.event.ts;
		if (stream.event.ts > scan->last)
			scan->last = stream.event.ts;
		if (stream.lost) {
			ret = add_loss(scan, stream.lost_since, stream.event.ts);
			/* One that does not say how many may have been all */
			told = stream.page.nr_lost && told < UINT64_MAX - stream.page.nr_lost ?
				told + stream.page.nr_lost : UINT64_MAX;
		}
		if (!ret && format)
			ret = take_offset_event(scan, dat, format, &stream.event);
		else if (!ret && id == ids->entry.id)
			ret = take_entry(scan, dat, ids, &stream.event);
	}
	if (!ret)
		ret = take_counted_losses(scan, &stream, stats, told);
	*scan->bytes_done += cpu->size;
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
	ret = cpu_stats_of_file(&stats, &nr_stats, dat, buffer);
	for (size_t i = 0; i < buffer->nr_cpus && !ret; i++)
		ret = scan_cpu(scan, dat, ids, &buffer->cpus[i],
			       cpu_stats_find(stats, nr_stats, buffer->cpus[i].cpu));
	return ret;
}

static void release_scan(struct scan *scan)
{
	free(scan->events);
	free(scan->lost);
	tdestroy(scan->threads, free);
}

static int compare_events(const void *a, const void *b)
{
	const struct tsc_offset_event *x = a, *y = b;

	return (x->host_tsc > y->host_tsc) - (x->host_tsc < y->host_tsc);
}

static int compare_losses(const void *a, const void *b)
{
	const struct lost_range *x = a, *y = b;

	return (x->to > y->to) - (x->to < y->to);
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

/**
 * host_trace_set_threads - say which threads have to do with a vCPU
 * @host: being read
 * @threads: in the order of tid and vcpu_id; @host owns them from now on
 * @nr: how many
 *
 * Returns: 0 or -ENOMEM.
 */
int host_trace_set_threads(struct host_trace *host, struct host_thread *threads, size_t nr)
{
	host->threads = threads;
	host->nr_threads = nr;
	host->owners = malloc((nr + 1) * sizeof(*host->owners));
	for (size_t i = 0; host->owners && i < nr; i++)
		host->owners[i] = NO_OWNER;
	return host->owners ? 0 : -ENOMEM;
}

/* Offsets from one buffer and guest modes from maybe another: both tell of threads */
static int take_threads(struct host_trace *host, struct scan *offsets, const struct scan *modes)
{
	struct collect collect = { 0 };

	if (modes && modes != offsets) {
		struct collect more = { calloc(modes->nr_threads + 1, sizeof(*more.threads)), 0 };
		int ret = more.threads ? 0 : -ENOMEM;

		if (!ret)
			twalk_r(modes->threads, collect_thread, &more);
		for (size_t i = 0; i < more.nr && !ret; i++) {
			struct host_thread *thread = find_thread(offsets, more.threads[i].tid,
								 more.threads[i].vcpu_id);

			ret = thread ? 0 : -ENOMEM;
			if (thread)
				thread->entries += more.threads[i].entries;
		}
		free(more.threads);
		if (ret)
			return ret;
	}
	collect.threads = calloc(offsets->nr_threads + 1, sizeof(*collect.threads));
	if (!collect.threads)
		return -ENOMEM;
	twalk_r(offsets->threads, collect_thread, &collect);
	return host_trace_set_threads(host, collect.threads, collect.nr);
}

static bool is_boot_instance(const struct scan *scan)
{
	return !strcmp(scan->buffer->name, BOOT_INSTANCE);
}

static bool better_for_offsets(const struct scan *a, const struct scan *b)
{
	if (a->by_tsc != b->by_tsc)
		return a->by_tsc;
	if (is_boot_instance(a) != is_boot_instance(b))
		return is_boot_instance(a);
	return a->nr_events > b->nr_events;
}

static bool better_for_modes(const struct scan *a, const struct scan *b)
{
	return a->by_tsc != b->by_tsc ? a->by_tsc : a->nr_entries > b->nr_entries;
}

/*
 * The same events may be in several buffers, each with times of its own: one of them is to be used. Those of
 * another clock than the TSC are of no use, but they tell what the file is worth if there are no others.
 */
static int choose_buffers(struct host_trace *host, struct scan *scans, size_t nr)
{
	struct scan *offsets = NULL, *modes = NULL;
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
	if (!offsets)
		offsets = modes;
	if (!offsets)
		return 0;
	host->first = offsets->first;
	host->last = offsets->last;
	host->nr_events = offsets->nr_all;
	ret = take_threads(host, offsets, modes);
	if (ret)
		return ret;
	host->events = offsets->events;
	host->nr_offset_events = offsets->nr_events;
	host->lost = offsets->lost;
	host->nr_lost = offsets->nr_lost;
	offsets->events = NULL;
	offsets->lost = NULL;
	if (host->nr_offset_events)
		qsort(host->events, host->nr_offset_events, sizeof(*host->events), compare_events);
	if (host->nr_lost)
		qsort(host->lost, host->nr_lost, sizeof(*host->lost), compare_losses);
	return 0;
}

static uint64_t bytes_of_buffers(const struct trace_dat *dat)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < dat->nr_buffers; i++) {
		for (size_t cpu = 0; cpu < dat->buffers[i].nr_cpus; cpu++)
			sum += dat->buffers[i].cpus[cpu].size;
	}
	return sum;
}

static int scan_file(struct host_trace *host, const struct event_ids *ids)
{
	struct trace_dat *dat = host->dat;
	struct scan *scans = calloc(dat->nr_buffers + 1, sizeof(*scans));
	struct progress progress;
	uint64_t bytes_done = 0;
	int ret = scans ? 0 : -ENOMEM;

	progress_begin(&progress, dat->path, bytes_of_buffers(dat));
	for (size_t i = 0; i < dat->nr_buffers && !ret; i++) {
		scans[i].progress = &progress;
		scans[i].bytes_done = &bytes_done;
		ret = scan_buffer(&scans[i], dat, ids, &dat->buffers[i]);
	}
	progress_end(&progress);
	if (!ret)
		ret = choose_buffers(host, scans, dat->nr_buffers);
	for (size_t i = 0; scans && i < dat->nr_buffers; i++)
		release_scan(&scans[i]);
	free(scans);
	return ret;
}

/**
 * host_trace_add_vm - one more VM, without threads
 * @host: being read
 * @id: what it is called
 * @evidence: why its threads are one VM's
 *
 * Returns: the VM, or NULL without memory. The others move in memory.
 */
struct host_vm *host_trace_add_vm(struct host_trace *host, int id, enum vm_evidence evidence)
{
	struct host_vm *vms = reallocarray(host->vms, host->nr_vms + 1, sizeof(*vms));

	if (!vms)
		return NULL;
	host->vms = vms;
	vms[host->nr_vms] = (struct host_vm) {
		.id = id, .evidence = evidence, .history.vm = id
	};
	return &vms[host->nr_vms++];
}

static int add_thread(struct host_vm *vm, const struct host_thread *thread)
{
	size_t capacity = vm->nr_threads;
	struct host_thread *threads = vm->threads;

	/* Grows at powers of two */
	if (!(capacity & (capacity - 1)))
		threads = reallocarray(threads, capacity ? 2 * capacity : 1, sizeof(*threads));
	if (!threads)
		return -ENOMEM;
	vm->threads = threads;
	threads[vm->nr_threads++] = *thread;
	return 0;
}

/**
 * host_trace_give_thread - say to which VM a thread belongs
 * @host: being read
 * @i: number of the thread
 * @vm: the VM, one of @host
 *
 * Returns: 0 or -ENOMEM.
 */
int host_trace_give_thread(struct host_trace *host, size_t i, const struct host_vm *vm)
{
	host->owners[i] = vm - host->vms;
	return add_thread(&host->vms[host->owners[i]], &host->threads[i]);
}

/* Returns: number of the first entry of a thread, or the number of threads */
static size_t first_of_thread(const struct host_trace *host, int tid)
{
	size_t low = 0, high = host->nr_threads;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (host->threads[mid].tid < tid)
			low = mid + 1;
		else
			high = mid;
	}
	return low < host->nr_threads && host->threads[low].tid == tid ? low : host->nr_threads;
}

static struct host_vm *vm_of_thread(struct host_trace *host, int tid)
{
	for (size_t i = first_of_thread(host, tid);
	     i < host->nr_threads && host->threads[i].tid == tid; i++) {
		if (host->owners[i] != NO_OWNER)
			return &host->vms[host->owners[i]];
	}
	return NULL;
}

/* VMs that the events tell apart. Threads that only entered guest mode are those of their other events. */
static int group_by_event(struct host_trace *host)
{
	for (size_t i = 0; i < host->nr_threads; i++) {
		const struct host_thread *thread = &host->threads[i];
		struct host_vm *vm = NULL;

		if (!thread->vm)
			continue;
		for (size_t j = 0; j < host->nr_vms && !vm; j++) {
			if (host->vms[j].id == thread->vm)
				vm = &host->vms[j];
		}
		if (!vm)
			vm = host_trace_add_vm(host, thread->vm, VM_BY_EVENT);
		if (!vm || host_trace_give_thread(host, i, vm))
			return -ENOMEM;
	}
	return 0;
}

/* @vm: result: the VM that has them, NULL if the guest's threads have nothing to do with a vCPU */
static int give_guest_threads(struct host_trace *host, const struct guest_option *guest,
			      struct host_vm **vm)
{
	*vm = NULL;
	for (size_t i = 0; i < guest->nr_cpus; i++) {
		int tid = guest->cpus[i].tid;

		for (size_t j = first_of_thread(host, tid);
		     j < host->nr_threads && host->threads[j].tid == tid; j++) {
			if (!*vm)
				*vm = vm_of_thread(host, tid);
			if (!*vm)
				*vm = host_trace_add_vm(host, tid, VM_BY_GUEST_OPTION);
			if (!*vm ||
			    (host->owners[j] == NO_OWNER && host_trace_give_thread(host, j, *vm)))
				return -ENOMEM;
		}
	}
	return 0;
}

static int take_guest(struct host_trace *host, const struct trace_dat_option *option)
{
	_cleanup_(guest_option_release) struct guest_option guest;
	struct host_vm *vm;
	int ret;

	ret = guest_option_decode(&guest, option->data, option->size);
	if (ret == -EBADMSG)
		return trace_dat_fail(host->dat, ret, option->offset, "option GUEST is too short");
	if (!ret)
		ret = give_guest_threads(host, &guest, &vm);
	/* trace-cmd does not always find the guest's threads; then the option has none */
	if (ret || !vm || vm->guest_name)
		return ret;
	vm->guest_trace_id = guest.trace_id;
	vm->guest_name = strdup(guest.name);
	return vm->guest_name ? 0 : -ENOMEM;
}

static int group_by_guest_option(struct host_trace *host)
{
	int ret = 0;

	for (size_t i = 0; i < host->dat->nr_options && !ret; i++) {
		if (host->dat->options[i].id == TRACE_DAT_GUEST)
			ret = take_guest(host, &host->dat->options[i]);
	}
	return ret;
}

/* A thread that made several vCPUs, as some VMMs' first thread does: it precedes those that run them */
static bool is_creator(const struct host_trace *host, size_t i)
{
	const struct host_thread *threads = host->threads;

	return (i && threads[i - 1].tid == threads[i].tid) ||
	       (i + 1 < host->nr_threads && threads[i + 1].tid == threads[i].tid);
}

static int group_by_threads(struct host_trace *host)
{
	bool creating = false, running = false;
	uint32_t last_vcpu = 0;
	size_t current = 0;
	bool any = false;

	for (size_t i = 0; i < host->nr_threads; i++) {
		const struct host_thread *thread = &host->threads[i];
		bool creator = is_creator(host, i), begins;

		if (host->owners[i] != NO_OWNER)
			continue;
		if (creator)
			begins = !creating || running || host->vms[current].threads[0].tid != thread->tid;
		else
			begins = running && thread->vcpu_id <= last_vcpu;
		if (!any || begins) {
			if (!host_trace_add_vm(host, thread->tid, VM_BY_THREADS))
				return -ENOMEM;
			current = host->nr_vms - 1;
			running = false;
			any = true;
		}
		creating = creator;
		if (!creator) {
			running = true;
			last_vcpu = thread->vcpu_id;
		}
		if (host_trace_give_thread(host, i, &host->vms[current]))
			return -ENOMEM;
	}
	return 0;
}

/*
 * Events of other CPUs may lie within the time of a loss, and what was lost before or after each of them. So
 * a segment is in doubt if a loss begins before it and ends after the segment before it.
 */
static void mark_losses(const struct host_trace *host, struct vcpu_history *vcpu)
{
	uint64_t earliest = UINT64_MAX;
	size_t loss = host->nr_lost;

	/* Losses are in the order of their ends: going back, more and more of them end late enough */
	for (size_t i = vcpu->nr_segments + 1; i--;) {
		uint64_t before = i ? vcpu->segments[i - 1].host_tsc : 0;

		for (; loss && (!i || host->lost[loss - 1].to > before); loss--) {
			if (host->lost[loss - 1].from < earliest)
				earliest = host->lost[loss - 1].from;
		}
		if (i == vcpu->nr_segments)
			vcpu->lost_after |= loss < host->nr_lost;
		else if (earliest < vcpu->segments[i].host_tsc)
			vcpu->segments[i].lost_before = true;
	}
}

/* vCPUs without any event have a history as well, one that says nothing */
static int add_vcpus(struct host_vm *vm)
{
	for (size_t i = 0; i < vm->nr_threads; i++) {
		if (!vm_history_vcpu(&vm->history, vm->threads[i].vcpu_id))
			return -ENOMEM;
	}
	return 0;
}

static void mark_all_losses(const struct host_trace *host, struct host_vm *vm)
{
	for (size_t i = 0; i < vm->history.nr_vcpus; i++)
		mark_losses(host, &vm->history.vcpus[i]);
}

static struct host_vm *vm_of_event(struct host_trace *host, const struct tsc_offset_event *event)
{
	for (size_t i = 0; event->vm_pid && i < host->nr_vms; i++) {
		if (host->vms[i].evidence == VM_BY_EVENT && host->vms[i].id == event->vm_pid)
			return &host->vms[i];
	}
	return vm_of_thread(host, event->tid);
}

/**
 * host_trace_build_histories - make the histories of all VMs from the events
 * @host: events, losses, VMs and their threads are known
 *
 * Returns: 0 or a negative errno.
 */
int host_trace_build_histories(struct host_trace *host)
{
	int ret = 0;

	for (size_t i = 0; i < host->nr_vms && !ret; i++)
		ret = add_vcpus(&host->vms[i]);
	for (size_t i = 0; i < host->nr_offset_events && !ret; i++) {
		struct host_vm *vm = vm_of_event(host, &host->events[i]);

		ret = vm ? vm_history_add(&vm->history, &host->events[i]) : 0;
	}
	for (size_t i = 0; i < host->nr_vms && !ret; i++)
		mark_all_losses(host, &host->vms[i]);
	return ret;
}

/**
 * host_trace_read - read what a host's file tells of its VMs
 * @host: result; to be released in any case
 * @dat: open, for as long as the result is used
 *
 * All buffers are read, from the raw pages.
 *
 * Returns: 0, also if there is no VM in it, or a negative errno with the reason in @dat->error.
 */
int host_trace_read(struct host_trace *host, struct trace_dat *dat)
{
	struct event_ids ids;
	int ret;

	*host = (struct host_trace) { .dat = dat };
	ret = event_ids_read(&ids, dat);
	if (!ret)
		ret = scan_file(host, &ids);
	event_ids_release(&ids);
	if (!ret)
		ret = group_by_event(host);
	if (!ret)
		ret = group_by_guest_option(host);
	if (!ret)
		ret = group_by_threads(host);
	if (!ret)
		ret = host_trace_build_histories(host);
	if (ret && !*dat->error)
		trace_dat_fail(dat, ret, 0, "%s", strerror(-ret));
	return ret;
}

static void release_vm(struct host_vm *vm)
{
	free(vm->guest_name);
	free(vm->threads);
	free(vm->now);
	vm_history_release(&vm->history);
}

/**
 * host_trace_release - free what was read
 * @host: read, or failed to
 */
void host_trace_release(struct host_trace *host)
{
	for (size_t i = 0; i < host->nr_vms; i++)
		release_vm(&host->vms[i]);
	free(host->vms);
	free(host->events);
	free(host->lost);
	free(host->threads);
	free(host->owners);
	*host = (struct host_trace) { 0 };
}

/**
 * host_trace_list - add a list of the VMs to a text: ": threads 110 (vCPU 0), 111 (vCPU 1); threads ..."
 * @host: read
 * @text: ends with a zero
 * @size: bytes at @text; what finds no room there is left out
 */
void host_trace_list(const struct host_trace *host, char *text, size_t size)
{
	size_t used = strlen(text);

	for (size_t i = 0; i < host->nr_vms; i++) {
		const struct host_vm *vm = &host->vms[i];

		for (size_t j = 0; j < vm->nr_threads && used < size; j++)
			used += snprintf(text + used, size - used, "%s%d (vCPU %u)",
					 j ? ", " : i ? "; threads " : ": threads ",
					 vm->threads[j].tid, vm->threads[j].vcpu_id);
	}
}

/* Returns: how many numbers a list has, at most @max, or 0 if it is none */
static size_t parse_threads(const char *list, int *tids, size_t max)
{
	size_t nr = 0;

	for (;;) {
		char *end;
		long number = strtol(list, &end, 10);

		if (end == list || number <= 0 || number > INT32_MAX || nr == max)
			return 0;
		tids[nr++] = number;
		if (!*end)
			return nr;
		if (*end != ',')
			return 0;
		list = end + 1;
	}
}

static bool is_listed(const int *tids, size_t nr, int tid)
{
	for (size_t i = 0; i < nr; i++) {
		if (tids[i] == tid)
			return true;
	}
	return false;
}

/* A VM as the user knows it; the others stay as they are */
static struct host_vm *vm_of_threads(struct host_trace *host, const int *tids, size_t nr)
{
	struct host_vm *vm;

	for (size_t i = 0; i < nr; i++) {
		if (first_of_thread(host, tids[i]) == host->nr_threads)
			return NULL;
	}
	vm = host_trace_add_vm(host, tids[0], VM_BY_USER);
	for (size_t i = 0; vm && i < host->nr_threads; i++) {
		if (is_listed(tids, nr, host->threads[i].tid) && add_thread(vm, &host->threads[i]))
			return NULL;
	}
	if (!vm || add_vcpus(vm))
		return NULL;
	for (size_t i = 0; i < host->nr_offset_events; i++) {
		if (is_listed(tids, nr, host->events[i].tid) &&
		    vm_history_add(&vm->history, &host->events[i]))
			return NULL;
	}
	mark_all_losses(host, vm);
	return vm;
}

static bool is_of_process(const struct host_vm *vm, pid_t pid)
{
	for (size_t i = 0; i < vm->nr_threads; i++) {
		if (vm_process_has_thread(pid, vm->threads[i].tid))
			return true;
	}
	return false;
}

/*
 * By its number, one of its threads, or, on the host itself while it runs, its process. A process may have
 * several VMs: then its number is none's.
 */
static struct host_vm *vm_by_number(struct host_trace *host, int number)
{
	struct host_vm *vm = NULL;
	size_t found = 0;

	for (size_t i = 0; i < host->nr_vms; i++) {
		if (host->vms[i].id == number) {
			vm = &host->vms[i];
			found++;
		}
	}
	if (found)
		return found == 1 ? vm : NULL;
	vm = vm_of_thread(host, number);
	if (vm)
		return vm;
	for (size_t i = 0; i < host->nr_vms; i++) {
		if (!is_of_process(&host->vms[i], number))
			continue;
		if (vm)
			return NULL;
		vm = &host->vms[i];
	}
	return vm;
}

/**
 * host_trace_choose - which VM is meant?
 * @host: read
 * @wanted: what the user said: the id of a VM, one of its threads, its VMM's process if that runs here, or
 *	all its threads with commas between them; NULL for nothing
 * @guest_trace_id: TRACEID of the guest's file, 0 without
 * @why: result without a VM: why, with the candidates
 * @why_size: bytes at @why
 *
 * Returns: the VM, or NULL if it is not certain which.
 */
struct host_vm *host_trace_choose(struct host_trace *host, const char *wanted,
				  uint64_t guest_trace_id, char *why, size_t why_size)
{
	struct host_vm *vm = NULL;
	int tids[256];
	size_t nr;

	if (!host->nr_vms) {
		snprintf(why, why_size, "there is no VM in it: neither kvm_write_tsc_offset nor kvm_entry");
		return NULL;
	}
	if (wanted) {
		nr = parse_threads(wanted, tids, sizeof(tids) / sizeof(*tids));
		if (nr > 1)
			vm = vm_of_threads(host, tids, nr);
		else if (nr)
			vm = vm_by_number(host, tids[0]);
		if (!vm) {
			snprintf(why, why_size, "no VM \"%s\" is in it; there are", wanted);
			host_trace_list(host, why, why_size);
		}
		return vm;
	}
	for (size_t i = 0; i < host->nr_vms && guest_trace_id && !vm; i++) {
		if (host->vms[i].guest_trace_id == guest_trace_id)
			vm = &host->vms[i];
	}
	if (!vm && host->nr_vms == 1)
		vm = &host->vms[0];
	if (!vm) {
		snprintf(why, why_size, "there are %zu VMs in it, one has to be named with --vm",
			 host->nr_vms);
		host_trace_list(host, why, why_size);
	}
	return vm;
}

/**
 * host_vm_thread - which thread runs a vCPU?
 * @vm: the VM
 * @vcpu_id: KVM's vcpu_id
 *
 * Returns: its id; of several the one that entered guest mode most often; 0 if none is known.
 */
int host_vm_thread(const struct host_vm *vm, uint32_t vcpu_id)
{
	const struct host_thread *best = NULL;

	for (size_t i = 0; i < vm->nr_threads; i++) {
		const struct host_thread *thread = &vm->threads[i];

		if (thread->vcpu_id == vcpu_id && (!best || thread->entries > best->entries))
			best = thread;
	}
	return best ? best->tid : 0;
}
