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

/* Distance of the last sync points in the future, so that a running guest stays on the line: some seconds */
#define HOST_TSC_AHEAD		(1ULL << 34)

/*
 * A guest can change its TSC at any rate, and all CPUs get as many sync points as the CPU with most, including CPUs
 * that only its agent reports. This limits all CPUs together: 96 MiB in the guest's file, and less than half a GiB of
 * memory, which has several copies.
 */
#define MAX_POINTS		(3 << 20)
/* Two for each change, and two each at the begin and at the end */
#define POINTS_OF_CHANGE		2
#define POINTS_OF_ENDS		4
/* A guest with space for fewer changes of each CPU is refused */
#define MIN_CHANGES		32

/**
 * struct guest_clock - a guest being recorded
 * @host_from: host TSC at the begin, in cycles
 * @guest: the histories of its vCPUs; its lock protects all members below
 * @cpus: the vCPUs of its CPUs
 * @in_points: for each vCPU, the number of its changes in the last sync points; owned
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
 * guest_clock_open - begin to record a guest's TSC
 * @result: close with guest_clock_close()
 * @pid: process of the guest's VMM
 * @nr_cpus: number of CPUs that the guest has configured
 * @number: number of this guest in this process: distinguishes the tracefs instances of several guests
 *
 * Returns: 0, -E2BIG if it has too many CPUs, or as guest_history_open().
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
 * CPUs that KVM does not seem to have still have a place in the option. A CPU that is plugged in later usually gets the
 * current offset of the others, so the first vCPU's last mapping is used for them.
 */
static void make_absent(struct vcpu_history *absent, const struct vcpu_history *first)
{
	*absent = (struct vcpu_history) { .initial_known = true };
	vcpu_history_at(first, UINT64_MAX, &absent->initial);
	if (first->nr_segments)
		absent->begins = first->segments[first->nr_segments - 1].host_tsc;
}

/**
 * guest_clock_probe - add the guest's report of its TSC
 * @clock: the open clock
 * @cpu: number of the CPU in the guest
 * @probe: the report
 *
 * It takes effect with the next guest_clock_time_shift().
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
 * guest_clock_time_shift - get all that is known so far as sync points
 * @clock: the open clock
 * @shift: result; release with time_shift_release()
 *
 * Returns: 0, -ENOMEM, or an error of time_shift_build() if they cannot be expressed.
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
 * guest_clock_forked - in a child without exec: close the files that keep the instance alive
 * @clock: the open clock of the parent
 */
void guest_clock_forked(struct guest_clock *clock)
{
	record_instance_close_fds(&clock->guest.drainer.instance);
}

/**
 * guest_clock_close - stop, report, and remove the instance
 * @clock: the open clock; freed, so no thread may use it any more
 * @error: negative errno if its last sync points could not be computed or passed on, else 0
 */
void guest_clock_close(struct guest_clock *clock, int error)
{
	event_drainer_stop(&clock->guest.drainer);
	guest_review(&clock->guest, &clock->cpus, clock->in_points, error);
	clock_free(clock);
}

/**
 * guest_clock_abandon - at the end of the process: only remove the instance
 * @clock: the open clock; other threads may still use it
 */
void guest_clock_abandon(struct guest_clock *clock)
{
	event_drainer_stop(&clock->guest.drainer);
	lock(clock);
	clock->guest.drainer.error = -ESHUTDOWN;
	event_drainer_close(&clock->guest.drainer);
	unlock(clock);
}
