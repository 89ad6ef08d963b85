// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "estimate.h"
#include "findings.h"
#include "guest_vcpus.h"
#include "initial_estimate.h"
#include "initial_offsets.h"
#include "number.h"
#include "trace_dat.h"
#include "tsc2nsec.h"
#include "tsc_frequency.h"

/**
 * estimate_limit_parse - parse "1ms", "50us", "800ns" or "20000", which is cycles
 * @result: a struct estimate_limit; tables of options require the type
 * @text: an integer with or without a unit
 *
 * Returns: 0 or -EINVAL.
 */
int estimate_limit_parse(void *result, const char *text)
{
	static const struct {
		const char	*name;
		uint64_t	ns;
	} units[] = { { "ns", 1 }, { "us", 1000 }, { "ms", 1000000 }, { "s", 1000000000 } };
	struct estimate_limit *limit = result;

	if (!number_take(&text, &limit->amount))
		return -EINVAL;
	limit->in_ns = false;
	if (!*text)
		return 0;
	limit->in_ns = true;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (!strcmp(text, units[i].name))
			return __builtin_mul_overflow(limit->amount, units[i].ns, &limit->amount) ?
				-EINVAL : 0;
	}
	return -EINVAL;
}

/*
 * A limit in time needs the TSC's frequency. If no file has it, 1 GHz is used, which is less than any TSC has, so the
 * limit is stricter than requested.
 */
static uint64_t limit_in_cycles(const struct estimate_limit *limit, const struct trace_dat *host,
				const struct trace_dat *guest)
{
	struct tsc_frequency frequency;
	unsigned __int128 cycles = limit->amount;

	if (!limit->in_ns)
		return limit->amount;
	if (tsc2nsec_frequency(&frequency, host) || tsc2nsec_frequency(&frequency, guest))
		cycles = (cycles << frequency.shift) / frequency.mult;
	return cycles > UINT64_MAX ? UINT64_MAX : cycles;
}

/* If some events do not fit, nothing is proved: the offset may have changed, or it is another guest */
static void add_finding(struct findings *findings, const struct estimate_cpu *cpu, const struct initial_offset *offset)
{
	findings_add(findings, FINDING_OFFSET, cpu->shift.violations,
		     "vCPU %u: offset estimated as %" PRId64 ", %s %" PRIu64 " cycles: %" PRIu64 " of %" PRIu64 " events lie where it ran, %" PRIu64 " where it did not",
		     cpu->vcpu_id, offset->map.offset, estimate_words(&offset->bound), offset->bound.max_error,
		     cpu->shift.inside, cpu->events, cpu->shift.violations);
}

static int take(struct initial_offsets *initial, struct trace_dat *guest, const struct estimate_cpu *cpu,
		uint64_t limit, struct findings *findings)
{
	struct initial_offset offset = {
		.vcpu_id = cpu->vcpu_id,
		.map.offset = (int64_t)(0 - (cpu->shift.low + (cpu->shift.high - cpu->shift.low) / 2)),
		.bound = {
			.estimated	= true,
			.max_error	= (cpu->shift.high - cpu->shift.low) / 2 + 1,
			.violations	= cpu->shift.violations,
		},
	};

	if (!cpu->found)
		return trace_dat_refuse(guest, -ENODATA,
					"CPU %u: no offset puts any of its %" PRIu64 " events where vCPU %u ran",
					cpu->cpu, cpu->events, cpu->vcpu_id);
	if (!cpu->shift.unique)
		return trace_dat_refuse(guest, -ERANGE,
					"CPU %u: several offsets put equally many of its %" PRIu64 " events where vCPU %u ran; use longer recordings",
					cpu->cpu, cpu->events, cpu->vcpu_id);
	add_finding(findings, cpu, &offset);
	if (offset.bound.max_error > limit)
		return trace_dat_refuse(guest, -ERANGE,
					"vCPU %u: the estimate may be wrong by more than --max-error, %" PRIu64 " cycles",
					cpu->vcpu_id, limit);
	return initial_offsets_add(initial, &offset);
}

/* CPUs with events whose vCPU is known and whose offset is unknown */
static bool is_wanted(const struct guest_vcpu *cpu)
{
	struct tsc_mapping map;

	return cpu->known && cpu->has_events && cpu->modes &&
	       (cpu->begins_unknown || !vcpu_history_before(&cpu->history, 0, &map));
}

/**
 * initial_offsets_lacking - count the CPUs whose offset only an estimate can give
 * @vcpus: the vCPUs of the guest's CPUs
 *
 * Returns: the number of CPUs whose offset did not change while the host was recorded, and is unknown. 0 if an offset
 * is unknown for another reason: the kernel does not report its whole history.
 */
size_t initial_offsets_lacking(const struct guest_vcpus *vcpus)
{
	size_t nr = 0;

	for (size_t i = 0; i < vcpus->nr; i++) {
		const struct guest_vcpu *cpu = &vcpus->cpus[i];

		if (!is_wanted(cpu))
			continue;
		if (cpu->begins_unknown || cpu->history.tsc_protected)
			return 0;
		nr++;
	}
	return nr;
}

/**
 * initial_offsets_estimate - estimate unknown initial offsets
 * @initial: the known offsets; the estimates are added
 * @host: the host's file, with kvm_entry and kvm_exit
 * @vcpus: the vCPUs of the guest's CPUs
 * @guest: the guest's file
 * @any_clock: treat its times as TSC values, whatever clock it names
 * @limit: the largest permitted error
 * @findings: each estimate is added with its bound, as a doubt if some events do not fit
 *
 * Returns: 0 or a negative errno with the reason in the error of @guest.
 */
int initial_offsets_estimate(struct initial_offsets *initial, const struct trace_dat *host,
			     const struct guest_vcpus *vcpus, struct trace_dat *guest, bool any_clock,
			     const struct estimate_limit *limit, struct findings *findings)
{
	_cleanup_(freep) struct estimate_target *targets = calloc(vcpus->nr + 1, sizeof(*targets));
	struct estimate estimate;
	size_t nr = 0;
	int ret;

	if (!targets)
		return trace_dat_refuse(guest, -ENOMEM, "no memory");
	for (size_t i = 0; i < vcpus->nr; i++) {
		const struct guest_vcpu *cpu = &vcpus->cpus[i];

		if (is_wanted(cpu) && !initial_offsets_find(initial, cpu->vcpu_id))
			targets[nr++] = (struct estimate_target) { i, cpu->vcpu_id, cpu->modes };
	}
	ret = estimate_make(&estimate, guest, any_clock, targets, nr);
	for (size_t i = 0; i < estimate.nr_cpus && !ret; i++) {
		if (estimate.cpus[i].events)
			ret = take(initial, guest, &estimate.cpus[i], limit_in_cycles(limit, host, guest), findings);
	}
	estimate_release(&estimate);
	return error_keep(guest->error, ret, guest->path);
}
