// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include "guest_probe.h"
#include "history.h"

/**
 * guest_probes_add - add a reading
 * @probes: readings of the CPU
 * @probe: the reading
 */
void guest_probes_add(struct guest_probes *probes, const struct guest_probe *probe)
{
	probes->probes[probes->nr++ % GUEST_PROBES] = *probe;
}

/**
 * guest_probes_last - get only the last reading
 * @probes: readings of the CPU
 *
 * Returns: one reading, or none if there is none.
 */
struct guest_probes guest_probes_last(const struct guest_probes *probes)
{
	struct guest_probes last = { 0 };

	if (probes->nr)
		guest_probes_add(&last, &probes->probes[(probes->nr - 1) % GUEST_PROBES]);
	return last;
}

/* Did the guest's TSC have this value at any host time from @from to @to, with one mapping? */
static bool lies_in(uint64_t guest_tsc, const struct tsc_mapping *map, uint64_t from, uint64_t to)
{
	uint64_t first = tsc_guest_from_host(map, from);

	/* Guest times are modulo 2^64 */
	return from <= to && guest_tsc - first <= tsc_guest_from_host(map, to) - first;
}

static bool fits(const struct guest_probe *probe, const struct vcpu_history *vcpu)
{
	uint64_t end = probe->answered;
	struct tsc_mapping map;

	for (size_t i = vcpu_history_until(vcpu, end); i; i--) {
		const struct tsc_segment *segment = &vcpu->segments[i - 1];
		uint64_t begin = segment->host_tsc > probe->sent ? segment->host_tsc : probe->sent;

		if (lies_in(probe->guest_tsc, &segment->map, begin, end))
			return true;
		if (segment->host_tsc <= probe->sent)
			return false;
		end = segment->host_tsc - 1;
	}
	return vcpu_history_before(vcpu, 0, &map) && lies_in(probe->guest_tsc, &map, probe->sent, end);
}

static size_t nr_kept(const struct guest_probes *probes)
{
	return probes->nr < GUEST_PROBES ? probes->nr : GUEST_PROBES;
}

static size_t nr_misfits(const struct guest_probes *probes, const struct vcpu_history *vcpu)
{
	size_t nr = 0;

	for (size_t i = 0; i < nr_kept(probes); i++)
		nr += !fits(&probes->probes[i], vcpu);
	return nr;
}

/**
 * guest_probes_fit - do the readings of a CPU fit a vCPU?
 * @probes: readings of the CPU
 * @vcpu: the vCPU
 *
 * Returns: true if all that are kept fit, also without any.
 */
bool guest_probes_fit(const struct guest_probes *probes, const struct vcpu_history *vcpu)
{
	return !nr_misfits(probes, vcpu);
}

/**
 * guest_probes_contradict - do most readings of a CPU contradict a vCPU?
 * @probes: readings of the CPU
 * @vcpu: the vCPU
 *
 * A single reading may have another time than the agent reports, if it finds an old event.
 *
 * Returns: true if more than half of the kept ones do.
 */
bool guest_probes_contradict(const struct guest_probes *probes, const struct vcpu_history *vcpu)
{
	return 2 * nr_misfits(probes, vcpu) > nr_kept(probes);
}
