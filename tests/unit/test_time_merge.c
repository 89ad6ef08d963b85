// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Any number of sources of any length become one sequence: ordered by time, and for equal times in the order in which
 * the sources were added.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "prng.h"
#include "time_merge.h"

#define MAX_SOURCES	40
#define MAX_THINGS	50

struct list {
	struct time_source	source;
	uint64_t		times[MAX_THINGS];
	size_t			nr;
	size_t			next;
	int			end;
};

static int next(struct time_source *source)
{
	struct list *list = (struct list *)source;

	if (list->next == list->nr)
		return list->end;
	source->time = list->times[list->next++];
	return 1;
}

static void fill(struct list *list, size_t nr, uint64_t *seed)
{
	uint64_t time = 0;

	*list = (struct list) { .source.next = next, .nr = nr };
	for (size_t i = 0; i < nr; i++)
		list->times[i] = time += prng(seed) % 4;
}

static void test_order(void **state)
{
	static struct list lists[MAX_SOURCES];
	uint64_t seed = 1;

	for (size_t nr = 0; nr <= MAX_SOURCES; nr++) {
		struct time_merge merge = { 0 };
		struct time_source *source;
		uint64_t time = 0;
		size_t total = 0, seen = 0, last = 0;
		int ret;

		for (size_t i = 0; i < nr; i++) {
			fill(&lists[i], prng(&seed) % MAX_THINGS, &seed);
			total += lists[i].nr;
			assert_int_equal(time_merge_add(&merge, &lists[i].source), 0);
		}
		while ((ret = time_merge_next(&merge, &source)) > 0) {
			struct list *list = (struct list *)source;

			assert_true(source->time > time || (source->time == time && (size_t)(list - lists) >= last));
			assert_true(source->time == list->times[list->next - 1]);
			assert_true(time_merge_has(&merge, source));
			time = source->time;
			last = list - lists;
			seen++;
		}
		assert_int_equal(ret, 0);
		assert_int_equal(seen, total);
		for (size_t i = 0; i < nr; i++)
			assert_false(time_merge_has(&merge, &lists[i].source));
		assert_int_equal(time_merge_next(&merge, &source), 0);
		time_merge_release(&merge);
	}
}

/* Whichever source fails, and whenever, the error names it */
static void test_errors(void **state)
{
	static struct list lists[3];
	uint64_t seed = 2;

	for (size_t failing = 0; failing < 3; failing++) {
		struct time_merge merge = { 0 };
		struct time_source *source = NULL;
		int ret;

		for (size_t i = 0; i < 3; i++) {
			fill(&lists[i], 5, &seed);
			lists[i].end = i == failing ? -EIO : 0;
			assert_int_equal(time_merge_add(&merge, &lists[i].source), 0);
		}
		while ((ret = time_merge_next(&merge, &source)) > 0)
			;
		assert_int_equal(ret, -EIO);
		assert_ptr_equal(source, &lists[failing].source);
		time_merge_release(&merge);

		lists[failing].next = lists[failing].nr;
		assert_int_equal(time_merge_add(&merge, &lists[failing].source), -EIO);
		assert_int_equal(time_merge_next(&merge, &source), 0);
		time_merge_release(&merge);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
