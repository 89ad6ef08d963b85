// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "any.h"
#include "cleanup.h"
#include "fit_ratio.h"
#include "guest_fit.h"
#include "guest_option.h"
#include "host.h"
#include "host_vcpus.h"
#include "meanwhile.h"
#include "merged_times.h"
#include "order.h"
#include "progress.h"
#include "shift_search.h"
#include "trace_dat.h"
#include "tsc_ratio.h"
#include "vcpu_modes.h"

/* Limits for the search for a ratio: vCPUs, and pairs of CPUs and vCPUs, so that it does not take long */
#define MAX_RATIO_VCPUS	64
#define MAX_RATIO_PAIRS	(1UL << 14)
/* Threads that are tried for vCPUs without a known thread */
#define MAX_THREADS_TRIED 4096
/* vCPUs with unknown offsets that a CPU may have been before another one */
#define MAX_EARLIER	8
/* KVM's ratios have this many fraction bits on Intel, and fewer on AMD */
#define RATIO_BITS	48
/* If more than one in this many events is outside of the host's recording, the others must be proved */
#define MANY_PART	4
/* Limit of moves of a guest's events to find what they prove: some seconds, if the host has many events */
#define MAX_LOOKS	(1UL << 24)
/* If more than one in this many events of a CPU is at such a time, the CPU is shown at a wrong time */
#define MEANWHILE_PART	64

/* The data of one run */
struct ctx {
	const struct guest_fit_input	*input;
	struct guest_fit		*fit;
	struct fit_input		asked;
	struct fit_vcpu			*vcpus;
	size_t				nr_vcpus;
	bool				*apart;
	struct fit_cpu			*cpus;
	uint64_t			**shown;	/* times as readers show them */
};

static const struct host_vm *vm_number(const struct ctx *ctx, size_t vm)
{
	return &ctx->input->host->vms[vm];
}

/*
 * Are a VM's vCPUs certain? They are if events or the user have the VM, or if it is another guest's. A VM that is known
 * only by its threads may have more of them.
 */
static bool is_apart(const struct ctx *ctx, const struct host_vm *vm)
{
	uint64_t trace_id = trace_dat_trace_id(ctx->input->dat);

	if (vm->guest_trace_id && trace_id && vm->guest_trace_id != trace_id && vm != ctx->input->vm)
		return true;
	return vm->evidence == VM_BY_EVENT || vm->evidence == VM_BY_USER || vm->evidence == VM_BY_PROCESS;
}

static void add_vcpu(struct ctx *ctx, const struct host_vcpu *vcpu, const struct host_vcpu *thread)
{
	ctx->vcpus[ctx->nr_vcpus++] = (struct fit_vcpu) {
		.vm = vcpu->vm, .vcpu_id = vcpu->vcpu_id, .tid = thread->tid, .modes = &thread->modes,
		.history = &vcpu->history,
	};
}

static int compare_vcpu_ids(const void *a, const void *b)
{
	const struct host_vcpu *x = *(const struct host_vcpu *const *)a, *y = *(const struct host_vcpu *const *)b;

	return order_of(x->vcpu_id, y->vcpu_id) ?: order_of(x->tid, y->tid);
}

/* Threads that run a vCPU and have an unknown offset, in the order of vcpu_id */
static const struct host_vcpu **find_free_threads(const struct ctx *ctx, size_t *nr)
{
	const struct host_vcpus *host = ctx->input->vcpus;
	const struct host_vcpu **threads = calloc(host->nr + 1, sizeof(*threads));

	*nr = 0;
	for (size_t i = 0; threads && i < host->nr; i++) {
		const struct host_vcpu *vcpu = &host->vcpus[i];

		if (vcpu->tid && !ctx->apart[vcpu->vm] && !vcpu->history.nr_segments && !vcpu->history.initial_known)
			threads[(*nr)++] = vcpu;
	}
	array_sort(threads, *nr, compare_vcpu_ids);
	return threads;
}

static size_t first_thread(const struct host_vcpu *const *threads, size_t nr, uint32_t vcpu_id)
{
	return first_where(i, nr, threads[i]->vcpu_id >= vcpu_id);
}

/*
 * A VMM may write its vCPUs' offsets from another thread than those that run them. If events have the VM of an offset,
 * any thread that runs a vCPU with this number may be its thread.
 */
static int make_vcpus(struct ctx *ctx)
{
	const struct host_vcpus *host = ctx->input->vcpus;
	size_t nr_vms = ctx->input->host->nr_vms, left = MAX_THREADS_TRIED, nr;
	_cleanup_(freep) const struct host_vcpu **threads = NULL;

	ctx->vcpus = calloc(host->nr + left + 1, sizeof(*ctx->vcpus));
	ctx->fit->estimated = calloc(host->nr + left + 1, sizeof(*ctx->fit->estimated));
	ctx->apart = calloc(nr_vms + 1, sizeof(*ctx->apart));
	if (!ctx->vcpus || !ctx->fit->estimated || !ctx->apart)
		return -ENOMEM;
	for (size_t i = 0; i < nr_vms; i++)
		ctx->apart[i] = is_apart(ctx, vm_number(ctx, i));
	threads = find_free_threads(ctx, &nr);
	if (!threads)
		return -ENOMEM;
	for (size_t i = 0; i < host->nr; i++) {
		const struct host_vcpu *vcpu = &host->vcpus[i];

		add_vcpu(ctx, vcpu, vcpu);
		if (vcpu->tid || !ctx->apart[vcpu->vm])
			continue;
		for (size_t j = first_thread(threads, nr, vcpu->vcpu_id);
		     left && j < nr && threads[j]->vcpu_id == vcpu->vcpu_id; j++, left--)
			add_vcpu(ctx, vcpu, threads[j]);
	}
	return 0;
}

/* @scaling: the ratio of all vCPUs for which the host reports none, or NULL */
static int make_phases(struct ctx *ctx, bool shown, const struct tsc_mapping *scaling)
{
	int ret = 0;

	for (size_t i = 0; i < ctx->nr_vcpus && !ret; i++) {
		struct fit_vcpu *vcpu = &ctx->vcpus[i];

		fit_vcpu_release(vcpu);
		ret = shown ? fit_vcpu_make_shown(vcpu) :
			      fit_vcpu_make(vcpu, scaling ? scaling : ctx->input->scaling, ctx->input->since);
	}
	return ret;
}

/* The threads that trace-cmd found for this guest, if the host's file has it */
static int take_threads(struct ctx *ctx, size_t nr_cpus)
{
	const struct trace_dat *host = ctx->input->host->dat;
	uint64_t trace_id = trace_dat_trace_id(ctx->input->dat);
	_cleanup_(guest_option_release) struct guest_option guest = { 0 };
	size_t at = 0;
	int ret = 0;

	while (trace_id && (ret = guest_option_next(&guest, host, &at)) && ret != -ENOMEM) {
		for (size_t j = 0; j < guest.nr_cpus && guest.trace_id == trace_id; j++) {
			for (size_t c = 0; c < nr_cpus; c++) {
				if (ctx->cpus[c].cpu == guest.cpus[j].cpu && guest.cpus[j].tid > 0)
					ctx->cpus[c].tid = guest.cpus[j].tid;
			}
		}
	}
	return ret;
}

static int make_cpus(struct ctx *ctx)
{
	const struct guest_sample *sample = &ctx->fit->sample;
	const struct merged_times *shown = ctx->input->shown;

	ctx->cpus = calloc(sample->nr_cpus + 1, sizeof(*ctx->cpus));
	ctx->shown = calloc(sample->nr_cpus + 1, sizeof(*ctx->shown));
	if (!ctx->cpus || !ctx->shown)
		return -ENOMEM;
	for (size_t c = 0; c < sample->nr_cpus; c++) {
		const struct guest_sample_cpu *cpu = &sample->cpus[c];

		ctx->cpus[c] = (struct fit_cpu) {
			.cpu = cpu->cpu, .times = cpu->times, .went_back = cpu->went_back, .nr_times = cpu->nr,
		};
		if (!shown)
			continue;
		ctx->shown[c] = calloc(cpu->nr + 1, sizeof(**ctx->shown));
		if (!ctx->shown[c])
			return -ENOMEM;
		for (size_t i = 0; i < cpu->nr; i++)
			ctx->shown[c][i] = merged_time(shown, cpu->cpu, cpu->times[i]);
		ctx->cpus[c].times = ctx->shown[c];
		ctx->cpus[c].went_back = NULL;
	}
	return take_threads(ctx, sample->nr_cpus);
}

static size_t number_of_vm(const struct ctx *ctx)
{
	return ctx->input->vm ? (size_t)(ctx->input->vm - ctx->input->host->vms) : FIT_NONE;
}

static void ask(struct ctx *ctx)
{
	const struct guest_fit_input *input = ctx->input;

	ctx->asked = (struct fit_input) {
		.host = { ctx->vcpus, ctx->nr_vcpus, input->vcpus->begin, input->vcpus->end },
		.nr_vms = input->host->nr_vms, .apart = ctx->apart,
		.cpus = ctx->cpus, .nr_cpus = ctx->fit->sample.nr_cpus,
		.nr_guest_cpus = input->dat->nr_cpus,
		.vm = number_of_vm(ctx),
	};
	for (size_t c = 0; c < ctx->fit->sample.nr_cpus; c++) {
		if (ctx->cpus[c].cpu >= ctx->asked.nr_guest_cpus)
			ctx->asked.nr_guest_cpus = ctx->cpus[c].cpu + 1UL;
	}
}

static bool has_open_cpu(const struct fit *fit, const struct fit_input *input)
{
	return any_of(c, fit->nr_results, fit->results[c].vcpu == FIT_NONE ||
					  !input->host.vcpus[fit->results[c].vcpu].nr_phases);
}

/* Do all events fit? Then no other explanation is needed. */
static bool is_good(const struct fit *fit, const struct fit_input *input)
{
	return !fit_tally_against(&fit->tally) && fit->tally.outside <= fit->tally.inside &&
	       !has_open_cpu(fit, input);
}

/*
 * Is a result better than another one in which events do not fit? It must prove something, and explain all events, or
 * at least a good part if the other one proves nothing.
 */
static bool is_better(const struct fit *fit, const struct fit *than, const struct fit_input *input)
{
	if (!fit_is_significant(fit, input) || fit->tally.inside <= than->tally.inside)
		return false;
	return is_good(fit, input) ||
	       (!fit_is_significant(than, input) && fit->tally.inside / 2 > than->tally.inside);
}

static void replace(struct fit *to, struct fit *from)
{
	fit_release(to);
	*to = *from;
	*from = (struct fit) { 0 };
}

/* Times that fit unchanged: a tool has corrected them already without recording that */
static int try_corrected(struct ctx *ctx)
{
	struct guest_fit *result = ctx->fit;
	struct fit fit;
	int ret;

	ret = make_phases(ctx, true, NULL);
	if (ret)
		return ret;
	ret = fit_find(&fit, &ctx->asked);
	if (!ret && is_better(&fit, &result->fit, &ctx->asked)) {
		result->corrected = true;
		replace(&result->fit, &fit);
	}
	fit_release(&fit);
	return ret || result->corrected ? ret : make_phases(ctx, false, NULL);
}

/* The events of a CPU without those at its begin and end, which may be from before or after the host's recording */
static const uint64_t *middle(const struct fit_cpu *cpu, size_t *nr)
{
	size_t cut = cpu->nr_times / 8;

	*nr = cpu->nr_times - 2 * cut;
	return cpu->times + cut;
}

/*
 * Are the remaining ranges close enough to be one ratio? @max_error: result: the error bound of a time at @host_tsc
 * with their middle.
 */
static bool is_one(const struct fit_ratios *ratios, uint64_t host_tsc, uint64_t *max_error)
{
	unsigned __int128 error;

	if (!ratios->nr)
		return false;
	error = (unsigned __int128)(ratios->high[ratios->nr - 1] - ratios->low[0]) * host_tsc;
	*max_error = (uint64_t)(error / ratios->low[0] / 2) + 1;
	/* A range of an eighth of a thousandth or more is not one ratio */
	return (ratios->high[ratios->nr - 1] - ratios->low[0]) < ratios->low[0] >> 13;
}

static bool is_one_vcpu(const struct fit_result *result)
{
	return !any_of(r, result->path.nr_runs, result->path.runs[r].vcpu != result->vcpu);
}

/* The ratios with which the events of those CPUs fit whose fit is proved */
static int narrow_all(struct fit_ratios *ratios, const struct fit *fit, const struct fit_input *input)
{
	int ret = fit_ratios_begin(ratios);

	for (size_t c = 0; c < fit->nr_results && !ret; c++) {
		const struct fit_result *result = &fit->results[c];
		const uint64_t *times;
		size_t nr;

		if (result->vcpu == FIT_NONE || !is_one_vcpu(result) ||
		    !fit_proves(input->host.vcpus[result->vcpu].modes, &result->path.tally, input->host.nr_vcpus))
			continue;
		times = middle(&input->cpus[c], &nr);
		ret = fit_ratios_narrow(ratios, &input->host, result->vcpu, times, nr);
	}
	return ret;
}

/* The fit with the middle of the remaining ratios */
static int find_with_ratio(struct ctx *ctx, const struct fit_ratios *ratios, struct tsc_mapping *scaling,
			   struct fit *fit)
{
	uint64_t ratio = ratios->low[0] + (ratios->high[ratios->nr - 1] - ratios->low[0]) / 2;
	int ret;

	*scaling = (struct tsc_mapping) { .ratio = ratio >> (FIT_RATIO_BITS - RATIO_BITS), .frac_bits = RATIO_BITS };
	fit_release(fit);
	ret = make_phases(ctx, false, scaling);
	return ret ? ret : fit_find(fit, &ctx->asked);
}

/* A ratio with which one CPU fits is accepted if all others fit as well; they narrow it down */
static int try_ratios(struct ctx *ctx, const struct fit_ratios *of_one)
{
	struct guest_fit *result = ctx->fit;
	struct fit_ratios ratios = { 0 };
	struct tsc_mapping scaling;
	struct fit fit = { 0 };
	uint64_t max_error;
	int ret;

	ret = find_with_ratio(ctx, of_one, &scaling, &fit);
	if (!ret && fit_is_significant(&fit, &ctx->asked)) {
		ret = narrow_all(&ratios, &fit, &ctx->asked);
		if (!ret && is_one(&ratios, ctx->asked.host.end, &max_error)) {
			ret = find_with_ratio(ctx, &ratios, &scaling, &fit);
			if (!ret && is_better(&fit, &result->fit, &ctx->asked)) {
				result->scaling = scaling;
				result->max_error = max_error;
				replace(&result->fit, &fit);
			}
		}
	}
	fit_ratios_release(&ratios);
	fit_release(&fit);
	return ret == -E2BIG ? 0 : ret;
}

static int try_ratio_with(struct ctx *ctx, size_t cpu, size_t vcpu)
{
	const struct fit_input *input = &ctx->asked;
	struct fit_ratios ratios;
	uint64_t max_error;
	size_t nr;
	const uint64_t *times = middle(&input->cpus[cpu], &nr);
	int ret = fit_ratios_begin(&ratios);

	if (!ret)
		ret = fit_ratios_narrow(&ratios, &input->host, vcpu, times, nr);
	if (!ret && is_one(&ratios, input->host.end, &max_error))
		ret = try_ratios(ctx, &ratios);
	fit_ratios_release(&ratios);
	return ret == -E2BIG ? 0 : ret;
}

static bool knows_ratio(const struct fit_vcpu *vcpu)
{
	return any_of(i, vcpu->nr_phases, vcpu->phases[i].map.ratio);
}

/* The CPU with most events */
static size_t busiest(const struct fit_input *input)
{
	size_t best = 0;

	for (size_t c = 1; c < input->nr_cpus; c++) {
		if (input->cpus[c].nr_times > input->cpus[best].nr_times)
			best = c;
	}
	return best;
}

/* A guest whose TSC is scaled, on a kernel that does not report it */
static int try_ratio(struct ctx *ctx)
{
	const struct fit_input *input = &ctx->asked;
	size_t cpu = busiest(input), tried = 0;
	int ret = 0;

	if (!input->nr_cpus || input->host.nr_vcpus > MAX_RATIO_PAIRS / input->nr_cpus)
		return 0;
	for (size_t v = 0; v < input->host.nr_vcpus; v++) {
		if (knows_ratio(&input->host.vcpus[v]))
			return 0;
	}
	for (size_t v = 0; v < input->host.nr_vcpus && !ret && !ctx->fit->scaling.ratio && tried < MAX_RATIO_VCPUS;
	     v++) {
		if (input->vm != FIT_NONE && input->host.vcpus[v].vm != input->vm)
			continue;
		ret = try_ratio_with(ctx, cpu, v);
		tried++;
	}
	return ret || ctx->fit->scaling.ratio ? ret : make_phases(ctx, false, NULL);
}

/* Number of a CPU's events before the first one with a place on its path */
static size_t nr_before(const struct fit_result *result, const struct fit_cpu *cpu)
{
	return result->path.nr_runs ? result->path.runs[0].first : cpu->nr_times;
}

static ORDER_NUMBERS(compare_times, uint64_t)

/* Find the shift that moves times to where a vCPU was in guest mode. Returns: 1, 0 without one, or -ENOMEM. */
static int find_shift(const struct vcpu_modes *modes, const uint64_t *times, size_t nr, struct shift_found *found)
{
	_cleanup_(freep) uint64_t *sorted = calloc(nr + 1, sizeof(*sorted));
	struct progress progress = { 0 };
	struct shift_search search;
	int ret;

	if (!sorted)
		return -ENOMEM;
	memcpy(sorted, times, nr * sizeof(*sorted));
	array_sort(sorted, nr, compare_times);
	ret = shift_search_begin(&search, modes, sorted, nr, &progress, 0);
	for (size_t i = 0; i < nr && !ret; i++)
		ret = shift_search_add(&search, sorted[i]);
	if (!ret)
		ret = shift_search_end(&search, found);
	shift_search_release(&search);
	if (ret == -ENODATA || ret == -ERANGE)
		return 0;
	return ret ? ret : found->unique && !found->violations;
}

/* May a vCPU be the same as another one, before the guest continued in the other's VM? */
static bool may_precede(const struct fit_input *input, size_t earlier, size_t vcpu)
{
	const struct fit_vcpu *a = &input->host.vcpus[earlier], *b = &input->host.vcpus[vcpu];
	uint64_t from_a, to_a, from_b, to_b;

	return a->vm != b->vm && !input->apart[a->vm] && a->vcpu_id == b->vcpu_id && !a->nr_phases &&
	       fit_vcpu_lifetime(a, &from_a, &to_a) && fit_vcpu_lifetime(b, &from_b, &to_b) && to_a < from_b;
}

static int set_estimate(struct ctx *ctx, size_t vcpu, const struct shift_found *found)
{
	struct tsc_mapping map = { .offset = (int64_t)(0 - (found->low + (found->high - found->low) / 2)) };
	uint64_t max_error = (found->high - found->low) / 2 + 1;

	ctx->fit->estimated[vcpu] = (struct vcpu_history) { .vcpu_id = ctx->vcpus[vcpu].vcpu_id };
	vcpu_history_set_initial(&ctx->fit->estimated[vcpu], &map);
	ctx->vcpus[vcpu].history = &ctx->fit->estimated[vcpu];
	if (max_error > ctx->fit->max_error)
		ctx->fit->max_error = max_error;
	fit_vcpu_release(&ctx->vcpus[vcpu]);
	return fit_vcpu_make(&ctx->vcpus[vcpu], NULL, ctx->input->since);
}

/*
 * A guest that was saved and continues in another VM: its earlier events fit nowhere. If the host shows a VM that ended
 * and whose offsets are unknown, these events may belong to it, and then they show its offsets.
 */
static int try_earlier(struct ctx *ctx)
{
	struct guest_fit *result = ctx->fit;
	const struct fit_input *input = &ctx->asked;
	bool found_any = false;
	struct fit fit;
	int ret = 0;

	for (size_t c = 0; c < input->nr_cpus && !ret; c++) {
		const struct fit_result *cpu = &result->fit.results[c];
		size_t nr = nr_before(cpu, &input->cpus[c]), tried = 0;
		bool placed = false;

		if (nr < 2 || cpu->vcpu == FIT_NONE || nr == input->cpus[c].nr_times)
			continue;
		for (size_t v = 0; v < input->host.nr_vcpus && ret >= 0 && !placed && tried < MAX_EARLIER; v++) {
			struct shift_found found;

			if (!may_precede(input, v, cpu->vcpu))
				continue;
			tried++;
			ret = find_shift(input->host.vcpus[v].modes, input->cpus[c].times, nr, &found);
			if (ret > 0) {
				ret = set_estimate(ctx, v, &found);
				placed = found_any = true;
			}
		}
	}
	if (ret || !found_any)
		return ret;
	ret = fit_find(&fit, input);
	if (!ret && is_better(&fit, &result->fit, input))
		replace(&result->fit, &fit);
	else
		result->max_error = 0;
	fit_release(&fit);
	return ret;
}

/* Tries other VMs than the named one */
static int try_other_vm(struct ctx *ctx)
{
	struct guest_fit *result = ctx->fit;
	struct fit_input input = ctx->asked;
	struct fit fit;
	int ret;

	if (input.vm == FIT_NONE)
		return 0;
	input.vm = FIT_NONE;
	ret = fit_find(&fit, &input);
	if (!ret && is_better(&fit, &result->fit, &input) && fit.vm != ctx->asked.vm) {
		findings_doubt(&result->findings, FINDING_VM,
			       "%s: its events do not fit VM %s, which %s; they fit VM %s", ctx->input->dat->path,
			       ctx->input->vm->name,
			       ctx->input->insist ? "--vm names" : "the host's file says that it is",
			       vm_number(ctx, fit.vm)->name);
		if (!ctx->input->insist) {
			ctx->asked.vm = FIT_NONE;
			replace(&result->fit, &fit);
		}
	}
	fit_release(&fit);
	return ret;
}

/* Other explanations, tried in turn if events do not fit */
static int explain(struct ctx *ctx)
{
	struct guest_fit *result = ctx->fit;
	int ret = 0;

	if (ctx->input->shown || is_good(&result->fit, &ctx->asked) || !ctx->input->host->guest_modes)
		return 0;
	ret = try_earlier(ctx);
	if (ctx->input->of_another)
		return ret;
	if (!ret && !is_good(&result->fit, &ctx->asked))
		ret = try_other_vm(ctx);
	if (!ret && !is_good(&result->fit, &ctx->asked))
		ret = try_corrected(ctx);
	if (!ret && !is_good(&result->fit, &ctx->asked))
		ret = try_ratio(ctx);
	return ret;
}

static bool is_listed(const size_t *vms, size_t nr, size_t vm)
{
	return any_of(i, nr, vms[i] == vm);
}

/* Was each CPU in this VM before it was in the last one? */
static bool all_come_from(const struct fit *fit, const struct fit_input *input, size_t vm)
{
	for (size_t c = 0; c < fit->nr_results; c++) {
		const struct fit_path *path = &fit->results[c].path;

		if (path->nr_runs && input->host.vcpus[path->runs[0].vcpu].vm != vm)
			return false;
	}
	return true;
}

/* "VM 527 after VM 291", "VM 157 with thread 213" */
static int make_name(struct ctx *ctx)
{
	const struct fit *fit = &ctx->fit->fit;
	const struct fit_input *input = &ctx->asked;
	size_t vms[8] = { fit->vm }, nr = 1, size;
	FILE *text = open_memstream(&ctx->fit->name, &size);

	if (!text)
		return -ENOMEM;
	if (fit->vm != FIT_NONE)
		fprintf(text, "VM %s", ctx->fit->vm->name);
	for (size_t c = 0; c < fit->nr_results; c++) {
		const struct fit_path *path = &fit->results[c].path;

		for (size_t r = path->nr_runs; r; r--) {
			const struct fit_vcpu *vcpu = &input->host.vcpus[path->runs[r - 1].vcpu];

			if (is_listed(vms, nr, vcpu->vm) || nr == sizeof(vms) / sizeof(*vms))
				continue;
			vms[nr++] = vcpu->vm;
			if (all_come_from(fit, input, vcpu->vm))
				fprintf(text, " after VM %s", vm_number(ctx, vcpu->vm)->name);
			else
				fprintf(text, " with thread %d", vcpu->tid);
		}
	}
	return fclose(text) ? -ENOMEM : 0;
}

static void doubt_result(struct ctx *ctx, size_t c)
{
	const struct fit_result *result = &ctx->fit->fit.results[c];
	const struct fit_cpu *cpu = &ctx->asked.cpus[c];
	const struct fit_vcpu *vcpus = ctx->asked.host.vcpus;
	const char *path = ctx->input->dat->path;
	const struct fit_phase *phase;
	const struct fit_run *run;

	if (result->vcpu != FIT_NONE && ctx->input->host->guest_modes && !vcpus[result->vcpu].modes->nr_guest)
		findings_doubt(&ctx->fit->findings, FINDING_PROOF,
			   "%s: CPU %u is vCPU %u, which %s never shows in guest mode: nothing proves its times",
			   path, cpu->cpu, vcpus[result->vcpu].vcpu_id, ctx->input->host->dat->path);
	switch (result->doubt) {
	case FIT_CERTAIN:
	case FIT_ANOTHER_VM:
		break;
	case FIT_ANOTHER_VCPU:
		if (!vcpus[result->rival].nr_phases) {
			findings_doubt(&ctx->fit->findings, FINDING_VCPU,
				       "%s: nothing proves that CPU %u is vCPU %u (thread %d): it may be vCPU %u (thread %d), whose offset is unknown",
				       path, cpu->cpu, vcpus[result->vcpu].vcpu_id, vcpus[result->vcpu].tid,
				       vcpus[result->rival].vcpu_id, vcpus[result->rival].tid);
			break;
		}
		findings_doubt(&ctx->fit->findings, FINDING_VCPU,
			       "%s: CPU %u fits vCPU %u (thread %d) and vCPU %u (thread %d) equally; assuming vCPU %u",
			       path, cpu->cpu, vcpus[result->vcpu].vcpu_id, vcpus[result->vcpu].tid,
			       vcpus[result->rival].vcpu_id, vcpus[result->rival].tid, vcpus[result->vcpu].vcpu_id);
		break;
	case FIT_FEW_EVENTS:
		findings_doubt(&ctx->fit->findings, FINDING_VCPU,
			       "%s: CPU %u fits if it was first vCPU %u (thread %d) and then vCPU %u (thread %d), but its events are too few to prove it",
			       path, cpu->cpu, vcpus[result->path.runs[0].vcpu].vcpu_id,
			       vcpus[result->path.runs[0].vcpu].tid, vcpus[result->vcpu].vcpu_id,
			       vcpus[result->vcpu].tid);
		break;
	case FIT_ANOTHER_PHASE:
		run = &result->path.runs[result->rival_run];
		phase = &vcpus[run->vcpu].phases[run->phase];
		findings_doubt(&ctx->fit->findings, FINDING_BACKWARD,
			       "vCPU %u: guest times %" PRIu64 " to %" PRIu64 ": ambiguous, the TSC jumped backward and the events fit before and after it equally; assuming offset %" PRId64,
			       vcpus[run->vcpu].vcpu_id, cpu->times[result->rival_first],
			       cpu->times[result->rival_last], phase->map.offset);
		break;
	}
}

/* Was a vCPU plugged in again, or does it have several threads for another reason? These are adjacent. */
static bool is_one_of_several(const struct fit_input *input, size_t vcpu)
{
	const struct fit_vcpu *vcpus = input->host.vcpus, *of = &vcpus[vcpu];

	return (vcpu && of[-1].vm == of->vm && of[-1].vcpu_id == of->vcpu_id) ||
	       (vcpu + 1 < input->host.nr_vcpus && of[1].vm == of->vm && of[1].vcpu_id == of->vcpu_id);
}

/* At the load of a saved state: what proves that the guest has recorded since */
struct proved_load {
	size_t	cpu;	/* a CPU of the guest with a proof, FIT_NONE without */
	bool	others;	/* other CPUs have one too */
};

/* The proofs of all runs, each computed once */
struct proofs {
	uint8_t			**of_runs;	/* of each CPU: enum fit_proof */
	struct proved_load	*loads;		/* by their number */
	uint64_t		looks;		/* fit_path_prove() */
};

static const struct fit_phase *phase_of(const struct ctx *ctx, const struct fit_run *run)
{
	return &ctx->asked.host.vcpus[run->vcpu].phases[run->phase];
}

/* Does a run need a proof? */
static bool needs_proof(const struct ctx *ctx, const struct fit_run *run)
{
	return is_one_of_several(&ctx->asked, run->vcpu) || phase_of(ctx, run)->restored;
}

static size_t count_loads(const struct ctx *ctx)
{
	size_t most = 0;

	for (size_t v = 0; v < ctx->asked.host.nr_vcpus; v++) {
		const struct fit_vcpu *vcpu = &ctx->asked.host.vcpus[v];

		for (size_t i = 0; i < vcpu->nr_phases; i++) {
			if (vcpu->phases[i].load > most)
				most = vcpu->phases[i].load;
		}
	}
	return most;
}

static int prove_runs(struct ctx *ctx, struct proofs *proofs, size_t c)
{
	const struct fit_path *path = &ctx->fit->fit.results[c].path;

	proofs->of_runs[c] = calloc(path->nr_runs + 1, sizeof(**proofs->of_runs));
	if (!proofs->of_runs[c])
		return -ENOMEM;
	for (size_t r = 0; r < path->nr_runs; r++) {
		const struct fit_run *run = &path->runs[r];
		struct proved_load *load;
		int proof;

		if (!needs_proof(ctx, run))
			continue;
		proof = fit_path_prove(&ctx->asked.host, run, ctx->asked.cpus[c].times, &proofs->looks);
		if (proof < 0)
			return proof;
		proofs->of_runs[c][r] = (uint8_t)proof;
		load = &proofs->loads[phase_of(ctx, run)->load];
		if (proof == FIT_PROVED && load->cpu == FIT_NONE)
			load->cpu = c;
		else if (proof == FIT_PROVED && load->cpu != c)
			load->others = true;
	}
	return 0;
}

static int make_proofs(struct ctx *ctx, struct proofs *proofs)
{
	size_t nr_loads = count_loads(ctx) + 1;
	int ret = 0;

	*proofs = (struct proofs) {
		.of_runs = calloc(ctx->fit->fit.nr_results + 1, sizeof(*proofs->of_runs)),
		.loads = calloc(nr_loads, sizeof(*proofs->loads)),
		.looks = MAX_LOOKS,
	};
	if (!proofs->of_runs || !proofs->loads)
		return -ENOMEM;
	for (size_t i = 0; i < nr_loads; i++)
		proofs->loads[i].cpu = FIT_NONE;
	for (size_t c = 0; c < ctx->fit->fit.nr_results && !ret; c++)
		ret = prove_runs(ctx, proofs, c);
	return ret;
}

static void release_proofs(struct proofs *proofs, size_t nr_cpus)
{
	for (size_t c = 0; proofs->of_runs && c < nr_cpus; c++)
		free(proofs->of_runs[c]);
	free(proofs->of_runs);
	free(proofs->loads);
}

/*
 * After a load of a saved state, and in one of several lives of a vCPU, events may belong to a life that the host's
 * file does not show: do they fit by more than chance? A saved state includes all vCPUs: a proof by another CPU that
 * the guest has recorded since this load is enough.
 */
static bool is_of_unproved_life(const struct ctx *ctx, const struct proofs *proofs, size_t c, size_t r)
{
	const struct fit_run *run = &ctx->fit->fit.results[c].path.runs[r];
	size_t load = phase_of(ctx, run)->load;

	if (proofs->of_runs[c][r] != FIT_BY_CHANCE)
		return false;
	return is_one_of_several(&ctx->asked, run->vcpu) || !load || proofs->loads[load].cpu == FIT_NONE ||
	       (proofs->loads[load].cpu == c && !proofs->loads[load].others);
}

static int doubt_lives(struct ctx *ctx)
{
	struct proofs proofs;
	int ret = make_proofs(ctx, &proofs);

	for (size_t c = 0; c < ctx->fit->fit.nr_results && !ret; c++) {
		const struct fit_result *result = &ctx->fit->fit.results[c];

		for (size_t r = 0; r < result->path.nr_runs && result->doubt == FIT_CERTAIN; r++) {
			if (!is_of_unproved_life(ctx, &proofs, c, r))
				continue;
			findings_doubt(&ctx->fit->findings, FINDING_VCPU,
				       "%s: CPU %u has too few events to prove where they belong: its VM was restored or its vCPU plugged in again",
				       ctx->input->dat->path, ctx->asked.cpus[c].cpu);
			break;
		}
	}
	release_proofs(&proofs, ctx->fit->fit.nr_results);
	return ret;
}

/* A few events find a place anywhere */
static int doubt_few(struct ctx *ctx)
{
	const struct fit_tally *tally = &ctx->fit->tally;

	if (ctx->fit->max_error || !tally->inside)
		return 0;
	if (tally->outside <= fit_tally_events(tally) / MANY_PART || fit_is_significant(&ctx->fit->fit, &ctx->asked))
		return doubt_lives(ctx);
	findings_doubt(&ctx->fit->findings, FINDING_PROOF,
		       "%s: %" PRIu64 " of %" PRIu64 " sampled events are outside of the host's recording, and those inside of it are too few to prove anything",
		       ctx->input->dat->path, tally->outside, fit_tally_events(tally));
	return 0;
}

/* Nothing proves the times of such a CPU, and the guest's other CPUs contradict them */
static int doubt_apart(struct ctx *ctx)
{
	struct findings *findings = ctx->input->shown ? &ctx->fit->apart : &ctx->fit->findings;
	int ret = 0;

	for (size_t c = 0; c < ctx->fit->fit.nr_results && !ret; c++) {
		const struct fit_cpu *cpu = &ctx->asked.cpus[c];
		size_t nr;

		ret = meanwhile_count(&ctx->fit->fit, &ctx->asked, &ctx->fit->sample, c, &nr);
		if (ret || nr <= cpu->nr_times / MEANWHILE_PART)
			continue;
		findings_doubt(findings, FINDING_PROOF,
			       "%s: CPU %u: %" PRIu64 " of its %zu sampled events are outside of the host's recording, and none is in guest mode; but by the guest's TSC it recorded %zu of them while other CPUs recorded some that are: are changes of its offset missing, or is it the vCPU of another VM?",
			       ctx->input->dat->path, cpu->cpu, ctx->fit->fit.results[c].path.tally.outside,
			       cpu->nr_times, nr);
	}
	return ret;
}

static int conclude(struct ctx *ctx)
{
	struct guest_fit *result = ctx->fit;
	int ret;

	result->tally = result->fit.tally;
	result->rivals = result->fit.rival_vm != FIT_NONE ||
			 (ctx->asked.vm == FIT_NONE && ctx->asked.nr_vms > 1 && !result->tally.inside);
	result->vm = result->fit.vm != FIT_NONE ? vm_number(ctx, result->fit.vm) : NULL;
	for (size_t c = 0; c < result->fit.nr_results; c++)
		doubt_result(ctx, c);
	ret = doubt_few(ctx);
	if (!ret)
		ret = doubt_apart(ctx);
	if (!ret)
		ret = make_name(ctx);
	return ret ? ret : guest_vcpus_make(&result->vcpus, &result->fit, &ctx->asked, &result->sample,
					    ctx->input->dat, ctx->input->buffer);
}

static void release_ctx(struct ctx *ctx)
{
	for (size_t c = 0; ctx->shown && c < ctx->fit->sample.nr_cpus; c++)
		free(ctx->shown[c]);
	for (size_t i = 0; i < ctx->nr_vcpus; i++)
		fit_vcpu_release(&ctx->vcpus[i]);
	free(ctx->shown);
	free(ctx->vcpus);
	free(ctx->apart);
	free(ctx->cpus);
}

/**
 * guest_fit_find - find the VM and the vCPUs of a guest's file
 * @fit: result; must be released in any case, before the members of @input
 * @input: the host and the guest
 *
 * Returns: 0, also if events do not fit, or a negative errno with the reason in the error of one of the files.
 */
int guest_fit_find(struct guest_fit *fit, const struct guest_fit_input *input)
{
	struct ctx ctx = { .input = input, .fit = fit };
	int ret;

	*fit = (struct guest_fit) { 0 };
	ret = guest_sample_read(&fit->sample, input->dat, input->buffer);
	if (!ret)
		ret = make_vcpus(&ctx);
	if (!ret)
		ret = make_phases(&ctx, input->shown, NULL);
	if (!ret)
		ret = make_cpus(&ctx);
	if (!ret) {
		ask(&ctx);
		ret = fit_find(&fit->fit, &ctx.asked);
	}
	if (!ret)
		ret = explain(&ctx);
	if (!ret)
		ret = conclude(&ctx);
	if (!ret)
		ret = host_vcpus_error(input->vcpus, input->host);
	if (ret == -E2BIG)
		trace_dat_refuse(input->host->dat, ret,
				 "its VMs have too many vCPUs to try each of them for each CPU of %s%s",
				 input->dat->path, input->insist ? "" : "; choose one with --vm");
	release_ctx(&ctx);
	return error_keep(input->dat->error, ret, input->dat->path);
}

/**
 * guest_fit_doubt - add how wrong times may be if they are based on values that only the guest's events show
 * @fit: the result
 * @path: path of the guest's file
 * @estimate: the user requested estimates of offsets
 * @findings: receives the doubts
 */
void guest_fit_doubt(const struct guest_fit *fit, const char *path, bool estimate, struct findings *findings)
{
	char ratio[TSC_RATIO_SIZE];

	if (fit->scaling.ratio)
		findings_doubt(findings, FINDING_SCALING,
			       "%s: its TSC runs at %s times the host's, which the host's events do not report: found by the guest's events, times may be wrong by %" PRIu64 " cycles; use stamp --initial-from for the exact ratio",
			       path, tsc_ratio_text(&fit->scaling, ratio), fit->max_error);
	else if (fit->max_error && !estimate)
		findings_doubt(findings, FINDING_OFFSET,
			       "%s: the offsets of the VM that it ran in before were not recorded: found by the guest's events, wrong by at most %" PRIu64 " cycles",
			       path, fit->max_error);
	if (fit->fit.tally.unmoved)
		findings_doubt(findings, FINDING_BACKWARD,
			       "%s: its TSC jumped backward %" PRIu64 " time%s where the host's history has no such jump: are changes missing?",
			       path, fit->fit.tally.unmoved, fit->fit.tally.unmoved == 1 ? "" : "s");
}

/**
 * guest_fit_release - free the result
 * @fit: the result, also after a failure, or all zeros
 */
void guest_fit_release(struct guest_fit *fit)
{
	guest_vcpus_release(&fit->vcpus);
	fit_release(&fit->fit);
	guest_sample_release(&fit->sample);
	findings_release(&fit->findings);
	findings_release(&fit->apart);
	free(fit->estimated);
	free(fit->name);
	*fit = (struct guest_fit) { 0 };
}
