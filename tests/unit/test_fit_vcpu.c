// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* The phases of a vCPU's TSC, made from its history, and the places in them where a guest time can lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fit_vcpu.h"
#include "history.h"
#include "made_modes.h"
#include "prng.h"
#include "vcpu_modes.h"

#define END		UINT64_MAX
#define MIN		INT64_MIN
#define MAX		INT64_MAX
#define MAX_CHANGES	4
#define MAX_PHASES	8
#define ONE		(1ULL << 32)

#define PHASE(first, last, off, r, seg, is_lost, low, high)						\
	{ .from = first, .to = last, .map = { .offset = off, .ratio = r, .frac_bits = r ? 32 : 0 },		\
	  .segment = seg, .lost = is_lost, .guest_from = low, .guest_to = high }

/* An event: the new value and the previous one. A time of 0 ends a list, unless it is the first element. */
struct change {
	uint64_t	host_tsc;
	int64_t		offset;
	int64_t		previous;
	uint64_t	ratio;
	uint64_t	previous_ratio;
};

struct phase_case {
	const char		*name;
	bool			initial_known;
	int64_t			initial;
	struct change		changes[MAX_CHANGES];
	uint64_t		since;
	uint64_t		begins;
	uint64_t		scaling;
	size_t			lost_before;	/* events were lost before this change, counted from 1; 0: none */
	const uint64_t		*spans;		/* span starts: out of guest mode, in it, and so on; 0 ends the list */
	struct fit_phase	phases[MAX_PHASES];
	size_t			nr_phases;
};

/* Out of guest mode from 1000 to 1999 */
static const uint64_t idle[] = { 1, 10, 1000, 2000, 2500, 0 };

static const struct phase_case phase_cases[] = {
	{ .name = "no offset is known", .nr_phases = 0 },
	{ .name = "an offset that never changed", .initial_known = true, .initial = -100, .nr_phases = 1,
	  .phases = { PHASE(0, END, -100, 0, FIT_NONE, false, MIN, MAX) } },
	{ .name = "a jump forward", .initial_known = true, .initial = -100, .changes = { { 1000, -50, -100, 0, 0 } },
	  .nr_phases = 2, .phases = {
		PHASE(0, 999, -100, 0, FIT_NONE, false, MIN, 899),
		PHASE(1000, END, -50, 0, 0, false, 950, MAX) } },
	{ .name = "the first event says what was before", .changes = { { 1000, -50, -100, 0, 0 } }, .nr_phases = 2,
	  .phases = {
		PHASE(0, 999, -100, 0, FIT_NONE, false, MIN, 899),
		PHASE(1000, END, -50, 0, 0, false, 950, MAX) } },
	{ .name = "a vCPU that is made", .changes = { { 1000, -990, 0, 0, 0 } }, .nr_phases = 1, .phases = {
		PHASE(1000, END, -990, 0, 0, false, 10, MAX) } },
	{ .name = "a jump backward, the later phase still comes later", .initial_known = true, .initial = -100,
	  .changes = { { 5000, -4000, -100, 0, 0 } }, .nr_phases = 2, .phases = {
		PHASE(0, 4999, -100, 0, FIT_NONE, false, MIN, 4899),
		PHASE(5000, END, -4000, 0, 0, false, 1000, MAX) } },
	{ .name = "a jump backward, before what began later", .initial_known = true, .initial = -100, .begins = 2000,
	  .changes = { { 5000, -4000, -100, 0, 0 } }, .nr_phases = 2, .phases = {
		PHASE(5000, END, -4000, 0, 0, false, 1000, MAX),
		PHASE(2000, 4999, -100, 0, FIT_NONE, false, 1900, 4899) } },
	{ .name = "the first event counts more than what is said", .initial_known = true, .initial = -100,
	  .changes = { { 1000, -50, -70, 0, 0 } }, .nr_phases = 2, .phases = {
		PHASE(0, 999, -70, 0, FIT_NONE, false, MIN, 929),
		PHASE(1000, END, -50, 0, 0, false, 950, MAX) } },
	{ .name = "a change was lost", .initial_known = true, .initial = -100,
	  .changes = { { 1000, -50, -100, 0, 0 }, { 2000, -20, -70, 0, 0 } }, .nr_phases = 4, .phases = {
		PHASE(0, 999, -100, 0, FIT_NONE, false, MIN, 899),
		PHASE(1000, 1999, -70, 0, 0, true, 930, 1929),
		PHASE(1000, 1999, -50, 0, 0, false, 950, 1949),
		PHASE(2000, END, -20, 0, 1, false, 1980, MAX) } },
	{ .name = "the lost change was to what is there now", .initial_known = true, .initial = -100,
	  .changes = { { 1000, -50, -100, 0, 0 }, { 2000, -20, -20, 0, 0 } }, .nr_phases = 3, .phases = {
		PHASE(0, 999, -100, 0, FIT_NONE, false, MIN, 899),
		PHASE(1000, 1999, -50, 0, 0, false, 950, 1949),
		PHASE(1000, END, -20, 0, 0, true, 980, MAX) } },
	{ .name = "the same once more goes on", .initial_known = true, .initial = -100,
	  .changes = { { 1000, -100, -100, 0, 0 }, { 2000, -50, -100, 0, 0 } }, .nr_phases = 2, .phases = {
		PHASE(0, 1999, -100, 0, FIT_NONE, false, MIN, 1899),
		PHASE(2000, END, -50, 0, 1, false, 1950, MAX) } },
	{ .name = "of two events at one time the later counts", .initial_known = true, .initial = -100,
	  .changes = { { 1000, -50, -100, 0, 0 }, { 1000, -20, -50, 0, 0 } }, .nr_phases = 2, .phases = {
		PHASE(0, 999, -100, 0, FIT_NONE, false, MIN, 899),
		PHASE(1000, END, -20, 0, 1, false, 980, MAX) } },
	{ .name = "nothing counts before a time", .initial_known = true, .initial = -100, .since = 1500,
	  .changes = { { 1000, -50, -100, 0, 0 }, { 2000, -20, -50, 0, 0 } }, .nr_phases = 2, .phases = {
		PHASE(1500, 1999, -50, 0, 0, false, 1450, 1949),
		PHASE(2000, END, -20, 0, 1, false, 1980, MAX) } },
	{ .name = "it counts from the last cycle before a change on", .initial_known = true, .initial = -100,
	  .since = 1999, .changes = { { 2000, -20, -100, 0, 0 } }, .nr_phases = 2, .phases = {
		PHASE(1999, 1999, -100, 0, FIT_NONE, false, 1899, 1899),
		PHASE(2000, END, -20, 0, 0, false, 1980, MAX) } },
	{ .name = "it counts from a change on", .initial_known = true, .initial = -100, .since = 2000,
	  .changes = { { 2000, -20, -100, 0, 0 } }, .nr_phases = 1, .phases = {
		PHASE(2000, END, -20, 0, 0, false, 1980, MAX) } },
	{ .name = "a change in the first cycle of all", .initial_known = true, .initial = -100,
	  .changes = { { 0, -50, -100, 0, 0 } }, .nr_phases = 1, .phases = {
		PHASE(0, END, -50, 0, 0, false, MIN, MAX) } },
	{ .name = "what was replaced before the vCPU ran", .initial_known = true, .initial = -100, .spans = idle,
	  .changes = { { 1000, -60, -100, 0, 0 }, { 2000, -20, -60, 0, 0 } }, .nr_phases = 2, .phases = {
		PHASE(0, 999, -100, 0, FIT_NONE, false, MIN, 899),
		PHASE(2000, END, -20, 0, 1, false, 1980, MAX) } },
	{ .name = "the same as before after one that was replaced before the vCPU ran", .initial_known = true,
	  .initial = -100, .spans = idle,
	  .changes = { { 1000, -60, -100, 0, 0 }, { 2000, -100, -60, 0, 0 } }, .nr_phases = 2, .phases = {
		PHASE(0, 999, -100, 0, FIT_NONE, false, MIN, 899),
		PHASE(2000, END, -100, 0, 1, false, 1900, MAX) } },
	{ .name = "it ran for one cycle", .initial_known = true, .initial = -100, .spans = idle,
	  .changes = { { 1000, -60, -100, 0, 0 }, { 2001, -20, -60, 0, 0 } }, .nr_phases = 3, .phases = {
		PHASE(0, 999, -100, 0, FIT_NONE, false, MIN, 899),
		PHASE(1000, 2000, -60, 0, 0, false, 940, 1940),
		PHASE(2001, END, -20, 0, 1, false, 1981, MAX) } },
	{ .name = "a TSC that began after the host's", .initial_known = true, .initial = -5000, .begins = 2000,
	  .changes = { { 3000, -100, -5000, 0, 0 } }, .nr_phases = 2, .phases = {
		PHASE(2000, 2999, -5000, 0, FIT_NONE, false, -3000, -2001),
		PHASE(3000, END, -100, 0, 0, false, 2900, MAX) } },
	{ .name = "a phase that crosses 2^63 can be any time", .initial_known = true, .initial = MAX - 2500,
	  .begins = 2000, .changes = { { 3000, -100, MAX - 2500, 0, 0 } }, .nr_phases = 2, .phases = {
		PHASE(2000, 2999, MAX - 2500, 0, FIT_NONE, false, MIN, MAX),
		PHASE(3000, END, -100, 0, 0, false, 2900, MAX) } },
	{ .name = "a ratio that the events do not say", .initial_known = true, .initial = -100, .scaling = 2 * ONE,
	  .changes = { { 1000, -50, -100, 0, 0 } }, .nr_phases = 2, .phases = {
		PHASE(0, 999, -100, 2 * ONE, FIT_NONE, false, MIN, 1898),
		PHASE(1000, END, -50, 2 * ONE, 0, false, 1950, MAX) } },
	{ .name = "a ratio that the events say", .initial_known = true, .initial = -100, .scaling = 2 * ONE,
	  .changes = { { 1000, -50, -100, 3 * ONE, 0 } }, .nr_phases = 2, .phases = {
		PHASE(0, 999, -100, 2 * ONE, FIT_NONE, false, MIN, 1898),
		PHASE(1000, END, -50, 3 * ONE, 0, false, 2950, MAX) } },
	{ .name = "a change was lost, and what is found is not reported", .initial_known = true, .initial = -100,
	  .lost_before = 2, .changes = { { 1000, -50, 0, 0, 0 }, { 2000, -20, 0, 0, 0 } }, .nr_phases = 3, .phases = {
		PHASE(0, 999, -100, 0, FIT_NONE, false, MIN, 899),
		PHASE(1000, 1999, -50, 0, 0, false, 950, 1949),
		PHASE(2000, END, -20, 0, 1, false, 1980, MAX) } },
	{ .name = "previous offsets are not reported: no change was lost", .initial_known = true, .initial = -100,
	  .changes = { { 1000, -50, 0, 0, 0 }, { 2000, -20, 0, 0, 0 } }, .nr_phases = 3, .phases = {
		PHASE(0, 999, -100, 0, FIT_NONE, false, MIN, 899),
		PHASE(1000, 1999, -50, 0, 0, false, 950, 1949),
		PHASE(2000, END, -20, 0, 1, false, 1980, MAX) } },
};

static struct tsc_mapping mapping(int64_t offset, uint64_t ratio)
{
	return (struct tsc_mapping) { offset, ratio, ratio ? 32 : 0 };
}

static void make_history(struct vcpu_history *history, const struct phase_case *c)
{
	struct tsc_mapping initial = mapping(c->initial, 0);

	*history = (struct vcpu_history) { .begins = c->begins };
	if (c->initial_known)
		vcpu_history_set_initial(history, &initial);
	for (size_t i = 0; i < MAX_CHANGES && (c->changes[i].host_tsc || (!i && c->changes[i].offset)); i++) {
		const struct change *change = &c->changes[i];
		struct tsc_mapping map = mapping(change->offset, change->ratio);
		struct tsc_mapping previous = mapping(change->previous, change->previous_ratio);

		assert_int_equal(vcpu_history_add(history, change->host_tsc, &map, &previous), 0);
	}
}

static void test_phases(void **state)
{
	for (size_t n = 0; n < sizeof(phase_cases) / sizeof(*phase_cases); n++) {
		const struct phase_case *c = &phase_cases[n];
		struct tsc_mapping scaling = mapping(0, c->scaling);
		struct vcpu_history history;
		struct vcpu_modes modes = { 0 };
		struct fit_vcpu vcpu = { .modes = &modes, .history = &history };

		make_history(&history, c);
		if (c->lost_before)
			history.segments[c->lost_before - 1].lost_before = true;
		for (size_t i = 0; c->spans && c->spans[i]; i++)
			assert_int_equal(vcpu_modes_add(&modes, c->spans[i], UINT64_MAX,
							!c->spans[i + 1] ? MODE_UNKNOWN :
							i % 2 ? MODE_GUEST : MODE_HOST), 0);
		assert_int_equal(fit_vcpu_make(&vcpu, c->scaling ? &scaling : NULL, c->since), 0);
		if (vcpu.nr_phases != c->nr_phases)
			fail_msg("%s: %zu phases", c->name, vcpu.nr_phases);
		for (size_t i = 0; i < vcpu.nr_phases; i++) {
			const struct fit_phase *phase = &vcpu.phases[i], *wanted = &c->phases[i];

			if (phase->from != wanted->from || phase->to != wanted->to ||
			    phase->map.offset != wanted->map.offset || phase->map.ratio != wanted->map.ratio ||
			    phase->map.frac_bits != wanted->map.frac_bits || phase->segment != wanted->segment ||
			    phase->lost != wanted->lost || phase->guest_from != wanted->guest_from ||
			    phase->guest_to != wanted->guest_to)
				fail_msg("%s: phase %zu: %lu to %lu, offset %ld, segment %zd, guest times %ld to %ld",
					 c->name, i, (unsigned long)phase->from, (unsigned long)phase->to,
					 (long)phase->map.offset, phase->segment, (long)phase->guest_from,
					 (long)phase->guest_to);
		}
		fit_vcpu_release(&vcpu);
		assert_int_equal(vcpu.nr_phases, 0);
		free(history.segments);
		vcpu_modes_release(&modes);
	}
}

/*
 * The slow way: each phase with an end, in order. Values that a scaled TSC skips before its first value are excluded.
 */
static size_t all_places(const struct fit_vcpu *vcpu, uint64_t guest_tsc, struct fit_place *places)
{
	size_t nr = 0;

	for (size_t i = 0; i < vcpu->nr_phases; i++) {
		const struct fit_phase *phase = &vcpu->phases[i];
		uint64_t first = tsc_guest_from_host(&phase->map, phase->from), host_tsc;
		uint64_t last = tsc_guest_from_host(&phase->map, phase->to);

		if (phase->to != END && guest_tsc - first <= last - first &&
		    !tsc_host_from_guest(&phase->map, guest_tsc, &host_tsc) && host_tsc >= phase->from &&
		    host_tsc <= phase->to)
			places[nr++] = (struct fit_place) { i, host_tsc };
	}
	return nr;
}

static size_t without_last(const struct fit_vcpu *vcpu, struct fit_place *places, size_t nr)
{
	size_t kept = 0;

	for (size_t i = 0; i < nr; i++) {
		if (vcpu->phases[places[i].phase].to != END)
			places[kept++] = places[i];
	}
	return kept;
}

#define RANDOM_CHANGES 40

/* Jumps in both directions: some across 0 and 2^63, some scaled, some to the same time again and again */
static void make_random(struct vcpu_history *history, uint64_t *seed)
{
	static const int64_t origins[] = { 0, MAX - 20000, -20000 };
	size_t nr = prng_range(seed, 0, RANDOM_CHANGES);
	int64_t origin = origins[prng(seed) % 3];
	bool scaled = prng(seed) % 2, resets = !scaled && prng(seed) % 2;
	uint64_t host_tsc = 1000;
	struct tsc_mapping map = mapping(origin, scaled ? ONE : 0);

	*history = (struct vcpu_history) { .begins = prng(seed) % 2 * 900 };
	vcpu_history_set_initial(history, &map);
	for (size_t i = 0; i < nr; i++) {
		struct tsc_mapping previous = map;

		map = mapping((int64_t)((uint64_t)origin + prng_range(seed, 0, resets ? 50 : 6000) -
					(resets ? host_tsc : 3000)),
			      scaled ? ONE / 2 + prng_range(seed, 0, 2 * ONE) : 0);
		if (!(prng(seed) % 8))
			previous.offset -= 7;
		assert_int_equal(vcpu_history_add(history, host_tsc, &map, &previous), 0);
		host_tsc += prng_range(seed, 1, 500);
	}
}

static void test_places(void **state)
{
	size_t most = 0, found = 0;
	uint64_t seed = 62;

	for (int n = 0; n < 400; n++) {
		struct vcpu_history history;
		struct vcpu_modes modes = { 0 };
		struct fit_vcpu vcpu = { .modes = &modes, .history = &history };

		make_random(&history, &seed);
		assert_int_equal(fit_vcpu_make(&vcpu, NULL, 0), 0);
		for (int i = 0; i < 200; i++) {
			struct fit_place places[FIT_MAX_PLACES], wanted[2 * RANDOM_CHANGES + 1];
			uint64_t guest_tsc = (uint64_t)history.initial.offset + prng_range(&seed, 0, 30000) - 5000;
			size_t nr = fit_vcpu_places(&vcpu, guest_tsc, places);
			size_t nr_wanted = all_places(&vcpu, guest_tsc, wanted);

			most = nr_wanted > most ? nr_wanted : most;
			assert_true(nr <= FIT_MAX_PLACES);
			if (nr == FIT_MAX_PLACES)
				continue;
			nr = without_last(&vcpu, places, nr);
			if (nr != nr_wanted)
				fail_msg("history %d, time %ld: %zu places, not %zu", n, (long)guest_tsc, nr,
					 nr_wanted);
			for (size_t j = 0; j < nr; j++)
				assert_true(places[j].phase == wanted[j].phase &&
					    places[j].host_tsc == wanted[j].host_tsc);
			found += nr;
		}
		fit_vcpu_release(&vcpu);
		free(history.segments);
	}
	/* Some times have more places than fit into the array */
	assert_true(most > FIT_MAX_PLACES);
	print_message("%zu places, at most %zu for one time\n", found, most);
}

/* Each phase includes its first and its last cycle */
static void test_place_ends(void **state)
{
	static const struct { const char *name; uint64_t guest_tsc; size_t nr; struct fit_place places[2]; } cases[] = {
		{ "the last time before", 899, 1, { { 0, 999 } } },
		{ "the first one that was jumped over", 900, 0, { { 0 } } },
		{ "the last one that was jumped over", 949, 0, { { 0 } } },
		{ "the first time after", 950, 1, { { 1, 1000 } } },
		{ "as the host's TSC began", (uint64_t)-100, 1, { { 0, 0 } } },
		{ "before the host's TSC began", (uint64_t)-101, 0, { { 0 } } },
	};
	const struct phase_case *c = &phase_cases[2];
	struct vcpu_modes modes = { 0 };
	struct vcpu_history history;
	struct fit_vcpu vcpu = { .modes = &modes, .history = &history };

	make_history(&history, c);
	assert_int_equal(fit_vcpu_make(&vcpu, NULL, 0), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct fit_place places[FIT_MAX_PLACES];
		size_t nr = fit_vcpu_places(&vcpu, cases[i].guest_tsc, places);

		if (nr != cases[i].nr || (nr && (places[0].phase != cases[i].places[0].phase ||
						 places[0].host_tsc != cases[i].places[0].host_tsc)))
			fail_msg("%s: %zu places", cases[i].name, nr);
	}
	fit_vcpu_release(&vcpu);
	free(history.segments);
}

static void test_shown(void **state)
{
	static const uint64_t times[] = { 0, 1, INT64_MAX, INT64_MAX + 1ULL, UINT64_MAX };
	struct fit_vcpu vcpu = { 0 };

	assert_int_equal(fit_vcpu_make_shown(&vcpu), 0);
	assert_int_equal(vcpu.nr_phases, 1);
	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		struct fit_place places[FIT_MAX_PLACES];

		assert_int_equal(fit_vcpu_places(&vcpu, times[i], places), 1);
		assert_true(places[0].host_tsc == times[i] && places[0].phase == 0);
	}
	fit_vcpu_release(&vcpu);
}

struct lifetime_case {
	const char	*name;
	const char	*modes;		/* one letter for each 10 cycles: G, H or '.' */
	bool		lives;
	uint64_t	from;
	uint64_t	to;
};

static void test_lifetime(void **state)
{
	static const struct lifetime_case cases[] = {
		{ "nothing known", "", false, 0, 0 },
		{ "never in guest mode", "HH..H", false, 0, 0 },
		{ "once", "HHGHH", true, 20, 29 },
		{ "from the first to the last time", "HGHGGH.G.H", true, 10, 79 },
		{ "from the beginning to the end", "GHHG", true, 0, 39 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct vcpu_modes modes = made_modes(cases[i].modes);
		struct fit_vcpu vcpu = { .modes = &modes };
		uint64_t from = 0, to = 0;
		bool lives = fit_vcpu_lifetime(&vcpu, &from, &to);

		if (lives != cases[i].lives || from != cases[i].from || to != cases[i].to)
			fail_msg("%s: %lu to %lu", cases[i].name, (unsigned long)from, (unsigned long)to);
		vcpu_modes_release(&modes);
	}
}

static void test_coexist(void **state)
{
	static const struct { const char *name, *a, *b; bool coexist; } cases[] = {
		{ "one after the other", "GGHH", "HHGG", false },
		{ "they take turns", "GHGH", "HGHG", true },
		{ "one in a pause of the other", "GHHG", "HGHH", true },
		{ "one that was never in guest mode", "GGGG", "HHHH", false },
		{ "at the same time", "HGHH", "HGHH", true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct vcpu_modes modes_a = made_modes(cases[i].a), modes_b = made_modes(cases[i].b);
		struct fit_vcpu a = { .modes = &modes_a }, b = { .modes = &modes_b };

		if (fit_vcpu_coexist(&a, &b) != cases[i].coexist || fit_vcpu_coexist(&b, &a) != cases[i].coexist)
			fail_msg("%s: not %d", cases[i].name, cases[i].coexist);
		vcpu_modes_release(&modes_a);
		vcpu_modes_release(&modes_b);
	}
}

/* The last cycle of one vCPU is the first of the other */
static void test_coexist_one_cycle(void **state)
{
	for (uint64_t begin = 19; begin <= 20; begin++) {
		struct vcpu_modes modes_a = made_modes("GGHH"), modes_b = { 0 };
		struct fit_vcpu a = { .modes = &modes_a }, b = { .modes = &modes_b };

		assert_int_equal(vcpu_modes_add(&modes_b, begin, 39, MODE_GUEST), 0);
		assert_int_equal(vcpu_modes_add(&modes_b, 40, UINT64_MAX, MODE_UNKNOWN), 0);
		assert_int_equal(fit_vcpu_coexist(&a, &b), begin == 19);
		assert_int_equal(fit_vcpu_coexist(&b, &a), begin == 19);
		vcpu_modes_release(&modes_a);
		vcpu_modes_release(&modes_b);
	}
}

/*
 * A vCPU is made at 5 with a TSC of 0. Its TSC is set at 25: to that of a
 * saved guest, if the vCPU did not run before.
 */
static void test_restored(void **state)
{
	static const struct { const char *name, *modes; bool again; int64_t offset; uint64_t restored; } cases[] = {
		{ "set before it ran", "HHHGGH", false, 100, 25 },
		{ "and its first offset was written again meanwhile", "HHHGGH", true, 100, 25 },
		{ "it ran before", "HGHGGH", false, 100, 0 },
		{ "it may have run before", "H.HGGH", false, 100, 0 },
		{ "it never ran", "HHHHHH", false, 100, 0 },
		{ "set back", "HHHGGH", false, -15, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct vcpu_modes modes = made_modes(cases[i].modes);
		const struct tsc_mapping none = { 0 }, made = { .offset = -5 }, set = { .offset = cases[i].offset };
		struct vcpu_history history = { 0 };
		struct fit_vcpu vcpu = { .modes = &modes, .history = &history };
		const struct fit_phase *last;

		assert_int_equal(vcpu_history_add(&history, 5, &made, &none), 0);
		if (cases[i].again)
			assert_int_equal(vcpu_history_add(&history, 15, &made, &made), 0);
		assert_int_equal(vcpu_history_add(&history, 25, &set, &made), 0);
		assert_int_equal(fit_vcpu_make(&vcpu, NULL, 0), 0);
		last = vcpu.nr_phases ? &vcpu.phases[vcpu.nr_phases - 1] : NULL;
		if (last && (last->restored != cases[i].restored ||
			     last->load != !!cases[i].restored ||
			     (last->restored && last->saved != 25 + cases[i].offset)))
			fail_msg("%s: %lu, %ld", cases[i].name, (unsigned long)last->restored, (long)last->saved);
		assert_true(last || !strchr(cases[i].modes, 'G'));
		fit_vcpu_release(&vcpu);
		free(history.segments);
		vcpu_modes_release(&modes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_phases),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_place_ends),
		cmocka_unit_test(test_shown),
		cmocka_unit_test(test_restored),
		cmocka_unit_test(test_lifetime),
		cmocka_unit_test(test_coexist),
		cmocka_unit_test(test_coexist_one_cycle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
