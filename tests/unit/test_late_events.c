// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The places of events that follow a jump backward within a page. Host time is written as letters, one for each 10
 * cycles. An oracle tries all times one by one.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "assert_within.h"
#include "fit_vcpu.h"
#include "late_events.h"
#include "made_modes.h"
#include "prng.h"

#define MAX_PHASES	6
#define MAX_SECTIONS	3
#define MAX_EVENTS	12
#define LATE		1000000ULL

/* A vCPU's modes and phases; each phase begins at a host time and has an offset */
struct world {
	struct vcpu_modes	modes;
	struct fit_phase	phases[MAX_PHASES];
	const struct fit_phase	*list[MAX_PHASES];
	struct late_window	window;
	uint64_t		steps;
};

static void begin(struct world *w, const char *letters, const uint64_t *from, const int64_t *offsets, size_t nr)
{
	*w = (struct world) { .modes = made_modes(letters) };
	for (size_t i = 0; i < nr; i++) {
		w->phases[i] = (struct fit_phase) {
			.map = { .offset = offsets[i] }, .from = from[i],
			.to = i + 1 < nr ? from[i + 1] - 1 : UINT64_MAX,
		};
		w->list[i] = &w->phases[i];
	}
	w->window = (struct late_window) {
		.phases = w->list, .nr_phases = nr, .modes = &w->modes, .from = 0, .to = 10 * strlen(letters) - 1,
		.steps = &w->steps,
	};
}

static void end(struct world *w)
{
	vcpu_modes_release(&w->modes);
}

struct place_case {
	const char	*name;
	const char	*modes;
	size_t		nr_phases;
	uint64_t	from[MAX_PHASES];
	int64_t		offsets[MAX_PHASES];
	uint64_t	begin;
	uint64_t	end;
	size_t		nr_sections;
	size_t		nr[MAX_SECTIONS];
	uint64_t	distances[MAX_SECTIONS][MAX_EVENTS];	/* from the first event of the section */
	bool		found;
	uint64_t	low[MAX_SECTIONS];	/* bounds of the first event's host time */
	uint64_t	high[MAX_SECTIONS];
};

static const struct place_case place_cases[] = {
	{ "one event: all of guest mode after the jump", "GGGHGGHHH", 2, { 0, 30 }, { 500, 300 }, 5, 89,
	  1, { 1 }, { { 0 } }, true, { 40 }, { 59 } },
	{ "two events, of which the later one is in the last span", "GGGHGGHHHGH", 2, { 0, 30 }, { 500, 300 }, 5, 109,
	  1, { 2 }, { { 0, 45 } }, true, { 45 }, { 54 } },
	{ "the first and the last cycle", "GGGHGHGHHHHH", 2, { 0, 30 }, { 500, 300 }, 5, 119,
	  1, { 2 }, { { 0, 29 } }, true, { 40 }, { 40 } },
	{ "not before the last event before the jump", "GGGGGGGGG", 2, { 0, 30 }, { 500, 300 }, 44, 89,
	  1, { 1 }, { { 0 } }, false, { 44 }, { 89 } },
	{ "from the jump on where guest mode goes on", "GGGGGGGGG", 2, { 0, 30 }, { 500, 300 }, 12, 70,
	  1, { 1 }, { { 0 } }, true, { 30 }, { 70 } },
	{ "not after the next event", "GGGHGGGGG", 2, { 0, 30 }, { 500, 300 }, 5, 71,
	  1, { 2 }, { { 0, 11 } }, true, { 40 }, { 60 } },
	{ "where nothing is known all may be", "GGGHG.GHH", 2, { 0, 30 }, { 500, 300 }, 5, 89,
	  1, { 1 }, { { 0 } }, true, { 40 }, { 69 } },
	{ "no jump backward in the window: they fit nowhere", "GGGGGGGGG", 2, { 0, 30 }, { 300, 500 }, 5, 89,
	  1, { 1 }, { { 0 } }, false, { 5 }, { 89 } },
	{ "a jump forward within the section", "GGHGHHHGHHHH", 3, { 0, 25, 60 }, { 500, 300, 400 }, 5, 119,
	  1, { 2 }, { { 0, 140 } }, true, { 30 }, { 39 } },
	{ "a jump forward before the section is none after which it can be", "GGHGHHHGHHHH", 3, { 0, 25, 60 },
	  { 500, 600, 400 }, 5, 119, 1, { 1 }, { { 0 } }, true, { 70 }, { 79 } },
	{ "a jump backward without a trace within the section", "GGHGHHHGHHHHHGHH", 3, { 0, 25, 60 },
	  { 500, 300, 270 }, 5, 159, 1, { 2 }, { { 0, 10 } }, true, { 30 }, { 39 } },
	{ "two sections, a jump each", "GGHGHHHGHHHH", 3, { 0, 25, 60 }, { 500, 300, 100 }, 5, 119,
	  2, { 1, 1 }, { { 0 }, { 0 } }, true, { 30, 70 }, { 39, 79 } },
	{ "the first one is not after the last jump", "GGHGHGHGHHHH", 3, { 0, 25, 60 }, { 500, 300, 100 }, 5, 119,
	  2, { 2, 1 }, { { 0, 20 }, { 0 } }, true, { 30, 70 }, { 39, 79 } },
	{ "three jumps for two sections", "GGHGHGHGHHHH", 4, { 0, 25, 42, 62 }, { 500, 300, 200, 100 }, 5, 119,
	  2, { 1, 1 }, { { 0 }, { 0 } }, true, { 30, 50 }, { 59, 79 } },
	{ "more sections than jumps", "GGHGHHHHHHHH", 2, { 0, 25 }, { 500, 300 }, 5, 119,
	  2, { 1, 1 }, { { 0 }, { 0 } }, false, { 0 }, { 0 } },
	{ "too long to fit", "GGHGHHHHHHHH", 2, { 0, 25 }, { 500, 300 }, 5, 119,
	  1, { 2 }, { { 0, 10 } }, false, { 5 }, { 119 } },
};

static void find_places(const struct place_case *c, struct late_place *places)
{
	uint64_t times[MAX_SECTIONS][MAX_EVENTS];
	struct late_section sections[MAX_SECTIONS];
	struct world w;

	begin(&w, c->modes, c->from, c->offsets, c->nr_phases);
	w.window.from = c->begin;
	w.window.to = c->end;
	for (size_t s = 0; s < c->nr_sections; s++) {
		sections[s] = (struct late_section) { times[s], c->nr[s] };
		for (size_t i = 0; i < c->nr[s]; i++)
			times[s][i] = LATE + c->distances[s][i];
	}
	assert_int_equal(late_events_place(places, &w.window, sections, c->nr_sections), 0);
	for (size_t s = 0; s < c->nr_sections; s++) {
		/* The place and the amount by which the event is late must agree */
		if (places[s].found)
			assert_int_equal(LATE - places[s].late_by,
					 places[s].host_tsc + (uint64_t)c->offsets[places[s].phase]);
	}
	end(&w);
}

static void test_places(void **state)
{
	for (size_t n = 0; n < sizeof(place_cases) / sizeof(*place_cases); n++) {
		const struct place_case *c = &place_cases[n];
		struct late_place places[MAX_SECTIONS];
		bool found = true;

		find_places(c, places);
		for (size_t s = 0; s < c->nr_sections; s++) {
			const struct late_place *place = &places[s];

			found &= place->found;
			if (c->high[s] && (place->host_tsc - place->earlier != c->low[s] ||
					   place->host_tsc + place->later != c->high[s]))
				fail_msg("%s: section %zu from %lu to %lu", c->name, s,
					 (unsigned long)(place->host_tsc - place->earlier),
					 (unsigned long)(place->host_tsc + place->later));
		}
		if (found != c->found)
			fail_msg("%s: found %d", c->name, found);
	}
}

/* If several ranges are possible, the longest is the best guess */
static void test_longest(void **state)
{
	static const struct place_case c = {
		.modes = "GGHGHGGGGHHGGH", .nr_phases = 2, .from = { 0, 25 }, .offsets = { 500, 300 }, .begin = 5,
		.end = 139, .nr_sections = 1, .nr = { 1 },
	};
	struct late_place place;

	find_places(&c, &place);
	assert_true(place.found && place.phase == 1);
	assert_true(place.host_tsc >= 68 && place.host_tsc <= 71);
	assert_int_equal(place.host_tsc - place.earlier, 30);
	assert_int_equal(place.host_tsc + place.later, 129);
}

/* Guest times are modulo 2^64 */
static void test_modulo(void **state)
{
	static const struct place_case c = {
		.modes = "GGHGHGHHHHHH", .nr_phases = 2, .from = { 0, 25 }, .offsets = { -20, -34 }, .begin = 5,
		.end = 119, .nr_sections = 1, .nr = { 2 }, .distances = { { 0, 21 } },
	};
	struct late_place place;

	find_places(&c, &place);
	assert_true(place.found);
	assert_true(place.host_tsc - place.earlier == 30 && place.host_tsc + place.later == 38);
}

/* Without phases only the events before and after limit the place */
static void test_no_phases(void **state)
{
	const uint64_t times[] = { LATE, LATE + 5 };
	const struct late_section sections[] = { { times, 2 }, { times, 1 } };
	struct late_place places[2];
	size_t phases[2];
	struct world w;

	begin(&w, "GGGGGGG", NULL, NULL, 0);
	w.window.from = 17;
	assert_int_equal(late_events_place(places, &w.window, sections, 2), 0);
	for (size_t i = 0; i < 2; i++) {
		assert_false(places[i].found);
		assert_true(places[i].host_tsc == 17 && !places[i].earlier && places[i].later == 69 - 17);
	}
	assert_int_equal(late_events_phases(&w.window, &sections[0], &places[0], phases), 0);
	assert_true(!phases[0] && !phases[1]);
	assert_int_equal(late_events_place(places, &w.window, sections, 0), 0);
	end(&w);
}

/* Events of a section in successive phases. Events that could also be in a later phase are counted. */
static void test_phases(void **state)
{
	static const uint64_t from[] = { 0, 25, 60 };
	static const struct {
		const char	*name;
		int64_t		offsets[3];
		uint64_t	guest[4];
		size_t		phases[4];
		size_t		undecided;
	} cases[] = {
		{ "all in one", { 500, 300, 400 }, { 330, 335, 338, 339 }, { 1, 1, 1, 1 }, 0 },
		{ "a jump forward", { 500, 300, 400 }, { 330, 339, 470, 479 }, { 1, 1, 2, 2 }, 0 },
		{ "a jump backward without a trace", { 500, 300, 290 }, { 331, 335, 361, 365 }, { 1, 1, 2, 2 }, 0 },
		{ "and the same times before it and after it", { 500, 300, 260 }, { 330, 332, 335, 339 },
		  { 1, 1, 1, 1 }, 4 },
		{ "of these some", { 500, 300, 265 }, { 330, 334, 335, 339 }, { 1, 1, 1, 1 }, 2 },
	};

	(void)state;
	for (size_t n = 0; n < sizeof(cases) / sizeof(*cases); n++) {
		struct late_section section = { cases[n].guest, 4 };
		const struct late_place place = { .found = true, .phase = 1 };
		size_t phases[4], undecided;
		struct world w;

		begin(&w, "GGHGHHHGHHHH", from, cases[n].offsets, 3);
		undecided = late_events_phases(&w.window, &section, &place, phases);
		if (undecided != cases[n].undecided || memcmp(phases, cases[n].phases, sizeof(phases)))
			fail_msg("%s: %zu undecided, phases %zu %zu %zu %zu", cases[n].name, undecided, phases[0],
				 phases[1], phases[2], phases[3]);
		end(&w);
	}
}

/* An oracle that tries every place of an event */
struct oracle {
	const struct world	*w;
	size_t			pieces[MAX_PHASES];	/* number of jumps backward in the window up to each phase */
};

static void make_oracle(struct oracle *oracle, const struct world *w)
{
	size_t piece = 0;

	*oracle = (struct oracle) { .w = w };
	for (size_t i = 0; i < w->window.nr_phases; i++) {
		piece += i && w->phases[i].from > w->window.from && w->phases[i].from <= w->window.to &&
			 w->phases[i].map.offset < w->phases[i - 1].map.offset;
		oracle->pieces[i] = piece;
	}
}

static bool may_be(const struct oracle *oracle, size_t phase, uint64_t host_tsc)
{
	const struct late_window *window = &oracle->w->window;
	const struct fit_phase *of = window->phases[phase];

	return oracle->pieces[phase] && host_tsc >= of->from && host_tsc <= of->to && host_tsc >= window->from &&
	       host_tsc <= window->to &&
	       vcpu_modes_at(window->modes, vcpu_modes_find(window->modes, host_tsc, 0)) != MODE_HOST;
}

/* The possible places of a section's events, for all host times of its first event */
struct tried {
	uint64_t	low;		/* of the first event */
	uint64_t	high;
	uint64_t	earlier;	/* the most by which any event can be earlier than in @put */
	uint64_t	later;
};

/* Whether any sequence of phases is possible from event @i in @phase. @put: where the events are placed. */
static bool try_ways(const struct oracle *oracle, const struct late_section *section, size_t i, uint64_t late_by,
		     size_t phase, const uint64_t *put, struct tried *tried)
{
	bool found = false;

	for (size_t p = phase; p < oracle->w->window.nr_phases; p++) {
		uint64_t host_tsc = section->times[i] - late_by - (uint64_t)oracle->w->phases[p].map.offset;

		if (!may_be(oracle, p, host_tsc) ||
		    (i + 1 < section->nr && !try_ways(oracle, section, i + 1, late_by, p, put, tried)))
			continue;
		found = true;
		if (host_tsc < put[i] && put[i] - host_tsc > tried->earlier)
			tried->earlier = put[i] - host_tsc;
		if (host_tsc > put[i] && host_tsc - put[i] > tried->later)
			tried->later = host_tsc - put[i];
		if (!i && host_tsc < tried->low)
			tried->low = host_tsc;
		if (!i && host_tsc > tried->high)
			tried->high = host_tsc;
	}
	return found;
}

static struct tried try_all(const struct oracle *oracle, const struct late_section *section, const uint64_t *put)
{
	const struct late_window *window = &oracle->w->window;
	struct tried tried = { .low = UINT64_MAX };
	int64_t lowest = INT64_MAX, highest = INT64_MIN;

	for (size_t p = 0; p < window->nr_phases; p++) {
		int64_t offset = oracle->w->phases[p].map.offset;

		lowest = (int64_t)window->from + offset < lowest ? (int64_t)window->from + offset : lowest;
		highest = (int64_t)window->to + offset > highest ? (int64_t)window->to + offset : highest;
	}
	for (int64_t guest = lowest; guest <= highest; guest++)
		try_ways(oracle, section, 0, section->times[0] - (uint64_t)guest, 0, put, &tried);
	return tried;
}

/* A random history, with events as the ring buffer records them */
struct made {
	char			letters[60];
	uint64_t		from[MAX_PHASES];
	int64_t			offsets[MAX_PHASES];
	size_t			nr_phases;
	uint64_t		times[MAX_SECTIONS * MAX_EVENTS];
	uint64_t		host[MAX_SECTIONS * MAX_EVENTS];
	struct late_section	sections[MAX_SECTIONS];
	size_t			first[MAX_SECTIONS];
	size_t			nr_sections;
};

static void make_history(struct made *made, uint64_t *seed)
{
	size_t length = prng_range(seed, 12, sizeof(made->letters) - 1);
	uint64_t at = 0;
	int64_t offset = 10000;

	*made = (struct made) { .nr_phases = prng_range(seed, 2, MAX_PHASES) };
	for (size_t i = 0; i < length; i++) {
		uint64_t which = prng_range(seed, 0, 9);

		made->letters[i] = which < 5 ? 'G' : which < 9 ? 'H' : '.';
	}
	for (size_t i = 0; i < made->nr_phases; i++) {
		made->from[i] = at;
		made->offsets[i] = offset;
		at += prng_range(seed, 1, 15 * length / made->nr_phases);
		offset += (int64_t)prng_range(seed, 0, 400) - 280;
	}
}

/* The window reaches from the first event to the last. Returns: whether there are late sections. */
static bool make_events(struct made *made, struct world *w, uint64_t *seed)
{
	uint64_t host_tsc = 0, length = 10 * strlen(made->letters), file = 0, before = 0;
	size_t nr = 0, last = 0;
	bool any = false;

	made->nr_sections = 0;
	for (; host_tsc < length; host_tsc += prng_range(seed, 1, 60)) {
		size_t p = made->nr_phases - 1;
		uint64_t guest;

		if (vcpu_modes_at(&w->modes, vcpu_modes_find(&w->modes, host_tsc, 0)) == MODE_HOST)
			continue;
		while (made->from[p] > host_tsc)
			p--;
		guest = host_tsc + (uint64_t)made->offsets[p];
		if (!any) {
			w->window.from = host_tsc;
			file = guest;
		} else if (guest < before) {
			if (made->nr_sections == MAX_SECTIONS)
				break;
			made->first[made->nr_sections++] = nr;
		} else {
			file += guest - before;
		}
		any = true;
		before = guest;
		last = host_tsc;
		if (!made->nr_sections)
			continue;
		if (nr - made->first[made->nr_sections - 1] == MAX_EVENTS)
			break;
		made->times[nr] = file;
		made->host[nr++] = host_tsc;
	}
	w->window.to = prng_range(seed, last, length);
	for (size_t s = 0; s < made->nr_sections; s++) {
		size_t end = s + 1 < made->nr_sections ? made->first[s + 1] : nr;

		made->sections[s] = (struct late_section) { &made->times[made->first[s]], end - made->first[s] };
	}
	return made->nr_sections;
}

/*
 * The result never excludes the true place. A single section also has bounds no narrower than the oracle's. Returns:
 * whether the bounds are at most those of the oracle.
 */
static bool check_section(size_t n, const struct made *made, size_t s, const struct late_place *place,
			  const struct oracle *oracle, size_t *nr_later_phase, uint64_t *last)
{
	const struct late_section *section = &made->sections[s];
	size_t phases[MAX_EVENTS];
	uint64_t put[MAX_EVENTS];
	struct tried tried;

	late_events_phases(&oracle->w->window, section, place, phases);
	*nr_later_phase += phases[section->nr - 1] != phases[0];
	for (size_t i = 0; i < section->nr; i++) {
		uint64_t host_tsc = made->host[made->first[s] + i];

		put[i] = section->times[i] - place->late_by - (uint64_t)made->offsets[phases[i]];
		if (!place->found || !may_be(oracle, phases[i], put[i]) || host_tsc + place->earlier < put[i] ||
		    host_tsc > put[i] + place->later)
			fail_msg("history %zu: event %zu of section %zu of %zu is at %lu, found %d at %lu, -%lu +%lu",
				 n, i,
				 s, made->nr_sections, (unsigned long)host_tsc, place->found, (unsigned long)put[i],
				 (unsigned long)place->earlier, (unsigned long)place->later);
	}
	assert_int_equal(put[0], place->host_tsc);
	/* Sections are in order */
	assert_true(put[0] >= *last);
	*last = put[section->nr - 1];
	tried = try_all(oracle, section, put);
	assert_within(place->host_tsc, tried.low, tried.high);
	if (made->nr_sections == 1 && (place->earlier < tried.earlier || place->later < tried.later))
		fail_msg("history %zu: the bounds of an event are -%lu +%lu in place of -%lu +%lu", n,
			 (unsigned long)place->earlier, (unsigned long)place->later, (unsigned long)tried.earlier,
			 (unsigned long)tried.later);
	return place->earlier <= tried.earlier && place->later <= tried.later;
}

static void test_oracle(void **state)
{
	size_t nr_tried = 0, nr_single = 0, nr_sections = 0, nr_tight = 0, nr_later_phase = 0;
	uint64_t seed = 171;

	for (size_t n = 0; n < 30000; n++) {
		struct late_place places[MAX_SECTIONS];
		struct oracle oracle;
		uint64_t last = 0;
		struct made made;
		struct world w;

		make_history(&made, &seed);
		begin(&w, made.letters, made.from, made.offsets, made.nr_phases);
		if (make_events(&made, &w, &seed)) {
			make_oracle(&oracle, &w);
			assert_int_equal(late_events_place(places, &w.window, made.sections, made.nr_sections), 0);
			for (size_t s = 0; s < made.nr_sections; s++)
				nr_tight += check_section(n, &made, s, &places[s], &oracle, &nr_later_phase, &last);
			nr_tried++;
			nr_single += made.nr_sections == 1;
			nr_sections += made.nr_sections;
		}
		end(&w);
	}
	assert_true(nr_tried > 10000 && nr_single > 3000 && nr_tried - nr_single > 3000 && nr_later_phase > 100);
	/* The bounds of an event do not use what later sections exclude, so a few are wider than necessary */
	assert_true(nr_tight > nr_sections / 20 * 19);
}

/* With a ratio other than 1, rounding does not move a place out of its phase */
static void test_scaled(void **state)
{
	static const uint64_t from[] = { 0, 285 };
	static const int64_t offsets[] = { 5000, 3000 };

	for (int slow = 0; slow < 2; slow++) {
		const uint64_t ratio = slow ? (1ULL << 32) * 4 / 5 : (1ULL << 32) * 5 / 4;
		uint64_t times[2] = { LATE, LATE };
		const struct late_section section = { times, 2 };
		struct late_place place;
		struct world w;

		begin(&w, "GGGGGGGGGGGGGGGGGGGGGGGGGGGGHHGHHHHHHGGGHHHHHHHH", from, offsets, 2);
		for (size_t i = 0; i < 2; i++) {
			w.phases[i].map.ratio = ratio;
			w.phases[i].map.frac_bits = 32;
		}
		times[1] += tsc_guest_from_host(&w.phases[1].map, 399) - tsc_guest_from_host(&w.phases[1].map, 300);
		assert_int_equal(late_events_place(&place, &w.window, &section, 1), 0);
		assert_true(place.found && place.phase == 1);
		assert_within(place.host_tsc - place.earlier, 299, 301);
		assert_within(place.host_tsc + place.later, 299, 301);
		end(&w);
	}
}

/* Any number of spans and events takes seconds, not hours: the place is then less exact, but not wrong */
#define MANY_SPANS	20000
#define MANY_EVENTS	10000

static void test_budget(void **state)
{
	static const uint64_t from[] = { 0, 15 };
	static const int64_t offsets[] = { 500, 300 };
	uint64_t *times = calloc(MANY_EVENTS, sizeof(*times));
	const struct late_section section = { times, MANY_EVENTS };
	char *letters = calloc(MANY_SPANS + 1, 1);
	size_t *phases = calloc(MANY_EVENTS, sizeof(*phases));
	struct late_place place;
	struct world w;

	assert_non_null(times);
	assert_non_null(letters);
	assert_non_null(phases);
	for (size_t i = 0; i < MANY_SPANS; i++)
		letters[i] = i % 2 ? 'G' : 'H';
	letters[0] = 'G';
	for (size_t i = 1; i < MANY_EVENTS; i++)
		times[i] = times[i - 1] + (i % 2 ? 1 : 19);
	begin(&w, letters, from, offsets, 2);
	assert_int_equal(late_events_place(&place, &w.window, &section, 1), 0);
	assert_true(place.found);
	/* The bounds include the earliest place, and the latest at which the last event is within the window */
	assert_true(place.host_tsc - 15 <= place.earlier);
	assert_true(place.host_tsc + place.later >= 10ULL * (MANY_SPANS - MANY_EVENTS) - 20);
	late_events_phases(&w.window, &section, &place, phases);
	end(&w);
	free(phases);
	free(letters);
	free(times);
}

/* The work for all windows of a file is limited */
static void test_too_many(void **state)
{
	static const uint64_t from[] = { 0, 15 }, times[] = { LATE, LATE + 3 };
	static const int64_t offsets[] = { 500, 300 };
	const struct late_section section = { times, 2 };
	struct late_place place;
	uint64_t each;
	struct world w;

	begin(&w, "GGGHGGHGHGHGHGHGHGGGG", from, offsets, 2);
	assert_int_equal(late_events_place(&place, &w.window, &section, 1), 0);
	each = w.steps;
	assert_true(each > 20 && each < 1000);
	assert_int_equal(late_events_place(&place, &w.window, &section, 1), 0);
	assert_int_equal(w.steps, 2 * each);
	w.steps = (1ULL << 31) - each;
	assert_int_equal(late_events_place(&place, &w.window, &section, 1), 0);
	assert_int_equal(late_events_place(&place, &w.window, &section, 1), -E2BIG);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_modulo),
		cmocka_unit_test(test_no_phases),
		cmocka_unit_test(test_phases),
		cmocka_unit_test(test_oracle),
		cmocka_unit_test(test_scaled),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
