// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "order.h"
#include "vcpu_states.h"

/* A thread that runs vCPUs, on the host's CPUs */
enum thread_state {
	THREAD_UNKNOWN,
	THREAD_RUNS,
	THREAD_WAITS,
	THREAD_SLEEPS,
};

/**
 * struct state_thread - a thread that runs vCPUs
 * @tid: its thread id
 * @state: its state
 * @unknown: for THREAD_UNKNOWN: why
 * @cpu: for THREAD_RUNS and THREAD_WAITS: the CPU
 * @vcpu: the first of the vCPUs that it ran last, VCPU_NONE without
 * @next, @prev: others that wait for the same CPU
 */
struct state_thread {
	int			tid;
	enum thread_state	state;
	enum not_known		unknown;
	uint32_t		cpu;
	uint32_t		vcpu;
	struct state_thread	*next;
	struct state_thread	*prev;
};

/**
 * struct state_cpu - a CPU of the host
 * @current: the thread that runs on it
 * @thread: the same thread if it runs vCPUs, else NULL
 * @waiting: the first of the threads that wait for it, NULL without
 * @switched: it had a sched_switch
 * @halted: a vCPU halted on it
 */
struct state_cpu {
	struct task		current;
	struct state_thread	*thread;
	struct state_thread	*waiting;
	bool			switched;
	bool			halted;
};

/**
 * struct state_vcpu - a vCPU
 * @mode: its mode by kvm_entry and kvm_exit
 * @unknown: for MODE_UNKNOWN: why
 * @thread: the thread that ran it last, NULL if unknown
 * @next: next of @thread's vCPUs
 * @task: the guest's task
 * @exited: there was a kvm_exit since the last guest mode
 * @reason: its reason
 * @in_exit: it is between this kvm_exit and the next kvm_entry
 * @exit: with @in_exit: the exit so far; its @ns are those of @ns at its begin
 * @now: its state since @now.from
 * @held: stretches before @now, since the last event of the thread, or since the kvm_exit; owned
 * @nr_held: number of @held
 * @capacity: number of stretches that fit without growing
 * @part: index of the first of them since the last event that shows the CPU for which the thread waits
 * @before: the last stretch before these, not reported yet because it may continue; empty at first
 * @ns: nanoseconds in each state up to @now.from
 */
struct state_vcpu {
	enum vcpu_mode		mode;
	enum not_known		unknown;
	struct state_thread	*thread;
	uint32_t		next;
	struct task		task;
	bool			exited;
	struct exit_reason	reason;
	bool			in_exit;
	struct exit_cost	exit;
	struct stretch		now;
	struct stretch		*held;
	size_t			nr_held;
	size_t			capacity;
	size_t			part;
	struct stretch		before;
	uint64_t		ns[NR_VCPU_STATES];
};

static ORDER_BY(compare_threads, struct state_thread, tid)

static struct state_thread *find_thread(const struct vcpu_states *states, int tid)
{
	size_t i = first_where(j, states->nr_threads, states->threads[j].tid >= tid);

	return i < states->nr_threads && states->threads[i].tid == tid ? &states->threads[i] : NULL;
}

static bool same_task(const struct task *a, const struct task *b)
{
	return a->unknown == b->unknown && a->pid == b->pid;
}

static bool alike(const struct stretch *a, const struct stretch *b)
{
	return a->state == b->state && a->unknown == b->unknown && same_task(&a->task, &b->task) &&
		same_task(&a->preemptor, &b->preemptor) && a->preemptor_vcpu == b->preemptor_vcpu &&
		same_task(&a->preemptor_task, &b->preemptor_task);
}

/* The thread that has the CPU for which a thread waits */
static void name_preemptor(const struct vcpu_states *states, uint32_t cpu, struct stretch *stretch)
{
	const struct state_cpu *at = &states->cpus[cpu];

	stretch->preemptor = at->current;
	for (uint32_t v = at->thread ? at->thread->vcpu : VCPU_NONE; v != VCPU_NONE; v = states->vcpus[v].next) {
		if (states->vcpus[v].mode != MODE_GUEST || states->vcpus[v].task.unknown)
			continue;
		stretch->preemptor_vcpu = v;
		stretch->preemptor_task = states->vcpus[v].task;
		return;
	}
}

/* Writes each member but the end: a copy of the whole would wait until the members are in memory */
static void describe(const struct vcpu_states *states, uint32_t number, struct stretch *stretch)
{
	const struct state_vcpu *vcpu = &states->vcpus[number];
	static const struct task none = { 0 };
	enum vcpu_state state = VCPU_EXIT;
	enum not_known unknown = IS_KNOWN;

	stretch->vcpu = number;
	stretch->task = vcpu->task;
	stretch->preemptor = none;
	stretch->preemptor_vcpu = VCPU_NONE;
	stretch->preemptor_task = none;
	stretch->from.tsc = states->now.tsc;
	stretch->from.ns = states->now.ns;
	if (vcpu->mode == MODE_GUEST) {
		state = VCPU_GUEST;
	} else if (vcpu->mode == MODE_UNKNOWN) {
		state = VCPU_UNKNOWN;
		unknown = vcpu->unknown;
	} else if (!vcpu->thread || vcpu->thread->state == THREAD_UNKNOWN) {
		state = VCPU_UNKNOWN;
		unknown = vcpu->thread ? vcpu->thread->unknown : BEFORE_SCHED;
	} else if (vcpu->thread->state == THREAD_WAITS) {
		state = VCPU_STOLEN;
		name_preemptor(states, vcpu->thread->cpu, stretch);
	} else if (vcpu->thread->state == THREAD_SLEEPS && vcpu->exited && vcpu->reason.halts) {
		state = VCPU_HALTED;
	}
	stretch->state = state;
	stretch->unknown = unknown;
}

static bool is_empty(const struct stretch *stretch)
{
	return stretch->from.ns == stretch->to.ns;
}

/* Equal stretches that touch each other are joined */
static void deliver(struct vcpu_states *states, struct state_vcpu *vcpu, const struct stretch *stretch)
{
	if (is_empty(stretch))
		return;
	if (!is_empty(&vcpu->before) && alike(&vcpu->before, stretch)) {
		vcpu->before.to = stretch->to;
		return;
	}
	if (!is_empty(&vcpu->before))
		states->sink.stretch(states->sink.ctx, &vcpu->before);
	vcpu->before = *stretch;
}

static void deliver_held(struct vcpu_states *states, struct state_vcpu *vcpu)
{
	for (size_t i = 0; i < vcpu->nr_held; i++)
		deliver(states, vcpu, &vcpu->held[i]);
	vcpu->nr_held = 0;
	vcpu->part = 0;
}

/* Most vCPUs hold a single stretch, and a hostile file has very many vCPUs */
static int reserve_held(struct state_vcpu *vcpu)
{
	if (vcpu->capacity)
		return array_reserve(vcpu->held, vcpu->nr_held, vcpu->capacity);
	vcpu->held = malloc(sizeof(*vcpu->held));
	vcpu->capacity = vcpu->held ? 1 : 0;
	return vcpu->held ? 0 : -ENOMEM;
}

/* Ends the current stretch of a vCPU, and begins an equal one */
static void cut(struct vcpu_states *states, struct state_vcpu *vcpu)
{
	vcpu->now.to = states->now;
	vcpu->ns[vcpu->now.state] += vcpu->now.to.ns - vcpu->now.from.ns;
	if (vcpu->mode != MODE_HOST) {
		deliver_held(states, vcpu);
		deliver(states, vcpu, &vcpu->now);
	} else if (!is_empty(&vcpu->now)) {
		if (vcpu->nr_held == VCPU_STATES_HELD || reserve_held(vcpu))
			deliver_held(states, vcpu);
		/* Without memory it cannot be held */
		if (vcpu->nr_held < vcpu->capacity)
			vcpu->held[vcpu->nr_held++] = vcpu->now;
		else
			deliver(states, vcpu, &vcpu->now);
	}
	vcpu->now.from = states->now;
}

/* A change may affect the state of a vCPU: end its current stretch */
static void refresh(struct vcpu_states *states, uint32_t number)
{
	struct state_vcpu *vcpu = &states->vcpus[number];
	struct stretch next;

	describe(states, number, &next);
	if (alike(&vcpu->now, &next))
		return;
	cut(states, vcpu);
	describe(states, number, &vcpu->now);
}

/* The held stretches are correct */
static void confirm(struct vcpu_states *states, struct state_vcpu *vcpu)
{
	cut(states, vcpu);
	deliver_held(states, vcpu);
}

/* The thread's last known event cannot be its last one: its state since then is unknown */
static void forget(struct vcpu_states *states, uint32_t number)
{
	struct state_vcpu *vcpu = &states->vcpus[number];
	uint64_t since, length = 0;
	enum vcpu_state state;

	if (vcpu->mode != MODE_HOST)
		return;
	cut(states, vcpu);
	if (!vcpu->nr_held)
		return;
	since = vcpu->held[0].from.ns;
	state = vcpu->held[0].state;
	if (state == VCPU_UNKNOWN) {
		deliver_held(states, vcpu);
		return;
	}
	for (size_t i = 0; i < vcpu->nr_held; i++) {
		struct stretch *stretch = &vcpu->held[i];

		length += stretch->to.ns - stretch->from.ns;
		*stretch = (struct stretch) {
			.vcpu = number, .state = VCPU_UNKNOWN, .unknown = SCHED_MISSING, .task = stretch->task,
			.preemptor_vcpu = VCPU_NONE, .from = stretch->from, .to = stretch->to,
		};
	}
	vcpu->ns[state] -= length;
	vcpu->ns[VCPU_UNKNOWN] += length;
	states->nr_missing++;
	if (states->sink.forget)
		states->sink.forget(states->sink.ctx, number, since, state);
	deliver_held(states, vcpu);
}

/* The thread did not wait for that CPU: it was moved without an event */
static void forget_preemptor(struct vcpu_states *states, struct state_vcpu *vcpu)
{
	cut(states, vcpu);
	for (size_t i = vcpu->part; i < vcpu->nr_held; i++) {
		struct stretch *stretch = &vcpu->held[i];

		stretch->preemptor = (struct task) { .unknown = SCHED_MISSING };
		stretch->preemptor_vcpu = VCPU_NONE;
		stretch->preemptor_task = (struct task) { 0 };
	}
}

static void refresh_waiting(struct vcpu_states *states, uint32_t cpu)
{
	for (struct state_thread *thread = states->cpus[cpu].waiting; thread; thread = thread->next) {
		for (uint32_t v = thread->vcpu; v != VCPU_NONE; v = states->vcpus[v].next)
			refresh(states, v);
	}
}

/* The threads that wait for the CPU on which a vCPU's thread runs */
static void refresh_victims(struct vcpu_states *states, const struct state_vcpu *vcpu)
{
	if (vcpu->thread && vcpu->thread->state == THREAD_RUNS)
		refresh_waiting(states, vcpu->thread->cpu);
}

/**
 * vcpu_states_advance - advance the time
 * @states: the state machine
 * @at: the time now. Time never goes back: events with earlier times count from now on.
 */
void vcpu_states_advance(struct vcpu_states *states, struct moment at)
{
	if (!states->ended && at.ns >= states->now.ns && at.tsc >= states->now.tsc)
		states->now = at;
}

/* All CPUs without events share one entry after the others: their threads are unknown */
static uint32_t place_of(const struct vcpu_states *states, uint32_t cpu)
{
	return cpu < states->nr_cpus ? cpu : (uint32_t)states->nr_cpus;
}

static void unlink_waiting(struct vcpu_states *states, struct state_thread *thread)
{
	if (thread->state != THREAD_WAITS)
		return;
	if (thread->prev)
		thread->prev->next = thread->next;
	else
		states->cpus[thread->cpu].waiting = thread->next;
	if (thread->next)
		thread->next->prev = thread->prev;
	thread->next = thread->prev = NULL;
}

static void link_waiting(struct vcpu_states *states, struct state_thread *thread)
{
	struct state_cpu *cpu = &states->cpus[thread->cpu];

	thread->next = cpu->waiting;
	if (cpu->waiting)
		cpu->waiting->prev = thread;
	cpu->waiting = thread;
}

static void set_thread(struct vcpu_states *states, struct state_thread *thread, enum thread_state state, uint32_t cpu)
{
	bool moves = state == THREAD_WAITS && thread->state == THREAD_WAITS;

	for (uint32_t v = thread->vcpu; v != VCPU_NONE; v = states->vcpus[v].next) {
		struct state_vcpu *vcpu = &states->vcpus[v];

		cut(states, vcpu);
		if (moves)
			vcpu->part = vcpu->nr_held;
		else
			deliver_held(states, vcpu);
	}
	unlink_waiting(states, thread);
	/* The next event of a thread may be lost; for a running thread it is on its own CPU */
	if (state != THREAD_RUNS && state != THREAD_UNKNOWN && states->now.ns < states->lost_until) {
		state = THREAD_UNKNOWN;
		thread->unknown = EVENTS_LOST;
	}
	thread->state = state;
	thread->cpu = cpu;
	if (state == THREAD_WAITS)
		link_waiting(states, thread);
	for (uint32_t v = thread->vcpu; v != VCPU_NONE; v = states->vcpus[v].next)
		refresh(states, v);
}

/**
 * vcpu_states_init - begin a period
 * @states: result; must be released in any case
 * @sink: receiver of the results
 * @begin: begin of the period
 * @nr_vcpus: number of vCPUs, numbered from 0
 * @nr_cpus: number of CPUs of the host, numbered from 0
 * @tids: all threads that run vCPUs, in any order, each once or more
 * @nr_tids: number of @tids
 * @has_sched: the host's recording has sched events
 *
 * Returns: 0 or -ENOMEM.
 */
int vcpu_states_init(struct vcpu_states *states, const struct vcpu_states_sink *sink, struct moment begin,
		     size_t nr_vcpus, size_t nr_cpus, const int *tids, size_t nr_tids, bool has_sched)
{
	*states = (struct vcpu_states) {
		.sink = *sink, .now = begin, .nr_vcpus = nr_vcpus, .nr_cpus = nr_cpus,
		.vcpus = calloc(nr_vcpus + 1, sizeof(*states->vcpus)),
		.cpus = calloc(nr_cpus + 1, sizeof(*states->cpus)),
		.threads = calloc(nr_tids + 1, sizeof(*states->threads)),
	};
	if (!states->vcpus || !states->cpus || !states->threads)
		return -ENOMEM;
	for (size_t i = 0; i < nr_tids; i++)
		states->threads[i] = (struct state_thread) {
			.tid = tids[i], .unknown = has_sched ? BEFORE_SCHED : NO_SCHED, .vcpu = VCPU_NONE,
		};
	array_sort(states->threads, nr_tids, compare_threads);
	for (size_t i = 0; i < nr_tids; i++) {
		if (!states->nr_threads || states->threads[states->nr_threads - 1].tid != states->threads[i].tid)
			states->threads[states->nr_threads++] = states->threads[i];
	}
	for (size_t i = 0; i <= nr_cpus; i++)
		states->cpus[i].current.unknown = has_sched ? BEFORE_SWITCH : NO_SCHED;
	for (uint32_t i = 0; i < nr_vcpus; i++) {
		struct state_vcpu *vcpu = &states->vcpus[i];

		*vcpu = (struct state_vcpu) { .unknown = BEFORE_KVM, .next = VCPU_NONE, .task.unknown = NO_FILE };
		describe(states, i, &vcpu->now);
	}
	return 0;
}

/**
 * vcpu_states_set_thread - set the thread of a vCPU
 * @states: the state machine
 * @vcpu: index of the vCPU
 * @tid: the thread; unknown if it is not among those of vcpu_states_init()
 */
void vcpu_states_set_thread(struct vcpu_states *states, uint32_t vcpu, int tid)
{
	struct state_vcpu *v = &states->vcpus[vcpu];
	struct state_thread *thread = v->thread && v->thread->tid == tid ? v->thread : find_thread(states, tid);

	if (!thread || thread == v->thread)
		return;
	confirm(states, v);
	if (v->thread) {
		uint32_t *link = &v->thread->vcpu;

		while (*link != vcpu)
			link = &states->vcpus[*link].next;
		*link = v->next;
		refresh_victims(states, v);
	}
	v->thread = thread;
	v->next = thread->vcpu;
	thread->vcpu = vcpu;
	refresh(states, vcpu);
	refresh_victims(states, v);
}

static void begin_exit(struct vcpu_states *states, struct state_vcpu *vcpu, uint32_t number)
{
	vcpu->in_exit = true;
	vcpu->exit = (struct exit_cost) { .vcpu = number, .task = vcpu->task, .from = states->now };
	if (vcpu->exited)
		vcpu->exit.reason = vcpu->reason;
	vcpu_states_times(states, number, vcpu->exit.ns);
}

static void end_exit(struct vcpu_states *states, struct state_vcpu *vcpu, enum not_known open)
{
	uint64_t ns[NR_VCPU_STATES];

	if (!vcpu->in_exit)
		return;
	vcpu->in_exit = false;
	vcpu->exit.to = states->now;
	vcpu->exit.open = open;
	vcpu_states_times(states, vcpu->exit.vcpu, ns);
	for (size_t i = 0; i < NR_VCPU_STATES; i++)
		vcpu->exit.ns[i] = ns[i] - vcpu->exit.ns[i];
	/* Skip empty exits, unless their begin and end are known */
	if (vcpu->exit.from.ns < vcpu->exit.to.ns || (vcpu->exited && !open))
		states->sink.exit(states->sink.ctx, &vcpu->exit);
}

/**
 * vcpu_states_mode - change the mode of a vCPU
 * @states: the state machine
 * @vcpu: index of the vCPU
 * @at: time of the change
 * @mode: the new mode. Before MODE_HOST, its kvm_exit must be reported; before MODE_GUEST, the entering thread, if it
 *	can be another one
 * @unknown: for MODE_UNKNOWN: why
 */
void vcpu_states_mode(struct vcpu_states *states, uint32_t vcpu, struct moment at, enum vcpu_mode mode,
		      enum not_known unknown)
{
	struct state_vcpu *v = &states->vcpus[vcpu];

	vcpu_states_advance(states, at);
	/* A thread that was switched out cannot enter guest mode */
	if (mode == MODE_GUEST && v->thread && (v->thread->state == THREAD_WAITS || v->thread->state == THREAD_SLEEPS))
		forget(states, vcpu);
	confirm(states, v);
	end_exit(states, v, mode == MODE_UNKNOWN ? unknown : IS_KNOWN);
	v->mode = mode;
	v->unknown = mode == MODE_UNKNOWN ? unknown : IS_KNOWN;
	if (mode != MODE_HOST)
		v->exited = false;
	/* The state of its thread is determined again in each time out of guest mode */
	if (mode == MODE_HOST && !v->exited && v->thread && v->thread->unknown != NO_SCHED) {
		v->thread->unknown = BEFORE_SCHED;
		set_thread(states, v->thread, THREAD_UNKNOWN, 0);
	}
	refresh(states, vcpu);
	if (mode == MODE_HOST)
		begin_exit(states, v, vcpu);
	refresh_victims(states, v);
}

/* A filter removed a sched_switch if another thread has a CPU than the last one shows */
static void check_current(struct vcpu_states *states, uint32_t cpu, int tid)
{
	const struct task *current = &states->cpus[place_of(states, cpu)].current;

	if (!current->unknown && current->pid != tid)
		states->nr_missing++;
}

/**
 * vcpu_states_exit - process a kvm_exit
 * @states: the state machine
 * @vcpu: index of the vCPU
 * @at: its time
 * @tid: the thread that recorded it, and so runs
 * @cpu: the CPU that recorded it
 * @reason: its reason
 */
void vcpu_states_exit(struct vcpu_states *states, uint32_t vcpu, struct moment at, int tid, uint32_t cpu,
		      struct exit_reason reason)
{
	struct state_vcpu *v = &states->vcpus[vcpu];

	vcpu_states_entry(states, vcpu, at, tid, cpu);
	states->cpus[place_of(states, cpu)].halted |= reason.halts;
	v->exited = true;
	v->reason = reason;
}

/**
 * vcpu_states_entry - process a kvm_entry
 * @states: the state machine
 * @vcpu: index of the vCPU
 * @at: its time
 * @tid: the thread that recorded it, and so runs
 * @cpu: the CPU that recorded it
 */
void vcpu_states_entry(struct vcpu_states *states, uint32_t vcpu, struct moment at, int tid, uint32_t cpu)
{
	struct state_vcpu *v = &states->vcpus[vcpu];

	vcpu_states_advance(states, at);
	vcpu_states_set_thread(states, vcpu, tid);
	check_current(states, cpu, tid);
	if (v->thread && (v->thread->state != THREAD_RUNS || v->thread->cpu != place_of(states, cpu)) &&
	    v->thread->unknown != NO_SCHED)
		set_thread(states, v->thread, THREAD_RUNS, place_of(states, cpu));
}

static void take_out(struct vcpu_states *states, struct state_thread *thread, bool runnable, uint32_t cpu)
{
	for (uint32_t v = thread->vcpu; v != VCPU_NONE; v = states->vcpus[v].next) {
		if (thread->state == THREAD_WAITS || thread->state == THREAD_SLEEPS)
			forget(states, v);
		states->nr_late += states->vcpus[v].mode == MODE_GUEST;
	}
	set_thread(states, thread, runnable ? THREAD_WAITS : THREAD_SLEEPS, cpu);
}

static void take_in(struct vcpu_states *states, struct state_thread *thread, uint32_t cpu)
{
	states->nr_unwoken += thread->state == THREAD_SLEEPS;
	for (uint32_t v = thread->vcpu; v != VCPU_NONE; v = states->vcpus[v].next) {
		if (thread->state == THREAD_RUNS)
			forget(states, v);
		else if (thread->state == THREAD_WAITS && thread->cpu != cpu)
			forget_preemptor(states, &states->vcpus[v]);
	}
	set_thread(states, thread, THREAD_RUNS, cpu);
}

/**
 * vcpu_states_host_switch - process a sched_switch of the host
 * @states: the state machine
 * @cpu: its CPU
 * @at: its time
 * @prev_pid: the thread that ran before
 * @runnable: it is still ready to run
 * @next: the thread that runs now
 */
void vcpu_states_host_switch(struct vcpu_states *states, uint32_t cpu, struct moment at, int prev_pid, bool runnable,
			     const struct task *next)
{
	struct state_thread *prev = find_thread(states, prev_pid), *thread = find_thread(states, next->pid);

	if (cpu >= states->nr_cpus)
		return;
	vcpu_states_advance(states, at);
	check_current(states, cpu, prev_pid);
	if (prev && prev_pid && prev != thread)
		take_out(states, prev, runnable, cpu);
	if (thread && next->pid)
		take_in(states, thread, cpu);
	states->cpus[cpu].switched = true;
	states->cpus[cpu].current = *next;
	states->cpus[cpu].thread = thread;
	refresh_waiting(states, cpu);
}

/**
 * vcpu_states_host_wake - process a sched_waking or sched_wakeup of the host
 * @states: the state machine
 * @at: its time
 * @pid: the thread that is woken
 * @cpu: the CPU on which it will run
 */
void vcpu_states_host_wake(struct vcpu_states *states, struct moment at, int pid, uint32_t cpu)
{
	struct state_thread *thread = find_thread(states, pid);

	if (!thread || !pid || thread->state == THREAD_RUNS)
		return;
	vcpu_states_advance(states, at);
	set_thread(states, thread, THREAD_WAITS, place_of(states, cpu));
}

/**
 * vcpu_states_host_migrate - process a sched_migrate_task of the host
 * @states: the state machine
 * @at: its time
 * @pid: the thread
 * @cpu: the CPU on which it will run; no effect if it does not wait for one
 */
void vcpu_states_host_migrate(struct vcpu_states *states, struct moment at, int pid, uint32_t cpu)
{
	struct state_thread *thread = find_thread(states, pid);

	if (!thread || thread->state != THREAD_WAITS)
		return;
	vcpu_states_advance(states, at);
	set_thread(states, thread, THREAD_WAITS, place_of(states, cpu));
}

/**
 * vcpu_states_host_lose - process a loss of a CPU of the host
 * @states: the state machine
 * @cpu: the CPU
 * @from: time of its last event before; must be reported before any later event
 * @until: time of its first event after, in ns; UINT64_MAX without
 */
void vcpu_states_host_lose(struct vcpu_states *states, uint32_t cpu, struct moment from, uint64_t until)
{
	if (cpu >= states->nr_cpus)
		return;
	vcpu_states_advance(states, from);
	if (until > states->lost_until)
		states->lost_until = until;
	states->cpus[cpu].current = (struct task) { .unknown = EVENTS_LOST };
	states->cpus[cpu].thread = NULL;
	for (size_t i = 0; i < states->nr_threads; i++) {
		struct state_thread *thread = &states->threads[i];

		/* It records its next event on the CPU on which it runs */
		if (thread->state == THREAD_UNKNOWN || (thread->state == THREAD_RUNS && thread->cpu != cpu))
			continue;
		thread->unknown = EVENTS_LOST;
		set_thread(states, thread, THREAD_UNKNOWN, cpu);
	}
	refresh_waiting(states, cpu);
}

/**
 * vcpu_states_guest_task - change the current task of a guest's CPU
 * @states: the state machine
 * @vcpu: index of the vCPU of this CPU
 * @at: time of the change
 * @task: the task, or why it is unknown
 */
void vcpu_states_guest_task(struct vcpu_states *states, uint32_t vcpu, struct moment at, const struct task *task)
{
	struct state_vcpu *v = &states->vcpus[vcpu];

	vcpu_states_advance(states, at);
	v->task = *task;
	/* Most of these come in guest mode, where they change nothing else */
	if (v->mode == MODE_GUEST && !same_task(&v->now.task, task)) {
		cut(states, v);
		v->now.task = *task;
	} else {
		refresh(states, vcpu);
	}
	refresh_victims(states, v);
}

/**
 * vcpu_states_times - get the time of a vCPU in each state so far
 * @states: the state machine
 * @vcpu: index of the vCPU
 * @ns: result: nanoseconds in each enum vcpu_state; their sum is the time since the begin
 */
void vcpu_states_times(const struct vcpu_states *states, uint32_t vcpu, uint64_t ns[NR_VCPU_STATES])
{
	const struct state_vcpu *v = &states->vcpus[vcpu];

	memcpy(ns, v->ns, sizeof(v->ns));
	ns[v->now.state] += states->now.ns - v->now.from.ns;
}

/**
 * vcpu_states_end - report everything unfinished
 * @states: the state machine; it accepts no more input
 * @at: end of the period
 */
void vcpu_states_end(struct vcpu_states *states, struct moment at)
{
	vcpu_states_advance(states, at);
	for (uint32_t i = 0; i < states->nr_vcpus; i++) {
		struct state_vcpu *vcpu = &states->vcpus[i];

		confirm(states, vcpu);
		end_exit(states, vcpu, END_OF_PERIOD);
		if (!is_empty(&vcpu->before))
			states->sink.stretch(states->sink.ctx, &vcpu->before);
		vcpu->before = vcpu->now;
	}
	states->ended = true;
}

/**
 * vcpu_states_unswitched - count the CPUs on which vCPUs halted without a sched_switch
 * @states: the state machine at its end
 *
 * By these events their threads cannot have slept, as if another CPU had been recorded.
 *
 * Returns: their number; 0 also if the host has no sched_switch.
 */
size_t vcpu_states_unswitched(const struct vcpu_states *states)
{
	size_t nr = 0;

	for (size_t i = 0; i < states->nr_cpus; i++)
		nr += states->cpus[i].halted && !states->cpus[i].switched &&
			states->cpus[i].current.unknown != NO_SCHED;
	return nr;
}

/**
 * vcpu_states_release - free the state machine
 * @states: the state machine, also after a failed init
 */
void vcpu_states_release(struct vcpu_states *states)
{
	for (size_t i = 0; states->vcpus && i < states->nr_vcpus; i++)
		free(states->vcpus[i].held);
	free(states->vcpus);
	free(states->cpus);
	free(states->threads);
	*states = (struct vcpu_states) { 0 };
}
