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
 * struct guest_task - a task that runs or wants to; one that is not here sleeps, or nothing is known of it
 * @pid: the task, 0 in a free place
 * @woken: it was woken, and did not run yet
 * @loss: then number of losses before
 * @lost: then it was in one
 * @from: then when
 * @taken: then the time of the states, in ns, which is another one outside of the period
 * @before, @after: then the places of those that were woken before and after it, @nr_slots if there is none
 */
struct guest_task {
	int		pid;
	bool		woken;
	bool		lost;
	uint64_t	loss;
	struct moment	from;
	uint64_t	taken;
	size_t		before;
	size_t		after;
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
		.states = states, .vcpus = vcpus, .nr_cpus = nr_cpus, .nr_slots = slots, .newest = slots,
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

/* The place of a task that was woken changes, or with @nr_slots it is none of those any more */
static void relink(struct wakeups *wakeups, size_t before, size_t after, size_t place_before, size_t place_after)
{
	if (before < wakeups->nr_slots)
		wakeups->tasks[before].after = place_after;
	if (after < wakeups->nr_slots)
		wakeups->tasks[after].before = place_before;
	else
		wakeups->newest = place_before;
}

static void link_woken(struct wakeups *wakeups, size_t slot)
{
	struct guest_task *task = &wakeups->tasks[slot];

	task->before = wakeups->newest;
	task->after = wakeups->nr_slots;
	relink(wakeups, task->before, task->after, slot, slot);
	wakeups->nr_open++;
}

/* A task runs, or nothing is known of it: it waits no more */
static void end_waiting(struct wakeups *wakeups, size_t slot)
{
	struct guest_task *task = &wakeups->tasks[slot];

	if (!task->woken)
		return;
	relink(wakeups, task->before, task->after, task->before, task->after);
	task->woken = false;
	wakeups->nr_open--;
}

static void move_task(struct wakeups *wakeups, size_t from, size_t to)
{
	const struct guest_task *task = &wakeups->tasks[to];

	wakeups->tasks[to] = wakeups->tasks[from];
	wakeups->tasks[from].pid = 0;
	if (!task->woken)
		return;
	memcpy(wakeups->ns[to * wakeups->nr_cpus], wakeups->ns[from * wakeups->nr_cpus],
	       wakeups->nr_cpus * sizeof(*wakeups->ns));
	relink(wakeups, task->before, task->after, to, to);
}

/* Those after it that could have had its place move up: none becomes unreachable */
static void free_slot(struct wakeups *wakeups, size_t hole)
{
	size_t mask = wakeups->nr_slots - 1;

	end_waiting(wakeups, hole);
	wakeups->tasks[hole].pid = 0;
	wakeups->nr_tasks--;
	for (size_t i = (hole + 1) & mask; wakeups->tasks[i].pid; i = (i + 1) & mask) {
		size_t home = slot_of(wakeups, wakeups->tasks[i].pid);

		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		move_task(wakeups, i, hole);
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
	wakeups->tasks[slot] = (struct guest_task) {
		.pid = pid, .woken = true, .lost = at.ns < wakeups->lost_until, .loss = wakeups->nr_losses,
		.from = at, .taken = wakeups->states->now.ns,
	};
	link_woken(wakeups, slot);
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
		if (slot < wakeups->nr_slots)
			end_waiting(wakeups, slot);
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
	end_waiting(wakeups, slot);
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
	/* No time of the states goes back */
	for (size_t slot = wakeups->newest; slot < wakeups->nr_slots; slot = wakeups->tasks[slot].before) {
		const struct guest_task *task = &wakeups->tasks[slot];

		if (task->taken <= since)
			return;
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
