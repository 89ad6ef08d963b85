// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "guest_fit.h"
#include "guest_mode_check.h"
#include "host_vcpus.h"
#include "merged_times.h"
#include "proof.h"
#include "quiet_time.h"
#include "vcpu_modes.h"

/* A number of 64 bits with commas */
#define GROUPED_SIZE 32

static const char *grouped(uint64_t number, char text[GROUPED_SIZE])
{
	char digits[GROUPED_SIZE];
	size_t nr = snprintf(digits, sizeof(digits), "%" PRIu64, number), at = 0;

	for (size_t i = 0; i < nr; i++) {
		if (i && !((nr - i) % 3))
			text[at++] = ',';
		text[at++] = digits[i];
	}
	text[at] = '\0';
	return text;
}

static void count(struct fit_tally *tally, struct quiet_time *quiet, const struct vcpu_modes *modes, uint64_t host_tsc,
		  const struct host_vcpus *host, size_t *span)
{
	fit_tally_count(tally, modes, host_tsc, host->begin, host->end, span);
	if (host_tsc < host->begin || host_tsc > host->end)
		quiet_time_outside(quiet, host_tsc < host->begin);
	else
		quiet_time_within(quiet, *span);
}

/**
 * proof_make - count how a sample of a guest's events fits the host's file, at the times that readers will show
 * @tally: result. Events that have no place in the history of their vCPU count as impossible, wherever they are shown,
 *	those of a CPU whose vCPU is not known as unknown. @tally->earlier and @tally->later are those of the CPU with
 *	the largest bound, in host cycles.
 * @fit: the guest's vCPUs and the sample
 * @host: the vCPUs of the host
 * @times: where readers will show them
 */
void proof_make(struct fit_tally *tally, const struct guest_fit *fit, const struct host_vcpus *host,
		const struct merged_times *times)
{
	uint64_t earlier = 0, later = 0;

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
		fit_tally_add(tally, &of_cpu);
		if (of_cpu.inside && of_cpu.earlier > earlier)
			earlier = of_cpu.earlier;
		if (of_cpu.inside && of_cpu.later > later)
			later = of_cpu.later;
	}
	tally->earlier = earlier;
	tally->later = later;
}

/**
 * proof_of_all - the same as proof_make() for all events of a guest
 * @tally: result
 * @result: of all of them
 */
void proof_of_all(struct fit_tally *tally, const struct guest_mode_check *result)
{
	*tally = (struct fit_tally) { 0 };
	for (size_t i = 0; i < result->nr_buffers; i++) {
		for (size_t c = 0; c < result->buffers[i].nr_cpus; c++) {
			const struct guest_mode_cpu *cpu = &result->buffers[i].cpus[c];

			tally->inside += cpu->inside;
			tally->violations += cpu->violations - cpu->impossible;
			tally->impossible += cpu->impossible;
			tally->outside += cpu->outside;
			tally->doubtful += cpu->doubtful;
			tally->unknown += cpu->unprovable;
			if (cpu->inside && cpu->earlier > tally->earlier)
				tally->earlier = cpu->earlier;
			if (cpu->inside && cpu->later > tally->later)
				tally->later = cpu->later;
		}
	}
}

/* "17.6 us", rounded up, or "45,758 cycles" */
static void write_error(const struct fit_tally *tally, uint64_t least_error, const struct tsc_frequency *frequency,
			char *text, size_t size)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	uint64_t proved = tally->earlier > tally->later ? tally->earlier : tally->later;
	uint64_t cycles = proved > least_error ? proved : least_error;
	unsigned __int128 tenths;
	char number[GROUPED_SIZE];
	size_t unit = 0;

	if (tally->earlier == FIT_NO_LIMIT || tally->later == FIT_NO_LIMIT) {
		*text = '\0';
		return;
	}
	if (!frequency->mult) {
		snprintf(text, size, ", error at most %s cycles", grouped(cycles, number));
		return;
	}
	for (tenths = tsc_frequency_ns(frequency, cycles) * 10 + 10; tenths >= 10000 && unit < 3; unit++)
		tenths = (tenths + 999) / 1000;
	snprintf(text, size, ", error at most %" PRIu64 ".%u %s", (uint64_t)(tenths / 10), (unsigned int)(tenths % 10),
		 units[unit]);
}

/**
 * proof_words - write a tally as a line for people
 * @tally: the tally
 * @which: what its events are called, as "sampled events"
 * @least_error: a lower limit for the error that is printed, in host cycles; 0 unless something was found by the
 *	events themselves
 * @frequency: of the TSC, known or not
 * @words: room for the result
 *
 * Returns: @words, as "2,829 of 2,829 sampled events in guest mode, error at most 17.6 us". The error is the most by
 * which all could be wrong together; where some do not fit there is none.
 */
const char *proof_words(const struct fit_tally *tally, const char *which, uint64_t least_error,
			const struct tsc_frequency *frequency, char words[PROOF_WORDS_SIZE])
{
	uint64_t all = fit_tally_events(tally);
	char inside[GROUPED_SIZE], of[GROUPED_SIZE], number[GROUPED_SIZE], error[64] = "", more[256] = "";

	if (!tally->inside && !fit_tally_against(tally)) {
		snprintf(words, PROOF_WORDS_SIZE,
			 "nothing proves it: none of %s %s is at a time at which the host recorded "
			 "its vCPU",
			 grouped(all, of), which);
		return words;
	}
	if (!fit_tally_against(tally))
		write_error(tally, least_error, frequency, error, sizeof(error));
	if (tally->violations)
		snprintf(more, sizeof(more), ", %s while their vCPU did not run", grouped(tally->violations, number));
	if (tally->impossible)
		snprintf(more + strlen(more), sizeof(more) - strlen(more), ", %s at times that their TSC never had",
			 grouped(tally->impossible, number));
	if (tally->outside)
		snprintf(more + strlen(more), sizeof(more) - strlen(more), ", %s outside of the host's recording",
			 grouped(tally->outside, number));
	if (tally->unknown)
		snprintf(more + strlen(more), sizeof(more) - strlen(more), ", %s not provable",
			 grouped(tally->unknown, number));
	snprintf(words, PROOF_WORDS_SIZE, "%s of %s %s in guest mode%s%s", grouped(tally->inside, inside),
		 grouped(all, of), which, more, error);
	return words;
}
