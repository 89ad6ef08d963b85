// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "any.h"
#include "array.h"
#include "cleanup.h"
#include "fit.h"
#include "guest_sample.h"
#include "guest_vcpus.h"
#include "order.h"
#include "trace_dat.h"

/* How often a part of a CPU's events is examined more closely: each time a sixteenth is left */
#define MAX_LOOKS 12

/**
 * struct line - consecutive events of a CPU with one mapping
 * @vcpu, @phase: indices of the vCPU and of its phase
 * @host_from: begin of the mapping, host TSC
 * @guest_from: first guest time of the part; 0 if the TSC itself shows it
 * @page, @number: the first event that may belong to it
 * @jumped: its first event is the first with a time that the TSC had after it jumped forward
 */
struct line {
	size_t		vcpu;
	size_t		phase;
	uint64_t	host_from;
	uint64_t	guest_from;
	uint64_t	page;
	uint32_t	number;
	bool		jumped;
};

/* A CPU whose parts are being joined */
struct joining {
	const struct fit_input		*input;
	struct trace_dat		*dat;
	const struct trace_dat_buffer	*buffer;
	const struct fit_path		*path;	/* the whole path, for its vCPUs */
	struct guest_vcpu		*cpu;
	uint32_t			number;
	struct line			*lines;
	size_t				nr_lines;
	size_t				capacity;
};

/* One end of a boundary: an event, its page, and its number there */
struct boundary_event {
	uint64_t	guest_tsc;
	uint64_t	page;
	uint32_t	number;
};

static const struct fit_vcpu *vcpu_of(const struct joining *joining, size_t vcpu)
{
	return &joining->input->host.vcpus[vcpu];
}

static const struct fit_phase *phase_of(const struct joining *joining, const struct line *line)
{
	return &vcpu_of(joining, line->vcpu)->phases[line->phase];
}

static int add_line(struct joining *joining, const struct line *line)
{
	if (array_reserve(joining->lines, joining->nr_lines, joining->capacity))
		return -ENOMEM;
	joining->lines[joining->nr_lines++] = *line;
	return 0;
}

/* Does each guest time after a change belong to the phase after it, because the TSC jumped forward? */
static bool is_forward(const struct fit_phase *before, const struct fit_phase *after)
{
	return !before->lost && !after->lost &&
	       (int64_t)(tsc_guest_from_host(&after->map, after->from) -
			 tsc_guest_from_host(&before->map, after->from)) >= 0;
}

static int compare_segments(const void *a, const void *b, void *phases)
{
	const struct fit_phase *x = (const struct fit_phase *)phases + *(const size_t *)a;
	const struct fit_phase *y = (const struct fit_phase *)phases + *(const size_t *)b;

	return order_of(x->from, y->from);
}

/*
 * Add the phases of a vCPU between two of them, both included, if the TSC jumps forward from each to the next: events
 * in them may have been skipped. @last: the last event that certainly belongs to the first of them.
 *
 * Returns: 1, 0 if it does not jump forward, or -ENOMEM.
 */
static int add_forward(struct joining *joining, size_t vcpu, size_t from, size_t to, const struct boundary_event *last)
{
	const struct fit_phase *phases = vcpu_of(joining, vcpu)->phases;
	size_t nr_phases = vcpu_of(joining, vcpu)->nr_phases, nr = 0;
	size_t *order = calloc(nr_phases, sizeof(*order));
	int ret = 1;

	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < nr_phases; i++) {
		if ((!phases[i].lost || i == from || i == to) &&
		    phases[i].from >= phases[from].from && phases[i].from <= phases[to].from)
			order[nr++] = i;
	}
	qsort_r(order, nr, sizeof(*order), compare_segments, (void *)phases);
	for (size_t i = 1; i < nr && ret > 0; i++)
		ret = is_forward(&phases[order[i - 1]], &phases[order[i]]);
	for (size_t i = 1; i < nr && ret > 0; i++) {
		int error = add_line(joining, &(struct line) {
			.vcpu = vcpu, .phase = order[i], .host_from = phases[order[i]].from,
			.page = last->page, .number = last->number, .jumped = true,
		});

		ret = error ? error : ret;
	}
	free(order);
	return ret;
}

/* The first time in guest mode of a vCPU after the last time of another one */
static uint64_t first_entry(const struct vcpu_modes *modes, uint64_t after)
{
	size_t i = vcpu_modes_find(modes, after, 0);

	for (i = i == MODE_SPAN_NONE ? 0 : i; i < modes->nr; i++) {
		if (vcpu_modes_at(modes, i) == MODE_GUEST)
			return vcpu_modes_from(modes, i) > after ? vcpu_modes_from(modes, i) : after;
	}
	return after;
}

static void overlap(struct guest_vcpu *cpu, uint64_t from, uint64_t to)
{
	if (!cpu->overlaps || from < cpu->overlap_from)
		cpu->overlap_from = from;
	if (!cpu->overlaps || to > cpu->overlap_to)
		cpu->overlap_to = to;
	cpu->overlaps = true;
}

/* May an event after a boundary also have been before it? @before: the run before it */
static bool may_be_before(const struct joining *joining, const struct guest_sample_cpu *events, size_t i,
			  const struct fit_run *before)
{
	const struct fit_vcpu *vcpu = vcpu_of(joining, before->vcpu);
	const struct fit_phase *phase = &vcpu->phases[before->phase];
	uint64_t host_tsc;

	/* Times do not go back within a phase */
	return !(events->went_back && events->went_back[i]) &&
	       (int64_t)(events->times[i] - events->times[before->last]) >= 0 &&
	       !tsc_host_from_guest(&phase->map, events->times[i], &host_tsc) && host_tsc >= phase->from &&
	       host_tsc <= phase->to &&
	       vcpu_modes_at(vcpu->modes, vcpu_modes_find(vcpu->modes, host_tsc, 0)) != MODE_HOST;
}

static void find_undecided(struct joining *joining, const struct fit_run *run, const struct guest_sample_cpu *events)
{
	for (size_t i = run->first; i <= run->last && may_be_before(joining, events, i, run - 1); i++) {
		overlap(joining->cpu, events->times[run->first], events->times[i]);
		joining->cpu->undecided = true;
	}
}

/*
 * The last page to examine to find the begin of a run: up to the first event that cannot belong to the run before. The
 * page that shows the jump of the TSC may have been skipped by the sample.
 */
static uint64_t last_page(const struct joining *joining, const struct fit_run *run,
			  const struct guest_sample_cpu *events)
{
	uint64_t all = events->pages[events->nr - 1] - events->pages[0];
	size_t i = run->first;

	while (i < run->last && may_be_before(joining, events, i, run - 1))
		i++;
	/* Each step must examine less than the one before */
	return events->pages[i] - events->pages[run[-1].last] <= all / 2 ? events->pages[i] : events->pages[run->first];
}

/*
 * Add the next part if only the events themselves show its begin. Readers cannot distinguish events of both parts with
 * the same guest times: these stay in the part before.
 */
static int add_by_events(struct joining *joining, const struct fit_run *run, const struct boundary_event *last,
			 const struct boundary_event *first)
{
	const struct line *before = &joining->lines[joining->nr_lines - 1];
	struct line line = {
		.vcpu = run->vcpu, .phase = run->phase, .guest_from = first->guest_tsc,
		.page = first->page, .number = first->number,
	};
	struct guest_vcpu *cpu = joining->cpu;
	uint64_t host_last = 0;

	if (last->guest_tsc >= first->guest_tsc) {
		line.guest_from = last->guest_tsc + 1;
		overlap(cpu, first->guest_tsc, last->guest_tsc);
	}
	tsc_host_from_guest(&phase_of(joining, before)->map, last->guest_tsc, &host_last);
	line.host_from = phase_of(joining, &line)->from;
	if (line.host_from <= host_last)
		line.host_from = host_last + 1;
	if (line.vcpu != before->vcpu)
		line.host_from = first_entry(vcpu_of(joining, line.vcpu)->modes, line.host_from);
	return add_line(joining, &line);
}

/* If nothing decides at which event a part begins, the events between the two candidates may belong to either part */
static void doubt_between(struct guest_vcpu *cpu, const struct guest_sample_cpu *events,
			  const struct boundary_event *last, const struct boundary_event *first)
{
	for (size_t i = 0; i < events->nr; i++) {
		uint64_t time = events->times[i], page = events->pages[i];

		/* Times do not go back within a page */
		if ((page > last->page || (page == last->page && time > last->guest_tsc)) &&
		    (page < first->page || (page == first->page && time < first->guest_tsc))) {
			overlap(cpu, time, time);
			cpu->undecided = true;
		}
	}
}

static int add_runs(struct joining *joining, const struct fit_run *runs, size_t nr_runs,
		    const struct guest_sample_cpu *events, int looks);

static struct boundary_event boundary_at(const struct guest_sample_cpu *events, size_t i)
{
	return (struct boundary_event) { events->times[i], events->pages[i], events->numbers[i] };
}

static bool same_phase(const struct fit_run *a, const struct fit_run *b)
{
	return a->vcpu == b->vcpu && a->phase == b->phase;
}

/*
 * The runs of a path that lead from one phase to another: the examined pages may begin with events of an earlier phase
 * and end with those of a later one.
 *
 * Returns: their number, from *@first on; less than 2 if there are none.
 */
static size_t find_way(const struct fit_path *path, const struct fit_run *from, const struct fit_run *to, size_t *first)
{
	size_t end = path->nr_runs;

	*first = 0;
	while (*first < end && !same_phase(&path->runs[*first], from))
		++*first;
	while (end > *first && !same_phase(&path->runs[end - 1], to))
		end--;
	return end - *first;
}

/* Lists the vCPUs of the whole path */
static size_t list_vcpus(const struct fit_path *path, size_t *vcpus)
{
	size_t nr = 0;

	for (size_t i = 0; i < path->nr_runs; i++) {
		size_t j = 0;

		while (j < nr && vcpus[j] != path->runs[i].vcpu)
			j++;
		if (j == nr)
			vcpus[nr++] = path->runs[i].vcpu;
	}
	return nr;
}

/*
 * Examine the events up to the page @to more closely, until the events at the boundaries before @nr runs are found.
 *
 * Returns: 1, 0 if several boundaries are not found together, -ENOMEM, or an error of reading.
 */
static int look_closer(struct joining *joining, const struct fit_run *runs, size_t nr,
		       const struct guest_sample_cpu *events, uint64_t to, int looks)
{
	const struct boundary_event last = boundary_at(events, runs[-1].last), first = boundary_at(events, runs->first);
	_cleanup_(freep) size_t *vcpus = calloc(joining->path->nr_runs + 1, sizeof(*vcpus));
	struct guest_sample_cpu between;
	struct fit_path path = { 0 };
	size_t begin, nr_found = 0;
	int ret;

	if (!vcpus)
		return -ENOMEM;
	ret = guest_sample_read_between(&between, joining->dat, joining->buffer, joining->number, last.page, to);
	if (!ret)
		ret = fit_path_find(&path, &joining->input->host, vcpus, list_vcpus(joining->path, vcpus),
				    between.times, between.went_back, between.nr);
	if (!ret)
		nr_found = find_way(&path, &runs[-1], &runs[nr - 1], &begin);
	if (nr_found > 1) {
		ret = add_runs(joining, &path.runs[begin], nr_found, &between, looks - 1);
	} else if (!ret && nr == 1) {
		doubt_between(joining->cpu, &between, &last, &first);
		find_undecided(joining, runs, events);
		ret = add_by_events(joining, runs, &last, &first);
	}
	fit_path_release(&path);
	guest_sample_cpu_release(&between);
	return ret ? ret : nr_found > 1 || nr == 1;
}

/* Number of boundaries that are so close that they must be found together, and the last page for them */
static size_t find_group(const struct joining *joining, const struct fit_run *runs, size_t nr_runs,
			 const struct guest_sample_cpu *events, uint64_t *to)
{
	uint64_t all = events->pages[events->nr - 1] - events->pages[0], from = events->pages[runs[-1].last];
	size_t nr = 1;

	*to = last_page(joining, runs, events);
	while (nr < nr_runs && events->pages[runs[nr - 1].last] <= *to) {
		uint64_t next = last_page(joining, &runs[nr], events);

		if (next - from > all / 2)
			break;
		*to = next > *to ? next : *to;
		nr++;
	}
	return nr;
}

/* Find some of the boundaries before runs, at least the first. Returns: their number, or a negative errno. */
static int find_boundaries(struct joining *joining, const struct fit_run *runs, size_t nr_runs,
			   const struct guest_sample_cpu *events, int looks)
{
	uint64_t to;
	size_t nr = find_group(joining, runs, nr_runs, events, &to);
	int ret = 0;

	if (nr > 1)
		ret = look_closer(joining, runs, nr, events, to, looks);
	if (ret)
		return ret < 0 ? ret : (int)nr;
	return look_closer(joining, runs, 1, events, last_page(joining, runs, events), looks);
}

/* Add parts from the second run on; the first one exists */
static int add_runs(struct joining *joining, const struct fit_run *runs, size_t nr_runs,
		    const struct guest_sample_cpu *events, int looks)
{
	int ret = 0;

	for (size_t i = 1; i < nr_runs && ret >= 0; i++) {
		const struct fit_run *before = &runs[i - 1], *run = &runs[i];
		struct boundary_event last = boundary_at(events, before->last), first = boundary_at(events, run->first);

		ret = before->vcpu == run->vcpu ? add_forward(joining, run->vcpu, before->phase, run->phase, &last) : 0;
		if (ret)
			continue;
		if (events->whole || !looks) {
			find_undecided(joining, run, events);
			ret = add_by_events(joining, run, &last, &first);
		} else {
			ret = find_boundaries(joining, run, nr_runs - i, events, looks);
			i += ret > 0 ? (size_t)ret - 1 : 0;
		}
	}
	return ret < 0 ? ret : 0;
}

static int make_history(struct joining *joining)
{
	struct vcpu_history *history = &joining->cpu->history;
	const struct fit_phase *phase = phase_of(joining, &joining->lines[0]);
	int ret = 0;

	vcpu_history_set_initial(history, &phase->map);
	history->begins = phase->from;
	for (size_t i = 1; i < joining->nr_lines && !ret; i++) {
		const struct line *line = &joining->lines[i];
		uint64_t after = i > 1 ? history->segments[i - 2].host_tsc : history->begins;

		ret = vcpu_history_add(history, line->host_from > after ? line->host_from : after + 1,
				       &phase_of(joining, line)->map, &phase_of(joining, line - 1)->map);
		if (!ret)
			history->segments[i - 1].guest_from = line->guest_from;
	}
	return ret;
}

/* Index of a vCPU among those that the CPU was, in the order of the lines */
static size_t source_of(const struct joining *joining, size_t vcpu)
{
	const struct fit_vcpu *wanted = vcpu_of(joining, vcpu);
	size_t i = 0;

	while (i < joining->cpu->nr_sources && (joining->cpu->sources[i].modes != wanted->modes ||
						joining->cpu->sources[i].history != wanted->history))
		i++;
	return i;
}

static int make_parts(struct joining *joining)
{
	struct guest_vcpu *cpu = joining->cpu;

	cpu->parts = calloc(joining->nr_lines, sizeof(*cpu->parts));
	if (!cpu->parts)
		return -ENOMEM;
	for (size_t i = 0; i < joining->nr_lines; i++) {
		const struct line *line = &joining->lines[i];
		const struct fit_phase *phase = phase_of(joining, line);

		cpu->parts[cpu->nr_parts++] = (struct guest_vcpu_part) {
			.page = line->page, .number = line->number, .source = source_of(joining, line->vcpu),
			.jumped = line->jumped, .guest_from = tsc_guest_from_host(&phase->map, line->host_from),
			.map = phase->map, .host_from = phase->from, .host_to = phase->to,
		};
	}
	return 0;
}

static int add_source(struct guest_vcpu *cpu, const struct fit_vcpu *vcpu)
{
	struct guest_vcpu_source *sources = reallocarray(cpu->sources, cpu->nr_sources + 1, sizeof(*sources));
	struct vcpu_modes joined = { .store = vcpu->modes->store };
	int ret;

	if (!sources)
		return -ENOMEM;
	cpu->sources = sources;
	sources[cpu->nr_sources++] = (struct guest_vcpu_source) { vcpu->modes, vcpu->history };
	if (cpu->nr_sources == 1) {
		cpu->modes = vcpu->modes;
		return 0;
	}
	ret = vcpu_modes_join(&joined, cpu->modes, vcpu->modes);
	vcpu_modes_release(&cpu->joined);
	cpu->joined = joined;
	cpu->modes = &cpu->joined;
	return ret;
}

/* Add the vCPUs that it was, with the times in guest mode of all of them */
static int add_sources(struct guest_vcpu *cpu, const struct fit_input *input, const struct fit_path *path)
{
	int ret = 0;

	for (size_t i = 0; i < path->nr_runs && !ret; i++) {
		size_t before = 0;

		while (path->runs[before].vcpu != path->runs[i].vcpu)
			before++;
		if (before == i)
			ret = add_source(cpu, &input->host.vcpus[path->runs[i].vcpu]);
	}
	return ret;
}

static int copy_history(struct vcpu_history *copy, const struct vcpu_history *history)
{
	*copy = *history;
	copy->capacity = history->nr_segments + 1;
	copy->segments = calloc(copy->capacity, sizeof(*copy->segments));
	if (!copy->segments)
		return -ENOMEM;
	if (history->nr_segments)
		memcpy(copy->segments, history->segments, history->nr_segments * sizeof(*copy->segments));
	return 0;
}

/* Parts by guest times alone */
static int make_parts_of(struct guest_vcpu *cpu, const struct vcpu_history *history)
{
	cpu->parts = calloc(history->nr_segments + 1, sizeof(*cpu->parts));
	if (!cpu->parts)
		return -ENOMEM;
	for (size_t i = 0; i <= history->nr_segments; i++) {
		struct guest_vcpu_part part = {
			.jumped = cpu->nr_parts, .host_from = i ? history->segments[i - 1].host_tsc : history->begins,
			.host_to = i < history->nr_segments ? history->segments[i].host_tsc - 1 : UINT64_MAX,
		};

		/* Before its creation there was no mapping */
		if ((!i && vcpu_history_begins_with_creation(history)) || !vcpu_history_before(history, i, &part.map))
			continue;
		part.guest_from = tsc_guest_from_host(&part.map, part.host_from);
		cpu->parts[cpu->nr_parts++] = part;
	}
	return 0;
}

/* Use the whole history of a vCPU for a CPU whose events do not narrow it down */
static int take_vcpu(struct guest_vcpu *cpu, const struct fit_input *input, size_t vcpu)
{
	const struct fit_vcpu *host_vcpu = &input->host.vcpus[vcpu];
	int ret;

	cpu->known = true;
	cpu->vcpu_id = host_vcpu->vcpu_id;
	cpu->tid = host_vcpu->tid;
	ret = copy_history(&cpu->history, host_vcpu->history);
	if (!ret)
		ret = make_parts_of(cpu, host_vcpu->history);
	return ret ? ret : add_source(cpu, host_vcpu);
}

static int take_result(struct joining *joining, const struct fit_result *result, const struct guest_sample_cpu *events)
{
	struct guest_vcpu *cpu = joining->cpu;
	const struct fit_path *path = &result->path;
	struct tsc_mapping map;
	int ret;

	cpu->has_events = true;
	cpu->nr_late = events->nr_late;
	if (result->vcpu == FIT_NONE)
		return 0;
	if (!path->nr_runs)
		return take_vcpu(cpu, joining->input, result->vcpu);
	cpu->known = true;
	cpu->vcpu_id = vcpu_of(joining, result->vcpu)->vcpu_id;
	cpu->tid = vcpu_of(joining, result->vcpu)->tid;
	cpu->history.vcpu_id = cpu->vcpu_id;
	cpu->history.tsc_protected = vcpu_of(joining, result->vcpu)->history->tsc_protected;
	cpu->begins_unknown = path->runs[0].first &&
			      !vcpu_history_before(vcpu_of(joining, path->runs[0].vcpu)->history, 0, &map);
	joining->path = path;
	ret = add_line(joining, &(struct line) { .vcpu = path->runs[0].vcpu, .phase = path->runs[0].phase });
	if (!ret)
		ret = add_runs(joining, path->runs, path->nr_runs, events, MAX_LOOKS);
	if (!ret)
		ret = make_history(joining);
	if (!ret)
		ret = add_sources(cpu, joining->input, path);
	return ret ? ret : make_parts(joining);
}

static bool is_taken(const struct fit *fit, size_t vcpu)
{
	return any_of(i, fit->nr_results, fit->results[i].vcpu == vcpu);
}

/**
 * guest_vcpus_make - compute the histories of a guest's CPUs
 * @vcpus: result; must be released in any case, before the members of @input
 * @fit: the result of the fit
 * @input: its input; its CPUs are those of @sample
 * @sample: the sample of the guest's events
 * @dat: the open file of the guest; more of it is read if the sample is not enough
 * @buffer: the buffer of the sample
 *
 * Covers each CPU with data in any buffer. CPUs without events get their vCPU by order, if it is not taken.
 *
 * Returns: 0 or a negative errno, with the reason in @dat->error if it concerns the file.
 */
int guest_vcpus_make(struct guest_vcpus *vcpus, const struct fit *fit, const struct fit_input *input,
		     const struct guest_sample *sample, struct trace_dat *dat, const struct trace_dat_buffer *buffer)
{
	size_t nr = input->nr_guest_cpus;
	int ret = 0;

	for (size_t i = 0; i < dat->nr_buffers; i++) {
		for (size_t j = 0; j < dat->buffers[i].nr_cpus; j++) {
			if (dat->buffers[i].cpus[j].size && dat->buffers[i].cpus[j].cpu >= nr)
				nr = dat->buffers[i].cpus[j].cpu + 1UL;
		}
	}
	*vcpus = (struct guest_vcpus) { .cpus = calloc(nr + 1, sizeof(*vcpus->cpus)) };
	if (!vcpus->cpus)
		return -ENOMEM;
	vcpus->nr = nr;
	for (size_t i = 0; i < input->nr_cpus && !ret; i++) {
		struct joining joining = {
			.input = input, .dat = dat, .buffer = buffer, .number = input->cpus[i].cpu,
			.cpu = &vcpus->cpus[input->cpus[i].cpu],
		};

		ret = take_result(&joining, &fit->results[i], &sample->cpus[i]);
		free(joining.lines);
	}
	for (size_t i = 0; i < nr && !ret && fit->vm != FIT_NONE; i++) {
		size_t vcpu = fit_by_order(input, fit->vm, i);

		if (!vcpus->cpus[i].has_events && vcpu != FIT_NONE && !is_taken(fit, vcpu))
			ret = take_vcpu(&vcpus->cpus[i], input, vcpu);
	}
	return ret;
}

/**
 * guest_vcpus_release - free the histories
 * @vcpus: the histories, also after a failure, or all zeros
 */
void guest_vcpus_release(struct guest_vcpus *vcpus)
{
	for (size_t i = 0; i < vcpus->nr; i++) {
		vcpu_modes_release(&vcpus->cpus[i].joined);
		free(vcpus->cpus[i].history.segments);
		free(vcpus->cpus[i].sources);
		free(vcpus->cpus[i].parts);
	}
	free(vcpus->cpus);
	*vcpus = (struct guest_vcpus) { 0 };
}
