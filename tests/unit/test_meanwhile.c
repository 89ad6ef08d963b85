// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * A CPU's events are shown outside of the host's recording. Which of them were recorded while another CPU recorded
 * inside it? The host's recording is from host TSC 0 to 199; the guest's TSC is 1000 more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fit.h"
#include "guest_sample.h"
#include "made_modes.h"
#include "meanwhile.h"

#define MAX_EVENTS	8
#define OFFSET		1000

struct apart_case {
	const char	*name;
	uint64_t	apart[MAX_EVENTS];	/* guest times of this CPU */
	uint64_t	inside;			/* number of its events in guest mode */
	uint64_t	unknown;		/* number at unknown times; two more are outside */
	uint64_t	others[MAX_EVENTS];	/* guest times of another CPU */
	size_t		nr;			/* expected result */
};

static const struct apart_case cases[] = {
	{ "recorded meanwhile", { 1060, 1070, 1090 }, 0, 0, { 1055, 1095 }, 3 },
	{ "in part", { 900, 1054, 1055, 1095, 1096 }, 0, 0, { 1055, 1095 }, 2 },
	{ "idle meanwhile", { 900, 901, 1400, 1401 }, 0, 0, { 1055, 1095 }, 0 },
	{ "within the recording itself", { 1060, 1070, 1090 }, 1, 0, { 1055, 1095 }, 0 },
	{ "mostly not provable", { 1060, 1070, 1090 }, 0, 2, { 1055, 1095 }, 0 },
	{ "mostly outside", { 1060, 1070, 1090 }, 0, 1, { 1055, 1095 }, 3 },
	/* Events of the other CPU that are out of guest mode or outside the recording show nothing */
	{ "the other one fits less", { 1052, 1060, 1096 }, 0, 0, { 1050, 1055, 1095, 1105, 1300 }, 2 },
	{ "the other one fits nowhere", { 1060, 1300 }, 0, 0, { 1105, 1300, 1400 }, 0 },
	/*
	 * The other CPU's TSC went back between two of its events: times between
	 * these two were never recorded in this order
	 */
	{ "the other one's TSC went back", { 1052, 1058, 1062, 1094 }, 0, 0, { 1090, 1095, 1055, 1060 }, 2 },
	{ "the same, overlapping", { 1052, 1058, 1080, 1096 }, 0, 0, { 1057, 1095, 1055, 1060 }, 2 },
};

static size_t nr_events(const uint64_t *times)
{
	size_t nr = 0;

	while (nr < MAX_EVENTS && times[nr])
		nr++;
	return nr;
}

static void check_case(const struct apart_case *c)
{
	/* In guest mode from host TSC 50 to 99 */
	struct vcpu_modes modes = made_modes("HHHHHGGGGGHHHHHHHHHH");
	struct fit_phase phase = { .to = UINT64_MAX, .map.offset = OFFSET, .segment = FIT_NONE };
	struct fit_vcpu vcpus[2] = { { .modes = &modes, .phases = &phase, .nr_phases = 1 } };
	struct fit_run run = { .last = nr_events(c->others) - 1 };
	bool impossible[MAX_EVENTS] = { false };
	struct fit_result results[2] = {
		{ .path.tally = { .inside = c->inside, .outside = 2, .unknown = c->unknown } },
		{ .path = { .runs = &run, .nr_runs = 1, .impossible = impossible, .tally.inside = 1 } },
	};
	struct guest_sample_cpu sampled[2] = {
		{ .times = (uint64_t *)c->apart, .nr = nr_events(c->apart) },
		{ .times = (uint64_t *)c->others, .nr = nr_events(c->others) },
	};
	struct fit_cpu cpus[2] = { { .times = c->apart, .nr_times = nr_events(c->apart) },
				   { .times = c->others, .nr_times = nr_events(c->others) } };
	struct fit fit = { .results = results, .nr_results = 2 };
	struct fit_input input = { .host = { vcpus, 2, 0, 199 }, .cpus = cpus, .nr_cpus = 2 };
	struct guest_sample sample = { .cpus = sampled, .nr_cpus = 2 };
	size_t nr;

	assert_int_equal(meanwhile_count(&fit, &input, &sample, 0, &nr), 0);
	if (nr != c->nr)
		fail_msg("%s: %zu events", c->name, nr);
	/* Impossible events of the other CPU show nothing */
	for (size_t i = 0; i < MAX_EVENTS; i++)
		impossible[i] = true;
	assert_int_equal(meanwhile_count(&fit, &input, &sample, 0, &nr), 0);
	assert_int_equal(nr, 0);
	vcpu_modes_release(&modes);
}

static void test_cases(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		check_case(&cases[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
