// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The known modes of a vCPU, compared with the true ones.
 *
 * Threads move between CPUs, enter guest mode, take fast paths on hosts that have them, leave, and record kvm_exit on
 * the CPU where they left or on the one to which they were moved. Some give their CPU to other threads. Each CPU
 * loses some of its events. The test keeps the true mode of every cycle. What the spans say must be true in each
 * cycle. Without losses they must leave no cycle unknown, from the first entry or exit to the last event.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mode_tracker.h"
#include "prng.h"

#define NR_VCPUS	3
#define NR_CPUS		3
#define NR_EVENTS	120
#define MAX_TIME	(NR_EVENTS * 8)

/* LEAVE: another thread gets the CPU on which the vCPU's thread last entered */
enum kind { OTHER, ENTRY, EXIT, LEAVE };

struct event {
	uint64_t	time;
	enum kind	kind;
	uint32_t	vcpu;
	size_t		cpu;
	bool		lost;
};

/* The state of a vCPU's thread while a story is generated */
struct thread {
	size_t	cpu;
	size_t	entered;
	bool	in_guest;
	bool	moved;
};

struct story {
	struct event	events[NR_EVENTS];
	size_t		nr_lost;
	bool		in_guest[NR_VCPUS][MAX_TIME];
	bool		entries[NR_VCPUS][MAX_TIME];
};

struct tally {
	uint64_t	cycles[MODE_HOST + 1];
	size_t		spans;
	size_t		wrong;
};

static void make_story(struct story *story, int loss_percent, bool moves, bool fast_path, bool leave, uint64_t *seed)
{
	struct thread threads[NR_VCPUS] = { 0 };
	uint64_t lossy_until[NR_CPUS] = { 0 };
	uint64_t time = 5;

	memset(story, 0, sizeof(*story));
	for (size_t i = 0; i < NR_EVENTS; i++) {
		uint32_t v = prng(seed) % NR_VCPUS;
		struct thread *thread = &threads[v];
		struct event *event = &story->events[i];
		uint64_t next = time + prng_range(seed, 1, 7);
		uint64_t *lossy;

		*event = (struct event) { .time = time, .vcpu = v, .cpu = thread->cpu };
		if (prng(seed) % 5 == 0) {
			event->cpu = prng(seed) % NR_CPUS;
		} else if (leave && !thread->in_guest && prng(seed) % 3 == 0) {
			event->kind = LEAVE;
			event->cpu = thread->entered;
		} else if (!thread->in_guest) {
			event->kind = ENTRY;
			thread->in_guest = true;
			thread->entered = thread->cpu;
		} else if (fast_path && prng(seed) % 4 == 0) {
			/* A fast path: it leaves and enters again without kvm_exit */
			event->kind = ENTRY;
		} else {
			event->kind = EXIT;
			thread->in_guest = false;
			/* It leaves guest mode and is moved before kvm_exit; two such moves are indistinguishable */
			if (moves && !thread->moved && prng(seed) % 8 == 0) {
				event->cpu = thread->cpu = prng(seed) % NR_CPUS;
				thread->moved = true;
			}
		}
		if (!thread->in_guest && event->kind != EXIT && prng(seed) % 3 == 0)
			thread->cpu = prng(seed) % NR_CPUS;
		/* A span includes both of its ends */
		for (uint32_t w = 0; w < NR_VCPUS; w++) {
			for (uint64_t t = time; t < next; t++)
				story->in_guest[w][t] = threads[w].in_guest;
		}
		story->in_guest[v][time] |= event->kind == EXIT;
		story->entries[v][time] = event->kind == ENTRY;
		lossy = &lossy_until[event->cpu];
		if ((int)(prng(seed) % 100) < loss_percent)
			*lossy = time + prng_range(seed, 1, 60);
		event->lost = time < *lossy;
		story->nr_lost += event->lost;
		time = next;
	}
}

/* Losses in the order in which a reader of the file learns of them: with the last event before them */
static void tell_losses(struct mode_tracker *tracker, const struct story *story, size_t cpu, size_t after)
{
	uint64_t from = 0, to = UINT64_MAX;
	bool any = false;

	if (after < NR_EVENTS)
		from = story->events[after].time;
	for (size_t i = after < NR_EVENTS ? after + 1 : 0; i < NR_EVENTS; i++) {
		if (story->events[i].cpu != cpu)
			continue;
		if (!story->events[i].lost) {
			to = story->events[i].time;
			break;
		}
		any = true;
	}
	if (any)
		assert_int_equal(mode_tracker_lose(tracker, cpu, from, to), 0);
}

static void check_span(const struct mode_tracker *tracker, const struct story *story, const struct mode_span *span,
		       uint64_t *next, struct tally *tally)
{
	const bool *in_guest = story->in_guest[span->vcpu];

	/* There is no gap between spans */
	assert_true(span->from == next[span->vcpu]);
	assert_true(span->from <= span->to);
	next[span->vcpu] = span->to + 1;
	tally->spans++;
	if (span->mode == MODE_UNKNOWN &&
	    (span->to < tracker->begin || span->from > story->events[NR_EVENTS - 1].time))
		return;
	tally->cycles[span->mode] += span->to - span->from + 1;
	if (span->mode == MODE_UNKNOWN)
		return;
	for (uint64_t t = span->from; t <= span->to; t++)
		tally->wrong += in_guest[t] != (span->mode == MODE_GUEST);
	/* A span begins exactly with guest mode, so that its begin is a bound */
	if (span->mode == MODE_GUEST)
		tally->wrong += !story->entries[span->vcpu][span->from];
}

static void take_ready(struct mode_tracker *tracker, const struct story *story, uint64_t *next,
		       struct tally *tally)
{
	assert_true(tracker->nr_ready <= MODE_SPANS_AT_ONCE);
	for (size_t i = 0; i < tracker->nr_ready; i++)
		check_span(tracker, story, &tracker->ready[i], next, tally);
	tracker->nr_ready = 0;
}

static void play(const struct story *story, bool tell, bool fast_path, struct tally *tally)
{
	uint64_t next[NR_VCPUS] = { 0 };
	struct mode_tracker tracker;

	assert_int_equal(mode_tracker_init(&tracker, NR_VCPUS, NR_CPUS, fast_path), 0);
	for (size_t cpu = 0; tell && cpu < NR_CPUS; cpu++)
		tell_losses(&tracker, story, cpu, SIZE_MAX);
	for (size_t i = 0; i < NR_EVENTS; i++) {
		const struct event *event = &story->events[i];

		if (event->lost)
			continue;
		if (event->kind == ENTRY)
			mode_tracker_enter(&tracker, event->vcpu, event->cpu, event->time);
		else if (event->kind == EXIT)
			mode_tracker_exit(&tracker, event->vcpu, event->cpu, event->time);
		else if (event->kind == LEAVE)
			mode_tracker_leave(&tracker, event->vcpu, event->cpu, event->time);
		take_ready(&tracker, story, next, tally);
		if (event->kind == ENTRY || event->kind == EXIT)
			assert_int_equal(mode_tracker_in_guest(&tracker, event->vcpu),
					 event->kind == ENTRY);
		if (tell)
			tell_losses(&tracker, story, event->cpu, i);
	}
	for (uint32_t v = 0; v < NR_VCPUS; v++) {
		mode_tracker_end(&tracker, v, story->events[NR_EVENTS - 1].time);
		take_ready(&tracker, story, next, tally);
		assert_true(next[v] == 0);	/* wrapped after the last possible cycle */
	}
	mode_tracker_release(&tracker);
}

static void test_without_losses(void **state)
{
	static struct story story;
	struct tally tally = { 0 };
	uint64_t seed = 41;

	for (int i = 0; i < 2000; i++) {
		make_story(&story, 0, i % 2, i & 2, false, &seed);
		assert_int_equal(story.nr_lost, 0);
		play(&story, true, i & 2, &tally);
	}
	assert_int_equal(tally.wrong, 0);
	assert_int_equal(tally.cycles[MODE_UNKNOWN], 0);
	print_message("%zu spans, all known and true\n", tally.spans);
}

static void test_losses(void **state)
{
	struct tally tally = { 0 }, untold = { 0 };
	static struct story story;
	uint64_t seed = 42, known;

	for (int i = 0; i < 20000; i++) {
		make_story(&story, 1 + i % 5, i % 2, i & 2, i & 4, &seed);
		play(&story, true, i & 2, &tally);
		play(&story, false, i & 2, &untold);
		if (tally.wrong)
			fail_msg("story %d: %zu cycles are not as they are said to be", i, tally.wrong);
	}
	known = tally.cycles[MODE_GUEST] + tally.cycles[MODE_HOST];
	/* A loss does not make everything unknown. The control: ignoring losses gives wrong modes. */
	assert_true(known > tally.cycles[MODE_UNKNOWN]);
	assert_true(untold.wrong > 10000);
	print_message("%zu spans: %" PRIu64 " cycles known and true, %" PRIu64 " not known; %zu would be "
		      "wrong without the losses\n", tally.spans, known, tally.cycles[MODE_UNKNOWN],
		      untold.wrong);
}

/* A host without fast paths, with some kvm_exit filtered out: after each entry nothing is known */
static void test_missing_exits(void **state)
{
	struct tally tally = { 0 }, believed = { 0 };
	static struct story story;
	uint64_t seed = 43;

	for (int i = 0; i < 2000; i++) {
		make_story(&story, 0, i % 2, false, false, &seed);
		for (size_t e = 0; e < NR_EVENTS; e++) {
			if (story.events[e].kind == EXIT && prng(&seed) % 2)
				story.events[e].kind = OTHER;
		}
		play(&story, true, false, &tally);
		play(&story, true, true, &believed);
	}
	/* Guest mode since the last entry is assumed only for a vCPU that had all its exits so far */
	assert_true(tally.cycles[MODE_UNKNOWN] > 10000);
	assert_true(tally.wrong * 100 < believed.wrong);
	print_message("%zu cycles wrong, with fast paths on such a host %zu\n", tally.wrong, believed.wrong);
}

/* While another thread had the CPU, a vCPU whose kvm_exit is missing was not in guest mode */
static void test_left(void **state)
{
	struct tally tally = { 0 }, missing = { 0 };
	static struct story story;
	uint64_t seed = 44;

	for (int i = 0; i < 2000; i++) {
		make_story(&story, 0, i % 2, i & 2, true, &seed);
		play(&story, true, i & 2, &tally);
		make_story(&story, 0, false, false, true, &seed);
		for (size_t e = 0; e < NR_EVENTS; e++) {
			struct event *event = &story.events[e];

			if (event->kind != EXIT || prng(&seed) % 2)
				continue;
			event->kind = LEAVE;
			story.in_guest[event->vcpu][event->time] = false;
		}
		play(&story, true, false, &missing);
	}
	assert_int_equal(tally.wrong, 0);
	assert_int_equal(tally.cycles[MODE_UNKNOWN], 0);
	assert_int_equal(missing.wrong, 0);
	print_message("%" PRIu64 " cycles not known where exits are missing\n", missing.cycles[MODE_UNKNOWN]);
}

/* A vCPU without recorded entries, and one without recorded exits: nothing is invented */
static void test_half_of_it(void **state)
{
	struct mode_tracker tracker;

	assert_int_equal(mode_tracker_init(&tracker, 2, 2, true), 0);
	mode_tracker_exit(&tracker, 0, 0, 100);
	assert_int_equal(tracker.nr_ready, 2);
	assert_true(tracker.ready[0].mode == MODE_UNKNOWN && tracker.ready[0].to == 99);
	assert_true(tracker.ready[1].mode == MODE_UNKNOWN &&
		    tracker.ready[1].from == 100 && tracker.ready[1].to == 100);
	mode_tracker_exit(&tracker, 0, 0, 200);
	assert_int_equal(tracker.nr_ready, 1);
	assert_int_equal(tracker.ready[0].mode, MODE_UNKNOWN);
	assert_true(tracker.ready[0].from == 101 && tracker.ready[0].to == 200);

	/* vCPU 1 has not been in guest mode since the recording began */
	mode_tracker_enter(&tracker, 1, 0, 250);
	assert_int_equal(tracker.nr_ready, 2);
	assert_true(tracker.ready[0].mode == MODE_UNKNOWN && tracker.ready[0].to == 99);
	assert_true(tracker.ready[1].mode == MODE_HOST &&
		    tracker.ready[1].from == 100 && tracker.ready[1].to == 249);
	/* It enters on another CPU while in guest mode, so it left in between */
	mode_tracker_enter(&tracker, 1, 1, 300);
	assert_int_equal(tracker.nr_ready, 2);
	assert_true(tracker.ready[0].mode == MODE_GUEST);
	assert_true(tracker.ready[0].from == 250 && tracker.ready[0].to == 250);
	assert_true(tracker.ready[1].mode == MODE_UNKNOWN && tracker.ready[1].to == 299);
	assert_int_equal(tracker.missing_exits, 1);
	/* At the end vCPU 1 may still be in guest mode, unless its exit is missing again; vCPU 0 is out of it */
	mode_tracker_end(&tracker, 1, 400);
	assert_int_equal(tracker.nr_ready, 3);
	assert_true(tracker.ready[0].mode == MODE_GUEST && tracker.ready[0].to == 300);
	assert_true(tracker.ready[1].mode == MODE_UNKNOWN && tracker.ready[1].to == 400);
	assert_true(tracker.ready[2].mode == MODE_UNKNOWN && tracker.ready[2].from == 401);
	mode_tracker_end(&tracker, 0, 400);
	assert_int_equal(tracker.nr_ready, 2);
	assert_true(tracker.ready[0].mode == MODE_HOST &&
		    tracker.ready[0].from == 201 && tracker.ready[0].to == 400);
	mode_tracker_release(&tracker);
}

/* A loss that begins before an earlier reported one, as in files that are out of order: both count */
static void test_losses_out_of_order(void **state)
{
	struct mode_tracker tracker;

	assert_int_equal(mode_tracker_init(&tracker, 1, 2, false), 0);
	mode_tracker_enter(&tracker, 0, 0, 100);
	assert_int_equal(mode_tracker_lose(&tracker, 1, 900, 950), 0);
	assert_int_equal(mode_tracker_lose(&tracker, 1, 300, 400), 0);
	mode_tracker_enter(&tracker, 0, 1, 1000);
	assert_int_equal(tracker.nr_ready, 2);
	assert_true(tracker.ready[0].mode == MODE_GUEST && tracker.ready[0].to == 300);
	assert_true(tracker.ready[1].mode == MODE_UNKNOWN && tracker.ready[1].from == 301);
	mode_tracker_release(&tracker);
}

/* A vCPU enters while events are missing: only this one cycle is known */
static void test_enters_in_loss(void **state)
{
	struct mode_tracker tracker;

	assert_int_equal(mode_tracker_init(&tracker, 1, 1, false), 0);
	mode_tracker_enter(&tracker, 0, 0, 50);
	mode_tracker_exit(&tracker, 0, 0, 60);
	assert_int_equal(mode_tracker_lose(&tracker, 0, 60, 200), 0);
	tracker.nr_ready = 0;
	mode_tracker_enter(&tracker, 0, 0, 100);
	tracker.nr_ready = 0;
	mode_tracker_enter(&tracker, 0, 0, 150);
	assert_int_equal(tracker.nr_ready, 2);
	assert_true(tracker.ready[0].mode == MODE_GUEST);
	assert_true(tracker.ready[0].from == 100 && tracker.ready[0].to == 100);
	assert_true(tracker.ready[1].mode == MODE_UNKNOWN &&
		    tracker.ready[1].from == 101 && tracker.ready[1].to == 149);
	mode_tracker_release(&tracker);
}

/* The first and the last possible cycle */
static void test_ends(void **state)
{
	struct mode_tracker tracker;

	assert_int_equal(mode_tracker_init(&tracker, 1, 1, false), 0);
	mode_tracker_enter(&tracker, 0, 0, 0);
	mode_tracker_exit(&tracker, 0, 0, UINT64_MAX);
	assert_int_equal(tracker.nr_ready, 1);
	assert_true(tracker.ready[0].mode == MODE_GUEST);
	assert_true(tracker.ready[0].from == 0 && tracker.ready[0].to == UINT64_MAX);
	mode_tracker_end(&tracker, 0, UINT64_MAX);
	assert_true(tracker.nr_ready == 1 && tracker.ready[0].mode == MODE_HOST);
	mode_tracker_release(&tracker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_losses),
		cmocka_unit_test(test_losses),
		cmocka_unit_test(test_missing_exits),
		cmocka_unit_test(test_left),
		cmocka_unit_test(test_half_of_it),
		cmocka_unit_test(test_losses_out_of_order),
		cmocka_unit_test(test_enters_in_loss),
		cmocka_unit_test(test_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
