// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The events of a CPU that a file lacks, found by the kernel's counts; the file's pages do not show them. Two rules
 * find what was dropped at the end: the oldest event that was still in the ring buffer ("oldest event ts") is later
 * than the file's last event; more events were read than the file has.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cpu_stats.h"

#define ALL UINT64_MAX

struct loss_case {
	const char		*name;
	struct cpu_stats	stats;
	struct cpu_events	events;
	bool			lost;
	uint64_t		from;
	uint64_t		to;
};

static const struct loss_case loss_cases[] = {
	{ "all is there", { .read = 78, .now = 900, .by_cycles = true }, { 78, 800, 0 }, false, 0, 0 },
	{ "trace-cmd counted before it read the rest",
	  { .entries = 4, .read = 74, .oldest = 790, .now = 900, .by_cycles = true }, { 78, 800, 0 }, false, 0, 0 },
	{ "the oldest event is the file's last one",
	  { .entries = 1, .read = 77, .oldest = 800, .now = 900, .by_cycles = true }, { 78, 800, 0 }, false, 0, 0 },
	/* Real numbers of trace-cmd 3.1.6, which drops the last page */
	{ "the last page was dropped",
	  { .entries = 74, .read = 78, .oldest = 742805118788, .now = 742900000000, .by_cycles = true },
	  { 78, 742771435208, 0 }, true, 742771435208, 742900000000 },
	{ "the oldest event is one cycle after the last one",
	  { .entries = 1, .read = 78, .oldest = 801, .now = 900, .by_cycles = true }, { 78, 800, 0 }, true, 800, 900 },
	{ "an oldest event without entries is one that was read",
	  { .entries = 0, .read = 78, .oldest = 850, .now = 900, .by_cycles = true }, { 78, 800, 0 }, false, 0, 0 },
	{ "an oldest event in nanoseconds says nothing",
	  { .entries = 4, .read = 78, .oldest = 850, .now = 900, .by_ns = true }, { 78, 800, 0 }, false, 0, 0 },
	{ "one event was read that the file does not have",
	  { .read = 79, .now = 900, .by_cycles = true }, { 78, 800, 0 }, true, 0, 900 },
	{ "an event found no room", { .dropped = 1, .read = 78, .now = 900, .by_cycles = true }, { 78, 800, 0 },
	  true, 0, 900 },
	{ "an event came while the buffer was full of unfinished ones",
	  { .commit_overrun = 1, .read = 78, .now = 900, .by_cycles = true }, { 78, 800, 0 }, true, 0, 900 },
	{ "events were overwritten, the pages say so of as many", { .overrun = 5, .read = 78, .now = 900,
	  .by_cycles = true }, { 78, 800, 5 }, false, 0, 0 },
	{ "one more was overwritten than the pages say", { .overrun = 6, .read = 78, .now = 900, .by_cycles = true },
	  { 78, 800, 5 }, true, 800, 900 },
	{ "what the pages say may be all", { .overrun = 6, .read = 78, .now = 900, .by_cycles = true },
	  { 78, 800, ALL }, false, 0, 0 },
	{ "it is not known when that was counted", { .overrun = 6, .read = 78, .now = 900, .by_ns = true },
	  { 78, 800, 5 }, true, 800, ALL },
	{ "it was counted before the last event", { .overrun = 6, .read = 78, .now = 800, .by_cycles = true },
	  { 78, 800, 5 }, true, 800, ALL },
	{ "it was counted right after the last event", { .overrun = 6, .read = 78, .now = 801, .by_cycles = true },
	  { 78, 800, 5 }, true, 800, 801 },
	{ "a CPU without an event, of which none was read",
	  { .now = 900, .by_cycles = true }, { 0, 0, 0 }, false, 0, 0 },
	{ "a CPU without an event, of which some were left", { .entries = 3, .oldest = 700, .now = 900,
	  .by_cycles = true }, { 0, 0, 0 }, true, 0, 900 },
};

static void test_loss(void **state)
{
	for (size_t i = 0; i < sizeof(loss_cases) / sizeof(*loss_cases); i++) {
		const struct loss_case *c = &loss_cases[i];
		struct lost_range lost = { 0 };
		bool found = cpu_stats_loss(&c->stats, &c->events, &lost);

		if (found != c->lost)
			fail_msg("%s: %d", c->name, found);
		if (found && (lost.from != c->from || lost.to != c->to))
			fail_msg("%s: %lu to %lu", c->name, (unsigned long)lost.from, (unsigned long)lost.to);
	}
}

static void test_parse(void **state)
{
	struct cpu_stats stats;

	cpu_stats_parse(&stats, "CPU: 12\nentries: 7\noverrun: 3\ncommit overrun: 1\nbytes: 252\noldest event ts: 38\n"
			"now ts: 45\ndropped events: 2\nread events: 9381\n");
	assert_int_equal(stats.cpu, 12);
	assert_int_equal(stats.entries, 7);
	assert_int_equal(stats.overrun, 3);
	assert_int_equal(stats.commit_overrun, 1);
	assert_int_equal(stats.dropped, 2);
	assert_int_equal(stats.oldest, 38);
	assert_int_equal(stats.now, 45);
	assert_int_equal(stats.read, 9381);
	assert_true(stats.by_cycles && !stats.by_ns);
	/* The last line may lack a newline */
	cpu_stats_parse(&stats, "read events: 5");
	assert_int_equal(stats.read, 5);
	cpu_stats_parse(&stats, "now ts:  15573.441098\n");
	assert_true(stats.by_ns && !stats.by_cycles);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loss),
		cmocka_unit_test(test_parse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
