// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "kvm_proto_samples.h"

/* Steps that are nearer have no room for the sync point between them; real samples are microseconds apart */
#define MIN_DISTANCE	2
/* Times come from the guest. Beyond this one is no real one, and none that leaves room after it. */
#define MAX_TIME	((1LL << 62) - 1)

static bool same_value(const struct kvm_proto_sample *a, const struct kvm_proto_sample *b)
{
	return a->offset == b->offset && a->scaling == b->scaling && a->frac == b->frac;
}

static bool too_near(const struct kvm_proto_sample *before, const struct kvm_proto_sample *after)
{
	return after->ts - before->ts < MIN_DISTANCE;
}

/**
 * kvm_proto_samples_add - add a sample
 * @samples: of its vCPU
 * @sample: usually the latest; an earlier one (the guest's TSC has jumped back) is put in its place, as
 *	readers do. One at the time of another replaces it.
 *
 * Returns: 0, -ERANGE if @sample has an impossible time, or -ENOMEM.
 */
int kvm_proto_samples_add(struct kvm_proto_samples *samples, const struct kvm_proto_sample *sample)
{
	struct kvm_proto_sample *all = samples->samples;
	size_t at = samples->nr;

	if (sample->ts <= 0 || sample->ts > MAX_TIME)
		return -ERANGE;
	while (at && all[at - 1].ts > sample->ts)
		at--;
	if ((at && same_value(&all[at - 1], sample)) ||
	    (at < samples->nr && too_near(sample, &all[at])))
		return 0;
	if (at && too_near(&all[at - 1], sample)) {
		all[at - 1] = *sample;
		return 0;
	}
	if (array_reserve(samples->samples, samples->nr, samples->capacity))
		return -ENOMEM;
	all = samples->samples;
	memmove(&all[at + 1], &all[at], (samples->nr - at) * sizeof(*all));
	all[at] = *sample;
	samples->nr++;
	return 0;
}

/**
 * kvm_proto_samples_nr_points - how many sync points say what the samples say
 * @samples: of a vCPU
 *
 * Returns: the number; 0 without samples.
 */
size_t kvm_proto_samples_nr_points(const struct kvm_proto_samples *samples)
{
	/* One where each begins, one where it ends */
	return 2 * samples->nr;
}

/**
 * kvm_proto_samples_point - one of the sync points
 * @samples: of a vCPU, not empty
 * @index: from 0 on. After the last sync point there are more on the line that holds there, for vCPUs that
 *	need as many as another.
 *
 * Returns: the sync point; each is later than the one before.
 */
struct kvm_proto_sample kvm_proto_samples_point(const struct kvm_proto_samples *samples, size_t index)
{
	size_t step = index / 2 < samples->nr ? index / 2 : samples->nr - 1;
	struct kvm_proto_sample point = samples->samples[step];

	if (step + 1 < samples->nr)
		point.ts = index % 2 ? samples->samples[step + 1].ts - 1 : point.ts;
	else
		point.ts += index - 2 * step;
	return point;
}

/**
 * kvm_proto_samples_release - free the samples
 * @samples: of a vCPU; empty afterwards
 */
void kvm_proto_samples_release(struct kvm_proto_samples *samples)
{
	free(samples->samples);
	*samples = (struct kvm_proto_samples) { 0 };
}
