// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The path of a guest's CPU through the phases of vCPUs. Host time is written as letters, one for each 10 cycles. The
 * host's recording covers the letters other than blanks. Events are guest times.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fit_path.h"
#include "history.h"
#include "prng.h"
#include "vcpu_modes.h"

#define MAX_EVENTS	16
#define MAX_RUNS	6
#define MAX_VCPUS	3
#define NO		FIT_NO_LIMIT

struct vcpu_case {
	const char	*modes;		/* G, H, or '.' for unknown */
	int64_t		offset;
	uint64_t	change;		/* 0 for none */
	int64_t		changed;
	uint64_t	change2;
	int64_t		changed2;
};

struct path_case {
	const char		*name;
	struct vcpu_case	vcpus[MAX_VCPUS];
	size_t			nr_vcpus;
	uint64_t		begin;
	uint64_t		end;
	size_t			nr_times;
	int64_t			times[MAX_EVENTS];
	size_t			nr_runs;
	struct fit_run		runs[MAX_RUNS];
	struct fit_tally	tally;
	uint64_t		cost;
};

/* Phases are numbered in the order of their guest times */
static const struct path_case path_cases[] = {
	{ .name = "no event", .vcpus = { { "HGH", -100, 0, 0, 0, 0 } }, .nr_vcpus = 1, .begin = 0, .end = 29,
	  .tally = { .earlier = NO, .later = NO } },
	{ .name = "all inside", .vcpus = { { "HGHGHGH", -100, 0, 0, 0, 0 } }, .nr_vcpus = 1, .begin = 0, .end = 69,
	  .nr_times = 4, .times = { -88, -85, -66, -41 }, .nr_runs = 1, .runs = { { 0, 0, 0, 3 } },
	  .tally = { .inside = 4, .spans = 3, .stretch = 3, .earlier = 2, .later = 0 } },
	{ .name = "inside, to the first cycle and to the last",
	  .vcpus = { { "HGHGHGH", -100, 0, 0, 0, 0 } }, .nr_vcpus = 1,
	  .begin = 0, .end = 69, .nr_times = 2, .times = { -90, -81 }, .nr_runs = 1, .runs = { { 0, 0, 0, 1 } },
	  .tally = { .inside = 2, .spans = 1, .stretch = 1, .earlier = 0, .later = 0 } },
	{ .name = "two next to each other", .vcpus = { { "HGHGHGH", -100, 0, 0, 0, 0 } }, .nr_vcpus = 1,
	  .begin = 0, .end = 69, .nr_times = 3, .times = { -89, -88, -68 }, .nr_runs = 1, .runs = { { 0, 0, 0, 2 } },
	  .tally = { .inside = 3, .spans = 2, .stretch = 2, .earlier = 1, .later = 7 } },
	{ .name = "one cycle before and one after guest mode",
	  .vcpus = { { "HGHGHGH", -100, 0, 0, 0, 0 } }, .nr_vcpus = 1,
	  .begin = 0, .end = 69, .nr_times = 3, .times = { -91, -85, -80 }, .nr_runs = 1, .runs = { { 0, 0, 0, 2 } },
	  .tally = { .inside = 1, .violations = 2, .spans = 1, .stretch = 1, .earlier = 5, .later = 4 }, .cost = 32 },
	{ .name = "a violation ends a stretch",
	  .vcpus = { { "HGHGHGHGHGH", -100, 0, 0, 0, 0 } }, .nr_vcpus = 1, .begin = 0,
	  .end = 109, .nr_times = 6, .times = { -85, -65, -55, -45, -25, -5 }, .nr_runs = 1,
	  .runs = { { 0, 0, 0, 5 } },
	  .tally = { .inside = 5, .violations = 1, .spans = 5, .stretch = 3, .earlier = 5, .later = 4 }, .cost = 16 },
	{ .name = "guest mode that ends in what is not known has no end", .vcpus = { { "HG..GH", -100, 0, 0, 0, 0 } },
	  .nr_vcpus = 1, .begin = 0, .end = 59, .nr_times = 3, .times = { -82, -70, -56 }, .nr_runs = 1,
	  .runs = { { 0, 0, 0, 2 } },
	  .tally = { .inside = 2, .unknown = 1, .spans = 2, .stretch = 2, .earlier = 4, .later = 5 }, .cost = 2 },
	{ .name = "unknown at the ends of the recording, outside beyond them",
	  .vcpus = { { "..G..", -100, 0, 0, 0, 0 } },
	  .nr_vcpus = 1, .begin = 10, .end = 39, .nr_times = 5, .times = { -91, -90, -75, -61, -60 }, .nr_runs = 1,
	  .runs = { { 0, 0, 0, 4 } },
	  .tally = { .inside = 1, .unknown = 2, .outside = 2, .spans = 1, .stretch = 1, .earlier = 5, .later = NO },
	  .cost = 16 },
	{ .name = "a jump forward",
	  .vcpus = { { "HGHGHGH", -100, 30, -50, 0, 0 } }, .nr_vcpus = 1, .begin = 0, .end = 69,
	  .nr_times = 3, .times = { -85, -15, 5 }, .nr_runs = 2, .runs = { { 0, 0, 0, 0 }, { 0, 1, 1, 2 } },
	  .tally = { .inside = 3, .spans = 3, .stretch = 3, .earlier = 5, .later = 4 } },
	{ .name = "times that the TSC jumped over", .vcpus = { { "HGHGHGH", -100, 30, -50, 0, 0 } }, .nr_vcpus = 1,
	  .begin = 0, .end = 69, .nr_times = 4, .times = { -85, -70, -21, 5 }, .nr_runs = 2,
	  .runs = { { 0, 0, 0, 0 }, { 0, 1, 3, 3 } },
	  .tally = { .inside = 2, .impossible = 2, .spans = 2, .stretch = 1, .earlier = 5, .later = 4 }, .cost = 32 },
	{ .name = "a jump backward: the same time twice",
	  .vcpus = { { "HGHGHGH", -100, 40, -130, 0, 0 } }, .nr_vcpus = 1,
	  .begin = 0, .end = 69, .nr_times = 4, .times = { -85, -65, -75, -72 }, .nr_runs = 2,
	  .runs = { { 0, 0, 0, 1 }, { 0, 1, 2, 3 } },
	  .tally = { .inside = 4, .spans = 3, .stretch = 3, .earlier = 5, .later = 1 }, .cost = 8 },
	{ .name = "host time does not run back",
	  .vcpus = { { "GGGGGGG", -100, 0, 0, 0, 0 } }, .nr_vcpus = 1, .begin = 0,
	  .end = 69, .nr_times = 4, .times = { -50, -49, -60, -40 }, .nr_runs = 1, .runs = { { 0, 0, 0, 3 } },
	  .tally = { .inside = 3, .impossible = 1, .spans = 1, .stretch = 1, .earlier = 50, .later = NO },
	  .cost = 16 },
	{ .name = "after one that contradicts it host time does not run back either",
	  .vcpus = { { "HGHGHGH", -100, 0, 0, 0, 0 } }, .nr_vcpus = 1, .begin = 0, .end = 69, .nr_times = 4,
	  .times = { -88, -85, -55, -65 }, .nr_runs = 1, .runs = { { 0, 0, 0, 2 } },
	  .tally = { .inside = 2, .violations = 1, .impossible = 1, .spans = 1, .stretch = 1, .earlier = 2,
		     .later = 4 }, .cost = 32 },
	{ .name = "an event before the first that has a place", .vcpus = { { "GGGGGGG", -100, 0, 0, 0, 0 } },
	  .nr_vcpus = 1, .begin = 0, .end = 69, .nr_times = 4, .times = { -50, -60, -55, -40 }, .nr_runs = 1,
	  .runs = { { 0, 0, 1, 3 } },
	  .tally = { .inside = 3, .impossible = 1, .spans = 1, .stretch = 1, .earlier = 40, .later = NO },
	  .cost = 16 },
	{ .name = "a jump backward as early as it can have been", .vcpus = { { "GGGGGGGGGG", -100, 50, -130, 0, 0 } },
	  .nr_vcpus = 1, .begin = 0, .end = 99, .nr_times = 6, .times = { -90, -75, -72, -70, -55, -40 },
	  .nr_runs = 2, .runs = { { 0, 0, 0, 0 }, { 0, 1, 1, 5 } },
	  .tally = { .inside = 6, .spans = 2, .stretch = 2, .earlier = 10, .later = NO }, .cost = 8 },
	{ .name = "what the host did not record does not make it another vCPU",
	  .vcpus = { { "HGHGHHHHHH", -100, 0, 0, 0, 0 }, { "HHHHHHGHGH", -1000, 0, 0, 0, 0 } }, .nr_vcpus = 2,
	  .begin = 0, .end = 99, .nr_times = 6, .times = { -88, -66, -45, -44, -43, -42 }, .nr_runs = 1,
	  .runs = { { 0, 0, 0, 5 } },
	  .tally = { .inside = 2, .violations = 4, .spans = 2, .stretch = 2, .earlier = 2, .later = 5 }, .cost = 64 },
	{ .name = "the same time again is not back",
	  .vcpus = { { "GGGGGGG", -100, 0, 0, 0, 0 } }, .nr_vcpus = 1, .begin = 0,
	  .end = 69, .nr_times = 2, .times = { -50, -50 }, .nr_runs = 1, .runs = { { 0, 0, 0, 1 } },
	  .tally = { .inside = 2, .spans = 1, .stretch = 1, .earlier = 50, .later = NO } },
	{ .name = "a vCPU, then another one",
	  .vcpus = { { "HGHGHHHHHH", -100, 0, 0, 0, 0 }, { "HHHHHHGHGH", -120, 0, 0, 0, 0 } },
	  .nr_vcpus = 2, .begin = 0, .end = 99, .nr_times = 6, .times = { -88, -66, -62, -58, -56, -36 }, .nr_runs = 2,
	  .runs = { { 0, 0, 0, 2 }, { 1, 0, 3, 5 } },
	  .tally = { .inside = 6, .spans = 4, .stretch = 4, .earlier = 2, .later = 1 }, .cost = 24 },
	{ .name = "one event does not make it another vCPU",
	  .vcpus = { { "HGHGHHHHHH", -100, 0, 0, 0, 0 }, { "HHHHHHGHGH", -120, 0, 0, 0, 0 } },
	  .nr_vcpus = 2, .begin = 0, .end = 99, .nr_times = 4, .times = { -88, -66, -62, -56 }, .nr_runs = 1,
	  .runs = { { 0, 0, 0, 3 } },
	  .tally = { .inside = 3, .violations = 1, .spans = 2, .stretch = 2, .earlier = 2, .later = 1 }, .cost = 16 },
	{ .name = "without an offset nothing has a place",
	  .vcpus = { { "HGH", 0, 0, 0, 0, 0 } }, .nr_vcpus = 1, .begin = 0, .end = 29,
	  .nr_times = 2, .times = { 5, 15 }, .tally = { .impossible = 2, .earlier = NO, .later = NO }, .cost = 32 },
	{ .name = "three phases, two jumps", .vcpus = { { "HGHGHGHGHG", -100, 30, -60, 60, -20 } }, .nr_vcpus = 1,
	  .begin = 0, .end = 99, .nr_times = 3, .times = { -85, -25, 55 }, .nr_runs = 3,
	  .runs = { { 0, 0, 0, 0 }, { 0, 1, 1, 1 }, { 0, 2, 2, 2 } },
	  .tally = { .inside = 3, .spans = 3, .stretch = 3, .earlier = 5, .later = 4 } },
};

struct made {
	struct fit_vcpu		vcpus[MAX_VCPUS];
	struct vcpu_modes	modes[MAX_VCPUS];
	struct vcpu_history	histories[MAX_VCPUS];
	struct fit_host		host;
};

static void add_change(struct vcpu_history *history, uint64_t host_tsc, int64_t offset, int64_t *last)
{
	struct tsc_mapping map = { .offset = offset }, previous = { .offset = *last };

	if (!host_tsc)
		return;
	assert_int_equal(vcpu_history_add(history, host_tsc, &map, &previous), 0);
	*last = offset;
}

static void make_vcpu(struct made *made, size_t i, const struct vcpu_case *c)
{
	struct tsc_mapping map = { .offset = c->offset };
	int64_t last = c->offset;
	size_t at;

	for (at = 0; c->modes[at]; at++)
		assert_int_equal(vcpu_modes_add(&made->modes[i], 10 * at, 10 * at + 9, c->modes[at] == 'G' ?
						MODE_GUEST : c->modes[at] == 'H' ? MODE_HOST : MODE_UNKNOWN), 0);
	assert_int_equal(vcpu_modes_add(&made->modes[i], 10 * at, UINT64_MAX, MODE_UNKNOWN), 0);
	if (c->offset)
		vcpu_history_set_initial(&made->histories[i], &map);
	add_change(&made->histories[i], c->change, c->changed, &last);
	add_change(&made->histories[i], c->change2, c->changed2, &last);
	made->vcpus[i] = (struct fit_vcpu) { .modes = &made->modes[i], .history = &made->histories[i] };
	assert_int_equal(fit_vcpu_make(&made->vcpus[i], NULL, 0), 0);
}

static void make_host(struct made *made, const struct vcpu_case *vcpus, size_t nr, uint64_t begin, uint64_t end)
{
	*made = (struct made) { 0 };
	for (size_t i = 0; i < nr; i++)
		make_vcpu(made, i, &vcpus[i]);
	made->host = (struct fit_host) { made->vcpus, nr, begin, end };
}

static void release_host(struct made *made)
{
	for (size_t i = 0; i < made->host.nr_vcpus; i++) {
		fit_vcpu_release(&made->vcpus[i]);
		vcpu_modes_release(&made->modes[i]);
		free(made->histories[i].segments);
	}
}

static bool same_tally(const struct fit_tally *a, const struct fit_tally *b)
{
	return a->inside == b->inside && a->violations == b->violations && a->unknown == b->unknown &&
	       a->outside == b->outside && a->impossible == b->impossible && a->spans == b->spans &&
	       a->stretch == b->stretch && a->earlier == b->earlier && a->later == b->later;
}

static void check_path(const struct path_case *c, const struct fit_path *path)
{
	const struct fit_tally *t = &path->tally;

	if (path->nr_runs != c->nr_runs || path->cost != c->cost)
		fail_msg("%s: %zu runs, cost %lu", c->name, path->nr_runs, (unsigned long)path->cost);
	for (size_t i = 0; i < c->nr_runs; i++) {
		const struct fit_run *run = &path->runs[i], *wanted = &c->runs[i];

		if (run->vcpu != wanted->vcpu || run->phase != wanted->phase || run->first != wanted->first ||
		    run->last != wanted->last)
			fail_msg("%s: run %zu: vCPU %zu, phase %zu, events %zu to %zu", c->name, i, run->vcpu,
				 run->phase, run->first, run->last);
	}
	if (!same_tally(t, &c->tally))
		fail_msg("%s: %lu inside, %lu violations, %lu unknown, %lu outside, %lu impossible, %lu spans, "
			 "stretch %lu, earlier %ld, later %ld", c->name, (unsigned long)t->inside,
			 (unsigned long)t->violations, (unsigned long)t->unknown, (unsigned long)t->outside,
			 (unsigned long)t->impossible, (unsigned long)t->spans, (unsigned long)t->stretch,
			 (long)t->earlier, (long)t->later);
}

static void test_paths(void **state)
{
	static const size_t all[MAX_VCPUS] = { 0, 1, 2 };

	for (size_t n = 0; n < sizeof(path_cases) / sizeof(*path_cases); n++) {
		const struct path_case *c = &path_cases[n];
		uint64_t times[MAX_EVENTS];
		struct fit_path path;
		struct made made;

		make_host(&made, c->vcpus, c->nr_vcpus, c->begin, c->end);
		for (size_t i = 0; i < c->nr_times; i++)
			times[i] = (uint64_t)c->times[i];
		assert_int_equal(fit_path_find(&path, &made.host, all, c->nr_vcpus, times, NULL, c->nr_times), 0);
		check_path(c, &path);
		fit_path_release(&path);
		release_host(&made);
	}
}

/* The ring buffer shows that the TSC went back before an event: the path must not stay in its phase there */
static void test_went_back(void **state)
{
	static const struct {
		const char	*name;
		struct vcpu_case vcpu;
		size_t		nr;
		int64_t		times[4];
		size_t		back;		/* the TSC went back before this event */
		size_t		nr_runs;
		struct fit_run	runs[2];
		uint64_t	unmoved;
		uint64_t	cost;
	} cases[] = {
		{ "the earliest change that the times allow is not the one", { "GGGGGGGGGG", -100, 50, -130, 0, 0 }, 4,
		  { -90, -75, -55, -40 }, 3, 2, { { 0, 0, 0, 2 }, { 0, 1, 3, 3 } }, 0, 8 },
		{ "before the second event", { "GGGGGGGGGG", -100, 50, -130, 0, 0 }, 4,
		  { -90, -75, -55, -40 }, 1, 2, { { 0, 0, 0, 0 }, { 0, 1, 1, 3 } }, 0, 8 },
		{ "there is no change that moves it", { "GGGGGGGGGG", -100, 0, 0, 0, 0 }, 4,
		  { -90, -75, -55, -40 }, 2, 1, { { 0, 0, 0, 3 } }, 1, 16 },
		{ "before the first event it says nothing", { "GGGGGGGGGG", -100, 0, 0, 0, 0 }, 4,
		  { -90, -75, -55, -40 }, 0, 1, { { 0, 0, 0, 3 } }, 0, 0 },
	};
	const size_t vcpu = 0;

	(void)state;
	for (size_t n = 0; n < sizeof(cases) / sizeof(*cases); n++) {
		uint64_t times[4];
		bool went_back[4] = { 0 };
		struct fit_path path;
		struct made made;

		for (size_t i = 0; i < 4; i++)
			times[i] = (uint64_t)cases[n].times[i];
		went_back[cases[n].back] = true;
		make_host(&made, &cases[n].vcpu, 1, 0, 99);
		assert_int_equal(fit_path_find(&path, &made.host, &vcpu, 1, times, went_back, cases[n].nr), 0);
		if (path.nr_runs != cases[n].nr_runs || path.cost != cases[n].cost ||
		    path.tally.unmoved != cases[n].unmoved ||
		    memcmp(path.runs, cases[n].runs, path.nr_runs * sizeof(*path.runs)))
			fail_msg("%s: %zu runs, the first to event %zu, cost %lu, %lu unmoved", cases[n].name,
				 path.nr_runs,
				 path.runs[0].last, (unsigned long)path.cost, (unsigned long)path.tally.unmoved);
		fit_path_release(&path);
		release_host(&made);
	}
}

static void test_tally_add_cpu(void **state)
{
	const struct fit_tally first = { .inside = 3, .unmoved = 2, .spans = 4, .earlier = 50, .later = NO };
	const struct fit_tally second = { .inside = 1, .violations = 5, .earlier = 70, .later = 20 };
	const struct fit_tally none = { .unknown = 6, .earlier = NO, .later = NO };
	struct fit_tally sum = { 0 };

	(void)state;
	fit_tally_add_cpu(&sum, &second);
	assert_true(sum.earlier == 70 && sum.later == 20);
	fit_tally_add_cpu(&sum, &first);
	assert_true(sum.inside == 4 && sum.violations == 5 && sum.unmoved == 2 && sum.spans == 4);
	assert_true(sum.earlier == 70 && sum.later == NO);
	sum.later = 20;
	/* A CPU without an event in guest mode does not limit the slack */
	fit_tally_add_cpu(&sum, &none);
	assert_true(sum.earlier == 70 && sum.later == 20 && sum.unknown == 6);
}

/* Counts of one run of a path, from its first event to its last */
static void test_count_run(void **state)
{
	static const struct { const char *name; struct fit_run run; struct fit_tally tally; } cases[] = {
		{ "before the jump", { 0, 0, 0, 1 },
		  { .inside = 2, .spans = 2, .stretch = 2, .earlier = 5, .later = 4 } },
		{ "after it", { 0, 1, 2, 3 }, { .inside = 2, .spans = 1, .stretch = 1, .earlier = 5, .later = 1 } },
		{ "one event", { 0, 1, 3, 3 }, { .inside = 1, .spans = 1, .stretch = 1, .earlier = 8, .later = 1 } },
		{ "in the wrong phase", { 0, 1, 0, 1 },
		  { .violations = 2, .earlier = NO, .later = NO } },
	};
	static const struct vcpu_case vcpu = { .modes = "HGHGHGH", .offset = -100, .change = 40, .changed = -130 };
	static const uint64_t times[] = { (uint64_t)-85, (uint64_t)-65, (uint64_t)-75, (uint64_t)-72 };
	struct made made;

	make_host(&made, &vcpu, 1, 0, 69);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct fit_tally tally = { .inside = 77 };

		fit_path_count_run(&tally, &made.host, &cases[i].run, times);
		if (!same_tally(&tally, &cases[i].tally))
			fail_msg("%s: %lu inside, %lu violations, %lu impossible, %ld, %ld", cases[i].name,
				 (unsigned long)tally.inside, (unsigned long)tally.violations,
				 (unsigned long)tally.impossible, (long)tally.earlier, (long)tally.later);
	}
	release_host(&made);
}

static void test_tally_add(void **state)
{
	struct fit_tally sum = { 1, 2, 3, 4, 5, 6, 9, 7, 8, 9, 10 };
	const struct fit_tally more = { 10, 20, 30, 40, 50, 60, 90, 70, 4, 90, 5 };
	const struct fit_tally wanted = { 11, 22, 33, 44, 55, 66, 99, 77, 8, 9, 5 };
	const struct fit_tally longer = { .stretch = 9, .earlier = 6, .later = NO };

	fit_tally_add(&sum, &more);
	assert_true(same_tally(&sum, &wanted));
	fit_tally_add(&sum, &longer);
	assert_true(sum.stretch == 9 && sum.earlier == 6 && sum.later == 5);
	assert_int_equal(fit_tally_against(&sum), 22 + 66 + 99);
}

static void test_move(void **state)
{
	struct fit_path from = { .runs = calloc(1, sizeof(*from.runs)), .nr_runs = 1, .cost = 5 };
	struct fit_path to = { .runs = calloc(2, sizeof(*to.runs)), .nr_runs = 2 };

	fit_path_move(&to, &from);
	assert_true(to.nr_runs == 1 && to.cost == 5 && to.runs);
	assert_true(!from.runs && !from.nr_runs);
	fit_path_release(&from);
	fit_path_release(&to);
}

/* For any history of the vCPU, the path that is found costs no more than the true path */
#define LONG	(400 * 10)

static uint64_t make_events(const struct made *made, uint64_t *times, size_t *nr, uint64_t *seed)
{
	uint64_t cost = 0;
	size_t segment = 0;

	*nr = 0;
	for (uint64_t host_tsc = 1; host_tsc < LONG; host_tsc += prng_range(seed, 1, 40)) {
		const struct vcpu_history *history = &made->histories[0];
		size_t span = vcpu_modes_find(&made->modes[0], host_tsc, 0);
		struct tsc_mapping map;

		if (vcpu_modes_at(&made->modes[0], span) != MODE_GUEST)
			continue;
		assert_true(vcpu_history_at(history, host_tsc, &map));
		times[(*nr)++] = tsc_guest_from_host(&map, host_tsc);
		while (segment < history->nr_segments && history->segments[segment].host_tsc <= host_tsc) {
			/* An upper bound: a forward change costs less, and there may be no event before the change */
			cost += 8;
			segment++;
		}
	}
	return cost;
}

static void test_true_path(void **state)
{
	static uint64_t times[LONG];
	uint64_t seed = 63, found = 0;

	for (int n = 0; n < 300; n++) {
		char modes[LONG / 10 + 1];
		struct vcpu_case c = {
			.modes = modes, .offset = -5000, .change = prng_range(&seed, 100, LONG / 2),
			.changed = (int64_t)prng_range(&seed, 1, 9000),
			.change2 = LONG / 2 + prng_range(&seed, 1, 1500),
			.changed2 = -(int64_t)prng_range(&seed, 1, 9000),
		};
		const size_t vcpu = 0;
		struct fit_path path;
		struct made made;
		uint64_t cost;
		size_t nr;

		for (size_t i = 0; i < LONG / 10; i++)
			modes[i] = prng(&seed) % 3 ? 'H' : 'G';
		modes[LONG / 10] = '\0';
		make_host(&made, &c, 1, 0, LONG);
		cost = make_events(&made, times, &nr, &seed);
		assert_int_equal(fit_path_find(&path, &made.host, &vcpu, 1, times, NULL, nr), 0);
		if (path.cost > cost || path.tally.inside < nr - cost / 16)
			fail_msg("history %d: cost %lu of %lu, %lu of %zu inside", n, (unsigned long)path.cost,
				 (unsigned long)cost, (unsigned long)path.tally.inside, nr);
		assert_int_equal(path.tally.inside + path.tally.violations + path.tally.unknown + path.tally.outside +
				 path.tally.impossible, nr);
		found += path.tally.inside == nr;
		fit_path_release(&path);
		release_host(&made);
	}
	assert_true(found > 250);
}

/* Whether events prove a phase, or would fit it by chance after any shift */
static void test_prove(void **state)
{
	/*
	 * Some events are in the first or the last cycle of guest mode, so
	 * that a shift by one cycle moves them out of it
	 */
	static const char unlike[] = "GHHHGHGHHGHHHHGHGGHHHHHGHHGHHHGHHHHHHHGHHHHHHHHHGGGHHHHHHGHHHHGGHHHHHHGHH";
	static const struct {
		const char	*modes;
		size_t		nr_times;
		int64_t		times[MAX_EVENTS];
		uint64_t	looks;
		enum fit_proof	proof;
	} cases[] = {
		{ unlike, 1, { -95 }, UINT64_MAX, FIT_BY_CHANCE },
		{ unlike, 9, { -100, -55, -31, -5, 45, 65, 75, 135, 165 }, UINT64_MAX, FIT_PROVED },
		/* Too few shifts are tried */
		{ unlike, 9, { -100, -55, -31, -5, 45, 65, 75, 135, 165 }, 100, FIT_BY_CHANCE },
		/* One event is outside guest mode, the other outside the recording */
		{ unlike, 2, { -85, 5000 }, UINT64_MAX, FIT_NONE_INSIDE },
		/* The vCPU is nearly always in guest mode */
		{ "HGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGG", 4, { -85, -65, 5, 105 }, UINT64_MAX, FIT_BY_CHANCE },
		/* Events at unknown times prove nothing */
		{ "HG.......................................................................H", 3, { -85, -75, -55 },
		  UINT64_MAX, FIT_BY_CHANCE },
	};

	(void)state;
	for (size_t n = 0; n < sizeof(cases) / sizeof(*cases); n++) {
		const struct path_case c = {
			.vcpus = { { cases[n].modes, -100, 0, 0, 0, 0 } },
			.nr_vcpus = 1, .end = 10 * strlen(cases[n].modes) - 1,
		};
		const struct fit_run run = { .last = cases[n].nr_times - 1 };
		uint64_t looks = cases[n].looks, times[MAX_EVENTS];
		struct made made;

		for (size_t i = 0; i < cases[n].nr_times; i++)
			times[i] = (uint64_t)cases[n].times[i];
		make_host(&made, c.vcpus, c.nr_vcpus, c.begin, c.end);
		if (fit_path_prove(&made.host, &run, times, &looks) != (int)cases[n].proof)
			fail_msg("case %zu", n);
		release_host(&made);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_went_back),
		cmocka_unit_test(test_tally_add_cpu),
		cmocka_unit_test(test_count_run),
		cmocka_unit_test(test_tally_add),
		cmocka_unit_test(test_move),
		cmocka_unit_test(test_true_path),
		cmocka_unit_test(test_prove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
