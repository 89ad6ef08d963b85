// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* The sync points for a guest's file, made from its CPUs, and the doubts about them. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest_file.h"
#include "guest_vcpus.h"
#include "host_file.h"
#include "sync_points.h"
#include "trace_dat.h"

#define FIRST		1000000ULL
#define LAST		2000000ULL
#define OFFSET		(-500)
#define MARGIN		(1ULL << 34)

static char said[4096];

/* A guest with two CPUs and a constant offset; everything is known of its host */
struct world {
	struct error			error;
	struct trace_dat		host_dat;
	struct trace_dat		guest_dat;
	struct trace_dat_buffer		buffer;
	struct host			host;
	struct guest_cpu		cpus[2];
	struct guest_buffer		guest;
	struct vcpu_history		source;		/* the host's history */
	struct guest_vcpu_source	sources[2];
	struct guest_vcpu		vcpus[2];
	struct guest_vcpus		guest_vcpus;
	struct sync_points		points;
};

static const struct tsc_mapping initial = { .offset = OFFSET };

static struct world *begin(void)
{
	static struct world w;

	w = (struct world) {
		.host_dat = { .path = "host.dat", .error = &w.error },
		.guest_dat = { .path = "guest.dat", .nr_cpus = 2, .error = &w.error },
		.buffer = { .name = (char *)"" },
		.host = { .dat = &w.host_dat, .first = FIRST, .last = LAST, .recorded_first = FIRST,
			  .recorded_last = LAST, .guest_modes = &w.buffer },
		.cpus = { { true, FIRST + OFFSET, LAST + OFFSET }, { true, FIRST + OFFSET, LAST + OFFSET } },
		.guest = { .dat = &w.guest_dat, .buffer = &w.buffer, .cpus = w.cpus, .nr_cpus = 2 },
		.guest_vcpus = { .cpus = w.vcpus, .nr = 2 },
	};
	vcpu_history_set_initial(&w.source, &initial);
	for (size_t i = 0; i < 2; i++) {
		w.sources[i].history = &w.source;
		w.vcpus[i] = (struct guest_vcpu) {
			.known = true, .has_events = true, .vcpu_id = i, .sources = &w.sources[i], .nr_sources = 1,
		};
		w.vcpus[i].history.vcpu_id = i;
		vcpu_history_set_initial(&w.vcpus[i].history, &initial);
	}
	*said = '\0';
	return &w;
}

/* Build the sync points; @said gets the lines that stamp would print */
static int build_by(struct world *w, bool by_stream)
{
	int ret = sync_points_build(&w->points, &w->host, &w->guest_vcpus, &w->guest, by_stream);
	size_t used = 0;

	for (size_t i = 0; i < w->points.findings.nr; i++)
		used += snprintf(said + used, sizeof(said) - used, "%s\n", w->points.findings.list[i].text);
	assert_int_equal(w->error.code, ret);
	snprintf(said + used, sizeof(said) - used, "%s", w->error.text);
	return ret;
}

static int build(struct world *w)
{
	return build_by(w, false);
}

static void end(struct world *w)
{
	sync_points_release(&w->points);
	free(w->source.segments);
	for (size_t i = 0; i < 2; i++)
		free(w->vcpus[i].history.segments);
}

static void change(struct vcpu_history *history, uint64_t host_tsc, int64_t offset, int64_t previous)
{
	const struct tsc_mapping map = { .offset = offset }, before = { .offset = previous };

	assert_int_equal(vcpu_history_add(history, host_tsc, &map, &before), 0);
}

static void test_still(void **state)
{
	struct world *w = begin();

	assert_int_equal(build(w), 0);
	assert_true(w->points.nr_vcpus == 2 && !w->points.nr_changes && !w->points.findings.nr_doubts);
	assert_true(w->points.shift.nr_vcpus == 2 && w->points.shift.nr_points == 2);
	for (size_t i = 0; i < 2; i++) {
		const struct time_shift_point *points = time_shift_vcpu(&w->points.shift, i);

		assert_int_equal(points[0].guest_tsc, FIRST + OFFSET);
		/* A guest may be recorded a bit longer than its host */
		assert_int_equal(points[1].guest_tsc, LAST + OFFSET + MARGIN);
		assert_true(points[0].correction == -OFFSET && points[1].correction == -OFFSET);
	}
	assert_string_equal(said, "");
	end(w);
}

/* A guest that was recorded before its host: a note reports it, and the sync points begin at the guest's first event */
static void test_begins_before(void **state)
{
	struct world *w = begin();

	w->cpus[1].first -= 1;
	assert_int_equal(build(w), 0);
	assert_non_null(strstr(said, "its recording began 1 cycles before the host's; its first events have nothing to be merged with"));
	assert_int_equal(time_shift_vcpu(&w->points.shift, 0)[0].guest_tsc, FIRST + OFFSET - 1);
	assert_int_equal(w->points.findings.nr_doubts, 0);
	end(w);
}

static void test_changes(void **state)
{
	struct world *w = begin();

	change(&w->vcpus[0].history, FIRST + 1000, OFFSET + 70, OFFSET);
	/* A repeated write is not a change */
	change(&w->vcpus[0].history, FIRST + 2000, OFFSET + 70, OFFSET + 70);
	change(&w->vcpus[1].history, FIRST + 1000, OFFSET + 70, OFFSET);
	assert_int_equal(build(w), 0);
	assert_int_equal(w->points.nr_changes, 2);
	assert_int_equal(w->points.shift.nr_points, 4);
	end(w);
}

struct gap_case {
	const char		*name;
	struct lost_range	lost[2];
	size_t			nr_lost;
	size_t			segment;	/* events were lost before this one; 2: after the last one */
	uint64_t		begins;
	const char		*doubt;
};

/* Changes at FIRST + 1000, by 70, and at FIRST + 2000, by 70 more */
static const struct gap_case gap_cases[] = {
	{ "nothing says where: from the change before on", { { 0 } }, 0, 1, 0,
	  "vCPU 0: guest times 1000570 to 1001570: the history is incomplete, events were lost" },
	{ "where events were lost", { { FIRST + 1500, FIRST + 1600, 0 } }, 1, 1, 0,
	  "vCPU 0: guest times 1001070 to 1001570: the history is incomplete, events were lost" },
	{ "from the change before on", { { FIRST + 1000, FIRST + 1600, 0 } }, 1, 1, 0,
	  "vCPU 0: guest times 1000570 to 1001570: the history is incomplete, events were lost" },
	{ "two, the first one begins with the change before", { { FIRST + 1000, FIRST + 1100, 0 },
	  { FIRST + 1700, FIRST + 1800, 0 } }, 2, 1, 0,
	  "vCPU 0: guest times 1000570 to 1001570: the history is incomplete, events were lost" },
	{ "one that began before the change before does not count", { { FIRST + 999, FIRST + 1100, 0 },
	  { FIRST + 1700, FIRST + 1800, 0 } }, 2, 1, 0,
	  "vCPU 0: guest times 1001270 to 1001570: the history is incomplete, events were lost" },
	{ "one that begins with the change does not count", { { FIRST + 2000, FIRST + 2100, 0 } }, 1, 1, 0,
	  "vCPU 0: guest times 1000570 to 1001570: the history is incomplete, events were lost" },
	{ "before the first change, from the host's first event on", { { 0 } }, 0, 0, 0,
	  "vCPU 0: guest times 999500 to 1000500: the history is incomplete, events were lost" },
	{ "after the last change", { { FIRST + 3000, FIRST + 3100, 0 } }, 1, 2, 0,
	  "vCPU 0: guest times 1002640 to 1999640: the history is incomplete, events were lost and none came after" },
	{ "before the part that counts", { { 0 } }, 0, 1, FIRST + 2000, NULL },
	{ "one cycle of it counts", { { 0 } }, 0, 1, FIRST + 1999,
	  "vCPU 0: guest times 1000570 to 1001570: the history is incomplete, events were lost" },
	{ "nothing was lost", { { 0 } }, 0, 3, 0, NULL },
};

static void test_gaps(void **state)
{
	for (size_t i = 0; i < sizeof(gap_cases) / sizeof(*gap_cases); i++) {
		const struct gap_case *c = &gap_cases[i];
		struct world *w = begin();
		struct lost_range lost[2];

		memcpy(lost, c->lost, sizeof(lost));
		w->host.lost = lost;
		w->host.nr_lost = c->nr_lost;
		change(&w->source, FIRST + 1000, OFFSET + 70, OFFSET);
		change(&w->source, FIRST + 2000, OFFSET + 140, OFFSET + 70);
		if (c->segment < 2)
			w->source.segments[c->segment].lost_before = true;
		w->source.lost_after = c->segment == 2;
		w->vcpus[0].history.begins = c->begins;
		w->vcpus[1].nr_sources = 0;
		assert_int_equal(build(w), 0);
		if (w->points.findings.nr != (c->doubt != NULL))
			fail_msg("%s: %zu doubts", c->name, w->points.findings.nr);
		if (c->doubt && strcmp(w->points.findings.list[0].text, c->doubt))
			fail_msg("%s: %s", c->name, w->points.findings.list[0].text);
		end(w);
	}
}

static void test_doubts(void **state)
{
	struct world *w = begin();

	w->vcpus[1].overlaps = true;
	w->vcpus[1].overlap_from = 5;
	w->vcpus[1].overlap_to = 9;
	w->vcpus[1].nr_late = 3;
	assert_int_equal(build(w), 0);
	assert_int_equal(w->points.findings.nr, 2);
	assert_non_null(strstr(w->points.findings.list[0].text, "vCPU 1: guest times 5 to 9: ambiguous"));
	assert_non_null(strstr(w->points.findings.list[1].text, "3 events have times that are too late"));
	end(w);
}

/* At most ten lines are printed; all doubts are counted */
static void test_many_doubts(void **state)
{
	for (size_t nr = 9; nr <= 12; nr++) {
		struct world *w = begin();

		for (size_t i = 0; i < nr; i++) {
			change(&w->source, FIRST + 1000 * (i + 1), OFFSET + i + 1, OFFSET + i);
			w->source.segments[i].lost_before = true;
		}
		w->vcpus[1].nr_sources = 0;
		assert_int_equal(build(w), 0);
		/* One more line reports that there are more */
		assert_int_equal(w->points.findings.nr, nr <= 10 ? nr : 11);
		assert_int_equal(w->points.findings.nr_doubts, nr);
		end(w);
	}
}

static void make_unknown(struct world *w)
{
	w->vcpus[1].known = false;
}

static void make_no_offset(struct world *w)
{
	w->vcpus[1].history.initial_known = false;
}

static void make_begins_unknown(struct world *w)
{
	w->vcpus[1].begins_unknown = true;
}

static void make_protected(struct world *w)
{
	w->vcpus[1].history.initial_known = false;
	w->vcpus[1].history.tsc_protected = true;
}

static void make_no_cpus(struct world *w)
{
	w->guest.nr_cpus = 0;
}

static void make_later(struct world *w)
{
	for (size_t i = 0; i < 2; i++) {
		w->cpus[i].first = LAST + OFFSET + 1;
		w->cpus[i].last = LAST + OFFSET + 1000;
	}
}

static void make_just_in_time(struct world *w)
{
	make_later(w);
	w->cpus[1].first -= 1;
}

static void make_earlier(struct world *w)
{
	for (size_t i = 0; i < 2; i++) {
		w->cpus[i].first = FIRST + OFFSET - 1000;
		w->cpus[i].last = FIRST + OFFSET - 1;
	}
}

static void make_ends_in_time(struct world *w)
{
	make_earlier(w);
	w->cpus[1].last += 1;
}

static void make_later_with_gap(struct world *w)
{
	make_later(w);
	w->source.lost_after = true;
}

static void make_later_without_modes(struct world *w)
{
	make_later(w);
	w->host.guest_modes = NULL;
}

static void make_idle(struct world *w)
{
	/* A CPU that recorded nothing needs no vCPU */
	make_unknown(w);
	w->cpus[1].has_events = false;
}

static void test_refused(void **state)
{
	static const struct {
		const char	*name;
		void		(*make)(struct world *w);
		int		result;
		const char	*word;
	} cases[] = {
		{ "no CPU", make_no_cpus, -ENODATA, "no events in buffer" },
		{ "not known which vCPU", make_unknown, -ENXIO, "CPU 1 of 2 fits none of the vCPUs" },
		{ "no offset is known", make_no_offset, -ENODATA, "vCPU 1 (the guest's CPU 1): no offset is known" },
		{ "not known before the first change", make_begins_unknown, -ENODATA, "do not report the previous offset" },
		{ "a protected TSC", make_protected, -ENODATA, "its TSC is protected" },
		{ "a CPU without an event", make_idle, 0, "" },
		{ "recorded after the host", make_later, -ENODATA, "none of its events is within the time of" },
		{ "the first event is the host's last", make_just_in_time, 0, "" },
		{ "recorded before the host", make_earlier, -ENODATA, "none of its events is within the time of" },
		{ "the last event is the host's first", make_ends_in_time, 0, "" },
		{ "a lost change may have been to anything", make_later_with_gap, 0, "" },
		{ "a host that does not show when it was recorded", make_later_without_modes, 0, "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct world *w = begin();
		int ret;

		cases[i].make(w);
		ret = build(w);
		if (ret != cases[i].result)
			fail_msg("%s: %d, %s", cases[i].name, ret, said);
		if (ret && !strstr(said, cases[i].word))
			fail_msg("%s: %s", cases[i].name, said);
		end(w);
	}
}

/* If events get their times by their place in the stream, a jump that TIME_SHIFT cannot express is not a doubt */
static void test_by_stream(void **state)
{
	for (int undecided = 0; undecided < 2; undecided++) {
		struct world *w = begin();

		w->vcpus[1].overlaps = true;
		w->vcpus[1].overlap_from = 5;
		w->vcpus[1].overlap_to = 9;
		w->vcpus[1].undecided = undecided;
		w->vcpus[1].nr_late = 3;
		assert_int_equal(build_by(w, true), 0);
		assert_true(w->points.nr_vcpus == 2 && !w->points.shift.nr_vcpus && !w->points.shift.points);
		assert_int_equal(w->points.findings.nr_doubts, 0);
		end(w);

		w = begin();
		w->vcpus[1].overlaps = true;
		w->vcpus[1].undecided = undecided;
		assert_int_equal(build_by(w, false), 0);
		assert_int_equal(w->points.findings.nr_doubts, 1);
		/* --rewrite can if the events themselves show where the jump is */
		assert_int_equal(strstr(said, "--rewrite can") != NULL, !undecided);
		end(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_still),
		cmocka_unit_test(test_begins_before),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_doubts),
		cmocka_unit_test(test_many_doubts),
		cmocka_unit_test(test_by_stream),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
