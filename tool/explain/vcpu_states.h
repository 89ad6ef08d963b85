/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The state of each vCPU at each moment, as tsc-offset-explain(1) defines it. This state machine reads the events of
 * host and guests in the order of host time, and reports stretches and exits.
 *
 * A vCPU is in guest mode, or unknown, or in the state of its thread on the host. The thread's next event can show that
 * events before it are missing, so stretches are held until then. The stretches of a vCPU follow each other without
 * gaps from the begin to the end of the period, so their sum is its length. Times are converted before they are
 * subtracted, so that sums of differences have no rounding error.
 */
#ifndef TSC_OFFSET_VCPU_STATES_H
#define TSC_OFFSET_VCPU_STATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exit_reasons.h"
#include "vcpu_modes.h"

/* Size of a comm in a record; a comm of this length has no terminator */
#define TASK_COMM_SIZE	16

/* The most stretches held for a vCPU: more than a thread collects before its next event */
#define VCPU_STATES_HELD	4096

/* Not the index of a vCPU */
#define VCPU_NONE	UINT32_MAX

/**
 * struct moment - a time
 * @tsc: host TSC, in cycles
 * @ns: the same time in nanoseconds
 */
struct moment {
	uint64_t	tsc;
	uint64_t	ns;
};

/**
 * enum vcpu_state - the state of a vCPU
 * @VCPU_GUEST: in guest mode
 * @VCPU_EXIT: its thread handles an exit
 * @VCPU_STOLEN: its thread is ready to run, and another one has the CPU
 * @VCPU_HALTED: it halted, and its thread sleeps
 * @VCPU_UNKNOWN: unknown, because events are missing
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
 * enum not_known - why something is unknown
 * @IS_KNOWN: it is known
 * @BEFORE_KVM: before the first kvm event of any vCPU
 * @AFTER_KVM: after the last event of the buffer with kvm events
 * @EVENTS_LOST: the recorder lost events
 * @EVENTS_MISSING: a kvm_exit is missing that was not lost, for example filtered
 * @SCHED_MISSING: sched events are missing: the others contradict each other, or do not show the thread's CPU
 * @NO_SCHED: there are no sched events
 * @BEFORE_SCHED: before the first sched event that shows the state of the thread
 * @BEFORE_SWITCH: before the first sched_switch of the CPU
 * @NO_FILE: the guest has no file
 * @NOT_SYNCED: the guest's file is not synchronised, and the host's file does not show its times
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
 * @unknown: why it is unknown, or IS_KNOWN
 * @pid: its pid; 0 is idle
 * @comm: its name
 */
struct task {
	enum not_known	unknown;
	int		pid;
	char		comm[TASK_COMM_SIZE];
};

/**
 * struct stretch - a time in which all of these members are constant
 * @vcpu: index of the vCPU
 * @state: its state
 * @unknown: for VCPU_UNKNOWN: the reason
 * @task: the current task of the guest
 * @preemptor: for VCPU_STOLEN: the host thread that had the CPU
 * @preemptor_vcpu: index of the vCPU that this thread ran, if it was in guest mode and its task is known; else
 *	VCPU_NONE
 * @preemptor_task: with @preemptor_vcpu: its task
 * @from, @to: begin and end; @to is the first moment after it
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
 * @vcpu: index of the vCPU
 * @reason: the exit reason
 * @task: the task of the guest that was current at the exit
 * @open: why the next entry is unknown, or IS_KNOWN
 * @from, @to: times of exit and entry; with @open, @to is the end of what is known
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
 * struct vcpu_states_sink - the receiver of the results
 * @stretch: takes a stretch; those of a vCPU come in order, and neighbours differ
 * @exit: takes an exit when it has ended
 * @forget: called when a vCPU's state from a time, in ns, until now turns out to be unknown; may be NULL
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
 * struct vcpu_states - the state machine
 * @sink: receiver of the results
 * @now: time of the last event; earlier events count as if they were at this time
 * @vcpus: states of the vCPUs; owned
 * @nr_vcpus: number of @vcpus
 * @cpus: the host's CPUs, and one entry for all CPUs without events; owned
 * @nr_cpus: number of @cpus
 * @threads: threads that run vCPUs, in the order of tid; owned
 * @nr_threads: number of @threads
 * @ended: the period has ended, and time stands still
 * @nr_missing: result: number of contradictions between events, which show missing events
 * @nr_late: result: number of times that a thread was switched out before its kvm_exit was recorded
 * @nr_unwoken: result: number of times that a sleeping thread was switched in without a wake-up
 * @lost_until: latest end of the host's losses so far, in ns
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
