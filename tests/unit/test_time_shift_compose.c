// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Two corrections composed into one: a reader gets the same times with it as with both, one after the other. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "history.h"
#include "prng.h"
#include "time_shift.h"
#include "time_shift_compose.h"
#include "time_shift_reader.h"

#define FROM		10000000ULL
#define TO		50000000ULL
#define MAX_STEPS	6
#define NR_VCPUS	3

/* Encode sync points and decode them as a reader does */
static struct time_shift_reader read_back(const struct time_shift *shift)
{
	struct time_shift_reader reader;
	void *option;
	size_t size;

	assert_int_equal(time_shift_encode(shift, 1, &option, &size), 0);
	assert_int_equal(time_shift_decode(&reader, option, size), 0);
	free(option);
	return reader;
}

/* The host's own correction: forward steps, between which it is constant or rises */
static struct time_shift_reader make_after(size_t steps, bool rises, uint64_t *seed)
{
	struct time_shift_point points[2 * MAX_STEPS + 2];
	struct time_shift shift = { 1, 0, points };
	int64_t correction = 1000000, time = FROM - 5000;

	points[shift.nr_points++] = (struct time_shift_point) { time, correction };
	for (size_t i = 0; i < steps; i++) {
		int64_t length = (int64_t)prng_range(seed, 2, (TO - FROM) / MAX_STEPS);

		time += length;
		correction += rises ? (int64_t)prng_range(seed, 0, length / 8) : 0;
		points[shift.nr_points++] = (struct time_shift_point) { time, correction };
		correction += (int64_t)prng_range(seed, 0, 3000000);
		points[shift.nr_points++] = (struct time_shift_point) { time + 1, correction };
	}
	time += 2 + prng(seed) % 100000;
	points[shift.nr_points++] = (struct time_shift_point) { time, correction };
	return read_back(&shift);
}

static void make_histories(struct vcpu_history *histories, bool scaled, uint64_t *seed)
{
	for (size_t i = 0; i < NR_VCPUS; i++) {
		struct tsc_mapping map = { .offset = -(int64_t)prng_range(seed, 1, FROM / 2), .frac_bits = 32 };
		size_t nr = prng_range(seed, 0, MAX_STEPS);
		uint64_t time = FROM;

		if (scaled)
			map.ratio = (1ULL << 32) + prng_range(seed, 0, 1ULL << 31);
		vcpu_history_set_initial(&histories[i], &map);
		for (size_t j = 0; j < nr; j++) {
			struct tsc_mapping previous = map;

			time += prng_range(seed, 1, (TO - FROM) / MAX_STEPS);
			map.offset += (int64_t)prng_range(seed, 0, 1000000);
			assert_int_equal(vcpu_history_add(&histories[i], time, &map, &previous), 0);
		}
	}
}

static uint64_t difference(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static void check_at(const struct time_shift_reader *both, const struct time_shift_reader *guest,
		     const struct time_shift_reader *after, size_t vcpu, uint64_t time, uint64_t tolerance)
{
	uint64_t wanted = time_shift_apply(after, 0, time_shift_apply(guest, vcpu, time));
	uint64_t shown = time_shift_apply(both, vcpu, time);

	if (difference(shown, wanted) > tolerance)
		fail_msg("vCPU %zu: %lu is shown at %lu, not %lu", vcpu, (unsigned long)time, (unsigned long)shown,
			 (unsigned long)wanted);
}

/* Check times around each sync point and at random */
static void check_composed(const struct time_shift *shift, const struct time_shift_reader *guest,
			   const struct time_shift_reader *after, uint64_t tolerance, uint64_t *seed)
{
	struct time_shift_reader both = read_back(shift);

	for (size_t vcpu = 0; vcpu < NR_VCPUS; vcpu++) {
		const struct time_shift_sample *samples = both.samples[vcpu];
		size_t nr = both.nr_samples[vcpu];
		uint64_t first = (uint64_t)guest->samples[vcpu][0].ts;
		uint64_t last = (uint64_t)guest->samples[vcpu][guest->nr_samples[vcpu] - 1].ts;

		for (size_t i = 0; i < nr; i++) {
			for (uint64_t at = (uint64_t)samples[i].ts - 3; at <= (uint64_t)samples[i].ts + 3; at++) {
				if (at >= first && at <= last)
					check_at(&both, guest, after, vcpu, at, tolerance);
			}
		}
		for (int i = 0; i < 2000; i++)
			check_at(&both, guest, after, vcpu, prng_range(seed, first, last), tolerance);
		/* The ends continue as before */
		check_at(&both, guest, after, vcpu, first - 1, tolerance);
		check_at(&both, guest, after, vcpu, last + 1, tolerance);
	}
	time_shift_reader_release(&both);
}

static void test_both(void **state)
{
	static const struct { const char *name; bool scaled, rises; uint64_t tolerance; } cases[] = {
		{ "steps alone: to the cycle", false, false, 0 },
		{ "a guest that is scaled", true, false, 2 },
		{ "a host that is scaled", false, true, 1 },
		{ "both", true, true, 2 },
	};
	uint64_t seed = 73;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (size_t n = 0; n < 60; n++) {
			struct vcpu_history histories[NR_VCPUS] = { { 0 } };
			const struct vcpu_history *pointers[NR_VCPUS] = { &histories[0], &histories[1], &histories[2] };
			struct time_shift_reader after, guest;
			struct time_shift shift;

			after = make_after(n % (MAX_STEPS + 1), cases[i].rises, &seed);
			make_histories(histories, cases[i].scaled, &seed);
			assert_int_equal(time_shift_build(&shift, pointers, NR_VCPUS, FROM, TO), 0);
			guest = read_back(&shift);
			assert_int_equal(time_shift_compose(&shift, &after), 0);
			assert_int_equal(shift.nr_vcpus, NR_VCPUS);
			for (size_t v = 0; v < NR_VCPUS; v++) {
				const struct time_shift_point *points = time_shift_vcpu(&shift, v);

				for (size_t k = 1; k < shift.nr_points; k++)
					assert_true(points[k - 1].guest_tsc < points[k].guest_tsc);
			}
			check_composed(&shift, &guest, &after, cases[i].tolerance, &seed);
			time_shift_reader_release(&guest);
			time_shift_reader_release(&after);
			time_shift_release(&shift);
			for (size_t v = 0; v < NR_VCPUS; v++)
				free(histories[v].segments);
		}
	}
}

/* A step of the second correction at and near each end of a line of the first */
static void test_step_at_ends(void **state)
{
	for (uint64_t step = 4997; step <= 5003; step++) {
		for (uint64_t end = 9997; end <= 10055; end += end == 10003 ? 44 : 1) {
			struct time_shift_point after_points[] = {
				{ 1, 0 }, { step - 1, 0 }, { step, 30 }, { end - 1, 30 }, { end, 700 }, { 20000, 700 },
			};
			struct time_shift_point sync_points[] = {
				{ 5000, 0 }, { 9999, 0 }, { 10000, 50 }, { 10002, 50 }, { 11000, 50 },
			};
			struct time_shift after_shift = { 1, 6, after_points }, guest_shift = { 1, 5, sync_points };
			struct time_shift_reader after = read_back(&after_shift), guest = read_back(&guest_shift), both;
			struct time_shift shift = { 1, 5, malloc(sizeof(sync_points)) };

			assert_non_null(shift.points);
			memcpy(shift.points, sync_points, sizeof(sync_points));
			assert_int_equal(time_shift_compose(&shift, &after), 0);
			both = read_back(&shift);
			for (uint64_t time = 5000; time <= 11000; time++)
				check_at(&both, &guest, &after, 0, time, 0);
			time_shift_reader_release(&both);
			time_shift_reader_release(&guest);
			time_shift_reader_release(&after);
			time_shift_release(&shift);
		}
	}
}

/* Readers' products stay below 2^60, however steep a correction is */
static void test_steep(void **state)
{
	struct time_shift_point after_points[] = { { 1000, 0 }, { 1LL << 31, 1LL << 31 } };
	struct time_shift after_shift = { 1, 2, after_points };
	struct time_shift_reader after = read_back(&after_shift);
	struct time_shift shift = { 1, 2, calloc(2, sizeof(*shift.points)) };

	assert_non_null(shift.points);
	shift.points[0] = (struct time_shift_point) { 5000, 100 };
	shift.points[1] = (struct time_shift_point) { (1LL << 31) - 5000, 100 };
	assert_int_equal(time_shift_compose(&shift, &after), 0);
	/* Halving the length divides the product by four */
	assert_int_equal(shift.nr_points, 5);
	for (size_t i = 1; i < shift.nr_points; i++) {
		unsigned __int128 length = shift.points[i].guest_tsc - shift.points[i - 1].guest_tsc;
		unsigned __int128 rise = llabs(shift.points[i].correction - shift.points[i - 1].correction);

		assert_true(length <= 1 || length * rise < (unsigned __int128)1 << 60);
	}
	time_shift_release(&shift);
	time_shift_reader_release(&after);
}

/* A step stays a step, however high it is: there is nothing between its ends */
static void test_high_step(void **state)
{
	struct time_shift_point after_points[] = { { 1, 0 }, { 7999, 0 }, { 8000, 1LL << 61 }, { 20000, 1LL << 61 } };
	struct time_shift after_shift = { 1, 4, after_points };
	struct time_shift_reader after = read_back(&after_shift), both;
	struct time_shift shift = { 1, 2, calloc(2, sizeof(*shift.points)) };

	assert_non_null(shift.points);
	shift.points[0].guest_tsc = 5000;
	shift.points[1].guest_tsc = 10000;
	assert_int_equal(time_shift_compose(&shift, &after), 0);
	assert_true(shift.nr_points <= 8);
	both = read_back(&shift);
	assert_int_equal(time_shift_apply(&both, 0, 7999), 7999);
	assert_int_equal(time_shift_apply(&both, 0, 8000), 8000 + (1LL << 61));
	time_shift_reader_release(&both);
	time_shift_release(&shift);
	time_shift_reader_release(&after);
}

static void test_limits(void **state)
{
	static const struct { const char *name; int64_t first, last; int result; } cases[] = {
		{ "in the midst", 1000, 2000, 0 },
		{ "the first time of all", 2, 2000, 0 },
		{ "before it", 1, 2000, -ERANGE },
		{ "the last time of all", 1000, INT64_MAX - 2, 0 },
		{ "after it", 1000, INT64_MAX - 1, -ERANGE },
		{ "negative times", -2000, -1000, -ERANGE },
	};
	struct time_shift_point after_points[] = { { 1000, 7 }, { 2000, 7 } };
	struct time_shift after_shift = { 1, 2, after_points };
	struct time_shift_reader after = read_back(&after_shift);

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct time_shift shift = { 1, 2, calloc(2, sizeof(*shift.points)) };
		struct time_shift_point *before = shift.points;
		int ret;

		assert_non_null(shift.points);
		shift.points[0] = (struct time_shift_point) { cases[i].first, 0 };
		shift.points[1] = (struct time_shift_point) { cases[i].last, 0 };
		ret = time_shift_compose(&shift, &after);
		if (ret != cases[i].result)
			fail_msg("%s: %d", cases[i].name, ret);
		/* After an error the sync points are unchanged */
		if (ret)
			assert_true(shift.points == before && shift.nr_points == 2);
		time_shift_release(&shift);
	}
	time_shift_reader_release(&after);
}

/* More sync points than the option can have, for many CPUs: refused quickly */
static void test_too_many(void **state)
{
	const size_t nr = 1 << 12, nr_vcpus = 1 << 15;
	struct time_shift after_shift = { 1, nr, calloc(nr, sizeof(*after_shift.points)) };
	struct time_shift shift = { nr_vcpus, 2, calloc(2 * nr_vcpus, sizeof(*shift.points)) };
	struct time_shift_reader after;

	assert_non_null(after_shift.points);
	assert_non_null(shift.points);
	for (size_t i = 0; i < nr; i++)
		after_shift.points[i] = (struct time_shift_point) { 10000 + 2 * i, i % 2 };
	for (size_t i = 0; i < nr_vcpus; i++) {
		shift.points[2 * i] = (struct time_shift_point) { 5000, 0 };
		shift.points[2 * i + 1] = (struct time_shift_point) { 50000, 0 };
	}
	after = read_back(&after_shift);
	assert_int_equal(time_shift_compose(&shift, &after), -E2BIG);
	assert_int_equal(shift.nr_points, 2);
	time_shift_release(&shift);
	time_shift_release(&after_shift);
	time_shift_reader_release(&after);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both),
		cmocka_unit_test(test_step_at_ends),
		cmocka_unit_test(test_steep),
		cmocka_unit_test(test_high_step),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
