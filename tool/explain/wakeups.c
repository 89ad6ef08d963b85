// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "any.h"
#include "wakeups.h"

/* More tasks than any guest wakes before they run */
#define MAX_SLOTS	(1UL << 14)
#define MIN_SLOTS	64

/**
 * struct waking - a wake-up that has not ended
 * @pid: the task, 0 if there is none
 * @loss: number of losses before it: those from before the last one are none any more
 * @outside: it began before the period
 * @from: when
 */
struct waking {
	int		pid;
	bool		outside;
	uint64_t	loss;
	struct moment	from;
};

/**
 * wakeups_init - begin without any
 * @wakeups: result; to be released in any case
 * @states: what the vCPUs do; the caller keeps it
 * @begin: where the period begins, in ns
 * @vcpus: for each CPU of the guest the number of its vCPU, VCPU_NONE if it is not known; the caller keeps it
 * @nr_cpus: how many
 *
 * Returns: 0 or -ENOMEM.
 */
int wakeups_init(struct wakeups *wakeups, struct vcpu_states *states, uint64_t begin, const uint32_t *vcpus,
		 size_t nr_cpus)
{
	size_t slots = MAX_SLOTS;

	while (slots > MIN_SLOTS && slots * (nr_cpus * sizeof(*wakeups->ns) + sizeof(*wakeups->waking)) >
	       WAKEUPS_MAX_BYTES)
		slots /= 2;
	*wakeups = (struct wakeups) {
		.states = states, .vcpus = vcpus, .nr_cpus = nr_cpus, .begin = begin, .nr_slots = slots,
		.current = calloc(nr_cpus + 1, sizeof(*wakeups->current)),
		.waking = calloc(slots, sizeof(*wakeups->waking)),
		.ns = calloc(slots * nr_cpus + 1, sizeof(*wakeups->ns)),
	};
	if (!wakeups->current || !wakeups->waking || !wakeups->ns)
		return -ENOMEM;
	for (size_t i = 0; i < nr_cpus; i++)
		wakeups->current[i] = -1;
	return 0;
}

static size_t slot_of(const struct wakeups *wakeups, int pid)
{
	return ((uint32_t)pid * 2654435769U >> 8) & (wakeups->nr_slots - 1);
}

static bool is_live(const struct wakeups *wakeups, size_t slot)
{
	return wakeups->waking[slot].pid && wakeups->waking[slot].loss == wakeups->nr_losses;
}

/* Returns: the place of a task, or the free one where it would be */
static size_t find_slot(const struct wakeups *wakeups, int pid)
{
	size_t i = slot_of(wakeups, pid);

	while (is_live(wakeups, i) && wakeups->waking[i].pid != pid)
		i = (i + 1) & (wakeups->nr_slots - 1);
	return i;
}

/* Those after it that could have had its place move up: none becomes unreachable */
static void free_slot(struct wakeups *wakeups, size_t hole)
{
	size_t mask = wakeups->nr_slots - 1;

	wakeups->waking[hole].pid = 0;
	wakeups->nr_waking--;
	for (size_t i = (hole + 1) & mask; is_live(wakeups, i); i = (i + 1) & mask) {
		size_t home = slot_of(wakeups, wakeups->waking[i].pid);

		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		wakeups->waking[hole] = wakeups->waking[i];
		memcpy(wakeups->ns[hole * wakeups->nr_cpus], wakeups->ns[i * wakeups->nr_cpus],
		       wakeups->nr_cpus * sizeof(*wakeups->ns));
		wakeups->waking[i].pid = 0;
		hole = i;
	}
}

/**
 * wakeups_wake - a sched_waking or sched_wakeup
 * @wakeups: begun
 * @at: when
 * @pid: the task. The first of several such events counts, and none while it runs.
 */
void wakeups_wake(struct wakeups *wakeups, struct moment at, int pid)
{
	size_t slot;

	if (pid <= 0 || any_of(i, wakeups->nr_cpus, wakeups->current[i] == pid))
		return;
	slot = find_slot(wakeups, pid);
	if (is_live(wakeups, slot))
		return;
	vcpu_states_advance(wakeups->states, at);
	if (at.ns < wakeups->lost_until) {
		wakeups->nr_lost++;
		return;
	}
	if (wakeups->nr_waking >= wakeups->nr_slots / 2) {
		wakeups->nr_dropped++;
		return;
	}
	wakeups->nr_waking++;
	wakeups->waking[slot] = (struct waking) {
		pid, at.ns < wakeups->begin, wakeups->nr_losses, wakeups->states->now
	};
	for (size_t i = 0; i < wakeups->nr_cpus; i++) {
		if (wakeups->vcpus[i] != VCPU_NONE)
			vcpu_states_times(wakeups->states, wakeups->vcpus[i], wakeups->ns[slot * wakeups->nr_cpus + i]);
	}
}

/**
 * wakeups_switch - a sched_switch
 * @wakeups: begun
 * @cpu: on which CPU of the guest
 * @at: when
 * @next: the task that runs from then on
 * @wakeup: result, if a wake-up ends
 *
 * Returns: true if so.
 */
bool wakeups_switch(struct wakeups *wakeups, size_t cpu, struct moment at, const struct task *next,
		    struct wakeup *wakeup)
{
	struct waking waking;
	size_t slot;

	if (cpu >= wakeups->nr_cpus)
		return false;
	wakeups->current[cpu] = next->pid;
	if (next->pid <= 0)
		return false;
	slot = find_slot(wakeups, next->pid);
	if (!is_live(wakeups, slot))
		return false;
	waking = wakeups->waking[slot];
	vcpu_states_advance(wakeups->states, at);
	if (waking.outside) {
		wakeups->nr_outside++;
	} else if (wakeups->vcpus[cpu] == VCPU_NONE) {
		wakeups->nr_unplaced++;
	} else {
		*wakeup = (struct wakeup) {
			.vcpu = wakeups->vcpus[cpu], .task = *next, .from = waking.from, .to = wakeups->states->now,
		};
		vcpu_states_times(wakeups->states, wakeup->vcpu, wakeup->ns);
		for (size_t i = 0; i < NR_VCPU_STATES; i++)
			wakeup->ns[i] -= wakeups->ns[slot * wakeups->nr_cpus + cpu][i];
	}
	free_slot(wakeups, slot);
	return !waking.outside && wakeups->vcpus[cpu] != VCPU_NONE;
}

/**
 * wakeups_lose - events of a CPU of the guest are missing
 * @wakeups: begun
 * @cpu: the CPU
 * @until: time of its first event after, in ns; UINT64_MAX if there is none
 *
 * Each task that was woken and did not run yet may have run there.
 */
void wakeups_lose(struct wakeups *wakeups, size_t cpu, uint64_t until)
{
	if (cpu < wakeups->nr_cpus)
		wakeups->current[cpu] = -1;
	if (until > wakeups->lost_until)
		wakeups->lost_until = until;
	wakeups->nr_lost += wakeups->nr_waking;
	wakeups->nr_waking = 0;
	wakeups->nr_losses++;
}

/**
 * wakeups_release - free what belongs to the wake-ups
 * @wakeups: begun, or failed to
 */
void wakeups_release(struct wakeups *wakeups)
{
	free(wakeups->current);
	free(wakeups->waking);
	free(wakeups->ns);
	*wakeups = (struct wakeups) { 0 };
}
