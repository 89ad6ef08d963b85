// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stddef.h>

#include "guest_check.h"

static void add_buffer(struct guest_mode_counts *sums, const struct guest_mode_buffer *buffer)
{
	for (size_t i = 0; i < buffer->nr_cpus; i++)
		guest_mode_counts_add(sums, &buffer->cpus[i].counts);
}

/**
 * guest_check_sums - add up the results of all CPUs
 * @check: a finished check
 *
 * Returns: the sums.
 */
struct guest_mode_counts guest_check_sums(const struct guest_check *check)
{
	struct guest_mode_counts sums = { 0 };

	for (size_t i = 0; i < check->result.nr_buffers; i++)
		add_buffer(&sums, &check->result.buffers[i]);
	return sums;
}

/**
 * guest_check_slack - how far may the times of a CPU be moved together and still fit?
 * @check: done
 * @cycles: result: the most, of all CPUs
 *
 * Returns: true if there is such a limit.
 */
bool guest_check_slack(const struct guest_check *check, uint64_t *cycles)
{
	const struct guest_mode_check *result = &check->result;
	bool any = false;

	*cycles = 0;
	for (size_t i = 0; i < result->nr_buffers; i++) {
		for (size_t j = 0; j < result->buffers[i].nr_cpus; j++) {
			const struct guest_mode_cpu *cpu = &result->buffers[i].cpus[j];
			uint64_t most = cpu->earlier > cpu->later ? cpu->earlier : cpu->later;

			if (!cpu->counts.inside)
				continue;
			if (cpu->counts.violations || most == GUEST_MODE_NO_LIMIT)
				return false;
			*cycles = most > *cycles ? most : *cycles;
			any = true;
		}
	}
	return any;
}

/**
 * guest_check_verdict - does the guest's file fit its host's?
 * @check: a finished check
 *
 * Returns: the verdict.
 */
enum guest_check_verdict guest_check_verdict(const struct guest_check *check)
{
	struct guest_mode_counts sums = guest_check_sums(check);

	if (sums.violations)
		return GUEST_VIOLATES;
	if (!sums.inside)
		return GUEST_NOT_PROVABLE;
	if (sums.outside > sums.events / 2)
		return GUEST_OUTSIDE;
	/* Another buffer does not prove a buffer without a certain result */
	for (size_t i = 0; i < check->result.nr_buffers; i++) {
		sums = (struct guest_mode_counts) { 0 };
		add_buffer(&sums, &check->result.buffers[i]);
		if (sums.events && !sums.inside)
			return GUEST_NOT_PROVABLE;
	}
	return GUEST_FITS;
}

/**
 * guest_check_release - free a check
 * @check: the check, also after a failure, or all zeros except for a file that is not open
 */
void guest_check_release(struct guest_check *check)
{
	findings_release(&check->findings);
	guest_mode_check_release(&check->result);
	guest_file_close(&check->guest);
}
