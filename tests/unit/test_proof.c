// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* The proof of a merge: how many sampled events fit at the times that readers show, and the words that report it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest_fit.h"
#include "host_vcpus.h"
#include "made_modes.h"
#include "merged_times.h"
#include "proof.h"

#define MAX_TIMES	6
#define NO		FIT_NO_LIMIT

/* A CPU: the modes of its vCPU, one letter for each 10 cycles of host time; NULL: unknown. And its events. */
struct cpu_case {
	const char	*modes;
	size_t		nr;
	uint64_t	times[MAX_TIMES];
};

struct proof_case {
	const char		*name;
	struct cpu_case		cpus[2];
	size_t			nr_cpus;
	size_t			impossible;	/* number of impossible events of each CPU; they are its first ones */
	struct fit_tally	tally;
};

/* The host's recording is from 10 to 89 */
static const struct proof_case proof_cases[] = {
	{ "no event", { { "HGH", 0, { 0 } } }, 1, 0, { 0 } },
	{ "all inside", { { "HHGGHH", 3, { 22, 25, 38 } } }, 1, 0, { .inside = 3, .earlier = 2, .later = 1 } },
	{ "the first and the last cycle", { { "HHGGHH", 2, { 20, 39 } } }, 1, 0, { .inside = 2 } },
	{ "one cycle before and after", { { "HHGGHH", 2, { 19, 40 } } }, 1, 0,
	  { .violations = 2, .earlier = 0, .later = 0 } },
	{ "where the host lost events, and where it did not record", { { "HGG..G..", 5, { 5, 25, 35, 49, 90 } } }, 1, 0,
	  { .inside = 1, .unknown = 2, .outside = 1, .violations = 1, .earlier = 15, .later = NO } },
	{ "the first and the last cycle of the recording", { { "..........", 4, { 9, 10, 89, 90 } } }, 1, 0,
	  { .outside = 2, .unknown = 2 } },
	{ "guest mode that goes on has no end", { { "HHGG..", 2, { 22, 38 } } }, 1, 0,
	  { .inside = 2, .earlier = 2, .later = NO } },
	{ "of two CPUs that with more room counts", { { "HHGGHH", 2, { 22, 36 } }, { "HHGGHH", 2, { 25, 38 } } }, 2, 0,
	  { .inside = 4, .earlier = 5, .later = 3 } },
	{ "a CPU without an event inside has no room to leave",
	  { { "HHGGHH", 2, { 22, 36 } }, { "HHHHHH", 1, { 25 } } }, 2, 0,
	  { .inside = 2, .violations = 1, .earlier = 2, .later = 3 } },
	{ "a CPU of which it is not known which vCPU it is", { { NULL, 2, { 22, 36 } } }, 1, 0, { .unknown = 2 } },
	{ "impossible ones are nothing else", { { "HHGGHH", 3, { 22, 25, 50 } } }, 1, 1,
	  { .inside = 1, .violations = 1, .impossible = 1, .earlier = 5, .later = 14 } },
};

/* @added: what readers add to the times of all events */
static void check_proof(const struct proof_case *c, int64_t added)
{
	const struct time_shift_reader uncorrected = { 0 };
	const struct host_times host_times = { 0 };
	const struct merged_times times = { .guest = &uncorrected, .host = &host_times, .added = added };
	const struct host_vcpus host = { .begin = 10, .end = 89 };
	struct guest_sample_cpu cpus[2] = { { 0 } };
	struct guest_vcpu vcpus[6] = { { 0 } };
	bool impossible[MAX_TIMES] = { 0 };
	struct fit_result results[2] = { { .path.impossible = impossible }, { .path.impossible = impossible } };
	struct guest_fit fit = {
		.sample = { .cpus = cpus, .nr_cpus = c->nr_cpus }, .vcpus = { .cpus = vcpus, .nr = 6 },
		.fit = { .results = results, .nr_results = 2 }, .tally = { .inside = 99 },
	};
	struct vcpu_modes spans[2] = { { 0 } };
	uint64_t moved[2][MAX_TIMES];
	struct fit_tally tally;

	for (size_t i = 0; i < c->impossible; i++)
		impossible[i] = true;
	for (size_t i = 0; i < c->nr_cpus; i++) {
		for (size_t j = 0; j < c->cpus[i].nr; j++)
			moved[i][j] = c->cpus[i].times[j] - (uint64_t)added;
		/* The guest has CPUs that the sample lacks */
		cpus[i] = (struct guest_sample_cpu) { .cpu = 3 * i + 1, .times = moved[i], .nr = c->cpus[i].nr };
		if (!c->cpus[i].modes)
			continue;
		spans[i] = made_modes(c->cpus[i].modes);
		vcpus[3 * i + 1].modes = &spans[i];
	}
	proof_make(&tally, &fit, &host, &times);
	if (tally.inside != c->tally.inside || tally.violations != c->tally.violations ||
	    tally.unknown != c->tally.unknown || tally.outside != c->tally.outside ||
	    tally.impossible != c->tally.impossible || tally.earlier != c->tally.earlier ||
	    tally.later != c->tally.later)
		fail_msg("%s: %lu inside, %lu violations, %lu unknown, %lu outside, %lu impossible, %ld, %ld", c->name,
			 (unsigned long)tally.inside, (unsigned long)tally.violations, (unsigned long)tally.unknown,
			 (unsigned long)tally.outside, (unsigned long)tally.impossible, (long)tally.earlier,
			 (long)tally.later);
	for (size_t i = 0; i < 2; i++)
		vcpu_modes_release(&spans[i]);
}

static void test_proof(void **state)
{
	for (size_t i = 0; i < sizeof(proof_cases) / sizeof(*proof_cases); i++) {
		check_proof(&proof_cases[i], 0);
		check_proof(&proof_cases[i], -1000);
	}
}

static void test_words(void **state)
{
	static const struct {
		const char		*name;
		struct fit_tally	tally;
		uint64_t		least_error;
		struct tsc_frequency	frequency;
		const char		*words;
	} cases[] = {
		{ "cycles", { .inside = 5, .earlier = 45758, .later = 3 }, 0, { 0, 0 },
		  "5 of 5 sampled events in guest mode, error at most 45,758 cycles" },
		{ "the other side is more", { .inside = 5, .earlier = 3, .later = 1000 }, 0, { 0, 0 },
		  "5 of 5 sampled events in guest mode, error at most 1,000 cycles" },
		{ "what the events found is more", { .inside = 5, .earlier = 3, .later = 1000 }, 1001, { 0, 0 },
		  "5 of 5 sampled events in guest mode, error at most 1,001 cycles" },
		{ "digits in groups", { .inside = 1234567, .earlier = 999, .later = 1 }, 0, { 0, 0 },
		  "1,234,567 of 1,234,567 sampled events in guest mode, error at most 999 cycles" },
		/* One cycle is one nanosecond; rounded up */
		{ "nanoseconds", { .inside = 1, .earlier = 17, .later = 1 }, 0, { 1, 0 },
		  "1 of 1 sampled events in guest mode, error at most 18.0 ns" },
		{ "the last in nanoseconds", { .inside = 1, .earlier = 998, .later = 1 }, 0, { 1, 0 },
		  "1 of 1 sampled events in guest mode, error at most 999.0 ns" },
		{ "the first in microseconds", { .inside = 1, .earlier = 999, .later = 1 }, 0, { 1, 0 },
		  "1 of 1 sampled events in guest mode, error at most 1.0 us" },
		{ "rounded up to a tenth", { .inside = 1, .earlier = 17510, .later = 1 }, 0, { 1, 0 },
		  "1 of 1 sampled events in guest mode, error at most 17.6 us" },
		{ "milliseconds", { .inside = 1, .earlier = 2500000, .later = 1 }, 0, { 1, 0 },
		  "1 of 1 sampled events in guest mode, error at most 2.6 ms" },
		{ "seconds", { .inside = 1, .earlier = 7000000000, .later = 1 }, 0, { 1, 0 },
		  "1 of 1 sampled events in guest mode, error at most 7.1 s" },
		{ "seconds without a limit", { .inside = 1, .earlier = 7000000000000, .later = 1 }, 0, { 1, 0 },
		  "1 of 1 sampled events in guest mode, error at most 7000.1 s" },
		{ "half a nanosecond for each cycle", { .inside = 1, .earlier = 34, .later = 1 }, 0, { 1, 1 },
		  "1 of 1 sampled events in guest mode, error at most 18.0 ns" },
		{ "no bound to later times", { .inside = 5, .earlier = 3, .later = NO }, 0, { 0, 0 },
		  "5 of 5 sampled events in guest mode" },
		{ "no bound to earlier times", { .inside = 5, .earlier = NO, .later = 3 }, 0, { 1, 0 },
		  "5 of 5 sampled events in guest mode" },
		{ "not all", { .inside = 5, .unknown = 2, .outside = 1234, .earlier = 3, .later = 4 }, 0, { 0, 0 },
		  "5 of 1,241 sampled events in guest mode, 1,234 outside of the host's recording, "
		  "2 not provable, error at most 4 cycles" },
		{ "some contradict it: there is no bound",
		  { .inside = 5, .violations = 2, .earlier = 3, .later = 4 }, 0, { 0, 0 },
		  "5 of 7 sampled events in guest mode, 2 while their vCPU did not run" },
		{ "impossible ones: there is no bound", { .inside = 5, .impossible = 2, .earlier = 3, .later = 4 }, 0,
		  { 0, 0 }, "5 of 7 sampled events in guest mode, 2 at times that their TSC never had" },
		{ "only violations", { .violations = 2 }, 0, { 0, 0 },
		  "0 of 2 sampled events in guest mode, 2 while their vCPU did not run" },
		{ "nothing", { .unknown = 2, .outside = 1000 }, 0, { 0, 0 },
		  "nothing proves it: none of 1,002 sampled events is at a time at which the host recorded its vCPU" },
	};
	char words[PROOF_WORDS_SIZE];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_ptr_equal(proof_words(&cases[i].tally, "sampled events", cases[i].least_error,
					     &cases[i].frequency, words), words);
		if (strcmp(words, cases[i].words))
			fail_msg("%s: %s", cases[i].name, words);
	}
}

/* The longest possible words */
static void test_room(void **state)
{
	const uint64_t most = UINT64_MAX / 5;
	const struct fit_tally tally = {
		.inside = most, .violations = most, .unknown = most, .outside = most, .impossible = most,
	};
	const struct tsc_frequency frequency = { 0, 0 };
	char words[PROOF_WORDS_SIZE];

	proof_words(&tally, "sampled events", 0, &frequency, words);
	assert_non_null(strstr(words, " not provable"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_proof),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
