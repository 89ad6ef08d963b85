// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "merged_times.h"
#include "trace_dat.h"

/* Readers round: two equivalent ways to write a line may differ by this many cycles */
#define ROUNDING 2
/* Limit of samples to compare: those of a thousand CPUs with a thousand changes each */
#define MAX_COMPARED (1UL << 21)

/* The TIME_SHIFT of the host's own file */
struct own_shift {
	const struct time_shift_reader	*shift;
	uint32_t			cpu;	/* one with events: its correction applies to all */
	uint64_t			first;
	uint64_t			last;
};

static size_t nr_samples(const struct own_shift *own, uint32_t cpu)
{
	return cpu < own->shift->nr_vcpus ? own->shift->nr_samples[cpu] : 0;
}

static uint64_t sample_time(const struct own_shift *own, uint32_t cpu, size_t i)
{
	return (uint64_t)own->shift->samples[cpu][i].ts;
}

static bool agree_at(const struct own_shift *own, uint32_t a, uint32_t b, uint64_t tsc)
{
	return time_shift_apply(own->shift, a, tsc) - time_shift_apply(own->shift, b, tsc) + ROUNDING <= 2 * ROUNDING;
}

/* Are two CPUs' times shown alike at each sample of one of them? */
static bool agree_where(const struct own_shift *own, uint32_t bends, uint32_t a, uint32_t b)
{
	for (size_t i = 0; i < nr_samples(own, bends); i++) {
		uint64_t ts = sample_time(own, bends, i);

		for (uint64_t at = ts - 1; at != ts + 2; at++) {
			if (at >= own->first && at <= own->last && !agree_at(own, a, b, at))
				return false;
		}
	}
	return true;
}

/* Readers multiply in 64 bits. Does a nonzero product exceed this for a time in the host's recording? */
static bool wraps(const struct own_shift *own, uint32_t cpu)
{
	size_t nr = nr_samples(own, cpu);

	for (size_t i = 0; i + 1 < nr; i++) {
		const struct time_shift_sample *low = &own->shift->samples[cpu][i], *high = low + 1;
		uint64_t from = i && (uint64_t)low->ts > own->first ? (uint64_t)low->ts : own->first;
		uint64_t to = i + 2 < nr && (uint64_t)high->ts < own->last ? (uint64_t)high->ts : own->last;
		uint64_t rise = (uint64_t)high->offset - (uint64_t)low->offset;
		uint64_t before = from < (uint64_t)low->ts ? (uint64_t)low->ts - from : 0;
		uint64_t after = to > (uint64_t)low->ts ? to - (uint64_t)low->ts : 0;

		if (from > to)
			continue;
		rise = rise > INT64_MAX ? -rise : rise;
		if ((unsigned __int128)to * (uint64_t)low->scaling > UINT64_MAX ||
		    (own->shift->interpolate &&
		     (unsigned __int128)(before > after ? before : after) * rise > INT64_MAX / 2))
			return true;
	}
	return false;
}

/*
 * Returns: 0, -ERANGE if CPUs differ, -EOVERFLOW if readers do not compute a line from it, -E2BIG if the check would
 * take too long
 */
static int compare_cpus(struct own_shift *own, const struct trace_dat *dat)
{
	bool found = false;
	size_t work = 0;

	for (size_t i = 0; i < dat->nr_buffers; i++) {
		for (size_t j = 0; j < dat->buffers[i].nr_cpus; j++) {
			const struct trace_dat_cpu *data = &dat->buffers[i].cpus[j];

			if (!data->size)
				continue;
			if (!found)
				own->cpu = data->cpu;
			found = true;
			work += nr_samples(own, own->cpu) + nr_samples(own, data->cpu);
			if (work > MAX_COMPARED)
				return -E2BIG;
			if (wraps(own, data->cpu))
				return -EOVERFLOW;
			if (!agree_at(own, own->cpu, data->cpu, own->first) ||
			    !agree_at(own, own->cpu, data->cpu, own->last) ||
			    !agree_where(own, own->cpu, own->cpu, data->cpu) ||
			    !agree_where(own, data->cpu, own->cpu, data->cpu))
				return -ERANGE;
		}
	}
	return 0;
}

/* Allocates the samples of one CPU, which readers interpolate */
static int make_samples(struct time_shift_reader *reader, size_t capacity)
{
	reader->interpolate = true;
	reader->nr_samples = calloc(1, sizeof(*reader->nr_samples));
	reader->samples = calloc(1, sizeof(*reader->samples));
	reader->recent = calloc(1, sizeof(*reader->recent));
	reader->nr_vcpus = reader->samples && reader->nr_samples && reader->recent;
	if (!reader->nr_vcpus)
		return -ENOMEM;
	reader->samples[0] = calloc(capacity, sizeof(**reader->samples));
	return reader->samples[0] ? 0 : -ENOMEM;
}

/* Returns: false if times go back; a repeated pair is allowed */
static bool add_sample(struct time_shift_reader *reader, uint64_t from, uint64_t to)
{
	struct time_shift_sample *samples = reader->samples[0];
	size_t nr = reader->nr_samples[0];

	if (nr && from <= (uint64_t)samples[nr - 1].ts)
		return from == (uint64_t)samples[nr - 1].ts && to == from + (uint64_t)samples[nr - 1].offset;
	samples[nr] = (struct time_shift_sample) { .ts = (int64_t)from, .offset = (int64_t)(to - from), .scaling = 1 };
	reader->nr_samples[0]++;
	return true;
}

/* Both directions; if shown times go back, they cannot be converted back */
static void add_both(struct host_times *times, uint64_t time, uint64_t shown)
{
	add_sample(&times->to_shown, time, shown);
	times->ambiguous |= !add_sample(&times->from_shown, shown, time);
}

static int take_own_shift(struct host_times *times, const struct host *host)
{
	struct own_shift own = {
		.shift = &times->shown.shift,
		/* Readers extend the correction before the first and after the last time */
		.first = host->recorded_first > 2 ? host->recorded_first - 2 : 0, .last = host->recorded_last + 2,
	};
	int ret = compare_cpus(&own, host->dat);
	uint64_t last = own.first;
	size_t nr;

	if (ret)
		return trace_dat_refuse(host->dat, ret,
					"it is a guest's file itself, and its TIME_SHIFT %s: no guest of it can be merged with it",
					ret == -E2BIG ? "has too many samples" : ret == -EOVERFLOW ? "has samples so far apart that readers calculate wrongly" : "corrects its CPUs in different ways");
	nr = nr_samples(&own, own.cpu);
	if (make_samples(&times->to_shown, 3 * nr + 2) || make_samples(&times->from_shown, 3 * nr + 2))
		return -ENOMEM;
	add_both(times, own.first, time_shift_apply(own.shift, own.cpu, own.first));
	for (size_t i = 0; i < nr; i++) {
		uint64_t ts = sample_time(&own, own.cpu, i);

		/* A line bends at a sample, and a step ends one cycle before it. Samples may be one cycle apart. */
		for (uint64_t at = own.shift->interpolate ? ts : ts - 1; at != ts + 1; at++) {
			if (at <= last || at >= own.last)
				continue;
			add_both(times, at, time_shift_apply(own.shift, own.cpu, at));
			last = at;
		}
	}
	add_both(times, own.last, time_shift_apply(own.shift, own.cpu, own.last));
	return 0;
}

/* The epoch with the next times after a given one, as in the file */
static size_t next_epoch(const struct host_clock *clock, size_t after)
{
	size_t next = clock->nr_epochs;

	for (size_t i = 0; i < clock->nr_epochs; i++) {
		if ((after == clock->nr_epochs || clock->epochs[i].first > clock->epochs[after].first) &&
		    (next == clock->nr_epochs || clock->epochs[i].first < clock->epochs[next].first))
			next = i;
	}
	return next;
}

static int take_epochs(struct host_times *times, const struct host_clock *clock)
{
	size_t nr = 2 * clock->nr_epochs;

	if (make_samples(&times->to_shown, nr) || make_samples(&times->from_shown, nr))
		return -ENOMEM;
	for (size_t i = 0; i < clock->nr_epochs; i++) {
		add_sample(&times->to_shown, host_clock_begin(clock, i), clock->epochs[i].first);
		add_sample(&times->to_shown, clock->added[i] + clock->epochs[i].last, clock->epochs[i].last);
	}
	/* Two of them may have had the same TSC */
	for (size_t i = next_epoch(clock, clock->nr_epochs); i < clock->nr_epochs; i = next_epoch(clock, i)) {
		times->ambiguous |= !add_sample(&times->from_shown, clock->epochs[i].first, host_clock_begin(clock, i));
		times->ambiguous |= !add_sample(&times->from_shown, clock->epochs[i].last,
						clock->added[i] + clock->epochs[i].last);
	}
	return 0;
}

/**
 * host_times_read - find how readers show the host's file
 * @times: result; must be released in any case
 * @host: the host's file, read
 *
 * Returns: 0 or a negative errno with the reason in the file's error: -ERANGE if readers correct the times of its CPUs
 * in different ways, -EOVERFLOW if their computation exceeds 64 bits, -E2BIG if there are too many samples to compare.
 */
int host_times_read(struct host_times *times, const struct host *host)
{
	int ret;

	*times = (struct host_times) { 0 };
	ret = shown_times_read(&times->shown, host->dat);
	times->bends = times->shown.has_shift || host_clock_went_back(&host->clock);
	if (ret || !times->bends)
		return ret;
	if (times->shown.has_shift && host_clock_went_back(&host->clock))
		return trace_dat_refuse(host->dat, -ERANGE,
					"it is a guest's file itself, and its TSC went back: no guest of it can be merged with it");
	ret = times->shown.has_shift ? take_own_shift(times, host) : take_epochs(times, &host->clock);
	return ret == -ENOMEM ? trace_dat_refuse(host->dat, ret, "no memory") : ret;
}

/**
 * host_times_release - free the times
 * @times: the times, also after a failure
 */
void host_times_release(struct host_times *times)
{
	shown_times_release(&times->shown);
	time_shift_reader_release(&times->to_shown);
	time_shift_reader_release(&times->from_shown);
	*times = (struct host_times) { 0 };
}

/**
 * merged_times_of - get how readers show a buffer
 * @file: how they show the file's top buffer
 * @buffer: a buffer of the file
 *
 * Readers treat an instance as a separate file without TIME_SHIFT.
 *
 * Returns: the same for @buffer; it shares pointers with @file.
 */
struct merged_times merged_times_of(const struct merged_times *file, const struct trace_dat_buffer *buffer)
{
	static const struct time_shift_reader uncorrected;
	struct merged_times times = *file;

	if (*buffer->name)
		times.guest = &uncorrected;
	return times;
}

/**
 * merged_time - get the host's own time at which readers show an event of a guest
 * @times: times of the guest
 * @cpu: number of the CPU in the guest
 * @guest_tsc: the event's time, in cycles of the guest
 *
 * Returns: host time, in cycles.
 */
uint64_t merged_time(const struct merged_times *times, size_t cpu, uint64_t guest_tsc)
{
	return time_shift_apply(&times->host->from_shown, 0,
				time_shift_apply(times->guest, cpu, guest_tsc) + (uint64_t)times->added);
}
