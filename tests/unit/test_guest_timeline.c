// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* The host time of each event, by its place in the stream of its CPU. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "assert_within.h"
#include "guest_fit.h"
#include "guest_timeline.h"
#include "host_vcpus.h"
#include "made_modes.h"
#include "page_file.h"

#define PAGE		512
#define MAX_PAGES	8
#define MAX_PARTS	4

/* Entries of a page: an event, this many cycles after the previous one, or a time stamp before the next event */
#define BACK		UINT64_MAX	/* the time stamp of a jump backward */
#define ABSOLUTE(ts)	(1ULL << 62 | (ts))

struct world {
	struct page_file		file;
	struct vcpu_modes		modes;
	struct vcpu_history		history;
	struct guest_vcpu_source	source;
	struct guest_vcpu_part		parts[MAX_PARTS];
	struct guest_vcpu		vcpu[3];
	struct guest_fit		fit;
	struct host_vcpus		host;
	struct guest_timeline		timeline;
	uint8_t				pages[MAX_PAGES * PAGE];
	size_t				nr_pages;
};

static struct world world;

/* A vCPU with offset 1000 up to host TSC @change, and offset @offset from then on; @change 0: no change */
static void begin(const char *modes, uint64_t change, int64_t offset)
{
	const struct tsc_mapping map = { .offset = 1000 }, changed = { .offset = offset };

	world = (struct world) {
		.source = { &world.modes, &world.history }, .host = { .begin = 0, .end = 10 * strlen(modes) - 1 },
		.fit.vcpus = { .cpus = world.vcpu, .nr = 3 },
	};
	world.modes = made_modes(modes);
	vcpu_history_set_initial(&world.history, &map);
	if (change)
		assert_int_equal(vcpu_history_add(&world.history, change, &changed, &map), 0);
	world.vcpu[1] = (struct guest_vcpu) {
		.known = true, .has_events = true, .modes = &world.modes, .sources = &world.source, .nr_sources = 1,
		.parts = world.parts,
	};
	world.parts[0] = (struct guest_vcpu_part) { .map = map, .host_to = change ? change - 1 : UINT64_MAX };
	world.vcpu[1].nr_parts = 1;
	page_file_open(&world.file, PAGE);
}

static void add_part(uint64_t page, uint32_t number, bool jumped, uint64_t guest_from)
{
	const struct tsc_segment *change = &world.history.segments[world.history.nr_segments - 1];

	world.parts[world.vcpu[1].nr_parts++] = (struct guest_vcpu_part) {
		.page = page, .number = number, .jumped = jumped, .guest_from = guest_from, .map = change->map,
		.host_from = change->host_tsc, .host_to = UINT64_MAX,
	};
}

static uint32_t *put(uint32_t *at, uint64_t time, unsigned int type, uint32_t word)
{
	*at++ = (uint32_t)(time & ((1U << 27) - 1)) << 5 | type;
	*at++ = word;
	return at;
}

static void put_page(uint8_t *page, size_t size, uint64_t ts, const uint64_t *entries, size_t nr)
{
	uint32_t *words = (uint32_t *)(page + 16), *at = words;
	uint64_t commit;

	for (size_t i = 0; i < nr; i++) {
		if (entries[i] == BACK)
			at = put(at, 0, 30, 0);
		else if (entries[i] >> 62)
			at = put(at, entries[i], 31, (uint32_t)(entries[i] << 2 >> 29));
		else
			at = put(at, entries[i], 1, (uint32_t)i);
		assert_true((uint8_t *)at <= page + size);
	}
	memcpy(page, &ts, sizeof(ts));
	commit = (uint8_t *)at - (uint8_t *)words;
	memcpy(page + 8, &commit, sizeof(commit));
}

static void add_page(uint64_t ts, const uint64_t *entries, size_t nr)
{
	put_page(world.pages + PAGE * world.nr_pages++, PAGE, ts, entries, nr);
}

/* CPU 0 has no data */
static int make(bool compressed)
{
	const size_t chunks[] = { world.nr_pages / 2, world.nr_pages - world.nr_pages / 2 };

	if (compressed) {
		page_file_add_chunks(&world.file, 1, world.pages, chunks, 2);
	} else {
		page_file_add_cpu(&world.file, 0, NULL, 0);
		page_file_add_cpu(&world.file, 1, world.pages, world.nr_pages);
	}
	return guest_timeline_make(&world.timeline, &world.fit, &world.host, &world.file.dat, &world.file.buffer, 0);
}

static void again(void)
{
	guest_timeline_release(&world.timeline);
	page_file_close(&world.file);
	page_file_open(&world.file, PAGE);
}

static void end(void)
{
	guest_timeline_release(&world.timeline);
	page_file_close(&world.file);
	vcpu_modes_release(&world.modes);
	free(world.history.segments);
}

/* An event, its time in the file, and its host time */
struct wanted {
	uint64_t	page;
	uint32_t	number;
	uint64_t	guest_tsc;
	uint64_t	host_tsc;
};

static void check_times(const struct wanted *wanted, size_t nr)
{
	struct timeline_cursor cursor = { 0 };

	for (size_t i = 0; i < world.file.buffer.nr_cpus; i++) {
		if (world.file.buffer.cpus[i].cpu == 1)
			cursor.cpu = &world.timeline.cpus[i];
	}
	assert_ptr_equal(cursor.cpu->vcpu, &world.vcpu[1]);
	for (size_t i = 0; i < nr; i++) {
		uint64_t host_tsc = timeline_host_time(&cursor, wanted[i].page, wanted[i].number, wanted[i].guest_tsc);

		if (host_tsc != wanted[i].host_tsc)
			fail_msg("page %lu, event %u: %lu in place of %lu", (unsigned long)wanted[i].page,
				 wanted[i].number, (unsigned long)host_tsc, (unsigned long)wanted[i].host_tsc);
	}
}

/* A part begins at a page and event number: the same guest time occurs before a jump backward and after it */
static void test_places(void **state)
{
	static const struct wanted wanted[] = {
		{ 0, 0, 1010, 10 }, { 0, 1, 1030, 30 }, { 1, 0, 1050, 50 }, { 1, 1, 1055, 55 }, { 1, 2, 1060, 110 },
		{ 2, 0, 1055, 105 }, { 3, 0, 1150, 200 },
	};
	static const uint64_t first[] = { 0, 20 }, second[] = { 0, 5, 5 }, third[] = { 0 };

	for (int compressed = 0; compressed < 2; compressed++) {
		begin("GGGGGGGGGGGGGGGGGGGGGGG", 80, 950);
		add_part(1, 2, false, 0);
		add_page(1010, first, 2);
		add_page(1050, second, 3);
		add_page(1055, third, 1);
		add_page(1150, third, 1);
		assert_int_equal(make(compressed), 0);
		check_times(wanted, sizeof(wanted) / sizeof(*wanted));
		assert_int_equal(world.timeline.cpus[!compressed].nr_parts, 2);
		assert_int_equal(world.timeline.nr_jumps, 0);
		if (!compressed)
			assert_int_equal(world.timeline.cpus[0].nr_parts, 0);
		end();
	}
}

/* After a jump forward the guest time decides: a part begins at the first time that the TSC had after the jump */
static void test_forward(void **state)
{
	static const uint64_t first[] = { 0, 60, 9, 1, 50 }, second[] = { 0 };
	static const struct wanted wanted[] = {
		{ 0, 0, 1010, 10 }, { 0, 1, 1070, 70 }, { 0, 2, 1079, 79 }, { 0, 3, 1080, UINT64_MAX },
		{ 0, 4, 1130, 100 - 70 + 50 }, { 1, 0, 1180, 130 },
	};

	begin("GGGGGGGGGGGGGGGGGGGGGGG", 80, 1050);
	/* Events before the part's place do not belong to it, whatever their times */
	add_part(0, 4, true, 1050);
	add_page(1010, first, 5);
	add_page(1180, second, 1);
	assert_int_equal(make(false), 0);
	check_times(wanted, 3);
	check_times(wanted + 4, 2);
	again();
	/* From its place on only the time counts: one cycle before @guest_from belongs to the part before */
	world.parts[1].page = 0;
	world.parts[1].number = 1;
	world.parts[1].guest_from = 1080;
	assert_int_equal(make(false), 0);
	check_times(wanted, 3);
	check_times(&(struct wanted) { 0, 3, 1080, 30 }, 1);
	again();
	world.parts[1].guest_from = 1079;
	assert_int_equal(make(false), 0);
	check_times(wanted, 2);
	check_times(&(struct wanted) { 0, 2, 1079, 29 }, 1);
	end();
}

static const struct timeline_jump *only_jump(void)
{
	assert_int_equal(world.timeline.nr_jumps, 1);
	return &world.timeline.jumps[0];
}

/* Late events at the end of a page lie between the event before them and the next page's first event */
static void test_late(void **state)
{
	/* Up to the next page's event, guest mode is only at 100 to 109 */
	static const uint64_t first[] = { 0, 20, BACK, 0, 4 }, second[] = { 0 };
	static const struct wanted exact[] = { { 0, 0, 1010, 10 }, { 0, 1, 1030, 30 }, { 1, 0, 1100, 150 } };

	for (int compressed = 0; compressed < 2; compressed++) {
		const struct timeline_jump *jump;

		begin("GGGGGHHHHHGHHHHGGHHH", 80, 950);
		add_part(1, 0, false, 0);
		add_page(1010, first, 5);
		add_page(1100, second, 1);
		assert_int_equal(make(compressed), 0);
		jump = only_jump();
		assert_true(jump->cpu == 1 && jump->nr_events == 2 && !jump->nr_undecided && jump->found);
		assert_true(jump->host_tsc - jump->earlier == 100 && jump->host_tsc + jump->later == 105);
		check_times(exact, 3);
		/* The distance between late events is right */
		check_times(&(struct wanted) { 0, 2, 1030, jump->host_tsc }, 1);
		check_times(&(struct wanted) { 0, 3, 1034, jump->host_tsc + 4 }, 1);
		end();
	}
}

/*
 * Sections of late events: from the first event of a page, over several
 * pages, twice in a page, and at the end of all events
 */
static void test_sections(void **state)
{
	static const uint64_t first[] = { 0 }, late[] = { BACK, 0, 2 }, two[] = { 0, BACK, 0, BACK, 3 };
	static const uint64_t none[] = { 0 };
	const struct timeline_jump *jumps;

	/* A page whose first event is late is a section of its own */
	begin("GGGHHHHHHHGHHHHHHHHH", 80, 950);
	add_page(1010, first, 1);
	add_page(1020, late, 3);
	assert_int_equal(make(false), 0);
	assert_true(only_jump()->nr_events == 2 && only_jump()->found);
	/* The host's recording ends at 199: the last events cannot be later */
	assert_true(only_jump()->host_tsc - only_jump()->earlier == 100);
	assert_true(only_jump()->host_tsc + only_jump()->later == 107);
	end();

	/* Two sections but only one jump: the second section is reported as not found */
	begin("GGGHHHHHHHGHHHHHHHHG", 80, 950);
	add_part(1, 0, false, 0);
	add_page(1010, two, 5);
	add_page(1145, none, 1);
	assert_int_equal(make(false), 0);
	assert_int_equal(world.timeline.nr_jumps, 2);
	jumps = world.timeline.jumps;
	assert_true(jumps[0].nr_events == 1 && jumps[1].nr_events == 1);
	assert_true(jumps[0].found && !jumps[1].found);
	/* Later events are still correct */
	check_times(&(struct wanted) { 1, 0, 1145, 195 }, 1);
	end();
}

/* An absolute time stamp ends a section in the middle of a page */
static void test_absolute(void **state)
{
	static const uint64_t first[] = { 0, BACK, 0, ABSOLUTE(1052), 0, 3, BACK, 5 }, second[] = { 0 };
	static const struct wanted wanted[] = { { 0, 0, 1010, 10 }, { 0, 2, 1052, 102 }, { 0, 3, 1055, 105 },
						{ 1, 0, 1145, 195 } };

	begin("GGGHHHHHGHGHHHHHHGHG", 80, 950);
	/* The part begins at the first event with a right time after the jump */
	add_part(0, 2, false, 0);
	add_page(1010, first, 8);
	add_page(1145, second, 1);
	assert_int_equal(make(false), 0);
	check_times(wanted, 4);
	assert_int_equal(world.timeline.nr_jumps, 2);
	assert_true(world.timeline.jumps[0].found && world.timeline.jumps[0].nr_events == 1);
	assert_int_equal(world.timeline.jumps[0].host_tsc - world.timeline.jumps[0].earlier, 80);
	assert_int_equal(world.timeline.jumps[0].host_tsc + world.timeline.jumps[0].later, 102);
	/* There is no second jump */
	assert_false(world.timeline.jumps[1].found);
	assert_true(world.timeline.jumps[1].host_tsc == 105 && world.timeline.jumps[1].later == 195 - 105);
	end();
}

/* The TSC jumps forward among the late events, so they belong to two parts */
static void test_forward_within(void **state)
{
	static const uint64_t first[] = { 0, BACK, 0, 109, 2 }, second[] = { 0 };
	const struct tsc_mapping before = { .offset = 950 }, after = { .offset = 1000 };
	uint64_t host_tsc;

	begin("GGGHHHHHHHGHHHHHGHHG", 80, 950);
	assert_int_equal(vcpu_history_add(&world.history, 150, &after, &before), 0);
	add_part(1, 0, false, 0);
	add_page(1010, first, 5);
	add_page(1195, second, 1);
	assert_int_equal(make(false), 0);
	assert_true(only_jump()->found && only_jump()->nr_events == 3);
	host_tsc = only_jump()->host_tsc;
	assert_within(host_tsc, 101, 109);
	check_times(&(struct wanted) { 0, 1, 1010, host_tsc }, 1);
	check_times(&(struct wanted) { 0, 2, 1119, host_tsc + 59 }, 1);
	check_times(&(struct wanted) { 0, 3, 1121, host_tsc + 61 }, 1);
	assert_int_equal(world.timeline.cpus[1].nr_parts, 4);
	end();
}

/* Only late events, without an event before or after them */
static void test_only_late(void **state)
{
	static const uint64_t late[] = { BACK, 0, 2 };

	begin("GGGHHHHHHHGHHHHHHHHH", 80, 950);
	add_page(1010, late, 3);
	assert_int_equal(make(false), 0);
	assert_true(only_jump()->found && only_jump()->host_tsc - only_jump()->earlier == 100);
	check_times(&(struct wanted) { 0, 0, 1010, only_jump()->host_tsc }, 1);
	end();
}

static void test_prove(void **state)
{
	/*
	 * The events are in guest mode, in host mode, at an unknown time, before the TSC had this offset, and after
	 * the host's recording
	 */
	static const uint64_t first[] = { 0, 25, 20, 30, 200 }, second[] = { 0 };
	struct fit_tally tally;

	begin("GGGHG.GGGGGGGGG", 120, 950);
	add_part(1, 0, false, 0);
	add_page(1010, first, 5);
	add_page(1069, second, 1);
	world.host.begin = 5;
	assert_int_equal(make(false), 0);
	assert_int_equal(guest_timeline_prove(&world.timeline, &world.host, &tally), 0);
	assert_true(tally.inside == 2 && tally.violations == 1 && tally.unknown == 1 && tally.impossible == 2 &&
		    !tally.outside);
	end();

	begin("GGGHG.GGGGGGGGG", 0, 0);
	add_page(1010, first, 5);
	assert_int_equal(make(false), 0);
	assert_int_equal(guest_timeline_prove(&world.timeline, &world.host, &tally), 0);
	assert_true(tally.inside == 2 && tally.violations == 1 && tally.unknown == 1 && tally.outside == 1);
	assert_true(tally.earlier == 10 && tally.later == 19);
	end();
}

static void test_unknown_vcpu(void **state)
{
	static const uint64_t first[] = { 0 };

	begin("GGG", 0, 0);
	add_page(1010, first, 1);
	world.vcpu[1].nr_parts = 0;
	assert_int_equal(make(false), -ENXIO);
	assert_non_null(strstr(world.file.error.text, "the vCPU of its CPU 1 is unknown"));
	end();
	/* A CPU that the fit does not have */
	begin("GGG", 0, 0);
	add_page(1010, first, 1);
	world.fit.vcpus.nr = 1;
	assert_int_equal(make(false), -ENXIO);
	end();
	/* A CPU without events needs no vCPU */
	begin("GGG", 0, 0);
	add_page(1010, first, 0);
	world.vcpu[1].nr_parts = 0;
	assert_int_equal(make(false), 0);
	end();
}

/* A vCPU was unplugged and plugged in again between the events before and after: nothing shows which thread ran it */
static void test_replugged(void **state)
{
	static const uint64_t first[] = { 0, 20, BACK, 0, 4 }, second[] = { 0 };
	const struct guest_vcpu_source *source = &world.source;
	struct guest_vcpu_source sources[2];

	begin("GGGGGHHHHHGHHHHGGHHH", 80, 950);
	sources[0] = sources[1] = *source;
	world.vcpu[1].sources = sources;
	world.vcpu[1].nr_sources = 2;
	add_part(1, 0, false, 0);
	world.parts[1].source = 1;
	add_page(1010, first, 5);
	add_page(1100, second, 1);
	assert_int_equal(make(false), 0);
	assert_false(only_jump()->found);
	check_times(&(struct wanted) { 1, 0, 1100, 150 }, 1);
	end();
}

static void test_damage(void **state)
{
	static const uint64_t first[] = { 0, 5 };
	const uint64_t commit = PAGE;

	begin("GGG", 0, 0);
	add_page(1010, first, 2);
	memcpy(world.pages + 8, &commit, sizeof(commit));
	assert_true(make(false) < 0 && world.file.error.code);
	end();
}

/* More successive late events than any recording has */
#define LARGE		65536U
#define LARGE_EVENTS	8000U
#define LARGE_PAGES	((1U << 20) / LARGE_EVENTS + 1)

static void test_hostile(void **state)
{
	uint8_t *pages = calloc(LARGE_PAGES, LARGE);
	uint64_t *entries = calloc(LARGE_EVENTS + 1, sizeof(*entries));

	assert_true(pages && entries);
	entries[0] = BACK;
	for (size_t i = 0; i < LARGE_PAGES; i++)
		put_page(pages + i * LARGE, LARGE, 1010, entries, LARGE_EVENTS + 1);
	begin("GGGHHHHHHHGHHHHHHHHH", 80, 950);
	page_file_close(&world.file);
	page_file_open(&world.file, LARGE);
	page_file_add_cpu(&world.file, 1, pages, LARGE_PAGES);
	assert_int_equal(guest_timeline_make(&world.timeline, &world.fit, &world.host, &world.file.dat,
					     &world.file.buffer, 0), -EBADMSG);
	assert_non_null(strstr(world.file.error.text, "without a correct time"));
	end();
	free(entries);
	free(pages);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_forward),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_sections),
		cmocka_unit_test(test_absolute),
		cmocka_unit_test(test_forward_within),
		cmocka_unit_test(test_only_late),
		cmocka_unit_test(test_prove),
		cmocka_unit_test(test_unknown_vcpu),
		cmocka_unit_test(test_replugged),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
