// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Option GUEST. Options that are written here byte by byte must be decoded correctly, and encoding must give the same
 * bytes. Payloads are at the end of their allocation, so that sanitizers detect reads after them.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "assert_within.h"
#include "guest_option.h"
#include "prng.h"

/* Two CPUs; the thread of the second is unknown */
static const uint8_t two_cpus[] = {
	'g', '1', 0,
	0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
	2, 0, 0, 0,
	0, 0, 0, 0,	0x34, 0x12, 0, 0,
	1, 0, 0, 0,	0xff, 0xff, 0xff, 0xff,
};
#define HEAD_SIZE 15

/* No name and no CPUs: trace-cmd did not find the guest's process */
static const uint8_t nothing[] = {
	0,
	1, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0,
};

static void *copy_of(const void *bytes, size_t size)
{
	void *copy = malloc(size);

	assert_true(copy || !size);
	if (size)
		memcpy(copy, bytes, size);
	return copy;
}

static void assert_damaged(const void *bytes, size_t size)
{
	struct guest_option guest = { .name = "not touched yet", .nr_cpus = 1 };
	void *option = copy_of(bytes, size);

	assert_int_equal(guest_option_decode(&guest, option, size), -EBADMSG);
	assert_null(guest.name);
	assert_null(guest.cpus);
	assert_int_equal(guest.nr_cpus, 0);
	guest_option_release(&guest);
	free(option);
}

static void test_decode(void **state)
{
	void *option = copy_of(two_cpus, sizeof(two_cpus));
	struct guest_option guest;

	assert_int_equal(guest_option_decode(&guest, option, sizeof(two_cpus)), 0);
	assert_ptr_equal(guest.name, option);
	assert_string_equal(guest.name, "g1");
	assert_true(guest.trace_id == 0x1122334455667788);
	assert_int_equal(guest.nr_cpus, 2);
	assert_int_equal(guest.cpus[0].cpu, 0);
	assert_int_equal(guest.cpus[0].tid, 0x1234);
	assert_int_equal(guest.cpus[1].cpu, 1);
	assert_int_equal(guest.cpus[1].tid, -1);
	guest_option_release(&guest);
	assert_null(guest.cpus);
	free(option);

	option = copy_of(nothing, sizeof(nothing));
	assert_int_equal(guest_option_decode(&guest, option, sizeof(nothing)), 0);
	assert_string_equal(guest.name, "");
	assert_true(guest.trace_id == 1);
	assert_int_equal(guest.nr_cpus, 0);
	guest_option_release(&guest);
	free(option);
}

static void test_encode(void **state)
{
	struct guest_option_cpu cpus[] = { { 0, 0x1234 }, { 1, -1 } };
	struct guest_option guest = { "g1", 0x1122334455667788, cpus, 2 };
	void *option;
	size_t size;

	assert_int_equal(guest_option_encode(&guest, &option, &size), 0);
	assert_int_equal(size, sizeof(two_cpus));
	assert_memory_equal(option, two_cpus, size);
	free(option);

	guest = (struct guest_option) { .name = "", .trace_id = 1 };
	assert_int_equal(guest_option_encode(&guest, &option, &size), 0);
	assert_int_equal(size, sizeof(nothing));
	assert_memory_equal(option, nothing, size);
	free(option);
}

/* Extra data is not damage: only the CPUs that the option counts are read */
static void test_longer(void **state)
{
	uint8_t longer[sizeof(two_cpus) + 9] = { 0 };
	struct guest_option guest;

	memcpy(longer, two_cpus, sizeof(two_cpus));
	for (size_t size = sizeof(two_cpus); size <= sizeof(longer); size++) {
		assert_int_equal(guest_option_decode(&guest, longer, size), 0);
		assert_int_equal(guest.nr_cpus, 2);
		guest_option_release(&guest);
	}
	longer[HEAD_SIZE - 4] = 1;
	assert_int_equal(guest_option_decode(&guest, longer, sizeof(two_cpus)), 0);
	assert_int_equal(guest.nr_cpus, 1);
	assert_int_equal(guest.cpus[0].tid, 0x1234);
	guest_option_release(&guest);
}

static void test_cut_off(void **state)
{
	for (size_t size = 0; size < sizeof(two_cpus); size++)
		assert_damaged(two_cpus, size);
	for (size_t size = 0; size < sizeof(nothing); size++)
		assert_damaged(nothing, size);
	/* An unterminated name */
	assert_damaged("gggggggggggggggggggggggggggggggg", 32);
}

/* One CPU too many, and counts whose size in bytes would overflow */
static void test_too_many(void **state)
{
	static const uint32_t numbers[] = {
		3, 1U << 16, 1U << 29, (1U << 29) + 2, 1U << 31, UINT32_MAX - 1, UINT32_MAX,
	};
	uint8_t bytes[sizeof(two_cpus)];

	memcpy(bytes, two_cpus, sizeof(bytes));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		memcpy(bytes + HEAD_SIZE - sizeof(uint32_t), &numbers[i], sizeof(uint32_t));
		assert_damaged(bytes, sizeof(bytes));
	}
}

/* A decoded option has the same bytes when it is encoded again */
static void test_any_bytes(void **state)
{
	uint64_t seed = 1;
	size_t nr_read = 0;

	for (size_t i = 0; i < 100000; i++) {
		size_t size = prng(&seed) % 64, written_size;
		struct guest_option guest;
		uint8_t bytes[64];
		void *option, *written;

		for (size_t j = 0; j < size; j++)
			bytes[j] = prng(&seed) % 3;
		option = copy_of(bytes, size);
		if (!guest_option_decode(&guest, option, size)) {
			assert_int_equal(guest_option_encode(&guest, &written, &written_size), 0);
			assert_within(written_size, sizeof(nothing), size);
			assert_memory_equal(written, bytes, written_size);
			free(written);
			nr_read++;
		}
		guest_option_release(&guest);
		free(option);
	}
	/* The control: some random options are valid */
	assert_within(nr_read, 100, 99999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_encode),
		cmocka_unit_test(test_longer),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
