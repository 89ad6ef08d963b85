// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <x86intrin.h>

#include "cleanup.h"
#include "guest_clock.h"
#include "guest_cpus.h"
#include "guest_history.h"
#include "guest_probe.h"
#include "guest_review.h"
#include "message.h"
#include "time_shift.h"

/* The last sync points lie this far ahead, so that a guest that runs on stays on the line: some seconds */
#define HOST_TSC_AHEAD		(1ULL << 34)

/*
 * A guest can change its TSC at any rate, and all CPUs get as many sync points as the one with most, including those
 * that only its agent reports. This is the limit for all CPUs together: 96 MiB in the guest's file, and less than half
 * a GiB of memory, in which there are several copies.
 */
#define MAX_POINTS		(3 << 20)
/* Two for each change, and two more at the begin and at the end */
#define POINTS_OF_CHANGE		2
#define POINTS_OF_ENDS		4
/* With room for fewer changes of each CPU the guest is refused */
#define MIN_CHANGES		32

/**
 * struct guest_clock - a guest that is being watched
 * @host_from: host TSC, in cycles, at which watching began
 * @guest: the histories of its vCPUs; its lock is for all that follows
 * @cpus: which of them its CPUs are
 * @in_points: for each vCPU, how many of its changes went into the last sync points; owned
 */
struct guest_clock {
	uint64_t		host_from;
	struct guest_history	guest;
	struct guest_cpus	cpus;
	size_t			*in_points;
};

static void clock_free(struct guest_clock *clock)
{
	if (guest_history_close(&clock->guest))
		message("guest pid %d: the instance %s is still in use and was not removed", clock->guest.pid,
			clock->guest.drainer.instance.dir);
	guest_cpus_release(&clock->cpus);
	free(clock->in_points);
	free(clock);
}

/**
 * guest_clock_open - begin to watch a guest's TSC
 * @result: close with guest_clock_close()
 * @pid: process of the guest's VMM
 * @nr_cpus: CPUs that the guest has configured
 * @number: of this guest in this process: distinguishes the tracefs instances of several guests
 *
 * Returns: 0, -E2BIG if it has more CPUs than there is room for, or as guest_history_open().
 */
int guest_clock_open(struct guest_clock **result, pid_t pid, size_t nr_cpus, unsigned int number)
{
	struct guest_clock *clock;
	int ret;

	if (!nr_cpus || MAX_POINTS / nr_cpus < POINTS_OF_CHANGE * MIN_CHANGES + POINTS_OF_ENDS)
		return -E2BIG;
	clock = calloc(1, sizeof(*clock));
	if (!clock)
		return -ENOMEM;
	clock->host_from = __rdtsc();
	clock->guest.pid = pid;
	clock->guest.max_changes = (MAX_POINTS / nr_cpus - POINTS_OF_ENDS) / POINTS_OF_CHANGE;
	clock->guest.max_sum = MAX_POINTS / POINTS_OF_CHANGE;
	ret = guest_history_open(&clock->guest, number);
	if (!ret)
		ret = guest_cpus_open(&clock->cpus, nr_cpus, &clock->guest);
	if (!ret)
		clock->in_points = calloc(clock->guest.nr_vcpus, sizeof(*clock->in_points));
	if (!ret && clock->in_points) {
		*result = clock;
		return 0;
	}
	clock_free(clock);
	return ret ? ret : -ENOMEM;
}

static void lock(struct guest_clock *clock)
{
	pthread_mutex_lock(&clock->guest.drainer.lock);
}

static void unlock(struct guest_clock *clock)
{
	pthread_mutex_unlock(&clock->guest.drainer.lock);
}

/*
 * CPUs that KVM does not seem to have: they have a place in the option all the same. A CPU that is plugged in later
 * usually gets the current offset of the others, so the first vCPU's last mapping is used for them.
 */
static void make_absent(struct vcpu_history *absent, const struct vcpu_history *first)
{
	*absent = (struct vcpu_history) { .initial_known = true };
	vcpu_history_at(first, UINT64_MAX, &absent->initial);
	if (first->nr_segments)
		absent->begins = first->segments[first->nr_segments - 1].host_tsc;
}

/**
 * guest_clock_probe - take the guest's word for what its TSC was
 * @clock: open
 * @cpu: the guest's number of the CPU
 * @probe: what it said, and when
 *
 * What follows from it is seen with the next guest_clock_time_shift().
 */
void guest_clock_probe(struct guest_clock *clock, size_t cpu, const struct guest_probe *probe)
{
	lock(clock);
	if (cpu < clock->cpus.nr_cpus)
		guest_probes_add(&clock->cpus.probes[cpu], probe);
	unlock(clock);
}

static int build(struct guest_clock *clock, struct time_shift *shift, const struct vcpu_history **vcpus)
{
	struct guest_cpus *cpus = &clock->cpus;
	struct vcpu_history absent;
	size_t cpu;

	guest_cpus_judge(cpus, &clock->guest);
	for (cpu = 0; cpu < cpus->nr_vcpus; cpu++) {
		vcpus[cpu] = guest_history_vcpu(&clock->guest, cpus->vcpus[cpu]);
		clock->in_points[cpus->vcpus[cpu]] = vcpus[cpu]->nr_segments;
	}
	make_absent(&absent, vcpus[0]);
	for (; cpu < cpus->nr_cpus; cpu++)
		vcpus[cpu] = guest_cpus_absent(cpus, &clock->guest, cpu, &absent);
	return time_shift_build(shift, vcpus, cpus->nr_cpus, clock->host_from, __rdtsc() + HOST_TSC_AHEAD);
}

/**
 * guest_clock_time_shift - all that is known by now, as sync points
 * @clock: open
 * @shift: result; release with time_shift_release()
 *
 * Returns: 0, -ENOMEM, or as time_shift_build() if they cannot be expressed.
 */
int guest_clock_time_shift(struct guest_clock *clock, struct time_shift *shift)
{
	_cleanup_(freep) const struct vcpu_history **vcpus = calloc(clock->cpus.nr_cpus, sizeof(*vcpus));
	int ret;

	*shift = (struct time_shift) { 0 };
	if (!vcpus)
		return -ENOMEM;
	lock(clock);
	ret = guest_history_update(&clock->guest);
	if (!ret)
		ret = build(clock, shift, vcpus);
	unlock(clock);
	return ret;
}

/**
 * guest_clock_forked - in a child that does not exec: let go of what would keep the instance alive
 * @clock: open in the parent
 */
void guest_clock_forked(struct guest_clock *clock)
{
	record_instance_close_fds(&clock->guest.drainer.instance);
}

/**
 * guest_clock_close - end, say what was seen, remove the instance
 * @clock: open; freed, and not to be used any more by any thread
 * @error: why its last sync points could not be made or passed on, a negative errno, else 0
 */
void guest_clock_close(struct guest_clock *clock, int error)
{
	event_drainer_stop(&clock->guest.drainer);
	guest_review(&clock->guest, &clock->cpus, clock->in_points, error);
	clock_free(clock);
}

/**
 * guest_clock_abandon - at the end of the process: remove the instance, leave all else as it is
 * @clock: open; other threads may still use it
 */
void guest_clock_abandon(struct guest_clock *clock)
{
	event_drainer_stop(&clock->guest.drainer);
	lock(clock);
	clock->guest.drainer.error = -ESHUTDOWN;
	event_drainer_close(&clock->guest.drainer);
	unlock(clock);
}
