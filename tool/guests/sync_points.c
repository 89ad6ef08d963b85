// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "any.h"
#include "cleanup.h"
#include "error_bound.h"
#include "guest_file.h"
#include "guest_vcpus.h"
#include "host.h"
#include "sync_points.h"
#include "trace_dat.h"
#include "tsc2nsec.h"
#include "tsc_clock.h"
#include "tsc_frequency.h"

/* After the host's last event no change is known, and the guest may have recorded a little longer */
#define MARGIN (1ULL << 34)
/* Doubts with a line each */
#define MAX_LINES 10

/* Returns: 0, or a negative errno and a finding if the offset of a CPU is unknown */
static int check_cpu(struct findings *findings, const struct guest_vcpu *vcpu, size_t cpu,
		     const struct guest_buffer *guest)
{
	struct tsc_mapping map;

	if (!vcpu->known) {
		findings_doubt(findings, FINDING_VCPU,
			       "%s: CPU %zu of %u fits none of the vCPUs that the host's file shows: is it another VM (--vm)? Or record the host with kvm:kvm_entry while all vCPUs run, or use --initial-from",
			       guest->dat->path, cpu, guest->dat->nr_cpus);
		return -ENXIO;
	}
	if (!vcpu->begins_unknown && vcpu_history_before(&vcpu->history, 0, &map))
		return 0;
	if (vcpu->history.tsc_protected)
		findings_doubt(findings, FINDING_OFFSET,
			       "vCPU %u (the guest's CPU %zu): its TSC is protected: the offset that KVM reports may be wrong; use --estimate, or record with -A and another clock than " TSC_CLOCK ", which makes trace-cmd measure by ptp",
			       vcpu->vcpu_id, cpu);
	else if (vcpu->begins_unknown)
		findings_doubt(findings, FINDING_OFFSET,
			       "vCPU %u: the kernel's events do not report the previous offset; use --initial-from or --initial",
			       vcpu->vcpu_id);
	else
		findings_doubt(findings, FINDING_OFFSET,
			       "vCPU %u (the guest's CPU %zu): no offset is known, as it did not change while the host was recorded; use --initial-from or --initial, or an estimate by the guest's events (--estimate)",
			       vcpu->vcpu_id, cpu);
	return -ENODATA;
}

/* A guest that always writes its TSC can have any number of them: show lists all */
static bool has_room(struct sync_points *points)
{
	if (points->findings.nr_doubts < MAX_LINES)
		return true;
	points->findings.nr_doubts++;
	return false;
}

/*
 * The first host time at which a change before segment @i may be missing: where the ring buffer dropped events, or
 * right after the change before if that is unknown.
 */
static uint64_t gap_from(const struct host *host, const struct vcpu_history *vcpu, size_t i)
{
	uint64_t from = i ? vcpu->segments[i - 1].host_tsc : host->first;
	uint64_t to = i < vcpu->nr_segments ? vcpu->segments[i].host_tsc : UINT64_MAX;

	/* In the order of time */
	for (size_t j = 0; j < host->nr_lost; j++) {
		if (host->lost[j].from >= from && host->lost[j].from < to)
			return host->lost[j].from;
	}
	return from;
}

/* Times at which changes may be missing, from the first relevant one on */
static void review_gaps(struct sync_points *points, const struct host *host, const struct vcpu_history *history,
			uint64_t begins)
{
	for (size_t i = 0; i <= history->nr_segments; i++) {
		bool last = i == history->nr_segments;
		uint64_t to = last ? host->last : history->segments[i].host_tsc;
		struct tsc_mapping before;

		if (to <= begins || !vcpu_history_gap(history, i) || !vcpu_history_before(history, i, &before) ||
		    !has_room(points))
			continue;
		findings_doubt(&points->findings, FINDING_HISTORY,
			       "vCPU %u: guest times %" PRIu64 " to %" PRIu64 ": the history is incomplete, events were lost%s",
			       history->vcpu_id, tsc_guest_from_host(&before, gap_from(host, history, i)),
			       tsc_guest_from_host(&before, to), last ? " and none came after" : "");
	}
}

/* TIME_SHIFT cannot express these; in the stream of events they have their places */
static void review_jumps(struct sync_points *points, const struct guest_vcpu *vcpu)
{
	if (vcpu->overlaps && has_room(points))
		findings_doubt(&points->findings, FINDING_BACKWARD,
			       "vCPU %u: guest times %" PRIu64 " to %" PRIu64 ": ambiguous, the TSC jumped backward; no TIME_SHIFT can express it%s",
			       vcpu->vcpu_id, vcpu->overlap_from, vcpu->overlap_to,
			       vcpu->undecided ? "" : ", --rewrite can");
	if (vcpu->nr_late && has_room(points))
		findings_doubt(&points->findings, FINDING_BACKWARD,
			       "vCPU %u: its TSC jumped backward within a page of the ring buffer: %" PRIu64
			       " events have times that are too late; use --rewrite",
			       vcpu->vcpu_id, vcpu->nr_late);
}

static void review_cpu(struct sync_points *points, const struct host *host, const struct guest_vcpu *vcpu,
		       bool by_stream)
{
	for (size_t i = 0; i < vcpu->nr_sources; i++)
		review_gaps(points, host, vcpu->sources[i].history, vcpu->history.begins);
	for (size_t i = 0; i < vcpu->history.nr_segments; i++)
		points->nr_changes += tsc_segment_changes(&vcpu->history.segments[i]);
	if (!by_stream)
		review_jumps(points, vcpu);
}

static void begin_earlier(const struct vcpu_history *vcpu, const struct guest_cpu *cpu, uint64_t *host_from)
{
	struct tsc_mapping map;
	uint64_t begin;

	if (vcpu_history_before(vcpu, 0, &map) && !tsc_host_from_guest(&map, cpu->first, &begin) && begin < *host_from)
		*host_from = begin;
}

/*
 * A guest that was recorded before the host: changes in that time are unknown. This is only reported, because the host
 * has no events there to merge with.
 */
static void review_start(struct findings *findings, const struct host *host, const struct guest_buffer *guest,
			 uint64_t host_from)
{
	struct tsc_frequency frequency;
	char earlier[ERROR_BOUND_SIZE];

	if (host_from == host->first)
		return;
	tsc2nsec_frequency(&frequency, guest->dat);
	findings_note(findings, FINDING_PROOF,
		      "%s: its recording began %s before the host's; its first events have nothing to be merged with",
		      guest->dat->path, error_bound_text(host->first - host_from, &frequency, earlier));
}

static bool is_between(uint64_t time, uint64_t from, uint64_t to)
{
	return time - from <= to - from;
}

/*
 * Can an event of a guest's CPU be from the time of the host's recording? Guest times are modulo 2^64, as before its
 * TSC began at 0.
 */
static bool meets_host(const struct host *host, const struct guest_vcpu *vcpu, const struct guest_cpu *cpu)
{
	const struct vcpu_history *history = &vcpu->history;

	/* If a change was lost, the offset may have had any value */
	for (size_t i = 0; i < vcpu->nr_sources; i++) {
		for (size_t j = 0; j <= vcpu->sources[i].history->nr_segments; j++) {
			if (vcpu_history_gap(vcpu->sources[i].history, j))
				return true;
		}
	}
	for (size_t i = 0; i <= history->nr_segments; i++) {
		uint64_t from = i ? history->segments[i - 1].host_tsc : 0;
		uint64_t to = i < history->nr_segments ? history->segments[i].host_tsc : UINT64_MAX;
		struct tsc_mapping map;

		if (from < host->recorded_first)
			from = host->recorded_first;
		if (to > host->recorded_last)
			to = host->recorded_last;
		if (from > to || !vcpu_history_before(history, i, &map))
			continue;
		from = tsc_guest_from_host(&map, from);
		to = tsc_guest_from_host(&map, to);
		if (is_between(cpu->first, from, to) || is_between(from, cpu->first, cpu->last))
			return true;
	}
	return false;
}

/*
 * Do the files belong together? A host's file with only changes of offsets does not show when it was recorded.
 */
static bool recorded_together(const struct host *host, const struct guest_buffer *guest,
			      const struct guest_vcpus *vcpus)
{
	return !host->guest_modes ||
	       any_of(cpu, guest->nr_cpus, guest->cpus[cpu].has_events &&
					   meets_host(host, &vcpus->cpus[cpu], &guest->cpus[cpu]));
}

/* For CPUs without events any history is valid */
static const struct vcpu_history *stand_in(const struct guest_buffer *guest, const struct guest_vcpus *vcpus)
{
	for (size_t cpu = 0; cpu < guest->nr_cpus; cpu++) {
		if (guest->cpus[cpu].has_events)
			return &vcpus->cpus[cpu].history;
	}
	return NULL;
}

static int refuse(const struct vcpu_history *const *histories, const struct guest_buffer *guest, int error)
{
	size_t changes = 0;

	if (error != -E2BIG)
		return trace_dat_refuse(guest->dat, error, "its offsets cannot be expressed as TIME_SHIFT: %s",
					strerror(-error));
	for (size_t cpu = 0; cpu < guest->nr_cpus; cpu++) {
		if (histories[cpu]->nr_segments > changes)
			changes = histories[cpu]->nr_segments;
	}
	return trace_dat_refuse(guest->dat, error,
				"its TIME_SHIFT would be larger than %lu MiB: each of its %zu CPUs needs as many sync points as the one with most, which has %zu changes",
				TIME_SHIFT_MAX_SIZE >> 20, guest->nr_cpus, changes);
}

/**
 * sync_points_build - compute the sync points of a guest's file from the histories of its CPUs
 * @points: result; must be released in any case
 * @host: the host's file
 * @vcpus: the guest's CPUs, at least as many as in @guest
 * @guest: the guest's file
 * @by_stream: do not make sync points, because each event gets its time by its place in the stream (guest_timeline.h);
 *	review only
 *
 * Returns: 0, or a negative errno with the reason in the error of @guest's file: -ENODATA if an initial offset is
 * unknown, or if the guest was not recorded during the host's recording, -ENXIO if the vCPU of a CPU is unknown.
 */
int sync_points_build(struct sync_points *points, const struct host *host, const struct guest_vcpus *vcpus,
		      const struct guest_buffer *guest, bool by_stream)
{
	_cleanup_(freep) const struct vcpu_history **histories = NULL;
	uint64_t host_from = host->first;
	size_t nr_unknown = 0;
	int ret = 0;

	*points = (struct sync_points) { 0 };
	if (!guest->nr_cpus)
		return trace_dat_refuse(guest->dat, -ENODATA, "no events in buffer \"%s\"", guest->buffer->name);
	histories = calloc(guest->nr_cpus, sizeof(*histories));
	if (!histories)
		return -ENOMEM;
	for (size_t cpu = 0; cpu < guest->nr_cpus; cpu++) {
		const struct guest_vcpu *vcpu = &vcpus->cpus[cpu];
		int error;

		histories[cpu] = &vcpu->history;
		if (!guest->cpus[cpu].has_events) {
			histories[cpu] = stand_in(guest, vcpus);
			continue;
		}
		error = check_cpu(&points->findings, vcpu, cpu, guest);
		if (error) {
			ret = error;
			nr_unknown++;
			continue;
		}
		points->nr_vcpus++;
		begin_earlier(&vcpu->history, &guest->cpus[cpu], &host_from);
		review_cpu(points, host, vcpu, by_stream);
	}
	if (ret)
		return trace_dat_refuse(guest->dat, ret, "the offset of %zu of its CPUs is unknown", nr_unknown);
	if (!recorded_together(host, guest, vcpus))
		return trace_dat_refuse(guest->dat, -ENODATA,
					"none of its events is within the time of %s: were both recorded at the same time, or is its TSC scaled (--initial-from)?",
					host->dat->path);
	review_start(&points->findings, host, guest, host_from);
	if (points->findings.nr_doubts > MAX_LINES)
		findings_note(&points->findings, FINDING_HISTORY, "%zu more ranges; see 'tsc-offset show'",
			      points->findings.nr_doubts - MAX_LINES);
	if (by_stream)
		return 0;
	ret = time_shift_build(&points->shift, histories, guest->nr_cpus, host_from, host->last + MARGIN);
	return ret ? refuse(histories, guest, ret) : 0;
}

/**
 * sync_points_release - free the sync points
 * @points: the points, also after a failure
 */
void sync_points_release(struct sync_points *points)
{
	time_shift_release(&points->shift);
	findings_release(&points->findings);
}
