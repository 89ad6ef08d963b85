/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Where the wake-ups of a guest's tasks wait: from sched_waking or sched_wakeup to the sched_switch with which the task
 * runs. The time is divided by the states of the vCPU on which the task then runs. This vCPU is known only at the end,
 * so the times of all vCPUs of the guest are kept at the begin.
 */
#ifndef TSC_OFFSET_WAKEUPS_H
#define TSC_OFFSET_WAKEUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vcpu_states.h"

/* Memory for the begins of unfinished wake-ups of each guest, in bytes */
#define WAKEUPS_MAX_BYTES	(16UL << 20)

/**
 * struct wakeup - a finished wake-up
 * @vcpu: index of the vCPU on which the task runs
 * @task: the task
 * @from, @to: when it was woken, and when it ran
 * @ns: nanoseconds of @vcpu in each state between @from and @to
 */
struct wakeup {
	uint32_t	vcpu;
	struct task	task;
	struct moment	from;
	struct moment	to;
	uint64_t	ns[NR_VCPU_STATES];
};

/**
 * struct wakeups - the wake-ups of a guest
 * @states: states of all vCPUs
 * @vcpus: for each CPU of the guest the index of its vCPU, VCPU_NONE if unknown; not owned
 * @nr_cpus: number of @vcpus
 * @tasks: tasks that run or are ready to run, a hash table by pid with @nr_slots slots; owned
 * @ns: for each of @tasks that was woken, the times of all CPUs at that moment; owned
 * @nr_slots: a power of 2
 * @nr_tasks: how many
 * @newest: the place of the one that was woken last and did not run yet, @nr_slots if there is none
 * @now: the time of the last event, in ns; earlier ones count as if they were at this time
 * @nr_losses: how often the guest lost events
 * @lost_until: latest end of the guest's losses up to now, in ns
 * @nr_open: result: wake-ups that have not ended
 * @nr_lost: result: wake-ups during which the guest lost events
 * @nr_dropped: result: wake-ups for which there was no room
 * @nr_unplaced: result: wake-ups that end on a CPU of which it is not known which vCPU it is
 */
struct wakeups {
	struct vcpu_states	*states;
	const uint32_t		*vcpus;
	size_t			nr_cpus;
	struct guest_task	*tasks;
	uint64_t		(*ns)[NR_VCPU_STATES];
	size_t			nr_slots;
	size_t			nr_tasks;
	size_t			newest;
	uint64_t		now;
	uint64_t		nr_losses;
	uint64_t		lost_until;
	uint64_t		nr_open;
	uint64_t		nr_lost;
	uint64_t		nr_dropped;
	uint64_t		nr_unplaced;
};

int wakeups_init(struct wakeups *wakeups, struct vcpu_states *states, const uint32_t *vcpus, size_t nr_cpus);
void wakeups_wake(struct wakeups *wakeups, struct moment at, int pid);
bool wakeups_switch(struct wakeups *wakeups, size_t cpu, struct moment at, int prev_pid, bool runnable,
		    const struct task *next, struct wakeup *wakeup);
void wakeups_lose(struct wakeups *wakeups, uint64_t until);
void wakeups_forget(struct wakeups *wakeups, uint32_t vcpu, uint64_t since, enum vcpu_state state);
void wakeups_release(struct wakeups *wakeups);

#endif /* TSC_OFFSET_WAKEUPS_H */
