// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "array.h"
#include "fit_vcpu.h"
#include "late_events.h"
#include "order.h"
#include "vcpu_modes.h"

typedef __int128 s128;

/* Limit of steps for a section; real ones need some thousands. If it is reached, the place is less exact. */
#define MAX_STEPS	(1UL << 24)
/* Limit of steps for a file, which take some seconds */
#define MAX_ALL_STEPS	(1UL << 31)

/*
 * Guest times from @low to @high at which the vCPU may have been in guest mode. A piece consists of the phases from one
 * jump backward to the next: guest time only grows in it.
 */
struct range {
	int64_t	low;
	int64_t	high;
	size_t	phase;
	size_t	piece;
};

struct ranges {
	struct range	*ranges;
	size_t		nr;
	size_t		capacity;
};

static int add_range(struct ranges *ranges, const struct range *range)
{
	if (array_reserve(ranges->ranges, ranges->nr, ranges->capacity))
		return -ENOMEM;
	ranges->ranges[ranges->nr++] = *range;
	return 0;
}

static int64_t guest_time(const struct fit_phase *phase, uint64_t host_tsc)
{
	return (int64_t)tsc_guest_from_host(&phase->map, host_tsc);
}

/* The host time of a guest time, clamped to the phase because it is rounded. */
static uint64_t host_time(const struct fit_phase *phase, int64_t guest_tsc)
{
	uint64_t host_tsc;

	if (tsc_host_from_guest(&phase->map, (uint64_t)guest_tsc, &host_tsc) || host_tsc > phase->to)
		return phase->to;
	return host_tsc < phase->from ? phase->from : host_tsc;
}

/* Does a phase begin with a jump backward? */
static bool begins_piece(const struct late_window *window, size_t phase)
{
	uint64_t from = window->phases[phase]->from;

	return phase && guest_time(window->phases[phase], from) < guest_time(window->phases[phase - 1], from);
}

/* The last phase that began at or before a host time, or the first one of all */
static size_t phase_at(const struct late_window *window, uint64_t host_tsc)
{
	size_t next = first_where(i, window->nr_phases, window->phases[i]->from > host_tsc);

	return next ? next - 1 : 0;
}

/* Add the times of a phase inside the window at which the vCPU may have been in guest mode */
static int add_phase(struct ranges *allowed, const struct late_window *window, size_t phase, size_t piece)
{
	const struct fit_phase *of = window->phases[phase];
	const struct vcpu_modes *modes = window->modes;
	uint64_t from = of->from > window->from ? of->from : window->from;
	uint64_t to = of->to < window->to ? of->to : window->to;
	size_t span = vcpu_modes_find(modes, from, 0);
	int ret = 0;

	while (from <= to && !ret) {
		size_t next = span == MODE_SPAN_NONE ? 0 : span + 1;
		uint64_t end = next < modes->nr && vcpu_modes_from(modes, next) <= to ?
			vcpu_modes_from(modes, next) - 1 : to;

		++*window->steps;
		if (vcpu_modes_at(modes, span) != MODE_HOST)
			ret = add_range(allowed, &(struct range) { guest_time(of, from), guest_time(of, end), phase,
								   piece });
		if (end == to)
			break;
		from = end + 1;
		span = next;
	}
	return ret;
}

/* All times at which events of sections may be: after the first jump backward in the window */
static int find_allowed(struct ranges *allowed, const struct late_window *window)
{
	size_t piece = 0;
	int ret = 0;

	for (size_t i = phase_at(window, window->from); i < window->nr_phases && !ret; i++) {
		const struct fit_phase *phase = window->phases[i];

		if (phase->from > window->to)
			break;
		++*window->steps;
		if (phase->to < window->from)
			continue;
		piece += phase->from > window->from && begins_piece(window, i);
		if (piece)
			ret = add_phase(allowed, window, i, piece);
	}
	return ret;
}

/* The limits of a section: two host times, and its pieces */
struct limits {
	uint64_t	from;
	uint64_t	to;
	size_t		least_piece;
	size_t		most_piece;
};

/* The allowed times inside limits */
static int clip(struct ranges *clipped, const struct ranges *allowed, const struct late_window *window,
		const struct limits *limits)
{
	int ret = 0;

	*window->steps += allowed->nr;
	for (size_t i = 0; i < allowed->nr && !ret; i++) {
		struct range range = allowed->ranges[i];
		const struct fit_phase *phase = window->phases[range.phase];

		if (range.piece < limits->least_piece || range.piece > limits->most_piece ||
		    host_time(phase, range.high) < limits->from || host_time(phase, range.low) > limits->to)
			continue;
		if (host_time(phase, range.low) < limits->from)
			range.low = guest_time(phase, limits->from);
		if (host_time(phase, range.high) > limits->to)
			range.high = guest_time(phase, limits->to);
		ret = add_range(clipped, &range);
	}
	return ret;
}

/* Add to @left those times of the first event, from @starts, with which an event @distance later is allowed */
static int narrow(struct ranges *left, const struct ranges *starts, const struct range *allowed, size_t nr_allowed,
		  uint64_t distance)
{
	size_t i = 0, j = 0;
	int ret = 0;

	while (i < starts->nr && j < nr_allowed && !ret) {
		const struct range *start = &starts->ranges[i];
		s128 low = (s128)allowed[j].low - distance, high = (s128)allowed[j].high - distance;
		struct range both = *start;

		if (low > both.low)
			both.low = low > INT64_MAX ? INT64_MAX : (int64_t)low;
		if (high < both.high)
			both.high = high < INT64_MIN ? INT64_MIN : (int64_t)high;
		if (low <= start->high && high >= start->low)
			ret = add_range(left, &both);
		if (high < start->high)
			j++;
		else
			i++;
	}
	return ret;
}

static ORDER_BY(compare_ranges, struct range, low)

/* Sort ranges of one piece, and merge those that overlap */
static void join(struct ranges *ranges)
{
	size_t nr = 0;

	array_sort(ranges->ranges, ranges->nr, compare_ranges);
	for (size_t i = 0; i < ranges->nr; i++) {
		struct range *last = nr ? &ranges->ranges[nr - 1] : NULL;

		if (last && ranges->ranges[i].low <= last->high) {
			if (ranges->ranges[i].high > last->high)
				last->high = ranges->ranges[i].high;
			continue;
		}
		ranges->ranges[nr++] = ranges->ranges[i];
	}
	ranges->nr = nr;
}

/*
 * The possible times of a section's first event in a piece, for each piece that the last event may be in. The TSC may
 * jump backward again between two events. If the jump is shorter than the time between them, it leaves no trace.
 */
struct search {
	const struct late_section	*section;
	const struct ranges		*allowed;
	size_t				*begins;	/* for each piece: index of the first allowed range */
	size_t				nr_pieces;
	struct ranges			*at;		/* for each piece: the times if the last event is there */
	struct ranges			spare;
	size_t				steps;
};

/* The next event is in the piece of the event before or in a later one */
static int take_event(struct search *search, uint64_t distance)
{
	for (size_t p = search->nr_pieces; p; p--) {
		const struct range *allowed = &search->allowed->ranges[search->begins[p - 1]];
		size_t nr_allowed = search->begins[p] - search->begins[p - 1], nr_sources = 0;
		struct ranges other;
		int ret = 0;

		search->spare.nr = 0;
		for (size_t q = 0; q < p && !ret; q++) {
			if (!search->at[q].nr)
				continue;
			nr_sources++;
			search->steps += search->at[q].nr + nr_allowed;
			ret = narrow(&search->spare, &search->at[q], allowed, nr_allowed, distance);
		}
		if (ret)
			return ret;
		if (nr_sources > 1)
			join(&search->spare);
		other = search->at[p - 1];
		search->at[p - 1] = search->spare;
		search->spare = other;
	}
	return 0;
}

/* The possible times of the first event in one piece */
static int find_from(struct search *search, size_t piece, struct ranges *found)
{
	const struct late_section *section = search->section;
	struct ranges all = { 0 };
	int ret = 0;

	for (size_t p = 0; p < search->nr_pieces; p++)
		search->at[p].nr = 0;
	for (size_t i = search->begins[piece]; i < search->begins[piece + 1] && !ret; i++)
		ret = add_range(&search->at[piece], &search->allowed->ranges[i]);
	for (size_t i = 1; i < section->nr && !ret && search->steps < MAX_STEPS; i++) {
		if (section->times[i] != section->times[i - 1])
			ret = take_event(search, section->times[i] - section->times[0]);
	}
	for (size_t p = piece; p < search->nr_pieces && !ret; p++) {
		for (size_t i = 0; i < search->at[p].nr && !ret; i++)
			ret = add_range(&all, &search->at[p].ranges[i]);
	}
	join(&all);
	for (size_t i = 0; i < all.nr && !ret; i++)
		ret = add_range(found, &all.ranges[i]);
	free(all.ranges);
	return ret;
}

/* The begin of each piece among the allowed times, and the end of the last one */
static size_t find_pieces(const struct ranges *allowed, size_t *begins)
{
	size_t nr = 0;

	for (size_t i = 0; i < allowed->nr; i++) {
		if (!i || allowed->ranges[i].piece != allowed->ranges[i - 1].piece)
			begins[nr++] = i;
	}
	begins[nr] = allowed->nr;
	return nr;
}

/* The host time of a guest time in a piece */
static uint64_t host_time_in(const struct search *search, const struct late_window *window, size_t piece,
			     int64_t guest_tsc)
{
	size_t i = search->begins[piece];

	while (i + 1 < search->begins[piece + 1] && search->allowed->ranges[i].high < guest_tsc)
		i++;
	return host_time(window->phases[search->allowed->ranges[i].phase], guest_tsc);
}

/*
 * The earliest end of a section, and its piece, of all places that were found. A later begin can give an earlier end,
 * if its last event is in a piece that is not allowed for the last event of the earlier begin.
 */
static void find_end(const struct search *search, const struct late_window *window, uint64_t *ends, size_t *piece)
{
	const struct late_section *section = search->section;
	uint64_t distance = section->times[section->nr - 1] - section->times[0], end;
	int64_t first = INT64_MAX;
	size_t p = 0, number;

	while (p < search->nr_pieces && !search->at[p].nr)
		p++;
	if (p == search->nr_pieces)
		return;
	number = search->allowed->ranges[search->begins[p]].piece;
	for (size_t i = 0; i < search->at[p].nr; i++) {
		if (search->at[p].ranges[i].low < first)
			first = search->at[p].ranges[i].low;
	}
	/* The search was aborted: the last event may be at any later time */
	end = search->steps < MAX_STEPS ? host_time_in(search, window, p, first + (int64_t)distance) : 0;
	if (number > *piece || (number == *piece && end >= *ends))
		return;
	*ends = end;
	*piece = number;
}

static void end_search(struct search *search, struct ranges *clipped, const struct late_window *window)
{
	*window->steps += search->steps;
	for (size_t p = 0; p < search->nr_pieces; p++)
		free(search->at[p].ranges);
	free(search->at);
	free(search->begins);
	free(search->spare.ranges);
	free(clipped->ranges);
}

/* @clipped: result: the allowed times inside the limits */
static int begin_search(struct search *search, const struct late_section *section, struct ranges *clipped,
			const struct ranges *allowed, const struct late_window *window, const struct limits *limits)
{
	int ret;

	*clipped = (struct ranges) { 0 };
	*search = (struct search) { .section = section, .allowed = clipped };
	ret = clip(clipped, allowed, window, limits);
	search->begins = calloc(clipped->nr + 1, sizeof(*search->begins));
	search->at = calloc(clipped->nr + 1, sizeof(*search->at));
	if (ret || !search->begins || !search->at)
		return -ENOMEM;
	search->nr_pieces = find_pieces(clipped, search->begins);
	return 0;
}

/*
 * All possible times of a section's first event, in the order of host time.
 * @after: limits for the section after it, or NULL
 */
static int find_starts(struct ranges *starts, const struct late_window *window, const struct late_section *section,
		       const struct ranges *allowed, const struct limits *limits, struct limits *after)
{
	uint64_t ends = UINT64_MAX;
	size_t piece = SIZE_MAX;
	struct ranges clipped;
	struct search search;
	int ret = begin_search(&search, section, &clipped, allowed, window, limits);

	starts->nr = 0;
	for (size_t p = 0; p < search.nr_pieces && !ret; p++) {
		ret = find_from(&search, p, starts);
		if (!ret)
			find_end(&search, window, &ends, &piece);
	}
	if (after && piece != SIZE_MAX) {
		after->from = ends > after->from ? ends : after->from;
		after->least_piece = piece + 1;
	}
	end_search(&search, &clipped, window);
	return ret;
}

/* Is an event with a guest time allowed in a phase? */
static bool is_allowed(const struct late_window *window, size_t phase, int64_t guest_tsc)
{
	const struct fit_phase *of = window->phases[phase];
	uint64_t host_tsc;

	return !tsc_host_from_guest(&of->map, (uint64_t)guest_tsc, &host_tsc) && host_tsc >= of->from &&
	       host_tsc <= of->to && host_tsc >= window->from && host_tsc <= window->to &&
	       vcpu_modes_at(window->modes, vcpu_modes_find(window->modes, host_tsc, 0)) != MODE_HOST;
}

/**
 * late_events_phases - find the phase of each event of a section
 * @window: window of the section
 * @section: the section
 * @place: place of the section
 * @phases: result: for each event, the index of the first phase that it can belong to
 *
 * Returns: the number of events that may belong to a later phase as well, after a jump backward that left no trace.
 */
size_t late_events_phases(const struct late_window *window, const struct late_section *section,
			  const struct late_place *place, size_t *phases)
{
	size_t phase = place->phase, steps = 0, undecided = 0;

	for (size_t i = 0; i < section->nr; i++) {
		int64_t guest_tsc = (int64_t)(section->times[i] - place->late_by);
		size_t next = phase;

		while (next < window->nr_phases && steps++ < MAX_STEPS && !is_allowed(window, next, guest_tsc))
			next++;
		if (next < window->nr_phases && steps < MAX_STEPS)
			phase = next;
		phases[i] = phase;
	}
	/* The same from the end */
	phase = window->nr_phases - 1;
	for (size_t i = section->nr; i && window->nr_phases; i--) {
		int64_t guest_tsc = (int64_t)(section->times[i - 1] - place->late_by);

		while (phase > phases[i - 1] && steps++ < MAX_STEPS && !is_allowed(window, phase, guest_tsc))
			phase--;
		undecided += phase != phases[i - 1];
	}
	*window->steps += steps + section->nr;
	return undecided;
}

/* The middle of the longest range */
static void choose(struct late_place *place, const struct late_window *window, const struct late_section *section,
		   const struct ranges *starts)
{
	const struct range *best = &starts->ranges[0];
	const struct fit_phase *phase;
	int64_t first;

	for (size_t i = 1; i < starts->nr; i++) {
		if ((uint64_t)starts->ranges[i].high - (uint64_t)starts->ranges[i].low >
		    (uint64_t)best->high - (uint64_t)best->low)
			best = &starts->ranges[i];
	}
	phase = window->phases[best->phase];
	first = best->low + (int64_t)(((uint64_t)best->high - (uint64_t)best->low) / 2);
	*place = (struct late_place) {
		.found = true, .phase = best->phase, .late_by = section->times[0] - (uint64_t)first,
		.host_tsc = host_time(phase, first),
	};
}

/* Widen the bounds of a place by those of one event at @host_tsc */
static void widen(struct late_place *place, const struct search *search, const struct late_window *window,
		  uint64_t distance, uint64_t host_tsc)
{
	uint64_t first = UINT64_MAX, last = 0;

	for (size_t p = 0; p < search->nr_pieces; p++) {
		const struct ranges *at = &search->at[p];

		if (!at->nr)
			continue;
		if (first == UINT64_MAX)
			first = host_time_in(search, window, p, at->ranges[0].low + (int64_t)distance);
		last = host_time_in(search, window, p, at->ranges[at->nr - 1].high + (int64_t)distance);
	}
	if (first < host_tsc && host_tsc - first > place->earlier)
		place->earlier = host_tsc - first;
	if (last > host_tsc && last - host_tsc > place->later)
		place->later = last - host_tsc;
}

/*
 * By how much any event of a section may be earlier or later than its place. The events differ: with another time of
 * the first event, an event may be on the other side of a jump.
 * @next: limits for the place of the next section
 */
static int find_bounds(struct late_place *place, const struct late_window *window, const struct late_section *section,
		       const struct ranges *allowed, const struct limits *limits, const struct ranges *starts,
		       struct limits *next)
{
	size_t *phases = calloc(section->nr, sizeof(*phases));
	uint64_t host_tsc = place->host_tsc;
	struct ranges clipped;
	struct search search;
	int ret = begin_search(&search, section, &clipped, allowed, window, limits);

	if (!phases)
		ret = -ENOMEM;
	for (size_t i = 0, p = 0; i < starts->nr && !ret; i++) {
		while (clipped.ranges[search.begins[p]].piece != starts->ranges[i].piece)
			p++;
		ret = add_range(&search.at[p], &starts->ranges[i]);
	}
	if (!ret)
		late_events_phases(window, section, place, phases);
	for (size_t i = 0; i < section->nr && !ret; i++) {
		uint64_t distance = section->times[i] - section->times[0];

		if (i && section->times[i] != section->times[i - 1] && search.steps < MAX_STEPS)
			ret = take_event(&search, distance);
		host_tsc = host_time(window->phases[phases[i]], (int64_t)(section->times[i] - place->late_by));
		if (!ret && search.steps < MAX_STEPS)
			widen(place, &search, window, distance, host_tsc);
	}
	if (search.steps >= MAX_STEPS) {
		place->earlier = host_tsc - limits->from;
		place->later = limits->to - place->host_tsc;
	}
	for (size_t i = 0; i < allowed->nr && !ret && allowed->ranges[i].phase <= phases[section->nr - 1]; i++)
		next->least_piece = allowed->ranges[i].piece + 1;
	next->from = host_tsc;
	end_search(&search, &clipped, window);
	free(phases);
	return ret;
}

/* @put: places of the sections before; this one is placed after them */
static int put_section(struct late_place *place, const struct late_window *window, const struct late_section *section,
		       const struct ranges *allowed, const struct limits *limits, const struct ranges *starts,
		       struct limits *put)
{
	struct limits after = *limits;
	struct ranges left = { 0 };
	int ret;

	if (put->from > after.from)
		after.from = put->from;
	if (put->least_piece > after.least_piece)
		after.least_piece = put->least_piece;
	ret = find_starts(&left, window, section, allowed, &after, NULL);
	if (!ret) {
		choose(place, window, section, left.nr ? &left : starts);
		ret = find_bounds(place, window, section, allowed, limits, starts, put);
	}
	free(left.ranges);
	return ret;
}

/* Nothing fits: only the events before and after the section bound it */
static void place_anywhere(struct late_place *place, const struct late_window *window,
			   const struct late_section *section, uint64_t from)
{
	size_t phase = phase_at(window, from);

	*place = (struct late_place) {
		.phase = phase, .host_tsc = from, .later = window->to > from ? window->to - from : 0,
	};
	if (window->nr_phases)
		place->late_by = section->times[0] - (uint64_t)guest_time(window->phases[phase], from);
}

/**
 * late_events_place - find the places of sections
 * @places: result: one for each section
 * @window: the host time of the recording of the sections
 * @sections: sections in recorded order, each after another jump backward
 * @nr: number of @sections
 *
 * After a gap in the history, or a jump that the host did not record, no time may fit: then the place's @found is
 * false.
 *
 * Returns: 0, -ENOMEM, or -E2BIG if the search takes too long.
 */
int late_events_place(struct late_place *places, const struct late_window *window, const struct late_section *sections,
		      size_t nr)
{
	struct ranges allowed = { 0 }, *starts = calloc(nr + 1, sizeof(*starts));
	struct limits *limits = calloc(nr + 1, sizeof(*limits));
	struct limits put = { .from = window->from };
	int ret = starts && limits ? find_allowed(&allowed, window) : -ENOMEM;

	/* A section begins after the end of the one before, and ends before the begin of the next */
	for (size_t i = 0; i < nr && !ret; i++) {
		if (!i)
			limits[i] = (struct limits) { window->from, window->to, 1, SIZE_MAX };
		limits[i + 1] = limits[i];
		ret = find_starts(&starts[i], window, &sections[i], &allowed, &limits[i], &limits[i + 1]);
		if (*window->steps > MAX_ALL_STEPS)
			ret = -E2BIG;
	}
	for (size_t i = nr; i > 1 && !ret; i--) {
		const struct ranges *next = &starts[i - 1];
		const struct range *last = next->nr ? &next->ranges[next->nr - 1] : NULL;
		struct limits *before = &limits[i - 2];

		before->to = last ? host_time(window->phases[last->phase], last->high) : limits[i - 1].to;
		before->most_piece = last ? last->piece - 1 : limits[i - 1].most_piece;
		ret = find_starts(&starts[i - 2], window, &sections[i - 2], &allowed, before, NULL);
		if (*window->steps > MAX_ALL_STEPS)
			ret = -E2BIG;
	}
	for (size_t i = 0; i < nr && !ret; i++) {
		if (starts[i].nr)
			ret = put_section(&places[i], window, &sections[i], &allowed, &limits[i], &starts[i], &put);
		else
			place_anywhere(&places[i], window, &sections[i], put.from);
		if (*window->steps > MAX_ALL_STEPS)
			ret = -E2BIG;
	}
	for (size_t i = 0; starts && i < nr; i++)
		free(starts[i].ranges);
	free(starts);
	free(limits);
	free(allowed.ranges);
	return ret;
}
