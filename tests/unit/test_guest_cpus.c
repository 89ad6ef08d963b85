// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Which vCPU each CPU of a recorded guest is: CPUs that do not exist, and the answers of the guest's agent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_kvmhost.h"
#include "guest_clock.h"
#include "guest_probe.h"
#include "oracle.h"
#include "synced_guest.h"
#include "time_shift_reader.h"

/* The option has all CPUs that the agent reports, including those without a vCPU */
static void test_cpus_without_vcpu(void **state)
{
	for (int plugged = 0; plugged < 2; plugged++) {
		struct tsc_offset_event made = { .tid = FAKE_PID, .vcpu_id = 2, .next = OFFSET, .vm_fd = -1 };
		struct time_shift_reader reader;
		struct guest_clock *clock;

		fake_kvmhost_begin(2, OFFSET);
		clock = open_clock(4);
		fake_kvmhost_move(0, OFFSET + 1000);
		if (plugged) {
			made.host_tsc = fake_kvmhost_pass(FAR);
			fake_kvmhost_event(&made);
		}
		sync_clock(clock, &reader);
		assert_int_equal(reader.nr_vcpus, 4);
		/*
		 * CPUs without a vCPU get the last offset of the first vCPU, as
		 * if they were plugged in after its change
		 */
		for (size_t cpu = 0; cpu < 4; cpu++)
			check_vcpu(&reader, cpu, cpu == 1, cpu < 2 ? host.opened : host.vcpus[0].since[1]);
		time_shift_reader_release(&reader);
		check_close(clock, 1 + plugged);
	}
}

static void test_vcpus_without_cpu(void **state)
{
	struct time_shift_reader reader;
	struct guest_clock *clock;

	fake_kvmhost_begin(3, OFFSET);
	clock = open_clock(2);
	assert_int_equal(fake_kvmhost_said("3 vCPUs"), 1);
	for (size_t vcpu = 0; vcpu < 3; vcpu++)
		fake_kvmhost_move(vcpu, OFFSET + 1000);
	sync_clock(clock, &reader);
	assert_int_equal(reader.nr_vcpus, 2);
	for (size_t cpu = 0; cpu < 2; cpu++)
		check_vcpu(&reader, cpu, cpu, host.opened);
	time_shift_reader_release(&reader);
	check_close(clock, 1);
}

/* The guest is asked, reads its TSC on the CPU of this vCPU, and answers */
static void answer(struct guest_clock *clock, size_t cpu, size_t vcpu)
{
	struct guest_probe probe = { .sent = host.tsc };

	fake_kvmhost_pass(1000);
	probe.guest_tsc = oracle_guest(&host.vcpus[vcpu].map, host.tsc);
	fake_kvmhost_pass(1000);
	probe.answered = host.tsc;
	guest_clock_probe(clock, cpu, &probe);
}

/* vCPUs whose offsets are far apart */
static void begin_apart(size_t nr_vcpus)
{
	fake_kvmhost_begin(nr_vcpus, OFFSET);
	for (size_t i = 1; i < nr_vcpus; i++)
		fake_kvmhost_add(i, i, &(struct tsc_mapping) { .offset = OFFSET - (int64_t)i * FAR });
}

static void check_order(struct guest_clock *clock, const size_t *vcpus, size_t nr_cpus)
{
	struct time_shift_reader reader;

	sync_clock(clock, &reader);
	for (size_t cpu = 0; cpu < nr_cpus; cpu++)
		check_vcpu(&reader, cpu, vcpus[cpu], host.opened);
	time_shift_reader_release(&reader);
}

/* CPUs are numbered in the order in which they were plugged in; their answers show which vCPUs they are */
static void test_answers_decide(void **state)
{
	static const size_t orders[][3] = { { 0, 1, 2 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };

	for (size_t i = 0; i < sizeof(orders) / sizeof(*orders); i++) {
		struct guest_clock *clock;

		begin_apart(3);
		clock = open_clock(3);
		for (size_t cpu = 0; cpu < 3; cpu++)
			answer(clock, cpu, orders[i][cpu]);
		check_order(clock, orders[i], 3);
		assert_int_equal(!!fake_kvmhost_said("CPU 0 is vCPU"), orders[i][0] != 0);
		fake_kvmhost_move(orders[i][1], OFFSET + FAR);
		fake_kvmhost_pass(FAR);
		for (size_t cpu = 0; cpu < 3; cpu++)
			answer(clock, cpu, orders[i][cpu]);
		check_order(clock, orders[i], 3);
		check_close(clock, 1);
	}
}

/* A guest with fewer CPUs than vCPUs: one was unplugged before */
static void test_answers_of_unused_vcpu(void **state)
{
	static const size_t order[] = { 0, 2 };
	struct guest_clock *clock;

	begin_apart(3);
	clock = open_clock(2);
	answer(clock, 0, 0);
	answer(clock, 1, 2);
	check_order(clock, order, 2);
	assert_int_equal(fake_kvmhost_said("CPU 1 is vCPU 2"), 1);
	check_close(clock, 1);
}

/* CPU 1 is offline in the guest, so the agent answers for it on CPU 0. CPU 0's own answers assign its vCPU. */
static void test_answers_of_another_cpu(void **state)
{
	static const size_t order[] = { 0, 1 };
	struct guest_clock *clock;

	begin_apart(2);
	clock = open_clock(2);
	answer(clock, 0, 0);
	answer(clock, 1, 0);
	check_order(clock, order, 2);
	check_close(clock, 2);
	assert_int_equal(fake_kvmhost_said("CPU 1 answered with a time that the TSC of no vCPU had then"), 1);
}

/* A guest that skips a CPU number reports more CPUs than it has vCPUs. The answers show which CPUs exist. */
static void test_answers_of_cpu_without_vcpu(void **state)
{
	static const size_t order[] = { 0, 1, 1, 0 };
	struct guest_clock *clock;

	begin_apart(2);
	clock = open_clock(4);
	/* CPUs 1 and 3 do not exist: CPU 2, which is vCPU 1, answers for CPU 1, and CPU 0 for CPU 3 */
	answer(clock, 0, 0);
	answer(clock, 1, 1);
	answer(clock, 2, 1);
	answer(clock, 3, 0);
	check_order(clock, order, 4);
	fake_kvmhost_move(1, OFFSET + FAR);
	fake_kvmhost_pass(FAR);
	/* The last answer counts: another CPU answered before this one was plugged in */
	answer(clock, 2, 0);
	answer(clock, 2, 1);
	check_order(clock, order, 4);
	check_close(clock, 1);

	/* The control: an answer that matches no vCPU */
	begin_apart(2);
	clock = open_clock(3);
	guest_clock_probe(clock, 2, &(struct guest_probe) { OFFSET + host.tsc + 10 * FAR, host.tsc, host.tsc + 10 });
	check_order(clock, (const size_t []) { 0, 1, 0 }, 3);
	check_close(clock, 2);
	assert_int_equal(fake_kvmhost_said("CPU 2 answered with a time that the TSC of no vCPU had then"), 1);
}

/* A single answer with another time does not make the others doubtful */
static void test_answer_of_another_time(void **state)
{
	for (size_t wrong = 1; wrong <= 2; wrong++) {
		const struct guest_probe old = { .guest_tsc = 1, .sent = 1ULL << 40, .answered = (1ULL << 40) + 1000 };
		struct guest_clock *clock;

		begin_apart(1);
		clock = open_clock(1);
		answer(clock, 0, 0);
		for (size_t i = 0; i < wrong; i++)
			guest_clock_probe(clock, 0, &old);
		check_sync(clock, host.opened);
		check_close(clock, wrong);
	}
}

/* Answers before, during and after a change */
static void test_answers_and_changes(void **state)
{
	struct guest_probe probe;
	struct guest_clock *clock;

	begin_apart(2);
	clock = open_clock(2);
	answer(clock, 0, 0);
	probe = (struct guest_probe) { .guest_tsc = host.tsc + 10 + OFFSET, .sent = host.tsc };
	fake_kvmhost_pass(1000);
	fake_kvmhost_move(0, OFFSET + 5 * FAR);
	fake_kvmhost_pass(1000);
	probe.answered = host.tsc;
	guest_clock_probe(clock, 0, &probe);
	probe.guest_tsc = host.tsc + OFFSET + 5 * FAR;
	guest_clock_probe(clock, 0, &probe);
	answer(clock, 1, 1);
	check_sync(clock, host.opened);
	check_close(clock, 1);
	assert_int_equal(fake_kvmhost_said("CPU 0 is vCPU"), 0);

	/* The control: an answer between the two offsets */
	begin_apart(1);
	clock = open_clock(1);
	probe = (struct guest_probe) { .guest_tsc = host.tsc + 10 + OFFSET + FAR, .sent = host.tsc };
	fake_kvmhost_move(0, OFFSET + 5 * FAR);
	probe.answered = host.tsc;
	guest_clock_probe(clock, 0, &probe);
	check_sync(clock, host.opened);
	check_close(clock, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cpus_without_vcpu),
		cmocka_unit_test(test_vcpus_without_cpu),
		cmocka_unit_test(test_answers_decide),
		cmocka_unit_test(test_answers_of_unused_vcpu),
		cmocka_unit_test(test_answers_of_another_cpu),
		cmocka_unit_test(test_answers_of_cpu_without_vcpu),
		cmocka_unit_test(test_answer_of_another_time),
		cmocka_unit_test(test_answers_and_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
