// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wakeups.h"

/* More tasks than run or are ready to run in any guest */
#define MAX_SLOTS	(1UL << 14)
#define MIN_SLOTS	64

/**
 * struct guest_task - a task that runs or is ready to run; a missing task sleeps, or is unknown
 * @pid: the task, 0 in a free slot
 * @woken: it was woken, and has not run yet
 * @loss: with @woken: number of losses before
 * @lost: with @woken: it was woken during a loss
 * @from: with @woken: when
 * @taken: with @woken: time of the states, in ns, which differs outside of the period
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
 * wakeups_init - begin without wake-ups
 * @wakeups: result; must be released in any case
 * @states: states of the vCPUs; not owned
 * @vcpus: for each CPU of the guest the index of its vCPU, VCPU_NONE if unknown; not owned
 * @nr_cpus: number of @vcpus
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

/* Returns: the slot of a task, or the free slot where it would be */
static size_t find_slot(const struct wakeups *wakeups, int pid)
{
	size_t i = slot_of(wakeups, pid);

	while (wakeups->tasks[i].pid && wakeups->tasks[i].pid != pid)
		i = (i + 1) & (wakeups->nr_slots - 1);
	return i;
}

/* Tasks after it that could have been in its slot move up, so that all stay reachable */
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

/* Returns: the slot of a task, taken now if needed, or @nr_slots if the table is full */
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
 * wakeups_wake - process a sched_waking or sched_wakeup
 * @wakeups: the wake-ups
 * @at: its time
 * @pid: the task. The first such event of a sleeping task counts, and that of an unknown task.
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

/* The states of the vCPU since the task was woken; outside of the period they are unknown */
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
		/* If it was woken, it ran all the time */
		slot = take_slot(wakeups, pid);
		if (slot < wakeups->nr_slots) {
			wakeups->nr_open -= wakeups->tasks[slot].woken;
			wakeups->tasks[slot].woken = false;
		}
	}
}

/**
 * wakeups_switch - process a sched_switch
 * @wakeups: the wake-ups
 * @cpu: number of the CPU in the guest
 * @at: its time
 * @prev_pid: the task that ran before
 * @runnable: it is still ready to run
 * @next: the task that runs now
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
 * wakeups_lose - process a loss of events of the guest
 * @wakeups: the wake-ups
 * @until: time of the first event after, in ns; UINT64_MAX without
 *
 * Each task that was woken and has not run may have run there.
 */
void wakeups_lose(struct wakeups *wakeups, uint64_t until)
{
	if (until > wakeups->lost_until)
		wakeups->lost_until = until;
	wakeups->nr_losses++;
}

/**
 * wakeups_forget - the state of a vCPU turned out to be unknown
 * @wakeups: the wake-ups
 * @vcpu: index of the vCPU
 * @since: begin of the unknown time, in ns; it lasts until now
 * @state: the state that was assumed
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
 * wakeups_release - free the wake-ups
 * @wakeups: the wake-ups, also after a failed init
 */
void wakeups_release(struct wakeups *wakeups)
{
	free(wakeups->tasks);
	free(wakeups->ns);
	*wakeups = (struct wakeups) { 0 };
}
