// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Wake-ups of a guest's tasks, and the states of the vCPU meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "prng.h"
#include "vcpu_states.h"
#include "wakeups.h"

#define VCPUS	2
#define MANY	20000

static void no_stretch(void *ctx, const struct stretch *stretch)
{
}

static void no_exit(void *ctx, const struct exit_cost *exit)
{
}

static void forget(void *ctx, uint32_t vcpu, uint64_t since, enum vcpu_state state)
{
	wakeups_forget(ctx, vcpu, since, state);
}

static struct moment at(uint64_t ns)
{
	return (struct moment) { ns, ns };
}

static struct task task(int pid)
{
	return (struct task) { .pid = pid };
}

static const uint32_t vcpus[] = { 1, 0, VCPU_NONE };
static const struct exit_reason hlt = { true, true, 1, 12 };

/* CPU 0 of the guest is vCPU 1, CPU 1 is vCPU 0, and the vCPU of CPU 2 is unknown */
static void begin(struct vcpu_states *states, struct wakeups *wakeups)
{
	const struct vcpu_states_sink sink = { no_stretch, no_exit, forget, wakeups };
	const int tids[] = { 100, 101 };

	assert_int_equal(vcpu_states_init(states, &sink, at(100), VCPUS, 1, tids, 2, true), 0);
	for (uint32_t i = 0; i < VCPUS; i++)
		vcpu_states_set_thread(states, i, tids[i]);
	assert_int_equal(wakeups_init(wakeups, states, vcpus, 3), 0);
}

static void release(struct vcpu_states *states, struct wakeups *wakeups)
{
	wakeups_release(wakeups);
	vcpu_states_release(states);
}

static bool host_switch(struct vcpu_states *states, uint64_t ns, int prev, bool runnable, int next)
{
	const struct task to = task(next);

	vcpu_states_host_switch(states, 0, at(ns), prev, runnable, &to);
	return true;
}

static bool switched(struct wakeups *wakeups, size_t cpu, uint64_t ns, int prev, bool runnable, int next,
		     struct wakeup *wakeup)
{
	const struct task to = task(next);

	memset(wakeup, 0, sizeof(*wakeup));
	return wakeups_switch(wakeups, cpu, at(ns), prev, runnable, &to, wakeup);
}

/* The host wakes a halted vCPU. It gets the CPU, enters, and runs the task after another one. */
static void test_parts(void **state)
{
	struct vcpu_states states;
	struct wakeups wakeups;
	struct wakeup wakeup;

	begin(&states, &wakeups);
	vcpu_states_exit(&states, 1, at(110), 101, 0, hlt);
	vcpu_states_mode(&states, 1, at(110), MODE_HOST, IS_KNOWN);
	host_switch(&states, 120, 101, false, 0);
	wakeups_wake(&wakeups, at(130), 7);
	wakeups_wake(&wakeups, at(135), 7);
	vcpu_states_host_wake(&states, at(140), 101, 0);
	host_switch(&states, 155, 0, true, 101);
	vcpu_states_mode(&states, 1, at(160), MODE_GUEST, IS_KNOWN);
	vcpu_states_entry(&states, 1, at(160), 101, 0);
	assert_false(switched(&wakeups, 0, 165, 0, true, 8, &wakeup));
	assert_true(switched(&wakeups, 0, 180, 8, true, 7, &wakeup));
	assert_int_equal(wakeup.vcpu, 1);
	assert_int_equal(wakeup.from.ns, 130);
	assert_int_equal(wakeup.to.ns, 180);
	assert_int_equal(wakeup.ns[VCPU_HALTED], 10);
	assert_int_equal(wakeup.ns[VCPU_STOLEN], 15);
	assert_int_equal(wakeup.ns[VCPU_EXIT], 5);
	assert_int_equal(wakeup.ns[VCPU_GUEST], 20);
	assert_int_equal(wakeup.ns[VCPU_UNKNOWN], 0);
	release(&states, &wakeups);
}

/* These are not wake-ups: of a task that runs, that was preempted, or that ran all the time */
static void test_none(void **state)
{
	struct vcpu_states states;
	struct wakeups wakeups;
	struct wakeup wakeup;

	begin(&states, &wakeups);
	assert_false(switched(&wakeups, 0, 110, 0, true, 7, &wakeup));
	wakeups_wake(&wakeups, at(115), 7);
	assert_false(switched(&wakeups, 0, 120, 7, true, 8, &wakeup));
	wakeups_wake(&wakeups, at(125), 7);
	assert_false(switched(&wakeups, 0, 130, 8, false, 7, &wakeup));
	/* Nothing was known of task 9: it turns out to run elsewhere */
	wakeups_wake(&wakeups, at(135), 9);
	assert_int_equal(wakeups.nr_open, 1);
	assert_false(switched(&wakeups, 1, 140, 9, true, 0, &wakeup));
	assert_false(switched(&wakeups, 1, 145, 0, true, 9, &wakeup));
	assert_int_equal(wakeups.nr_open, 0);
	/* The idle task is never woken */
	wakeups_wake(&wakeups, at(150), 0);
	wakeups_wake(&wakeups, at(150), -5);
	assert_int_equal(wakeups.nr_open, 0);
	release(&states, &wakeups);
}

/* Wake-ups without a row are counted */
static void test_left_out(void **state)
{
	struct vcpu_states states;
	struct wakeups wakeups;
	struct wakeup wakeup;

	begin(&states, &wakeups);
	wakeups_wake(&wakeups, at(110), 7);
	wakeups_lose(&wakeups, 130);
	assert_false(switched(&wakeups, 0, 120, 0, true, 7, &wakeup));
	assert_int_equal(wakeups.nr_lost, 1);
	/* While events are being lost */
	wakeups_wake(&wakeups, at(125), 8);
	assert_false(switched(&wakeups, 0, 140, 7, true, 8, &wakeup));
	assert_int_equal(wakeups.nr_lost, 2);
	wakeups_wake(&wakeups, at(150), 9);
	assert_false(switched(&wakeups, 2, 160, 0, true, 9, &wakeup));
	assert_int_equal(wakeups.nr_unplaced, 1);
	wakeups_wake(&wakeups, at(170), 10);
	assert_int_equal(wakeups.nr_open, 1);
	assert_false(switched(&wakeups, 3, 180, 0, true, 10, &wakeup));
	for (int pid = 1000; pid < 1000 + MANY; pid++)
		wakeups_wake(&wakeups, at(190), pid);
	assert_int_equal(wakeups.nr_open + wakeups.nr_dropped, MANY + 1);
	assert_true(wakeups.nr_dropped);
	release(&states, &wakeups);
}

/* Outside of the period the vCPU's state is unknown; the wake-up still counts */
static void test_outside(void **state)
{
	struct vcpu_states states;
	struct wakeups wakeups;
	struct wakeup wakeup;

	begin(&states, &wakeups);
	vcpu_states_mode(&states, 1, at(100), MODE_GUEST, IS_KNOWN);
	wakeups_wake(&wakeups, at(60), 7);
	assert_true(switched(&wakeups, 0, 130, 0, true, 7, &wakeup));
	assert_int_equal(wakeup.ns[VCPU_GUEST], 30);
	assert_int_equal(wakeup.ns[VCPU_UNKNOWN], 40);
	wakeups_wake(&wakeups, at(140), 8);
	vcpu_states_end(&states, at(150));
	assert_true(switched(&wakeups, 0, 200, 7, true, 8, &wakeup));
	assert_int_equal(wakeup.ns[VCPU_GUEST], 10);
	assert_int_equal(wakeup.ns[VCPU_UNKNOWN], 50);
	release(&states, &wakeups);
}

/* An event of the vCPU's thread turns out to be missing, after the task was woken */
static void test_forget(void **state)
{
	struct vcpu_states states;
	struct wakeups wakeups;
	struct wakeup wakeup;

	begin(&states, &wakeups);
	vcpu_states_exit(&states, 1, at(110), 101, 0, hlt);
	vcpu_states_mode(&states, 1, at(110), MODE_HOST, IS_KNOWN);
	host_switch(&states, 120, 101, false, 0);
	wakeups_wake(&wakeups, at(130), 7);
	/* It sleeps but enters guest mode */
	vcpu_states_mode(&states, 1, at(160), MODE_GUEST, IS_KNOWN);
	assert_true(switched(&wakeups, 0, 170, 0, true, 7, &wakeup));
	assert_int_equal(wakeup.ns[VCPU_UNKNOWN], 30);
	assert_int_equal(wakeup.ns[VCPU_GUEST], 10);
	assert_int_equal(wakeup.ns[VCPU_HALTED], 0);
	release(&states, &wakeups);
}

/* The same with many waiting tasks, woken before and after that; their slots change as others run */
static void test_forget_many(void **state)
{
	enum { TASKS = 2000, OUT = 110, SLEEPS = 1000, ENTERS = 5000 };
	static uint64_t woken[TASKS];
	struct vcpu_states states;
	struct wakeups wakeups;
	struct wakeup wakeup;
	uint64_t ns = OUT, seed = 3;
	size_t nr_before = 0, nr_after = 0;

	begin(&states, &wakeups);
	vcpu_states_exit(&states, 1, at(OUT), 101, 0, hlt);
	vcpu_states_mode(&states, 1, at(OUT), MODE_HOST, IS_KNOWN);
	for (int i = 0; i < TASKS; i++) {
		if (i == TASKS / 2)
			host_switch(&states, SLEEPS, 101, false, 0);
		ns = i < TASKS / 2 ? OUT + (uint64_t)i / 2 : SLEEPS + (uint64_t)i;
		wakeups_wake(&wakeups, at(ns), i + 1);
		woken[i] = ns;
		/* Some run immediately on another vCPU, and sleep again */
		if (prng(&seed) % 3)
			continue;
		ns = prng_range(&seed, 0, (uint64_t)i);
		if (woken[ns])
			switched(&wakeups, 1, woken[i], 0, true, (int)ns + 1, &wakeup);
		switched(&wakeups, 1, woken[i], (int)ns + 1, false, 0, &wakeup);
		woken[ns] = 0;
	}
	vcpu_states_mode(&states, 1, at(ENTERS), MODE_GUEST, IS_KNOWN);
	for (int i = 0; i < TASKS; i++) {
		bool before = woken[i] < SLEEPS;

		if (!woken[i])
			continue;
		assert_true(switched(&wakeups, 0, ENTERS + 1, 0, true, i + 1, &wakeup));
		assert_int_equal(wakeup.from.ns, woken[i]);
		assert_int_equal(wakeup.ns[VCPU_HALTED], 0);
		assert_int_equal(wakeup.ns[VCPU_GUEST], 1);
		assert_int_equal(wakeup.ns[VCPU_EXIT], before ? SLEEPS - woken[i] : 0);
		assert_int_equal(wakeup.ns[VCPU_UNKNOWN], ENTERS - (before ? SLEEPS : woken[i]));
		nr_before += before;
		nr_after += !before;
		switched(&wakeups, 0, ENTERS + 1, i + 1, false, 0, &wakeup);
	}
	assert_true(nr_before > TASKS / 8 && nr_after > TASKS / 8);
	assert_int_equal(wakeups.nr_open, 0);
	assert_int_equal(wakeups.newest, wakeups.nr_slots);
	release(&states, &wakeups);
}

/* As many tasks as there is room for come and go, and none is confused with another */
static void test_many(void **state)
{
	static uint64_t woken[200];
	uint64_t seed = 1, ns = 100, ended = 0;
	struct vcpu_states states;
	struct wakeups wakeups;
	struct wakeup wakeup;

	begin(&states, &wakeups);
	for (size_t i = 0; i < MANY; i++) {
		/* Task ids far apart and adjacent */
		size_t number = prng_range(&seed, 0, 199);
		int pid = (int)(number % 2 ? number * 8192 : number + 1);

		ns += prng_range(&seed, 0, 3);
		if (prng(&seed) % 2) {
			wakeups_wake(&wakeups, at(ns), pid);
			if (!woken[number])
				woken[number] = ns;
			continue;
		}
		assert_int_equal(switched(&wakeups, 0, ns, 0, true, pid, &wakeup), !!woken[number]);
		if (woken[number]) {
			assert_int_equal(wakeup.from.ns, woken[number]);
			assert_int_equal(wakeup.to.ns, ns);
			assert_int_equal(wakeup.task.pid, pid);
			ended++;
		}
		woken[number] = 0;
		/* It sleeps again */
		assert_false(switched(&wakeups, 0, ns, pid, false, 0, &wakeup));
	}
	assert_true(ended > MANY / 8);
	release(&states, &wakeups);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_outside),
		cmocka_unit_test(test_forget),
		cmocka_unit_test(test_forget_many),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
