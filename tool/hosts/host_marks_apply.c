// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <search.h>
#include <stdlib.h>

#include "array.h"
#include "cleanup.h"
#include "event.h"
#include "history.h"
#include "host.h"
#include "host_marks_apply.h"
#include "host_vms.h"
#include "order.h"
#include "tree.h"
#include "tsc_changes.h"

/* KVM reports a write shortly before it is done */
#define WRITE_DELAY	(1ULL << 20)
/* With more changes during the read, the result is undecided */
#define MAX_CHANGES	64

static ORDER_BY(compare_vcpus, struct host_thread, tid, vcpu_id)
static ORDER_BY(compare_values, struct vcpu_mark, vcpu_id, map.offset)
static ORDER_BY(compare_values_and_vms, struct vcpu_mark, vcpu_id, map.offset, vm_pid, vm_fd)
static ORDER_BY(compare_marks, struct host_mark, from)

/* The search for threads */
struct naming {
	struct vcpu_mark	*by_value;	/* the marks in the order of sort_values() */
	size_t			nr;
	void			*named;		/* threads with a VM, a tree in the order of compare_vcpus() */
	struct host_thread	*threads;
	size_t			nr_threads, capacity;
};

static int name_thread(struct naming *naming, int tid, const struct vcpu_mark *mark)
{
	const struct host_thread thread = {
		.tid = tid, .vcpu_id = mark->vcpu_id, .vm_pid = mark->vm_pid, .vm_fd = mark->vm_fd,
		.vm_id = mark->vm_id,
	};

	if (tfind(&thread, &naming->named, compare_vcpus))
		return 0;
	if (!tree_find_or_add(&naming->named, &thread, sizeof(thread), compare_vcpus) ||
	    array_reserve(naming->threads, naming->nr_threads, naming->capacity))
		return -ENOMEM;
	naming->threads[naming->nr_threads++] = thread;
	return 0;
}

/* The mark of a vCPU with this offset; NULL without, or if several VMs have one */
static const struct vcpu_mark *find_value(const struct naming *naming, uint32_t vcpu_id, int64_t offset)
{
	const struct vcpu_mark key = { .vcpu_id = vcpu_id, .map.offset = offset };
	const struct vcpu_mark *by_value = naming->by_value;
	size_t first = first_where(i, naming->nr, compare_values(&by_value[i], &key) >= 0);

	if (first == naming->nr || compare_values(&by_value[first], &key) ||
	    (first + 1 < naming->nr && !compare_values(&by_value[first + 1], &key)))
		return NULL;
	return &by_value[first];
}

/* Each value of a VM's vCPU once */
static void sort_values(struct naming *naming)
{
	size_t kept = 0;

	qsort(naming->by_value, naming->nr, sizeof(*naming->by_value), compare_values_and_vms);
	for (size_t i = 0; i < naming->nr; i++) {
		if (!kept || compare_values_and_vms(&naming->by_value[kept - 1], &naming->by_value[i]))
			naming->by_value[kept++] = naming->by_value[i];
	}
	naming->nr = kept;
}

/* A thread that writes for vCPUs of other threads: it belongs to the VM that had its previous or its next value */
static int name_writer(struct naming *naming, const struct tsc_offset_event *event)
{
	const struct vcpu_mark *mark = find_value(naming, event->vcpu_id, event->previous);

	if (!mark)
		mark = find_value(naming, event->vcpu_id, event->next);
	return mark ? name_thread(naming, event->tid, mark) : 0;
}

static int name_threads(struct naming *naming, const struct host *host)
{
	const struct host_marks *marks = &host->marks;
	int ret = 0;

	for (size_t i = 0; i < marks->nr && !ret; i++) {
		naming->by_value[naming->nr++] = marks->list[i].mark;
		if (marks->list[i].mark.tid)
			ret = name_thread(naming, marks->list[i].mark.tid, &marks->list[i].mark);
	}
	sort_values(naming);
	for (size_t i = 0; i < host->nr_offset_events && !ret; i++) {
		if (!host->events[i].vm_pid)
			ret = name_writer(naming, &host->events[i]);
	}
	/* Without one, the order of all threads is better evidence */
	for (size_t i = 0; i < host->nr_offset_events && !ret; i++) {
		const struct host_thread key = { .tid = host->events[i].tid, .vcpu_id = host->events[i].vcpu_id };

		if (!host->events[i].vm_pid && !tfind(&key, &naming->named, compare_vcpus))
			naming->nr_threads = 0;
	}
	return ret;
}

/**
 * host_marks_threads - find the VMs of threads by marks
 * @host: a host from a file, with its changes
 * @threads: result: threads in marks, and threads that write values of a mark; to be freed
 * @nr: result: number of @threads; 0 if a thread writes values that no mark has
 *
 * Returns: 0 or -ENOMEM.
 */
int host_marks_threads(const struct host *host, struct host_thread **threads, size_t *nr)
{
	_cleanup_(freep) struct vcpu_mark *by_value = calloc(host->marks.nr + 1, sizeof(*by_value));
	struct naming naming = { .by_value = by_value };
	int ret = by_value ? 0 : -ENOMEM;

	if (!ret && host->marks.nr)
		ret = name_threads(&naming, host);
	tdestroy(naming.named, free);
	*threads = naming.threads;
	*nr = ret ? 0 : naming.nr_threads;
	return ret;
}

/**
 * host_marks_name_vms - name VMs that events know by their number as marks name them
 * @host: a file's, with the events as they were read
 *
 * Returns: 0 or -ENOMEM.
 */
int host_marks_name_vms(struct host *host)
{
	const struct host_marks *marks = &host->marks;
	_cleanup_(freep) struct tsc_vm_name *names = calloc(marks->nr + 1, sizeof(*names));
	size_t nr = 0;

	for (size_t i = 0; names && i < marks->nr; i++) {
		const struct vcpu_mark *mark = &marks->list[i].mark;

		if (mark->vm_id)
			names[nr++] = (struct tsc_vm_name) { mark->vm_id, mark->vm_pid, mark->vm_fd };
	}
	return names ? tsc_changes_name_vms(host->events, host->nr_offset_events, names, nr) : -ENOMEM;
}

struct foreign_value {
	uint32_t	vcpu_id;
	int64_t		offset;
};

/* Values of events whose thread does not run the vCPU, possibly for several VMs */
struct foreign {
	struct foreign_value	*values;	/* in the order of compare_foreign() */
	size_t			nr;
	bool			previous_reported;
};

static ORDER_BY(compare_foreign, struct foreign_value, vcpu_id, offset)

/* Is the event from a vCPU's own thread, or does it have the VM? @runners: a tree in the order of compare_vcpus() */
static bool is_own_write(const struct tsc_offset_event *event, void *const *runners)
{
	const struct host_thread key = { .tid = event->tid, .vcpu_id = event->vcpu_id };

	return event->vm_pid || tfind(&key, runners, compare_vcpus);
}

static int add_runners(const struct host *host, void **runners)
{
	int ret = 0;

	for (size_t i = 0; i < host->nr_threads && !ret; i++) {
		if (host->threads[i].entries && !tree_find_or_add(runners, &host->threads[i], sizeof(*host->threads),
								  compare_vcpus))
			ret = -ENOMEM;
	}
	for (size_t i = 0; i < host->marks.nr && !ret; i++) {
		const struct vcpu_mark *mark = &host->marks.list[i].mark;
		const struct host_thread thread = { .tid = mark->tid, .vcpu_id = mark->vcpu_id };

		if (mark->tid && !tree_find_or_add(runners, &thread, sizeof(thread), compare_vcpus))
			ret = -ENOMEM;
	}
	return ret;
}

static int find_foreign(struct foreign *foreign, const struct host *host)
{
	void *runners = NULL;
	int ret = add_runners(host, &runners);

	foreign->values = ret ? NULL : calloc(2 * host->nr_offset_events + 1, sizeof(*foreign->values));
	for (size_t i = 0; i < host->nr_offset_events && foreign->values; i++) {
		const struct tsc_offset_event *event = &host->events[i];

		foreign->previous_reported |= event->previous && !event->vm_pid;
		if (event->kind != TSC_EVENT_CHANGE || is_own_write(event, &runners))
			continue;
		foreign->values[foreign->nr++] = (struct foreign_value) { event->vcpu_id, event->previous };
		foreign->values[foreign->nr++] = (struct foreign_value) { event->vcpu_id, event->next };
	}
	tdestroy(runners, free);
	if (!foreign->values)
		return -ENOMEM;
	qsort(foreign->values, foreign->nr, sizeof(*foreign->values), compare_foreign);
	return 0;
}

static bool has_value(const struct foreign *foreign, uint32_t vcpu_id, int64_t offset)
{
	const struct foreign_value key = { vcpu_id, offset };

	return bsearch(&key, foreign->values, foreign->nr, sizeof(key), compare_foreign);
}

/* The first of its changes would have the mark's value as previous, or 0 if events do not report previous values */
static bool may_have_changed(const struct foreign *foreign, const struct vcpu_mark *mark)
{
	return has_value(foreign, mark->vcpu_id, mark->map.offset) ||
	       (!foreign->previous_reported && has_value(foreign, mark->vcpu_id, 0));
}

/* The VM of that number, or of that name at that time, else the one whose vCPU the thread runs; NULL without */
static struct host_vm *vm_of(struct host *host, const struct host_mark *mark)
{
	const struct vcpu_mark *line = &mark->mark;
	struct host_vm *vm = NULL, *next;

	for (uint32_t life = 0; (next = host_vms_by_name(host, line->vm_pid, line->vm_fd, life)); life++) {
		uint64_t since = UINT64_MAX;

		if (line->vm_id && next->vm_id) {
			if (line->vm_id == next->vm_id)
				return next;
			continue;
		}
		for (size_t i = 0; i < next->nr_threads && life; i++) {
			if (next->threads[i].since < since)
				since = next->threads[i].since;
		}
		if (vm && since > mark->until)
			break;
		vm = next;
	}
	if (vm || !line->tid)
		return vm;
	vm = host_vms_of_thread(host, line->tid);
	/* One that has a number is another, or may be */
	return vm && vm->vm_id && (line->vm_id || host_vms_share_thread(host, line->tid)) ? NULL : vm;
}

static struct vcpu_history *vcpu_of(struct host *host, const struct host_mark *mark)
{
	struct host_vm *vm = vm_of(host, mark);
	size_t vcpu = vm ? vm_history_find(&vm->history, mark->mark.vcpu_id) : 0;

	return vm && vcpu < vm->history.nr_vcpus ? &vm->history.vcpus[vcpu] : NULL;
}

static bool agrees(const struct tsc_mapping *known, const struct tsc_mapping *marked)
{
	return known->offset == marked->offset &&
	       (!known->ratio || (known->ratio == marked->ratio && known->frac_bits == marked->frac_bits));
}

/* Did it apply at some time during the read? */
static bool agrees_with_history(const struct vcpu_history *vcpu, const struct host_mark *mark)
{
	uint64_t from = mark->from > WRITE_DELAY ? mark->from - WRITE_DELAY : 0;
	size_t first = vcpu_history_until(vcpu, from), last = vcpu_history_until(vcpu, mark->until);
	struct tsc_mapping known;

	if (last - first > MAX_CHANGES)
		return true;
	for (size_t i = first; i <= last; i++) {
		/* Unknown values contradict nothing */
		if (!vcpu_history_before(vcpu, i, &known) || agrees(&known, &mark->mark.map))
			return true;
	}
	return false;
}

static void compare(struct host_marks *marks, struct vcpu_history *vcpu, const struct host_mark *mark)
{
	if (!agrees_with_history(vcpu, mark)) {
		if (!marks->nr_wrong++)
			marks->wrong = mark->mark;
		return;
	}
	/* The events of a stock kernel do not report it */
	vcpu_history_set_scaling(vcpu, &mark->mark.map);
	if (vcpu_history_previous_unreported(vcpu) && mark->until < vcpu->segments[0].host_tsc)
		vcpu_history_set_initial(vcpu, &mark->mark.map);
}

/* Without events, a mark's value applies until the next mark with another value, and then changes are missing */
static int take_state(struct host *host, struct vcpu_history *vcpu, const struct host_mark *mark)
{
	const struct tsc_mapping *map = &mark->mark.map;

	vcpu->tsc_protected |= mark->mark.tsc_protected;
	if (mark->mark.tsc_protected)
		return 0;
	if (vcpu->nr_segments && tsc_mapping_equal(&vcpu->segments[vcpu->nr_segments - 1].map, map))
		return 0;
	host->marks.nr_early += !vcpu->nr_segments && mark->from < host->changes_first;
	return vcpu_history_add(vcpu, mark->from, map, map);
}

/* Losses belong to the places between segments, of which there are more now */
static void mark_losses_again(struct host *host)
{
	for (size_t vm = 0; vm < host->nr_vms; vm++) {
		for (size_t v = 0; v < host->vms[vm].history.nr_vcpus; v++)
			host->vms[vm].history.vcpus[v].lost_after = false;
		host_vms_mark_losses(host, &host->vms[vm]);
	}
}

/**
 * host_marks_apply - complete the histories with marks
 * @host: a host from a file, with histories from its events
 *
 * If events report a change of a vCPU, its history stays, and marks are compared with it. Otherwise the history comes
 * from the marks; it is doubtful if events without a VM may belong to the vCPU. Marks from after a sleep of the host
 * are not used, because KVM writes all offsets anew then.
 *
 * Returns: 0, or a negative errno.
 */
int host_marks_apply(struct host *host)
{
	struct host_marks *marks = &host->marks;
	struct foreign foreign = { 0 };
	int ret;

	if (!marks->nr)
		return 0;
	ret = find_foreign(&foreign, host);
	qsort(marks->list, marks->nr, sizeof(*marks->list), compare_marks);
	for (size_t i = 0; i < marks->nr; i++) {
		const struct vcpu_history *vcpu = vcpu_of(host, &marks->list[i]);

		marks->list[i].beside_events = vcpu && vcpu->nr_segments;
	}
	for (size_t i = 0; i < marks->nr && !ret; i++) {
		const struct host_mark *mark = &marks->list[i];
		struct vcpu_history *vcpu = mark->epoch ? NULL : vcpu_of(host, mark);

		/* Also of a VM that nothing else in the file shows: events assigned to another VM may be its own */
		marks->nr_foreign += !mark->epoch && !mark->beside_events && may_have_changed(&foreign, &mark->mark);
		marks->nr_unshown += !mark->epoch && !vcpu;
		if (vcpu && mark->beside_events)
			compare(marks, vcpu, mark);
		else if (vcpu)
			ret = take_state(host, vcpu, mark);
	}
	mark_losses_again(host);
	free(foreign.values);
	return ret;
}
