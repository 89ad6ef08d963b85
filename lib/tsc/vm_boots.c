// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "history.h"
#include "order.h"
#include "vm_boots.h"

/*
 * After a reset a TSC is at most some seconds: if KVM resets a vCPU within a second of another one, it gets the other's
 * offset. If the TSC was near 0 before as well, this is the same reset.
 */
#define NEAR_ZERO	(1LL << 33)
#define SAME_RESET	(1LL << 28)
/* How often a VMM may write the same offset again before it loads a state */
#define MAX_REPEATED	16

/* A change of a vCPU that may be part of a boot */
struct change {
	uint64_t		host_tsc;
	enum vm_boot_kind	kind;
	size_t			vcpu;
};

/**
 * vcpu_change_before - find the change before a change
 * @vcpu: the vCPU
 * @i: index of the segment that the change begins
 *
 * A repeated write of the same offset is not a change. Only a limited number of these is skipped.
 *
 * Returns: index of the segment, or the number of segments without one.
 */
size_t vcpu_change_before(const struct vcpu_history *vcpu, size_t i)
{
	for (size_t repeated = 0; i-- && repeated <= MAX_REPEATED; repeated++) {
		if (tsc_segment_changes(&vcpu->segments[i]) || vcpu_history_birth(vcpu, i))
			return i;
	}
	return vcpu->nr_segments;
}

/* Did a change create or reset the vCPU? That does not depend on earlier changes. */
static enum vm_boot_kind kind_of_start(const struct vcpu_history *vcpu, size_t i)
{
	const struct tsc_segment *segment = &vcpu->segments[i];
	struct tsc_mapping before;
	int64_t from, to;

	if (vcpu_history_birth(vcpu, i))
		return VM_MADE;
	if (!vcpu_history_before(vcpu, i, &before))
		return VM_GOES_ON;
	from = (int64_t)tsc_guest_from_host(&before, segment->host_tsc);
	to = (int64_t)tsc_guest_from_host(&segment->map, segment->host_tsc);
	return to >= 0 && to < NEAR_ZERO && to < from / 2 && from >= SAME_RESET ? VM_RESET : VM_GOES_ON;
}

/**
 * vcpu_boot_kind - get the kind of boot of a change
 * @vcpu: the vCPU
 * @i: index of the segment that the change begins
 *
 * A load of a saved state shows as a TSC that was new or reset and then jumped ahead of all that it can have counted:
 * to more than twice its value, and not near 0. Guests correct their TSCs by less.
 *
 * Returns: the kind, VM_GOES_ON without a boot.
 */
enum vm_boot_kind vcpu_boot_kind(const struct vcpu_history *vcpu, size_t i)
{
	const struct tsc_segment *segment = &vcpu->segments[i];
	enum vm_boot_kind kind = kind_of_start(vcpu, i);
	struct tsc_mapping before;
	int64_t from, to;
	size_t start;

	if (kind != VM_GOES_ON || !vcpu_history_before(vcpu, i, &before))
		return kind;
	start = vcpu_change_before(vcpu, i);
	if (start == vcpu->nr_segments || kind_of_start(vcpu, start) == VM_GOES_ON)
		return VM_GOES_ON;
	from = (int64_t)tsc_guest_from_host(&before, segment->host_tsc);
	to = (int64_t)tsc_guest_from_host(&segment->map, segment->host_tsc);
	return from >= 0 && to >= NEAR_ZERO && to / 2 > from ? VM_RESTORED : VM_GOES_ON;
}

/**
 * vm_boot_word - name a kind of boot for people and programs
 * @kind: the kind
 *
 * Returns: "made", "reset" or "restored".
 */
const char *vm_boot_word(enum vm_boot_kind kind)
{
	static const char *const words[] = {
		[VM_GOES_ON] = "goes on", [VM_MADE] = "made", [VM_RESET] = "reset", [VM_RESTORED] = "restored",
	};

	return words[kind];
}

static ORDER_BY(compare_changes, struct change, host_tsc)

static size_t collect(const struct vm_history *vm, struct change *changes)
{
	size_t nr = 0;

	for (size_t v = 0; v < vm->nr_vcpus; v++) {
		for (size_t i = 0; i < vm->vcpus[v].nr_segments; i++) {
			enum vm_boot_kind kind = vcpu_boot_kind(&vm->vcpus[v], i);

			if (kind != VM_GOES_ON)
				changes[nr++] = (struct change) { vm->vcpus[v].segments[i].host_tsc, kind, v };
		}
	}
	return nr;
}

/**
 * vm_boots_find - find the boots of a VM
 * @boots: result; must be released in any case
 * @vm: the history of its vCPUs
 *
 * All vCPUs boot together, each with a change of its own; a vCPU that changes alone was plugged in. The first vCPU with
 * changes must therefore be among them.
 *
 * Returns: 0 or -ENOMEM.
 */
int vm_boots_find(struct vm_boots *boots, const struct vm_history *vm)
{
	_cleanup_(freep) struct change *changes = NULL;
	_cleanup_(freep) size_t *last = NULL;
	size_t room = 0, nr, first = 0;

	*boots = (struct vm_boots) { 0 };
	for (size_t v = 0; v < vm->nr_vcpus; v++)
		room += vm->vcpus[v].nr_segments;
	while (first < vm->nr_vcpus && !vm->vcpus[first].nr_segments)
		first++;
	changes = calloc(room + 1, sizeof(*changes));
	/* The last group of each vCPU, counted from 1 */
	last = calloc(vm->nr_vcpus + 1, sizeof(*last));
	boots->boots = calloc(room + 1, sizeof(*boots->boots));
	if (!changes || !last || !boots->boots)
		return -ENOMEM;
	nr = collect(vm, changes);
	array_sort(changes, nr, compare_changes);
	for (size_t i = 0, group = 0, begin = 0; i < nr; i++) {
		if (!group || changes[i].kind != changes[begin].kind || last[changes[i].vcpu] == group) {
			begin = i;
			group++;
		}
		last[changes[i].vcpu] = group;
		if (changes[i].vcpu == first)
			boots->boots[boots->nr++] = (struct vm_boot) { changes[begin].host_tsc, changes[i].kind };
	}
	return 0;
}

/**
 * vm_boots_release - free what is owned
 * @boots: boots, also after a failed search, or all zeros
 */
void vm_boots_release(struct vm_boots *boots)
{
	free(boots->boots);
	*boots = (struct vm_boots) { 0 };
}
