// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "event.h"
#include "history.h"
#include "order.h"

/**
 * tsc_history_vm - get the history of a VM, created if missing
 * @history: history of the host
 * @vm: distinguishes this VM from others
 *
 * Returns: the VM's history, or NULL without memory. Adding another VM moves it in memory.
 */
struct vm_history *tsc_history_vm(struct tsc_history *history, int vm)
{
	size_t from = first_where(i, history->nr_vms, history->vms[i].vm >= vm);
	struct vm_history *vms;

	if (from < history->nr_vms && history->vms[from].vm == vm)
		return &history->vms[from];
	vms = reallocarray(history->vms, history->nr_vms + 1, sizeof(*vms));
	if (!vms)
		return NULL;
	history->vms = vms;
	memmove(&vms[from + 1], &vms[from], (history->nr_vms - from) * sizeof(*vms));
	vms[from] = (struct vm_history) { .vm = vm };
	history->nr_vms++;
	return &vms[from];
}

/**
 * tsc_history_release - free a history
 * @history: empty and reusable afterwards
 */
void tsc_history_release(struct tsc_history *history)
{
	for (size_t i = 0; i < history->nr_vms; i++)
		vm_history_release(&history->vms[i]);
	free(history->vms);
	*history = (struct tsc_history) { 0 };
}

/* Returns: index of the first vCPU whose id is not below @vcpu_id */
static size_t find_vcpu(const struct vm_history *vm, uint32_t vcpu_id)
{
	/* Usually at the end: vCPUs are created in the order of their ids */
	if (vm->nr_vcpus && vm->vcpus[vm->nr_vcpus - 1].vcpu_id < vcpu_id)
		return vm->nr_vcpus;
	return first_where(i, vm->nr_vcpus, vm->vcpus[i].vcpu_id >= vcpu_id);
}

/**
 * vm_history_find - find a vCPU
 * @vm: the VM
 * @vcpu_id: KVM's vcpu_id
 *
 * Returns: index of the vCPU in @vm->vcpus, or @vm->nr_vcpus without one.
 */
size_t vm_history_find(const struct vm_history *vm, uint32_t vcpu_id)
{
	size_t at = find_vcpu(vm, vcpu_id);

	return at < vm->nr_vcpus && vm->vcpus[at].vcpu_id == vcpu_id ? at : vm->nr_vcpus;
}

/**
 * vm_history_vcpu - get the history of a vCPU, created if missing
 * @vm: the VM
 * @vcpu_id: KVM's vcpu_id
 *
 * Adding vCPUs in the order of their ids is fast; in another order each takes time proportional to their number.
 *
 * Returns: the vCPU's history, or NULL without memory. Adding another vCPU moves it in memory.
 */
struct vcpu_history *vm_history_vcpu(struct vm_history *vm, uint32_t vcpu_id)
{
	size_t at = find_vcpu(vm, vcpu_id);

	if (at < vm->nr_vcpus && vm->vcpus[at].vcpu_id == vcpu_id)
		return &vm->vcpus[at];
	if (array_reserve(vm->vcpus, vm->nr_vcpus, vm->capacity))
		return NULL;
	memmove(&vm->vcpus[at + 1], &vm->vcpus[at], (vm->nr_vcpus - at) * sizeof(*vm->vcpus));
	vm->vcpus[at] = (struct vcpu_history) { .vcpu_id = vcpu_id };
	vm->nr_vcpus++;
	return &vm->vcpus[at];
}

/**
 * vm_history_add - add an event
 * @vm: the VM that the event belongs to
 * @event: the event; events may come in any order, nearly sorted is fast. One that changes nothing is skipped.
 *
 * Returns: 0, -EINVAL if the event's scaling is invalid, or -ENOMEM.
 */
int vm_history_add(struct vm_history *vm, const struct tsc_offset_event *event)
{
	struct tsc_mapping map = {
		.offset		= event->next,
		.ratio		= event->ratio,
		.frac_bits	= event->frac_bits,
	};
	const struct tsc_mapping previous = {
		.offset		= event->previous,
		.ratio		= event->previous_ratio,
		.frac_bits	= event->frac_bits,
	};
	struct vcpu_history *vcpu;
	int ret;

	if (event->kind != TSC_EVENT_CHANGE)
		return 0;
	/*
	 * When KVM creates a vCPU, it writes the ratio before the offset. There was no mapping before, and the event of
	 * the offset also has the ratio.
	 */
	if (event->ratio && !event->previous_ratio && !event->tsc_protected)
		return 0;
	vcpu = vm_history_vcpu(vm, event->vcpu_id);
	if (!vcpu)
		return -ENOMEM;
	vcpu->tsc_protected |= event->tsc_protected;
	vcpu->protection_known |= event->protection_known;
	/* The values that KVM computes with never applied to the guest */
	if (event->tsc_protected)
		return 0;
	ret = vcpu_history_add(vcpu, event->host_tsc, &map, &previous);
	if (!ret && event->lost_before)
		vcpu->segments[vcpu_history_until(vcpu, event->host_tsc) - 1].lost_before = true;
	return ret;
}

/**
 * vm_history_release - free a VM's history
 * @vm: empty and reusable afterwards
 */
void vm_history_release(struct vm_history *vm)
{
	for (size_t i = 0; i < vm->nr_vcpus; i++)
		free(vm->vcpus[i].segments);
	free(vm->vcpus);
	*vm = (struct vm_history) { .vm = vm->vm };
}

/**
 * vcpu_history_set_initial - set the mapping before the first event
 * @vcpu: the vCPU
 * @map: a valid mapping, from debugfs or from an earlier recording
 */
void vcpu_history_set_initial(struct vcpu_history *vcpu, const struct tsc_mapping *map)
{
	vcpu->initial = *map;
	vcpu->initial_known = true;
}

/**
 * vcpu_history_set_scaling - set the scaling if no event reports it
 * @vcpu: the vCPU
 * @map: mapping with the scaling. It seldom changes, so it is used for all segments.
 */
void vcpu_history_set_scaling(struct vcpu_history *vcpu, const struct tsc_mapping *map)
{
	for (size_t i = 0; i < vcpu->nr_segments; i++) {
		if (vcpu->segments[i].map.ratio)
			return;
	}
	for (size_t i = 0; i < vcpu->nr_segments; i++) {
		vcpu->segments[i].map.ratio = map->ratio;
		vcpu->segments[i].map.frac_bits = map->frac_bits;
	}
}

/**
 * vcpu_history_add - begin a segment
 * @vcpu: the vCPU
 * @host_tsc: its begin, in host cycles; of two segments with equal times, the one added later is later
 * @map: the mapping from then on
 * @previous: the mapping before, as in the event; a ratio of 0 means an unknown scaling
 *
 * Returns: 0, -EINVAL if @map is invalid, or -ENOMEM.
 */
int vcpu_history_add(struct vcpu_history *vcpu, uint64_t host_tsc, const struct tsc_mapping *map,
		     const struct tsc_mapping *previous)
{
	struct tsc_segment *segments;
	size_t at = vcpu->nr_segments;

	if (!tsc_mapping_valid(map) || !tsc_mapping_valid(previous))
		return -EINVAL;
	if (array_reserve(vcpu->segments, vcpu->nr_segments, vcpu->capacity))
		return -ENOMEM;
	segments = vcpu->segments;
	while (at && segments[at - 1].host_tsc > host_tsc)
		at--;
	memmove(&segments[at + 1], &segments[at], (vcpu->nr_segments - at) * sizeof(*segments));
	segments[at] = (struct tsc_segment) {
		.host_tsc	= host_tsc,
		.map		= *map,
		.previous	= *previous,
	};
	vcpu->nr_segments++;
	vcpu->nr_nonzero += map->offset != 0;
	vcpu->previous_reported |= previous->offset != 0;
	return 0;
}

/*
 * Did the vCPU enter guest mode only after its first event? If a ratio is unknown, the TSC can seem to be less than 0:
 * then this is not decided.
 */
static bool entered_later(const struct vcpu_history *vcpu)
{
	const struct tsc_segment *first = &vcpu->segments[0];

	return vcpu->entries_from < first->host_tsc && first->host_tsc < vcpu->first_entry &&
	       (int64_t)tsc_guest_from_host(&first->map, first->host_tsc) >= 0;
}

/**
 * vcpu_history_birth - did KVM write an event when it created the vCPU?
 * @vcpu: the vCPU
 * @i: index of the segment that the event begins
 *
 * Such an event has a previous offset of 0, which never applied. The vCPU of a new VM then has a TSC near 0. One that
 * is plugged in has the TSC of the others, and enters guest mode for the first time afterwards. Other events differ: a
 * guest with an offset of 0 has the host's TSC, and no guest moves its TSC back to the time of the host's boot. If it
 * is not the first event, it begins the history of another VM's vCPU, and the vCPU before has ended.
 *
 * Returns: true if so; false for the first event if the mapping before is known.
 */
bool vcpu_history_birth(const struct vcpu_history *vcpu, size_t i)
{
	const struct tsc_segment *segment = &vcpu->segments[i];
	bool first = i ? vcpu->segments[i - 1].map.offset : !vcpu->initial_known;

	return first && !segment->previous.offset && !vcpu_history_previous_unreported(vcpu) &&
	       (tsc_guest_from_host(&segment->map, segment->host_tsc) < segment->host_tsc / 2 ||
		(!i && entered_later(vcpu)));
}

/**
 * vcpu_history_begins_with_creation - did KVM write the first event of a vCPU when it created the vCPU?
 * @vcpu: the vCPU
 *
 * Returns: true if so; false if the mapping before is known.
 */
bool vcpu_history_begins_with_creation(const struct vcpu_history *vcpu)
{
	return vcpu->nr_segments && vcpu_history_birth(vcpu, 0);
}

/* Is there an offset that the next event should have reported as previous? */
static bool previous_contradicted(const struct vcpu_history *vcpu)
{
	return vcpu->nr_nonzero > (vcpu->segments[vcpu->nr_segments - 1].map.offset != 0);
}

/**
 * vcpu_history_previous_unreported - do the events of this vCPU lack the previous offset?
 * @vcpu: the vCPU
 *
 * Some hypervisors that emulate KVM's tracepoint report a previous offset of 0 in every event. It then shows neither
 * the initial offset nor a gap.
 *
 * Returns: true if they lack it.
 */
bool vcpu_history_previous_unreported(const struct vcpu_history *vcpu)
{
	return vcpu->nr_segments && !vcpu->previous_reported &&
	       ((vcpu->initial_known && vcpu->initial.offset) || previous_contradicted(vcpu));
}

/**
 * vcpu_history_before - get the mapping right before a segment
 * @vcpu: the vCPU
 * @i: index of the segment
 * @map: result
 *
 * Before the first segment, the event's own previous values take precedence over the initial mapping.
 *
 * Returns: false if it is unknown.
 */
bool vcpu_history_before(const struct vcpu_history *vcpu, size_t i, struct tsc_mapping *map)
{
	if (i) {
		*map = vcpu->segments[i - 1].map;
		return true;
	}
	*map = vcpu->initial;
	if (!vcpu->nr_segments || vcpu_history_previous_unreported(vcpu))
		return vcpu->initial_known;
	/* A kernel whose events lack the ratio does not report changes of the ratio either */
	if (vcpu->segments[0].previous.ratio)
		*map = vcpu->segments[0].previous;
	else if (!vcpu->initial_known)
		*map = vcpu->segments[0].map;
	map->offset = vcpu->segments[0].previous.offset;
	return true;
}

/**
 * vcpu_history_until - count the changes up to a host TSC
 * @vcpu: the vCPU
 * @host_tsc: in host cycles
 *
 * Returns: the number of segments that begin at or before @host_tsc.
 */
size_t vcpu_history_until(const struct vcpu_history *vcpu, uint64_t host_tsc)
{
	return first_where(i, vcpu->nr_segments, vcpu->segments[i].host_tsc > host_tsc);
}

/**
 * vcpu_history_at - get the mapping at a host TSC
 * @vcpu: the vCPU
 * @host_tsc: in host cycles
 * @map: result
 *
 * Returns: false if it is unknown.
 */
bool vcpu_history_at(const struct vcpu_history *vcpu, uint64_t host_tsc, struct tsc_mapping *map)
{
	return vcpu_history_before(vcpu, vcpu_history_until(vcpu, host_tsc), map);
}

/**
 * tsc_segment_changes - does the mapping change at the begin of a segment?
 * @segment: the segment
 *
 * Returns: false if the event wrote its own previous values again.
 */
bool tsc_segment_changes(const struct tsc_segment *segment)
{
	return segment->map.offset != segment->previous.offset ||
	       (segment->previous.ratio && segment->map.ratio != segment->previous.ratio);
}

/**
 * vcpu_history_jump - get the jump of a vCPU's TSC at the begin of a segment
 * @vcpu: the vCPU
 * @i: index of the segment
 *
 * Uses the event's own previous values, so that changes by lost events are not included.
 *
 * Returns: guest cycles, less than 0 if backward; 0 if unknown, and where the vCPU was created.
 */
int64_t vcpu_history_jump(const struct vcpu_history *vcpu, size_t i)
{
	const struct tsc_segment *segment = &vcpu->segments[i];
	struct tsc_mapping before = segment->previous;

	if (vcpu_history_birth(vcpu, i))
		return 0;
	if (vcpu_history_previous_unreported(vcpu) && !vcpu_history_before(vcpu, i, &before))
		return 0;
	if (!before.ratio) {
		before.ratio = segment->map.ratio;
		before.frac_bits = segment->map.frac_bits;
	}
	return (int64_t)(tsc_guest_from_host(&segment->map, segment->host_tsc) -
			 tsc_guest_from_host(&before, segment->host_tsc));
}

/**
 * vcpu_history_scaled - is a vCPU's TSC scaled at any time?
 * @vcpu: the vCPU
 *
 * Returns: true if any source reports it.
 */
bool vcpu_history_scaled(const struct vcpu_history *vcpu)
{
	for (size_t i = 0; i < vcpu->nr_segments; i++) {
		if (tsc_mapping_scaled(&vcpu->segments[i].map))
			return true;
	}
	/* All zeros before it is set, which is not scaled */
	return tsc_mapping_scaled(&vcpu->initial);
}

/**
 * vcpu_history_gap - were events lost right before a segment?
 * @vcpu: the vCPU
 * @i: index of the segment, or the number of segments for "after the last"
 *
 * Returns: true if the ring buffer reports it, or if the event's previous offset or scaling differs from that of the
 * event before.
 */
bool vcpu_history_gap(const struct vcpu_history *vcpu, size_t i)
{
	const struct tsc_mapping *before;
	const struct tsc_segment *segment;

	if (i >= vcpu->nr_segments)
		return vcpu->lost_after;
	segment = &vcpu->segments[i];
	if (segment->lost_before)
		return true;
	if ((!i && !vcpu->initial_known) || vcpu_history_birth(vcpu, i))
		return false;
	before = i ? &vcpu->segments[i - 1].map : &vcpu->initial;
	if (before->ratio && segment->previous.ratio &&
	    (before->ratio != segment->previous.ratio || before->frac_bits != segment->previous.frac_bits))
		return true;
	/* If no event ever reports previous offsets, a missing one is not a gap */
	return segment->previous.offset != before->offset && vcpu->previous_reported;
}

/**
 * vcpu_history_backward - does a vCPU's TSC jump backward where a segment begins?
 * @vcpu: the vCPU
 * @i: index of the segment
 * @from: result: first guest TSC, in cycles, that the vCPU passes twice
 * @to: result: the guest TSC at which the jump happened, the last that it passes twice
 *
 * Returns: true if so; a guest time between @from and @to can then mean two host times. The creation of a vCPU is not a
 * jump, because it had no TSC before.
 */
bool vcpu_history_backward(const struct vcpu_history *vcpu, size_t i, uint64_t *from, uint64_t *to)
{
	const struct tsc_segment *segment = &vcpu->segments[i];
	struct tsc_mapping before;

	if (!vcpu_history_before(vcpu, i, &before) || vcpu_history_birth(vcpu, i))
		return false;
	*from = tsc_guest_from_host(&segment->map, segment->host_tsc);
	*to = tsc_guest_from_host(&before, segment->host_tsc);
	return (int64_t)(*from - *to) < 0;
}
