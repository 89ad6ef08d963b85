// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The sync points of TIME_SHIFT, applied as stock readers apply them.
 *
 * reader_host() below is a model of such a reader, written from what is known of its behaviour, with every step of
 * its signed 64-bit arithmetic checked. Its results are compared with the exact mapping (oracle.c), for random
 * histories from a fixed seed.
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
#include "oracle.h"
#include "prng.h"
#include "time_shift.h"

#define GHZ			1000000000ULL
#define DAYS_10_AT_5GHZ		(10ULL * 86400 * 5 * GHZ)

/* A change of a vCPU's mapping */
struct change {
	uint64_t		host;
	struct tsc_mapping	map;
};

/* The changes of a vCPU, in the order of time; the histories under test are made from it */
struct script {
	struct tsc_mapping	initial;
	struct change		*changes;
	size_t			nr;
};

/* Guest times that a vCPU had under one mapping */
struct piece {
	uint64_t		from;
	uint64_t		to;
	struct tsc_mapping	map;
};

static uint64_t distance(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) < 0 ? b - a : a - b;
}

/*
 * The stock reader. Its search compares times as unsigned numbers, and takes the pair whose first sync point is the
 * last one at or before @ts. Outside of the sync points it extends the first or the last pair. With two sync points
 * it does not search at all.
 */
static uint64_t reader_host(const struct time_shift_point *points, size_t nr, uint64_t ts)
{
	int64_t length, along, rise, product, correction;
	size_t low = 0, high = nr - 2;

	while (low < high) {
		size_t mid = low + (high - low + 1) / 2;

		if ((uint64_t)points[mid].guest_tsc <= ts)
			low = mid;
		else
			high = mid - 1;
	}
	assert_false(
		__builtin_sub_overflow(points[low + 1].guest_tsc, points[low].guest_tsc, &length));
	assert_false(__builtin_sub_overflow((int64_t)ts, points[low].guest_tsc, &along));
	/* On a sync point the difference does not matter: it is multiplied by 0, even if it wrapped */
	if (!along)
		return ts + (uint64_t)points[low].correction;
	assert_false(
		__builtin_sub_overflow(points[low + 1].correction, points[low].correction, &rise));
	assert_false(__builtin_mul_overflow(along, rise, &product));
	assert_false(__builtin_add_overflow(product, length / 2, &product));
	correction = (int64_t)((uint64_t)points[low].correction + (uint64_t)(product / length));
	return ts + (uint64_t)correction;
}

static void make_history(struct vcpu_history *vcpu, const struct script *script)
{
	const struct tsc_mapping *previous = &script->initial;

	*vcpu = (struct vcpu_history) { 0 };
	vcpu_history_set_initial(vcpu, &script->initial);
	for (size_t i = 0; i < script->nr; i++) {
		assert_int_equal(vcpu_history_add(vcpu, script->changes[i].host,
						  &script->changes[i].map, previous), 0);
		previous = &script->changes[i].map;
	}
}

static int build(struct time_shift *shift, const struct script *scripts, size_t nr, uint64_t from,
		 uint64_t to)
{
	struct vcpu_history *histories = calloc(nr, sizeof(*histories));
	const struct vcpu_history **vcpus = calloc(nr, sizeof(*vcpus));
	int ret;

	assert_non_null(histories);
	assert_non_null(vcpus);
	for (size_t i = 0; i < nr; i++) {
		make_history(&histories[i], &scripts[i]);
		vcpus[i] = &histories[i];
	}
	ret = time_shift_build(shift, vcpus, nr, from, to);
	for (size_t i = 0; i < nr; i++)
		free(histories[i].segments);
	free(histories);
	free(vcpus);
	return ret;
}

/* The pieces of a script between two host times, without mappings that were never in force */
static size_t make_pieces(struct piece *pieces, const struct script *script, uint64_t from,
			  uint64_t to)
{
	const struct tsc_mapping *map = &script->initial;
	size_t nr = 0;

	for (size_t i = 0; i <= script->nr && from <= to; i++) {
		bool last = i == script->nr || script->changes[i].host > to;
		uint64_t end = last ? to : script->changes[i].host - 1;

		if (last || script->changes[i].host > from) {
			pieces[nr++] = (struct piece) {
				.from	= oracle_guest(map, from),
				.to	= oracle_guest(map, end),
				.map	= *map,
			};
			from = end + 1;
		}
		if (last)
			break;
		map = &script->changes[i].map;
	}
	return nr;
}

static uint64_t exact_host(const struct tsc_mapping *map, uint64_t guest)
{
	uint64_t host;

	assert_true(oracle_host(map, guest, &host));
	return host;
}

/* Check the rules for every option, and that no product between two neighbours overflows */
static void check_rules(const struct time_shift *shift)
{
	assert_true(shift->nr_points >= 2);
	for (size_t v = 0; v < shift->nr_vcpus; v++) {
		const struct time_shift_point *points = time_shift_vcpu(shift, v);

		for (size_t i = 0; i + 1 < shift->nr_points; i++) {
			uint64_t last = (uint64_t)points[i + 1].guest_tsc;

			assert_true(points[i].guest_tsc < points[i + 1].guest_tsc);
			assert_true((uint64_t)points[i].guest_tsc < last);
			reader_host(points, shift->nr_points, last - 1);
		}
		/* Also the second sync point of the last pair, which is used there too */
		reader_host(points, shift->nr_points, (uint64_t)points[shift->nr_points - 1].guest_tsc);
	}
}

struct tally {
	size_t		compared;
	uint64_t	worst;
};

static void compare(const struct time_shift *shift, size_t v, const struct tsc_mapping *map,
		    uint64_t guest, struct tally *tally)
{
	uint64_t exact = exact_host(map, guest);
	uint64_t read = reader_host(time_shift_vcpu(shift, v), shift->nr_points, guest);
	uint64_t off = distance(read, exact);

	if (off > (tsc_mapping_scaled(map) ? 2 : 0))
		fail_msg("vCPU %zu, guest time %" PRIu64 ": host %" PRIu64 " instead of %" PRIu64,
			 v, guest, read, exact);
	tally->compared++;
	if (off > tally->worst)
		tally->worst = off;
}

/*
 * A scaled guest continues for seven times the length of the last pair: no product overflows. Each of the two sync
 * points is right to one cycle, and the reader extrapolates their error as well.
 */
static void check_runs_on(const struct time_shift *shift, size_t v, const struct tsc_mapping *map)
{
	const struct time_shift_point *last = time_shift_vcpu(shift, v) + shift->nr_points - 1;
	uint64_t length = (uint64_t)last->guest_tsc - (uint64_t)(last - 1)->guest_tsc;

	for (uint64_t times = 1; times <= 7; times++) {
		uint64_t guest = (uint64_t)last->guest_tsc + times * length;
		uint64_t read = reader_host(time_shift_vcpu(shift, v), shift->nr_points, guest);

		assert_true(distance(read, exact_host(map, guest)) <= 2 * (times + 1));
	}
}

/* Check guest times of a vCPU that jumps only forward: at the ends of pieces, at sync points, and at random */
static void check_forward(const struct time_shift *shift, size_t v, const struct script *script,
			  uint64_t from, uint64_t to, uint64_t *seed, struct tally *tally)
{
	const struct time_shift_point *points = time_shift_vcpu(shift, v);
	struct piece *pieces = calloc(script->nr + 1, sizeof(*pieces));
	size_t nr, i, k, stride = 1 + shift->nr_points / 200;

	assert_non_null(pieces);
	nr = make_pieces(pieces, script, from, to);
	for (i = 0; i < nr; i++) {
		const struct piece *p = &pieces[i];

		compare(shift, v, &p->map, p->from, tally);
		compare(shift, v, &p->map, p->to, tally);
		for (k = 0; k < 1 + 200 / nr; k++)
			compare(shift, v, &p->map, prng_range(seed, p->from, p->to), tally);
		/* The time before the jump's target is on the old line, even if the guest's TSC never had it */
		if (i && pieces[i - 1].from < p->from - 1)
			compare(shift, v, &pieces[i - 1].map, p->from - 1, tally);
	}
	for (k = 0, i = 0; k < shift->nr_points; k += stride) {
		for (uint64_t ts = (uint64_t)points[k].guest_tsc - 1;
		     ts <= (uint64_t)points[k].guest_tsc + 1; ts++) {
			while (i + 1 < nr && pieces[i + 1].from <= ts)
				i++;
			if (ts >= pieces[i].from && ts <= pieces[i].to)
				compare(shift, v, &pieces[i].map, ts, tally);
		}
	}

	/* The first and the last pair are on the lines that are valid there */
	for (k = 0; k < 2; k++) {
		compare(shift, v, &pieces[0].map, (uint64_t)points[k].guest_tsc, tally);
		compare(shift, v, &pieces[nr - 1].map,
			(uint64_t)points[shift->nr_points - 1 - k].guest_tsc, tally);
	}
	/* So an unscaled guest can begin any time earlier and end any time later */
	if (!tsc_mapping_scaled(&pieces[0].map)) {
		uint64_t half = pieces[0].from >> 63 << 63;

		compare(shift, v, &pieces[0].map,
			prng_range(seed,
				   half + from < pieces[0].from ? pieces[0].from - from : half,
				   pieces[0].from),
			tally);
		compare(shift, v, &pieces[nr - 1].map, pieces[nr - 1].to + prng_any(seed) / 16,
			tally);
	} else {
		check_runs_on(shift, v, &pieces[nr - 1].map);
	}
	free(pieces);
}

/* A vCPU whose TSC moves forward @nr times between @from and @to */
static void random_forward(struct script *script, size_t nr, uint64_t from, uint64_t to,
			   uint64_t ratio, unsigned int frac_bits, uint64_t *seed)
{
	struct tsc_mapping map = { .ratio = ratio, .frac_bits = frac_bits };
	uint64_t host = from, scaled = oracle_guest(&map, from);
	/* If a scaled guest jumps, the range that it skips needs sync points as well */
	uint64_t budget = tsc_mapping_scaled(&map) ? to - from : 1ULL << 61;

	/* Guest time starts at 3 or later, so that there are two sync points before any step */
	switch (prng(seed) % 4) {
	case 0:
		map.offset = 0;
		break;
	case 1:
		map.offset = (int64_t)(prng_any(seed) >> 4);
		break;
	default:
		map.offset = -(int64_t)prng_range(seed, 0, scaled - 3);
	}
	script->initial = map;
	script->changes = calloc(nr + 1, sizeof(*script->changes));
	assert_non_null(script->changes);
	script->nr = 0;
	while (script->nr < nr) {
		uint64_t mean = (to - from) / nr, gap, jump = prng_any(seed) >> 4;

		switch (prng(seed) % 8) {
		case 0:
			gap = 1;	/* two changes in neighbouring cycles */
			break;
		case 1:
			gap = prng_range(seed, 1, 4);
			break;
		default:
			gap = prng_range(seed, 1, mean > 1 ? 2 * mean - 1 : 1);
		}
		if (to - host < gap)
			break;
		host += gap;
		if (jump > budget / nr)
			jump = prng_range(seed, 0, budget / nr);
		map.offset += jump;	/* sometimes 0: an event that changes nothing */
		script->changes[script->nr++] = (struct change) { host, map };
	}
}

static void run_forward(size_t nr_vcpus, const size_t *changes, uint64_t from, uint64_t to,
			uint64_t ratio, unsigned int frac_bits, uint64_t *seed, struct tally *tally,
			size_t *points)
{
	struct script *scripts = calloc(nr_vcpus, sizeof(*scripts));
	struct time_shift shift;

	assert_non_null(scripts);
	for (size_t v = 0; v < nr_vcpus; v++)
		random_forward(&scripts[v], changes[v], from, to, ratio, frac_bits, seed);
	assert_int_equal(build(&shift, scripts, nr_vcpus, from, to), 0);
	assert_int_equal(shift.nr_vcpus, nr_vcpus);
	check_rules(&shift);
	for (size_t v = 0; v < nr_vcpus; v++) {
		check_forward(&shift, v, &scripts[v], from, to, seed, tally);
		free(scripts[v].changes);
	}
	*points = shift.nr_points;
	time_shift_release(&shift);
	free(scripts);
}

static void test_unscaled(void **state)
{
	static const size_t few[] = { 0, 1, 2, 5 }, many[] = { 0, 5000, 1 };
	struct tally tally = { 0 };
	uint64_t seed = 11;
	size_t points;

	for (int i = 0; i < 200; i++) {
		uint64_t from = 3 + prng_range(&seed, 0, DAYS_10_AT_5GHZ);
		uint64_t to = from + 100 +
			      prng_range(&seed, 0, DAYS_10_AT_5GHZ) / (1 + prng(&seed) % 1000);
		unsigned int frac_bits = prng(&seed) & 1 ? 32 : 48;

		run_forward(4, few, from, to, prng(&seed) & 1 ? 0 : 1ULL << frac_bits, frac_bits,
			    &seed, &tally, &points);
	}
	/* The shortest traces: a change in nearly every cycle, right after the first */
	for (int i = 0; i < 500; i++)
		run_forward(4, few, 3 + i, 3 + i + prng_range(&seed, 1, 20), 0, 0, &seed, &tally,
			    &points);
	run_forward(3, many, 3, DAYS_10_AT_5GHZ, 0, 0, &seed, &tally, &points);
	assert_true(points >= 2 * 4000);
	assert_int_equal(tally.worst, 0);
	print_message(
		"%zu guest times of unscaled vCPUs, all exact; up to %zu sync points, also for a vCPU "
		"without a change\n",
		tally.compared, points);
}

static void test_scaled(void **state)
{
	static const struct {
		uint64_t num, den;
	} speeds[] = { { 4, 5 }, { 10001, 10000 }, { 5, 4 } };
	static const uint64_t lengths[] = { 5 * GHZ, 3600 * 5 * GHZ, DAYS_10_AT_5GHZ };
	static const unsigned int frac_bits[] = { 32, 48 };
	static const size_t changes[] = { 7, 0, 300 };
	size_t nr_vcpus = 3;
	uint64_t seed = 12;

	for (int s = 0; s < 3; s++) {
		struct tally tally = { 0 };
		size_t points[3];

		for (int l = 0; l < 3; l++) {
			/* One vCPU is enough for millions of sync points */
			nr_vcpus = l == 2 ? 1 : 3;
			for (int f = 0; f < 2; f++) {
				uint64_t from = prng_range(&seed, 100, DAYS_10_AT_5GHZ);

				run_forward(
					nr_vcpus, changes, from, from + lengths[l],
					oracle_ratio(speeds[s].num, speeds[s].den, frac_bits[f]),
					frac_bits[f], &seed, &tally, &points[l]);
			}
		}
		print_message("ratio %g: %zu guest times within %" PRIu64
			      " cycles; sync points for 1 s, 1 h and 10 days at 5 GHz: %zu, %zu, %zu\n",
			      (double)speeds[s].num / speeds[s].den, tally.compared, tally.worst,
			      points[0], points[1], points[2]);
	}
}

/* A ratio that changes together with the offset, as in a migration to a host with another frequency */
static void test_ratio_changes(void **state)
{
	const struct tsc_mapping fast = { 0, oracle_ratio(5, 4, 48), 48 };
	struct change changes[] = {
		{ 2000000000, { .offset = 1000000000, .ratio = fast.ratio, .frac_bits = 48 } },
		{ 9000000000, { .offset = 9000000000, .ratio = 0 } },
	};
	struct script scripts[] = { { { .offset = -5 }, changes, 2 },
				    { { .offset = 0 }, NULL, 0 } };
	struct tally tally = { 0 };
	struct time_shift shift;
	uint64_t seed = 13;

	assert_int_equal(build(&shift, scripts, 2, 1000, 20 * GHZ), 0);
	check_rules(&shift);
	check_forward(&shift, 0, &scripts[0], 1000, 20 * GHZ, &seed, &tally);
	check_forward(&shift, 1, &scripts[1], 1000, 20 * GHZ, &seed, &tally);
	time_shift_release(&shift);
	print_message("from 1:1 to 1.25 and back: %zu guest times within %" PRIu64 " cycles\n",
		      tally.compared, tally.worst);
}

/* A guest with offset 0 gets sync points like any other: a reader without them would not merge it */
static void test_offset_zero(void **state)
{
	struct script script = { 0 };
	struct time_shift shift;
	size_t size;
	void *option;

	assert_int_equal(build(&shift, &script, 1, 1000, 2000), 0);
	assert_true(shift.nr_points >= 2);
	for (uint64_t ts = 900; ts < 2100; ts++)
		assert_int_equal(reader_host(shift.points, shift.nr_points, ts), ts);
	assert_int_equal(time_shift_encode(&shift, 1, &option, &size), 0);
	assert_int_equal(size, 16 + 4 + shift.nr_points * 32);
	free(option);
	time_shift_release(&shift);
	print_message("offset 0 is there\n");
}

/* Events that change nothing get no sync points: a guest can cause as many as it likes */
static void test_written_again(void **state)
{
	struct change changes[] = {
		{ 2000, { .offset = 7 } }, { 3000, { .offset = 7, .ratio = 1ULL << 48, .frac_bits = 48 } },
		{ 4000, { .offset = 7 } },
	};
	struct script scripts[] = { { { .offset = 7 }, NULL, 0 }, { { .offset = 7 }, changes, 3 } };
	struct time_shift without, with;

	assert_int_equal(build(&without, &scripts[0], 1, 1000, 5000), 0);
	assert_int_equal(build(&with, &scripts[1], 1, 1000, 5000), 0);
	assert_int_equal(with.nr_points, without.nr_points);
	assert_memory_equal(with.points, without.points, with.nr_points * sizeof(*with.points));
	time_shift_release(&without);
	time_shift_release(&with);
}

/*
 * A vCPU with fewer changes than others gets as many sync points: it
 * continues along its line for as long as they reach
 */
static void test_fewer_changes(void **state)
{
	const struct tsc_mapping fast = { 0, oracle_ratio(5, 4, 48), 48 };
	const uint64_t from = 1000 * GHZ, to = 1001 * GHZ;
	struct change changes[20];
	struct script scripts[] = { { fast, NULL, 0 }, { fast, changes, 20 } };
	struct tally tally = { 0 };
	struct time_shift shift;

	for (size_t i = 0; i < 20; i++)
		changes[i] = (struct change) { from + 1000 * (i + 1), { 100 * (i + 1), fast.ratio, 48 } };
	assert_int_equal(build(&shift, scripts, 2, from, to), 0);
	check_rules(&shift);
	assert_true(shift.nr_points > 20);
	for (uint64_t seconds = 0; seconds < 10; seconds++)
		compare(&shift, 0, &fast, oracle_guest(&fast, to + seconds * GHZ), &tally);
	time_shift_release(&shift);

	/* But not into the other half of 64 bits, where this line is not valid */
	scripts[0].initial = (struct tsc_mapping) { .offset = INT64_MAX - (int64_t)to - 10 };
	assert_int_equal(build(&shift, scripts, 1, from, to), 0);
	time_shift_release(&shift);
	assert_int_equal(build(&shift, scripts, 2, from, to), -ERANGE);
}

/* Only the last change before the trace is in force in it; changes after it are not used */
static void test_outside(void **state)
{
	struct change changes[] = {
		{ 100, { .offset = 1000 } }, { 500, { .offset = 2000 } },
		{ 5000, { .offset = 3000 } }, { 5001, { .offset = 90000 } },
	};
	struct script script = { { .offset = 7 }, changes, 4 };
	struct vcpu_history unknown = { 0 };
	const struct vcpu_history *unknowns[] = { &unknown };
	struct time_shift shift;

	assert_int_equal(build(&shift, &script, 1, 500, 5000), 0);
	check_rules(&shift);
	for (uint64_t ts = 2100; ts < 8000; ts++)
		assert_int_equal(reader_host(shift.points, shift.nr_points, ts), ts - 2000);
	for (uint64_t ts = 8000; ts < 200000; ts += 7)
		assert_int_equal(reader_host(shift.points, shift.nr_points, ts), ts - 3000);
	time_shift_release(&shift);

	assert_int_equal(time_shift_build(&shift, unknowns, 1, 0, 10), -ENODATA);
	assert_null(shift.points);
	time_shift_release(&shift);
	assert_int_equal(time_shift_build(&shift, unknowns, 0, 0, 10), -EINVAL);
}

/*
 * Small histories with jumps in both directions, tried cycle by cycle: each guest time that the vCPU had once, and
 * that no backward jump made ambiguous, must be converted to its host time.
 */
static void play(const struct script *script, uint64_t from, uint64_t to, struct tally *tally)
{
	enum { TOP = 1 << 14 };
	static uint64_t host_of[TOP];
	static unsigned char seen[TOP];
	struct vcpu_history vcpu;
	struct time_shift shift;
	uint64_t host, guest, first, last;
	size_t i = 0;

	memset(seen, 0, sizeof(seen));
	for (host = from; host <= to; host++) {
		while (i < script->nr && script->changes[i].host <= host)
			i++;
		guest = host + (uint64_t)(i ? script->changes[i - 1].map : script->initial).offset;
		assert_true(guest < TOP);
		host_of[guest] = host;
		if (seen[guest] < 2)
			seen[guest]++;
	}

	make_history(&vcpu, script);
	for (i = 0; i < vcpu.nr_segments; i++) {
		bool inside = vcpu.segments[i].host_tsc > from && vcpu.segments[i].host_tsc <= to;

		if (inside && vcpu_history_backward(&vcpu, i, &first, &last))
			while (first <= last)
				seen[first++] = 3;
	}
	free(vcpu.segments);
	for (guest = 0; guest < TOP; guest++)
		/* Every time that occurs twice is in a reported range */
		assert_int_not_equal(seen[guest], 2);

	assert_int_equal(build(&shift, script, 1, from, to), 0);
	check_rules(&shift);
	for (guest = 0; guest < TOP; guest++) {
		if (seen[guest] != 1)
			continue;
		assert_int_equal(reader_host(shift.points, shift.nr_points, guest), host_of[guest]);
		tally->compared++;
	}
	time_shift_release(&shift);
}

static void random_jumps(struct script *script, uint64_t from, uint64_t to, bool equal_times,
			 uint64_t *seed)
{
	uint64_t host = from, range = to - from;
	size_t nr = prng(seed) % 7;

	script->initial = (struct tsc_mapping) { .offset = 3000 };
	for (script->nr = 0; script->nr < nr; script->nr++) {
		bool again = equal_times && script->nr && prng(seed) % 3 == 0;

		host += again ? 0 : prng_range(seed, 1, 1 + range / 4);
		script->changes[script->nr] = (struct change) {
			.host	= host,
			.map	= { .offset = prng_range(seed, 10, 6000) },
		};
	}
}

static void test_backward(void **state)
{
	/* Back by 500 at host 2000: guest 2500 to 3000 occurs twice, the first occurrence counts */
	struct change back = { 2000, { .offset = 500 } };
	struct script one = { { .offset = 1000 }, &back, 1 };
	struct change changes[8];
	struct script script = { .changes = changes };
	struct tally tally = { 0 };
	struct time_shift shift;
	uint64_t seed = 14;

	assert_int_equal(build(&shift, &one, 1, 1000, 5000), 0);
	check_rules(&shift);
	for (uint64_t ts = 2000; ts < 3000; ts++)
		assert_int_equal(reader_host(shift.points, shift.nr_points, ts), ts - 1000);
	for (uint64_t ts = 3000; ts < 6000; ts++)
		assert_int_equal(reader_host(shift.points, shift.nr_points, ts), ts - 500);
	time_shift_release(&shift);

	/* A jump in the first cycle: what the guest recorded before it is still on the old line */
	back.host = 1001;
	assert_int_equal(build(&shift, &one, 1, 1000, 5000), 0);
	check_rules(&shift);
	for (uint64_t ts = 1500; ts < 2000; ts++)
		assert_int_equal(reader_host(shift.points, shift.nr_points, ts), ts - 1000);
	for (uint64_t ts = 2001; ts < 6000; ts++)
		assert_int_equal(reader_host(shift.points, shift.nr_points, ts), ts - 500);
	time_shift_release(&shift);

	for (int i = 0; i < 1000; i++) {
		uint64_t to = 100 + prng_range(&seed, 50, 5000);

		random_jumps(&script, 100, to, false, &seed);
		play(&script, 100, to, &tally);
	}
	print_message(
		"1000 small histories with jumps both ways: %zu unambiguous guest times exact\n",
		tally.compared);
}

/* The guest's TSC begins near 0 and jumps at once: there is hardly room for two sync points before the step */
static void test_first_cycles(void **state)
{
	struct change change = { 0 };
	struct script script = { .changes = &change, .nr = 1 };
	struct tally tally = { 0 };

	for (int first = 0; first <= 3; first++) {
		script.initial.offset = first - 100;
		for (int after = 1; after <= 3; after++) {
			for (int jump = -first - after; jump <= 3; jump++) {
				change.host = 100 + after;
				change.map.offset = script.initial.offset + jump;
				play(&script, 100, 200, &tally);
			}
		}
	}
	assert_true(tally.compared > 1000);
}

/* Several changes in the same cycle: only the last one was ever in force */
static void test_equal_times(void **state)
{
	struct change changes[8] = {
		{ 2000, { .offset = 3000 } }, { 2000, { .offset = 1010 } },
	};
	struct script script = { { .offset = 1000 }, changes, 2 };
	struct tally tally = { 0 };
	struct time_shift shift;
	uint64_t seed = 15;

	assert_int_equal(build(&shift, &script, 1, 1000, 5000), 0);
	check_rules(&shift);
	for (uint64_t ts = 2000; ts < 3000; ts++)
		assert_int_equal(reader_host(shift.points, shift.nr_points, ts), ts - 1000);
	for (uint64_t ts = 3010; ts < 6000; ts++)
		assert_int_equal(reader_host(shift.points, shift.nr_points, ts), ts - 1010);
	time_shift_release(&shift);

	for (int i = 0; i < 1000; i++) {
		uint64_t to = 100 + prng_range(&seed, 50, 5000);

		random_jumps(&script, 100, to, true, &seed);
		play(&script, 100, to, &tally);
	}
	print_message("changes in one cycle: %zu unambiguous guest times exact\n", tally.compared);
}

/*
 * At the ends of 64 bits not everything can be expressed. Any result of time_shift_build() must be right. It must
 * give one for forward jumps within one half of the guest's times.
 */
static void test_ends(void **state)
{
	static const int64_t offsets[] = {
		INT64_MIN, INT64_MIN + 1, -5000000000, -4000, -1, 0, 1, 5000000000,
		INT64_MAX - 1, INT64_MAX,
	};
	static const uint64_t starts[] = {
		0, 1, 1000, 5 * GHZ, (1ULL << 63) - 3000, 1ULL << 63, UINT64_MAX - 10 * GHZ,
	};
	enum { NR = sizeof(offsets) / sizeof(*offsets) };
	struct script at_the_end = { { .offset = -1 }, NULL, 0 };
	size_t given = 0, refused = 0;
	struct tally tally = { 0 };
	struct time_shift none;
	uint64_t seed = 16;

	/* The last possible guest time: a second sync point after it does not fit */
	if (!build(&none, &at_the_end, 1, 0, 0)) {
		check_rules(&none);
		time_shift_release(&none);
	}

	for (size_t s = 0; s < sizeof(starts) / sizeof(*starts); s++) {
		for (int from_to = 0; from_to < NR * NR; from_to++) {
			uint64_t from = starts[s], at = from + 3000, to = from + 10000;
			struct tsc_mapping old = { .offset = offsets[from_to / NR] };
			struct tsc_mapping new = { .offset = offsets[from_to % NR] };
			struct change change = { at, new };
			struct script script = { old, &change, 1 };
			struct piece p[] = {
				{ from + (uint64_t)old.offset, at - 1 + (uint64_t)old.offset, old },
				{ at + (uint64_t)new.offset, to + (uint64_t)new.offset, new },
			};
			bool ordered = p[0].from <= p[0].to && p[0].to < p[1].from &&
				       p[1].from <= p[1].to;
			bool in_a_half = p[0].from >> 63 == p[1].to >> 63;
			struct time_shift shift;
			int ret = build(&shift, &script, 1, from, to);

			if (ordered && in_a_half)
				assert_int_equal(ret, 0);
			if (ret) {
				assert_int_equal(ret, -ERANGE);
				assert_null(shift.points);
				refused++;
				continue;
			}
			given++;
			check_rules(&shift);
			for (int i = 0; i < 400; i++) {
				const struct piece *this = &p[i & 1], *other = &p[!(i & 1)];
				uint64_t ts =
					this->from + prng_range(&seed, 0, this->to - this->from);

				/* Skip times that the guest had twice */
				if (ts - other->from <= other->to - other->from + 1)
					continue;
				/*
				 * After a backward jump, also skip times that only the old line's extension covers:
				 * guest times from the new line's first to the jump are the ambiguous range
				 */
				if ((int64_t)(p[1].from - p[0].to) <= 0 &&
				    ts - p[1].from <= p[0].to + 1 - p[1].from)
					continue;
				compare(&shift, 0, &this->map, ts, &tally);
			}
			time_shift_release(&shift);
		}
	}
	assert_true(given > 50);
	print_message("ends of 64 bits: %zu histories given, %zu guest times exact; %zu refused\n",
		      given, tally.compared, refused);
}

/*
 * Each vCPU has an equal part of the option. If the changes of the first vCPU fit into it, the second one is refused
 * because nothing is known of it.
 */
static void test_too_large(void **state)
{
	enum { VCPUS = 1 << 16, ROOM = TIME_SHIFT_MAX_SIZE / VCPUS / 32 };
	const struct vcpu_history **vcpus = calloc(VCPUS, sizeof(*vcpus));
	struct vcpu_history unknown = { 0 }, many;
	static struct change changes[ROOM];
	struct script script = { .changes = changes };
	struct time_shift shift;

	assert_non_null(vcpus);
	for (size_t i = 0; i < VCPUS; i++)
		vcpus[i] = &unknown;
	for (size_t i = 0; i < ROOM; i++)
		changes[i] = (struct change) { 1000 + 100 * i, { .offset = 10 * (i + 1) } };
	for (int fits = 0; fits < 2; fits++) {
		/* Each change takes two sync points, and there are two more */
		script.nr = fits ? ROOM / 8 : ROOM / 2;
		make_history(&many, &script);
		vcpus[0] = &many;
		assert_int_equal(time_shift_build(&shift, vcpus, VCPUS, 10, 1000 + 100 * ROOM),
				 fits ? -ENODATA : -E2BIG);
		assert_null(shift.points);
		free(many.segments);
	}
	/* Without room for two sync points of each vCPU, no vCPU is looked at */
	assert_int_equal(time_shift_build(&shift, vcpus, 1ULL << 40, 10, 20), -E2BIG);
	free(vcpus);
}

/* Every byte of the option, as trace-cmd.dat.v7(5) describes it */
static void test_encode(void **state)
{
	struct time_shift_point points[] = {
		{ 0x0102030405060708, -2 }, { 0x1112131415161718, 0x2122232425262728 },
		{ -1, INT64_MIN }, { 5, 6 },
	};
	const struct time_shift shift = { .nr_vcpus = 2, .nr_points = 2, .points = points };
	static const unsigned char expected[] = {
		0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01,	/* trace id of the host */
		1, 0, 0, 0,					/* flags: interpolate */
		2, 0, 0, 0,					/* CPUs */
		2, 0, 0, 0,					/* CPU 0: sync points */
		8, 7, 6, 5, 4, 3, 2, 1,				/* times */
		0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11,
		0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,	/* corrections */
		0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21,
		1, 0, 0, 0, 0, 0, 0, 0,				/* scaling */
		1, 0, 0, 0, 0, 0, 0, 0,
		2, 0, 0, 0,					/* CPU 1 */
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		5, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0x80,
		6, 0, 0, 0, 0, 0, 0, 0,
		1, 0, 0, 0, 0, 0, 0, 0,
		1, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,	/* fraction bits, CPU 0 */
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,	/* CPU 1 */
	};
	void *option;
	size_t size;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	assert_int_equal(time_shift_encode(&shift, 0x0123456789abcdef, &option, &size), 0);
	assert_int_equal(size, sizeof(expected));
	assert_memory_equal(option, expected, size);
	free(option);
	print_message("the option's %zu bytes are as they must be\n", size);
#else
	skip();
#endif
}

/* As many changes of a vCPU as its option has room for, and one more */
static void test_too_many(void **state)
{
	/*
	 * The number of changes that make an option of 128 MiB: each takes
	 * two sync points, with 32 bytes for each vCPU
	 */
	static const struct {
		size_t	nr_vcpus;
		size_t	changes;
	} most[] = {
		{ 1, (128 << 20) / 32 / 2 - 2 },
		{ 1024, (128 << 20) / 1024 / 32 / 2 - 2 },
		{ 16384, (128 << 20) / 16384 / 32 / 2 - 2 },
	};

	for (size_t i = 0; i < sizeof(most) / sizeof(*most); i++) {
		const struct vcpu_history **vcpus = calloc(most[i].nr_vcpus, sizeof(*vcpus));
		const struct tsc_mapping first = { .offset = -1000 };
		struct vcpu_history vcpu = { 0 }, other = { 0 };
		struct time_shift shift;
		size_t size;
		void *option;

		assert_non_null(vcpus);
		vcpu_history_set_initial(&vcpu, &first);
		vcpu_history_set_initial(&other, &first);
		for (size_t v = 0; v < most[i].nr_vcpus; v++)
			vcpus[v] = v ? &other : &vcpu;
		for (size_t c = 0; c < most[i].changes; c++) {
			const struct tsc_mapping previous = { .offset = -1000 + (int64_t)c };
			const struct tsc_mapping next = { .offset = -999 + (int64_t)c };

			assert_int_equal(vcpu_history_add(&vcpu, 10000 + 10 * c, &next, &previous), 0);
		}
		assert_int_equal(time_shift_build(&shift, vcpus, most[i].nr_vcpus, 5000, 1ULL << 40), 0);
		assert_int_equal(time_shift_encode(&shift, 0, &option, &size), 0);
		assert_true(size <= 128 << 20 && size > (128 << 20) - most[i].nr_vcpus * 4 * 32);
		free(option);
		time_shift_release(&shift);
		for (size_t c = 0; c < 2; c++)
			vcpu_history_add(&vcpu, (1ULL << 30) + 10 * c, &(struct tsc_mapping) { .offset = (int64_t)c },
					 &first);
		assert_int_equal(time_shift_build(&shift, vcpus, most[i].nr_vcpus, 5000, 1ULL << 40), -E2BIG);
		assert_null(shift.points);
		free(vcpu.segments);
		free(vcpus);
	}
}

static int64_t correction_at(const struct time_shift *shift, uint64_t guest_tsc)
{
	return (int64_t)(reader_host(time_shift_vcpu(shift, 0), shift->nr_points, guest_tsc) - guest_tsc);
}

/* The guest's events can decide which times are after a backward jump, and where the history begins */
static void test_by_events(void **state)
{
	static const struct { const char *name; uint64_t guest_from; uint64_t last_before; } cases[] = {
		{ "as late as can be", 0, 49900 },
		{ "as the events say", 31000, 30999 },
		{ "as the events say, beyond the jump", 60000, 59999 },
	};
	const struct tsc_mapping before = { .offset = -100 }, after = { .offset = -20000 };

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct vcpu_history vcpu = { .begins = 0 };
		const struct vcpu_history *vcpus[] = { &vcpu };
		struct time_shift shift;

		vcpu_history_set_initial(&vcpu, &before);
		assert_int_equal(vcpu_history_add(&vcpu, 50001, &after, &before), 0);
		vcpu.segments[0].guest_from = cases[i].guest_from;
		assert_int_equal(time_shift_build(&shift, vcpus, 1, 10000, 90000), 0);
		if (correction_at(&shift, cases[i].last_before) != 100 ||
		    correction_at(&shift, cases[i].last_before + 1) != 20000)
			fail_msg("%s: %ld, %ld", cases[i].name, (long)correction_at(&shift, cases[i].last_before),
				 (long)correction_at(&shift, cases[i].last_before + 1));
		assert_int_equal(time_shift_vcpu(&shift, 0)[0].guest_tsc, 9900);
		time_shift_release(&shift);

		/* The history has nothing before its begin */
		vcpu.begins = 30000;
		assert_int_equal(time_shift_build(&shift, vcpus, 1, 10000, 90000), 0);
		assert_int_equal(time_shift_vcpu(&shift, 0)[0].guest_tsc, 29900);
		time_shift_release(&shift);
		free(vcpu.segments);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unscaled),
		cmocka_unit_test(test_scaled),
		cmocka_unit_test(test_ratio_changes),
		cmocka_unit_test(test_offset_zero),
		cmocka_unit_test(test_written_again),
		cmocka_unit_test(test_fewer_changes),
		cmocka_unit_test(test_outside),
		cmocka_unit_test(test_backward),
		cmocka_unit_test(test_by_events),
		cmocka_unit_test(test_first_cycles),
		cmocka_unit_test(test_equal_times),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_encode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
