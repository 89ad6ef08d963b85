// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "array.h"
#include "cleanup.h"
#include "clock_rows.h"
#include "guest_places.h"
#include "history.h"
#include "late_reads.h"
#include "order.h"

/* Limit of places of a snapshot: each jump backward adds one for a vCPU */
#define MAX_CANDIDATES	64

/* Larger values are times before 0 */
#define MAX_HOST_TSC	(1ULL << 62)

/* Two disciplined clocks differ by less than one part in this, and are read together within this time */
#define SAME_RATE	1000
#define READ_NS		50000

/* A model is accepted if the other one deviates this many times more */
#define CLEAR		4

/*
 * A snapshot in one of its places. @broken and @off belong to the best path from the first snapshot, and @broken_on to
 * the best path to the last; @before is its candidate in the snapshot before.
 */
struct candidate {
	struct guest_place	place;
	size_t			broken;
	uint64_t		off;
	size_t			before;
	size_t			broken_on;
	bool			reached;
};

struct ctx {
	struct guest_places	*places;
	const struct clock_rows	*rows;
	struct clock_rate	host;
	struct candidate	*candidates;
	size_t			nr;
	size_t			capacity;
	size_t			*first;		/* of each snapshot with a place, and the end */
	size_t			nr_first;
};

static ORDER_BY(compare_candidates, struct candidate, place.host_tsc, place.vcpu)

static uint64_t boottime(const struct ctx *ctx, const struct guest_place *place)
{
	return ctx->rows->rows[place->row].values[CLOCK_ID_BOOTTIME];
}

static uint64_t difference(__int128 a, __int128 b)
{
	unsigned __int128 off = a > b ? a - b : b - a;

	return off > UINT64_MAX ? UINT64_MAX : (uint64_t)off;
}

/* Nanoseconds of host cycles, possibly negative */
static __int128 elapsed(const struct clock_rate *rate, __int128 cycles)
{
	return cycles * (__int128)rate->ns / (__int128)rate->cycles;
}

/* Deviation of the guest's clock from a model between two snapshots, in ns. @moved: it jumps with the TSC */
static uint64_t off_by(const struct ctx *ctx, const struct clock_rate *rate, const struct guest_place *a,
		       const struct guest_place *b, enum clock_model model, uint64_t *moved)
{
	uint64_t on = 0, ns = boottime(ctx, b) - boottime(ctx, a);

	/* The time at which the TSC would have had its value of b without a jump */
	if (tsc_host_from_guest(&a->map, ctx->rows->rows[b->row].values[CLOCK_ID_TSC], &on))
		on = UINT64_MAX;
	*moved = difference(on, b->host_tsc);
	return difference(ns, elapsed(rate, (__int128)(model == CLOCK_JUMPS ? on : b->host_tsc) - a->host_tsc));
}

/* Can one vCPU have taken both? If their offsets differ, the clock has not moved by the difference. */
static bool same_vcpu(const struct guest_places *places, const struct guest_place *a, const struct guest_place *b)
{
	struct tsc_mapping map;

	return a->vcpu == b->vcpu || (vcpu_history_at(&places->vm->vcpus[b->vcpu], a->host_tsc, &map) &&
				      tsc_mapping_equal(&map, &a->map));
}

/* Did the TSC jump between two snapshots in a known way? After a jump backward, they have the same mapping. */
static bool jumped(const struct guest_places *places, const struct guest_place *a, const struct guest_place *b,
		   bool *back)
{
	const struct vcpu_history *vcpu = &places->vm->vcpus[b->vcpu];
	struct tsc_mapping map;
	bool moved = false;

	*back = false;
	if (!vcpu_history_at(vcpu, a->host_tsc, &map))
		return false;
	for (size_t i = vcpu_history_until(vcpu, a->host_tsc); i < b->segment; i++)
		moved |= !tsc_mapping_equal(&vcpu->segments[i].map, &map);
	*back = moved && tsc_mapping_equal(&map, &b->map);
	return moved;
}

static uint64_t allowed(const struct ctx *ctx, const struct guest_place *a, const struct guest_place *b)
{
	return (boottime(ctx, b) - boottime(ctx, a)) / SAME_RATE + READ_NS;
}

/* Returns: deviation by the better model; UINT64_MAX if it is too large */
static uint64_t step(const struct ctx *ctx, const struct guest_place *a, const struct guest_place *b)
{
	uint64_t moved;
	uint64_t runs_on = off_by(ctx, &ctx->host, a, b, CLOCK_RUNS_ON, &moved);
	uint64_t jumps = same_vcpu(ctx->places, a, b) ? off_by(ctx, &ctx->host, a, b, CLOCK_JUMPS, &moved) : UINT64_MAX;
	uint64_t off = runs_on < jumps ? runs_on : jumps;

	return off <= allowed(ctx, a, b) ? off : UINT64_MAX;
}

static int add_candidate(struct ctx *ctx, size_t row, size_t vcpu, size_t segment, const struct tsc_mapping *map,
			 uint64_t from, uint64_t to)
{
	uint64_t host_tsc;

	if (tsc_host_from_guest(map, ctx->rows->rows[row].values[CLOCK_ID_TSC], &host_tsc) || host_tsc < from ||
	    host_tsc >= to || host_tsc > MAX_HOST_TSC)
		return 0;
	if (array_reserve(ctx->candidates, ctx->nr, ctx->capacity))
		return -ENOMEM;
	ctx->candidates[ctx->nr++] = (struct candidate) { .place = { row, host_tsc, vcpu, segment, *map, false } };
	return 0;
}

static int add_vcpu(struct ctx *ctx, size_t row, size_t number)
{
	const struct vcpu_history *vcpu = &ctx->places->vm->vcpus[number];
	struct tsc_mapping map;
	uint64_t from = vcpu->begins;
	int ret = 0;

	for (size_t i = 0; i <= vcpu->nr_segments && !ret; i++) {
		uint64_t to = i < vcpu->nr_segments ? vcpu->segments[i].host_tsc : UINT64_MAX;
		/*
		 * An event's previous value counts only before the first event; later, the value of the event before
		 * counts
		 */
		bool known = i ? true : !vcpu_history_birth(vcpu, 0) && vcpu_history_before(vcpu, 0, &map);

		if (i)
			map = vcpu->segments[i - 1].map;
		if (known)
			ret = add_candidate(ctx, row, number, i, &map, from, to);
		from = to;
	}
	return ret;
}

/* All possible places of a snapshot; vCPUs with the same TSC share one */
static int add_row(struct ctx *ctx, size_t row)
{
	size_t begin = ctx->nr, kept = begin;

	for (size_t i = 0; i < ctx->places->vm->nr_vcpus; i++) {
		int ret = add_vcpu(ctx, row, i);

		if (ret)
			return ret;
	}
	array_sort(ctx->candidates + begin, ctx->nr - begin, compare_candidates);
	for (size_t i = begin; i < ctx->nr; i++) {
		if (kept == begin || ctx->candidates[i].place.host_tsc != ctx->candidates[kept - 1].place.host_tsc)
			ctx->candidates[kept++] = ctx->candidates[i];
	}
	ctx->nr = kept;
	if (kept == begin)
		ctx->places->nr_impossible++;
	else
		ctx->first[ctx->nr_first++] = begin;
	return kept - begin > MAX_CANDIDATES ? -E2BIG : 0;
}

/* The best path to a candidate from those of the snapshot before, which begin at @begin */
static void reach(const struct ctx *ctx, struct candidate *to, size_t begin, size_t end)
{
	for (size_t i = begin; i < end; i++) {
		const struct candidate *from = &ctx->candidates[i];
		uint64_t off = step(ctx, &from->place, &to->place);
		size_t broken = from->broken + (off == UINT64_MAX);

		if (!from->reached || from->place.host_tsc >= to->place.host_tsc)
			continue;
		off = off == UINT64_MAX ? from->off : from->off + off;
		if (to->reached && (broken > to->broken || (broken == to->broken && off >= to->off)))
			continue;
		to->reached = true;
		to->broken = broken;
		to->off = off;
		to->before = i;
	}
}

/* Finds the best path from a candidate to the end, without a break if possible */
static void reach_on(const struct ctx *ctx, struct candidate *from, size_t begin, size_t end)
{
	from->broken_on = SIZE_MAX;
	for (size_t i = begin; i < end; i++) {
		const struct candidate *to = &ctx->candidates[i];
		size_t broken;

		if (to->broken_on == SIZE_MAX || from->place.host_tsc >= to->place.host_tsc)
			continue;
		broken = to->broken_on + (step(ctx, &from->place, &to->place) == UINT64_MAX);
		if (broken < from->broken_on)
			from->broken_on = broken;
	}
}

static void find_ways(struct ctx *ctx)
{
	for (size_t s = 0; s < ctx->nr_first; s++) {
		for (size_t i = ctx->first[s]; i < ctx->first[s + 1]; i++) {
			if (!s)
				ctx->candidates[i].reached = true;
			else
				reach(ctx, &ctx->candidates[i], ctx->first[s - 1], ctx->first[s]);
		}
	}
	for (size_t s = ctx->nr_first; s-- > 1;) {
		for (size_t i = ctx->first[s - 1]; i < ctx->first[s]; i++)
			reach_on(ctx, &ctx->candidates[i], ctx->first[s], ctx->first[s + 1]);
	}
}

static int take_best_way(struct ctx *ctx)
{
	struct guest_places *places = ctx->places;
	size_t last = ctx->first[ctx->nr_first - 1], best = ctx->nr;

	for (size_t i = last; i < ctx->nr; i++) {
		const struct candidate *way = &ctx->candidates[i], *other = &ctx->candidates[best];

		if (way->reached && (best == ctx->nr || way->broken < other->broken ||
				     (way->broken == other->broken && way->off < other->off)))
			best = i;
	}
	if (best == ctx->nr)
		return -ENOENT;
	places->nr_broken = ctx->candidates[best].broken;
	places->nr = ctx->nr_first;
	places->places = calloc(places->nr, sizeof(*places->places));
	if (!places->places)
		return -ENOMEM;
	for (size_t s = places->nr; s--; best = ctx->candidates[best].before)
		places->places[s] = ctx->candidates[best].place;
	for (size_t s = 0; s + 1 < places->nr; s++)
		places->places[s].broken = step(ctx, &places->places[s], &places->places[s + 1]) == UINT64_MAX;
	return 0;
}

/* Other places on an equally good path */
static void find_rivals(struct ctx *ctx)
{
	struct guest_places *places = ctx->places;

	for (size_t s = 0; s < places->nr; s++) {
		/* Its neighbourhood is unknown anyway */
		if ((!s || places->places[s - 1].broken) && (s + 1 == places->nr || places->places[s].broken))
			continue;
		for (size_t i = ctx->first[s]; i < ctx->first[s + 1]; i++) {
			const struct candidate *rival = &ctx->candidates[i];
			uint64_t far = difference(rival->place.host_tsc, places->places[s].host_tsc);

			if (rival->reached && rival->broken_on != SIZE_MAX &&
			    rival->broken + rival->broken_on == places->nr_broken && far > places->rivals)
				places->rivals = far;
		}
	}
}

/* The guest's own rate, where its TSC did not jump */
static struct clock_rate rate_of_guest(const struct ctx *ctx)
{
	const struct guest_places *places = ctx->places;
	struct clock_rate rate = { 0 };
	bool back;

	for (size_t s = 0; s + 1 < places->nr; s++) {
		const struct guest_place *place = &places->places[s];

		if (place->broken || jumped(places, place, place + 1, &back))
			continue;
		rate.ns += boottime(ctx, place + 1) - boottime(ctx, place);
		rate.cycles += place[1].host_tsc - place->host_tsc;
	}
	return rate.ns ? rate : ctx->host;
}

static void choose_model(struct ctx *ctx)
{
	struct guest_places *places = ctx->places;
	struct clock_rate rate = rate_of_guest(ctx);
	unsigned __int128 off[2] = { 0 };
	uint64_t most = 0, moved;
	bool back;

	for (size_t s = 0; s + 1 < places->nr; s++) {
		struct guest_place *place = &places->places[s];

		if (place->broken || !jumped(places, place, place + 1, &back) || !same_vcpu(places, place, place + 1))
			continue;
		/* Both models give the same time here, but not in between */
		if (back) {
			place->broken = true;
			places->nr_broken++;
			continue;
		}
		off[CLOCK_RUNS_ON] += off_by(ctx, &rate, place, place + 1, CLOCK_RUNS_ON, &moved);
		off[CLOCK_JUMPS] += off_by(ctx, &rate, place, place + 1, CLOCK_JUMPS, &moved);
		places->nr_jumps++;
		if (moved > most)
			most = moved;
	}
	places->model = off[CLOCK_RUNS_ON] <= off[CLOCK_JUMPS] ? CLOCK_RUNS_ON : CLOCK_JUMPS;
	if (off[places->model] * CLEAR > off[!places->model])
		places->unclear = most;
	/* A deviation that one model allows may be too large for the other */
	for (size_t s = 0; s + 1 < places->nr; s++) {
		struct guest_place *place = &places->places[s];

		if (place->broken || !same_vcpu(places, place, place + 1))
			continue;
		if (off_by(ctx, &rate, place, place + 1, places->model, &moved) > allowed(ctx, place, place + 1)) {
			place->broken = true;
			places->nr_broken++;
		}
	}
}

static int find(struct ctx *ctx)
{
	int ret = 0;

	ctx->first = calloc(ctx->rows->nr + 1, sizeof(*ctx->first));
	if (!ctx->first)
		return -ENOMEM;
	for (size_t i = 0; i < ctx->rows->nr && !ret; i++)
		ret = add_row(ctx, i);
	if (ret || ctx->nr_first < 2)
		return ret ? ret : -ENOENT;
	ctx->first[ctx->nr_first] = ctx->nr;
	find_ways(ctx);
	ret = take_best_way(ctx);
	if (ret)
		return ret;
	find_rivals(ctx);
	choose_model(ctx);
	return ctx->places->nr_broken > (ctx->places->nr - 1) / 2 ? -ENOENT : 0;
}

/**
 * guest_places_find - find the host times of a guest's snapshots
 * @places: result; must be released in any case
 * @rows: the snapshots; must be valid while @places is used
 * @vm: the history of its TSC; must be valid too
 * @host: the rate of the host's CLOCK_ID_BOOTTIME
 *
 * Returns: 0, -ENOENT if the snapshots do not fit this history, -E2BIG if the history has too many jumps backward to
 * decide anything, or -ENOMEM.
 */
int guest_places_find(struct guest_places *places, const struct clock_rows *rows, const struct vm_history *vm,
		      const struct clock_rate *host)
{
	struct ctx ctx = { .places = places, .rows = rows, .host = *host };
	int ret;

	*places = (struct guest_places) { .rows = rows, .vm = vm };
	ret = find(&ctx);
	free(ctx.candidates);
	free(ctx.first);
	return ret;
}

/**
 * guest_places_correct - correct late readings of the TSC
 * @places: the places; updated
 *
 * Uses the host's TSC, of which a guest's CLOCK_ID_MONOTONIC_RAW is a linear function unless it jumps.
 *
 * Returns: the largest delay, in host cycles; 0 if nothing was changed.
 */
uint64_t guest_places_correct(struct guest_places *places)
{
	struct late_read *reads;
	uint64_t latest = 0;

	if (places->nr_broken || (places->nr_jumps && places->model == CLOCK_JUMPS))
		return 0;
	reads = calloc(places->nr + 1, sizeof(*reads));
	for (size_t s = 0; reads && s < places->nr; s++) {
		const struct clock_row *row = &places->rows->rows[places->places[s].row];

		reads[s].raw = clock_row_has(row, CLOCK_ID_MONOTONIC_RAW) ? row->values[CLOCK_ID_MONOTONIC_RAW] : 0;
		reads[s].tsc = places->places[s].host_tsc <= INT64_MAX >> 1 ? places->places[s].host_tsc : 0;
	}
	if (reads && late_reads_correct(reads, places->nr, LATE_READ_MOST, &latest)) {
		for (size_t s = 0; s < places->nr; s++)
			places->places[s].host_tsc = reads[s].tsc;
	}
	free(reads);
	return latest;
}

/*
 * Clocks that jump with the TSC have two values at the moment of each jump. Nothing was recorded between these values,
 * because they did not occur.
 */
static int add_jumps(const struct guest_places *places, unsigned int clock, struct clock_line *line,
		     const struct guest_place *a, const struct guest_place *b)
{
	const struct vcpu_history *vcpu = &places->vm->vcpus[b->vcpu];
	const struct clock_row *from = &places->rows->rows[a->row], *to = &places->rows->rows[b->row];
	uint64_t ns = to->values[clock] - from->values[clock];
	uint64_t cycles = to->values[CLOCK_ID_TSC] - from->values[CLOCK_ID_TSC];
	int ret = 0;

	for (size_t i = vcpu_history_until(vcpu, a->host_tsc); i < b->segment && !ret; i++) {
		uint64_t host_tsc = vcpu->segments[i].host_tsc, at[2];
		const struct tsc_mapping *before = i ? &vcpu->segments[i - 1].map : &a->map;

		at[0] = tsc_guest_from_host(before, host_tsc) - from->values[CLOCK_ID_TSC];
		at[1] = tsc_guest_from_host(&vcpu->segments[i].map, host_tsc) - from->values[CLOCK_ID_TSC];
		if (at[0] >= at[1])
			return at[0] == at[1] ? 0 : -ERANGE;
		for (size_t j = 0; j < 2 && !ret; j++)
			ret = clock_line_add(line, from->values[clock] +
					     (uint64_t)((unsigned __int128)at[j] * ns / cycles), host_tsc, !j);
	}
	return ret;
}

static int add_place(const struct guest_places *places, unsigned int clock, struct clock_line *line, size_t s)
{
	const struct guest_place *place = &places->places[s], *next = s + 1 < places->nr ? place + 1 : NULL;
	bool broken = place->broken, jumps, back;
	size_t nr;
	int ret;

	jumps = !broken && next && places->model == CLOCK_JUMPS && jumped(places, place, next, &back);
	broken |= jumps && (!same_vcpu(places, place, next) || !clock_row_has(&places->rows->rows[next->row], clock));
	ret = clock_line_add(line, places->rows->rows[place->row].values[clock], place->host_tsc, broken);
	if (ret || !jumps || broken)
		return ret;
	nr = line->nr;
	ret = add_jumps(places, clock, line, place, next);
	if (ret == -ERANGE) {
		/* The clock stood still, as after a jump backward */
		line->nr = nr;
		line->nodes[nr - 1].broken = true;
		ret = 0;
	}
	return ret;
}

/**
 * guest_places_line - make the line of one of the guest's clocks
 * @places: the places
 * @clock: the clock, less than CLOCKS
 * @line: result: from the guest's clock to the host's TSC; must be released in any case
 *
 * Returns: 0, -ERANGE if the clock went back, or -ENOMEM. The line is unusable if the guest did not read that clock.
 */
int guest_places_line(const struct guest_places *places, unsigned int clock, struct clock_line *line)
{
	int ret = 0;

	*line = (struct clock_line) { 0 };
	for (size_t s = 0; s < places->nr && !ret; s++) {
		if (clock_row_has(&places->rows->rows[places->places[s].row], clock))
			ret = add_place(places, clock, line, s);
	}
	return ret;
}

/**
 * guest_places_limits - get the range of host times in which the lines are valid
 * @places: the places
 * @from, @to: result: the first and the last, in host cycles
 *
 * If clocks may jump with the TSC, they are unknown before a jump that precedes the first snapshot, and after a jump
 * that follows the last.
 */
void guest_places_limits(const struct guest_places *places, uint64_t *from, uint64_t *to)
{
	const struct guest_place *first = &places->places[0], *last = &places->places[places->nr - 1];

	*from = 0;
	*to = UINT64_MAX;
	if (places->nr_jumps && !places->unclear && places->model == CLOCK_RUNS_ON)
		return;
	for (size_t i = 0; i < places->vm->nr_vcpus; i++) {
		const struct vcpu_history *vcpu = &places->vm->vcpus[i];

		for (size_t j = 0; j < vcpu->nr_segments; j++) {
			uint64_t at = vcpu->segments[j].host_tsc;

			if (!tsc_segment_changes(&vcpu->segments[j]))
				continue;
			if (at <= first->host_tsc && at > *from)
				*from = at;
			if (at > last->host_tsc && at <= *to)
				*to = at - 1;
		}
	}
}

/**
 * guest_places_release - free the places
 * @places: the places, also after a failure
 */
void guest_places_release(struct guest_places *places)
{
	free(places->places);
	*places = (struct guest_places) { 0 };
}
