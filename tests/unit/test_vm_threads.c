// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Threads that begin and end, and thread ids that are reused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>

#include "vm_threads.h"
#include "vm_process.h"

/* An id that no process has, and another one */
#define GUEST	100000000
#define OTHER	100000001
#define NR_TIDS	1000

/* The process that has a thread; 0: none */
static pid_t owner[NR_TIDS];
static size_t lookups;

bool vm_process_has_thread(pid_t pid, pid_t tid)
{
	lookups++;
	return owner[tid] == pid;
}

bool vm_process_exists(pid_t tid)
{
	return owner[tid];
}

static void test_number_used_again(void **state)
{
	struct vm_threads threads;

	owner[5] = owner[6] = owner[7] = GUEST;
	owner[8] = OTHER;
	vm_threads_open(&threads, GUEST);
	vm_threads_look(&threads);
	assert_true(vm_threads_has(&threads, 5));
	assert_true(vm_threads_has(&threads, 6));
	assert_false(vm_threads_has(&threads, 8));
	assert_false(vm_threads_has(&threads, 9));
	/*
	 * Thread 5 ends, thread 6's id goes to another process, thread 7, which was never asked for, ends, and thread
	 * 9 is new
	 */
	owner[5] = 0;
	owner[6] = OTHER;
	owner[7] = 0;
	owner[9] = GUEST;
	vm_threads_look(&threads);
	assert_true(vm_threads_has(&threads, 5));
	assert_false(vm_threads_has(&threads, 6));
	assert_false(vm_threads_has(&threads, 7));
	assert_true(vm_threads_has(&threads, 9));
	/* A thread that belonged to another process is no longer the guest's */
	owner[6] = 0;
	vm_threads_look(&threads);
	assert_false(vm_threads_has(&threads, 6));
	assert_true(vm_threads_has(&threads, 5));
	vm_threads_close(&threads);
}

/* There are thousands of events: a thread is looked up once in each round, and other processes' threads are not kept */
static void test_lookups(void **state)
{
	struct vm_threads threads;

	for (pid_t tid = 1; tid < NR_TIDS; tid++)
		owner[tid] = tid % 100 ? OTHER : GUEST;
	vm_threads_open(&threads, GUEST);
	for (int look = 0; look < 3; look++) {
		vm_threads_look(&threads);
		assert_true(threads.nr <= NR_TIDS / 100);
		lookups = 0;
		for (int i = 0; i < 5; i++) {
			for (pid_t tid = NR_TIDS - 1; tid > 0; tid--)
				assert_int_equal(vm_threads_has(&threads, tid), !(tid % 100));
		}
		assert_int_equal(lookups, NR_TIDS - 1);
	}
	vm_threads_close(&threads);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_number_used_again),
		cmocka_unit_test(test_lookups),
	};

	return cmocka_run_group_tests_name("vm_threads", tests, NULL, NULL);
}
