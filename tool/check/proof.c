// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "error_bound.h"
#include "guest_fit.h"
#include "guest_mode_check.h"
#include "host_vcpus.h"
#include "merged_times.h"
#include "number.h"
#include "proof.h"
#include "quiet_time.h"
#include "vcpu_modes.h"

static void count(struct fit_tally *tally, struct quiet_time *quiet, const struct vcpu_modes *modes, uint64_t host_tsc,
		  const struct host_vcpus *host, size_t *span)
{
	fit_tally_count(tally, modes, host_tsc, host->begin, host->end, span);
	quiet_time_event(quiet, host_tsc, host->begin, host->end, *span);
}

/**
 * proof_make - count how a sample of a guest's events fits the host's file at the times that readers will show
 * @tally: result. Events without a place in the history of their vCPU count as impossible, wherever they are shown;
 *	events of a CPU whose vCPU is unknown count as unknown. @tally->earlier and @tally->later are those of the CPU
 *	with the largest bound, in host cycles
 * @fit: the guest's vCPUs and the sample
 * @host: the vCPUs of the host
 * @times: where readers will show them
 */
void proof_make(struct fit_tally *tally, const struct guest_fit *fit, const struct host_vcpus *host,
		const struct merged_times *times)
{
	*tally = (struct fit_tally) { 0 };
	for (size_t c = 0; c < fit->sample.nr_cpus; c++) {
		const struct guest_sample_cpu *cpu = &fit->sample.cpus[c];
		const struct guest_vcpu *vcpu = &fit->vcpus.cpus[cpu->cpu];
		const bool *impossible = fit->fit.results[c].path.impossible;
		struct fit_tally of_cpu = { .earlier = FIT_NO_LIMIT, .later = FIT_NO_LIMIT };
		struct quiet_time quiet = { 0 };
		size_t span = MODE_SPAN_NONE;

		if (!vcpu->modes)
			of_cpu.unknown = cpu->nr;
		for (size_t i = 0; vcpu->modes && i < cpu->nr; i++) {
			if (impossible && impossible[i])
				of_cpu.impossible++;
			else
				count(&of_cpu, &quiet, vcpu->modes, merged_time(times, cpu->cpu, cpu->times[i]), host,
				      &span);
		}
		if (vcpu->modes)
			of_cpu.doubtful = quiet_time_doubtful(&quiet, vcpu->modes);
		fit_tally_add_cpu(tally, &of_cpu);
	}
}

/**
 * proof_of_all - like proof_make() for all events of a guest
 * @tally: result
 * @result: the check of all events
 */
void proof_of_all(struct fit_tally *tally, const struct guest_mode_check *result)
{
	*tally = (struct fit_tally) { 0 };
	for (size_t i = 0; i < result->nr_buffers; i++) {
		for (size_t c = 0; c < result->buffers[i].nr_cpus; c++) {
			const struct guest_mode_cpu *cpu = &result->buffers[i].cpus[c];

			tally->inside += cpu->counts.inside;
			tally->violations += cpu->counts.violations - cpu->counts.impossible;
			tally->impossible += cpu->counts.impossible;
			tally->outside += cpu->counts.outside;
			tally->doubtful += cpu->counts.doubtful;
			tally->unknown += cpu->counts.unprovable;
			if (cpu->counts.inside && cpu->earlier > tally->earlier)
				tally->earlier = cpu->earlier;
			if (cpu->counts.inside && cpu->later > tally->later)
				tally->later = cpu->later;
		}
	}
}

static void write_error(const struct fit_tally *tally, uint64_t least_error, const struct tsc_frequency *frequency,
			char *text, size_t size)
{
	uint64_t proved = tally->earlier > tally->later ? tally->earlier : tally->later;
	char error[ERROR_BOUND_SIZE];

	*text = '\0';
	if (tally->earlier != FIT_NO_LIMIT && tally->later != FIT_NO_LIMIT)
		snprintf(text, size, ", error at most %s",
			 error_bound_text(proved > least_error ? proved : least_error, frequency, error));
}

/**
 * proof_words - format a tally as a line for people
 * @tally: the tally
 * @which: name of the events, such as "sampled events"
 * @least_error: lower limit of the printed error, in host cycles; 0 unless the events themselves were used to find
 *	something
 * @frequency: frequency of the TSC, or unknown
 * @words: room for the result
 *
 * Returns: @words, such as "2,829 of 2,829 sampled events in guest mode, error at most 17.6 us". The error is the
 * largest by which all times could be wrong together; it is missing if some events do not fit.
 */
const char *proof_words(const struct fit_tally *tally, const char *which, uint64_t least_error,
			const struct tsc_frequency *frequency, char words[PROOF_WORDS_SIZE])
{
	uint64_t all = fit_tally_events(tally);
	char inside[NUMBER_GROUPED_SIZE], of[NUMBER_GROUPED_SIZE], number[NUMBER_GROUPED_SIZE], error[64] = "",
		more[256] = "";

	if (!tally->inside && !fit_tally_against(tally)) {
		snprintf(words, PROOF_WORDS_SIZE,
			 "nothing proves it: none of %s %s is at a time at which the host recorded "
			 "its vCPU",
			 number_grouped(all, of), which);
		return words;
	}
	if (!fit_tally_against(tally))
		write_error(tally, least_error, frequency, error, sizeof(error));
	if (tally->violations)
		snprintf(more, sizeof(more), ", %s while their vCPU did not run",
			 number_grouped(tally->violations, number));
	if (tally->impossible)
		snprintf(more + strlen(more), sizeof(more) - strlen(more), ", %s at times that their TSC never had",
			 number_grouped(tally->impossible, number));
	if (tally->outside)
		snprintf(more + strlen(more), sizeof(more) - strlen(more), ", %s outside of the host's recording",
			 number_grouped(tally->outside, number));
	if (tally->unknown)
		snprintf(more + strlen(more), sizeof(more) - strlen(more), ", %s not provable",
			 number_grouped(tally->unknown, number));
	snprintf(words, PROOF_WORDS_SIZE, "%s of %s %s in guest mode%s%s", number_grouped(tally->inside, inside),
		 number_grouped(all, of), which, more, error);
	return words;
}
