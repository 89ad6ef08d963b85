/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * What each vCPU did at each moment, as the manual tsc-offset-explain(1) defines it: a machine that is fed with what
 * happened on host and guests in the order of host time, and reports stretches and exits.
 *
 * A vCPU is in guest mode, or nothing is known of it, or its thread's state on the host decides. The thread's next event
 * can show that others are missing before it, so that stretches are held until then. The stretches of a vCPU
 * follow each other without a gap from the begin to the end of the period, so that their sum is its length. Times are
 * converted before they are subtracted: a sum of differences has no rounding error.
 */
#ifndef TSC_OFFSET_VCPU_STATES_H
#define TSC_OFFSET_VCPU_STATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exit_reasons.h"
#include "vcpu_modes.h"

/* As many bytes as a comm in a record has; without an end if it has all of them */
#define TASK_COMM_SIZE	16

/* So many stretches of a vCPU are held: more than a thread sees before it has an event */
#define VCPU_STATES_HELD	4096

/* In place of the number of a vCPU: none */
#define VCPU_NONE	UINT32_MAX

/**
 * struct moment - a time
 * @tsc: host TSC, in cycles
 * @ns: the same in nanoseconds
 */
struct moment {
	uint64_t	tsc;
	uint64_t	ns;
};

/**
 * enum vcpu_state - what a vCPU does
 * @VCPU_GUEST: it is in guest mode
 * @VCPU_EXIT: its thread handles an exit
 * @VCPU_STOLEN: its thread wants to run, and another one has the CPU
 * @VCPU_HALTED: it halted, and its thread sleeps
 * @VCPU_UNKNOWN: events that would show it are missing
 */
enum vcpu_state {
	VCPU_GUEST,
	VCPU_EXIT,
	VCPU_STOLEN,
	VCPU_HALTED,
	VCPU_UNKNOWN,
	NR_VCPU_STATES,
};

/**
 * enum not_known - why something is not known
 * @IS_KNOWN: it is
 * @BEFORE_KVM: before the first event of kvm, of any vCPU
 * @AFTER_KVM: after the last event of the buffer with the events of kvm
 * @EVENTS_LOST: the recorder lost events
 * @EVENTS_MISSING: a kvm_exit is missing that was not lost, as with a filter
 * @SCHED_MISSING: sched events are missing: those that there are contradict each other, or do not show the thread's CPU
 * @NO_SCHED: there are no sched events
 * @BEFORE_SCHED: before the first sched event that shows the state of the thread
 * @BEFORE_SWITCH: before the first sched_switch of the CPU
 * @NO_FILE: there is no file of the guest
 * @NOT_SYNCED: the guest's file is not synchronised, and the host's does not show its times
 * @AFTER_FILE: after the last event of the guest's file
 * @END_OF_PERIOD: it ends after the recording
 */
enum not_known {
	IS_KNOWN,
	BEFORE_KVM,
	AFTER_KVM,
	EVENTS_LOST,
	EVENTS_MISSING,
	SCHED_MISSING,
	NO_SCHED,
	BEFORE_SCHED,
	BEFORE_SWITCH,
	NO_FILE,
	NOT_SYNCED,
	AFTER_FILE,
	END_OF_PERIOD,
	NR_NOT_KNOWN,
};

/**
 * struct task - a thread, of a guest or of the host
 * @unknown: why it is not known, or IS_KNOWN
 * @pid: its number; 0 is idle
 * @comm: what it is called
 */
struct task {
	enum not_known	unknown;
	int		pid;
	char		comm[TASK_COMM_SIZE];
};

/**
 * struct stretch - a time in which all of this stayed the same
 * @vcpu: number of the vCPU
 * @state: what it did
 * @unknown: of VCPU_UNKNOWN: why
 * @task: the task of the guest that was current there
 * @preemptor: of VCPU_STOLEN: the thread of the host that had the CPU
 * @preemptor_vcpu: number of the vCPU that this thread runs, if that was in guest mode and its task is known; else
 *	VCPU_NONE
 * @preemptor_task: then that task
 * @from, @to: when; @to is the first moment after it
 */
struct stretch {
	uint32_t	vcpu;
	enum vcpu_state	state;
	enum not_known	unknown;
	struct task	task;
	struct task	preemptor;
	uint32_t	preemptor_vcpu;
	struct task	preemptor_task;
	struct moment	from;
	struct moment	to;
};

/**
 * struct exit_cost - an exit
 * @vcpu: number of the vCPU
 * @reason: why it left guest mode
 * @task: the task of the guest that was current when it did
 * @open: why it is not known when it entered guest mode again, or IS_KNOWN
 * @from, @to: when it left and entered; up to where it is known if it is @open
 * @ns: nanoseconds in each state between them
 */
struct exit_cost {
	uint32_t		vcpu;
	struct exit_reason	reason;
	struct task		task;
	enum not_known		open;
	struct moment		from;
	struct moment		to;
	uint64_t		ns[NR_VCPU_STATES];
};

/**
 * struct vcpu_states_sink - who takes the results
 * @stretch: takes a stretch; those of a vCPU come in order, and no two neighbours are alike
 * @exit: takes an exit when it has ended
 * @forget: is told that a vCPU's state since a time, in ns, up to now is not known after all; may be NULL
 * @ctx: their first argument
 */
struct vcpu_states_sink {
	void	(*stretch)(void *ctx, const struct stretch *stretch);
	void	(*exit)(void *ctx, const struct exit_cost *exit);
	void	(*forget)(void *ctx, uint32_t vcpu, uint64_t since, enum vcpu_state state);
	void	*ctx;
};

struct state_cpu;
struct state_thread;
struct state_vcpu;

/**
 * struct vcpu_states - the machine
 * @sink: takes the results
 * @now: the time of the last event; earlier ones count as if they were at this time
 * @vcpus: owned
 * @nr_vcpus: how many
 * @cpus: the host's CPUs, and one place for all that have no events; owned
 * @nr_cpus: how many
 * @threads: those that run vCPUs, in the order of tid; owned
 * @nr_threads: how many
 * @ended: the period is over, and time stands still
 * @nr_missing: result: how often events contradict each other, so that some are missing
 * @nr_late: result: how often a thread was switched out before its kvm_exit was recorded
 * @nr_unwoken: result: how often a thread that slept was switched in though nothing woke it
 * @lost_until: latest end of the host's losses up to now, in ns
 */
struct vcpu_states {
	struct vcpu_states_sink	sink;
	struct moment		now;
	struct state_vcpu	*vcpus;
	size_t			nr_vcpus;
	struct state_cpu	*cpus;
	size_t			nr_cpus;
	struct state_thread	*threads;
	size_t			nr_threads;
	bool			ended;
	uint64_t		nr_missing;
	uint64_t		nr_late;
	uint64_t		nr_unwoken;
	uint64_t		lost_until;
};

int vcpu_states_init(struct vcpu_states *states, const struct vcpu_states_sink *sink, struct moment begin,
		     size_t nr_vcpus, size_t nr_cpus, const int *tids, size_t nr_tids, bool has_sched);
void vcpu_states_advance(struct vcpu_states *states, struct moment at);
void vcpu_states_set_thread(struct vcpu_states *states, uint32_t vcpu, int tid);
void vcpu_states_mode(struct vcpu_states *states, uint32_t vcpu, struct moment at, enum vcpu_mode mode,
		      enum not_known unknown);
void vcpu_states_exit(struct vcpu_states *states, uint32_t vcpu, struct moment at, int tid, uint32_t cpu,
		      struct exit_reason reason);
void vcpu_states_entry(struct vcpu_states *states, uint32_t vcpu, struct moment at, int tid, uint32_t cpu);
void vcpu_states_host_switch(struct vcpu_states *states, uint32_t cpu, struct moment at, int prev_pid, bool runnable,
			     const struct task *next);
void vcpu_states_host_wake(struct vcpu_states *states, struct moment at, int pid, uint32_t cpu);
void vcpu_states_host_migrate(struct vcpu_states *states, struct moment at, int pid, uint32_t cpu);
void vcpu_states_host_lose(struct vcpu_states *states, uint32_t cpu, struct moment from, uint64_t until);
void vcpu_states_guest_task(struct vcpu_states *states, uint32_t vcpu, struct moment at, const struct task *task);
void vcpu_states_times(const struct vcpu_states *states, uint32_t vcpu, uint64_t ns[NR_VCPU_STATES]);
void vcpu_states_end(struct vcpu_states *states, struct moment at);
size_t vcpu_states_unswitched(const struct vcpu_states *states);
void vcpu_states_release(struct vcpu_states *states);

#endif /* TSC_OFFSET_VCPU_STATES_H */
