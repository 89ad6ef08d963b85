// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The history of a guest's CPU, composed from the result of the fit. Where the TSC jumped backward, the events
 * themselves show which guest times belong to which part.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fit.h"
#include "guest_sample.h"
#include "guest_vcpus.h"
#include "made_vcpus.h"
#include "page_file.h"
#include "prng.h"

#define EVENTS		200
#define B		MADE_BEGIN
#define E		MADE_END
#define MID		((B + E) / 2)
#define BACK		90000

/* The input of guest_vcpus_make(), and its result */
struct world {
	struct made_vcpus	made;
	struct guest_sample	sample;
	struct guest_sample_cpu	cpus[2];
	uint64_t		times[2][EVENTS];
	uint64_t		pages[2][EVENTS];
	uint32_t		numbers[2][EVENTS];
	bool			went_back[2][EVENTS];
	bool			apart[2];
	struct fit_cpu		fit_cpus[2];
	struct fit_input	input;
	struct fit		fit;
	struct guest_vcpus	vcpus;
	struct trace_dat	dat;
};

static struct world world;

static void begin(const struct made_vcpu *vcpus, size_t nr, size_t nr_vms, uint64_t *seed)
{
	world = (struct world) {
		.sample = { .cpus = world.cpus, .whole = true },
		.input = { .nr_vms = nr_vms, .apart = world.apart, .cpus = world.fit_cpus, .vm = FIT_NONE },
	};
	made_vcpus_make(&world.made, vcpus, nr, seed);
	world.input.host = world.made.host;
}

/* Make events of a CPU while it is this vCPU; they follow those that the CPU already has */
static void add_events(uint32_t cpu, size_t vcpu, uint64_t from, uint64_t to, size_t nr, uint64_t *seed)
{
	size_t nr_cpus = world.sample.nr_cpus;
	struct guest_sample_cpu *sample;

	if (!nr_cpus || world.cpus[nr_cpus - 1].cpu != cpu) {
		world.cpus[nr_cpus] = (struct guest_sample_cpu) {
			.cpu = cpu, .times = world.times[nr_cpus], .pages = world.pages[nr_cpus],
			.numbers = world.numbers[nr_cpus], .went_back = world.went_back[nr_cpus], .whole = true,
		};
		world.sample.nr_cpus = ++nr_cpus;
	}
	sample = &world.cpus[nr_cpus - 1];
	made_vcpus_events(&world.made, vcpu, from, to, sample->times + sample->nr, nr, seed);
	sample->nr += nr;
}

static void make(size_t nr_guest_cpus)
{
	world.input.nr_cpus = world.sample.nr_cpus;
	world.input.nr_guest_cpus = nr_guest_cpus;
	for (size_t i = 0; i < world.sample.nr_cpus; i++)
		world.fit_cpus[i] = (struct fit_cpu) {
			.cpu = world.cpus[i].cpu, .times = world.cpus[i].times, .nr_times = world.cpus[i].nr,
			.went_back = world.cpus[i].went_back,
		};
	assert_int_equal(fit_find(&world.fit, &world.input), 0);
	assert_int_equal(guest_vcpus_make(&world.vcpus, &world.fit, &world.input, &world.sample, &world.dat,
					  NULL), 0);
}

static void end(void)
{
	guest_vcpus_release(&world.vcpus);
	fit_release(&world.fit);
	made_vcpus_release(&world.made);
}

static void test_forward(void **state)
{
	static const struct made_vcpu vcpu = {
		.vcpu_id = 3, .tid = 10, .offset = -500, .change = MID, .changed = 70000,
	};
	uint64_t seed = 81;

	begin(&vcpu, 1, 1, &seed);
	world.apart[0] = true;
	add_events(0, 0, B, E - 20000, EVENTS, &seed);
	world.cpus[0].nr_late = 4;
	make(1);
	assert_int_equal(world.vcpus.nr, 1);
	const struct guest_vcpu *cpu = &world.vcpus.cpus[0];

	assert_true(cpu->known && cpu->has_events && cpu->vcpu_id == 3 && cpu->tid == 10 && cpu->nr_late == 4);
	assert_true(!cpu->begins_unknown && !cpu->overlaps);
	assert_true(cpu->history.initial_known && cpu->history.initial.offset == -500);
	assert_true(cpu->history.vcpu_id == 3 && cpu->history.begins == 0);
	assert_int_equal(cpu->history.nr_segments, 1);
	assert_int_equal(cpu->history.segments[0].host_tsc, MID);
	assert_int_equal(cpu->history.segments[0].map.offset, 70000);
	assert_int_equal(cpu->history.segments[0].previous.offset, -500);
	/* The guest times show which events are after the jump */
	assert_int_equal(cpu->history.segments[0].guest_from, 0);
	assert_true(cpu->nr_sources == 1 && cpu->modes == &world.made.modes[0]);
	end();
}

/* Which events belong to which part: by the place of the first event that can */
static void test_parts(void **state)
{
	for (int back = 0; back < 2; back++) {
		const struct made_vcpu vcpu = {
			.offset = -500, .change = MID, .changed = back ? -500 - BACK : 70000,
		};
		const struct guest_vcpu_part *parts;
		uint64_t seed = 81;

		begin(&vcpu, 1, 1, &seed);
		world.apart[0] = true;
		add_events(0, 0, B, MID - BACK, EVENTS / 2, &seed);
		add_events(0, 0, MID + BACK, E - 20000, EVENTS / 2, &seed);
		for (size_t i = 0; i < EVENTS; i++) {
			world.pages[0][i] = i / 30;
			world.numbers[0][i] = i % 30 * 2;
		}
		make(1);
		assert_int_equal(world.vcpus.cpus[0].nr_parts, 2);
		parts = world.vcpus.cpus[0].parts;
		assert_true(!parts[0].page && !parts[0].number && !parts[0].jumped && !parts[0].source &&
			    !parts[1].source);
		assert_true(parts[0].map.offset == -500 && parts[0].host_to == MID - 1);
		assert_true(parts[1].map.offset == vcpu.changed && parts[1].host_from == MID);
		assert_int_equal(parts[1].jumped, !back);
		if (back) {
			/* The first event after the jump */
			assert_true(parts[1].page == EVENTS / 2 / 30 && parts[1].number == EVENTS / 2 % 30 * 2);
		} else {
			/* The last event that is certainly before the jump; the times of later events decide */
			assert_true(parts[1].page == (EVENTS / 2 - 1) / 30 &&
				    parts[1].number == (EVENTS / 2 - 1) % 30 * 2);
			assert_int_equal(parts[1].guest_from, MID + 70000);
		}
		end();
	}
}

/* Events that could also be before a jump backward are undecided, unless the ring buffer shows the jump's place */
static void test_undecided(void **state)
{
	static const struct made_vcpu vcpu = { .offset = -500, .change = MID, .changed = -500 - BACK };
	size_t nr_undecided = 0;

	for (uint64_t gap = BACK; gap < BACK + 3000; gap += 100) {
		for (int shown = 0; shown < 2; shown++) {
			uint64_t seed = 83;

			begin(&vcpu, 1, 1, &seed);
			world.apart[0] = true;
			add_events(0, 0, B, MID - gap / 2, EVENTS / 2, &seed);
			add_events(0, 0, MID + gap / 2, E - 20000, EVENTS / 2, &seed);
			for (size_t i = 0; i < EVENTS; i++)
				world.numbers[0][i] = i;
			world.went_back[0][EVENTS / 2] = shown;
			make(1);
			assert_int_equal(world.vcpus.cpus[0].nr_parts, 2);
			if (shown) {
				assert_false(world.vcpus.cpus[0].undecided);
				assert_int_equal(world.vcpus.cpus[0].parts[1].number, EVENTS / 2);
			}
			nr_undecided += world.vcpus.cpus[0].undecided;
			end();
		}
	}
	assert_true(nr_undecided);
}

/* A change of the ratio as KVM makes it: the TSC continues without a jump */
static void test_no_jump(void **state)
{
	static const struct made_vcpu vcpu = { .offset = -500, .change = MID, .changed = -500 };
	uint64_t seed = 89;

	begin(&vcpu, 1, 1, &seed);
	world.apart[0] = true;
	fit_vcpu_release(&world.made.vcpus[0]);
	world.made.histories[0].segments[0].map = (struct tsc_mapping) { -500 - MID, 2ULL << 32, 32 };
	assert_int_equal(fit_vcpu_make(&world.made.vcpus[0], NULL, 0), 0);
	world.input.host = world.made.host;
	add_events(0, 0, B, E - 20000, EVENTS, &seed);
	make(1);
	assert_int_equal(world.vcpus.cpus[0].history.nr_segments, 1);
	assert_int_equal(world.vcpus.cpus[0].history.segments[0].guest_from, 0);
	end();
}

/* Changes after the last event are not part of its CPU's history */
static void test_later_change(void **state)
{
	static const struct made_vcpu vcpu = { .offset = -500, .change = B + 200000, .changed = 70000 };
	const struct tsc_mapping second = { .offset = 70000 }, third = { .offset = 150000 };
	uint64_t seed = 90;

	begin(&vcpu, 1, 1, &seed);
	world.apart[0] = true;
	fit_vcpu_release(&world.made.vcpus[0]);
	assert_int_equal(vcpu_history_add(&world.made.histories[0], E - 200000, &third, &second), 0);
	assert_int_equal(fit_vcpu_make(&world.made.vcpus[0], NULL, 0), 0);
	world.input.host = world.made.host;
	add_events(0, 0, B, E - 210000, EVENTS, &seed);
	make(1);
	assert_int_equal(world.vcpus.cpus[0].history.nr_segments, 1);
	assert_int_equal(world.vcpus.cpus[0].history.segments[0].host_tsc, B + 200000);
	end();
}

/* A change was lost. The next event reports the offset that it set, and the guest's events show when. */
static void test_lost_change(void **state)
{
	static const struct made_vcpu vcpu = { .offset = -500, .change = MID, .changed = 70000 };
	const struct tsc_mapping third = { .offset = 990000 }, lost = { .offset = 400000 };
	uint64_t seed = 91, last;

	begin(&vcpu, 1, 1, &seed);
	world.apart[0] = true;
	/* Between the first change, which sets 70000, and the last one the offset was 400000 for a while */
	add_events(0, 0, B, MID + 100000, EVENTS / 2, &seed);
	last = world.times[0][EVENTS / 2 - 1] - 70000;
	fit_vcpu_release(&world.made.vcpus[0]);
	assert_int_equal(vcpu_history_add(&world.made.histories[0], E - 30000, &third, &lost), 0);
	assert_int_equal(fit_vcpu_make(&world.made.vcpus[0], NULL, 0), 0);
	world.input.host = world.made.host;
	for (size_t i = EVENTS / 2; i < EVENTS; i++) {
		uint64_t from = last + 1000 + 3000 * (i - EVENTS / 2);

		world.times[0][i] = made_vcpus_time(&world.made.modes[0], from, from + 30000, &seed) + 400000;
		/* Keep them in order */
		if (world.times[0][i] < world.times[0][i - 1])
			world.times[0][i] = world.times[0][i - 1];
	}
	world.cpus[0].nr = EVENTS;
	make(1);
	const struct vcpu_history *history = &world.vcpus.cpus[0].history;

	assert_int_equal(history->nr_segments, 2);
	assert_int_equal(history->segments[0].host_tsc, MID);
	assert_int_equal(history->segments[1].map.offset, 400000);
	/*
	 * It is in force from the cycle after the last event of the part
	 * before; readers switch at its own first event
	 */
	assert_int_equal(history->segments[1].host_tsc, last + 1);
	assert_int_equal(history->segments[1].guest_from, world.times[0][EVENTS / 2]);
	end();
}

/*
 * A change was lost, and the guest has no event while that offset was in force: the history goes directly from one
 * known offset to the next
 */
static void test_lost_unseen(void **state)
{
	static const struct made_vcpu vcpu = { .offset = -500, .change = MID, .changed = 70000 };
	const struct tsc_mapping third = { .offset = 990000 }, lost = { .offset = 400000 };
	uint64_t seed = 92;

	begin(&vcpu, 1, 1, &seed);
	world.apart[0] = true;
	fit_vcpu_release(&world.made.vcpus[0]);
	assert_int_equal(vcpu_history_add(&world.made.histories[0], E - 200000, &third, &lost), 0);
	assert_int_equal(fit_vcpu_make(&world.made.vcpus[0], NULL, 0), 0);
	world.input.host = world.made.host;
	add_events(0, 0, B, E - 20000, EVENTS, &seed);
	make(1);
	const struct vcpu_history *history = &world.vcpus.cpus[0].history;

	assert_int_equal(history->nr_segments, 2);
	assert_true(history->segments[1].host_tsc == E - 200000 && history->segments[1].map.offset == 990000);
	assert_int_equal(history->segments[1].guest_from, 0);
	end();
}

/* All events are after a change, so the history begins there */
static void test_after(void **state)
{
	static const struct made_vcpu vcpu = { .offset = -500, .change = MID, .changed = 70000 };
	uint64_t seed = 82;

	begin(&vcpu, 1, 1, &seed);
	world.apart[0] = true;
	add_events(0, 0, MID, E - 20000, EVENTS, &seed);
	make(1);
	assert_int_equal(world.vcpus.cpus[0].history.nr_segments, 0);
	assert_int_equal(world.vcpus.cpus[0].history.begins, MID);
	assert_int_equal(world.vcpus.cpus[0].history.initial.offset, 70000);
	end();
}

/*
 * @overlaps: guest times after the jump also occur before it; -1: either
 *
 * @gap: host time between the last event before the jump and the first one after it
 */
static void check_backward(uint64_t gap, int overlaps)
{
	static const struct made_vcpu vcpu = { .offset = -500, .change = MID, .changed = -500 - BACK };
	uint64_t seed = 83;

	begin(&vcpu, 1, 1, &seed);
	world.apart[0] = true;
	add_events(0, 0, B, MID - gap / 2, EVENTS / 2, &seed);
	add_events(0, 0, MID + gap / 2, E - 20000, EVENTS / 2, &seed);
	make(1);
	const struct guest_vcpu *cpu = &world.vcpus.cpus[0];
	uint64_t last = world.times[0][EVENTS / 2 - 1], first = world.times[0][EVENTS / 2], undecided = 0;
	size_t at = 0;

	assert_int_equal(cpu->history.nr_segments, 1);
	assert_int_equal(cpu->history.segments[0].host_tsc, MID);
	assert_int_equal(cpu->history.segments[0].map.offset, -500 - BACK);
	/* Count on from the boundary: successive events that could also be before the jump */
	while (last < first && world.times[0][at] != cpu->history.segments[0].guest_from)
		at++;
	for (size_t i = last < first ? at : EVENTS / 2; i < EVENTS && world.times[0][i] + 500 < MID; i++) {
		size_t span = vcpu_modes_find(&world.made.modes[0], world.times[0][i] + 500, 0);

		if (vcpu_modes_at(&world.made.modes[0], span) != MODE_GUEST)
			break;
		undecided = world.times[0][i];
	}
	if (overlaps < 0)
		overlaps = last >= first;
	if (overlaps) {
		assert_true(last >= first && cpu->overlaps);
		assert_int_equal(cpu->history.segments[0].guest_from, last + 1);
		assert_int_equal(cpu->overlap_from, first);
		assert_int_equal(cpu->overlap_to, undecided > last ? undecided : last);
	} else {
		assert_int_equal(cpu->overlaps, undecided != 0);
		assert_int_equal(cpu->overlap_to, undecided);
		assert_true(last < first);
		assert_true(world.times[0][at] == first || cpu->overlaps);
	}
	end();
}

static void test_backward(void **state)
{
	check_backward(BACK + 20000, false);
	check_backward(BACK / 2, true);
	/* All events after the jump could also be before it, or only some */
	for (uint64_t gap = BACK; gap < BACK + 3000; gap += 100)
		check_backward(gap, -1);
}

/* A vCPU is unplugged and plugged in again, with another thread */
static void test_replug(void **state)
{
	static const struct made_vcpu vcpus[] = {
		{ .vcpu_id = 1, .tid = 11, .to = MID - 50000, .offset = -500 },
		{ .vm = 1, .vcpu_id = 1, .tid = 99, .from = MID + 50000, .offset = -800 },
	};
	uint64_t seed = 84, from, to;

	begin(vcpus, 2, 2, &seed);
	add_events(0, 0, B, MID - 60000, EVENTS / 2, &seed);
	add_events(0, 1, MID + 60000, E - 20000, EVENTS / 2, &seed);
	make(1);
	const struct guest_vcpu *cpu = &world.vcpus.cpus[0];

	assert_true(cpu->known && cpu->vcpu_id == 1 && cpu->tid == 99);
	assert_int_equal(cpu->nr_sources, 2);
	assert_ptr_equal(cpu->sources[0].history, &world.made.histories[0]);
	assert_ptr_equal(cpu->sources[1].modes, &world.made.modes[1]);
	assert_ptr_equal(cpu->modes, &cpu->joined);
	assert_int_equal(cpu->history.initial.offset, -500);
	assert_int_equal(cpu->history.nr_segments, 1);
	assert_int_equal(cpu->history.segments[0].map.offset, -800);
	/* The second thread counts from its first entry */
	assert_true(fit_vcpu_lifetime(&world.made.vcpus[1], &from, &to));
	assert_int_equal(cpu->history.segments[0].host_tsc, from);
	assert_true(cpu->nr_parts == 2 && cpu->parts[0].source == 0 && cpu->parts[1].source == 1);
	assert_true(cpu->parts[0].map.offset == -500 && cpu->parts[1].map.offset == -800);
	/* The CPU is in guest mode when either thread is */
	assert_int_equal(cpu->joined.nr_guest, world.made.modes[0].nr_guest + world.made.modes[1].nr_guest);
	end();
}

/* CPUs without an event, and CPUs that the host does not have */
static void test_no_events(void **state)
{
	static const struct made_vcpu vcpus[] = {
		{ .vcpu_id = 0, .tid = 10, .offset = -500 }, { .vcpu_id = 1, .tid = 12, .offset = -500 },
		{ .vcpu_id = 2, .tid = 11, .offset = -700 },
	};
	uint64_t seed = 85;

	begin(vcpus, 3, 1, &seed);
	world.apart[0] = true;
	add_events(1, 2, B, E - 20000, EVENTS, &seed);
	make(3);
	assert_int_equal(world.vcpus.nr, 3);
	assert_true(world.vcpus.cpus[0].known && !world.vcpus.cpus[0].has_events);
	assert_true(world.vcpus.cpus[0].tid == 10 && world.vcpus.cpus[0].history.initial.offset == -500);
	assert_true(world.vcpus.cpus[1].has_events && world.vcpus.cpus[1].tid == 11);
	/* vCPU 2 is taken */
	assert_false(world.vcpus.cpus[2].known);
	end();
}

static void test_unknown(void **state)
{
	static const struct made_vcpu vcpus[] = { { .vcpu_id = 0, .tid = 10 } };
	uint64_t seed = 86;

	begin(vcpus, 1, 1, &seed);
	world.apart[0] = true;
	world.cpus[0] = (struct guest_sample_cpu) { .times = world.times[0], .pages = world.pages[0],
		.numbers = world.numbers[0], .went_back = world.went_back[0], .nr = 5 };
	world.sample.nr_cpus = 1;
	make(1);
	/* The CPU gets this vCPU by its order; the vCPU's offset is unknown */
	assert_true(world.vcpus.cpus[0].known && world.vcpus.cpus[0].has_events);
	assert_false(world.vcpus.cpus[0].history.initial_known);
	assert_int_equal(world.vcpus.cpus[0].nr_sources, 1);
	end();
}

/* Nothing is known before the first change, and there are events before it */
static void test_begins_unknown(void **state)
{
	static const struct made_vcpu vcpu = { .offset = -500 };

	for (int before = 0; before < 2; before++) {
		const struct tsc_mapping first = { .offset = -500 }, second = { .offset = -90 }, zero = { 0 };
		uint64_t seed = 87;

		begin(&vcpu, 1, 1, &seed);
		world.apart[0] = true;
		fit_vcpu_release(&world.made.vcpus[0]);
		world.made.histories[0].initial_known = false;
		/* No event reports a previous offset */
		assert_int_equal(vcpu_history_add(&world.made.histories[0], B + 200000, &first, &zero), 0);
		assert_int_equal(vcpu_history_add(&world.made.histories[0], E - 100000, &second, &zero), 0);
		assert_int_equal(fit_vcpu_make(&world.made.vcpus[0], NULL, 0), 0);
		world.input.host = world.made.host;
		add_events(0, 0, B + 200000, E - 120000, EVENTS - 5, &seed);
		if (before) {
			memmove(world.times[0] + 5, world.times[0], (EVENTS - 5) * sizeof(**world.times));
			for (size_t i = 0; i < 5; i++)
				world.times[0][i] = 1000 + i;
			world.cpus[0].nr += 5;
		}
		make(1);
		assert_true(world.vcpus.cpus[0].known);
		assert_int_equal(world.vcpus.cpus[0].begins_unknown, before);
		end();
	}
}

/* Of a large file only a sample is read. Where that does not suffice, more pages are read, down to single events. */
#define NR_PAGES	4000
#define PAGE_EVENTS	20

/* @after: least host time from the jump to the first event after it */
static void look_closer(uint64_t after, bool decided)
{
	static const struct made_vcpu vcpu = { .offset = -500, .change = MID, .changed = -500 - 20000 };
	static uint64_t times[NR_PAGES * PAGE_EVENTS];
	const size_t half = NR_PAGES * PAGE_EVENTS / 2 + 7;
	uint8_t *pages = calloc(NR_PAGES, 512);
	const struct guest_vcpu *cpu;
	struct page_file file;
	uint64_t seed = 88, from;

	assert_non_null(pages);
	begin(&vcpu, 1, 1, &seed);
	world.apart[0] = true;
	/* The last event before the jump cannot be after it, and the guest times after the jump are later */
	made_vcpus_events(&world.made, 0, B, MID - 25000, times, half, &seed);
	made_vcpus_events(&world.made, 0, MID + after, E - 20000, times + half, NR_PAGES * PAGE_EVENTS - half, &seed);
	assert_true(times[half - 1] < times[half]);
	for (size_t i = 0; i < NR_PAGES; i++)
		page_file_put_page(pages + 512 * i, 512, times + PAGE_EVENTS * i, PAGE_EVENTS);
	page_file_open(&file, 512);
	page_file_add_cpu(&file, 0, pages, NR_PAGES);
	assert_int_equal(guest_sample_read(&world.sample, &file.dat, &file.buffer), 0);
	assert_false(world.sample.whole);
	world.fit_cpus[0] = (struct fit_cpu) {
		.times = world.sample.cpus[0].times, .nr_times = world.sample.cpus[0].nr,
	};
	world.input.nr_cpus = world.input.nr_guest_cpus = 1;
	assert_int_equal(fit_find(&world.fit, &world.input), 0);
	assert_int_equal(guest_vcpus_make(&world.vcpus, &world.fit, &world.input, &world.sample, &file.dat,
					  &file.buffer), 0);
	cpu = &world.vcpus.cpus[0];
	assert_int_equal(cpu->history.nr_segments, 1);
	from = cpu->history.segments[0].guest_from;
	assert_true(from > times[half - 1]);
	if (decided) {
		assert_true(from == times[half] && !cpu->overlaps);
	} else {
		/*
		 * Events after the jump that could also be before it are reported as doubtful, whichever part they
		 * are assigned to
		 */
		assert_true(from >= times[half]);
		assert_true(cpu->undecided && cpu->overlap_from <= times[half]);
		for (size_t i = half; times[i] < from; i++)
			assert_true(times[i] <= cpu->overlap_to);
	}
	end();
	guest_sample_release(&world.sample);
	page_file_close(&file);
	free(pages);
}

static void test_look_closer(void **state)
{
	look_closer(20001, true);
	look_closer(1000, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forward),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_undecided),
		cmocka_unit_test(test_no_jump),
		cmocka_unit_test(test_later_change),
		cmocka_unit_test(test_lost_change),
		cmocka_unit_test(test_lost_unseen),
		cmocka_unit_test(test_after),
		cmocka_unit_test(test_backward),
		cmocka_unit_test(test_replug),
		cmocka_unit_test(test_no_events),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_begins_unknown),
		cmocka_unit_test(test_look_closer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
