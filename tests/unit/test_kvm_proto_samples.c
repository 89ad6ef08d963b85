// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Samples as sync points: a reader that interpolates between the sync points must find what one that takes samples
 * for steps finds between the samples.
 *
 * Both readers are models, written from what is known of the stock reader's two modes. They are compared
 * at and around every sample of sequences made up at random from a fixed seed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kvm_proto_samples.h"
#include "prng.h"

#define MAX_SAMPLES	40

/* The last sample at or before @ts holds, before the first one the first */
static int64_t read_steps(const struct kvm_proto_sample *samples, size_t nr, int64_t ts)
{
	const struct kvm_proto_sample *in_force = &samples[0];

	for (size_t i = 1; i < nr; i++) {
		if (samples[i].ts <= ts && samples[i].ts >= in_force->ts)
			in_force = &samples[i];
	}
	return (int64_t)(((uint64_t)ts * in_force->scaling) >> in_force->frac) + in_force->offset;
}

/* The mode that TIME_SHIFT's flag asks for; @nr at least 2 */
static int64_t read_interpolated(const struct kvm_proto_sample *points, size_t nr, int64_t ts)
{
	size_t at = 0;
	int64_t delta, product;

	while (at + 2 < nr && points[at + 1].ts <= ts)
		at++;
	delta = points[at + 1].ts - points[at].ts;
	assert_true(delta > 0);
	assert_false(__builtin_mul_overflow(ts - points[at].ts,
					    points[at + 1].offset - points[at].offset, &product));
	return (int64_t)(((uint64_t)ts * points[at].scaling) >> points[at].frac) + points[at].offset +
		(product + delta / 2) / delta;
}

static struct kvm_proto_sample *all_points(const struct kvm_proto_samples *samples, size_t nr)
{
	struct kvm_proto_sample *points = calloc(nr, sizeof(*points));

	assert_non_null(points);
	for (size_t i = 0; i < nr; i++)
		points[i] = kvm_proto_samples_point(samples, i);
	return points;
}

static void compare(const struct kvm_proto_sample *taken, size_t nr_taken, size_t padding)
{
	struct kvm_proto_samples samples = { 0 };
	struct kvm_proto_sample *points;
	size_t nr;

	for (size_t i = 0; i < nr_taken; i++)
		assert_int_equal(kvm_proto_samples_add(&samples, &taken[i]), 0);
	nr = kvm_proto_samples_nr_points(&samples) + padding;
	assert_true(nr >= 2);
	points = all_points(&samples, nr);
	for (size_t i = 0; i < nr_taken; i++) {
		for (int64_t ts = taken[i].ts - 3; ts <= taken[i].ts + 3; ts++)
			assert_int_equal(read_interpolated(points, nr, ts),
					 read_steps(taken, nr_taken, ts));
	}
	for (int64_t ts = taken[nr_taken - 1].ts; ts < (1LL << 60); ts *= 2)
		assert_int_equal(read_interpolated(points, nr, ts), read_steps(taken, nr_taken, ts));
	free(points);
	kvm_proto_samples_release(&samples);
}

static void random_sequences(void **state)
{
	uint64_t seed = 1;
	size_t compared = 0;

	for (int round = 0; round < 20000; round++) {
		struct kvm_proto_sample taken[MAX_SAMPLES];
		size_t nr = prng_range(&seed, 1, MAX_SAMPLES);
		struct kvm_proto_sample sample = { .ts = 1000, .scaling = 1 };

		for (size_t i = 0; i < nr; i++) {
			sample.ts += prng_range(&seed, 2, i % 3 ? 1000000000 : 5);
			/* Few values: many samples equal the one before */
			sample.offset = (int64_t)prng_range(&seed, 0, 3) * 40000000000 - 60000000000;
			taken[i] = sample;
		}
		compare(taken, nr, prng_range(&seed, 0, 4));
		compared += nr;
	}
	printf("%zu samples read as steps and as sync points: the same\n", compared);
}

static void scaled(void **state)
{
	/* KVM's ratio of a guest at 1.25 times the host's frequency, changed to 1:1 */
	const struct kvm_proto_sample taken[] = {
		{ 1000000, -5000, 0x4000000000 / 5, 38 }, { 2000000, 77, 1, 0 }, { 3000000, 77, 1, 0 },
	};

	compare(taken, 3, 0);
}

static void zero_is_a_value(void **state)
{
	const struct kvm_proto_sample taken[] = { { 100, 0, 1, 0 }, { 200, -50, 1, 0 }, { 300, 0, 1, 0 } };

	compare(taken, 3, 0);
}

static void only_news_takes_room(void **state)
{
	struct kvm_proto_samples samples = { 0 };

	for (int i = 1; i <= 1000; i++) {
		struct kvm_proto_sample sample = { 1000 * i, i < 500 ? 1 : 2, 1, 0 };

		assert_int_equal(kvm_proto_samples_add(&samples, &sample), 0);
	}
	assert_int_equal(kvm_proto_samples_nr_points(&samples), 4);
	assert_int_equal(kvm_proto_samples_point(&samples, 1).ts, 499999);
	assert_int_equal(kvm_proto_samples_point(&samples, 2).ts, 500000);
	kvm_proto_samples_release(&samples);
	assert_int_equal(kvm_proto_samples_nr_points(&samples), 0);
}

/* Times that are not in order come from a guest's agent as well; sync points must be, whatever comes */
static void any_order(void **state)
{
	uint64_t seed = 7;

	for (int round = 0; round < 20000; round++) {
		struct kvm_proto_samples samples = { 0 };
		struct kvm_proto_sample *points;
		size_t nr;

		for (size_t i = 0; i < 20; i++) {
			struct kvm_proto_sample sample = {
				.ts	 = prng_range(&seed, 1, round % 2 ? 30 : 1ULL << 61),
				.offset	 = prng_range(&seed, 0, 2),
				.scaling = 1,
			};

			assert_int_equal(kvm_proto_samples_add(&samples, &sample), 0);
		}
		nr = kvm_proto_samples_nr_points(&samples);
		points = all_points(&samples, nr);
		for (size_t i = 1; i < nr; i++)
			assert_true(points[i].ts > points[i - 1].ts);
		free(points);
		kvm_proto_samples_release(&samples);
	}
}

static void times_that_readers_cannot_sort(void **state)
{
	const int64_t times[] = { 0, -1, INT64_MIN, INT64_MAX, 1LL << 62 };
	struct kvm_proto_samples samples = { 0 };

	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		struct kvm_proto_sample sample = { times[i], 5, 1, 0 };

		assert_int_equal(kvm_proto_samples_add(&samples, &sample), -ERANGE);
	}
	assert_int_equal(kvm_proto_samples_nr_points(&samples), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_sequences),
		cmocka_unit_test(scaled),
		cmocka_unit_test(zero_is_a_value),
		cmocka_unit_test(only_news_takes_room),
		cmocka_unit_test(any_order),
		cmocka_unit_test(times_that_readers_cannot_sort),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
