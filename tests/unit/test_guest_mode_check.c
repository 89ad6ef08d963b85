// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Each event of a guest is compared with the modes that its host recorded. The guest's file is small and its content
 * is known. Host time is written as letters, one for each 10 cycles; the host recorded cycles 10 to 89.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest_mode_check.h"
#include "guest_vcpus.h"
#include "made_modes.h"
#include "merged_times.h"
#include "page_file.h"
#include "progress.h"
#include "time_shift.h"

#define OFFSET		100000
#define MAX_TIMES	12
#define NO		GUEST_MODE_NO_LIMIT

struct event_case {
	const char			*name;
	const char			*modes;
	size_t				nr;
	uint64_t			times[MAX_TIMES];	/* host times at which they are shown */
	struct guest_mode_cpu		wanted;
	size_t				max_listed;
	struct guest_mode_violation	listed;			/* the first violation */
};

static const struct event_case event_cases[] = {
	{ .name = "no event", .modes = "HGH", .wanted = { .earlier = NO, .later = NO } },
	{ .name = "all inside", .modes = "HHGGHH", .nr = 3, .times = { 22, 25, 38 },
	  .wanted = { .counts.inside = 3, .earlier = 2, .later = 1 } },
	{ .name = "the first cycle and the last", .modes = "HHGGHH", .nr = 2, .times = { 20, 39 },
	  .wanted = { .counts.inside = 2 } },
	{ .name = "one before and one after", .modes = "HHGGHH", .nr = 2, .times = { 19, 40 }, .max_listed = 5,
	  .wanted = { .counts.violations = 2, .earlier = NO, .later = NO, .nr_listed = 2 },
	  .listed = { .host_tsc = 19, .after = { 20, 39 } } },
	{ .name = "between two spans", .modes = "HGGHHGH", .nr = 2, .times = { 25, 45 }, .max_listed = 5,
	  .wanted = { .counts.inside = 1, .counts.violations = 1, .earlier = 15, .later = 4, .nr_listed = 1 },
	  .listed = { .host_tsc = 45, .before = { 10, 29 }, .after = { 50, 59 } } },
	{ .name = "what was before is not known", .modes = "HG.HG.", .nr = 1, .times = { 35 }, .max_listed = 5,
	  .wanted = { .counts.violations = 1, .earlier = NO, .later = NO, .nr_listed = 1 },
	  .listed = { .host_tsc = 35, .after = { 40, 0 } } },
	{ .name = "some are listed", .modes = "HGGHHGH", .nr = 3, .times = { 45, 46, 47 }, .max_listed = 2,
	  .wanted = { .counts.violations = 3, .earlier = NO, .later = NO, .nr_listed = 2 },
	  .listed = { .host_tsc = 45, .before = { 10, 29 }, .after = { 50, 59 } } },
	{ .name = "none are listed", .modes = "HGGHHGH", .nr = 1, .times = { 45 },
	  .wanted = { .counts.violations = 1, .earlier = NO, .later = NO } },
	{ .name = "the ends of the recording", .modes = "..........", .nr = 4, .times = { 9, 10, 89, 90 },
	  .wanted = { .counts.outside = 2, .counts.unprovable = 2, .earlier = NO, .later = NO } },
	{ .name = "guest mode that goes on for an unknown time", .modes = "HG...GH", .nr = 3, .times = { 17, 30, 54 },
	  .wanted = { .counts.inside = 2, .counts.unprovable = 1, .earlier = 4, .later = 5 } },
};

static bool same_span(const struct guest_mode_span *a, const struct guest_mode_span *b)
{
	return a->entry == b->entry && a->exit == b->exit;
}

static void check_cpu(const char *name, const struct guest_mode_cpu *cpu, const struct guest_mode_cpu *wanted)
{
	if (cpu->counts.inside != wanted->counts.inside || cpu->counts.violations != wanted->counts.violations ||
	    cpu->counts.impossible != wanted->counts.impossible || cpu->counts.outside != wanted->counts.outside ||
	    cpu->counts.unprovable != wanted->counts.unprovable ||
	    cpu->earlier != wanted->earlier || cpu->later != wanted->later ||
	    cpu->nr_listed != wanted->nr_listed)
		fail_msg("%s: %lu inside, %lu violations, %lu impossible, %lu outside, %lu unprovable, %ld, %ld, "
			 "%zu listed", name, (unsigned long)cpu->counts.inside, (unsigned long)cpu->counts.violations,
			 (unsigned long)cpu->counts.impossible, (unsigned long)cpu->counts.outside,
			 (unsigned long)cpu->counts.unprovable,
			 (long)cpu->earlier, (long)cpu->later, cpu->nr_listed);
}

/* Check a file with events on CPU 1. @shift: its TIME_SHIFT. */
static void ask(struct guest_mode_check *result, struct page_file *file, const struct guest_vcpu *vcpu,
		const struct time_shift_reader *shift, int64_t added, const uint64_t *times, size_t nr,
		size_t max_listed)
{
	static const struct host_times host_times;
	struct guest_vcpu cpus[2] = { { 0 }, *vcpu };
	struct guest_vcpus vcpus = { cpus, 2 };
	struct merged_times merged = { .guest = shift, .host = &host_times, .added = added };
	struct progress progress = { 0 };
	struct guest_mode_check_input input = {
		.guest = &file->dat, .vcpus = &vcpus, .begin = 10, .end = 89, .file = &merged,
		.max_listed = max_listed, .progress = &progress,
	};
	uint8_t page[512];

	page_file_open(file, sizeof(page));
	page_file_put_page(page, sizeof(page), times, nr);
	page_file_add_cpu(file, 0, NULL, 0);
	page_file_add_cpu(file, 1, page, 1);
	assert_int_equal(guest_mode_check_bytes(&file->dat, NULL), 512);
	assert_int_equal(guest_mode_check(result, &input), 0);
	assert_int_equal(result->nr_buffers, 1);
}

static void test_events(void **state)
{
	const struct time_shift_reader uncorrected = { 0 };

	for (size_t i = 0; i < sizeof(event_cases) / sizeof(*event_cases); i++) {
		const struct event_case *c = &event_cases[i];
		struct vcpu_modes modes = made_modes(c->modes);
		/* Without a history no time is impossible */
		struct guest_vcpu vcpu = { .known = true, .vcpu_id = 7, .modes = &modes };
		const struct guest_mode_cpu *cpu;
		struct guest_mode_check result;
		struct page_file file;
		uint64_t times[MAX_TIMES];

		for (size_t j = 0; j < c->nr; j++)
			times[j] = c->times[j] + OFFSET;
		ask(&result, &file, &vcpu, &uncorrected, -OFFSET, times, c->nr, c->max_listed);
		assert_true(result.buffers[0].checked && result.buffers[0].nr_cpus == 1);
		cpu = result.buffers[0].cpus;
		assert_true(cpu->cpu == 1 && cpu->has_vcpu && cpu->vcpu_id == 7 && !cpu->corrected);
		assert_int_equal(cpu->counts.events, c->nr);
		check_cpu(c->name, cpu, &c->wanted);
		if (cpu->nr_listed && (cpu->listed[0].host_tsc != c->listed.host_tsc || cpu->listed[0].impossible ||
				       cpu->listed[0].guest_tsc != c->listed.host_tsc + OFFSET ||
				       !same_span(&cpu->listed[0].before, &c->listed.before) ||
				       !same_span(&cpu->listed[0].after, &c->listed.after)))
			fail_msg("%s: %lu, before %lu to %lu, after %lu to %lu", c->name,
				 (unsigned long)cpu->listed[0].host_tsc, (unsigned long)cpu->listed[0].before.entry,
				 (unsigned long)cpu->listed[0].before.exit, (unsigned long)cpu->listed[0].after.entry,
				 (unsigned long)cpu->listed[0].after.exit);
		guest_mode_check_release(&result);
		page_file_close(&file);
		vcpu_modes_release(&modes);
	}
}

/* At host time 40 the TSC jumps forward from OFFSET + 39 to OFFSET + 140, and the TIME_SHIFT has this jump */
struct impossible_case {
	const char		*name;
	bool			gap;
	bool			unknown_before;
	bool			protected;
	int64_t			added;
	size_t			nr;
	uint64_t		times[MAX_TIMES];	/* guest times less OFFSET */
	struct guest_mode_cpu	wanted;
	uint64_t		listed;
};

static const struct impossible_case impossible_cases[] = {
	{ "before the jump and after it", false, false, false, 0, 3, { 15, 25, 155 },
	  { .counts.inside = 3, .earlier = 5, .later = 4 }, 0 },
	{ "to the last time before it and from the first one after it", false, false, false, 0, 4, { 15, 25, 39, 140 },
	  { .counts.inside = 2, .counts.violations = 2, .earlier = 5, .later = 4, .nr_listed = 2 }, 39 },
	{ "one of a time that the TSC jumped over", false, false, false, 0, 3, { 15, 25, 100 },
	  { .counts = { .inside = 2, .violations = 1, .impossible = 1 },
	    .earlier = 5, .later = 4, .nr_listed = 1 }, 100 },
	{ "the first one that it jumped over", false, false, false, 0, 3, { 15, 25, 40 },
	  { .counts = { .inside = 2, .violations = 1, .impossible = 1 },
	    .earlier = 5, .later = 4, .nr_listed = 1 }, 40 },
	{ "the last one", false, false, false, 0, 3, { 15, 25, 139 },
	  { .counts = { .inside = 2, .violations = 1, .impossible = 1 },
	    .earlier = 5, .later = 4, .nr_listed = 1 }, 139 },
	{ "an event was lost: it is not known what the TSC had", true, false, false, 0, 3, { 15, 25, 100 },
	  { .counts.inside = 2, .counts.violations = 1, .earlier = 5, .later = 4, .nr_listed = 1 }, 100 },
	{ "it is not known what was before the first change", false, true, false, 0, 2, { 139, 155 },
	  { .counts.inside = 1, .counts.violations = 1, .earlier = 5, .later = 4, .nr_listed = 1 }, 139 },
	{ "what is shown is not what the history says: it explains nothing", false, false, false, 40, 3,
	  { 15, 25, 100 },
	  { .counts.inside = 1, .counts.violations = 2, .earlier = 5, .later = 4, .nr_listed = 1 }, 25 },
	{ "as many as the history can explain", false, false, false, 0, 9,
	  { 15, 100, 101, 102, 103, 104, 105, 106, 107 },
	  { .counts = { .inside = 1, .violations = 8, .impossible = 8 },
	    .earlier = 5, .later = 14, .nr_listed = 5 }, 100 },
	{ "a protected TSC: what KVM says need not be so", false, false, true, 0, 3, { 15, 25, 100 },
	  { .counts.inside = 2, .counts.violations = 1, .earlier = 5, .later = 4, .nr_listed = 1 }, 100 },
	{ "what contradicts is listed first, and no more than asked for", false, false, false, 0, 8,
	  { 15, 30, 31, 100, 101, 102, 103, 104 },
	  { .counts = { .inside = 1, .violations = 7, .impossible = 5 },
	    .earlier = 5, .later = 14, .nr_listed = 5 }, 30 },
};

static void test_impossible(void **state)
{
	static const struct time_shift_point points[] = {
		{ 1, 0 }, { 2, 0 }, { 3, 0 }, { 4, 0 },
		{ OFFSET - 1000, -OFFSET }, { OFFSET + 39, -OFFSET }, { OFFSET + 140, -OFFSET - 100 },
		{ OFFSET + 1000, -OFFSET - 100 },
	};
	const struct time_shift shift = { 2, 4, (struct time_shift_point *)points };
	const struct tsc_mapping before = { .offset = OFFSET }, after = { .offset = OFFSET + 100 };
	struct time_shift_reader reader;
	void *option;
	size_t size;

	assert_int_equal(time_shift_encode(&shift, 1, &option, &size), 0);
	assert_int_equal(time_shift_decode(&reader, option, size), 0);
	for (size_t i = 0; i < sizeof(impossible_cases) / sizeof(*impossible_cases); i++) {
		const struct impossible_case *c = &impossible_cases[i];
		struct vcpu_modes modes = made_modes("HGGHHGHHH...");
		struct vcpu_history history = { .begins = 0 };
		struct guest_vcpu_source source = { &modes, &history };
		struct guest_vcpu vcpu = { .known = true, .modes = &modes, .sources = &source, .nr_sources = 1 };
		const struct guest_mode_cpu *cpu;
		struct guest_mode_check result;
		struct page_file file;
		uint64_t times[MAX_TIMES];

		if (c->unknown_before) {
			/* These events always report a previous offset of 0, as kernels do that never report it */
			const struct tsc_mapping zero = { .offset = 0 };

			assert_int_equal(vcpu_history_add(&history, 30, &before, &zero), 0);
			assert_int_equal(vcpu_history_add(&history, 40, &after, &zero), 0);
		} else {
			vcpu_history_set_initial(&history, &before);
			assert_int_equal(vcpu_history_add(&history, 40, &after, &before), 0);
		}
		history.segments[history.nr_segments - 1].lost_before = c->gap;
		history.tsc_protected = c->protected;
		for (size_t j = 0; j < c->nr; j++)
			times[j] = c->times[j] + OFFSET;
		ask(&result, &file, &vcpu, &reader, c->added, times, c->nr, 5);
		cpu = result.buffers[0].cpus;
		assert_true(cpu->corrected);
		check_cpu(c->name, cpu, &c->wanted);
		if (cpu->nr_listed && (cpu->listed[0].guest_tsc != c->listed + OFFSET ||
				       cpu->listed[0].impossible != (c->wanted.counts.impossible && c->listed >= 40)))
			fail_msg("%s: listed is %lu", c->name, (unsigned long)cpu->listed[0].guest_tsc - OFFSET);
		guest_mode_check_release(&result);
		page_file_close(&file);
		vcpu_modes_release(&modes);
		free(history.segments);
	}
	time_shift_reader_release(&reader);
	free(option);
}

/* A CPU whose vCPU is unknown, and a buffer with another clock */
static void test_unknown(void **state)
{
	const struct time_shift_reader uncorrected = { 0 };
	const uint64_t times[] = { 10, 20 };
	const struct guest_vcpu vcpu = { .known = false };
	struct guest_mode_check result;
	struct page_file file;

	ask(&result, &file, &vcpu, &uncorrected, 0, times, 2, 5);
	assert_true(!result.buffers[0].cpus[0].has_vcpu && result.buffers[0].cpus[0].counts.outside == 2);
	guest_mode_check_release(&result);

	struct merged_times merged = { .guest = &uncorrected };
	struct guest_vcpus vcpus = { NULL, 0 };
	struct progress progress = { 0 };
	struct guest_mode_check_input input = {
		.guest = &file.dat, .vcpus = &vcpus, .file = &merged, .progress = &progress,
	};
	struct host_times host_times = { 0 };

	merged.host = &host_times;
	file.buffer.clock = (char *)"mono";
	assert_int_equal(guest_mode_check(&result, &input), 0);
	assert_true(!result.buffers[0].checked && !result.buffers[0].nr_cpus);
	assert_string_equal(result.buffers[0].clock, "mono");
	guest_mode_check_release(&result);
	/* The user overrides the clock check, and the guest has more CPUs than known vCPUs */
	input.any_clock = true;
	assert_int_equal(guest_mode_check(&result, &input), 0);
	assert_true(result.buffers[0].checked && result.buffers[0].cpus[0].counts.outside == 2);
	guest_mode_check_release(&result);
	page_file_close(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_impossible),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
