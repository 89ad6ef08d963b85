// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* A drainer passes on all wanted events of an instance in order, until a callback fails. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "event_drainer.h"
#include "fake_kvmhost.h"

#define UNWANTED	7

static uint64_t taken[FAKE_EVENTS];
static size_t nr_taken, most;
static int wanted_error;

static int wanted(const struct tsc_offset_event *event, void *context)
{
	return wanted_error ? wanted_error : event->tid != UNWANTED;
}

static int take(struct tsc_offset_event *event, void *context)
{
	if (nr_taken >= most)
		return -E2BIG;
	taken[nr_taken++] = event->host_tsc;
	return 0;
}

static void tick(void *context)
{
	event_drainer_drain(context);
}

static const struct event_drainer_ops ops = { wanted, take, tick };

static void begin(struct event_drainer *drainer)
{
	fake_kvmhost_begin(1, 0);
	nr_taken = 0;
	most = FAKE_EVENTS;
	wanted_error = 0;
	assert_int_equal(event_drainer_open(drainer, 1, false, &ops, drainer), 0);
}

/* The events alternate between the host's two CPUs */
static void add_events(size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		fake_kvmhost_event(&(struct tsc_offset_event) { .host_tsc = fake_kvmhost_pass(100),
								.tid = i % 3 ? 1 : UNWANTED });
}

static void check_taken(size_t nr)
{
	assert_int_equal(nr_taken, nr);
	for (size_t i = 1; i < nr; i++)
		assert_true(taken[i] > taken[i - 1]);
}

static void test_in_order(void **state)
{
	struct event_drainer drainer;

	begin(&drainer);
	for (size_t i = 1; i <= 2; i++) {
		add_events(9);
		assert_int_equal(event_drainer_drain(&drainer), 0);
		check_taken(6 * i);
	}
	assert_false(drainer.lost);
	host.lost = true;
	assert_int_equal(event_drainer_drain(&drainer), 0);
	assert_int_equal(event_drainer_drain(&drainer), 0);
	assert_true(drainer.lost);
	assert_int_equal(event_drainer_close(&drainer), 0);
	assert_int_equal(host.instances, 0);
}

/* Events before the error count; later ones are not read */
static void test_errors(void **state)
{
	struct event_drainer drainer;

	for (int i = 0; i < 3; i++) {
		begin(&drainer);
		host.drain_error = i == 0 ? -EIO : 0;
		most = i == 1 ? 4 : FAKE_EVENTS;
		wanted_error = i == 2 ? -E2BIG : 0;
		add_events(9);
		assert_int_equal(event_drainer_drain(&drainer), i ? -E2BIG : -EIO);
		check_taken(i == 0 ? 6 : i == 1 ? 4 : 0);
		host.drain_error = wanted_error = 0;
		most = FAKE_EVENTS;
		add_events(9);
		assert_int_equal(event_drainer_drain(&drainer), i ? -E2BIG : -EIO);
		assert_int_equal(fake_kvmhost_pending(), 9);
		event_drainer_close(&drainer);
	}
	fake_kvmhost_begin(1, 0);
	host.open_error = -EACCES;
	assert_int_equal(event_drainer_open(&drainer, 1, false, &ops, &drainer), -EACCES);
	assert_int_equal(event_drainer_drain(&drainer), -EACCES);
	assert_int_equal(event_drainer_close(&drainer), 0);
}

/* The thread drains events by itself */
static void test_thread(void **state)
{
	time_t end = time(NULL) + 30;
	struct event_drainer drainer;

	begin(&drainer);
	assert_int_equal(event_drainer_start(&drainer), 0);
	for (int i = 0; i < 3; i++) {
		add_events(9);
		while (fake_kvmhost_pending() && time(NULL) < end)
			nanosleep(&(struct timespec) { .tv_nsec = 1000000 }, NULL);
		assert_int_equal(fake_kvmhost_pending(), 0);
	}
	event_drainer_stop(&drainer);
	check_taken(3 * 6);
	/* A drainer can be stopped more than once, or without having been started */
	event_drainer_stop(&drainer);
	event_drainer_close(&drainer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_thread),
	};

	return cmocka_run_group_tests_name("event_drainer", tests, NULL, NULL);
}
