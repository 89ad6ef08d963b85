// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <stdlib.h>

#include "fit_vcpu.h"
#include "history.h"
#include "order.h"
#include "vcpu_modes.h"
#include "vm_boots.h"

/* Seven years at 5 GHz; with a ratio of 8 still less than 2^63 */
#define MAX_HOST_TSC	(1ULL << 60)

static ORDER_BY(compare_phases, struct fit_phase, guest_from, from)

/*
 * Guest times are modulo 2^64. They can begin with a negative number, for a guest whose TSC began at 0 after the
 * host's. A phase that crosses 2^63 during a possible uptime of a host can have any time.
 */
static void set_guest_times(struct fit_phase *phase)
{
	bool lasts = phase->to == UINT64_MAX, any;

	phase->guest_from = (int64_t)tsc_guest_from_host(&phase->map, phase->from);
	phase->guest_to = (int64_t)tsc_guest_from_host(&phase->map, lasts ? MAX_HOST_TSC : phase->to);
	any = phase->guest_from > phase->guest_to;
	if (!phase->from || any)
		phase->guest_from = INT64_MIN;
	if (lasts || any)
		phase->guest_to = INT64_MAX;
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* The list is also a tree: of phases @low to @high - 1, the middle one is the root */
static int64_t set_reach(struct fit_phase *phases, size_t low, size_t high)
{
	size_t mid = low + (high - low) / 2;

	if (low == high)
		return INT64_MIN;
	phases[mid].reach = later(phases[mid].guest_to,
				  later(set_reach(phases, low, mid), set_reach(phases, mid + 1, high)));
	return phases[mid].reach;
}

static void sort_phases(struct fit_vcpu *vcpu)
{
	array_sort(vcpu->phases, vcpu->nr_phases, compare_phases);
	set_reach(vcpu->phases, 0, vcpu->nr_phases);
}

/* Returns: whether it is a phase by itself */
static bool add_phase(struct fit_vcpu *vcpu, struct fit_phase phase, const struct tsc_mapping *scaling)
{
	struct fit_phase *last = vcpu->nr_phases ? &vcpu->phases[vcpu->nr_phases - 1] : NULL;

	if (phase.from > phase.to)
		return false;
	/* No event can be in a time without guest mode: a mapping that was replaced before the vCPU ran is skipped */
	if (vcpu->modes->nr && !vcpu_modes_any_guest(vcpu->modes, phase.from, phase.to))
		return false;
	if (!phase.map.ratio && scaling) {
		phase.map.ratio = scaling->ratio;
		phase.map.frac_bits = scaling->frac_bits;
	}
	/* A repeated write of an offset continues the phase */
	if (last && last->to + 1 == phase.from && tsc_mapping_equal(&last->map, &phase.map)) {
		last->to = phase.to;
		set_guest_times(last);
		return false;
	}
	set_guest_times(&phase);
	vcpu->phases[vcpu->nr_phases++] = phase;
	return true;
}

/*
 * Was a saved state loaded with a change? A vCPU that was created or reset, and whose TSC is set ahead before it runs,
 * also shows that, however young the saved guest is.
 */
static bool is_restored(const struct fit_vcpu *vcpu, size_t i)
{
	const struct vcpu_history *history = vcpu->history;
	enum vm_boot_kind kind = vcpu_boot_kind(history, i);
	size_t before;

	if (kind != VM_GOES_ON)
		return kind == VM_RESTORED;
	before = vcpu_change_before(history, i);
	if (before == history->nr_segments || !vcpu->modes->nr_guest || vcpu_history_jump(history, i) <= 0)
		return false;
	kind = vcpu_boot_kind(history, before);
	return (kind == VM_MADE || kind == VM_RESET) &&
	       !vcpu_modes_any_guest(vcpu->modes, history->segments[before].host_tsc,
				     history->segments[i].host_tsc - 1);
}

/**
 * fit_vcpu_make - compute the phases of a vCPU from its history
 * @vcpu: everything but the phases is set; must be released in any case
 * @scaling: the ratio of phases whose events do not have it; NULL for 1
 * @since: host TSC, in cycles; earlier times are ignored
 *
 * If a change has another previous offset than the change before it wrote, that previous offset applied for some time:
 * it gets a phase by itself, with an unknown begin.
 *
 * Returns: 0 or -ENOMEM.
 */
int fit_vcpu_make(struct fit_vcpu *vcpu, const struct tsc_mapping *scaling, uint64_t since)
{
	const struct vcpu_history *history = vcpu->history;
	size_t load = 0, nr_loads = 0;
	uint64_t restored = 0;
	int64_t saved = 0;

	vcpu->nr_phases = 0;
	vcpu->phases = calloc(2 * history->nr_segments + 1, sizeof(*vcpu->phases));
	if (!vcpu->phases)
		return -ENOMEM;
	for (size_t i = 0; i <= history->nr_segments; i++) {
		struct fit_phase phase;

		if (i && is_restored(vcpu, i - 1)) {
			restored = history->segments[i - 1].host_tsc;
			load = 0;
			saved = (int64_t)tsc_guest_from_host(&history->segments[i - 1].map, restored);
		}
		phase = (struct fit_phase) {
			.from = i ? history->segments[i - 1].host_tsc : history->begins,
			.to = i < history->nr_segments ? history->segments[i].host_tsc - 1 : UINT64_MAX,
			.segment = i ? i - 1 : FIT_NONE,
			.restored = restored, .load = load, .saved = saved,
		};

		if (phase.from < since)
			phase.from = since;
		/* Of two events at one time the later one counts; before the vCPU was created it had no mapping */
		if ((i < history->nr_segments && !history->segments[i].host_tsc) ||
		    (!i && vcpu_history_begins_with_creation(history)) ||
		    !vcpu_history_before(history, i, &phase.map))
			continue;
		if (restored && phase.from == restored)
			phase.load = nr_loads + 1;
		if (add_phase(vcpu, phase, scaling) && phase.load > nr_loads)
			load = ++nr_loads;
		if (i == history->nr_segments || !vcpu_history_gap(history, i) ||
		    vcpu_history_previous_unreported(history) ||
		    tsc_mapping_equal(&history->segments[i].previous, &phase.map))
			continue;
		phase.map = history->segments[i].previous;
		phase.load = load;
		phase.lost = true;
		add_phase(vcpu, phase, scaling);
	}
	sort_phases(vcpu);
	return 0;
}

/**
 * fit_vcpu_make_shown - make one phase that uses times unchanged as the host's
 * @vcpu: everything but the phases is set; must be released in any case
 *
 * Returns: 0 or -ENOMEM.
 */
int fit_vcpu_make_shown(struct fit_vcpu *vcpu)
{
	vcpu->phases = calloc(1, sizeof(*vcpu->phases));
	if (!vcpu->phases)
		return -ENOMEM;
	vcpu->nr_phases = 1;
	vcpu->phases[0] = (struct fit_phase) { .to = UINT64_MAX, .segment = FIT_NONE };
	set_guest_times(&vcpu->phases[0]);
	sort_phases(vcpu);
	return 0;
}

/* Of phases @low to @high - 1, those that contain a guest time */
static void find_places(const struct fit_vcpu *vcpu, size_t low, size_t high, uint64_t guest_tsc,
			struct fit_place *places, size_t *nr)
{
	size_t mid = low + (high - low) / 2;
	const struct fit_phase *phase = &vcpu->phases[mid];
	int64_t guest = (int64_t)guest_tsc;
	uint64_t host_tsc;

	if (low == high || phase->reach < guest || *nr == FIT_MAX_PLACES)
		return;
	find_places(vcpu, low, mid, guest_tsc, places, nr);
	if (phase->guest_from > guest)
		return;
	if (*nr < FIT_MAX_PLACES && phase->guest_to >= guest &&
	    !tsc_host_from_guest(&phase->map, guest_tsc, &host_tsc) &&
	    host_tsc >= phase->from && host_tsc <= phase->to)
		places[(*nr)++] = (struct fit_place) { mid, host_tsc };
	find_places(vcpu, mid + 1, high, guest_tsc, places, nr);
}

/**
 * fit_vcpu_places - find the places of a guest time
 * @vcpu: vCPU with its phases
 * @guest_tsc: in cycles
 * @places: result: room for FIT_MAX_PLACES
 *
 * Takes time proportional to the number of places and to the logarithm of the number of phases.
 *
 * Returns: the number of places, 0 if the vCPU's TSC never had that value.
 */
size_t fit_vcpu_places(const struct fit_vcpu *vcpu, uint64_t guest_tsc, struct fit_place *places)
{
	size_t nr = 0;

	find_places(vcpu, 0, vcpu->nr_phases, guest_tsc, places, &nr);
	return nr;
}

/**
 * fit_vcpu_lifetime - get the first and the last time of a vCPU in guest mode
 * @vcpu: vCPU with its modes
 * @from, @to: result, host TSC in cycles
 *
 * Returns: false if it never was in guest mode.
 */
bool fit_vcpu_lifetime(const struct fit_vcpu *vcpu, uint64_t *from, uint64_t *to)
{
	const struct vcpu_modes *modes = vcpu->modes;
	size_t first = 0, last = modes->nr;

	while (first < modes->nr && vcpu_modes_at(modes, first) != MODE_GUEST)
		first++;
	if (first == modes->nr)
		return false;
	while (vcpu_modes_at(modes, last - 1) != MODE_GUEST)
		last--;
	*from = vcpu_modes_from(modes, first);
	*to = vcpu_modes_from(modes, last) - 1;
	return true;
}

/**
 * fit_vcpu_coexist - did two vCPUs exist at the same time?
 * @a, @b: the vCPUs
 *
 * Returns: false if the last time of one was before the first time of the other, or if one has no time.
 */
bool fit_vcpu_coexist(const struct fit_vcpu *a, const struct fit_vcpu *b)
{
	uint64_t from_a, to_a, from_b, to_b;

	return fit_vcpu_lifetime(a, &from_a, &to_a) && fit_vcpu_lifetime(b, &from_b, &to_b) &&
	       from_a <= to_b && from_b <= to_a;
}

/**
 * fit_vcpu_release - free the phases
 * @vcpu: the vCPU, also after a failure, or all zeros
 */
void fit_vcpu_release(struct fit_vcpu *vcpu)
{
	free(vcpu->phases);
	vcpu->phases = NULL;
	vcpu->nr_phases = 0;
}
