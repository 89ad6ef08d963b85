// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * How stock readers apply a TIME_SHIFT option.
 *
 * The options are written here byte by byte, and read by a model. The model scans all samples from the front and
 * computes in 128 bits, where the reader searches and wraps. The cases in which numbers wrap or times are on both
 * sides of 2^63 are compared with the real reader in tests/files.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "history.h"
#include "prng.h"
#include "time_shift.h"
#include "time_shift_reader.h"

#define MAX_VCPUS	4
#define MAX_SAMPLES	8
#define MAX_OPTION	(16 + MAX_VCPUS * (4 + MAX_SAMPLES * 32))

typedef __int128 s128;

/* The contents of an option */
struct option {
	uint32_t			flags;
	uint32_t			nr_vcpus;
	uint32_t			nr[MAX_VCPUS];
	struct time_shift_sample	samples[MAX_VCPUS][MAX_SAMPLES];
};

static void *put(void *to, const void *from, size_t size)
{
	return (char *)memcpy(to, from, size) + size;
}

static size_t write_option(const struct option *option, bool fractions, uint8_t *bytes)
{
	static const uint64_t trace_id = 0x1122334455667788;
	void *p = put(bytes, &trace_id, 8);

	p = put(p, &option->flags, 4);
	p = put(p, &option->nr_vcpus, 4);
	for (uint32_t v = 0; v < option->nr_vcpus; v++) {
		p = put(p, &option->nr[v], 4);
		for (uint32_t i = 0; i < option->nr[v]; i++)
			p = put(p, &option->samples[v][i].ts, 8);
		for (uint32_t i = 0; i < option->nr[v]; i++)
			p = put(p, &option->samples[v][i].offset, 8);
		for (uint32_t i = 0; i < option->nr[v]; i++)
			p = put(p, &option->samples[v][i].scaling, 8);
	}
	for (uint32_t v = 0; fractions && v < option->nr_vcpus; v++) {
		for (uint32_t i = 0; i < option->nr[v]; i++)
			p = put(p, &option->samples[v][i].frac, 8);
	}
	return (uint8_t *)p - bytes;
}

/* Decode a copy of exactly this size, so that sanitizers detect reads after it */
static int decode(struct time_shift_reader *reader, const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	int ret;

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	ret = time_shift_decode(reader, copy, size);
	free(copy);
	return ret;
}

static void read_option(struct time_shift_reader *reader, const struct option *option)
{
	uint8_t bytes[MAX_OPTION];

	assert_int_equal(decode(reader, bytes, write_option(option, true, bytes)), 0);
}

/*
 * The last sample at or before @ts is used; before the first sample, the first. Samples are in any order, all times
 * below 2^63. The last sample only ends the step before it, unless @last_too.
 */
static uint64_t model(const struct option *option, uint32_t vcpu, uint64_t ts, bool last_too)
{
	const struct time_shift_sample *samples = option->samples[vcpu];
	const struct time_shift_sample *at = NULL, *after = NULL, *before = NULL;
	uint32_t nr = vcpu < option->nr_vcpus ? option->nr[vcpu] : 0;
	s128 correction, scaled;

	if (!nr)
		return ts;
	if (nr == 1)
		return ts + (uint64_t)samples[0].offset;
	for (uint32_t i = 0; i < nr; i++) {
		if ((uint64_t)samples[i].ts <= ts && (!at || samples[i].ts > at->ts))
			at = &samples[i];
	}
	for (uint32_t i = 0; i < nr && !at; i++) {
		if (!before || samples[i].ts < before->ts)
			before = &samples[i];
	}
	if (!at)
		at = before;
	for (uint32_t i = 0; i < nr; i++) {
		if (samples[i].ts > at->ts && (!after || samples[i].ts < after->ts))
			after = &samples[i];
	}
	if (!after && !last_too) {
		/* The last sample only ends the last step */
		after = at;
		at = NULL;
		for (uint32_t i = 0; i < nr; i++) {
			if (samples[i].ts < after->ts && (!at || samples[i].ts > at->ts))
				at = &samples[i];
		}
	}
	correction = at->offset;
	if (option->flags & 1) {
		s128 length = (s128)after->ts - at->ts;

		correction += (((s128)ts - at->ts) * ((s128)after->offset - at->offset) +
			       length / 2) / length;
	}
	scaled = ((s128)ts * at->scaling) >> at->frac;
	return (uint64_t)(scaled + correction);
}

static void random_option(struct option *option, uint64_t from, uint64_t to, uint64_t *seed)
{
	/* Bits other than the first mean nothing */
	option->flags = prng(seed) & 0xff;
	option->nr_vcpus = prng_range(seed, 1, MAX_VCPUS);
	for (uint32_t v = 0; v < option->nr_vcpus; v++) {
		option->nr[v] = prng_range(seed, 0, MAX_SAMPLES);
		for (uint32_t i = 0; i < option->nr[v]; i++) {
			struct time_shift_sample *sample = &option->samples[v][i];
			bool again = true;

			*sample = (struct time_shift_sample) {
				.offset		= (int64_t)prng_range(seed, 0, 1 << 20) - (1 << 19),
				.scaling	= prng(seed) % 4 ? 1 : prng_range(seed, 0, 1000),
				.frac		= prng(seed) % 4 ? 0 : prng_range(seed, 0, 20),
			};
			while (again) {
				sample->ts = prng_range(seed, from, to);
				again = false;
				for (uint32_t j = 0; j < i; j++)
					again |= option->samples[v][j].ts == sample->ts;
			}
		}
	}
}

static void test_model(void **state)
{
	struct time_shift_reader reader;
	size_t compared = 0, steps_differ = 0;
	struct option option;
	uint64_t seed = 21;

	for (int i = 0; i < 3000; i++) {
		uint64_t from = prng_range(&seed, 0, 1ULL << 40), to = from + 1 + (i % 3 ? 40 : 1 << 20);

		random_option(&option, from, to, &seed);
		read_option(&reader, &option);
		for (uint32_t v = 0; v < MAX_VCPUS; v++) {
			assert_int_equal(time_shift_corrects(&reader, v),
					 v < option.nr_vcpus && option.nr[v]);
			for (int k = 0; k < 60; k++) {
				uint64_t ts = prng_range(&seed, from > 10 ? from - 10 : 0, to + 10);
				uint64_t exact = model(&option, v, ts, false);

				/* Also at the samples themselves */
				if (k < 8 && v < option.nr_vcpus && option.nr[v]) {
					ts = option.samples[v][k % option.nr[v]].ts;
					exact = model(&option, v, ts, false);
				}
				if (time_shift_apply(&reader, v, ts) != exact)
					fail_msg("option %d, vCPU %u, time %" PRIu64 ": %" PRIu64
						 " instead of %" PRIu64, i, v, ts,
						 time_shift_apply(&reader, v, ts), exact);
				compared++;
				if (!(option.flags & 1))
					steps_differ += model(&option, v, ts, true) != exact;
			}
		}
		time_shift_reader_release(&reader);
	}
	/* The control: applying the last sample would be noticed */
	assert_true(steps_differ > 1000);
	print_message("%zu times as the model has them; %zu would differ if the last step counted\n",
		      compared, steps_differ);
}

/* Every wrong length is an error, or no option at all */
static void test_cut_off(void **state)
{
	struct option option = {
		.flags = 1, .nr_vcpus = 3, .nr = { 2, 0, 3 },
		.samples = { { { 10, 1, 1, 0 }, { 20, 2, 1, 0 } }, { { 0 } },
			     { { 5, 7, 1, 0 }, { 6, 8, 1, 0 }, { 7, 9, 1, 0 } } },
	};
	struct time_shift_reader reader;
	uint8_t bytes[MAX_OPTION + 8];
	size_t without = write_option(&option, false, bytes);
	size_t whole = write_option(&option, true, bytes);

	memset(bytes + whole, 0xff, 8);
	for (size_t size = 0; size <= whole + 8; size++) {
		int ret = decode(&reader, bytes, size);
		int wanted = -EBADMSG;

		if (size < 16)
			wanted = -ENODATA;
		else if (size == without || size >= whole)
			wanted = 0;
		if (ret != wanted)
			fail_msg("%zu of %zu bytes: %d instead of %d", size, whole, ret, wanted);
		assert_int_equal(reader.nr_vcpus, ret ? 0 : 3);
		/* After an error nothing is corrected */
		assert_int_equal(time_shift_apply(&reader, 2, 6), ret ? 6 : 14);
		assert_int_equal(time_shift_apply(&reader, 1, 6), 6);
		assert_int_equal(time_shift_apply(&reader, 3, 6), 6);
		assert_int_equal(time_shift_apply(&reader, SIZE_MAX, 6), 6);
		time_shift_reader_release(&reader);
	}
	print_message("%zu lengths\n", whole + 8);
}

/* Counts that exceed the option, up to products that do not fit into 64 bits */
static void test_counts(void **state)
{
	static const uint32_t counts[] = {
		5, 1000, 0x0aaaaaab, 0x10000000, 0x20000000, 0x7fffffff, 0x80000000, 0xffffffff,
	};
	struct option option = {
		.nr_vcpus = 2, .nr = { 1, 2 }, .samples = { { { 1, 2, 1, 0 } }, { { 3, 4, 1, 0 } } },
	};
	struct time_shift_reader reader;
	uint8_t bytes[MAX_OPTION];
	size_t size = write_option(&option, true, bytes);

	assert_int_equal(decode(&reader, bytes, size), 0);
	time_shift_reader_release(&reader);
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		/* The number of vCPUs, and of samples of the first one */
		for (size_t at = 12; at <= 16; at += 4) {
			write_option(&option, true, bytes);
			memcpy(bytes + at, &counts[i], 4);
			assert_int_equal(decode(&reader, bytes, size), -EBADMSG);
			time_shift_reader_release(&reader);
		}
	}
	/* No vCPUs: readers behave as without the option */
	write_option(&option, true, bytes);
	memset(bytes + 12, 0, 4);
	assert_int_equal(decode(&reader, bytes, size), 0);
	assert_int_equal(time_shift_apply(&reader, 0, 100), 100);
	time_shift_reader_release(&reader);
}

struct known {
	const char			*what;
	uint32_t			flags;
	uint32_t			nr;
	struct time_shift_sample	samples[4];
	uint64_t			ts;
	uint64_t			host;
};

static const struct known known[] = {
	{ "a single sample is not scaled", 0, 1, { { 100, 5, 7, 3 } }, 1000, 1005 },
	{ "nor is it in the other mode", 1, 1, { { 100, -5, 7, 3 } }, 1000, 995 },
	{ "of two steps the first, before them", 0, 2, { { 10, 1, 1, 0 }, { 20, 2, 1, 0 } }, 5, 6 },
	{ "and after them", 0, 2, { { 10, 1, 1, 0 }, { 20, 2, 1, 0 } }, 25, 26 },
	{ "of three steps the second, from itself on", 0, 3,
	  { { 10, 1, 1, 0 }, { 20, 2, 1, 0 }, { 30, 3, 1, 0 } }, 20, 22 },
	{ "and after the third", 0, 3,
	  { { 10, 1, 1, 0 }, { 20, 2, 1, 0 }, { 30, 3, 1, 0 } }, 30, 32 },
	{ "samples are sorted", 0, 3,
	  { { 30, 3, 1, 0 }, { 10, 1, 1, 0 }, { 20, 2, 1, 0 } }, 19, 20 },
	{ "of equal times the first counts", 0, 4,
	  { { 20, 2, 1, 0 }, { 10, 1, 1, 0 }, { 20, 9, 1, 0 }, { 30, 3, 1, 0 } }, 20, 22 },
	{ "and makes two samples of three", 0, 3,
	  { { 20, 2, 1, 0 }, { 10, 1, 1, 0 }, { 20, 9, 1, 0 } }, 25, 26 },
	{ "also if they are in order", 1, 4,
	  { { 10, 1, 1, 0 }, { 20, 2, 1, 0 }, { 20, 9, 1, 0 }, { 30, 4, 1, 0 } }, 25, 28 },
	{ "between two sync points", 1, 2, { { 10, 0, 1, 0 }, { 20, 100, 1, 0 } }, 14, 54 },
	{ "before them", 1, 2, { { 10, 0, 1, 0 }, { 20, 100, 1, 0 } }, 5, (uint64_t)5 - 49 },
	{ "after them", 1, 2, { { 10, 0, 1, 0 }, { 20, 100, 1, 0 } }, 25, 175 },
	{ "a quotient is cut towards zero", 1, 2, { { 0, 0, 1, 0 }, { 10, -9, 1, 0 } }, 1, 1 },
	{ "scaling and then the offset", 0, 2, { { 10, 1, 3, 1 }, { 20, 2, 1, 0 } }, 7, 11 },
	{ "a negative offset beyond the time wraps", 0, 1, { { 0, -10, 1, 0 } }, 3, UINT64_MAX - 6 },
	{ "the most negative offset", 0, 2, { { 0, INT64_MIN, 1, 0 }, { 1, 0, 1, 0 } }, 3,
	  (1ULL << 63) + 3 },
	{ "fraction bits beyond 31", 0, 2, { { 0, 0, 3LL << 40, 40 }, { 1, 0, 1, 0 } }, 8, 24 },
	{ "fraction bits beyond 63", 0, 2, { { 0, 0, 1, 65 }, { 1, 0, 1, 0 } }, 8, 4 },
	{ "negative fraction bits", 0, 2, { { 0, 0, 1, -63 }, { 1, 0, 1, 0 } }, 8, 4 },
	{ "negative scaling", 0, 2, { { 0, 0, -1, 0 }, { 1, 0, 1, 0 } }, 8, (uint64_t)-8 },
	{ "a product that wraps", 1, 2, { { 0, 0, 1, 0 }, { 2, INT64_MAX, 1, 0 } }, 4,
	  /* 4 * (2^63 - 1) is -4 in 64 bits, plus 1, by 2 */
	  4 - 1 },
	{ "times as far apart as can be", 1, 2,
	  { { INT64_MIN, 0, 1, 0 }, { INT64_MAX, 1LL << 62, 1, 0 } }, 1ULL << 63, 1ULL << 63 },
	{ "of times on both sides of 2^63 the first step holds below", 0, 4,
	  { { -20, 1, 1, 0 }, { -10, 2, 1, 0 }, { 10, 3, 1, 0 }, { 20, 4, 1, 0 } }, 15, 16 },
	{ "from its own sample on", 0, 4,
	  { { -20, 1, 1, 0 }, { -10, 2, 1, 0 }, { 10, 3, 1, 0 }, { 20, 4, 1, 0 } }, (uint64_t)-20, (uint64_t)-19 },
	{ "and the third one above, but for its end", 0, 4,
	  { { -20, 1, 1, 0 }, { -10, 2, 1, 0 }, { 10, 3, 1, 0 }, { 20, 4, 1, 0 } }, (uint64_t)-15, (uint64_t)-12 },
	{ "a quotient that does not fit", 1, 2,
	  { { INT64_MIN, 0, 1, 0 }, { INT64_MAX, INT64_MIN, 1, 0 } }, (1ULL << 63) + 1,
	  /* 1 * INT64_MIN, by -1 */
	  1 },
};

static void test_known(void **state)
{
	size_t nr = sizeof(known) / sizeof(*known), caught = 0;

	for (size_t i = 0; i < nr; i++) {
		const struct known *k = &known[i];
		struct option option = { .flags = k->flags, .nr_vcpus = 1, .nr = { k->nr } };
		struct time_shift_reader reader;
		uint64_t host;

		memcpy(option.samples[0], k->samples, sizeof(k->samples));
		read_option(&reader, &option);
		host = time_shift_apply(&reader, 0, k->ts);
		if (host != k->host)
			fail_msg("%s: %" PRIu64 " instead of %" PRIu64, k->what, host, k->host);
		time_shift_reader_release(&reader);
		/* The control: without the option the times would differ, except where the case says so */
		caught += k->ts != k->host;
	}
	assert_true(caught >= nr - 2);
	print_message("%zu options of one vCPU\n", nr);
}

/* The output of time_shift_encode() is read back exactly, to the cycle */
static void test_round_trip(void **state)
{
	uint64_t seed = 22;
	size_t compared = 0;

	for (int i = 0; i < 300; i++) {
		uint64_t host = 1ULL << 50, from = host, ends[2][10];
		const struct vcpu_history *vcpus[2];
		struct vcpu_history histories[2] = { 0 };
		struct time_shift_reader reader;
		struct time_shift shift;
		void *bytes;
		size_t size;

		for (int v = 0; v < 2; v++) {
			struct tsc_mapping map = { .offset = -(int64_t)prng_range(&seed, 0, 1ULL << 49) };

			vcpus[v] = &histories[v];
			vcpu_history_set_initial(&histories[v], &map);
			host = from;
			for (int k = 0; k < (v ? i % 10 : 3); k++) {
				const struct tsc_mapping previous = map;

				host += prng_range(&seed, 2, 1 << 24);
				ends[v][k] = host;
				map.offset += prng_range(&seed, 0, 1 << 24);
				assert_int_equal(vcpu_history_add(&histories[v], host, &map,
								  &previous), 0);
			}
		}
		assert_int_equal(time_shift_build(&shift, vcpus, 2, from, from + (1ULL << 30)), 0);
		assert_int_equal(time_shift_encode(&shift, 42, &bytes, &size), 0);
		assert_int_equal(decode(&reader, bytes, size), 0);
		assert_int_equal(reader.host_trace_id, 42);
		assert_true(reader.interpolate);
		assert_int_equal(reader.nr_vcpus, 2);
		for (int v = 0; v < 2; v++) {
			assert_int_equal(reader.nr_samples[v], shift.nr_points);
			for (int k = 0; k < 100; k++) {
				size_t nr = histories[v].nr_segments;
				uint64_t at = from + prng_range(&seed, 0, 1 << 27);
				struct tsc_mapping map;

				if (nr && k % 2)
					at = ends[v][prng(&seed) % nr] - k / 2 % 2;
				assert_true(vcpu_history_at(&histories[v], at, &map));
				assert_int_equal(time_shift_apply(&reader, v,
								  tsc_guest_from_host(&map, at)), at);
				compared++;
			}
			free(histories[v].segments);
		}
		free(bytes);
		time_shift_release(&shift);
		time_shift_reader_release(&reader);
	}
	print_message("%zu guest times read back to the cycle\n", compared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
