// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "array.h"
#include "cleanup.h"
#include "fit_path.h"
#include "vcpu_modes.h"

/* Cost of an event where the host lost events, where it did not record, and of a contradicting one */
#define COST_UNKNOWN	2
#define COST_OUTSIDE	6
#define COST_AGAINST	16
/* Cost of moving to another vCPU: more than one event must support it */
#define COST_ANOTHER	24
/* Cost of a jump backward that only guest times support */
#define COST_BACKWARD	8
/* Number of moves of events to test whether they fit anywhere, and how many may fit by chance: one in this many */
#define SHIFTS		1024
#define CHANCE		512
/* Limit of paths that are followed at the same time */
#define MAX_STATES	64

/* The begin of a path's part in a phase */
struct node {
	size_t	vcpu;
	size_t	phase;
	size_t	first;
	size_t	before;
};

/* A path being followed */
struct state {
	size_t		vcpu;
	size_t		phase;
	uint64_t	host_tsc;
	int64_t		guest_tsc;
	uint64_t	cost;
	size_t		node;
};

struct search {
	const struct fit_host	*host;
	struct state		states[MAX_STATES];
	size_t			nr_states;
	struct node		*nodes;
	size_t			nr_nodes;
	size_t			capacity;
	const size_t		*vcpus;
	size_t			nr_vcpus;
	size_t			*hints;	/* of each of @vcpus */
};

static enum vcpu_mode mode_at(const struct fit_host *host, size_t vcpu, uint64_t host_tsc, size_t *hint)
{
	const struct vcpu_modes *modes = host->vcpus[vcpu].modes;

	*hint = vcpu_modes_find(modes, host_tsc, *hint);
	return vcpu_modes_at(modes, *hint);
}

static uint64_t cost_at(struct search *search, size_t i, uint64_t host_tsc)
{
	switch (mode_at(search->host, search->vcpus[i], host_tsc, &search->hints[i])) {
	case MODE_GUEST:
		return 0;
	case MODE_HOST:
		return COST_AGAINST;
	default:
		if (host_tsc >= search->host->begin && host_tsc <= search->host->end)
			return COST_UNKNOWN;
		/* If the host did not record, that is no reason to choose another vCPU */
		return search->nr_vcpus > 1 ? COST_AGAINST : COST_OUTSIDE;
	}
}

/* Returns: index of the node, FIT_NONE without memory */
static size_t add_node(struct search *search, size_t vcpu, size_t phase, size_t first, size_t before)
{
	if (array_reserve(search->nodes, search->nr_nodes, search->capacity))
		return FIT_NONE;
	search->nodes[search->nr_nodes] = (struct node) { vcpu, phase, first, before };
	return search->nr_nodes++;
}

/* Keep a path: of two to the same phase the better one, of too many the best ones */
static void keep(struct state *states, size_t *nr, const struct state *state)
{
	size_t worst = 0;

	for (size_t i = 0; i < *nr; i++) {
		if (states[i].vcpu == state->vcpu && states[i].phase == state->phase) {
			if (state->cost < states[i].cost)
				states[i] = *state;
			return;
		}
		if (states[i].cost > states[worst].cost)
			worst = i;
	}
	if (*nr < MAX_STATES)
		states[(*nr)++] = *state;
	else if (state->cost < states[worst].cost)
		states[worst] = *state;
}

/* Cost of continuing a path at a place on a vCPU */
static uint64_t cost_between(const struct search *search, const struct state *from, size_t vcpu, size_t phase)
{
	const struct fit_phase *phases = search->host->vcpus[vcpu].phases;
	uint64_t cost = COST_ANOTHER;

	if (from->phase == FIT_NONE || (from->vcpu == vcpu && from->phase == phase))
		return 0;
	if (from->vcpu == vcpu)
		cost = phases[phase].guest_from < phases[from->phase].guest_to ? COST_BACKWARD : 0;
	/* After the guest continues from a saved state, what it recorded after the save is gone */
	if (phases[phase].restored > from->host_tsc && from->guest_tsc >= phases[phase].saved)
		cost += COST_AGAINST;
	return cost;
}

/*
 * The best path that can continue at a place; its node is that of the path before, which may be in another phase.
 * @went_back: the TSC went back, so no path stays in its phase.
 */
static bool best_way(const struct search *search, size_t vcpu, const struct fit_place *place, bool went_back,
		     struct state *best)
{
	bool found = false;

	for (size_t i = 0; i < search->nr_states; i++) {
		const struct state *state = &search->states[i];
		bool stays = state->vcpu == vcpu && state->phase == place->phase;
		uint64_t cost = state->cost + cost_between(search, state, vcpu, place->phase) +
				(stays && went_back ? COST_AGAINST : 0);

		/* Of equal paths, the first one */
		if (state->host_tsc > place->host_tsc ||
		    (found && (cost > best->cost || (cost == best->cost && !stays))))
			continue;
		*best = *state;
		best->cost = cost;
		found = true;
	}
	return found;
}

/* @i: index of the vCPU among those of the search */
static int take_place(struct search *search, size_t i, const struct fit_place *place, uint64_t guest_tsc,
		      bool went_back, size_t event, struct state *next, size_t *nr_next)
{
	size_t vcpu = search->vcpus[i];
	struct state state;

	if (!best_way(search, vcpu, place, went_back, &state))
		return 0;
	if (state.vcpu != vcpu || state.phase != place->phase) {
		state.node = add_node(search, vcpu, place->phase, event, state.node);
		if (state.node == FIT_NONE)
			return -ENOMEM;
	}
	state.vcpu = vcpu;
	state.phase = place->phase;
	state.host_tsc = place->host_tsc;
	state.guest_tsc = (int64_t)guest_tsc;
	state.cost += cost_at(search, i, place->host_tsc);
	keep(next, nr_next, &state);
	return 0;
}

static int take_event(struct search *search, uint64_t guest_tsc, bool went_back, size_t event)
{
	struct state next[MAX_STATES];
	size_t nr_next = 0;
	int ret = 0;

	for (size_t i = 0; i < search->nr_vcpus && !ret; i++) {
		struct fit_place places[FIT_MAX_PLACES];
		size_t nr = fit_vcpu_places(&search->host->vcpus[search->vcpus[i]], guest_tsc, places);

		for (size_t j = 0; j < nr && !ret; j++)
			ret = take_place(search, i, &places[j], guest_tsc, went_back, event, next, &nr_next);
	}
	/* Or the event fits nowhere on a path */
	for (size_t i = 0; i < search->nr_states; i++) {
		struct state state = search->states[i];

		state.cost += COST_AGAINST;
		keep(next, &nr_next, &state);
	}
	for (size_t i = 0; i < nr_next; i++)
		search->states[i] = next[i];
	search->nr_states = nr_next;
	return ret;
}

static int take_runs(struct fit_path *path, const struct search *search, size_t node)
{
	size_t nr = 0;

	for (size_t i = node; i != FIT_NONE; i = search->nodes[i].before)
		nr++;
	path->runs = calloc(nr + 1, sizeof(*path->runs));
	if (!path->runs)
		return -ENOMEM;
	path->nr_runs = nr;
	for (size_t i = node; i != FIT_NONE; i = search->nodes[i].before)
		path->runs[--nr] = (struct fit_run) {
			.vcpu = search->nodes[i].vcpu, .phase = search->nodes[i].phase,
			.first = search->nodes[i].first, .last = search->nodes[i].first,
		};
	return 0;
}

/* Events being counted */
struct counting {
	struct fit_tally	*tally;
	const struct fit_host	*host;
	size_t			hint;
	size_t			last_span;
	uint64_t		last;
	uint64_t		stretch;
};

static void begin_run(struct counting *counting)
{
	counting->last_span = MODE_SPAN_NONE;
	counting->hint = 0;
}

/* The place of an event of a run; false without */
static bool find_place(const struct counting *counting, const struct fit_run *run, uint64_t guest_tsc,
		       uint64_t *host_tsc)
{
	struct fit_place places[FIT_MAX_PLACES];
	size_t nr = fit_vcpu_places(&counting->host->vcpus[run->vcpu], guest_tsc, places);

	for (size_t i = 0; i < nr; i++) {
		if (places[i].phase == run->phase && places[i].host_tsc >= counting->last) {
			*host_tsc = places[i].host_tsc;
			return true;
		}
	}
	return false;
}

static void count_event(struct counting *counting, const struct fit_run *run, uint64_t host_tsc)
{
	struct fit_tally *tally = counting->tally;
	const struct fit_host *host = counting->host;
	enum vcpu_mode mode;

	counting->last = host_tsc;
	mode = fit_tally_count(tally, host->vcpus[run->vcpu].modes, host_tsc, host->begin, host->end, &counting->hint);
	if (mode == MODE_GUEST) {
		if (counting->hint != counting->last_span) {
			tally->spans++;
			counting->stretch++;
		}
		if (counting->stretch > tally->stretch)
			tally->stretch = counting->stretch;
		counting->last_span = counting->hint;
	} else if (mode == MODE_HOST) {
		counting->stretch = 0;
	}
}

/* Place the events of a path one after the other */
static void count(struct fit_path *path, const struct fit_host *host, const uint64_t *times, const bool *went_back,
		  size_t nr)
{
	struct counting counting = { .tally = &path->tally, .host = host };
	uint64_t host_tsc;
	size_t r = 0;

	begin_run(&counting);
	for (size_t i = 0; i < nr; i++) {
		if (r + 1 < path->nr_runs && path->runs[r + 1].first == i) {
			r++;
			begin_run(&counting);
		} else if (went_back && went_back[i] && r < path->nr_runs && path->runs[r].first < i) {
			path->tally.unmoved++;
		}
		if (r < path->nr_runs && path->runs[r].first <= i &&
		    find_place(&counting, &path->runs[r], times[i], &host_tsc)) {
			path->runs[r].last = i;
			count_event(&counting, &path->runs[r], host_tsc);
		} else {
			path->impossible[i] = true;
			path->tally.impossible++;
			counting.stretch = 0;
		}
	}
}

/**
 * fit_path_count_run - count the events of a part of a path
 * @tally: result
 * @host: the vCPUs
 * @run: the part
 * @times: guest times of all events of the path
 */
void fit_path_count_run(struct fit_tally *tally, const struct fit_host *host, const struct fit_run *run,
			const uint64_t *times)
{
	struct counting counting = { .tally = tally, .host = host };
	uint64_t host_tsc;

	*tally = (struct fit_tally) { .earlier = FIT_NO_LIMIT, .later = FIT_NO_LIMIT };
	begin_run(&counting);
	for (size_t i = run->first; i <= run->last; i++) {
		if (find_place(&counting, run, times[i], &host_tsc))
			count_event(&counting, run, host_tsc);
		else
			tally->impossible++;
	}
}

/* Collects the host times of a run's events at which the mode is known; returns how many are in guest mode */
static size_t take_known(const struct fit_host *host, const struct fit_run *run, const uint64_t *times,
			 uint64_t *known, size_t *nr)
{
	const struct vcpu_modes *modes = host->vcpus[run->vcpu].modes;
	uint64_t begin = vcpu_modes_from(modes, 0), all = vcpu_modes_known(modes);
	struct counting counting = { .host = host };
	size_t hint = 0, inside = 0;

	*nr = 0;
	for (size_t i = run->first; i <= run->last; i++) {
		if (!find_place(&counting, run, times[i], &counting.last) || counting.last < begin ||
		    counting.last - begin >= all)
			continue;
		inside += mode_at(host, run->vcpu, counting.last, &hint) == MODE_GUEST;
		known[(*nr)++] = counting.last;
	}
	return inside;
}

/* Do all stay where the vCPU may have been in guest mode, with half of those that were in guest mode still in it? */
static bool fit_moved(const struct vcpu_modes *modes, const uint64_t *known, size_t nr, size_t inside, uint64_t shift,
		      uint64_t *looks)
{
	uint64_t begin = vcpu_modes_from(modes, 0), all = vcpu_modes_known(modes);
	size_t still = 0, hint = 0;

	for (size_t i = 0; i < nr && *looks; i++, (*looks)--) {
		uint64_t moved = begin + (uint64_t)(((unsigned __int128)(known[i] - begin) + shift) % all);
		enum vcpu_mode mode;

		hint = vcpu_modes_find(modes, moved, hint);
		mode = vcpu_modes_at(modes, hint);
		if (mode == MODE_HOST)
			return false;
		still += mode == MODE_GUEST;
	}
	return still >= inside / 2 || !*looks;
}

/**
 * fit_path_prove - do the events of a run in guest mode prove anything?
 * @host: the vCPUs
 * @run: a run of a path
 * @times: guest times of all events of the path
 * @looks: number of moves left for all calls; decremented. At 0 nothing is proved any more
 *
 * Moves the events in circles within the known times of the vCPU, SHIFTS times. If they fit after more than one in
 * CHANCE of these moves, the fit without a move proves nothing. This assumes nothing about the behaviour of guests.
 *
 * Returns: an enum fit_proof, or -ENOMEM.
 */
int fit_path_prove(const struct fit_host *host, const struct fit_run *run, const uint64_t *times, uint64_t *looks)
{
	const struct vcpu_modes *modes = host->vcpus[run->vcpu].modes;
	_cleanup_(freep) uint64_t *known = NULL;
	size_t nr, inside, nr_fitting = 0;

	if (!modes->nr)
		return FIT_NONE_INSIDE;
	known = calloc(run->last - run->first + 1, sizeof(*known));
	if (!known)
		return -ENOMEM;
	inside = take_known(host, run, times, known, &nr);
	if (!inside)
		return FIT_NONE_INSIDE;
	for (size_t k = 1; k <= SHIFTS && nr_fitting <= SHIFTS / CHANCE; k++) {
		unsigned __int128 shift = (unsigned __int128)vcpu_modes_known(modes) * k / (SHIFTS + 1);

		nr_fitting += fit_moved(modes, known, nr, inside, (uint64_t)shift, looks);
	}
	return nr_fitting > SHIFTS / CHANCE ? FIT_BY_CHANCE : FIT_PROVED;
}

/**
 * fit_path_find - find the best path of a CPU
 * @path: result; must be released in any case
 * @host: the vCPUs
 * @vcpus: indices of the vCPUs that may be on it
 * @nr_vcpus: number of @vcpus
 * @times: guest times of events in recorded order, in cycles
 * @went_back: for each event: the TSC went back since the one before; NULL if unknown
 * @nr_times: number of @times
 *
 * Returns: 0 or -ENOMEM.
 */
int fit_path_find(struct fit_path *path, const struct fit_host *host, const size_t *vcpus, size_t nr_vcpus,
		  const uint64_t *times, const bool *went_back, size_t nr_times)
{
	_cleanup_(freep) size_t *hints = calloc(nr_vcpus + 1, sizeof(*hints));
	struct search search = {
		.host = host, .vcpus = vcpus, .nr_vcpus = nr_vcpus, .hints = hints, .nr_states = 1,
		.states[0] = { .vcpu = FIT_NONE, .phase = FIT_NONE, .node = FIT_NONE },
	};
	const struct state *best = &search.states[0];
	int ret = hints ? 0 : -ENOMEM;

	*path = (struct fit_path) { .tally = { .earlier = FIT_NO_LIMIT, .later = FIT_NO_LIMIT } };
	for (size_t i = 0; i < nr_times && !ret; i++)
		ret = take_event(&search, times[i], went_back && went_back[i], i);
	for (size_t i = 1; i < search.nr_states; i++) {
		if (search.states[i].cost < best->cost)
			best = &search.states[i];
	}
	path->impossible = calloc(nr_times + 1, sizeof(*path->impossible));
	if (!path->impossible)
		ret = -ENOMEM;
	if (!ret)
		ret = take_runs(path, &search, best->node);
	if (!ret) {
		path->cost = best->cost;
		count(path, host, times, went_back, nr_times);
	}
	free(search.nodes);
	return ret;
}

/**
 * fit_path_move - replace a path by another one
 * @to: released before
 * @from: empty afterwards
 */
void fit_path_move(struct fit_path *to, struct fit_path *from)
{
	fit_path_release(to);
	*to = *from;
	*from = (struct fit_path) { 0 };
}

/**
 * fit_path_release - free a path
 * @path: the path, also after a failure, or all zeros
 */
void fit_path_release(struct fit_path *path)
{
	free(path->impossible);
	free(path->runs);
	path->impossible = NULL;
	path->runs = NULL;
	path->nr_runs = 0;
}

/**
 * fit_tally_count - count an event
 * @tally: tally of its CPU; @earlier and @later are limits
 * @modes: modes of its vCPU
 * @host_tsc: its time
 * @begin, @end: first and last host TSC, in cycles, for which the vCPUs in guest mode are known
 * @span: index of a span near it; result: its span
 *
 * Returns: the mode of the vCPU at that time.
 */
enum vcpu_mode fit_tally_count(struct fit_tally *tally, const struct vcpu_modes *modes, uint64_t host_tsc,
			       uint64_t begin, uint64_t end, size_t *span)
{
	enum vcpu_mode mode;

	*span = vcpu_modes_find(modes, host_tsc, *span);
	mode = vcpu_modes_at(modes, *span);
	if (mode == MODE_GUEST) {
		tally->inside++;
		vcpu_modes_limit(modes, *span, host_tsc, &tally->earlier, &tally->later);
	} else if (mode == MODE_HOST) {
		tally->violations++;
	} else if (host_tsc < begin || host_tsc > end) {
		tally->outside++;
	} else {
		tally->unknown++;
	}
	return mode;
}

/* Everything but the limits */
static void add_counts(struct fit_tally *tally, const struct fit_tally *more)
{
	tally->inside += more->inside;
	tally->violations += more->violations;
	tally->unknown += more->unknown;
	tally->outside += more->outside;
	tally->doubtful += more->doubtful;
	tally->impossible += more->impossible;
	tally->unmoved += more->unmoved;
	tally->spans += more->spans;
	if (more->stretch > tally->stretch)
		tally->stretch = more->stretch;
}

/**
 * fit_tally_add - add a tally
 * @tally: the sum
 * @more: the tally to add
 */
void fit_tally_add(struct fit_tally *tally, const struct fit_tally *more)
{
	add_counts(tally, more);
	if (more->earlier < tally->earlier)
		tally->earlier = more->earlier;
	if (more->later < tally->later)
		tally->later = more->later;
}

/**
 * fit_tally_add_cpu - add a tally with an independent error
 * @tally: the sum, all zeros at first; @tally->earlier and @tally->later become the maximum
 * @more: the tally to add
 */
void fit_tally_add_cpu(struct fit_tally *tally, const struct fit_tally *more)
{
	add_counts(tally, more);
	if (more->inside && more->earlier > tally->earlier)
		tally->earlier = more->earlier;
	if (more->inside && more->later > tally->later)
		tally->later = more->later;
}
