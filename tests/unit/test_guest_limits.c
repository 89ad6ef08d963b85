// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * A guest that changes its TSC as often as it can, with an agent that reports any number of CPUs: the memory for that
 * is bounded, and later changes are polled.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <x86intrin.h>

#include <cmocka.h>
#include <tracefs.h>

#include "boot_instance.h"
#include "guest_clock.h"
#include "kvm_debugfs.h"
#include "message.h"
#include "record_instance.h"
#include "time_shift.h"
#include "vm_process.h"

#define GUEST		100000000
#define MIB		(1UL << 20)
/* What the guest's file may get */
#define MAX_BYTES	(96 * MIB)
#define POINT_SIZE	(4 * sizeof(int64_t))
/* By how much each change moves the TSC on */
#define MOVE		1000

/* The host: what its kernel has to say. The clock's own thread asks as well. */
static struct {
	pthread_mutex_t	lock;
	uint32_t	nr_vcpus;
	size_t		to_come;	/* changes of vCPU 0 that are not drained yet */
	size_t		made;		/* changes of it so far */
	uint64_t	first;		/* host TSC of the first change */
	char		said[65536];
} host = { .lock = PTHREAD_MUTEX_INITIALIZER };

void message(const char *format, ...)
{
	size_t used = strlen(host.said);
	va_list args;

	va_start(args, format);
	vsnprintf(host.said + used, sizeof(host.said) - used, format, args);
	va_end(args);
}

bool vm_process_has_thread(pid_t pid, pid_t tid)
{
	return tid == GUEST;
}

bool vm_process_exists(pid_t tid)
{
	return true;
}

size_t vm_process_nr_vms(pid_t pid)
{
	return 1;
}

int record_instance_open(struct record_instance *instance, unsigned int number)
{
	*instance = (struct record_instance) { .dir = strdup(RECORD_INSTANCE_PREFIX) };
	return 0;
}

void record_instance_close_fds(struct record_instance *instance)
{
}

int record_instance_close(struct record_instance *instance)
{
	free(instance->dir);
	instance->dir = NULL;
	return 0;
}

static uint64_t now(void)
{
	return __rdtsc();
}

int record_instance_drain(struct record_instance *instance, tsc_event_func take, void *context, bool *lost)
{
	int ret = 0;

	pthread_mutex_lock(&host.lock);
	for (; host.to_come && !ret; host.to_come--) {
		const struct tsc_offset_event event = {
			.host_tsc = host.first + host.made, .tid = GUEST, .vcpu_id = 0, .vm_fd = -1,
			.previous = (int64_t)host.made * MOVE, .next = (int64_t)(host.made + 1) * MOVE,
		};

		ret = take(&event, context);
		host.made++;
	}
	/* Changes that are not read happen as well */
	host.made += host.to_come;
	host.to_come = 0;
	pthread_mutex_unlock(&host.lock);
	return ret;
}

int boot_instance_history(struct vm_history *history, const struct kvm_debugfs_vm *vm)
{
	return -ENOENT;
}

const char *tracefs_debug_dir(void)
{
	return "/nonexistent";
}

int kvm_debugfs_open(struct kvm_debugfs_vm *vm, const char *kvm_dir, pid_t pid)
{
	*vm = (struct kvm_debugfs_vm) { .path = strdup(kvm_dir), .nr_vcpus = host.nr_vcpus };
	vm->vcpu_ids = calloc(host.nr_vcpus, sizeof(*vm->vcpu_ids));
	for (uint32_t i = 0; i < host.nr_vcpus; i++)
		vm->vcpu_ids[i] = i;
	return 0;
}

void kvm_debugfs_close(struct kvm_debugfs_vm *vm)
{
	free(vm->path);
	free(vm->vcpu_ids);
}

bool kvm_debugfs_tsc_protected(const struct kvm_debugfs_vm *vm, uint32_t vcpu_id)
{
	return false;
}

int kvm_debugfs_l1(const struct kvm_debugfs_vm *vm, uint32_t vcpu_id, struct tsc_mapping *map)
{
	pthread_mutex_lock(&host.lock);
	*map = (struct tsc_mapping) { .offset = vcpu_id ? 0 : (int64_t)host.made * MOVE };
	pthread_mutex_unlock(&host.lock);
	return 0;
}

int kvm_debugfs_active(const struct kvm_debugfs_vm *vm, uint32_t vcpu_id, struct tsc_mapping *map)
{
	return kvm_debugfs_l1(vm, vcpu_id, map);
}

static void change(size_t times)
{
	pthread_mutex_lock(&host.lock);
	host.to_come += times;
	pthread_mutex_unlock(&host.lock);
}

static struct guest_clock *begin(size_t nr_cpus, uint32_t nr_vcpus)
{
	struct guest_clock *clock;

	host.nr_vcpus = nr_vcpus;
	host.made = host.to_come = 0;
	*host.said = '\0';
	assert_int_equal(guest_clock_open(&clock, GUEST, nr_cpus, 1), 0);
	host.first = now();
	return clock;
}

/* What trace-cmd would get, which is what the file would */
static size_t bytes_of(struct guest_clock *clock, size_t nr_cpus)
{
	struct time_shift shift;
	size_t bytes;

	assert_int_equal(guest_clock_time_shift(clock, &shift), 0);
	assert_int_equal(shift.nr_vcpus, nr_cpus);
	bytes = nr_cpus * shift.nr_points * POINT_SIZE;
	time_shift_release(&shift);
	return bytes;
}

/* The correction of a CPU at its last sync point, with the same sign as the offset's */
static int64_t last_offset(struct guest_clock *clock, size_t cpu)
{
	struct time_shift shift;
	int64_t correction;

	assert_int_equal(guest_clock_time_shift(clock, &shift), 0);
	correction = time_shift_vcpu(&shift, cpu)[shift.nr_points - 1].correction;
	time_shift_release(&shift);
	return -correction;
}

static const struct {
	size_t		nr_cpus;	/* as the agent says */
	uint32_t	nr_vcpus;
} guests[] = { { 1, 1 }, { 64, 2 }, { 40000, 1 } };

#define MANY_CPUS	40000

static void test_too_many_changes(void **state)
{
	for (size_t i = 0; i < sizeof(guests) / sizeof(guests[0]); i++) {
		struct guest_clock *clock = begin(guests[i].nr_cpus, guests[i].nr_vcpus);
		size_t bytes = 0, polled;

		for (int round = 0; round < 2; round++) {
			change(700000);
			bytes = bytes_of(clock, guests[i].nr_cpus);
			assert_true(bytes <= MAX_BYTES);
		}
		/* There is room for many, and no more, which is said */
		assert_true(bytes > MAX_BYTES / 2);
		assert_non_null(strstr(host.said, "cannot continue reading offset changes (there are too many)"));
		assert_null(strstr(host.said, "cannot be expressed"));
		/* What comes after that is polled */
		assert_int_equal(last_offset(clock, 0), (int64_t)host.made * MOVE);
		for (polled = 0; guests[i].nr_cpus == MANY_CPUS && polled < 10; polled++) {
			/* Nothing drains events any more */
			pthread_mutex_lock(&host.lock);
			host.made++;
			pthread_mutex_unlock(&host.lock);
			bytes = bytes_of(clock, guests[i].nr_cpus);
			assert_true(bytes <= MAX_BYTES);
		}
		/* Where there is room for few that has its end as well */
		assert_int_equal(strstr(host.said, "too many offset changes") != NULL,
				 guests[i].nr_cpus == MANY_CPUS);
		guest_clock_close(clock);
		print_message("%zu CPUs, %u vCPUs: %zu MiB\n", guests[i].nr_cpus, guests[i].nr_vcpus, bytes / MIB);
	}
}

/* CPUs that only the agent reports get the last mapping of the first vCPU */
static void test_absent(void **state)
{
	struct guest_clock *clock = begin(3, 2);
	const struct time_shift_point *points;
	struct time_shift shift;

	change(10);
	assert_int_equal(guest_clock_time_shift(clock, &shift), 0);
	points = time_shift_vcpu(&shift, 2);
	for (size_t i = 0; i < shift.nr_points; i++)
		assert_int_equal(points[i].correction, -10 * MOVE);
	/* The others have histories of their own */
	assert_int_equal(time_shift_vcpu(&shift, 0)[0].correction, 0);
	assert_int_equal(time_shift_vcpu(&shift, 1)[shift.nr_points - 1].correction, 0);
	time_shift_release(&shift);
	guest_clock_close(clock);
}

static void test_too_many_cpus(void **state)
{
	static const size_t too_many[] = { 1000000, 1UL << 31, SIZE_MAX };
	struct guest_clock *clock;

	for (size_t i = 0; i < sizeof(too_many) / sizeof(too_many[0]); i++)
		assert_int_equal(guest_clock_open(&clock, GUEST, too_many[i], 1), -E2BIG);
}

/* All of it in this process, but for the copies that trace-cmd makes */
static void test_memory(void **state)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	print_message("%ld MiB at most\n", usage.ru_maxrss / 1024);
#ifndef __SANITIZE_ADDRESS__
	assert_true(usage.ru_maxrss / 1024 < 512);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_absent),
		cmocka_unit_test(test_too_many_cpus),
		cmocka_unit_test(test_too_many_changes),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests_name("guest_limits", tests, NULL, NULL);
}
