// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The states of vCPUs, from events of host and guests. First small histories with known answers, then random ones
 * that are compared, nanosecond by nanosecond, with an oracle that looks back from each of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "explain_sums.h"
#include "prng.h"
#include "vcpu_states.h"
#include "wakeups.h"

#define LENGTH	256
#define VCPUS	3
#define CPUS	3
#define EVENTS	120
/* The threads of vCPUs, and another thread */
#define TID(vcpu)	(100 + (int)(vcpu))
#define BURNER		50

/* The results for each nanosecond */
struct answers {
	struct stretch		at[VCPUS][LENGTH];
	bool			taken[VCPUS][LENGTH];
	struct stretch		last[VCPUS];
	size_t			nr_stretches;
	struct exit_cost	exits[EVENTS];
	size_t			nr_exits;
};

static bool alike(const struct stretch *a, const struct stretch *b)
{
	return a->state == b->state && a->unknown == b->unknown && a->task.unknown == b->task.unknown &&
		a->task.pid == b->task.pid && a->preemptor.unknown == b->preemptor.unknown &&
		a->preemptor.pid == b->preemptor.pid && a->preemptor_vcpu == b->preemptor_vcpu &&
		a->preemptor_task.pid == b->preemptor_task.pid;
}

static void take_stretch(void *ctx, const struct stretch *stretch)
{
	struct answers *answers = ctx;
	struct stretch *last = &answers->last[stretch->vcpu];

	assert_true(stretch->from.ns < stretch->to.ns && stretch->to.ns <= LENGTH);
	assert_true(stretch->from.tsc == 10 * stretch->from.ns && stretch->to.tsc == 10 * stretch->to.ns);
	/* Stretches are in order, without gaps, and neighbours differ */
	assert_int_equal(stretch->from.ns, last->to.ns);
	assert_false(last->to.ns && alike(last, stretch));
	*last = *stretch;
	for (uint64_t i = stretch->from.ns; i < stretch->to.ns; i++) {
		assert_false(answers->taken[stretch->vcpu][i]);
		answers->taken[stretch->vcpu][i] = true;
		answers->at[stretch->vcpu][i] = *stretch;
	}
	answers->nr_stretches++;
}

static void take_exit(void *ctx, const struct exit_cost *exit)
{
	struct answers *answers = ctx;

	answers->exits[answers->nr_exits++] = *exit;
}

static struct moment at(uint64_t ns)
{
	return (struct moment) { 10 * ns, ns };
}

static struct task task(int pid)
{
	struct task task = { .pid = pid };

	snprintf(task.comm, sizeof(task.comm), "t%d", pid);
	return task;
}

static void begin(struct vcpu_states *states, struct answers *answers, bool has_sched)
{
	const struct vcpu_states_sink sink = { take_stretch, take_exit, NULL, answers };
	const int tids[] = { TID(2), TID(0), TID(1), TID(0) };

	memset(answers, 0, sizeof(*answers));
	assert_int_equal(vcpu_states_init(states, &sink, at(0), VCPUS, CPUS, tids, 4, has_sched), 0);
	for (uint32_t i = 0; i < VCPUS; i++)
		vcpu_states_set_thread(states, i, TID(i));
}

static void end(struct vcpu_states *states, struct answers *answers)
{
	vcpu_states_end(states, at(LENGTH));
	for (uint32_t v = 0; v < VCPUS; v++) {
		uint64_t ns[NR_VCPU_STATES], sums[NR_VCPU_STATES] = { 0 }, wall = 0;

		vcpu_states_times(states, v, ns);
		for (size_t i = 0; i < LENGTH; i++) {
			assert_true(answers->taken[v][i]);
			sums[answers->at[v][i].state]++;
		}
		for (size_t i = 0; i < NR_VCPU_STATES; i++) {
			assert_int_equal(ns[i], sums[i]);
			wall += ns[i];
		}
		assert_int_equal(wall, LENGTH);
	}
	vcpu_states_release(states);
}

static const struct exit_reason hlt = { true, true, 1, 12 }, msr = { true, false, 1, 32 };

static void host_switch(struct vcpu_states *states, uint32_t cpu, uint64_t ns, int prev, bool runnable, int next)
{
	const struct task to = task(next);

	vcpu_states_host_switch(states, cpu, at(ns), prev, runnable, &to);
}

static void leave(struct vcpu_states *states, uint32_t vcpu, uint32_t cpu, uint64_t ns, struct exit_reason reason)
{
	vcpu_states_exit(states, vcpu, at(ns), TID(vcpu), cpu, reason);
	vcpu_states_mode(states, vcpu, at(ns), MODE_HOST, IS_KNOWN);
}

static void enter(struct vcpu_states *states, uint32_t vcpu, uint32_t cpu, uint64_t ns)
{
	vcpu_states_mode(states, vcpu, at(ns), MODE_GUEST, IS_KNOWN);
	vcpu_states_entry(states, vcpu, at(ns), TID(vcpu), cpu);
}

static void check_span(const struct answers *answers, uint32_t vcpu, uint64_t from, uint64_t to, enum vcpu_state state)
{
	for (uint64_t i = from; i < to; i++) {
		if (answers->at[vcpu][i].state != state)
			fail_msg("vCPU %u at %ju: state %d, not %d", vcpu, (uintmax_t)i, answers->at[vcpu][i].state,
				 state);
	}
}

/* One exit of each kind: handled, preempted, halted */
static void test_known(void **state)
{
	struct vcpu_states states;
	struct answers answers;
	const struct task work = task(7);

	begin(&states, &answers, true);
	host_switch(&states, 1, 5, 0, true, TID(0));
	enter(&states, 0, 1, 10);
	vcpu_states_guest_task(&states, 0, at(15), &work);
	leave(&states, 0, 1, 20, msr);
	enter(&states, 0, 1, 30);
	leave(&states, 0, 1, 40, msr);
	/* The thread already runs */
	vcpu_states_host_wake(&states, at(42), TID(0), 1);
	host_switch(&states, 1, 45, TID(0), true, BURNER);
	host_switch(&states, 1, 60, BURNER, true, TID(0));
	enter(&states, 0, 1, 62);
	leave(&states, 0, 1, 70, hlt);
	host_switch(&states, 1, 75, TID(0), false, 0);
	vcpu_states_host_wake(&states, at(90), TID(0), 1);
	vcpu_states_host_wake(&states, at(91), TID(0), 2);
	vcpu_states_host_migrate(&states, at(92), TID(0), 1);
	host_switch(&states, 1, 95, 0, true, TID(0));
	enter(&states, 0, 1, 100);
	leave(&states, 0, 1, 110, msr);
	end(&states, &answers);
	check_span(&answers, 0, 0, 10, VCPU_UNKNOWN);
	check_span(&answers, 0, 10, 20, VCPU_GUEST);
	check_span(&answers, 0, 20, 30, VCPU_EXIT);
	check_span(&answers, 0, 30, 40, VCPU_GUEST);
	check_span(&answers, 0, 40, 45, VCPU_EXIT);
	check_span(&answers, 0, 45, 60, VCPU_STOLEN);
	check_span(&answers, 0, 60, 62, VCPU_EXIT);
	check_span(&answers, 0, 62, 70, VCPU_GUEST);
	check_span(&answers, 0, 70, 75, VCPU_EXIT);
	check_span(&answers, 0, 75, 90, VCPU_HALTED);
	check_span(&answers, 0, 90, 95, VCPU_STOLEN);
	check_span(&answers, 0, 95, 100, VCPU_EXIT);
	check_span(&answers, 0, 110, LENGTH, VCPU_EXIT);
	assert_int_equal(answers.at[0][50].preemptor.pid, BURNER);
	assert_string_equal(answers.at[0][50].preemptor.comm, "t50");
	assert_int_equal(answers.at[0][50].preemptor_vcpu, VCPU_NONE);
	/* Idle; what runs on CPU 2 is unknown */
	assert_int_equal(answers.at[0][90].preemptor.pid, 0);
	assert_int_equal(answers.at[0][90].preemptor.unknown, IS_KNOWN);
	assert_int_equal(answers.at[0][91].preemptor.unknown, BEFORE_SWITCH);
	assert_int_equal(answers.at[0][92].preemptor.unknown, IS_KNOWN);
	assert_int_equal(answers.at[0][12].task.unknown, NO_FILE);
	assert_int_equal(answers.at[0][50].task.pid, 7);
	assert_int_equal(answers.nr_exits, 4);
	assert_int_equal(answers.exits[0].ns[VCPU_EXIT], 10);
	assert_int_equal(answers.exits[1].ns[VCPU_STOLEN], 15);
	assert_int_equal(answers.exits[1].ns[VCPU_EXIT], 7);
	assert_int_equal(answers.exits[2].ns[VCPU_HALTED], 15);
	assert_int_equal(answers.exits[2].ns[VCPU_STOLEN], 5);
	assert_int_equal(answers.exits[2].ns[VCPU_EXIT], 10);
	assert_int_equal(answers.exits[2].reason.code, 12);
	assert_int_equal(answers.exits[2].open, IS_KNOWN);
	assert_int_equal(answers.exits[3].open, END_OF_PERIOD);
	assert_int_equal(answers.exits[3].from.tsc, 1100);
}

/* The preemptor is another vCPU: its guest's task is named while that vCPU is in guest mode */
static void test_other_guest(void **state)
{
	struct vcpu_states states;
	struct answers answers;
	const struct task work = task(7), other = task(8);

	begin(&states, &answers, true);
	host_switch(&states, 0, 1, 0, true, TID(0));
	vcpu_states_guest_task(&states, 1, at(2), &work);
	enter(&states, 0, 0, 3);
	leave(&states, 0, 0, 10, msr);
	host_switch(&states, 0, 11, TID(0), true, TID(1));
	enter(&states, 1, 0, 20);
	vcpu_states_guest_task(&states, 1, at(30), &other);
	leave(&states, 1, 0, 40, msr);
	host_switch(&states, 0, 50, TID(1), false, TID(0));
	end(&states, &answers);
	check_span(&answers, 0, 11, 50, VCPU_STOLEN);
	for (size_t i = 11; i < 50; i++) {
		const struct stretch *stretch = &answers.at[0][i];

		assert_int_equal(stretch->preemptor.pid, TID(1));
		assert_int_equal(stretch->preemptor_vcpu, i >= 20 && i < 40 ? 1 : VCPU_NONE);
		assert_int_equal(stretch->preemptor_task.pid, i >= 20 && i < 40 ? i < 30 ? 7 : 8 : 0);
	}
}

/* With KVM's events alone only guest mode is known. Unknown stretches have a cause. */
static void test_unsplit(void **state)
{
	struct vcpu_states states;
	struct answers answers;

	begin(&states, &answers, false);
	enter(&states, 0, 0, 10);
	leave(&states, 0, 0, 20, hlt);
	enter(&states, 0, 0, 30);
	end(&states, &answers);
	check_span(&answers, 0, 20, 30, VCPU_UNKNOWN);
	assert_int_equal(answers.at[0][5].unknown, BEFORE_KVM);
	assert_int_equal(answers.at[0][25].unknown, NO_SCHED);
	assert_int_equal(answers.exits[0].ns[VCPU_UNKNOWN], 10);
}

/* A host that preempts KVM between VMEXIT and kvm_exit: guest mode ends at kvm_exit, and this is counted */
static void test_late_exit(void **state)
{
	struct vcpu_states states;
	struct answers answers;

	begin(&states, &answers, true);
	host_switch(&states, 0, 1, 0, true, TID(0));
	enter(&states, 0, 0, 10);
	host_switch(&states, 0, 20, TID(0), true, BURNER);
	host_switch(&states, 0, 30, BURNER, true, TID(0));
	leave(&states, 0, 0, 40, msr);
	assert_int_equal(states.nr_late, 1);
	end(&states, &answers);
	check_span(&answers, 0, 10, 40, VCPU_GUEST);
	check_span(&answers, 0, 40, LENGTH, VCPU_EXIT);
}

/* A state that a lost event could contradict is unknown */
static void test_losses(void **state)
{
	struct vcpu_states states;
	struct answers answers;

	begin(&states, &answers, true);
	host_switch(&states, 0, 1, 0, true, TID(0));
	host_switch(&states, 1, 1, 0, true, TID(1));
	for (uint32_t v = 0; v < 2; v++) {
		enter(&states, v, v, 10);
		leave(&states, v, v, 20, hlt);
	}
	/* CPU 0 loses events: the thread on CPU 1 continues to run */
	vcpu_states_host_lose(&states, 0, at(30), 60);
	/* The thread sleeps now, but a lost event may wake it: its state is unknown from here */
	host_switch(&states, 1, 50, TID(1), false, 0);
	host_switch(&states, 1, 70, 0, false, TID(1));
	host_switch(&states, 0, 80, 0, false, TID(0));
	end(&states, &answers);
	check_span(&answers, 0, 20, 30, VCPU_EXIT);
	check_span(&answers, 0, 30, 80, VCPU_UNKNOWN);
	check_span(&answers, 0, 80, LENGTH, VCPU_EXIT);
	check_span(&answers, 1, 20, 50, VCPU_EXIT);
	check_span(&answers, 1, 50, 70, VCPU_UNKNOWN);
	assert_int_equal(answers.at[0][40].unknown, EVENTS_LOST);
}

/* Events that contradict each other, as after filtering: the thread's state since the previous event is unknown */
static void test_contradictions(void **state)
{
	struct vcpu_states states;
	struct answers answers;

	begin(&states, &answers, true);
	host_switch(&states, 0, 1, 0, true, TID(0));
	enter(&states, 0, 0, 10);
	leave(&states, 0, 0, 20, hlt);
	host_switch(&states, 0, 25, TID(0), false, 0);
	/* It sleeps but enters guest mode */
	enter(&states, 0, 0, 30);
	leave(&states, 0, 0, 40, hlt);
	/* It runs but is switched in */
	host_switch(&states, 0, 50, 0, true, TID(0));
	host_switch(&states, 0, 55, TID(0), true, BURNER);
	/* It waits but is switched out */
	host_switch(&states, 1, 60, TID(0), false, 0);
	end(&states, &answers);
	check_span(&answers, 0, 20, 25, VCPU_EXIT);
	check_span(&answers, 0, 25, 30, VCPU_UNKNOWN);
	check_span(&answers, 0, 30, 40, VCPU_GUEST);
	check_span(&answers, 0, 40, 50, VCPU_UNKNOWN);
	check_span(&answers, 0, 50, 55, VCPU_EXIT);
	check_span(&answers, 0, 55, 60, VCPU_UNKNOWN);
	check_span(&answers, 0, 60, LENGTH, VCPU_HALTED);
	assert_int_equal(answers.at[0][27].unknown, SCHED_MISSING);
}

/* The thread moves to another CPU without an event: the preemptor is unknown since the last event that showed it */
static void test_unseen_move(void **state)
{
	struct vcpu_states states;
	struct answers answers;

	begin(&states, &answers, true);
	host_switch(&states, 0, 1, 0, true, TID(0));
	host_switch(&states, 1, 1, 0, true, 0);
	enter(&states, 0, 0, 10);
	leave(&states, 0, 0, 20, msr);
	host_switch(&states, 0, 30, TID(0), true, BURNER);
	vcpu_states_host_wake(&states, at(40), TID(0), 1);
	host_switch(&states, 2, 50, 0, true, TID(0));
	end(&states, &answers);
	check_span(&answers, 0, 30, 50, VCPU_STOLEN);
	assert_int_equal(answers.at[0][35].preemptor.pid, BURNER);
	assert_int_equal(answers.at[0][45].preemptor.unknown, SCHED_MISSING);
	assert_int_equal(states.nr_missing, 0);
}

enum kind { SWITCH, WAKE, MIGRATE, LOSE, ENTER, LEAVE, FORGET, TASK, NR_KINDS };

/* An event. Not all members matter for each kind. */
struct event {
	enum kind	kind;
	uint64_t	ns;
	uint64_t	until;
	uint32_t	cpu;
	uint32_t	vcpu;
	int		prev;
	int		next;
	bool		runnable;
	bool		halts;
};

struct history {
	struct event	events[EVENTS];
	size_t		nr;
};

/* The true state of the threads, so that events do not contradict each other */
struct world {
	int	current[CPUS];
	char	thread[VCPUS];
	int	queue[VCPUS];
	bool	guest[VCPUS];
};

static int cpu_of(const struct world *world, uint32_t vcpu)
{
	for (int i = 0; i < CPUS; i++) {
		if (world->current[i] == TID(vcpu))
			return i;
	}
	return -1;
}

/* Replace an impossible event by another kind or another CPU */
static void make_possible(struct world *world, struct event *event)
{
	int cpu = cpu_of(world, event->vcpu);
	int leaves = world->current[event->cpu] - TID(0);

	if (event->kind == SWITCH && leaves >= 0 && leaves < VCPUS && world->guest[leaves]) {
		event->kind = LEAVE;
		event->vcpu = (uint32_t)leaves;
		cpu = (int)event->cpu;
	}
	if (event->kind == ENTER || event->kind == LEAVE) {
		if (cpu < 0 || world->guest[event->vcpu] == (event->kind == ENTER))
			event->kind = TASK;
		else
			event->cpu = (uint32_t)cpu;
	}
	if ((event->kind == WAKE || event->kind == MIGRATE) && cpu >= 0)
		event->kind = TASK;
	/* A thread is switched in only after it woke up, on the CPU where it waits */
	if (event->kind == SWITCH && event->next >= TID(0)) {
		uint32_t vcpu = (uint32_t)(event->next - TID(0));

		if (world->thread[vcpu] == 'W' ? world->queue[vcpu] != (int)event->cpu : world->thread[vcpu] == 'S')
			event->next = 0;
	}
}

static void change(struct world *world, const struct event *event)
{
	int prev = event->prev - TID(0), next = event->next - TID(0);

	switch (event->kind) {
	case SWITCH:
		world->current[event->cpu] = event->next;
		if (prev >= 0 && event->prev != event->next) {
			world->thread[prev] = event->runnable ? 'W' : 'S';
			world->queue[prev] = (int)event->cpu;
		}
		if (next >= 0)
			world->thread[next] = 'R';
		break;
	case WAKE:
		world->thread[event->vcpu] = 'W';
		world->queue[event->vcpu] = (int)event->cpu;
		break;
	case MIGRATE:
		world->queue[event->vcpu] = (int)event->cpu;
		break;
	case ENTER:
	case LEAVE:
		world->guest[event->vcpu] = event->kind == ENTER;
		break;
	default:
		break;
	}
}

/* wild: arbitrary input, including impossible input */
static struct history make_history(uint64_t *seed, bool losses, bool wild)
{
	struct history history = { .nr = EVENTS };
	struct world world = { 0 };
	uint64_t ns = 0;

	for (size_t i = 0; i < EVENTS; i++) {
		struct event *event = &history.events[i];
		static const int others[] = { 0, BURNER, TID(0), TID(1), TID(2) };

		/* Some events have the same time */
		ns += prng_range(seed, 0, 4);
		if (ns > LENGTH)
			ns = LENGTH;
		*event = (struct event) {
			.kind = prng_range(seed, 0, NR_KINDS - 1), .ns = ns, .cpu = prng_range(seed, 0, CPUS - 1),
			.vcpu = prng_range(seed, 0, VCPUS - 1), .runnable = prng(seed) % 2, .halts = prng(seed) % 2,
			.until = ns + prng_range(seed, 0, 10),
		};
		if (event->kind == LOSE && (!losses || prng(seed) % 4))
			event->kind = SWITCH;
		if (event->kind == FORGET && prng(seed) % 3)
			event->kind = ENTER;
		event->next = others[prng_range(seed, 0, 4)];
		/* No thread runs on two CPUs */
		for (size_t c = 0; c < CPUS; c++) {
			if (world.current[c] == event->next)
				event->next = 0;
		}
		if (!wild)
			make_possible(&world, event);
		event->prev = world.current[event->cpu];
		if (event->kind == TASK)
			event->next = (int)prng_range(seed, 0, 3);
		if (event->kind == WAKE || event->kind == MIGRATE)
			event->next = TID(event->vcpu);
		change(&world, event);
	}
	return history;
}

static void feed(struct vcpu_states *states, const struct event *event)
{
	struct exit_reason reason = event->halts ? hlt : msr;
	struct task to = task(event->next);

	switch (event->kind) {
	case SWITCH:
		host_switch(states, event->cpu, event->ns, event->prev, event->runnable, event->next);
		break;
	case WAKE:
		vcpu_states_host_wake(states, at(event->ns), event->next, event->cpu);
		break;
	case MIGRATE:
		vcpu_states_host_migrate(states, at(event->ns), event->next, event->cpu);
		break;
	case LOSE:
		vcpu_states_host_lose(states, event->cpu, at(event->ns), event->until);
		break;
	case ENTER:
		enter(states, event->vcpu, event->cpu, event->ns);
		break;
	case LEAVE:
		leave(states, event->vcpu, event->cpu, event->ns, reason);
		break;
	case FORGET:
		vcpu_states_mode(states, event->vcpu, at(event->ns), MODE_UNKNOWN, AFTER_KVM);
		break;
	default:
		vcpu_states_guest_task(states, event->vcpu, at(event->ns), &to);
	}
}

/* The state of a vCPU's thread: 'R' runs, 'W' waits, 'S' sleeps, or the reason why it is unknown */
struct oracle_thread {
	char		state;
	enum not_known	unknown;
	uint32_t	cpu;
};

static bool in_loss(const struct history *history, size_t nr, uint64_t ns)
{
	for (size_t i = 0; i < nr; i++) {
		if (history->events[i].kind == LOSE && ns < history->events[i].until)
			return true;
	}
	return false;
}

static struct oracle_thread settled(const struct history *history, size_t nr, char state, uint32_t cpu)
{
	if (in_loss(history, nr, history->events[nr].ns))
		return (struct oracle_thread) { '?', EVENTS_LOST, 0 };
	return (struct oracle_thread) { state, IS_KNOWN, cpu };
}

/* The state after the first @nr events, by the last relevant one */
static struct oracle_thread thread_after(const struct history *history, size_t nr, uint32_t vcpu)
{
	const struct event *event;
	struct oracle_thread before;

	if (!nr)
		return (struct oracle_thread) { '?', BEFORE_SCHED, 0 };
	event = &history->events[--nr];
	before = thread_after(history, nr, vcpu);
	if (event->kind == SWITCH && event->next == TID(vcpu))
		return (struct oracle_thread) { 'R', IS_KNOWN, event->cpu };
	if (event->kind == SWITCH && event->prev == TID(vcpu))
		return settled(history, nr, event->runnable ? 'W' : 'S', event->cpu);
	if ((event->kind == WAKE && event->next == TID(vcpu) && before.state != 'R') ||
	    (event->kind == MIGRATE && event->next == TID(vcpu) && before.state == 'W'))
		return settled(history, nr, 'W', event->cpu);
	if (event->kind == LOSE && before.state != '?' && (before.state != 'R' || before.cpu == event->cpu))
		return (struct oracle_thread) { '?', EVENTS_LOST, 0 };
	if ((event->kind == ENTER || event->kind == LEAVE) && event->vcpu == vcpu)
		return (struct oracle_thread) { 'R', IS_KNOWN, event->cpu };
	return before;
}

/* The last event of some kinds of a vCPU, or NULL */
static const struct event *last_of(const struct history *history, size_t nr, uint32_t vcpu, unsigned int kinds)
{
	while (nr--) {
		if (history->events[nr].vcpu == vcpu && kinds & 1U << history->events[nr].kind)
			return &history->events[nr];
	}
	return NULL;
}

#define MODES	(1U << ENTER | 1U << LEAVE | 1U << FORGET)

static void oracle_preemptor(const struct history *history, size_t nr, uint32_t cpu, struct stretch *wanted)
{
	const struct event *event = NULL;

	for (size_t i = 0; i < nr; i++) {
		if ((history->events[i].kind == SWITCH || history->events[i].kind == LOSE) &&
		    history->events[i].cpu == cpu)
			event = &history->events[i];
	}
	wanted->preemptor.unknown = !event ? BEFORE_SWITCH : event->kind == LOSE ? EVENTS_LOST : IS_KNOWN;
	if (wanted->preemptor.unknown)
		return;
	wanted->preemptor.pid = event->next;
	for (uint32_t v = 0; v < VCPUS; v++) {
		const struct event *mode = last_of(history, nr, v, MODES), *to = last_of(history, nr, v, 1U << TASK);

		if (event->next != TID(v) || !mode || mode->kind != ENTER || !to)
			continue;
		wanted->preemptor_vcpu = v;
		wanted->preemptor_task.pid = to->next;
	}
}

static struct stretch oracle(const struct history *history, uint64_t ns, uint32_t vcpu)
{
	struct stretch wanted = { .state = VCPU_EXIT, .preemptor_vcpu = VCPU_NONE };
	const struct event *mode, *to;
	struct oracle_thread thread;
	size_t nr = 0;

	while (nr < history->nr && history->events[nr].ns <= ns)
		nr++;
	mode = last_of(history, nr, vcpu, MODES);
	to = last_of(history, nr, vcpu, 1U << TASK);
	thread = thread_after(history, nr, vcpu);
	wanted.task.unknown = to ? IS_KNOWN : NO_FILE;
	wanted.task.pid = to ? to->next : 0;
	if (mode && mode->kind == ENTER) {
		wanted.state = VCPU_GUEST;
	} else if (!mode || mode->kind == FORGET) {
		wanted.state = VCPU_UNKNOWN;
		wanted.unknown = mode ? AFTER_KVM : BEFORE_KVM;
	} else if (thread.state == '?') {
		wanted.state = VCPU_UNKNOWN;
		wanted.unknown = thread.unknown;
	} else if (thread.state == 'W') {
		wanted.state = VCPU_STOLEN;
		oracle_preemptor(history, nr, thread.cpu, &wanted);
	} else if (thread.state == 'S' && mode->kind == LEAVE && mode->halts) {
		wanted.state = VCPU_HALTED;
	}
	return wanted;
}

static void check_exits(const struct answers *answers, uint64_t seed)
{
	for (size_t i = 0; i < answers->nr_exits; i++) {
		const struct exit_cost *exit = &answers->exits[i];
		uint64_t ns[NR_VCPU_STATES] = { 0 };

		for (uint64_t t = exit->from.ns; t < exit->to.ns; t++)
			ns[answers->at[exit->vcpu][t].state]++;
		if (memcmp(ns, exit->ns, sizeof(ns)))
			fail_msg("seed %ju: exit %zu", (uintmax_t)seed, i);
	}
}

static void compare(uint64_t seed, bool losses, bool wild)
{
	static struct answers answers;
	uint64_t random = seed;
	struct history history = make_history(&random, losses, wild);
	struct vcpu_states states;

	begin(&states, &answers, true);
	for (size_t i = 0; i < history.nr; i++)
		feed(&states, &history.events[i]);
	if (!wild && !losses)
		assert_int_equal(states.nr_missing, 0);
	end(&states, &answers);
	check_exits(&answers, seed);
	for (uint32_t v = 0; v < VCPUS && !wild; v++) {
		for (uint64_t ns = 0; ns < LENGTH; ns++) {
			struct stretch wanted = oracle(&history, ns, v);

			if (!alike(&wanted, &answers.at[v][ns]))
				fail_msg("seed %ju, vCPU %u at %ju: state %d for %d", (uintmax_t)seed, v, (uintmax_t)ns,
					 answers.at[v][ns].state, wanted.state);
		}
	}
}

static void test_random(void **state)
{
	for (uint64_t seed = 1; seed <= 400; seed++)
		compare(seed, false, false);
}

static void test_random_losses(void **state)
{
	for (uint64_t seed = 1; seed <= 400; seed++)
		compare(seed, true, false);
}

/* Impossible input has no right answer, but each nanosecond counts once */
static void test_wild(void **state)
{
	for (uint64_t seed = 1; seed <= 2000; seed++)
		compare(seed, seed % 2, true);
}

/* A time before the latest one counts as the latest one */
static void test_time_never_goes_back(void **state)
{
	struct vcpu_states states;
	struct answers answers;
	const struct task work = task(7);

	begin(&states, &answers, true);
	enter(&states, 0, 0, 50);
	vcpu_states_guest_task(&states, 0, at(40), &work);
	end(&states, &answers);
	assert_int_equal(answers.at[0][49].task.unknown, NO_FILE);
	assert_int_equal(answers.at[0][50].task.pid, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_other_guest),
		cmocka_unit_test(test_unsplit),
		cmocka_unit_test(test_late_exit),
		cmocka_unit_test(test_losses),
		cmocka_unit_test(test_contradictions),
		cmocka_unit_test(test_unseen_move),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_random_losses),
		cmocka_unit_test(test_wild),
		cmocka_unit_test(test_time_never_goes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
