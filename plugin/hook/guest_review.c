// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "guest_cpus.h"
#include "guest_history.h"
#include "guest_review.h"
#include "message.h"

/* Most backward jumps of a vCPU with a line each */
#define MAX_JUMPS	5

/**
 * struct review - a review in progress
 * @guest: the guest
 * @doubts: number of doubts so far
 */
struct review {
	struct guest_history	*guest;
	size_t			doubts;
};

static __attribute__((format(printf, 2, 3))) void doubt(struct review *review, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	message("%s", text);
	review->doubts++;
}

/* Does debugfs contradict the last event? Undecided if they change meanwhile. */
static bool contradicted(struct guest_history *guest, size_t i, struct tsc_mapping *last, struct tsc_mapping *now)
{
	struct vcpu_history *vcpu = guest_history_vcpu(guest, i);
	size_t nr_segments = vcpu->nr_segments;

	if (!guest->debugfs.path || kvm_debugfs_l1(&guest->debugfs, vcpu->vcpu_id, now))
		return false;
	guest_history_drain(guest);
	vcpu = guest_history_vcpu(guest, i);
	return vcpu->nr_segments == nr_segments && !vcpu_history_previous_unreported(vcpu) &&
	       vcpu_history_at(vcpu, UINT64_MAX, last) && last->offset != now->offset;
}

static void review_jumps(struct review *review, const struct vcpu_history *vcpu)
{
	size_t jumps = 0;
	uint64_t from, to;

	for (size_t i = 0; i < vcpu->nr_segments; i++) {
		if (vcpu_history_backward(vcpu, i, &from, &to) && ++jumps <= MAX_JUMPS)
			doubt(review, "guest pid %d: vCPU %u: its TSC moved backward: guest times from %" PRIu64 " to %" PRIu64 " are ambiguous",
			      review->guest->pid, vcpu->vcpu_id, from, to);
	}
	if (jumps > MAX_JUMPS)
		doubt(review, "guest pid %d: vCPU %u: and %zu more times", review->guest->pid, vcpu->vcpu_id,
		      jumps - MAX_JUMPS);
}

static void review_vcpu(struct review *review, size_t i, size_t in_points)
{
	struct vcpu_history *vcpu = guest_history_vcpu(review->guest, i);
	size_t gaps = 0, late = vcpu->nr_segments - in_points;
	struct tsc_mapping last, now;

	if (review->guest->guessed[i])
		doubt(review, "guest pid %d: vCPU %u: initial offset unknown, assuming %" PRId64 ": times before its first change may be wrong",
		      review->guest->pid, vcpu->vcpu_id, vcpu->initial.offset);
	review_jumps(review, vcpu);
	for (size_t segment = 0; segment < vcpu->nr_segments; segment++)
		gaps += vcpu_history_gap(vcpu, segment);
	if (gaps)
		doubt(review, "guest pid %d: vCPU %u: history incomplete, changes were lost in %zu places",
		      review->guest->pid, vcpu->vcpu_id, gaps);
	if (late)
		doubt(review, "guest pid %d: vCPU %u: %zu changes came after the last synchronisation; later events of the guest have wrong times",
		      review->guest->pid, vcpu->vcpu_id, late);
	if (contradicted(review->guest, i, &last, &now))
		doubt(review, "guest pid %d: vCPU %u: the last event left offset %" PRId64 ", debugfs says %" PRId64,
		      review->guest->pid, guest_history_vcpu(review->guest, i)->vcpu_id, last.offset, now.offset);
}

/**
 * guest_review - print the review of a guest
 * @guest: the guest, with its drainer stopped
 * @cpus: its CPUs
 * @in_points: for each vCPU, the number of changes in the last sync points
 * @error: negative errno if the last sync points could not be computed or passed on, else 0
 */
void guest_review(struct guest_history *guest, const struct guest_cpus *cpus, const size_t *in_points, int error)
{
	/* A failure to read the events was reported when it happened */
	struct review review = { .guest = guest, .doubts = !!guest->drainer.error };
	size_t changes = 0, unscaled = 0;

	guest_history_drain(guest);
	for (size_t cpu = 0; cpu < cpus->nr_vcpus; cpu++) {
		size_t vcpu = cpus->vcpus[cpu];

		if (!guest_history_vcpu(guest, vcpu))
			return;
		review_vcpu(&review, vcpu, in_points[vcpu]);
		changes += in_points[vcpu];
		unscaled += !guest->initial[vcpu].scaling_known;
	}
	if (unscaled)
		doubt(&review, "guest pid %d: unknown whether its TSC is scaled, assuming 1:1 for %zu vCPUs",
		      guest->pid, unscaled);
	if (cpus->nr_vcpus < cpus->nr_cpus && guest->events.nr_vcpus > cpus->nr_vcpus)
		doubt(&review, "guest pid %d got new vCPUs while it was recorded: their times are wrong", guest->pid);
	if (cpus->misfits)
		doubt(&review, "guest pid %d: CPU %zu%s answered with a time that the TSC of no vCPU had then; its times are wrong",
		      guest->pid, cpus->misfit, cpus->misfits > 1 ? " (and others)" : "");
	if (guest->drainer.lost)
		doubt(&review, "guest pid %d: the host's ring buffer lost events%s",
		      guest->pid, review.doubts ? "" : "; what is left is without a gap");
	if (error)
		doubt(&review, "guest pid %d: its sync points cannot be passed to trace-cmd (%s): its times are wrong",
		      guest->pid, error == -E2BIG ? "there are too many" : strerror(-error));
	message("guest pid %d: %zu vCPUs, %zu changes of the TSC offset%s", guest->pid, cpus->nr_vcpus, changes,
		review.doubts ? "; see above" : "");
}
