// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Sums by key: with room for all keys or for some, with filters, and the longest stretches. */
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

#define VCPUS		3
#define STRETCHES	5000
#define TASKS		300

static struct task task(int pid)
{
	struct task task = { .pid = pid };

	snprintf(task.comm, sizeof(task.comm), "t%d", pid);
	return task;
}

static struct stretch stretch_of(uint32_t vcpu, enum vcpu_state state, int pid, uint64_t from, uint64_t length)
{
	return (struct stretch) {
		.vcpu = vcpu, .state = state, .task = task(pid), .preemptor_vcpu = VCPU_NONE,
		.from = { from, from }, .to = { from + length, from + length },
	};
}

static uint64_t total_of(const struct sum_table *table, uint32_t vcpu)
{
	uint64_t total = sum_row_total(&table->others[vcpu]);

	for (size_t i = 0; i < table->nr; i++)
		total += table->rows[i].key.vcpu == vcpu ? sum_row_total(&table->rows[i]) : 0;
	return total;
}

/* With any amount of room the sums of a vCPU are right, and no key has two rows */
static void check_room(size_t max)
{
	const struct explain_filter filter = { 0 };
	static const bool wanted[VCPUS] = { true, true, false };
	uint64_t seed = max + 1, totals[VCPUS] = { 0 }, sums[VCPUS][TASKS] = { 0 };
	struct explain_sums answers;

	assert_int_equal(explain_sums_init(&answers, &filter, wanted, VCPUS, max), 0);
	for (size_t i = 0; i < STRETCHES; i++) {
		uint32_t vcpu = prng_range(&seed, 0, VCPUS - 1);
		int pid = (int)prng_range(&seed, 0, TASKS - 1);
		uint64_t length = prng_range(&seed, 1, 1000);
		struct stretch stretch = stretch_of(vcpu, VCPU_GUEST, pid, i, length);

		explain_sums_stretch(&answers, &stretch);
		totals[vcpu] += length;
		sums[vcpu][pid] += length;
	}
	assert_int_equal(answers.error, 0);
	assert_true(answers.times.nr <= max);
	assert_int_equal(total_of(&answers.times, 0), totals[0]);
	assert_int_equal(total_of(&answers.times, 1), totals[1]);
	assert_int_equal(total_of(&answers.times, 2), 0);
	for (size_t i = 0; i < answers.times.nr; i++) {
		const struct sum_row *row = &answers.times.rows[i];

		assert_int_equal(row->ns[VCPU_GUEST], sums[row->key.vcpu][row->key.task]);
		sums[row->key.vcpu][row->key.task] = 0;
	}
	assert_int_equal(max >= 2 * TASKS, !answers.times.others[0].count);
	explain_sums_release(&answers);
}

static void test_room(void **state)
{
	for (size_t max = 0; max <= 2 * TASKS; max += 60)
		check_room(max);
}

static void test_filter(void **state)
{
	static const char *const tasks[] = { "t7", "7", "8", "t", "a name of 17 chars", "-1" };
	static const size_t counts[] = { 1, 1, 0, 0, 0, 0 };
	static const bool wanted[] = { true };
	const struct stretch stretch = stretch_of(0, VCPU_EXIT, 7, 0, 5);
	struct stretch unknown = stretch_of(0, VCPU_UNKNOWN, 0, 5, 5);

	unknown.task = (struct task) { .unknown = NO_FILE };
	for (size_t i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++) {
		const struct explain_filter filter = { .task = tasks[i] };
		struct explain_sums answers;

		assert_int_equal(explain_sums_init(&answers, &filter, wanted, 1, 10), 0);
		explain_sums_stretch(&answers, &stretch);
		explain_sums_stretch(&answers, &unknown);
		assert_int_equal(answers.times.nr, counts[i]);
		assert_int_equal(answers.steals.nr, counts[i]);
		/* Unknown times are reported with any filter */
		assert_int_equal(answers.unknown.nr, 1);
		explain_sums_release(&answers);
	}
}

/* The longest stretch comes first; of equal ones the earliest */
static void test_worst(void **state)
{
	static const uint64_t lengths[] = { 5, 9, 5, 1, 9, 7, 5 };
	static const uint64_t wanted_from[] = { 1, 4, 5, 0 };
	const struct explain_filter filter = { .worst = 4 };
	static const bool wanted[] = { true };
	const struct stretch *worst;
	struct explain_sums answers;

	assert_int_equal(explain_sums_init(&answers, &filter, wanted, 1, 10), 0);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct stretch stretch = stretch_of(0, VCPU_STOLEN, 7, i, lengths[i]);

		explain_sums_stretch(&answers, &stretch);
	}
	assert_int_equal(answers.worst_steals.nr, 4);
	worst = answers.worst_steals.items;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(worst[i].from.ns, wanted_from[i]);
	assert_int_equal(answers.steals.rows[0].count, 7);
	assert_int_equal(answers.steals.rows[0].longest, 9);
	explain_sums_release(&answers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_worst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
