/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The TSC of each vCPU of each VM over host time.
 *
 * A vCPU's history is a list of segments in the order of host time. A segment begins when a new offset takes effect and
 * lasts until the next segment. KVM writes an offset while the vCPU is out of guest mode, so no guest code runs between
 * an event and its effect.
 */
#ifndef TSC_OFFSET_HISTORY_H
#define TSC_OFFSET_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mapping.h"

struct tsc_offset_event;

/**
 * struct tsc_segment - a span of host time with one mapping
 * @host_tsc: first host TSC of the span, in cycles
 * @map: the mapping of the span
 * @previous: the mapping before, as the event reports it, with a ratio of 0 if the event has no previous ratio. Differs
 *	from the segment before if events between the two were lost
 * @guest_from: the first guest time of this segment, in guest cycles; 0 if the TSC itself shows where the segment
 *	begins. If the TSC jumped backward, only the guest's events show it (guest_vcpus.h)
 * @lost_before: events before this one were lost or may have been lost, as the ring buffer or the event reports
 */
struct tsc_segment {
	uint64_t		host_tsc;
	struct tsc_mapping	map;
	struct tsc_mapping	previous;
	uint64_t		guest_from;
	bool			lost_before;
};

/**
 * struct vcpu_history - the segments of one vCPU
 * @vcpu_id: KVM's vcpu_id
 * @initial_known: @initial was set by vcpu_history_set_initial()
 * @initial: the mapping before the first segment
 * @begins: the vCPU did not exist before this host TSC, in cycles
 * @entries_from: the host TSC, in cycles, from which on all entries into guest mode were recorded
 * @first_entry: the host TSC, in cycles, of its first recorded entry into guest mode; 0 without
 * @segments: in the order of host time
 * @nr_segments: number of @segments
 * @capacity: number of segments that fit without growing
 * @nr_nonzero: number of segments with an offset other than 0
 * @previous_reported: an event had a previous offset other than 0
 * @tsc_protected: the guest's TSC may differ from what KVM reports: there are never any segments
 * @protection_known: an event showed whether the TSC is protected
 * @lost_after: the ring buffer dropped events after the last segment, or at an unknown place
 */
struct vcpu_history {
	uint32_t		vcpu_id;
	bool			initial_known;
	struct tsc_mapping	initial;
	uint64_t		begins;
	uint64_t		entries_from;
	uint64_t		first_entry;
	struct tsc_segment	*segments;
	size_t			nr_segments;
	size_t			capacity;
	size_t			nr_nonzero;
	bool			previous_reported;
	bool			tsc_protected;
	bool			protection_known;
	bool			lost_after;
};

/**
 * struct vm_history - the vCPUs of one VM
 * @vm: distinguishes this VM from others: the pid of its VMM, or the thread that created it
 * @vcpus: in the order of vcpu_id
 * @nr_vcpus: number of @vcpus
 * @capacity: number of vCPUs that fit without growing
 */
struct vm_history {
	int			vm;
	struct vcpu_history	*vcpus;
	size_t			nr_vcpus;
	size_t			capacity;
};

/**
 * struct tsc_history - the VMs of one host
 * @vms: in the order of @vm
 * @nr_vms: number of @vms
 */
struct tsc_history {
	struct vm_history	*vms;
	size_t			nr_vms;
};

struct vm_history *tsc_history_vm(struct tsc_history *history, int vm);
void tsc_history_release(struct tsc_history *history);

struct vcpu_history *vm_history_vcpu(struct vm_history *vm, uint32_t vcpu_id);
size_t vm_history_find(const struct vm_history *vm, uint32_t vcpu_id);
int vm_history_add(struct vm_history *vm, const struct tsc_offset_event *event);
void vm_history_release(struct vm_history *vm);

void vcpu_history_set_initial(struct vcpu_history *vcpu, const struct tsc_mapping *map);
void vcpu_history_set_scaling(struct vcpu_history *vcpu, const struct tsc_mapping *map);
int vcpu_history_add(struct vcpu_history *vcpu, uint64_t host_tsc, const struct tsc_mapping *map,
		     const struct tsc_mapping *previous);
bool vcpu_history_birth(const struct vcpu_history *vcpu, size_t i);
bool vcpu_history_begins_with_creation(const struct vcpu_history *vcpu);
bool vcpu_history_previous_unreported(const struct vcpu_history *vcpu);
bool vcpu_history_before(const struct vcpu_history *vcpu, size_t i, struct tsc_mapping *map);
size_t vcpu_history_until(const struct vcpu_history *vcpu, uint64_t host_tsc);
bool vcpu_history_at(const struct vcpu_history *vcpu, uint64_t host_tsc, struct tsc_mapping *map);
bool vcpu_history_scaled(const struct vcpu_history *vcpu);
int64_t vcpu_history_jump(const struct vcpu_history *vcpu, size_t i);
bool tsc_segment_changes(const struct tsc_segment *segment);
bool vcpu_history_gap(const struct vcpu_history *vcpu, size_t i);
bool vcpu_history_backward(const struct vcpu_history *vcpu, size_t i, uint64_t *from, uint64_t *to);

#endif /* TSC_OFFSET_HISTORY_H */
