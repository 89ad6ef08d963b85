// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "merged_times.h"
#include "trace_dat.h"

/* Readers round: two ways to write down the same line may differ by so many cycles */
#define ROUNDING 2
/* Samples that are compared at most: those of a thousand CPUs with a thousand changes each */
#define MAX_COMPARED (1UL << 21)

/* The time that readers show, beside what they add in the end */
static uint64_t shown(const struct host_times *host, uint32_t cpu, uint64_t host_tsc)
{
	return time_shift_apply(&host->shown.shift, cpu, host_tsc);
}

static size_t nr_samples(const struct host_times *host, uint32_t cpu)
{
	return cpu < host->shown.shift.nr_vcpus ? host->shown.shift.nr_samples[cpu] : 0;
}

/* Are two CPUs' times shown alike wherever the correction of one of them bends? */
static bool agree_where(const struct host_times *host, uint32_t bends, uint32_t a, uint32_t b)
{
	const struct time_shift_reader *shift = &host->shown.shift;

	for (size_t i = 0; i < nr_samples(host, bends); i++) {
		uint64_t ts = (uint64_t)shift->samples[bends][i].ts;

		for (uint64_t at = ts - 1; at != ts + 2; at++) {
			if (at >= host->first && at <= host->last &&
			    shown(host, a, at) - shown(host, b, at) + ROUNDING > 2 * ROUNDING)
				return false;
		}
	}
	return true;
}

static bool agree(const struct host_times *host, uint32_t a, uint32_t b)
{
	return shown(host, a, host->first) - shown(host, b, host->first) + ROUNDING <= 2 * ROUNDING &&
	       shown(host, a, host->last) - shown(host, b, host->last) + ROUNDING <= 2 * ROUNDING &&
	       agree_where(host, a, a, b) && agree_where(host, b, a, b);
}

/* Returns: 0, -ERANGE if CPUs differ, -E2BIG if it would take too long to find out */
static int compare_cpus(struct host_times *host, const struct trace_dat *dat)
{
	bool found = false;
	size_t work = 0;

	for (size_t i = 0; i < dat->nr_buffers; i++) {
		for (size_t j = 0; j < dat->buffers[i].nr_cpus; j++) {
			const struct trace_dat_cpu *cpu = &dat->buffers[i].cpus[j];

			if (!cpu->size)
				continue;
			if (!found)
				host->cpu = cpu->cpu;
			found = true;
			work += nr_samples(host, host->cpu) + nr_samples(host, cpu->cpu);
			if (work > MAX_COMPARED)
				return -E2BIG;
			if (!agree(host, host->cpu, cpu->cpu))
				return -ERANGE;
		}
	}
	return 0;
}

/* Returns: false if times that readers show do not go on with those that the host recorded */
static bool add_undo(struct host_times *host, uint64_t host_tsc)
{
	struct time_shift_sample *samples = host->undo.samples[0];
	size_t nr = host->undo.nr_samples[0];
	uint64_t at = shown(host, host->cpu, host_tsc);

	if (nr && at <= (uint64_t)samples[nr - 1].ts)
		return at - samples[nr - 1].offset == host_tsc;
	samples[nr] = (struct time_shift_sample) {
		.ts = (int64_t)at, .offset = (int64_t)(host_tsc - at), .scaling = 1,
	};
	host->undo.nr_samples[0]++;
	return true;
}

static int make_undo(struct host_times *host)
{
	const struct time_shift_reader *shift = &host->shown.shift;
	size_t nr = nr_samples(host, host->cpu);
	bool ok;

	host->undo.interpolate = true;
	host->undo.nr_samples = calloc(1, sizeof(*host->undo.nr_samples));
	host->undo.samples = calloc(1, sizeof(*host->undo.samples));
	host->undo.nr_vcpus = host->undo.samples && host->undo.nr_samples;
	if (!host->undo.nr_vcpus)
		return -ENOMEM;
	host->undo.samples[0] = calloc(3 * nr + 2, sizeof(**host->undo.samples));
	if (!host->undo.samples[0])
		return -ENOMEM;
	ok = add_undo(host, host->first);
	for (size_t i = 0; i < nr && ok; i++) {
		uint64_t ts = (uint64_t)shift->samples[host->cpu][i].ts;

		for (uint64_t at = ts - 1; at != ts + 2 && ok; at++) {
			if (at > host->first && at < host->last)
				ok = add_undo(host, at);
		}
	}
	return ok && add_undo(host, host->last) ? 0 : -ERANGE;
}

/**
 * host_times_read - find out how readers show the host's file
 * @host: result; to be released in any case
 * @dat: the file, open
 * @first, @last: the first and the last time that it has, in its own cycles
 *
 * Returns: 0 or a negative errno with the reason in @dat->error: -ERANGE if readers correct the times of its CPUs in
 * different ways, or so that they go back, -E2BIG if there are too many samples to tell.
 */
int host_times_read(struct host_times *host, struct trace_dat *dat, uint64_t first, uint64_t last)
{
	/* What readers make of a time before the first and after the last goes on as there */
	*host = (struct host_times) { .first = first > 2 ? first - 2 : 0, .last = last + 2 };
	int ret = shown_times_read(&host->shown, dat);

	if (ret || !host->shown.has_shift)
		return ret;
	ret = compare_cpus(host, dat);
	if (ret)
		return trace_dat_fail(dat, ret, 0, "it is a guest's file itself, and its TIME_SHIFT %s: no guest of it can be "
				      "merged with it", ret == -E2BIG ? "has too many samples" :
				      "corrects its CPUs in different ways");
	ret = make_undo(host);
	if (ret)
		return trace_dat_fail(dat, ret, 0, "it is a guest's file itself, and with its TIME_SHIFT times go back: no "
				      "guest of it can be merged with it");
	return 0;
}

/**
 * host_times_release - free what it owns
 * @host: read, or failed to
 */
void host_times_release(struct host_times *host)
{
	shown_times_release(&host->shown);
	time_shift_reader_release(&host->undo);
	*host = (struct host_times) { 0 };
}

/**
 * merged_times_of - where readers show the events of a buffer
 * @file: where they show those of the file's top buffer
 * @buffer: of the file
 *
 * Readers take an instance for a file of its own, one without TIME_SHIFT.
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
 * merged_time - the host's own time at which readers show an event of a guest
 * @times: of the guest
 * @cpu: the guest's number of the CPU
 * @guest_tsc: the event's time, in cycles of the guest
 *
 * Returns: host TSC, in cycles.
 */
uint64_t merged_time(const struct merged_times *times, size_t cpu, uint64_t guest_tsc)
{
	return time_shift_apply(&times->host->undo, 0,
				time_shift_apply(times->guest, cpu, guest_tsc) + (uint64_t)times->ahead);
}
