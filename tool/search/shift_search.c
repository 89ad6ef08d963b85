// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "order.h"
#include "shift_search.h"

typedef unsigned __int128 u128;

/* The guest's recording is swept as a whole, and in this many parts in case the offset changed in it */
#define NR_PARTS	4
/* Number of events with which each shift of the sweeps is tried */
#define NR_TRIED	4096UL
/* A range with more changes of the vCPU's mode is not a place */
#define MAX_CHANGES	1024
/* Limits of the places that are tried with all events: the best by events without a violation, and the best by score */
#define NR_PLACES	8
/* Weights of an event in guest mode and of one out of it */
#define WEIGHT		(1 << 16)
/*
 * A place without violations is better than one with violations, unless it has less than this part of the events
 * inside. Two places without violations differ only by more than that.
 */
#define RIVAL_WORTH	4
/*
 * The end of one recording that fits the begin of the other proves little, because guests repeat their actions: at
 * least this part of one of them must fit
 */
#define PART_IN_COMMON	8
/* A result that occurs by chance in one of this many searches is not accepted */
#define CHANCE		1000
/* The best rival is the best of very many, so an average one is far from it */
#define RIVAL_CHANCE	128
#define ONE		(1ULL << 63)
/* Shifts whose score is lower by only this part are equal to the best */
#define LOOSE_NEAR	8
/* Edges in memory, before the list is reduced */
#define MAX_EDGES	(1UL << 20)
/* Numbers of events by mode at a shift */
struct counts {
	int64_t	inside;
	int64_t	violations;
};

/* Shifts that a sweep left, and the result of some events with the best of them */
struct shift_rival {
	uint64_t	from;
	uint64_t	to;
	struct counts	counts;
};

/* A shift at which an event moves from one span to the next */
struct edge {
	uint64_t	at;
	int32_t		inside;
	int32_t		violations;
};

/**
 * struct shift_place - shifts that lie close together
 * @from, @to: the first and the last of them
 * @at_from: numbers of events by mode at @from
 * @spans_hit: number of spans of guest mode with an event at @from
 * @edges: changes of these numbers, up to @to; owned
 * @nr_edges: number of @edges
 * @capacity: number of edges that fit without growing
 * @nr_left: number of edges after the last reduction
 * @hint: number of spans that began before the last event
 * @last_hit: the same for the last event in guest mode
 * @clean_inside: the most events inside with a shift without violations, 0 without such a shift
 * @clean_from, @clean_to: the first and the last of those shifts
 * @best: numbers of events by mode with the best score
 * @best_from, @best_to: the first and the last shift with about that score
 */
struct shift_place {
	uint64_t	from;
	uint64_t	to;
	struct counts	at_from;
	uint64_t	spans_hit;
	struct edge	*edges;
	size_t		nr_edges;
	size_t		capacity;
	size_t		nr_left;
	size_t		hint;
	size_t		last_hit;
	int64_t		clean_inside;
	uint64_t	clean_from;
	uint64_t	clean_to;
	struct counts	best;
	uint64_t	best_from;
	uint64_t	best_to;
};

/* Returns: the increase of events out of guest mode, or in it, from span @i on */
static int change_to(const struct vcpu_modes *spans, size_t i, enum vcpu_mode mode)
{
	return (vcpu_modes_at(spans, i) == mode) - (i && vcpu_modes_at(spans, i - 1) == mode);
}

/* The expected value by chance is 0 */
static int64_t loose_score(const struct vcpu_modes *spans, const struct counts *counts)
{
	u128 all = (u128)spans->guest_time + spans->host_time;
	/* Less than WEIGHT: there are spans in guest mode */
	int64_t worth = (int64_t)((u128)spans->host_time * WEIGHT / all);

	/* An event in guest mode has a cost as well */
	if (worth < 1)
		worth = 1;
	return counts->inside * worth - counts->violations * (WEIGHT - worth);
}

static ORDER_BY(compare_edges, struct edge, at)

/* In order, one for each shift */
static void sort_edges(struct shift_place *place)
{
	size_t nr = 0;

	array_sort(place->edges, place->nr_edges, compare_edges);
	for (size_t i = 0; i < place->nr_edges; i++) {
		if (nr && place->edges[nr - 1].at == place->edges[i].at) {
			place->edges[nr - 1].inside += place->edges[i].inside;
			place->edges[nr - 1].violations += place->edges[i].violations;
		} else {
			place->edges[nr++] = place->edges[i];
		}
	}
	place->nr_edges = nr;
}

/* Shifts of a place between two edges */
struct stretch {
	size_t		next;	/* index of the edge after it */
	uint64_t	from;
	uint64_t	to;
	struct counts	counts;
};

/* Iterates over a place from its first shift: begin with all zeros. Returns: false at the end. */
static bool next_stretch(const struct shift_place *place, struct stretch *stretch)
{
	if (!stretch->next) {
		stretch->from = place->from;
		stretch->counts = place->at_from;
	} else if (stretch->next <= place->nr_edges) {
		const struct edge *edge = &place->edges[stretch->next - 1];

		stretch->from = edge->at;
		stretch->counts.inside += edge->inside;
		stretch->counts.violations += edge->violations;
	} else {
		return false;
	}
	stretch->to = stretch->next < place->nr_edges ? place->edges[stretch->next].at - 1 : place->to;
	stretch->next++;
	return true;
}

/* The results of the events with which a place was tried */
static void judge(const struct shift_search *search, struct shift_place *place)
{
	int64_t best_score = INT64_MIN, score;
	struct stretch stretch = { 0 };
	bool reached = false;

	sort_edges(place);
	place->clean_inside = 0;
	while (next_stretch(place, &stretch)) {
		score = loose_score(search->spans, &stretch.counts);
		if (score > best_score) {
			best_score = score;
			place->best = stretch.counts;
		}
		if (!stretch.counts.violations && stretch.counts.inside > place->clean_inside)
			place->clean_inside = stretch.counts.inside;
	}
	stretch = (struct stretch) { 0 };
	place->clean_from = UINT64_MAX;
	while (next_stretch(place, &stretch)) {
		/* A shift that moves most events to unknown times is excluded */
		if (place->clean_inside && !stretch.counts.violations &&
		    2 * stretch.counts.inside >= place->clean_inside) {
			if (place->clean_from == UINT64_MAX)
				place->clean_from = stretch.from;
			place->clean_to = stretch.to;
		}
		score = loose_score(search->spans, &stretch.counts);
		if (score >= best_score - (best_score > 0 ? best_score / LOOSE_NEAR : 0)) {
			if (!reached)
				place->best_from = stretch.from;
			reached = true;
			place->best_to = stretch.to;
		}
	}
}

/* Remove shifts that cannot be correct any more */
static void cut_down(const struct shift_search *search, struct shift_place *place)
{
	uint64_t from, to;
	size_t nr = 0;

	judge(search, place);
	from = place->best_from;
	to = place->best_to;
	if (place->clean_inside) {
		from = place->clean_from < from ? place->clean_from : from;
		to = place->clean_to > to ? place->clean_to : to;
	}
	for (size_t i = 0; i < place->nr_edges; i++) {
		const struct edge *edge = &place->edges[i];

		if (edge->at <= from) {
			place->at_from.inside += edge->inside;
			place->at_from.violations += edge->violations;
		} else if (edge->at <= to) {
			place->edges[nr++] = *edge;
		}
	}
	place->nr_edges = nr;
	place->from = from;
	place->to = to;
}

static int add_edge(const struct shift_search *search, struct shift_place *place, uint64_t at, size_t span)
{
	const struct vcpu_modes *spans = search->spans;

	if (array_reserve(place->edges, place->nr_edges, place->capacity))
		return -ENOMEM;
	place->edges[place->nr_edges++] = (struct edge) {
		.at = at, .inside = change_to(spans, span, MODE_GUEST),
		.violations = change_to(spans, span, MODE_HOST),
	};
	return 0;
}

/* Try a place with one more event. Times are relative to the first span; they can be before it. */
static int try_event(const struct shift_search *search, struct shift_place *place, uint64_t guest_tsc)
{
	const struct vcpu_modes *spans = search->spans;
	uint64_t before_last = search->last - guest_tsc, first = vcpu_modes_from(spans, 0), host_tsc;
	enum vcpu_mode mode = MODE_UNKNOWN;
	size_t before = 0;

	if (place->from >= before_last) {
		if (__builtin_add_overflow(first, place->from - before_last, &host_tsc))
			host_tsc = UINT64_MAX;
		/* Number of spans that begin at or before it; the index after none is 0 */
		before = vcpu_modes_find(spans, host_tsc, place->hint ? place->hint - 1 : 0) + 1;
		mode = before ? vcpu_modes_at(spans, before - 1) : MODE_UNKNOWN;
	}
	place->hint = before;
	place->at_from.inside += mode == MODE_GUEST;
	place->at_from.violations += mode == MODE_HOST;
	if (mode == MODE_GUEST && place->last_hit != before) {
		place->last_hit = before;
		place->spans_hit++;
	}
	for (size_t i = before; i < spans->nr; i++) {
		/* Both are below 2^63 */
		uint64_t at = vcpu_modes_from(spans, i) - first + before_last;
		int ret;

		if (at > place->to)
			break;
		ret = add_edge(search, place, at, i);
		if (ret)
			return ret;
	}
	/* Most edges are at shifts that are excluded by now. Otherwise, try again when there are twice as many */
	if (place->nr_edges >= MAX_EDGES && place->nr_edges >= 2 * place->nr_left) {
		cut_down(search, place);
		place->nr_left = place->nr_edges;
	}
	return 0;
}

/* Are shifts further apart than one span of guest mode from the next? */
static bool are_apart(const struct shift_search *search, uint64_t from, uint64_t to, uint64_t other_from,
		      uint64_t other_to)
{
	return (from > other_to && from - other_to > search->near) ||
	       (other_from > to && other_from - to > search->near);
}

/* Places that are closer than one span of guest mode to the next are joined */
static int add_place(struct shift_search *search, uint64_t from, uint64_t to)
{
	struct shift_place *places;

	for (size_t i = 0; i < search->nr_places;) {
		const struct shift_place *place = &search->places[i];

		if (are_apart(search, from, to, place->from, place->to)) {
			i++;
			continue;
		}
		from = place->from < from ? place->from : from;
		to = place->to > to ? place->to : to;
		/* A larger place touches no other now: one between the two would separate them */
		search->places[i] = search->places[--search->nr_places];
	}
	places = reallocarray(search->places, search->nr_places + 1, sizeof(*places));
	if (!places)
		return -ENOMEM;
	search->places = places;
	places[search->nr_places++] = (struct shift_place) { .from = from, .to = to };
	return 0;
}

/* Try shifts that a sweep left with some of the events */
static int try_range(const struct shift_search *search, struct shift_place *place,
		     const struct shift_range *range, const uint64_t *samples, size_t nr)
{
	uint64_t margin = search->row.cell;
	size_t tried = nr < NR_TRIED ? nr : NR_TRIED;
	int ret = 0;

	*place = (struct shift_place) {
		.from = range->from > margin ? range->from - margin : 0,
		.to = range->to < UINT64_MAX - margin ? range->to + margin : UINT64_MAX,
	};
	if ((place->to - place->from) / search->near > MAX_CHANGES)
		return 0;
	for (size_t i = 0; i < tried && !ret; i++)
		ret = try_event(search, place, samples[(size_t)((u128)(i + 1) * nr / tried) - 1]);
	judge(search, place);
	free(place->edges);
	place->edges = NULL;
	return ret;
}

/* The best of the tried shifts become places */
static int choose_places(struct shift_search *search, struct shift_place *tried, size_t nr)
{
	int ret = 0;

	search->rivals = calloc(nr + 1, sizeof(*search->rivals));
	if (!search->rivals)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++) {
		search->rivals[search->nr_rivals++] = (struct shift_rival) {
			.from = tried[i].best_from, .to = tried[i].best_to, .counts = tried[i].best
		};
	}
	for (size_t left = NR_PLACES; left && !ret; left--) {
		struct shift_place *clean = NULL, *loose = NULL;

		for (size_t i = 0; i < nr; i++) {
			struct shift_place *place = &tried[i];

			if (place->clean_inside && (!clean || place->clean_inside > clean->clean_inside))
				clean = place;
			if (place->best.inside && (!loose || loose_score(search->spans, &place->best) >
						   loose_score(search->spans, &loose->best)))
				loose = place;
		}
		if (clean)
			ret = add_place(search, clean->clean_from, clean->clean_to);
		if (loose && !ret)
			ret = add_place(search, loose->best_from, loose->best_to);
		/* Each only once */
		if (loose)
			loose->best = (struct counts) { 0 };
		if (clean)
			clean->clean_inside = 0;
	}
	return ret;
}

static int sweep_all(struct shift_search *search, const uint64_t *samples, size_t nr,
		     struct progress *progress, uint64_t done)
{
	_cleanup_(freep) struct shift_place *tried = calloc((NR_PARTS + 1) * SHIFT_RANGES, sizeof(*tried));
	_cleanup_(freep) struct shift_ranges *found = malloc(sizeof(*found));
	_cleanup_(freep) uint64_t *before_last = calloc(nr, sizeof(*before_last));
	size_t nr_tried = 0;
	int ret = tried && found && before_last ? 0 : -ENOMEM;

	for (size_t i = 0; i < nr && !ret; i++)
		before_last[i] = samples[nr - 1] - samples[nr - 1 - i];
	for (size_t part = 0; part <= NR_PARTS && !ret; part++) {
		size_t from = part ? (part - 1) * nr / NR_PARTS : 0;
		size_t to = part ? part * nr / NR_PARTS : nr;

		if (from == to)
			continue;
		ret = shift_sweep(&search->row, before_last + from, to - from, found, progress,
				  done + part * SHIFT_SWEEP_STEPS);
		for (size_t i = 0; i < found->nr && !ret; i++)
			ret = try_range(search, &tried[nr_tried++], &found->ranges[i], samples, nr);
	}
	search->nr_tried_with = nr < NR_TRIED ? nr : NR_TRIED;
	return ret ? ret : choose_places(search, tried, nr_tried);
}

/**
 * shift_search_begin - search with some of the events
 * @search: result; must be released in any case
 * @spans: modes of the vCPU; not owned
 * @samples: guest times of events in order: the first, the last, and others between them
 * @nr_samples: number of @samples
 * @progress: the progress, or all zeros
 * @done: number of steps done; increased by SHIFT_SEARCH_STEPS
 *
 * Afterwards, all events must be passed to shift_search_add().
 *
 * Returns: 0, also if no shift is possible, or
 * -ERANGE if times are further apart than SHIFT_MAX_TIME,
 * -ENOMEM.
 */
int shift_search_begin(struct shift_search *search, const struct vcpu_modes *spans,
		       const uint64_t *samples, size_t nr_samples, struct progress *progress,
		       uint64_t done)
{
	uint64_t known, recorded;
	int ret;

	*search = (struct shift_search) { .spans = spans };
	if (!spans->nr_guest || !nr_samples)
		return 0;
	known = vcpu_modes_known(spans);
	recorded = samples[nr_samples - 1] - samples[0];
	if (recorded > SHIFT_MAX_TIME || known > SHIFT_MAX_TIME)
		return -ERANGE;
	/* The last event is moved to the first span */
	search->last = samples[nr_samples - 1];
	search->base = vcpu_modes_from(spans, 0) - search->last;
	search->near = known / spans->nr_guest + 1;
	ret = shift_row_make(&search->row, spans, recorded);
	search->nr_shifts = (known + recorded) / search->row.cell + 1;
	return ret ? ret : sweep_all(search, samples, nr_samples, progress, done);
}

/**
 * shift_search_add - add an event
 * @search: the search
 * @guest_tsc: its guest time, from that of the first sample to that of the last
 *
 * Returns: 0 or -ENOMEM.
 */
int shift_search_add(struct shift_search *search, uint64_t guest_tsc)
{
	int ret = 0;

	search->nr_added++;
	for (size_t i = 0; i < search->nr_places && !ret; i++)
		ret = try_event(search, &search->places[i], guest_tsc);
	return ret;
}

/* Returns: @part to the power of @exponent, both as parts of ONE */
static uint64_t power(uint64_t part, uint64_t exponent)
{
	uint64_t result = ONE;

	for (; exponent && result; exponent--)
		result = (uint64_t)((u128)result * part / ONE);
	return result;
}

/*
 * The part of the events in guest mode with the best of the other shifts. Guests are regular: with a shift by a period
 * of the guest, far more events fit than by chance.
 */
static uint64_t best_rival(const struct shift_search *search, const struct shift_place *place)
{
	uint64_t best = 0;

	for (size_t i = 0; i < search->nr_rivals; i++) {
		const struct shift_rival *rival = &search->rivals[i];
		int64_t known = rival->counts.inside + rival->counts.violations;
		uint64_t part;

		/* A rival with few known events is no evidence; one without violations is tried with all */
		if (!rival->counts.violations || 2 * (u128)known * search->nr_added <
						 (u128)place->clean_inside * search->nr_tried_with ||
		    !are_apart(search, rival->from, rival->to, place->clean_from, place->clean_to))
			continue;
		part = (uint64_t)((u128)ONE * rival->counts.inside / known);
		best = part > best ? part : best;
	}
	return best;
}

/* Could a wrong shift hit as many spans, without an event outside of them? */
static bool by_chance(const struct shift_search *search, const struct shift_place *place)
{
	const struct vcpu_modes *spans = search->spans;
	u128 all = (u128)spans->guest_time + spans->host_time;
	uint64_t any = power((uint64_t)((u128)ONE * spans->guest_time / all), place->spans_hit);

	/* By any shift, or by one that is as good as the best of those found */
	return (u128)any * search->nr_shifts > ONE / CHANCE ||
	       power(best_rival(search, place), place->spans_hit) > ONE / RIVAL_CHANCE;
}

static bool is_mere_end(const struct shift_search *search, const struct shift_place *place)
{
	return (uint64_t)place->clean_inside < search->nr_added / PART_IN_COMMON &&
	       place->spans_hit < search->spans->nr_guest / PART_IN_COMMON;
}

/* The shifts of a place without violations */
static void find_clean(const struct shift_search *search, const struct shift_place *place,
		       struct shift_found *found)
{
	uint64_t from = place->clean_from, to = place->clean_to;

	*found = (struct shift_found) {
		.low = search->base + from, .high = search->base + to,
		.inside = (uint64_t)place->clean_inside,
		.unique = to - from < search->near && !is_mere_end(search, place) &&
			  !by_chance(search, place),
	};
	for (size_t i = 0; i < search->nr_places; i++) {
		const struct shift_place *other = &search->places[i];

		if (other != place && RIVAL_WORTH * other->clean_inside >= place->clean_inside)
			found->unique = false;
	}
}

/* The shifts of a place with about the best score */
static void find_loose(const struct shift_search *search, const struct shift_place *place,
		       struct shift_found *found)
{
	*found = (struct shift_found) {
		.low = search->base + place->best_from, .high = search->base + place->best_to,
		.inside = (uint64_t)place->best.inside, .violations = (uint64_t)place->best.violations,
		.unique = place->best_to - place->best_from < search->near,
	};
	for (size_t i = 0; i < search->nr_places; i++) {
		const struct shift_place *other = &search->places[i];

		if (other != place && 2 * other->best.inside > place->best.inside)
			found->unique = false;
	}
	for (size_t i = 0; i < search->nr_rivals; i++) {
		const struct shift_rival *rival = &search->rivals[i];

		if (are_apart(search, rival->from, rival->to, place->best_from, place->best_to) &&
		    2 * (u128)rival->counts.inside * search->nr_added >
		    (u128)place->best.inside * search->nr_tried_with)
			found->unique = false;
	}
}

/**
 * shift_search_end - get the result after all events
 * @search: the search
 * @found: result
 *
 * Returns: 0, or -ENODATA if no shift has an event in guest mode.
 */
int shift_search_end(struct shift_search *search, struct shift_found *found)
{
	const struct shift_place *clean = NULL, *loose = NULL;

	*found = (struct shift_found) { 0 };
	for (size_t i = 0; i < search->nr_places; i++) {
		struct shift_place *place = &search->places[i];

		judge(search, place);
		if (place->clean_inside && (!clean || place->clean_inside > clean->clean_inside))
			clean = place;
		if (!loose || loose_score(search->spans, &place->best) >
			      loose_score(search->spans, &loose->best))
			loose = place;
	}
	if (!loose || (!clean && loose->best.inside <= 0))
		return -ENODATA;
	if (clean && RIVAL_WORTH * clean->clean_inside >= loose->best.inside)
		find_clean(search, clean, found);
	else
		find_loose(search, loose, found);
	return 0;
}

/**
 * shift_search_release - free a search
 * @search: the search, also after a failure
 */
void shift_search_release(struct shift_search *search)
{
	for (size_t i = 0; i < search->nr_places; i++)
		free(search->places[i].edges);
	free(search->places);
	free(search->rivals);
	shift_row_release(&search->row);
	search->places = NULL;
	search->nr_places = 0;
}
