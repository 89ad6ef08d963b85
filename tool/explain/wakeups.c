// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wakeups.h"

/* More tasks than any guest has that run or want to */
#define MAX_SLOTS	(1UL << 14)
#define MIN_SLOTS	64

/**
 * struct guest_task - a task that runs or wants to; one that is not here sleeps, or nothing is known of it
 * @pid: the task, 0 in a free place
 * @woken: it was woken, and did not run yet
 * @loss: then number of losses before
 * @lost: then it was in one
 * @from: then when
 * @taken: then the time of the states, in ns, which is another one outside of the period
 */
struct guest_task {
	int		pid;
	bool		woken;
	bool		lost;
	uint64_t	loss;
	struct moment	from;
	uint64_t	taken;
};

/**
 * wakeups_init - begin without any
 * @wakeups: result; to be released in any case
 * @states: what the vCPUs do; the caller keeps it
 * @vcpus: for each CPU of the guest the number of its vCPU, VCPU_NONE if it is not known; the caller keeps it
 * @nr_cpus: how many
 *
 * Returns: 0 or -ENOMEM.
 */
int wakeups_init(struct wakeups *wakeups, struct vcpu_states *states, const uint32_t *vcpus, size_t nr_cpus)
{
	size_t slots = MAX_SLOTS;

	while (slots > MIN_SLOTS && slots * (nr_cpus * sizeof(*wakeups->ns) + sizeof(*wakeups->tasks)) >
	       WAKEUPS_MAX_BYTES)
		slots /= 2;
	*wakeups = (struct wakeups) {
		.states = states, .vcpus = vcpus, .nr_cpus = nr_cpus, .nr_slots = slots,
		.tasks = calloc(slots, sizeof(*wakeups->tasks)),
		.ns = calloc(slots * nr_cpus + 1, sizeof(*wakeups->ns)),
	};
	return wakeups->tasks && wakeups->ns ? 0 : -ENOMEM;
}

static size_t slot_of(const struct wakeups *wakeups, int pid)
{
	return ((uint32_t)pid * 2654435769U >> 8) & (wakeups->nr_slots - 1);
}

/* Returns: the place of a task, or the free one where it would be */
static size_t find_slot(const struct wakeups *wakeups, int pid)
{
	size_t i = slot_of(wakeups, pid);

	while (wakeups->tasks[i].pid && wakeups->tasks[i].pid != pid)
		i = (i + 1) & (wakeups->nr_slots - 1);
	return i;
}

/* Those after it that could have had its place move up: none becomes unreachable */
static void free_slot(struct wakeups *wakeups, size_t hole)
{
	size_t mask = wakeups->nr_slots - 1;

	wakeups->nr_open -= wakeups->tasks[hole].woken;
	wakeups->tasks[hole].pid = 0;
	wakeups->nr_tasks--;
	for (size_t i = (hole + 1) & mask; wakeups->tasks[i].pid; i = (i + 1) & mask) {
		size_t home = slot_of(wakeups, wakeups->tasks[i].pid);

		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		wakeups->tasks[hole] = wakeups->tasks[i];
		if (wakeups->tasks[i].woken)
			memcpy(wakeups->ns[hole * wakeups->nr_cpus], wakeups->ns[i * wakeups->nr_cpus],
			       wakeups->nr_cpus * sizeof(*wakeups->ns));
		wakeups->tasks[i].pid = 0;
		hole = i;
	}
}

/* Returns: the place of a task that has one from now on, or @nr_slots if there is no room */
static size_t take_slot(struct wakeups *wakeups, int pid)
{
	size_t slot = find_slot(wakeups, pid);

	if (wakeups->tasks[slot].pid)
		return slot;
	if (wakeups->nr_tasks >= wakeups->nr_slots / 2)
		return wakeups->nr_slots;
	wakeups->nr_tasks++;
	wakeups->tasks[slot] = (struct guest_task) { .pid = pid };
	return slot;
}

static void pass_time(struct wakeups *wakeups, struct moment *at)
{
	if (at->ns < wakeups->now)
		at->ns = wakeups->now;
	wakeups->now = at->ns;
	vcpu_states_advance(wakeups->states, *at);
}

/**
 * wakeups_wake - a sched_waking or sched_wakeup
 * @wakeups: begun
 * @at: when
 * @pid: the task. The first such event of a task that sleeps counts, and that of one of which nothing is known.
 */
void wakeups_wake(struct wakeups *wakeups, struct moment at, int pid)
{
	size_t slot;

	if (pid <= 0 || wakeups->tasks[find_slot(wakeups, pid)].pid)
		return;
	slot = take_slot(wakeups, pid);
	if (slot == wakeups->nr_slots) {
		wakeups->nr_dropped++;
		return;
	}
	pass_time(wakeups, &at);
	wakeups->nr_open++;
	wakeups->tasks[slot] = (struct guest_task) {
		.pid = pid, .woken = true, .lost = at.ns < wakeups->lost_until, .loss = wakeups->nr_losses,
		.from = at, .taken = wakeups->states->now.ns,
	};
	for (size_t i = 0; i < wakeups->nr_cpus; i++) {
		if (wakeups->vcpus[i] != VCPU_NONE)
			vcpu_states_times(wakeups->states, wakeups->vcpus[i], wakeups->ns[slot * wakeups->nr_cpus + i]);
	}
}

/* What the vCPU did since the task was woken; outside of the period it is not known */
static void divide(const struct wakeups *wakeups, const uint64_t before[NR_VCPU_STATES], struct wakeup *wakeup)
{
	uint64_t known = 0;

	vcpu_states_times(wakeups->states, wakeup->vcpu, wakeup->ns);
	for (size_t i = 0; i < NR_VCPU_STATES; i++) {
		wakeup->ns[i] -= before[i];
		known += wakeup->ns[i];
	}
	wakeup->ns[VCPU_UNKNOWN] += wakeup->to.ns - wakeup->from.ns - known;
}

static bool end_wakeup(struct wakeups *wakeups, size_t slot, size_t cpu, struct moment at, const struct task *next,
		       struct wakeup *wakeup)
{
	const struct guest_task *task = &wakeups->tasks[slot];

	if (!task->woken)
		return false;
	if (task->lost || task->loss != wakeups->nr_losses) {
		wakeups->nr_lost++;
		return false;
	}
	if (wakeups->vcpus[cpu] == VCPU_NONE) {
		wakeups->nr_unplaced++;
		return false;
	}
	*wakeup = (struct wakeup) { .vcpu = wakeups->vcpus[cpu], .task = *next, .from = task->from, .to = at };
	divide(wakeups, wakeups->ns[slot * wakeups->nr_cpus + cpu], wakeup);
	return true;
}

static void take_out(struct wakeups *wakeups, int pid, bool runnable)
{
	size_t slot = find_slot(wakeups, pid);

	if (pid <= 0)
		return;
	if (wakeups->tasks[slot].pid && !runnable) {
		free_slot(wakeups, slot);
	} else if (runnable) {
		/* It ran all the time if it was woken */
		slot = take_slot(wakeups, pid);
		if (slot < wakeups->nr_slots) {
			wakeups->nr_open -= wakeups->tasks[slot].woken;
			wakeups->tasks[slot].woken = false;
		}
	}
}

/**
 * wakeups_switch - a sched_switch
 * @wakeups: begun
 * @cpu: on which CPU of the guest
 * @at: when
 * @prev_pid: the task that ran up to then
 * @runnable: it wants to run on
 * @next: the task that runs from then on
 * @wakeup: result, if a wake-up ends
 *
 * Returns: true if so.
 */
bool wakeups_switch(struct wakeups *wakeups, size_t cpu, struct moment at, int prev_pid, bool runnable,
		    const struct task *next, struct wakeup *wakeup)
{
	bool ended;
	size_t slot;

	if (cpu >= wakeups->nr_cpus)
		return false;
	pass_time(wakeups, &at);
	take_out(wakeups, prev_pid, runnable);
	if (next->pid <= 0)
		return false;
	slot = take_slot(wakeups, next->pid);
	if (slot == wakeups->nr_slots)
		return false;
	ended = end_wakeup(wakeups, slot, cpu, at, next, wakeup);
	wakeups->nr_open -= wakeups->tasks[slot].woken;
	wakeups->tasks[slot].woken = false;
	return ended;
}

/**
 * wakeups_lose - events of the guest are missing
 * @wakeups: begun
 * @until: time of the first event after, in ns; UINT64_MAX if there is none
 *
 * Each task that was woken and did not run yet may have run there.
 */
void wakeups_lose(struct wakeups *wakeups, uint64_t until)
{
	if (until > wakeups->lost_until)
		wakeups->lost_until = until;
	wakeups->nr_losses++;
}

/**
 * wakeups_forget - what a vCPU did is not known after all
 * @wakeups: begun
 * @vcpu: number of the vCPU
 * @since: from this time, in ns, up to now
 * @state: what it was taken to do
 */
void wakeups_forget(struct wakeups *wakeups, uint32_t vcpu, uint64_t since, enum vcpu_state state)
{
	for (size_t slot = 0; slot < wakeups->nr_slots; slot++) {
		const struct guest_task *task = &wakeups->tasks[slot];

		if (!task->pid || !task->woken || task->taken <= since)
			continue;
		for (size_t i = 0; i < wakeups->nr_cpus; i++) {
			uint64_t *ns = wakeups->ns[slot * wakeups->nr_cpus + i];

			if (wakeups->vcpus[i] != vcpu)
				continue;
			ns[state] -= task->taken - since;
			ns[VCPU_UNKNOWN] += task->taken - since;
		}
	}
}

/**
 * wakeups_release - free what belongs to the wake-ups
 * @wakeups: begun, or failed to
 */
void wakeups_release(struct wakeups *wakeups)
{
	free(wakeups->tasks);
	free(wakeups->ns);
	*wakeups = (struct wakeups) { 0 };
}
