// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* The ratio of a scaled TSC, found by events: the true ratio always remains, and few others do. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fit_ratio.h"
#include "made_vcpus.h"
#include "prng.h"

#define EVENTS		400
#define ONE		(1ULL << FIT_RATIO_BITS)
/* Converts a ratio with 32 fraction bits, as AMD has, to FIT_RATIO_BITS */
#define OF(ratio)	((uint64_t)((ratio) * 4294967296.0) << (FIT_RATIO_BITS - 32))

struct ratio_case {
	const char	*name;
	uint64_t	ratio;
	uint64_t	change;		/* host TSC at which the offset changes */
};

static const struct ratio_case ratio_cases[] = {
	{ "not scaled", ONE, 0 },
	{ "4.17 % faster", OF(1.0417), 0 },
	{ "a millionth slower", OF(0.999999), 0 },
	{ "a half", OF(0.5), 0 },
	{ "twice", OF(2), 0 },
	{ "the least that is looked for", FIT_RATIO_MIN, 0 },
	{ "four, and the offset changes", OF(4), (MADE_BEGIN + MADE_END) / 2 },
};

/* Make events in guest mode, with the times of a TSC with this ratio */
static void make_times(const struct made_vcpus *made, uint64_t ratio, uint64_t *times, uint64_t *seed)
{
	made_vcpus_events(made, 0, MADE_BEGIN, MADE_END - 10000, times, EVENTS, seed);
	for (size_t i = 0; i < EVENTS; i++) {
		struct tsc_mapping map;
		uint64_t host_tsc;

		/* made_vcpus_events() used an offset alone, which is 1 before and after the change */
		assert_true(vcpu_history_at(&made->histories[0], MADE_BEGIN, &map));
		host_tsc = times[i] - (uint64_t)map.offset;
		if (made->histories[0].nr_segments && host_tsc >= made->histories[0].segments[0].host_tsc)
			map = made->histories[0].segments[0].map;
		map.ratio = ratio >> (FIT_RATIO_BITS - 32);
		map.frac_bits = 32;
		times[i] = tsc_guest_from_host(&map, host_tsc);
	}
}

static bool has_ratio(const struct fit_ratios *ratios, uint64_t ratio)
{
	for (size_t i = 0; i < ratios->nr; i++) {
		if (ratio >= ratios->low[i] && ratio <= ratios->high[i])
			return true;
	}
	return false;
}

static void check_order(const struct fit_ratios *ratios)
{
	for (size_t i = 0; i < ratios->nr; i++) {
		assert_true(ratios->low[i] <= ratios->high[i]);
		assert_true(ratios->low[i] >= FIT_RATIO_MIN && ratios->high[i] <= FIT_RATIO_MAX);
		if (i)
			assert_true(ratios->low[i] > ratios->high[i - 1] + 1);
	}
}

static void test_ratios(void **state)
{
	static uint64_t times[EVENTS];

	for (size_t i = 0; i < sizeof(ratio_cases) / sizeof(*ratio_cases); i++) {
		const struct ratio_case *c = &ratio_cases[i];
		struct made_vcpu vcpu = { .offset = 1, .change = c->change, .changed = 1 };

		for (uint64_t seed = 1; seed <= 4; seed++) {
			uint64_t numbers = seed, left = 0;
			struct fit_ratios ratios;
			struct made_vcpus made;

			made_vcpus_make(&made, &vcpu, 1, &numbers);
			make_times(&made, c->ratio, times, &numbers);
			if (c->change) {
				/* Events after the change get another offset */
				made.histories[0].segments[0].map.offset = 7000001;
				for (size_t j = 0; j < EVENTS; j++) {
					if (times[j] - 1 >= (uint64_t)(((unsigned __int128)c->change * c->ratio) >>
								       FIT_RATIO_BITS))
						times[j] += 7000000;
				}
			}
			assert_int_equal(fit_ratios_begin(&ratios), 0);
			assert_int_equal(ratios.nr, 1);
			assert_true(ratios.low[0] == FIT_RATIO_MIN && ratios.high[0] == FIT_RATIO_MAX);
			assert_int_equal(fit_ratios_narrow(&ratios, &made.host, 0, times, EVENTS), 0);
			check_order(&ratios);
			if (!has_ratio(&ratios, c->ratio))
				fail_msg("%s, seed %lu: it is not left of %zu", c->name, (unsigned long)seed,
					 ratios.nr);
			for (size_t j = 0; j < ratios.nr; j++)
				left += ratios.high[j] - ratios.low[j] + 1;
			/* A span takes at most 1/500 of the recorded time */
			if (ratios.nr > 3 || left > c->ratio / 200)
				fail_msg("%s, seed %lu: %zu ranges, in all %lu", c->name, (unsigned long)seed,
					 ratios.nr, (unsigned long)left);
			fit_ratios_release(&ratios);
			made_vcpus_release(&made);
		}
	}
}

/* A single event leaves exactly the ratios that put it into guest mode */
static void test_one_event(void **state)
{
	struct vcpu_modes modes = { 0 };
	struct vcpu_history history = { 0 };
	const struct tsc_mapping map = { .offset = 0 };
	struct fit_vcpu vcpu = { .modes = &modes, .history = &history };
	struct fit_host host = { &vcpu, 1, 1000, 9999 };
	const uint64_t time = 4000;
	struct fit_ratios ratios;

	assert_int_equal(vcpu_modes_add(&modes, 1000, 1999, MODE_HOST), 0);
	assert_int_equal(vcpu_modes_add(&modes, 2000, 2999, MODE_GUEST), 0);
	assert_int_equal(vcpu_modes_add(&modes, 3000, 7999, MODE_HOST), 0);
	assert_int_equal(vcpu_modes_add(&modes, 8000, 8999, MODE_GUEST), 0);
	assert_int_equal(vcpu_modes_add(&modes, 9000, 9999, MODE_HOST), 0);
	assert_int_equal(vcpu_modes_add(&modes, 10000, UINT64_MAX, MODE_UNKNOWN), 0);
	vcpu_history_set_initial(&history, &map);
	assert_int_equal(fit_ratios_begin(&ratios), 0);
	assert_int_equal(fit_ratios_narrow(&ratios, &host, 0, &time, 1), 0);
	assert_int_equal(ratios.nr, 2);
	/* One more cycle on both sides, because times are rounded */
	assert_true(ratios.low[0] <= ONE * 4 / 9 && ratios.low[0] >= ONE / 9001 * 4000);
	assert_true(ratios.high[0] >= ONE / 2 && ratios.high[0] <= ONE / 7998 * 4001);
	assert_true(ratios.low[1] <= (ONE / 3 + 1) * 4 && ratios.low[1] >= ONE / 3001 * 4000);
	assert_true(ratios.high[1] >= 2 * ONE && ratios.high[1] <= ONE / 1998 * 4001);

	/* Another event leaves a part of these */
	const uint64_t low[] = { ratios.low[0], ratios.low[1] }, high[] = { ratios.high[0], ratios.high[1] };
	const uint64_t another = 4200;

	assert_int_equal(fit_ratios_narrow(&ratios, &host, 0, &another, 1), 0);
	assert_int_equal(ratios.nr, 2);
	for (size_t i = 0; i < 2; i++)
		assert_true(ratios.low[i] > low[i] && ratios.high[i] <= high[i]);
	fit_ratios_release(&ratios);

	/* Guest mode before and after the recording does not count */
	host.begin = 2500;
	host.end = 8500;
	assert_int_equal(fit_ratios_begin(&ratios), 0);
	assert_int_equal(fit_ratios_narrow(&ratios, &host, 0, &time, 1), 0);
	assert_int_equal(ratios.nr, 2);
	assert_true(ratios.low[0] >= ONE / 8502 * 4000 && ratios.high[1] <= ONE / 2498 * 4001);
	fit_ratios_release(&ratios);
	vcpu_modes_release(&modes);
}

/*
 * The host's first event of the vCPU is an exit from guest mode: it may
 * have been in guest mode since the recording began
 */
static void test_late_first_span(void **state)
{
	static const struct { const char *name; uint64_t host_tsc; bool left; } cases[] = {
		{ "before the recording", 900, false },
		{ "before the first span", 1100, true },
		{ "right before the first span", 7990, true },
		{ "in guest mode", 8500, true },
		{ "out of it", 9500, false },
	};
	struct vcpu_modes modes = { 0 };
	struct vcpu_history history = { 0 };
	const struct tsc_mapping map = { .offset = 0 };
	struct fit_vcpu vcpu = { .modes = &modes, .history = &history };
	struct fit_host host = { &vcpu, 1, 1000, 9999 };
	const uint64_t time = 4000;
	struct fit_ratios ratios;

	assert_int_equal(vcpu_modes_add(&modes, 8000, 8999, MODE_GUEST), 0);
	assert_int_equal(vcpu_modes_add(&modes, 9000, 9999, MODE_HOST), 0);
	assert_int_equal(vcpu_modes_add(&modes, 10000, UINT64_MAX, MODE_UNKNOWN), 0);
	vcpu_history_set_initial(&history, &map);
	assert_int_equal(fit_ratios_begin(&ratios), 0);
	assert_int_equal(fit_ratios_narrow(&ratios, &host, 0, &time, 1), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (has_ratio(&ratios, ONE / cases[i].host_tsc * time) != cases[i].left)
			fail_msg("%s: not %d", cases[i].name, cases[i].left);
	}
	fit_ratios_release(&ratios);
	vcpu_modes_release(&modes);
}

/* An offset is valid from its change; the one before it is valid up to there */
static void test_change(void **state)
{
	static const struct { const char *name; uint64_t cycles, host_tsc; bool left; } cases[] = {
		{ "before the change by the offset before", 4000, 4900, true },
		{ "after the change by the offset before", 4000, 5100, false },
		{ "before the change by the offset after", 2000, 4900, false },
		{ "after the change by the offset after", 2000, 5100, true },
	};
	struct vcpu_modes modes = { 0 };
	struct vcpu_history history = { 0 };
	const struct tsc_mapping before = { .offset = 0 }, after = { .offset = 2000 };
	struct fit_vcpu vcpu = { .modes = &modes, .history = &history };
	struct fit_host host = { &vcpu, 1, 1000, 9999 };
	const uint64_t time = 4000;
	struct fit_ratios ratios;

	assert_int_equal(vcpu_modes_add(&modes, 1000, 9999, MODE_GUEST), 0);
	assert_int_equal(vcpu_modes_add(&modes, 10000, UINT64_MAX, MODE_UNKNOWN), 0);
	vcpu_history_set_initial(&history, &before);
	assert_int_equal(vcpu_history_add(&history, 5000, &after, &before), 0);
	assert_int_equal(fit_ratios_begin(&ratios), 0);
	assert_int_equal(fit_ratios_narrow(&ratios, &host, 0, &time, 1), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (has_ratio(&ratios, ONE / cases[i].host_tsc * cases[i].cycles) != cases[i].left)
			fail_msg("%s: not %d", cases[i].name, cases[i].left);
	}
	fit_ratios_release(&ratios);
	vcpu_modes_release(&modes);
	free(history.segments);
}

/* Random events leave no ratio */
static void test_none(void **state)
{
	static const struct made_vcpu vcpu = { .offset = 1 };
	uint64_t times[EVENTS], seed = 3;
	struct fit_ratios ratios;
	struct made_vcpus made;

	made_vcpus_make(&made, &vcpu, 1, &seed);
	for (size_t i = 0; i < EVENTS; i++)
		times[i] = prng_range(&seed, MADE_BEGIN, MADE_END);
	assert_int_equal(fit_ratios_begin(&ratios), 0);
	assert_int_equal(fit_ratios_narrow(&ratios, &made.host, 0, times, EVENTS), 0);
	assert_int_equal(ratios.nr, 0);
	/* More events leave it empty */
	assert_int_equal(fit_ratios_narrow(&ratios, &made.host, 0, times, EVENTS), 0);
	assert_int_equal(ratios.nr, 0);
	fit_ratios_release(&ratios);
	made_vcpus_release(&made);
}

static void test_too_many_changes(void **state)
{
	struct vcpu_modes modes = { 0 };
	struct vcpu_history history = { 0 };
	struct tsc_mapping map = { .offset = 5 };
	struct fit_vcpu vcpu = { .modes = &modes, .history = &history };
	struct fit_host host = { &vcpu, 1, 0, 100000 };
	const uint64_t time = 700;

	assert_int_equal(vcpu_modes_add(&modes, 0, 100000, MODE_GUEST), 0);
	assert_int_equal(vcpu_modes_add(&modes, 100001, UINT64_MAX, MODE_UNKNOWN), 0);
	for (uint64_t i = 0; i <= 256; i++) {
		struct fit_ratios ratios;
		int ret;

		assert_int_equal(fit_ratios_begin(&ratios), 0);
		ret = fit_ratios_narrow(&ratios, &host, 0, &time, 1);
		assert_int_equal(ret, 0);
		fit_ratios_release(&ratios);
		assert_int_equal(vcpu_history_add(&history, 10 + i, &map, &map), 0);
	}
	struct fit_ratios ratios;

	assert_int_equal(fit_ratios_begin(&ratios), 0);
	assert_int_equal(fit_ratios_narrow(&ratios, &host, 0, &time, 1), -E2BIG);
	fit_ratios_release(&ratios);
	vcpu_modes_release(&modes);
	free(history.segments);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ratios),
		cmocka_unit_test(test_one_event),
		cmocka_unit_test(test_late_first_span),
		cmocka_unit_test(test_change),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_too_many_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
