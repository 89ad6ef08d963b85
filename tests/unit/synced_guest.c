// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "fake_kvmhost.h"
#include "guest_clock.h"
#include "oracle.h"
#include "synced_guest.h"
#include "time_shift.h"
#include "time_shift_reader.h"

/**
 * open_clock - begin to record a guest
 * @nr_cpus: of the guest
 */
struct guest_clock *open_clock(size_t nr_cpus)
{
	struct guest_clock *clock;

	assert_int_equal(guest_clock_open(&clock, host.threads[0], nr_cpus, 1), 0);
	return clock;
}

/**
 * sync_clock - run one synchronisation
 * @clock: of the guest
 * @reader: result: the sync points that it would write into the file, as stock readers apply them
 */
void sync_clock(struct guest_clock *clock, struct time_shift_reader *reader)
{
	struct time_shift shift;
	void *option;
	size_t size;

	assert_int_equal(guest_clock_time_shift(clock, &shift), 0);
	assert_int_equal(time_shift_encode(&shift, 1, &option, &size), 0);
	assert_int_equal(time_shift_decode(reader, option, size), 0);
	free(option);
	time_shift_release(&shift);
}

/* The error of a guest's time: the host time that the reader computes for it minus the true one, without sign */
static uint64_t time_off(const struct time_shift_reader *reader, size_t cpu, const struct tsc_mapping *map,
			 uint64_t host_tsc)
{
	uint64_t read = time_shift_apply(reader, cpu, oracle_guest(map, host_tsc));

	return read > host_tsc ? read - host_tsc : host_tsc - read;
}

/* Times of a scaled TSC are rounded */
static uint64_t tolerance(const struct tsc_mapping *map)
{
	return tsc_mapping_scaled(map) ? 2 : 0;
}

/**
 * check_time - check that a guest's time under a mapping is converted to its true host time
 * @reader: applies what was written
 * @cpu: of the guest
 * @map: the mapping in force
 * @host_tsc: the true host time
 */
void check_time(const struct time_shift_reader *reader, size_t cpu, const struct tsc_mapping *map, uint64_t host_tsc)
{
	uint64_t off = time_off(reader, cpu, map, host_tsc);

	if (off > tolerance(map))
		fail_msg("CPU %zu at %" PRIu64 ": %" PRIu64 " off", cpu, host_tsc, off);
}

/**
 * has_offset - whether the clock believes this to be the current offset of a CPU
 * @clock: of the guest; it is synchronised
 * @cpu: of the guest; its vCPU has the same number
 * @offset: the offset
 */
bool has_offset(struct guest_clock *clock, size_t cpu, int64_t offset)
{
	struct tsc_mapping map = host.vcpus[cpu].map;
	struct time_shift_reader reader;
	bool has;

	map.offset = offset;
	sync_clock(clock, &reader);
	has = time_off(&reader, cpu, &map, host.tsc) <= tolerance(&map);
	time_shift_reader_release(&reader);
	return has;
}

/**
 * check_vcpu - check_time() at the ends and in the middle of each segment of a vCPU that the fake host has
 * @reader: applies what was written
 * @cpu: of the guest
 * @vcpu: the CPU's vCPU
 * @from: host TSC from which to check
 */
void check_vcpu(const struct time_shift_reader *reader, size_t cpu, size_t vcpu, uint64_t from)
{
	const struct fake_vcpu *fake = &host.vcpus[vcpu];

	for (size_t i = 0; i < fake->nr; i++) {
		uint64_t begin = fake->since[i] > from ? fake->since[i] : from;
		uint64_t end = i + 1 < fake->nr ? fake->since[i + 1] - 1 : host.tsc;

		for (uint64_t part = 0; part <= 4 && begin <= end; part++)
			check_time(reader, cpu, &fake->maps[i], begin + (end - begin) * part / 4);
	}
}

/**
 * check_sync - synchronise and check_vcpu() of all vCPUs; the guest's CPUs are in the order of the vCPUs
 * @clock: of the guest
 * @from: host TSC from which to check
 */
void check_sync(struct guest_clock *clock, uint64_t from)
{
	struct time_shift_reader reader;

	sync_clock(clock, &reader);
	for (size_t vcpu = 0; vcpu < host.nr_vcpus; vcpu++)
		check_vcpu(&reader, vcpu, vcpu, from);
	time_shift_reader_release(&reader);
}

/**
 * check_close - end the recording
 * @clock: of the guest
 * @lines: expected number of its lines: one without doubts, or one for each doubt
 */
void check_close(struct guest_clock *clock, size_t lines)
{
	size_t before = fake_kvmhost_said("");

	guest_clock_close(clock, 0);
	if (fake_kvmhost_said("") - before != lines)
		fail_msg("not %zu lines: %s", lines, host.said);
	assert_int_equal(host.instances, 0);
}

/**
 * move_all - change the offsets of all vCPUs
 */
void move_all(void)
{
	for (size_t vcpu = 0; vcpu < host.nr_vcpus; vcpu++)
		fake_kvmhost_move(vcpu, host.vcpus[vcpu].map.offset + 5000 + (int64_t)vcpu);
}

/**
 * wait_for - wait until a condition is true
 * @condition: the condition
 * @clock: argument of @condition
 *
 * Returns: false if it is still false after half a minute.
 */
bool wait_for(bool (*condition)(struct guest_clock *clock), struct guest_clock *clock)
{
	time_t end = time(NULL) + 30;

	while (!condition(clock) && time(NULL) < end)
		nanosleep(&(struct timespec) { .tv_nsec = 1000000 }, NULL);
	return condition(clock);
}

/**
 * has_drained - whether the clock has read all events
 * @clock: of the guest
 */
bool has_drained(struct guest_clock *clock)
{
	return !fake_kvmhost_pending();
}
