// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "any.h"
#include "cleanup.h"
#include "fit.h"
#include "history.h"
#include "order.h"
#include "vcpu_modes.h"

typedef unsigned __int128 u128;

/* Limit of trials: each CPU is tried on each vCPU with a sample of its events, for a few seconds at most */
#define MAX_TRIED	(1UL << 22)
#define MAX_TRIALS	(1UL << 18)
#define MAX_PAIRS	(1UL << 23)
#define MIN_EVENTS	32UL
#define MAX_EVENTS	1024UL
/* Limit of vCPUs that one CPU can have been in sequence */
#define MAX_LIVES	16
/* Limit of vCPUs of each CPU that are examined as rivals */
#define MAX_RIVALS	16
/* Evidence that one in this many wrong hypotheses would show as well proves nothing */
#define CHANCE		1000
#define ONE		(1ULL << 63)
/* A wrong vCPU is assumed to be in guest mode for at least this part of the time */
#define LEAST_PART	(ONE / 4)
/* A rival has at least one in this many of the events that support the best */
#define RIVAL_PART	2
/*
 * A vCPU is about as good as the best one if its cost exceeds the best by no more than this and this part of the best
 */
#define NEAR_COST	16
#define NEAR_PART	8

/* How some of a CPU's events fit a vCPU. @proved: those inside, if they are enough to prove it, else 0. */
struct trial {
	uint32_t	cost;
	uint32_t	inside;
	uint32_t	against;
	uint32_t	proved;
};

struct ctx {
	const struct fit_input		*input;
	struct trial			*trials;	/* of each CPU on each vCPU */
	uint32_t			*least;		/* of each CPU: its least cost on a fitting vCPU */
	size_t				*owner;		/* of each vCPU: its CPU, or FIT_NONE */
	bool				*visited;	/* of each vCPU, while a CPU is placed */
	bool				*proved;	/* of each CPU: some vCPU is proved for it */
	bool				*candidate;	/* of each vCPU: it may be one of the guest's */
	size_t				vm;
};

static const struct trial *trial_of(const struct ctx *ctx, size_t cpu, size_t vcpu)
{
	return &ctx->trials[cpu * ctx->input->host.nr_vcpus + vcpu];
}

/* Returns: @part to the power of @exponent, both as parts of ONE */
static uint64_t power(uint64_t part, uint64_t exponent)
{
	uint64_t result = ONE;

	for (; exponent && result; exponent--)
		result = (uint64_t)((u128)result * part / ONE);
	return result;
}

/**
 * fit_proves - is it next to impossible that events fit a wrong vCPU as well as this?
 * @modes: when the vCPU was in guest mode
 * @tally: how the events fit it; one stretch without a contradiction is enough
 * @hypotheses: number of vCPUs that were tried
 *
 * Returns: true if the chance that any wrong hypothesis has such a long stretch is less than one in CHANCE.
 */
bool fit_proves(const struct vcpu_modes *modes, const struct fit_tally *tally, uint64_t hypotheses)
{
	u128 all = (u128)modes->guest_time + modes->host_time;
	uint64_t part = all ? (uint64_t)((u128)ONE * modes->guest_time / all) : ONE;
	uint64_t events = tally->inside + tally->violations + tally->impossible;
	uint64_t seen =
		tally->violations ? (uint64_t)((u128)ONE * tally->inside / (tally->inside + tally->violations)) : 0;

	/* vCPUs run at the same times as others, because the host is busy then */
	part = part > LEAST_PART ? part : LEAST_PART;
	part = part > seen ? part : seen;

	/* A stretch may begin with any event */
	return (u128)power(part, tally->stretch) * ((u128)hypotheses + 1) <= ONE / CHANCE / (events + 1);
}

/* Some of a CPU's events, evenly spread, including the first and the last */
static size_t spread(const struct fit_cpu *cpu, size_t wanted, uint64_t *times)
{
	if (cpu->nr_times <= wanted) {
		memcpy(times, cpu->times, cpu->nr_times * sizeof(*times));
		return cpu->nr_times;
	}
	for (size_t i = 0; i < wanted; i++)
		times[i] = cpu->times[(size_t)((u128)i * (cpu->nr_times - 1) / (wanted - 1))];
	return wanted;
}

/* If the guest's VM is known, other VMs' vCPUs are tried only if they may belong to it */
static bool is_tried(const struct fit_input *input, size_t vcpu)
{
	size_t vm = input->host.vcpus[vcpu].vm;

	return input->vm == FIT_NONE || vm == input->vm ||
	       (!input->apart[input->vm] && !input->apart[vm]);
}

static size_t nr_tried(const struct fit_input *input)
{
	size_t nr = 0;

	for (size_t v = 0; v < input->host.nr_vcpus; v++)
		nr += is_tried(input, v);
	return nr;
}

static int try_all(struct ctx *ctx)
{
	const struct fit_input *input = ctx->input;
	const struct fit_host *host = &input->host;
	size_t nr = input->nr_cpus * host->nr_vcpus,
	       events = MAX_TRIED / (input->nr_cpus * nr_tried(input) + 1);
	_cleanup_(freep) uint64_t *times = NULL;
	int ret = 0;

	events = events < MIN_EVENTS ? MIN_EVENTS : events > MAX_EVENTS ? MAX_EVENTS : events;
	ctx->trials = calloc(nr + 1, sizeof(*ctx->trials));
	times = calloc(events, sizeof(*times));
	if (!ctx->trials || !times)
		return -ENOMEM;
	for (size_t c = 0; c < input->nr_cpus && !ret; c++) {
		size_t nr_times = spread(&input->cpus[c], events, times);

		for (size_t v = 0; v < host->nr_vcpus && !ret; v++) {
			struct trial *trial = &ctx->trials[c * host->nr_vcpus + v];
			struct fit_path path;

			*trial = (struct trial) { .cost = UINT16_MAX, .against = 1 };
			if (!is_tried(input, v))
				continue;
			ret = fit_path_find(&path, host, &v, 1, times, NULL, nr_times);
			*trial = (struct trial) {
				.cost = (uint32_t)path.cost, .inside = (uint32_t)path.tally.inside,
				.against = (uint32_t)fit_tally_against(&path.tally),
			};
			if (fit_proves(host->vcpus[v].modes, &path.tally, host->nr_vcpus))
				trial->proved = trial->inside;
			fit_path_release(&path);
		}
	}
	return ret;
}

/* vCPUs are in the order of their VMs. Returns: index of the first vCPU of a VM, or of the next VM. */
static size_t first_of_vm(const struct fit_host *host, size_t vm)
{
	return first_where(i, host->nr_vcpus, host->vcpus[i].vm >= vm);
}

static bool is_of_vm(const struct fit_host *host, size_t vcpu, size_t vm)
{
	return vcpu < host->nr_vcpus && host->vcpus[vcpu].vm == vm;
}

/* Proof counts more than cost: events outside of the host's recording prove nothing */
static bool is_better(const struct trial *a, const struct trial *b)
{
	if (a->proved != b->proved)
		return a->proved > b->proved;
	return a->cost != b->cost ? a->cost < b->cost : a->inside > b->inside;
}

/* How the CPUs fit the best vCPUs of a VM */
static struct trial trial_of_vm(const struct ctx *ctx, size_t vm)
{
	const struct fit_host *host = &ctx->input->host;
	struct trial sum = { 0 };

	for (size_t c = 0; c < ctx->input->nr_cpus; c++) {
		const struct trial *best = NULL;

		for (size_t v = first_of_vm(host, vm); is_of_vm(host, v, vm); v++) {
			const struct trial *trial = trial_of(ctx, c, v);

			if (!best || is_better(trial, best))
				best = trial;
		}
		sum.cost += best ? best->cost : UINT16_MAX;
		sum.inside += best ? best->inside : 0;
		sum.against += best ? best->against : 1;
		sum.proved += best ? best->proved : 0;
	}
	return sum;
}

static void choose_vm(struct ctx *ctx)
{
	struct trial best = { 0 };

	ctx->vm = ctx->input->vm;
	for (size_t vm = 0; vm < ctx->input->nr_vms && ctx->input->vm == FIT_NONE; vm++) {
		struct trial trial = trial_of_vm(ctx, vm);

		if (ctx->vm == FIT_NONE || is_better(&trial, &best)) {
			ctx->vm = vm;
			best = trial;
		}
	}
}

/* Is there a CPU with a proved fit to some vCPU, and with the best fit to a vCPU of this VM? */
static bool has_best(const struct ctx *ctx, size_t vm)
{
	const struct fit_host *host = &ctx->input->host;

	for (size_t c = 0; c < ctx->input->nr_cpus; c++) {
		size_t best = 0;

		for (size_t v = 1; v < host->nr_vcpus; v++) {
			if (trial_of(ctx, c, v)->proved > trial_of(ctx, c, best)->proved)
				best = v;
		}
		if (host->nr_vcpus && trial_of(ctx, c, best)->proved && host->vcpus[best].vm == vm)
			return true;
	}
	return false;
}

/*
 * Select the vCPUs that may be the guest's: those of its VM. If it is uncertain which vCPUs the VM has, threads of
 * another uncertain VM may belong to it too: they started when a vCPU was plugged in, or when the VM was restored.
 */
static void choose_candidates(struct ctx *ctx)
{
	const struct fit_input *input = ctx->input;
	/* If a VM is given as the guest's and nothing fits it, other VMs' threads do not complete it */
	bool joins = ctx->vm != FIT_NONE && !input->apart[ctx->vm] &&
		     (input->vm == FIT_NONE || has_best(ctx, ctx->vm));

	for (size_t v = 0; v < input->host.nr_vcpus && ctx->vm != FIT_NONE; v++) {
		size_t vm = input->host.vcpus[v].vm;

		ctx->candidate[v] = vm == ctx->vm || (joins && !input->apart[vm]);
	}
}

/*
 * Can a CPU be a vCPU, without a contradiction? A vCPU of another VM must be proved. A vCPU with which all events are
 * outside of the host's recording is excluded if another vCPU is proved with events inside.
 */
static bool can_be(const struct ctx *ctx, size_t cpu, size_t vcpu)
{
	const struct trial *trial = trial_of(ctx, cpu, vcpu);

	if (!ctx->candidate[vcpu] || trial->against || (ctx->proved[cpu] && !trial->inside))
		return false;
	return trial->proved || ctx->input->host.vcpus[vcpu].vm == ctx->vm;
}

/**
 * fit_by_order - find the vCPU of a CPU by order
 * @input: the host and the guest
 * @vm: index of the VM
 * @cpu: number of the CPU in the guest
 *
 * Guests number their CPUs in the order of vcpu_id, which can have gaps. This is usable if the host saw all vCPUs. If
 * it saw only some, their vcpu_ids must be the guest's numbers, as they are without gaps.
 *
 * Returns: index of the vCPU, FIT_NONE if unknown.
 */
size_t fit_by_order(const struct fit_input *input, size_t vm, uint32_t cpu)
{
	const struct fit_host *host = &input->host;
	size_t nr = 0, nth = FIT_NONE, same = FIT_NONE;
	uint32_t last = 0;

	for (size_t v = first_of_vm(host, vm); is_of_vm(host, v, vm); v++) {
		uint32_t vcpu_id = host->vcpus[v].vcpu_id;

		if (nr && last == vcpu_id)
			continue;
		if (nr++ == cpu)
			nth = v;
		if (vcpu_id == cpu)
			same = v;
		last = vcpu_id;
	}
	if (nr == input->nr_guest_cpus || last + 1UL == nr)
		return nth;
	return last < input->nr_guest_cpus ? same : FIT_NONE;
}

/* The vCPU of a CPU: by the thread in the host's file, or by order */
static size_t by_order(const struct ctx *ctx, size_t cpu)
{
	const struct fit_host *host = &ctx->input->host;
	const struct fit_cpu *wanted = &ctx->input->cpus[cpu];

	for (size_t v = first_of_vm(host, ctx->vm); wanted->tid && is_of_vm(host, v, ctx->vm); v++) {
		if (host->vcpus[v].tid == wanted->tid)
			return v;
	}
	return fit_by_order(ctx->input, ctx->vm, wanted->cpu);
}

/* VMMs start the threads of vCPUs in the order of vcpu_id; vCPUs that are plugged in later come in any order */
static bool is_in_order(const struct ctx *ctx)
{
	const struct fit_host *host = &ctx->input->host;
	int tid = 0;

	for (size_t v = first_of_vm(host, ctx->vm); is_of_vm(host, v, ctx->vm); v++) {
		if (host->vcpus[v].tid && host->vcpus[v].tid < tid)
			return false;
		if (host->vcpus[v].tid)
			tid = host->vcpus[v].tid;
	}
	return true;
}

static void find_proved(struct ctx *ctx)
{
	const struct fit_host *host = &ctx->input->host;

	for (size_t c = 0; c < ctx->input->nr_cpus; c++) {
		for (size_t v = 0; v < host->nr_vcpus; v++)
			ctx->proved[c] |= ctx->candidate[v] && trial_of(ctx, c, v)->proved;
	}
}

/* The least cost of each CPU on any fitting vCPU */
static void find_least(struct ctx *ctx)
{
	size_t nr_vcpus = ctx->input->host.nr_vcpus;

	for (size_t c = 0; c < ctx->input->nr_cpus; c++) {
		ctx->least[c] = UINT32_MAX;
		for (size_t v = 0; v < nr_vcpus; v++) {
			const struct trial *trial = trial_of(ctx, c, v);

			if (can_be(ctx, c, v) && trial->cost < ctx->least[c])
				ctx->least[c] = trial->cost;
		}
	}
}

/* Does a CPU fit a vCPU without a contradiction, and about as well as any? */
static bool fits(const struct ctx *ctx, size_t cpu, size_t vcpu)
{
	const struct trial *trial = trial_of(ctx, cpu, vcpu);
	uint32_t least = ctx->least[cpu];

	return can_be(ctx, cpu, vcpu) && trial->cost - least <= NEAR_COST + least / NEAR_PART;
}

/* Is the offset of a vCPU unknown? A CPU that fits no other can be this one. */
static bool is_open(const struct ctx *ctx, size_t vcpu)
{
	return vcpu != FIT_NONE && !ctx->input->host.vcpus[vcpu].nr_phases;
}

static bool place_cpu(struct ctx *ctx, size_t cpu, size_t first);

static bool place_on(struct ctx *ctx, size_t cpu, size_t vcpu)
{
	if (vcpu == FIT_NONE || ctx->visited[vcpu] || !fits(ctx, cpu, vcpu))
		return false;
	ctx->visited[vcpu] = true;
	if (ctx->owner[vcpu] != FIT_NONE && !place_cpu(ctx, ctx->owner[vcpu], FIT_NONE))
		return false;
	ctx->owner[vcpu] = cpu;
	return true;
}

/* Moves a CPU from its vCPU to another one if that frees its vCPU; tries @first first */
static bool place_cpu(struct ctx *ctx, size_t cpu, size_t first)
{
	if (place_on(ctx, cpu, first))
		return true;
	return any_of(v, ctx->input->host.nr_vcpus, place_on(ctx, cpu, v));
}

static size_t vcpu_of(const struct ctx *ctx, size_t cpu)
{
	for (size_t v = 0; v < ctx->input->host.nr_vcpus; v++) {
		if (ctx->owner[v] == cpu)
			return v;
	}
	return FIT_NONE;
}

/*
 * The vCPU for a CPU that fits none: one that is proved for a part, or the one by order, or the least bad of the rest.
 */
static size_t least_bad(const struct ctx *ctx, size_t cpu)
{
	size_t ordered = by_order(ctx, cpu), best = FIT_NONE;

	for (size_t v = 0; v < ctx->input->host.nr_vcpus; v++) {
		if (ctx->candidate[v] && ctx->owner[v] == FIT_NONE &&
		    (ctx->input->host.vcpus[v].vm == ctx->vm || trial_of(ctx, cpu, v)->proved) &&
		    (best == FIT_NONE || is_better(trial_of(ctx, cpu, v), trial_of(ctx, cpu, best))))
			best = v;
	}
	if (best != FIT_NONE && !trial_of(ctx, cpu, best)->proved && ordered != FIT_NONE &&
	    ctx->owner[ordered] == FIT_NONE)
		return ordered;
	return best;
}

/* May a CPU fit a vCPU only by chance, because by order it is another one whose offset is unknown? */
static bool stays_open(const struct ctx *ctx, size_t cpu)
{
	size_t ordered = by_order(ctx, cpu);

	if (!is_open(ctx, ordered))
		return false;
	return !any_of(v, ctx->input->host.nr_vcpus, fits(ctx, cpu, v) && trial_of(ctx, cpu, v)->proved);
}

/* CPUs that fit no vCPU, or only vCPUs of other CPUs, get none here */
static void place_fitting(struct ctx *ctx)
{
	size_t nr_vcpus = ctx->input->host.nr_vcpus;

	find_least(ctx);
	for (size_t v = 0; v < nr_vcpus; v++)
		ctx->owner[v] = FIT_NONE;
	for (size_t c = 0; c < ctx->input->nr_cpus; c++) {
		memset(ctx->visited, 0, nr_vcpus * sizeof(*ctx->visited));
		if (!stays_open(ctx, c))
			place_cpu(ctx, c, by_order(ctx, c));
	}
}

/* Two threads that ran the same vcpu_id at the same time belong to different VMs. Returns: the less certain one. */
static size_t find_stranger(const struct ctx *ctx)
{
	const struct fit_host *host = &ctx->input->host;

	for (size_t a = 0; a < host->nr_vcpus; a++) {
		for (size_t b = a + 1; b < host->nr_vcpus && ctx->owner[a] != FIT_NONE; b++) {
			if (ctx->owner[b] == FIT_NONE || host->vcpus[a].vcpu_id != host->vcpus[b].vcpu_id ||
			    !fit_vcpu_coexist(&host->vcpus[a], &host->vcpus[b]))
				continue;
			return trial_of(ctx, ctx->owner[a], a)->proved < trial_of(ctx, ctx->owner[b], b)->proved ?
				a : b;
		}
	}
	return FIT_NONE;
}

/* May a CPU fit no vCPU because the host did not record its vCPU? */
static bool is_unseen(const struct ctx *ctx, size_t cpu, size_t vcpu)
{
	const struct fit_host *host = &ctx->input->host;
	const struct trial *trial = trial_of(ctx, cpu, vcpu);
	size_t nr = 0;

	for (size_t v = first_of_vm(host, ctx->vm); is_of_vm(host, v, ctx->vm); v++) {
		/* It may be one with an unknown offset */
		if (is_open(ctx, v) && ctx->owner[v] == FIT_NONE)
			return false;
		nr += !is_of_vm(host, v + 1, ctx->vm) || host->vcpus[v + 1].vcpu_id != host->vcpus[v].vcpu_id;
	}
	return trial->against && !trial->proved && nr < ctx->input->nr_guest_cpus;
}

/* The thread of a vCPU that never entered guest mode is unknown, and may be one that a CPU has */
static bool is_taken(const struct ctx *ctx, size_t vcpu)
{
	const struct fit_host *host = &ctx->input->host;

	return !host->vcpus[vcpu].modes->nr_guest &&
	       any_of(v, host->nr_vcpus, v != vcpu && ctx->owner[v] != FIT_NONE &&
					 host->vcpus[v].vcpu_id == host->vcpus[vcpu].vcpu_id);
}

static int place_all(struct ctx *ctx, struct fit *fit)
{
	size_t nr_vcpus = ctx->input->host.nr_vcpus;

	ctx->proved = calloc(ctx->input->nr_cpus + 1, sizeof(*ctx->proved));
	ctx->candidate = calloc(nr_vcpus + 1, sizeof(*ctx->candidate));
	ctx->least = malloc((ctx->input->nr_cpus + 1) * sizeof(*ctx->least));
	ctx->owner = malloc((nr_vcpus + 1) * sizeof(*ctx->owner));
	ctx->visited = calloc(nr_vcpus + 1, sizeof(*ctx->visited));
	if (!ctx->proved || !ctx->candidate || !ctx->least || !ctx->owner || !ctx->visited)
		return -ENOMEM;
	choose_candidates(ctx);
	find_proved(ctx);
	for (size_t stranger = FIT_NONE; ; ctx->candidate[stranger] = false) {
		place_fitting(ctx);
		stranger = find_stranger(ctx);
		if (stranger == FIT_NONE)
			break;
	}
	for (size_t c = 0; c < ctx->input->nr_cpus; c++) {
		size_t vcpu = vcpu_of(ctx, c);

		if (vcpu == FIT_NONE)
			vcpu = least_bad(ctx, c);
		if (vcpu != FIT_NONE && (is_unseen(ctx, c, vcpu) || is_taken(ctx, vcpu)))
			vcpu = FIT_NONE;
		if (vcpu != FIT_NONE)
			ctx->owner[vcpu] = c;
		fit->results[c].vcpu = vcpu;
	}
	return 0;
}

static int compare_trials(const void *a, const void *b, void *trials)
{
	const struct trial *x = (const struct trial *)trials + *(const size_t *)a;
	const struct trial *y = (const struct trial *)trials + *(const size_t *)b;

	return (x->inside < y->inside) - (x->inside > y->inside);
}

/* Do the events prove each part of a path on another vCPU? */
static bool is_proved(const struct fit_input *input, const struct fit_path *path, size_t vcpu,
		      const uint64_t *times)
{
	for (size_t r = 0; r < path->nr_runs; r++) {
		const struct fit_run *run = &path->runs[r];
		struct fit_tally tally;

		fit_path_count_run(&tally, &input->host, run, times);
		if (run->vcpu != vcpu &&
		    !fit_proves(input->host.vcpus[run->vcpu].modes, &tally, input->host.nr_vcpus))
			return false;
	}
	return true;
}

static bool explains_more(const struct fit_tally *tally, const struct fit_tally *than)
{
	uint64_t against = fit_tally_against(tally), against_than = fit_tally_against(than);

	return against != against_than ? against < against_than : tally->outside < than->outside;
}

static bool is_one_vcpu(const struct fit_path *path)
{
	return !any_of(r, path->nr_runs, path->runs[r].vcpu != path->runs[0].vcpu);
}

static void take_lives(struct ctx *ctx, size_t cpu, struct fit_result *result, struct fit_path *path)
{
	const struct fit_input *input = ctx->input;
	bool proved = is_proved(input, path, result->vcpu, input->cpus[cpu].times);

	/* Contradictions cause a doubt anyway */
	if (!proved && fit_tally_against(&path->tally))
		return;
	if (!proved) {
		result->doubt = is_one_vcpu(path) ? FIT_ANOTHER_VCPU : FIT_FEW_EVENTS;
		result->rival = result->vcpu;
	}
	fit_path_move(&result->path, path);
	result->vcpu = result->path.runs[result->path.nr_runs - 1].vcpu;
	for (size_t i = 0; i < result->path.nr_runs; i++)
		ctx->owner[result->path.runs[i].vcpu] = cpu;
}

/* If one vCPU does not explain a CPU, it may have been several vCPUs in sequence, which no other CPU is */
static int try_lives(struct ctx *ctx, size_t cpu, struct fit_result *result)
{
	const struct fit_input *input = ctx->input;
	_cleanup_(freep) size_t *vcpus = calloc(input->host.nr_vcpus + 1, sizeof(*vcpus));
	struct fit_path path;
	size_t nr = 0;
	int ret;

	if (!vcpus)
		return -ENOMEM;
	for (size_t v = 0; v < input->host.nr_vcpus; v++) {
		if (ctx->candidate[v] && v != result->vcpu && ctx->owner[v] == FIT_NONE &&
		    trial_of(ctx, cpu, v)->inside)
			vcpus[nr++] = v;
	}
	if (!nr)
		return 0;
	qsort_r(vcpus, nr, sizeof(*vcpus), compare_trials, &ctx->trials[cpu * input->host.nr_vcpus]);
	if (nr >= MAX_LIVES)
		nr = MAX_LIVES - 1;
	vcpus[nr++] = result->vcpu;
	ret = fit_path_find(&path, &input->host, vcpus, nr, input->cpus[cpu].times, input->cpus[cpu].went_back,
			    input->cpus[cpu].nr_times);
	if (!ret && explains_more(&path.tally, &result->path.tally))
		take_lives(ctx, cpu, result, &path);
	fit_path_release(&path);
	return ret;
}

static int find_paths(struct ctx *ctx, struct fit *fit)
{
	const struct fit_input *input = ctx->input;
	int ret = 0;

	for (size_t c = 0; c < input->nr_cpus && !ret; c++) {
		struct fit_result *result = &fit->results[c];

		ret = fit_path_find(&result->path, &input->host, &result->vcpu, result->vcpu != FIT_NONE,
				    input->cpus[c].times, input->cpus[c].went_back,
			    input->cpus[c].nr_times);
	}
	for (size_t c = 0; c < input->nr_cpus && !ret; c++) {
		struct fit_result *result = &fit->results[c];

		if (result->path.tally.inside != input->cpus[c].nr_times && result->vcpu != FIT_NONE)
			ret = try_lives(ctx, c, result);
	}
	for (size_t c = 0; c < input->nr_cpus && !ret; c++)
		fit_tally_add(&fit->tally, &fit->results[c].path.tally);
	return ret;
}

/* The time of an event on a path; false without */
static bool time_on(const struct fit_input *input, const struct fit_path *path, size_t event, uint64_t guest_tsc,
		    uint64_t *host_tsc)
{
	struct fit_place places[FIT_MAX_PLACES];

	for (size_t r = 0; r < path->nr_runs; r++) {
		const struct fit_run *run = &path->runs[r];
		size_t nr;

		if (event < run->first || event > run->last)
			continue;
		nr = fit_vcpu_places(&input->host.vcpus[run->vcpu], guest_tsc, places);
		for (size_t i = 0; i < nr; i++) {
			if (places[i].phase == run->phase) {
				*host_tsc = places[i].host_tsc;
				return true;
			}
		}
	}
	return false;
}

/* Is another path as good, with other times? */
static bool is_rival(const struct fit_input *input, size_t cpu, const struct fit_path *path,
		     const struct fit_path *other)
{
	const struct fit_cpu *events = &input->cpus[cpu];

	if (fit_tally_against(&other->tally) || other->tally.inside * RIVAL_PART < path->tally.inside)
		return false;
	for (size_t i = 0; i < events->nr_times; i++) {
		uint64_t a = 0, b = 0;

		if (time_on(input, path, i, events->times[i], &a) !=
		    time_on(input, other, i, events->times[i], &b) || a != b)
			return true;
	}
	return false;
}

/* Is it certain that the VM has no other vCPUs than the known ones? */
static bool is_whole(const struct ctx *ctx)
{
	const struct fit_host *host = &ctx->input->host;

	return ctx->input->apart[ctx->vm] ||
	       !any_of(v, host->nr_vcpus, ctx->candidate[v] && host->vcpus[v].vm != ctx->vm);
}

/* If neither is proved, may a CPU be another vCPU? Yes, if its offset is unknown or if it explains more. */
static bool may_be(const struct ctx *ctx, size_t cpu, size_t vcpu, size_t than)
{
	const struct trial *trial = trial_of(ctx, cpu, vcpu);

	if (!ctx->candidate[vcpu] || ctx->owner[vcpu] != FIT_NONE)
		return false;
	return is_open(ctx, vcpu) || (!trial->against && trial->inside > trial_of(ctx, cpu, than)->inside);
}

static int look_for_vcpu(struct ctx *ctx, size_t cpu, struct fit_result *result)
{
	const struct fit_input *input = ctx->input;
	bool proved = trial_of(ctx, cpu, result->vcpu)->proved;
	bool ordered = result->vcpu == by_order(ctx, cpu) && is_in_order(ctx) && (proved || is_whole(ctx));
	size_t tried = 0;
	int ret = 0;

	for (size_t v = 0; v < input->host.nr_vcpus && !ret && !ordered && result->doubt == FIT_CERTAIN; v++) {
		struct fit_path path;

		if (!proved && may_be(ctx, cpu, v, result->vcpu)) {
			result->doubt = FIT_ANOTHER_VCPU;
			result->rival = v;
			break;
		}
		/* A vCPU of another CPU is possible only if the two can change places */
		if (v == result->vcpu || !fits(ctx, cpu, v) ||
		    (ctx->owner[v] != FIT_NONE && !fits(ctx, ctx->owner[v], result->vcpu)))
			continue;
		if (tried++ == MAX_RIVALS)
			break;
		ret = fit_path_find(&path, &input->host, &v, 1, input->cpus[cpu].times, input->cpus[cpu].went_back,
			    input->cpus[cpu].nr_times);
		if (!ret && is_rival(input, cpu, &result->path, &path)) {
			result->doubt = FIT_ANOTHER_VCPU;
			result->rival = v;
		}
		fit_path_release(&path);
	}
	return ret;
}

/* Can any guest time of a phase belong to another phase as well? */
static bool overlaps(const struct fit_vcpu *vcpu, size_t phase)
{
	return any_of(i, vcpu->nr_phases, i != phase &&
					  vcpu->phases[i].guest_from <= vcpu->phases[phase].guest_to &&
					  vcpu->phases[i].guest_to >= vcpu->phases[phase].guest_from);
}

/* The path of a CPU if one phase of its vCPU were limited to @from to @to; @from > @to: removed */
static int find_without(const struct fit_input *input, size_t cpu, size_t vcpu, size_t phase, uint64_t from,
			uint64_t to, struct fit_path *path)
{
	struct fit_vcpu without = input->host.vcpus[vcpu];
	struct fit_host host = { .vcpus = &without, .nr_vcpus = 1, .begin = input->host.begin,
				 .end = input->host.end };
	struct fit_phase *phases = calloc(without.nr_phases + 1, sizeof(*phases));
	size_t zero = 0;
	int ret;

	if (!phases)
		return -ENOMEM;
	memcpy(phases, without.phases, without.nr_phases * sizeof(*phases));
	/* Guest times determine the order of the list, so it does not change */
	phases[phase].from = from;
	phases[phase].to = to;
	without.phases = phases;
	ret = fit_path_find(path, &host, &zero, 1, input->cpus[cpu].times, input->cpus[cpu].went_back,
			    input->cpus[cpu].nr_times);
	for (size_t i = 0; i < path->nr_runs; i++)
		path->runs[i].vcpu = vcpu;
	free(phases);
	return ret;
}

/* Number of the events in a range that are in guest mode on a path */
static uint64_t inside_between(const struct fit_input *input, const struct fit_path *path, const uint64_t *times,
			       size_t first, size_t last)
{
	uint64_t inside = 0;

	for (size_t i = 0; i < path->nr_runs; i++) {
		struct fit_run run = path->runs[i];
		struct fit_tally tally;

		run.first = run.first > first ? run.first : first;
		run.last = run.last < last ? run.last : last;
		if (run.first > run.last)
			continue;
		fit_path_count_run(&tally, &input->host, &run, times);
		inside += tally.inside;
	}
	return inside;
}

/* Events of a run may belong to another phase */
static void doubt_run(struct fit_result *result, size_t run, const struct fit_path *other, size_t first, size_t last)
{
	result->doubt = FIT_ANOTHER_PHASE;
	result->rival = other->runs[0].phase;
	result->rival_run = run;
	result->rival_first = first;
	result->rival_last = last;
}

/* Can an event belong to a vCPU in another phase than that, without a contradiction? */
static bool can_be_on(const struct fit_input *input, size_t vcpu, size_t except, const uint64_t *times, size_t event)
{
	struct fit_place places[FIT_MAX_PLACES];
	size_t nr = fit_vcpu_places(&input->host.vcpus[vcpu], times[event], places);

	for (size_t i = 0; i < nr; i++) {
		struct fit_run there = { vcpu, places[i].phase, event, event };
		struct fit_tally tally;

		if (places[i].phase == except)
			continue;
		fit_path_count_run(&tally, &input->host, &there, times);
		if (tally.inside || tally.unknown)
			return true;
	}
	return false;
}

/* Does a guest, after it continues from a saved state, have events that it recorded after the save? */
static bool has_what_is_gone(const struct fit_input *input, const struct fit_path *path, const uint64_t *times)
{
	for (size_t r = 1; r < path->nr_runs; r++) {
		const struct fit_run *run = &path->runs[r];
		const struct fit_phase *phase = &input->host.vcpus[run->vcpu].phases[run->phase];
		size_t last = path->runs[r - 1].last;
		uint64_t host_tsc;

		if (time_on(input, path, last, times[last], &host_tsc) && host_tsc < phase->restored &&
		    (int64_t)times[last] >= phase->saved)
			return true;
	}
	return false;
}

/*
 * Can the end of a run belong to a later phase, or its begin to an earlier one? Wherever the guest moved from one phase
 * to the other, the run's last or first event then can too.
 */
static int look_for_edge(const struct ctx *ctx, size_t cpu, struct fit_result *result, size_t r, bool at_end)
{
	const struct fit_input *input = ctx->input;
	const struct fit_run *run = &result->path.runs[r];
	const struct fit_phase *phase = &input->host.vcpus[run->vcpu].phases[run->phase];
	const uint64_t *times = input->cpus[cpu].times;
	size_t event = at_end ? run->last : run->first, inner = event;
	struct fit_path other = { 0 };
	uint64_t host_tsc;
	int ret;

	if (!time_on(input, &result->path, event, times[event], &host_tsc) ||
	    !can_be_on(input, run->vcpu, run->phase, times, event))
		return 0;
	ret = find_without(input, cpu, run->vcpu, run->phase, at_end ? phase->from : host_tsc + 1,
			   at_end ? host_tsc - 1 : phase->to, &other);
	if (!ret && other.nr_runs && !has_what_is_gone(input, &other, times) &&
	    is_rival(input, cpu, &result->path, &other)) {
		/* The phase of some more events is uncertain too */
		while (inner != (at_end ? run->first : run->last) &&
		       can_be_on(input, run->vcpu, run->phase, times, at_end ? inner - 1 : inner + 1))
			inner += at_end ? -1 : 1;
		doubt_run(result, r, &other, at_end ? inner : event, at_end ? event : inner);
	}
	fit_path_release(&other);
	return ret;
}

static int look_for_phase(struct ctx *ctx, size_t cpu, struct fit_result *result)
{
	const struct fit_input *input = ctx->input;
	const uint64_t *times = input->cpus[cpu].times;
	const struct fit_path *path = &result->path;
	int ret = 0;

	for (size_t i = 0; i < path->nr_runs && !ret && result->doubt == FIT_CERTAIN; i++) {
		const struct fit_run *run = &path->runs[i];
		struct fit_path other = { 0 };

		if (!overlaps(&input->host.vcpus[run->vcpu], run->phase))
			continue;
		ret = find_without(input, cpu, run->vcpu, run->phase, 1, 0, &other);
		if (!ret && other.nr_runs && is_rival(input, cpu, path, &other) &&
		    inside_between(input, &other, times, run->first, run->last) * RIVAL_PART >=
		    inside_between(input, path, times, run->first, run->last))
			doubt_run(result, i, &other, run->first, run->last);
		fit_path_release(&other);
		for (int at_end = 0; at_end < 2 && !ret && result->doubt == FIT_CERTAIN; at_end++)
			ret = look_for_edge(ctx, cpu, result, i, at_end);
	}
	return ret;
}

static bool was_restored(const struct fit_vcpu *vcpu)
{
	return any_of(i, vcpu->nr_phases, vcpu->phases[i].restored);
}

/*
 * May a CPU have been, for its last or first event, a vCPU after its own, or one before it? Even a VM that is certain
 * can be restored as another one.
 */
static void look_for_life(const struct ctx *ctx, size_t cpu, struct fit_result *result)
{
	const struct fit_input *input = ctx->input;
	const struct fit_vcpu *vcpus = input->host.vcpus;
	const struct fit_path *path = &result->path;

	for (size_t v = 0; v < input->host.nr_vcpus && path->nr_runs && result->doubt == FIT_CERTAIN; v++) {
		const struct fit_run *run = &path->runs[0];
		uint64_t from, to, from_v, to_v;
		size_t event = run->first;

		if (ctx->owner[v] != FIT_NONE || !fit_vcpu_lifetime(&vcpus[v], &from_v, &to_v) ||
		    (!ctx->candidate[v] && !was_restored(&vcpus[v])))
			continue;
		if (fit_vcpu_lifetime(&vcpus[run->vcpu], &from, &to) && to_v >= from) {
			run = &path->runs[path->nr_runs - 1];
			event = run->last;
			if (!fit_vcpu_lifetime(&vcpus[run->vcpu], &from, &to) || from_v <= to)
				continue;
		}
		if (!can_be_on(input, v, FIT_NONE, input->cpus[cpu].times, event))
			continue;
		result->doubt = FIT_ANOTHER_VCPU;
		result->rival = v;
	}
}

/* Does the guest also fit another VM, with other times? No CPU of the guest belongs to that VM. */
static int is_rival_vm(struct ctx *ctx, const struct fit *fit, size_t vm, bool *rival)
{
	const struct fit_input *input = ctx->input;
	struct trial trial = trial_of_vm(ctx, vm);
	int ret = 0;

	*rival = false;
	if (trial.against || trial.inside * RIVAL_PART < trial_of_vm(ctx, ctx->vm).inside)
		return 0;
	for (size_t c = 0; c < input->nr_cpus && !ret && !*rival; c++) {
		size_t best = FIT_NONE;
		struct fit_path path;

		for (size_t v = first_of_vm(&input->host, vm); is_of_vm(&input->host, v, vm); v++) {
			if (best == FIT_NONE || trial_of(ctx, c, v)->cost < trial_of(ctx, c, best)->cost)
				best = v;
		}
		ret = fit_path_find(&path, &input->host, &best, 1, input->cpus[c].times, input->cpus[c].went_back,
			    input->cpus[c].nr_times);
		*rival = !ret && is_rival(input, c, &fit->results[c].path, &path);
		fit_path_release(&path);
	}
	return ret;
}

/* The VM of most CPUs at the end */
static size_t last_vm(const struct fit *fit, const struct fit_input *input)
{
	size_t best = fit->vm, most = 0;

	for (size_t c = 0; c < fit->nr_results; c++) {
		size_t vm, nr = 0;

		if (fit->results[c].vcpu == FIT_NONE)
			continue;
		vm = input->host.vcpus[fit->results[c].vcpu].vm;
		for (size_t i = 0; i < fit->nr_results; i++)
			nr += fit->results[i].vcpu != FIT_NONE && input->host.vcpus[fit->results[i].vcpu].vm == vm;
		if (nr > most) {
			best = vm;
			most = nr;
		}
	}
	return best;
}

static bool has_part_of(const struct fit *fit, const struct fit_input *input, size_t vm)
{
	for (size_t c = 0; c < fit->nr_results; c++) {
		const struct fit_path *path = &fit->results[c].path;

		for (size_t r = 0; r < path->nr_runs; r++) {
			if (input->host.vcpus[path->runs[r].vcpu].vm == vm)
				return true;
		}
	}
	return false;
}

static int look_for_vm(struct ctx *ctx, struct fit *fit)
{
	int ret = 0;

	for (size_t vm = 0; vm < ctx->input->nr_vms && !ret && fit->rival_vm == FIT_NONE &&
	     ctx->input->vm == FIT_NONE; vm++) {
		bool rival;

		if (vm == ctx->vm || has_part_of(fit, ctx->input, vm))
			continue;
		ret = is_rival_vm(ctx, fit, vm, &rival);
		if (!ret && rival)
			fit->rival_vm = vm;
	}
	return ret;
}

/* Find what else would fit */
static int look_for_rivals(struct ctx *ctx, struct fit *fit)
{
	int ret = look_for_vm(ctx, fit);

	for (size_t c = 0; c < fit->nr_results && !ret; c++) {
		struct fit_result *result = &fit->results[c];

		if (result->vcpu == FIT_NONE || fit_tally_against(&result->path.tally))
			continue;
		ret = look_for_phase(ctx, c, result);
		if (!ret)
			ret = look_for_vcpu(ctx, c, result);
		if (!ret)
			look_for_life(ctx, c, result);
	}
	return ret;
}

/**
 * fit_find - find which vCPU each of a guest's CPUs is
 * @fit: result; must be released in any case
 * @input: the host and the guest
 *
 * The result is the best one, good or not: @fit->tally has the number of events that contradict it.
 *
 * Returns: 0, -E2BIG if there are too many pairs of CPUs and vCPUs, or -ENOMEM.
 */
int fit_find(struct fit *fit, const struct fit_input *input)
{
	struct ctx ctx = { .input = input };
	int ret = 0;

	*fit = (struct fit) {
		.vm = FIT_NONE, .rival_vm = FIT_NONE,
		.results = calloc(input->nr_cpus + 1, sizeof(*fit->results)),
		.tally = { .earlier = FIT_NO_LIMIT, .later = FIT_NO_LIMIT },
	};
	if (!fit->results)
		return -ENOMEM;
	fit->nr_results = input->nr_cpus;
	if (input->nr_cpus && (nr_tried(input) > MAX_TRIALS / input->nr_cpus ||
			       input->host.nr_vcpus > MAX_PAIRS / input->nr_cpus))
		return -E2BIG;
	ret = try_all(&ctx);
	if (!ret) {
		choose_vm(&ctx);
		fit->vm = ctx.vm;
		ret = place_all(&ctx, fit);
	}
	if (!ret)
		ret = find_paths(&ctx, fit);
	if (!ret)
		ret = look_for_rivals(&ctx, fit);
	if (!ret)
		fit->vm = last_vm(fit, input);
	free(ctx.trials);
	free(ctx.proved);
	free(ctx.candidate);
	free(ctx.least);
	free(ctx.owner);
	free(ctx.visited);
	return ret;
}

/**
 * fit_is_significant - is it next to impossible that the whole result is wrong?
 * @fit: the result
 * @input: its input
 *
 * Returns: true if the events of a CPU prove its vCPU, at least for a part of the time.
 */
bool fit_is_significant(const struct fit *fit, const struct fit_input *input)
{
	for (size_t c = 0; c < fit->nr_results; c++) {
		const struct fit_result *result = &fit->results[c];

		if (result->vcpu != FIT_NONE &&
		    fit_proves(input->host.vcpus[result->vcpu].modes, &result->path.tally, input->host.nr_vcpus))
			return true;
	}
	return false;
}

/**
 * fit_release - free a result
 * @fit: the result, also after a failure, or all zeros
 */
void fit_release(struct fit *fit)
{
	for (size_t c = 0; c < fit->nr_results; c++)
		fit_path_release(&fit->results[c].path);
	free(fit->results);
	*fit = (struct fit) { 0 };
}
