// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "array.h"
#include "history.h"
#include "host.h"
#include "host_marks.h"
#include "host_vms.h"

/* Between reading a vCPU and the line's event: more than ten seconds of any TSC, for a host with thousands of vCPUs */
#define MAX_AGE		(1ULL << 36)
/* KVM reports a write a little before it is done */
#define WRITE_DELAY	(1ULL << 20)

static int add(struct host_marks *marks, const struct host_mark *mark)
{
	if (marks->nr == HOST_MARKS_MAX) {
		marks->nr_excess++;
		return 0;
	}
	if (array_reserve(marks->list, marks->nr, marks->capacity))
		return -ENOMEM;
	marks->list[marks->nr++] = *mark;
	return 0;
}

/**
 * host_marks_take - take what was written to trace_marker, if it is a mark
 * @marks: gets it
 * @text: what was written; anything at all
 * @size: bytes at @text
 * @time: of the event, host TSC
 *
 * Returns: 0 or -ENOMEM.
 */
int host_marks_take(struct host_marks *marks, const char *text, size_t size, uint64_t time)
{
	struct host_mark mark = { 0 };
	int ret = vcpu_mark_parse(&mark.mark, text, size);

	if (ret == -ENOTSUP)
		marks->nr_unknown++;
	/* One of another boot, or from another host */
	else if (ret < 0 || (ret && (mark.mark.until > time || time - mark.mark.from > MAX_AGE)))
		marks->nr_bad++;
	else if (ret)
		return add(marks, &mark);
	return 0;
}

/**
 * host_marks_move - append a list
 * @to: gets all of @from
 * @from: empty afterwards
 *
 * Returns: 0 or -ENOMEM.
 */
int host_marks_move(struct host_marks *to, struct host_marks *from)
{
	int ret = 0;

	for (size_t i = 0; i < from->nr && !ret; i++)
		ret = add(to, &from->list[i]);
	to->nr_bad += from->nr_bad;
	to->nr_unknown += from->nr_unknown;
	to->nr_excess += from->nr_excess;
	host_marks_release(from);
	return ret;
}

/* The VM of that name that there was then, else the one whose vCPU the thread runs; NULL if there is none */
static struct host_vm *vm_of(struct host *host, const struct host_mark *mark)
{
	const struct vcpu_mark *line = &mark->mark;
	struct host_vm *vm = NULL, *next;

	for (uint32_t life = 0; (next = host_vms_by_name(host, line->vm_pid, line->vm_fd, life)); life++) {
		uint64_t since = UINT64_MAX;

		for (size_t i = 0; i < next->nr_threads; i++) {
			if (next->threads[i].since < since)
				since = next->threads[i].since;
		}
		if (vm && since > mark->until)
			break;
		vm = next;
	}
	return vm || !line->tid ? vm : host_vms_of_thread(host, line->tid);
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

/* Is it what held at some time while it was read? */
static bool agrees_with_history(const struct vcpu_history *vcpu, const struct host_mark *mark)
{
	uint64_t from = mark->from > WRITE_DELAY ? mark->from - WRITE_DELAY : 0;
	size_t last = vcpu_history_until(vcpu, mark->until);
	struct tsc_mapping known;

	for (size_t i = vcpu_history_until(vcpu, from); i <= last; i++) {
		/* What is not known contradicts nothing */
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

/* No event is there: what the mark says holds until the next that says otherwise, and then changes are missing */
static int take_state(struct host *host, struct vcpu_history *vcpu, const struct host_mark *mark)
{
	const struct tsc_mapping *map = &mark->mark.map;

	vcpu->tsc_protected |= mark->mark.tsc_protected;
	if (mark->mark.tsc_protected)
		return 0;
	if (vcpu->nr_segments && tsc_mapping_equal(&vcpu->segments[vcpu->nr_segments - 1].map, map))
		return 0;
	host->marks.nr_early += !vcpu->nr_segments && mark->from < host->first;
	return vcpu_history_add(vcpu, mark->from, map, map);
}

static int compare_marks(const void *a, const void *b)
{
	const struct host_mark *x = a, *y = b;

	return (x->from > y->from) - (x->from < y->from);
}

/* Losses are about the places between segments, of which there are more now */
static void mark_losses_again(struct host *host)
{
	for (size_t vm = 0; vm < host->nr_vms; vm++) {
		for (size_t v = 0; v < host->vms[vm].history.nr_vcpus; v++)
			host->vms[vm].history.vcpus[v].lost_after = false;
		host_vms_mark_losses(host, &host->vms[vm]);
	}
}

/**
 * host_marks_apply - complete the histories with what marks report
 * @host: a file's, with the histories by its events
 *
 * A vCPU of which events report a change keeps the history by these, and marks are compared with it; one of which they
 * report none gets that of its marks. After the host slept, marks are not used: KVM writes all offsets anew then.
 *
 * Returns: 0, or a negative errno.
 */
int host_marks_apply(struct host *host)
{
	struct host_marks *marks = &host->marks;
	int ret = 0;

	if (!marks->nr)
		return 0;
	qsort(marks->list, marks->nr, sizeof(*marks->list), compare_marks);
	for (size_t i = 0; i < marks->nr; i++) {
		const struct vcpu_history *vcpu = vcpu_of(host, &marks->list[i]);

		marks->list[i].beside_events = vcpu && vcpu->nr_segments;
	}
	for (size_t i = 0; i < marks->nr && !ret; i++) {
		const struct host_mark *mark = &marks->list[i];
		struct vcpu_history *vcpu = mark->epoch ? NULL : vcpu_of(host, mark);

		if (vcpu && mark->beside_events)
			compare(marks, vcpu, mark);
		else if (vcpu)
			ret = take_state(host, vcpu, mark);
	}
	mark_losses_again(host);
	return ret;
}

/**
 * host_marks_release - free the list
 * @marks: empty afterwards
 */
void host_marks_release(struct host_marks *marks)
{
	free(marks->list);
	*marks = (struct host_marks) { 0 };
}
