// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "array.h"
#include "cleanup.h"
#include "cpu_stream.h"
#include "fit_vcpu.h"
#include "guest_fit.h"
#include "guest_timeline.h"
#include "host_vcpus.h"
#include "late_events.h"
#include "order.h"
#include "quiet_time.h"
#include "trace_dat.h"
#include "vcpu_modes.h"

/* Limits that no real recording reaches: jumps within pages, and pending late events */
#define MAX_JUMPS	(1U << 20)
#define MAX_WAITING	(1U << 20)

/* Late events that wait for the next event with a correct time */
struct waiting {
	uint64_t		*times;
	size_t			nr;
	size_t			capacity;
	struct timeline_part	*begins;	/* of each section: place of its first event */
	size_t			*first;		/* and its index in @times */
	size_t			nr_sections;
	size_t			begins_capacity;
	size_t			first_capacity;
};

/* The phases of a vCPU in the order of host time */
struct host_phases {
	struct fit_vcpu		vcpu;
	const struct fit_phase	**phases;
	size_t			nr;
};

/* A CPU being read */
struct reading {
	struct guest_timeline		*timeline;
	struct timeline_cpu		*cpu;
	uint32_t			number;
	const struct guest_vcpu		*vcpu;
	struct host_phases		*sources;
	uint64_t			host_end;
	size_t				part;		/* index in the vCPU's parts */
	uint64_t			last;		/* host time of the last event with a correct time */
	struct waiting			waiting;
};

static uint64_t host_time(const struct timeline_part *part, uint64_t guest_tsc)
{
	uint64_t host_tsc;

	/* There are no host times before the host's TSC began: such events fit nowhere */
	return tsc_host_from_guest(&part->map, guest_tsc - part->late_by, &host_tsc) ? UINT64_MAX : host_tsc;
}

static bool is_before(uint64_t page, uint32_t number, uint64_t other_page, uint32_t other_number)
{
	return page < other_page || (page == other_page && number < other_number);
}

/**
 * timeline_host_time - get the host time of an event
 * @cursor: cursor of the CPU; initially all zeros except for @cursor->cpu
 * @page: page of the event; a CPU's events must be passed in order
 * @number: number of the event in its page
 * @guest_tsc: its time in the file, in guest cycles
 *
 * Returns: host time, in cycles; UINT64_MAX if no host time gives that guest time.
 */
uint64_t timeline_host_time(struct timeline_cursor *cursor, uint64_t page, uint32_t number, uint64_t guest_tsc)
{
	const struct timeline_cpu *cpu = cursor->cpu;

	while (cursor->part + 1 < cpu->nr_parts &&
	       !is_before(page, number, cpu->parts[cursor->part + 1].page, cpu->parts[cursor->part + 1].number))
		cursor->part++;
	return host_time(&cpu->parts[cursor->part], guest_tsc);
}

/**
 * timeline_event_time - get the host time of the last event that was read
 * @cursor: as for timeline_host_time()
 * @events: events of the CPU, read from the first one on
 *
 * Returns: host time, in cycles; UINT64_MAX if no host time gives the event's guest time.
 */
uint64_t timeline_event_time(struct timeline_cursor *cursor, const struct cpu_stream *events)
{
	return timeline_host_time(cursor, events->nr_pages - 1, events->nr_events - 1, events->event.ts);
}

static int compare_phases(const void *a, const void *b)
{
	const struct fit_phase *x = *(const struct fit_phase *const *)a, *y = *(const struct fit_phase *const *)b;

	return order_of(x->from, y->from);
}

static int make_phases(struct host_phases *phases, const struct guest_vcpu_source *source,
		       const struct tsc_mapping *scaling, uint64_t since)
{
	int ret;

	phases->vcpu = (struct fit_vcpu) { .modes = source->modes, .history = source->history };
	ret = fit_vcpu_make(&phases->vcpu, scaling->ratio ? scaling : NULL, since);
	if (ret)
		return ret;
	phases->phases = calloc(phases->vcpu.nr_phases + 1, sizeof(*phases->phases));
	if (!phases->phases)
		return -ENOMEM;
	for (size_t i = 0; i < phases->vcpu.nr_phases; i++) {
		if (!phases->vcpu.phases[i].lost)
			phases->phases[phases->nr++] = &phases->vcpu.phases[i];
	}
	qsort(phases->phases, phases->nr, sizeof(*phases->phases), compare_phases);
	return 0;
}

static int add_part(struct timeline_cpu *cpu, const struct timeline_part *part)
{
	if (array_reserve(cpu->parts, cpu->nr_parts, cpu->capacity))
		return -ENOMEM;
	cpu->parts[cpu->nr_parts++] = *part;
	return 0;
}

static int add_jump(struct reading *reading, const struct late_place *place, size_t nr_events, size_t undecided)
{
	struct guest_timeline *timeline = reading->timeline;

	if (timeline->nr_jumps == MAX_JUMPS)
		return trace_dat_refuse(timeline->dat, -E2BIG,
					"its TSC jumped backward more than %u times within pages of the ring buffer",
					MAX_JUMPS);
	if (array_reserve(timeline->jumps, timeline->nr_jumps, timeline->capacity))
		return -ENOMEM;
	timeline->jumps[timeline->nr_jumps++] = (struct timeline_jump) {
		.cpu = reading->number, .nr_events = nr_events, .nr_undecided = undecided, .host_tsc = place->host_tsc,
		.earlier = place->earlier, .later = place->later, .found = place->found,
	};
	return 0;
}

/* The parts of a section: the TSC may jump again within it */
static int add_section(struct reading *reading, const struct late_window *window, const struct late_section *section,
		       const struct late_place *place, const struct timeline_part *begins)
{
	_cleanup_(freep) size_t *phases = calloc(section->nr, sizeof(*phases));
	struct timeline_part part = *begins;
	size_t undecided;
	int ret = 0;

	if (!phases)
		return -ENOMEM;
	undecided = late_events_phases(window, section, place, phases);
	part.late_by = place->late_by;
	for (size_t i = 0; i < section->nr && !ret; i++) {
		if (i && phases[i] == phases[i - 1])
			continue;
		part.number = begins->number + (uint32_t)i;
		if (window->nr_phases) {
			part.map = window->phases[phases[i]]->map;
			part.host_from = window->phases[phases[i]]->from;
			part.host_to = window->phases[phases[i]]->to;
		}
		ret = add_part(reading->cpu, &part);
	}
	return ret ? ret : add_jump(reading, place, section->nr, undecided);
}

/* Place the waiting events; @before: part of the event before them; @to: host time of the first event after them */
static int place_waiting(struct reading *reading, const struct guest_vcpu_part *before, uint64_t to)
{
	struct waiting *waiting = &reading->waiting;
	const struct guest_vcpu_part *after = &reading->vcpu->parts[reading->part];
	const struct host_phases *phases = &reading->sources[before->source];
	const struct late_window window = {
		.phases = phases->phases, .nr_phases = phases->nr, .modes = reading->vcpu->modes,
		.from = reading->last, .to = to > reading->last ? to : reading->last,
		.steps = &reading->timeline->steps,
	};
	_cleanup_(freep) struct late_section *sections = calloc(waiting->nr_sections, sizeof(*sections));
	_cleanup_(freep) struct late_place *places = calloc(waiting->nr_sections, sizeof(*places));
	int ret;

	if (!sections || !places)
		return -ENOMEM;
	for (size_t i = 0; i < waiting->nr_sections; i++) {
		size_t end = i + 1 < waiting->nr_sections ? waiting->first[i + 1] : waiting->nr;

		sections[i].times = &waiting->times[waiting->first[i]];
		sections[i].nr = end - waiting->first[i];
	}
	ret = late_events_place(places, &window, sections, waiting->nr_sections);
	if (ret == -E2BIG)
		return trace_dat_refuse(reading->timeline->dat, ret,
					"its TSC jumped backward within pages of the ring buffer too often: cannot compute the times of its events");
	/* The vCPU was plugged in again: the events may belong to either thread */
	for (size_t i = 0; i < waiting->nr_sections && after->source != before->source; i++)
		places[i].found = false;
	for (size_t i = 0; i < waiting->nr_sections && !ret; i++)
		ret = add_section(reading, &window, &sections[i], &places[i], &waiting->begins[i]);
	waiting->nr = waiting->nr_sections = 0;
	return ret;
}

static int wait(struct reading *reading, const struct cpu_stream *events, uint32_t number, bool begins)
{
	struct waiting *waiting = &reading->waiting;

	if (waiting->nr == MAX_WAITING)
		return trace_dat_refuse(reading->timeline->dat, -EBADMSG,
					"more than %u consecutive events without a correct time", MAX_WAITING);
	if (begins) {
		if (array_reserve(waiting->begins, waiting->nr_sections, waiting->begins_capacity) ||
		    array_reserve(waiting->first, waiting->nr_sections, waiting->first_capacity))
			return -ENOMEM;
		waiting->begins[waiting->nr_sections] = (struct timeline_part) {
			.page = events->nr_pages - 1, .number = number,
		};
		waiting->first[waiting->nr_sections++] = waiting->nr;
	}
	if (array_reserve(waiting->times, waiting->nr, waiting->capacity))
		return -ENOMEM;
	waiting->times[waiting->nr++] = events->event.ts;
	return 0;
}

/* Does an event begin the next of the vCPU's parts? */
static bool begins_next(const struct reading *reading, uint64_t page, uint32_t number, uint64_t guest_tsc)
{
	const struct guest_vcpu_part *next = &reading->vcpu->parts[reading->part + 1];

	return reading->part + 1 < reading->vcpu->nr_parts && !is_before(page, number, next->page, next->number) &&
	       (!next->jumped || (int64_t)(guest_tsc - next->guest_from) >= 0);
}

/* An event with a correct time */
static int take(struct reading *reading, uint64_t page, uint32_t number, uint64_t guest_tsc)
{
	bool begins = !reading->cpu->nr_parts || reading->waiting.nr;
	const struct guest_vcpu_part *before = &reading->vcpu->parts[reading->part];
	struct timeline_part part = { .page = page, .number = number };
	int ret = 0;

	for (; begins_next(reading, page, number, guest_tsc); reading->part++)
		begins = true;
	part.map = reading->vcpu->parts[reading->part].map;
	part.host_from = reading->vcpu->parts[reading->part].host_from;
	part.host_to = reading->vcpu->parts[reading->part].host_to;
	if (reading->waiting.nr)
		ret = place_waiting(reading, before, host_time(&part, guest_tsc));
	if (begins && !ret)
		ret = add_part(reading->cpu, &part);
	reading->last = host_time(&part, guest_tsc);
	return ret;
}

static int read_page(struct reading *reading, struct cpu_stream *events)
{
	uint64_t page = events->nr_pages - 1;
	uint32_t nr_back = 0;
	int ret;

	while ((ret = cpu_stream_next_in_page(events)) > 0) {
		uint32_t number = events->nr_events - 1;

		if (!reading->vcpu || !reading->vcpu->nr_parts)
			return trace_dat_refuse(reading->timeline->dat, -ENXIO,
						"the vCPU of its CPU %u is unknown", reading->number);
		if (events->page.late)
			ret = wait(reading, events, number, !number || events->page.nr_back != nr_back);
		else
			ret = take(reading, page, number, events->event.ts);
		if (ret)
			return ret;
		nr_back = events->page.nr_back;
	}
	return ret;
}

static int read_events(struct reading *reading, const struct trace_dat_cpu *data)
{
	struct cpu_stream events;
	int ret = cpu_stream_open(&events, reading->timeline->dat, reading->timeline->buffer, data);

	while (!ret && (ret = cpu_stream_next_page(&events)) > 0)
		ret = read_page(reading, &events);
	if (!ret && reading->waiting.nr)
		ret = place_waiting(reading, &reading->vcpu->parts[reading->part], reading->host_end);
	cpu_stream_close(&events);
	return ret;
}

static int read_cpu(struct reading *reading, const struct guest_fit *fit, const struct trace_dat_cpu *data,
		    uint64_t since)
{
	const struct guest_vcpu *vcpu = reading->vcpu;
	size_t nr_sources = vcpu ? vcpu->nr_sources : 0;
	int ret = 0;

	reading->cpu->vcpu = vcpu;
	reading->sources = calloc(nr_sources + 1, sizeof(*reading->sources));
	if (!reading->sources)
		return -ENOMEM;
	for (size_t i = 0; i < nr_sources && !ret; i++)
		ret = make_phases(&reading->sources[i], &vcpu->sources[i], &fit->scaling, since);
	if (!ret)
		ret = read_events(reading, data);
	for (size_t i = 0; i < nr_sources; i++) {
		fit_vcpu_release(&reading->sources[i].vcpu);
		free(reading->sources[i].phases);
	}
	free(reading->sources);
	free(reading->waiting.times);
	free(reading->waiting.begins);
	free(reading->waiting.first);
	return ret;
}

/**
 * guest_timeline_make - find the host times of a buffer's events
 * @timeline: result; must be released in any case
 * @fit: fit of this buffer; must be valid while @timeline is used
 * @host: the host's vCPUs
 * @dat: the open file of the guest; must stay open too
 * @buffer: a buffer of @dat
 * @since: host TSC, in cycles, before which the guest recorded nothing
 *
 * Reads the whole buffer. The memory of the result grows with the jumps of the TSCs, not with the buffer.
 *
 * Returns: 0 or a negative errno with the reason in @dat->error: -ENXIO if the vCPU of a CPU is unknown.
 */
int guest_timeline_make(struct guest_timeline *timeline, const struct guest_fit *fit, const struct host_vcpus *host,
			struct trace_dat *dat, const struct trace_dat_buffer *buffer, uint64_t since)
{
	int ret = 0;

	*timeline = (struct guest_timeline) {
		.dat = dat, .buffer = buffer, .cpus = calloc(buffer->nr_cpus + 1, sizeof(*timeline->cpus)),
	};
	if (!timeline->cpus)
		ret = -ENOMEM;
	for (size_t i = 0; i < buffer->nr_cpus && !ret; i++) {
		const struct trace_dat_cpu *data = &buffer->cpus[i];
		struct reading reading = {
			.timeline = timeline, .cpu = &timeline->cpus[i], .number = data->cpu, .host_end = host->end,
		};

		if (!data->size)
			continue;
		reading.vcpu = data->cpu < fit->vcpus.nr ? &fit->vcpus.cpus[data->cpu] : NULL;
		ret = read_cpu(&reading, fit, data, since);
	}
	return error_keep(dat->error, ret, dat->path);
}

/* The vCPU was not in guest mode at a time that its TSC never had */
static void count(struct fit_tally *tally, struct timeline_cursor *cursor, const struct host_vcpus *host,
		  const struct cpu_stream *events, size_t *span, struct quiet_time *quiet)
{
	uint64_t host_tsc = timeline_event_time(cursor, events);
	const struct timeline_part *part = &cursor->cpu->parts[cursor->part];

	if (host_tsc < part->host_from || host_tsc > part->host_to) {
		tally->impossible++;
		return;
	}
	fit_tally_count(tally, cursor->cpu->vcpu->modes, host_tsc, host->begin, host->end, span);
	quiet_time_event(quiet, host_tsc, host->begin, host->end, *span);
}

static int prove_cpu(const struct guest_timeline *timeline, size_t i, const struct host_vcpus *host,
		     struct fit_tally *tally)
{
	struct timeline_cursor cursor = { .cpu = &timeline->cpus[i] };
	struct quiet_time quiet = { 0 };
	size_t span = MODE_SPAN_NONE;
	struct cpu_stream events;
	int ret = cpu_stream_open(&events, timeline->dat, timeline->buffer, &timeline->buffer->cpus[i]);

	while (!ret && (ret = cpu_stream_next(&events)) > 0) {
		count(tally, &cursor, host, &events, &span, &quiet);
		ret = 0;
	}
	tally->doubtful = quiet_time_doubtful(&quiet, cursor.cpu->vcpu->modes);
	cpu_stream_close(&events);
	return ret;
}

/**
 * guest_timeline_prove - count how a buffer's events fit
 * @timeline: host times of the buffer
 * @host: the host's vCPUs
 * @tally: result; @tally->earlier and @tally->later are the maximum of its CPUs
 *
 * Returns: 0 or a negative errno with the reason in the file's error.
 */
int guest_timeline_prove(const struct guest_timeline *timeline, const struct host_vcpus *host,
			 struct fit_tally *tally)
{
	int ret = 0;

	*tally = (struct fit_tally) { 0 };
	for (size_t i = 0; i < timeline->buffer->nr_cpus && !ret; i++) {
		struct fit_tally of_cpu = { .earlier = FIT_NO_LIMIT, .later = FIT_NO_LIMIT };

		if (!timeline->cpus[i].nr_parts)
			continue;
		ret = prove_cpu(timeline, i, host, &of_cpu);
		fit_tally_add_cpu(tally, &of_cpu);
	}
	return ret;
}

/**
 * guest_timeline_release - free a timeline
 * @timeline: the timeline, also after a failure, or all zeros
 */
void guest_timeline_release(struct guest_timeline *timeline)
{
	for (size_t i = 0; timeline->cpus && i < timeline->buffer->nr_cpus; i++)
		free(timeline->cpus[i].parts);
	free(timeline->cpus);
	free(timeline->jumps);
	*timeline = (struct guest_timeline) { 0 };
}
