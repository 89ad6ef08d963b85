// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "array.h"
#include "fit.h"
#include "guest_sample.h"
#include "meanwhile.h"
#include "order.h"
#include "vcpu_modes.h"

/* From one event in guest mode to another one of the same CPU, in guest cycles */
struct stretch {
	uint64_t	from;
	uint64_t	to;
};

struct stretches {
	struct stretch	*list;
	size_t		nr, capacity;
};

static ORDER_BY(compare_stretches, struct stretch, from, to)

/* A TSC that goes back begins anew: earlier events of the CPU show nothing about times between them */
static int take_time(struct stretches *stretches, uint64_t time, bool begins)
{
	struct stretch *last = stretches->nr && !begins ? &stretches->list[stretches->nr - 1] : NULL;

	if (last && time >= last->to) {
		last->to = time;
		return 0;
	}
	if (array_reserve(stretches->list, stretches->nr, stretches->capacity))
		return -ENOMEM;
	stretches->list[stretches->nr++] = (struct stretch) { time, time };
	return 0;
}

/* @times: the times that were fitted, @of_guest: the guest's own times of the same events */
static int take_run(struct stretches *stretches, const struct fit_input *input, const struct fit_run *run,
		    const struct fit_path *path, const uint64_t *times, const uint64_t *of_guest)
{
	const struct fit_vcpu *vcpu = &input->host.vcpus[run->vcpu];
	size_t span = MODE_SPAN_NONE;
	bool begins = true;
	int ret = 0;

	for (size_t i = run->first; i <= run->last && !ret; i++) {
		uint64_t host_tsc;

		if (path->impossible[i] || tsc_host_from_guest(&vcpu->phases[run->phase].map, times[i], &host_tsc))
			continue;
		span = vcpu_modes_find(vcpu->modes, host_tsc, span);
		if (vcpu_modes_at(vcpu->modes, span) != MODE_GUEST)
			continue;
		ret = take_time(stretches, of_guest[i], begins);
		begins = false;
	}
	return ret;
}

/* Sort them, and join those that overlap */
static void join(struct stretches *stretches)
{
	size_t kept = 0;

	array_sort(stretches->list, stretches->nr, compare_stretches);
	for (size_t i = 0; i < stretches->nr; i++) {
		const struct stretch *next = &stretches->list[i];
		struct stretch *last = kept ? &stretches->list[kept - 1] : NULL;

		if (!last || next->from > last->to)
			stretches->list[kept++] = *next;
		else if (next->to > last->to)
			last->to = next->to;
	}
	stretches->nr = kept;
}

static bool is_in(const struct stretches *stretches, uint64_t time)
{
	size_t after = first_where(i, stretches->nr, stretches->list[i].from > time);

	return after && stretches->list[after - 1].to >= time;
}

/**
 * meanwhile_count - count the events of a CPU at times at which others recorded events in guest mode
 * @fit: the vCPU of each CPU
 * @input: input of the fit
 * @sample: the events of the fit
 * @cpu: index of the CPU in @sample
 * @nr: result; 0 if one of its events is in guest mode, or if at most half of them are outside of the host's recording
 *
 * Returns: 0 or -ENOMEM.
 */
int meanwhile_count(const struct fit *fit, const struct fit_input *input, const struct guest_sample *sample, size_t cpu,
		    size_t *nr)
{
	const struct fit_tally *tally = &fit->results[cpu].path.tally;
	struct stretches stretches = { 0 };
	int ret = 0;

	*nr = 0;
	if (tally->inside || tally->outside <= fit_tally_events(tally) / 2)
		return 0;
	for (size_t c = 0; c < fit->nr_results; c++) {
		const struct fit_path *path = &fit->results[c].path;

		for (size_t r = 0; r < path->nr_runs && c != cpu && path->tally.inside && !ret; r++)
			ret = take_run(&stretches, input, &path->runs[r], path, input->cpus[c].times,
				       sample->cpus[c].times);
	}
	join(&stretches);
	for (size_t i = 0; i < sample->cpus[cpu].nr && !ret; i++)
		*nr += is_in(&stretches, sample->cpus[cpu].times[i]);
	free(stretches.list);
	return ret;
}
