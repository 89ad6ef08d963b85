// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Which changes of an offset are doubtful because the host lost events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host_vms.h"
#include "prng.h"
#include "trace_dat.h"

#define MAX_CHANGES	4
#define MAX_LOSSES	4

struct loss_case {
	const char		*name;
	uint64_t		changes[MAX_CHANGES];
	size_t			nr_changes;
	struct lost_range	losses[MAX_LOSSES];
	size_t			nr_losses;
	const char		*doubts;	/* of each change, and after the last one: x or - */
};

/* Times of 100, 200 and 300 */
#define CHANGES	{ 100, 200, 300 }, 3

static struct error error;

static const struct loss_case loss_cases[] = {
	{ "nothing lost", CHANGES, { { 0 } }, 0, "----" },
	{ "between two changes", CHANGES, { { 120, 180, 0 } }, 1, "-x--" },
	{ "around a change", CHANGES, { { 120, 250, 0 } }, 1, "-xx-" },
	{ "from a change to the next", CHANGES, { { 100, 200, 0 } }, 1, "-x--" },
	{ "one cycle beyond it", CHANGES, { { 100, 201, 0 } }, 1, "-xx-" },
	{ "from one cycle before it", CHANGES, { { 99, 200, 0 } }, 1, "xx--" },
	{ "before all", CHANGES, { { 0, 50, 0 } }, 1, "x---" },
	{ "from the first change on", CHANGES, { { 100, 150, 0 } }, 1, "-x--" },
	{ "after all", CHANGES, { { 350, 400, 0 } }, 1, "---x" },
	{ "to the last change", CHANGES, { { 250, 300, 0 } }, 1, "--x-" },
	{ "to the end", CHANGES, { { 250, UINT64_MAX, 0 } }, 1, "--xx" },
	{ "two, the one that begins first ends last", CHANGES, { { 220, 230, 0 }, { 150, 400, 0 } }, 2, "-xxx" },
	{ "two, in the order of time", CHANGES, { { 10, 20, 0 }, { 220, 230, 0 } }, 2, "x-x-" },
	{ "two, in the other order", CHANGES, { { 220, 230, 0 }, { 10, 20, 0 } }, 2, "x-x-" },
	{ "a vCPU without a change", { 0 }, 0, { { 220, 230, 0 } }, 1, "x" },
};

static void check_case(const struct loss_case *c)
{
	struct vcpu_history vcpu = { 0 };
	struct host_vm vm = { .history = { .vcpus = &vcpu, .nr_vcpus = 1 } };
	struct lost_range losses[MAX_LOSSES];
	struct host host = { .lost = losses, .nr_lost = c->nr_losses };
	const struct tsc_mapping map = { .offset = 5 };

	memcpy(losses, c->losses, sizeof(losses));
	for (size_t i = 0; i < c->nr_changes; i++)
		assert_int_equal(vcpu_history_add(&vcpu, c->changes[i], &map, &map), 0);
	host_vms_sort_losses(&host);
	host_vms_mark_losses(&host, &vm);
	for (size_t i = 0; i <= c->nr_changes; i++) {
		bool lost = i < c->nr_changes ? vcpu.segments[i].lost_before : vcpu.lost_after;

		if (lost != (c->doubts[i] == 'x'))
			fail_msg("%s: change %zu: lost is %d", c->name, i, lost);
	}
	free(vcpu.segments);
}

static void test_losses(void **state)
{
	for (size_t i = 0; i < sizeof(loss_cases) / sizeof(*loss_cases); i++)
		check_case(&loss_cases[i]);
}

/* Random losses: all at once, compared with a check of each loss */
static void test_random(void **state)
{
	uint64_t seed = 74;

	for (int n = 0; n < 5000; n++) {
		struct loss_case c = { .name = "random" };
		char doubts[MAX_CHANGES + 2] = "";
		uint64_t time = 20;

		c.nr_changes = prng_range(&seed, 0, MAX_CHANGES);
		c.nr_losses = prng_range(&seed, 0, MAX_LOSSES);
		for (size_t i = 0; i < c.nr_changes; i++)
			c.changes[i] = time += prng_range(&seed, 1, 20);
		for (size_t i = 0; i < c.nr_losses; i++) {
			c.losses[i].from = prng_range(&seed, 0, 100);
			c.losses[i].to = c.losses[i].from + prng_range(&seed, 1, 50);
		}
		for (size_t i = 0; i <= c.nr_changes; i++) {
			doubts[i] = '-';
			for (size_t j = 0; j < c.nr_losses; j++) {
				/* The loss begins before the change, and ends after the previous change */
				if ((i == c.nr_changes || c.losses[j].from < c.changes[i]) &&
				    (!i || c.losses[j].to > c.changes[i - 1]))
					doubts[i] = 'x';
			}
		}
		c.doubts = doubts;
		check_case(&c);
	}
}

/* Threads, and the expected VM of each; a thread without a tid ends the list */
struct group_case {
	const char		*name;
	struct host_thread	threads[8];
	int			vms[8];		/* their numbers, which are thread ids */
};

#define RUNS(thread, vcpu)		{ .tid = thread, .vcpu_id = vcpu, .vm_fd = -1, .entries = 9 }
#define MAKES(thread, vcpu)		{ .tid = thread, .vcpu_id = vcpu, .vm_fd = -1 }
#define OF(thread, vcpu, vm, runs)	{ .tid = thread, .vcpu_id = vcpu, .vm_pid = vm, .vm_fd = 12, .entries = runs }

static const struct group_case group_cases[] = {
	{ "one VM", { RUNS(10, 0), RUNS(11, 1), RUNS(12, 2) }, { 10, 10, 10 } },
	{ "ids that begin anew are another VM's", { RUNS(10, 0), RUNS(11, 1), RUNS(20, 0), RUNS(21, 1) },
	  { 10, 10, 20, 20 } },
	{ "the same id once more is another VM's", { RUNS(10, 0), RUNS(20, 0), RUNS(30, 0) }, { 10, 20, 30 } },
	{ "ids with holes", { RUNS(10, 0), RUNS(11, 2), RUNS(12, 4) }, { 10, 10, 10 } },
	{ "a thread that makes all vCPUs precedes those that run them",
	  { MAKES(10, 0), MAKES(10, 1), RUNS(11, 0), RUNS(12, 1), RUNS(20, 0) }, { 10, 10, 10, 10, 20 } },
	{ "two of these", { MAKES(10, 0), MAKES(10, 1), RUNS(11, 0), RUNS(12, 1), MAKES(20, 0), MAKES(20, 1),
	  RUNS(21, 0), RUNS(22, 1) }, { 10, 10, 10, 10, 20, 20, 20, 20 } },
	{ "threads that each run any vCPU start no others",
	  { RUNS(10, 0), RUNS(10, 1), RUNS(11, 0), RUNS(12, 1) }, { 10, 10, 11, 11 } },
	{ "each of them is by itself", { RUNS(10, 0), RUNS(10, 1), RUNS(11, 0), RUNS(11, 1) }, { 10, 10, 11, 11 } },
	{ "by event", { OF(10, 0, 9, 5), OF(11, 1, 9, 5), OF(20, 0, 19, 5) }, { 9, 9, 19 } },
	{ "threads without an event between those of a VM", { OF(10, 0, 9, 5), RUNS(11, 1), OF(12, 2, 9, 5) },
	  { 9, 9, 9 } },
	{ "after those of a VM, in order", { OF(10, 0, 9, 5), RUNS(11, 1) }, { 9, 9 } },
	{ "after those of a VM, not in order", { OF(10, 1, 9, 5), RUNS(11, 0) }, { 9, 11 } },
	{ "one that wrote all offsets before it started the threads", { OF(10, 1, 9, 0), RUNS(11, 0), RUNS(12, 1) },
	  { 9, 9, 9 } },
	{ "an id that the VM has already", { OF(10, 0, 9, 5), OF(11, 1, 9, 5), RUNS(12, 1) }, { 9, 9, 12 } },
	{ "before those of a VM", { RUNS(10, 0), OF(11, 1, 9, 5) }, { 9, 9 } },
};

static void test_groups(void **state)
{
	for (size_t i = 0; i < sizeof(group_cases) / sizeof(*group_cases); i++) {
		const struct group_case *c = &group_cases[i];
		struct trace_dat dat = { .path = "host.dat", .error = &error };
		struct host host = { .dat = &dat };
		struct host_thread *threads = malloc(sizeof(c->threads));
		size_t nr = 0;

		assert_non_null(threads);
		memcpy(threads, c->threads, sizeof(c->threads));
		while (nr < 8 && threads[nr].tid)
			nr++;
		assert_int_equal(host_vms_set_threads(&host, threads, nr), 0);
		assert_int_equal(host_vms_group(&host), 0);
		assert_int_equal(host.nr_threads, nr);
		for (size_t j = 0; j < nr; j++) {
			if (host.vms[host.owners[j]].id != c->vms[j])
				fail_msg("%s: thread %d, vCPU %u is VM %d's", c->name, threads[j].tid,
					 threads[j].vcpu_id, host.vms[host.owners[j]].id);
		}
		host_vms_release(&host);
		free(host.threads);
	}
}

/* kvm_entry does not name the VM. Its thread is the same as that of other events, if these belong to one VM only. */
static void test_joined(void **state)
{
	static const struct {
		const char		*name;
		struct host_thread	threads[4];
		size_t			nr;
		uint64_t		entries[4];
	} cases[] = {
		{ "one VM", { RUNS(10, 0), OF(10, 0, 9, 0) }, 1, { 9 } },
		{ "its entries are added", { RUNS(10, 0), OF(10, 0, 9, 4) }, 1, { 13 } },
		{ "another vCPU", { RUNS(10, 0), OF(10, 1, 9, 0) }, 2, { 9, 0 } },
		{ "another thread", { RUNS(10, 0), OF(11, 0, 9, 0) }, 2, { 9, 0 } },
		{ "two VMs", { RUNS(10, 0), OF(10, 0, 9, 0), OF(10, 0, 8, 0) }, 3, { 9, 0, 0 } },
		{ "two vCPUs of a VM", { RUNS(10, 0), OF(10, 0, 9, 0), OF(10, 1, 9, 0) }, 2, { 9, 0 } },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct host_thread *threads = malloc(sizeof(cases[i].threads));
		struct host host = { 0 };
		size_t nr = 0;

		assert_non_null(threads);
		memcpy(threads, cases[i].threads, sizeof(cases[i].threads));
		while (nr < 4 && threads[nr].tid)
			nr++;
		assert_int_equal(host_vms_set_threads(&host, threads, nr), 0);
		if (host.nr_threads != cases[i].nr)
			fail_msg("%s: %zu threads", cases[i].name, host.nr_threads);
		for (size_t j = 0; j < host.nr_threads; j++)
			assert_int_equal(host.threads[j].entries, cases[i].entries[j]);
		host_vms_release(&host);
		free(host.threads);
	}
}

/* A thread of several VMs that had the same name, one after the other: each VM gets the entries of its own time */
static void test_lives(void **state)
{
	static const struct {
		const char	*name;
		uint64_t	first, last;		/* entries of the thread, 9 in all */
		uint64_t	from[3], to[3];		/* the first and the last entry of each VM, 0 for none */
	} cases[] = {
		{ "all", 50, 2500, { 50, 1000, 2000 }, { 999, 1999, 2500 } },
		{ "the first one", 50, 999, { 50, 0, 0 }, { 999, 0, 0 } },
		{ "the last one", 2000, 2001, { 0, 0, 2000 }, { 0, 0, 2001 } },
		{ "the one between", 1000, 1999, { 0, 1000, 0 }, { 0, 1999, 0 } },
		{ "two", 1500, 2500, { 0, 1500, 2000 }, { 0, 1999, 2500 } },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct host_thread made[] = {
			{ .tid = 10, .vm_fd = -1, .entries = 9, .first = cases[i].first, .last = cases[i].last },
			OF(10, 0, 9, 0),
			{ .tid = 10, .vm_pid = 9, .vm_fd = 12, .vm_life = 1, .since = 1000 },
			{ .tid = 10, .vm_pid = 9, .vm_fd = 12, .vm_life = 2, .since = 2000 },
		};
		struct trace_dat dat = { .path = "host.dat", .error = &error };
		struct host_thread *threads = malloc(sizeof(made));
		struct host host = { .dat = &dat };

		assert_non_null(threads);
		memcpy(threads, made, sizeof(made));
		assert_int_equal(host_vms_set_threads(&host, threads, 4), 0);
		assert_int_equal(host_vms_group(&host), 0);
		assert_int_equal(host.nr_vms, 3);
		for (size_t vm = 0; vm < 3; vm++) {
			static const char *const names[] = { "9-12", "9-12.2", "9-12.3" };
			const struct host_thread *thread = host.vms[vm].threads;

			assert_string_equal(host.vms[vm].name, names[vm]);
			assert_int_equal(host.vms[vm].nr_threads, 1);
			assert_ptr_equal(host_vms_by_name(&host, 9, 12, vm), &host.vms[vm]);
			if (thread->first != cases[i].from[vm] || thread->last != cases[i].to[vm] ||
			    !thread->entries != !cases[i].to[vm])
				fail_msg("%s: VM %zu has entries from %lu to %lu", cases[i].name, vm,
					 (unsigned long)thread->first, (unsigned long)thread->last);
		}
		assert_null(host_vms_by_name(&host, 9, 12, 3));
		/* The thread alone does not identify a VM */
		assert_true(host_vms_share_thread(&host, 10));
		host_vms_release(&host);
		free(host.threads);
	}
}

/* By tid, then by vcpu_id */
static void test_order(void **state)
{
	static const struct host_thread threads[] = {
		{ .tid = 5, .vcpu_id = 1 }, { .tid = 5, .vcpu_id = 2 }, { .tid = 6, .vcpu_id = 0 },
	};

	for (size_t i = 0; i < 3; i++) {
		for (size_t j = 0; j < 3; j++) {
			int order = host_thread_compare(&threads[i], &threads[j]);

			assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
		}
	}
}

/* A VM's guest name is its label, unless the name is ambiguous */
static void test_label(void **state)
{
	struct host_vm vms[] = {
		{ .name = "10-5", .guest_name = (char *)"db" }, { .name = "20-5", .guest_name = (char *)"web" },
		{ .name = "30-5", .guest_name = (char *)"web" }, { .name = "40-5", .guest_name = (char *)"" },
		{ .name = "50-5" }, { .name = "60-5", .guest_name = (char *)"50-5" },
	};
	static const char *const labels[] = { "db", "20-5", "30-5", "40-5", "50-5", "60-5" };
	const struct host host = { .vms = vms, .nr_vms = sizeof(vms) / sizeof(*vms) };

	for (size_t i = 0; i < host.nr_vms; i++)
		assert_string_equal(host_vm_label(&host, &vms[i]), labels[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_losses),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_joined),
		cmocka_unit_test(test_lives),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_label),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
