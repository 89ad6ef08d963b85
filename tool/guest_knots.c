// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "guest_knots.h"
#include "guest_trace.h"
#include "host_trace.h"
#include "initial.h"
#include "instance.h"
#include "message.h"
#include "trace_dat.h"

/* Beyond the host's last event: no change is known there, and a guest may have recorded a bit longer */
#define MARGIN (1ULL << 34)
/* Doubts that get a line each */
#define MAX_LINES 10

/* A kernel whose events do not tell the scaling: it seldom changes, what the user says of it holds on */
static void carry_scaling(struct vcpu_history *vcpu)
{
	for (size_t i = 0; i < vcpu->nr_segments; i++) {
		if (vcpu->segments[i].map.ratio)
			return;
	}
	for (size_t i = 0; i < vcpu->nr_segments; i++) {
		vcpu->segments[i].map.ratio = vcpu->initial.ratio;
		vcpu->segments[i].map.frac_bits = vcpu->initial.frac_bits;
	}
}

/* Returns: 0, or -ENODATA after a message if nobody knows the first value */
static int set_initial(struct vcpu_history *vcpu, size_t cpu, const struct initial_values *initial)
{
	const struct initial_value *value = initial_value(initial, vcpu->vcpu_id);
	struct tsc_mapping map;

	if (value) {
		vcpu_history_set_initial(vcpu, &value->map);
		carry_scaling(vcpu);
	}
	if (vcpu_history_before(vcpu, 0, &map))
		return 0;
	if (vcpu->tsc_protected)
		message("vCPU %u (the guest's CPU %zu): its TSC is protected: what KVM says of its offset "
			"need not be so. --estimate can find one that puts the guest's events to where the "
			"vCPU ran; recorded with -A and another clock than " TSC_CLOCK " trace-cmd measures "
			"it by ptp", vcpu->vcpu_id, cpu);
	else if (vcpu->nr_segments)
		message("vCPU %u: the kernel's events do not tell the offset before; --initial or "
			"--initial-from can", vcpu->vcpu_id);
	else
		message("vCPU %u (the guest's CPU %zu): no offset is known, it did not change while the "
			"host was recorded. --initial or --initial-from can tell it, and for a guest "
			"with a protected TSC, whose offset KVM does not know, --estimate",
			vcpu->vcpu_id, cpu);
	return -ENODATA;
}

/* Can the first event of a guest's CPU have come before segment @i, and after the one before that? */
static bool recorded_before(const struct vcpu_history *vcpu, size_t i, const struct guest_cpu *cpu)
{
	struct tsc_mapping map;
	uint64_t from, to;

	if (!i && vcpu_history_begins_with_creation(vcpu))
		return false;
	if (vcpu_history_gap(vcpu, i) || !vcpu_history_before(vcpu, i, &map))
		return true;
	to = tsc_guest_from_host(&map, vcpu->segments[i].host_tsc);
	if (!i)
		return cpu->first <= to;
	from = tsc_guest_from_host(&map, vcpu->segments[i - 1].host_tsc);
	return cpu->first - from <= to - from;
}

/*
 * A guest that boots while the host is recorded has its TSC set back, once or more, before anybody in it can
 * record. Knots for that time would be in the way of those for the same guest times after it.
 */
static void begin_with_guest(struct vcpu_history *vcpu, const struct guest_cpu *cpu)
{
	uint64_t from, to;
	size_t nr = 0;

	for (size_t i = 0; i < vcpu->nr_segments && !recorded_before(vcpu, i, cpu); i++) {
		if ((!i && vcpu_history_begins_with_creation(vcpu)) ||
		    vcpu_history_backward(vcpu, i, &from, &to))
			nr = i + 1;
	}
	if (nr)
		vcpu_history_begin(vcpu, nr);
}

/* A guest that writes its TSC all the time can have any number of them: show lists all */
static void doubt(struct guest_knots *knots, const struct vcpu_history *vcpu, uint64_t from,
		  uint64_t to, const char *why)
{
	if (knots->nr_doubts++ < MAX_LINES)
		message("vCPU %u: guest times %" PRIu64 " to %" PRIu64 ": %s", vcpu->vcpu_id, from, to,
			why);
}

/*
 * The first host time at which a change before segment @i may have been missed: where the ring buffer
 * dropped events, or anywhere after the change before if it does not say so.
 */
static uint64_t gap_from(const struct guest_knots *knots, const struct host_trace *host,
			 const struct vcpu_history *vcpu, size_t i)
{
	uint64_t from = i ? vcpu->segments[i - 1].host_tsc : host->first;
	uint64_t to = i < vcpu->nr_segments ? vcpu->segments[i].host_tsc : UINT64_MAX;

	/* In the order of time. A doubt that gets no line is not worth the search. */
	for (size_t j = 0; knots->nr_doubts < MAX_LINES && j < host->nr_lost; j++) {
		if (host->lost[j].from >= from && host->lost[j].from < to)
			return host->lost[j].from;
	}
	return from;
}

static void review_segments(struct guest_knots *knots, const struct host_trace *host,
			    const struct vcpu_history *vcpu)
{
	struct tsc_mapping before;
	uint64_t from, to;

	for (size_t i = 0; i < vcpu->nr_segments; i++) {
		if (vcpu_history_gap(vcpu, i) && vcpu_history_before(vcpu, i, &before))
			doubt(knots, vcpu,
			      tsc_guest_from_host(&before, gap_from(knots, host, vcpu, i)),
			      tsc_guest_from_host(&before, vcpu->segments[i].host_tsc),
			      "the history is incomplete, events were lost");
		if (vcpu_history_backward(vcpu, i, &from, &to))
			doubt(knots, vcpu, from, to,
			      "ambiguous, the TSC jumped backward; no TIME_SHIFT can express it");
		knots->nr_changes += tsc_segment_changes(&vcpu->segments[i]);
	}
	if (vcpu_history_gap(vcpu, vcpu->nr_segments) &&
	    vcpu_history_before(vcpu, vcpu->nr_segments, &before))
		doubt(knots, vcpu,
		      tsc_guest_from_host(&before, gap_from(knots, host, vcpu, vcpu->nr_segments)),
		      tsc_guest_from_host(&before, host->last),
		      "the history is incomplete, events were lost and none came after");
}

/*
 * A guest that was recorded before the host: what changed in that time nobody knows. It is said, but no more:
 * the host has no event there with which the guest's could be merged.
 */
static void review_start(const struct host_trace *host, const struct vcpu_history *vcpu,
			 const struct guest_cpu *cpu, uint64_t *host_from)
{
	struct tsc_mapping map;
	uint64_t begin;

	if (!vcpu_history_before(vcpu, 0, &map) ||
	    tsc_host_from_guest(&map, cpu->first, &begin) || begin >= host->first)
		return;
	if (begin < *host_from)
		*host_from = begin;
	message("vCPU %u: guest times %" PRIu64 " to %" PRIu64 " are before the host's recording: nothing "
		"there to merge them with", vcpu->vcpu_id, cpu->first,
		tsc_guest_from_host(&map, host->first));
}

static bool is_between(uint64_t time, uint64_t from, uint64_t to)
{
	return time - from <= to - from;
}

/*
 * Can an event of a guest's CPU be of the time that the host recorded? Guest times are modulo 2^64, as before its
 * TSC began at 0.
 */
static bool meets_host(const struct host_trace *host, const struct vcpu_history *vcpu, const struct guest_cpu *cpu)
{
	for (size_t i = 0; i <= vcpu->nr_segments; i++) {
		uint64_t from = i ? vcpu->segments[i - 1].host_tsc : 0;
		uint64_t to = i < vcpu->nr_segments ? vcpu->segments[i].host_tsc : UINT64_MAX;
		struct tsc_mapping map;

		/* Where a change was lost any offset may have been */
		if (vcpu_history_gap(vcpu, i))
			return true;
		if (from < host->recorded_first)
			from = host->recorded_first;
		if (to > host->recorded_last)
			to = host->recorded_last;
		if (from > to || !vcpu_history_before(vcpu, i, &map))
			continue;
		from = tsc_guest_from_host(&map, from);
		to = tsc_guest_from_host(&map, to);
		if (is_between(cpu->first, from, to) || is_between(from, cpu->first, cpu->last))
			return true;
	}
	return false;
}

/*
 * Returns: false after a message if the files do not belong together. A host's file with nothing but changes of
 * offsets does not tell when it was recorded.
 */
static bool recorded_together(const struct host_trace *host, const struct guest_trace *guest,
			      const struct vcpu_history *const *vcpus)
{
	for (size_t cpu = 0; cpu < guest->nr_cpus; cpu++) {
		if (guest->cpus[cpu].has_events && meets_host(host, vcpus[cpu], &guest->cpus[cpu]))
			return true;
	}
	if (!host->guest_modes)
		return true;
	message("%s: none of its events is of the time that %s has: were both recorded at the same time, or is its "
		"TSC scaled, which --initial-from can tell?", guest->dat->path, host->dat->path);
	return false;
}

/* For CPUs that recorded nothing any history will do */
static const struct vcpu_history *stand_in(const struct guest_trace *guest, struct host_vm *vm)
{
	for (size_t cpu = 0; cpu < guest->nr_cpus; cpu++) {
		if (guest->cpus[cpu].has_events)
			return &vm->history.vcpus[cpu];
	}
	return NULL;
}

static void refuse(const struct host_vm *vm, const struct guest_trace *guest, int error)
{
	size_t changes = 0;

	if (error != -E2BIG) {
		message("the offsets of VM %s cannot be expressed as TIME_SHIFT: %s", vm->name, strerror(-error));
		return;
	}
	for (size_t cpu = 0; cpu < guest->nr_cpus; cpu++) {
		if (vm->history.vcpus[cpu].nr_segments > changes)
			changes = vm->history.vcpus[cpu].nr_segments;
	}
	message("VM %s: its TIME_SHIFT would be larger than %lu MiB: each of the %zu CPUs of %s needs as many knots as "
		"the one with most, which has %zu changes", vm->name, TIME_SHIFT_MAX_SIZE >> 20, guest->nr_cpus,
		guest->dat->path, changes);
}

/**
 * guest_knots_build - turn a VM's history into the knots for its guest's file
 * @knots: result; to be released in any case
 * @host: the host's file
 * @vm: the VM, one of @host, after guest_vcpus_match(); gets first values
 * @guest: the guest's file
 * @initial: first values that the user knows
 *
 * Returns: 0, or a negative errno after a message: -ENODATA if a first value is not known, or if the guest was not
 * recorded while its host was.
 */
int guest_knots_build(struct guest_knots *knots, const struct host_trace *host, struct host_vm *vm,
		      const struct guest_trace *guest, const struct initial_values *initial)
{
	_cleanup_(freep) const struct vcpu_history **vcpus = NULL;
	uint64_t host_from = host->first;
	int ret = 0;

	*knots = (struct guest_knots) { 0 };
	if (!guest->nr_cpus) {
		message("%s: no events in buffer \"%s\"", guest->dat->path, guest->buffer->name);
		return -ENODATA;
	}
	vcpus = calloc(guest->nr_cpus, sizeof(*vcpus));
	if (!vcpus)
		return -ENOMEM;
	for (size_t cpu = 0; cpu < guest->nr_cpus; cpu++) {
		struct vcpu_history *vcpu = &vm->history.vcpus[cpu];

		vcpus[cpu] = vcpu;
		if (!guest->cpus[cpu].has_events) {
			vcpus[cpu] = stand_in(guest, vm);
			continue;
		}
		if (set_initial(vcpu, cpu, initial)) {
			ret = -ENODATA;
			continue;
		}
		begin_with_guest(vcpu, &guest->cpus[cpu]);
		review_start(host, vcpu, &guest->cpus[cpu], &host_from);
		if (!ret)
			review_segments(knots, host, vcpu);
	}
	if (knots->nr_doubts > MAX_LINES)
		message("and %zu more ranges, see tsc-offset show", knots->nr_doubts - MAX_LINES);
	if (ret)
		return ret;
	if (!recorded_together(host, guest, vcpus))
		return -ENODATA;
	ret = time_shift_build(&knots->shift, vcpus, guest->nr_cpus, host_from,
			       host->last + MARGIN);
	if (ret)
		refuse(vm, guest, ret);
	return ret;
}

/**
 * guest_knots_release - free the knots
 * @knots: built, or failed to
 */
void guest_knots_release(struct guest_knots *knots)
{
	time_shift_release(&knots->shift);
}
