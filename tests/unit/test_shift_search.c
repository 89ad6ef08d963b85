// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * Known shifts are found again. A test makes a vCPU that enters and leaves guest mode, events that it records in
 * between, and the host's and the guest's recording of both. Results that are reported as certain must be correct for
 * each seed, and obvious ones must be found.
 */
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

#include "prng.h"
#include "progress.h"
#include "shift_search.h"

#define JUMP		5200000
#define NEVER_WRONG	300

/* A recording; its parts are in percent */
struct kind {
	const char	*name;
	size_t		spans;		/* number of spans in guest mode */
	uint64_t	guest_cycles;	/* mean length of such a span */
	uint64_t	host_cycles;	/* mean length between two of them */
	uint64_t	tick;		/* spans begin at multiples of this */
	unsigned int	events;		/* mean number of events in each */
	unsigned int	host_from, host_to;
	unsigned int	guest_from, guest_to;
	unsigned int	lost;		/* part of the time out of guest mode */
	unsigned int	moved;		/* when the TSC jumps; 0: never */
};

struct recording {
	struct vcpu_modes	spans;
	uint64_t		*events;
	size_t			nr_events;
	uint64_t		shift;
};

static uint64_t about(uint64_t mean, uint64_t *seed)
{
	return 1 + prng_range(seed, 0, mean) / 2 + prng_range(seed, 0, mean) / 2 +
	       prng_range(seed, 0, mean) / 2 + prng_range(seed, 0, mean) / 2;
}

static int compare_times(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void tell_spans(struct recording *recording, const struct kind *kind, const uint64_t *ends,
		       uint64_t from, uint64_t to, uint64_t *seed)
{
	uint64_t last = 0;

	for (size_t i = 0; i < kind->spans; i++) {
		uint64_t entry = ends[2 * i], exit = ends[2 * i + 1];

		if (entry < from || exit > to)
			continue;
		if (last) {
			bool lost = prng(seed) % 100 < kind->lost;

			assert_int_equal(vcpu_modes_add(&recording->spans, last + 1, entry - 1,
							lost ? MODE_UNKNOWN : MODE_HOST), 0);
		}
		assert_int_equal(vcpu_modes_add(&recording->spans, entry, exit, MODE_GUEST), 0);
		last = exit;
	}
	if (last)
		assert_int_equal(vcpu_modes_add(&recording->spans, last + 1, UINT64_MAX, MODE_UNKNOWN), 0);
}

static void make_recording(struct recording *recording, const struct kind *kind, uint64_t *seed)
{
	uint64_t start = 1 + prng_range(seed, 0, 1ULL << 50), time = start, percent;
	uint64_t *ends = calloc(2 * kind->spans, sizeof(*ends));
	uint64_t *events = calloc(2 * kind->spans * (kind->events + 1), sizeof(*events));
	uint64_t shift = prng(seed);
	size_t nr = 0;

	assert_non_null(ends);
	assert_non_null(events);
	for (size_t i = 0; i < kind->spans; i++) {
		time += about(kind->host_cycles, seed);
		if (kind->tick)
			time = (time / kind->tick + 1) * kind->tick +
			       prng_range(seed, 0, kind->guest_cycles / 2);
		ends[2 * i] = time;
		time += about(kind->guest_cycles, seed);
		ends[2 * i + 1] = time;
	}
	percent = (time - start) / 100 + 1;
	*recording = (struct recording) { .events = events };
	tell_spans(recording, kind, ends, start + kind->host_from * percent,
		   start + kind->host_to * percent, seed);
	for (size_t i = 0; i < kind->spans; i++) {
		for (uint64_t k = prng_range(seed, 0, 2 * kind->events); k; k--) {
			uint64_t event = prng_range(seed, ends[2 * i], ends[2 * i + 1]);

			if (event < start + kind->guest_from * percent ||
			    event > start + kind->guest_to * percent)
				continue;
			if (kind->moved && ends[2 * i] > start + kind->moved * percent)
				event += JUMP;
			events[nr++] = event;
		}
	}
	/* Avoid shifts at which the guest's times reach the end of 64 bits */
	if (start - shift > UINT64_MAX - (time - start) - JUMP)
		shift = start;
	for (size_t i = 0; i < nr; i++)
		events[i] -= shift;
	qsort(events, nr, sizeof(*events), compare_times);
	recording->nr_events = nr;
	recording->shift = shift;
	free(ends);
}

static void release_recording(struct recording *recording)
{
	vcpu_modes_release(&recording->spans);
	free(recording->events);
}

static int find(const struct recording *recording, struct shift_found *found)
{
	struct progress progress = { 0 };
	struct shift_search search;
	int ret;

	ret = shift_search_begin(&search, &recording->spans, recording->events, recording->nr_events,
				 &progress, 0);
	for (size_t i = 0; i < recording->nr_events && !ret; i++)
		ret = shift_search_add(&search, recording->events[i]);
	if (!ret)
		ret = shift_search_end(&search, found);
	shift_search_release(&search);
	return ret;
}

static bool is_in(const struct shift_found *found, uint64_t shift)
{
	return shift - found->low <= found->high - found->low;
}

/* Count the events with a shift one by one */
static void count(const struct recording *recording, uint64_t shift, uint64_t *inside, uint64_t *violations)
{
	const struct vcpu_modes *spans = &recording->spans;

	*inside = 0;
	*violations = 0;
	for (size_t i = 0; i < recording->nr_events; i++) {
		uint64_t time = recording->events[i] + shift;
		enum vcpu_mode mode = MODE_UNKNOWN;
		size_t low = 0, high = spans->nr;

		while (low < high) {
			size_t mid = (low + high) / 2;

			if (vcpu_modes_from(spans, mid) <= time)
				low = mid + 1;
			else
				high = mid;
		}
		if (low)
			mode = vcpu_modes_at(spans, low - 1);
		*inside += mode == MODE_GUEST;
		*violations += mode == MODE_HOST;
	}
}

static const struct kind plain[] = {
	{ "all of both", 3000, 400000, 900000, 0, 3, 0, 100, 0, 100, 0, 0 },
	{ "half of the host", 3000, 400000, 900000, 0, 3, 30, 80, 0, 100, 0, 0 },
	{ "some of the guest", 3000, 400000, 900000, 0, 3, 0, 100, 40, 60, 0, 0 },
	{ "little of the guest", 3000, 400000, 900000, 0, 3, 0, 100, 48, 51, 0, 0 },
	{ "little of the host", 3000, 400000, 900000, 0, 3, 48, 51, 0, 100, 0, 0 },
	{ "little in common", 3000, 400000, 900000, 0, 3, 0, 50, 40, 100, 0, 0 },
	{ "busy", 4000, 100000, 5000, 0, 2, 0, 100, 0, 100, 0, 0 },
	{ "busy, a third in common", 6000, 100000, 5000, 0, 2, 0, 60, 40, 100, 0, 0 },
	{ "very busy", 4000, 500000, 5000, 0, 3, 0, 100, 0, 100, 0, 0 },
	{ "idle, but for its ticks", 2000, 5000, 1000000, 4000000, 10, 0, 100, 0, 100, 0, 0 },
	{ "idle, a third in common", 2000, 5000, 1000000, 4000000, 10, 0, 60, 40, 100, 0, 0 },
	{ "lost events", 3000, 20000, 10000, 0, 3, 0, 100, 0, 100, 30, 0 },
	{ "much lost", 3000, 20000, 10000, 0, 3, 0, 100, 0, 100, 70, 0 },
	{ "short spans", 5000, 500, 300, 0, 2, 0, 100, 0, 100, 0, 0 },
};

static void test_found(void **state)
{
	for (size_t k = 0; k < sizeof(plain) / sizeof(*plain); k++) {
		uint64_t widest = 0;

		for (uint64_t n = 0; n < 4; n++) {
			uint64_t seed = 1000 * k + n, inside, violations;
			struct recording recording;
			struct shift_found found;

			make_recording(&recording, &plain[k], &seed);
			assert_int_equal(find(&recording, &found), 0);
			if (!found.unique || found.violations || !is_in(&found, recording.shift))
				fail_msg("%s, seed %" PRIu64 ": %" PRId64 " to %" PRId64 " cycles from the "
					 "right shift, %" PRIu64 " inside, %" PRIu64 " violations, unique %d",
					 plain[k].name, n, (int64_t)(found.low - recording.shift),
					 (int64_t)(found.high - recording.shift), found.inside,
					 found.violations, found.unique);
			/* The result fits as well as the right shift, and the shifts next to the range fit worse */
			count(&recording, recording.shift, &inside, &violations);
			assert_int_equal(violations, 0);
			assert_true(found.inside >= inside);
			count(&recording, found.low, &inside, &violations);
			assert_int_equal(violations, 0);
			count(&recording, found.high, &inside, &violations);
			assert_int_equal(violations, 0);
			count(&recording, found.low - 1, &inside, &violations);
			assert_true(violations);
			count(&recording, found.high + 1, &inside, &violations);
			assert_true(violations);
			if (found.high - found.low > widest)
				widest = found.high - found.low;
			release_recording(&recording);
		}
		print_message("%s: found to %" PRIu64 " cycles\n", plain[k].name, widest + 1);
	}
}

/* Recordings of any kind and size: a result that is reported as certain is true */
static void test_never_wrong(void **state)
{
	size_t certain = 0, wrong = 0, certain_of_other = 0, tempting = 0;
	uint64_t seed = 51;

	for (int n = 0; n < NEVER_WRONG; n++) {
		struct kind kind = {
			.spans		= prng_range(&seed, 1, 1 << prng_range(&seed, 1, 10)),
			.guest_cycles	= prng_range(&seed, 256, 1ULL << prng_range(&seed, 9, 16)),
			.host_cycles	= prng_range(&seed, 1, 1ULL << prng_range(&seed, 4, 17)),
			.tick		= prng(&seed) % 4 ? 0 : 1 << 18,
			.events		= prng_range(&seed, 1, 8),
			.host_from	= prng_range(&seed, 0, 70),
			.guest_from	= prng_range(&seed, 0, 70),
			.lost		= prng(&seed) % 2 ? 0 : prng_range(&seed, 0, 90),
		};
		struct recording recording, other;
		struct shift_found found;
		int ret;

		kind.host_to = prng_range(&seed, kind.host_from + 5, 100);
		kind.guest_to = prng_range(&seed, kind.guest_from + 5, 100);
		make_recording(&recording, &kind, &seed);
		make_recording(&other, &kind, &seed);
		ret = find(&recording, &found);
		assert_true(!ret || ret == -ENODATA);
		if (!ret && found.unique && !found.violations) {
			certain++;
			wrong += !is_in(&found, recording.shift);
		} else if (!ret && !found.violations) {
			tempting += !is_in(&found, recording.shift);
		}
		/* Events of another guest: no shift is correct */
		free(recording.events);
		recording.events = other.events;
		recording.nr_events = other.nr_events;
		other.events = NULL;
		ret = find(&recording, &found);
		assert_true(!ret || ret == -ENODATA);
		certain_of_other += !ret && found.unique && !found.violations;
		release_recording(&recording);
		release_recording(&other);
	}
	print_message("%zu of %d are certain, %zu of those wrong; with another guest's events %zu; %zu "
		      "that are wrong have no violations\n", certain, NEVER_WRONG, wrong, certain_of_other,
		      tempting);
	assert_int_equal(wrong, 0);
	assert_int_equal(certain_of_other, 0);
	assert_true(certain > NEVER_WRONG / 20);
	/* The control: a wrong shift can have no violations */
	assert_true(tempting > NEVER_WRONG / 10);
}

/*
 * No shift is right for all events: the search finds the one that is
 * right for most, and does not report it as certain
 */
static void test_moved(void **state)
{
	struct kind kind = { "moved", 3000, 20000, 10000, 0, 3, 0, 100, 0, 100, 0, 0 };

	for (unsigned int at = 20; at <= 80; at += 10) {
		uint64_t seed = at, moved_shift;
		struct recording recording;
		struct shift_found found;

		kind.moved = at;
		make_recording(&recording, &kind, &seed);
		moved_shift = recording.shift - JUMP;
		assert_int_equal(find(&recording, &found), 0);
		assert_true(found.violations || !found.unique);
		assert_true(found.inside > recording.nr_events / 2);
		if (at <= 40)
			assert_true(is_in(&found, moved_shift));
		else if (at >= 60)
			assert_true(is_in(&found, recording.shift));
		else
			assert_true(is_in(&found, moved_shift) || is_in(&found, recording.shift));
		release_recording(&recording);
	}
}

/* A periodic pattern: moving the shift by one period makes it fit as well, except at the ends */
static void test_periodic(void **state)
{
	struct recording recording = { .shift = 12345 };
	struct shift_found found;
	uint64_t events[3000], seed = 53;

	for (uint64_t i = 0; i < 1000; i++) {
		uint64_t entry = 1000000 * (i + 1), exit = entry + 5000;

		assert_int_equal(vcpu_modes_add(&recording.spans, entry, exit, MODE_GUEST), 0);
		assert_int_equal(vcpu_modes_add(&recording.spans, exit + 1, entry + 999999, MODE_HOST), 0);
		for (int k = 0; k < 3; k++)
			events[recording.nr_events++] = entry + 500 * k - recording.shift;
	}
	assert_int_equal(vcpu_modes_add(&recording.spans, 1001000001, UINT64_MAX, MODE_UNKNOWN), 0);
	recording.events = events;
	assert_int_equal(find(&recording, &found), 0);
	assert_false(found.unique);
	assert_int_equal(found.violations, 0);
	vcpu_modes_release(&recording.spans);

	/* The control: an irregular pattern has one right shift */
	recording.nr_events = 0;
	for (uint64_t i = 0; i < 1000; i++) {
		uint64_t entry = 1000000 * (i + 1) + 10000 * (prng(&seed) % 16), exit = entry + 5000;

		assert_int_equal(vcpu_modes_add(&recording.spans, entry, exit, MODE_GUEST), 0);
		assert_int_equal(vcpu_modes_add(&recording.spans, exit + 1, entry + 500000, MODE_HOST), 0);
		for (int k = 0; k < 3; k++)
			events[recording.nr_events++] = entry + 500 * k - recording.shift;
	}
	assert_int_equal(vcpu_modes_add(&recording.spans, 1001000001, UINT64_MAX, MODE_UNKNOWN), 0);
	assert_int_equal(find(&recording, &found), 0);
	assert_true(found.unique);
	assert_true(found.low == recording.shift && found.high == recording.shift + 4000);
	assert_int_equal(found.inside, 3000);
	vcpu_modes_release(&recording.spans);
}

/* Guests that wake at the same tick: with many shifts most events of another guest fit, but no result is certain */
static void test_same_tick(void **state)
{
	size_t certain = 0, certain_of_other = 0;
	uint64_t seed = 54;

	for (int n = 0; n < 500; n++) {
		struct kind kind = {
			.spans		= prng_range(&seed, 40, 200),
			.guest_cycles	= prng_range(&seed, 300, 12000),
			.host_cycles	= prng_range(&seed, 50, n % 2 ? 500 : 1000000),
			.tick		= 1 << 18,
			.events		= prng_range(&seed, 1, 4),
			.host_from	= prng_range(&seed, 0, 60),
			.guest_from	= prng_range(&seed, 0, 60),
		};
		struct recording recording, other;
		struct shift_found found;
		int ret;

		kind.host_to = kind.host_from + prng_range(&seed, 15, 40);
		kind.guest_to = kind.guest_from + prng_range(&seed, 10, 40);
		make_recording(&recording, &kind, &seed);
		make_recording(&other, &kind, &seed);
		ret = find(&recording, &found);
		if (!ret && found.unique && !found.violations) {
			assert_true(is_in(&found, recording.shift));
			certain++;
		}
		free(recording.events);
		recording.events = other.events;
		recording.nr_events = other.nr_events;
		other.events = NULL;
		ret = find(&recording, &found);
		certain_of_other += !ret && found.unique && !found.violations;
		release_recording(&recording);
		release_recording(&other);
	}
	assert_int_equal(certain_of_other, 0);
	/* The control: some results with the guest's own events are certain */
	assert_true(certain > 10);
}

/*
 * Five spans in guest mode. All distances between two of them differ, so a
 * wrong shift moves at most one event into a span.
 */
static void make_ruler(struct recording *recording, uint64_t *events, uint64_t length)
{
	static const uint64_t marks[] = { 0, 1, 4, 9, 11 };
	const uint64_t unit = 100000, first = 1000000;

	*recording = (struct recording) { .events = events, .nr_events = 5, .shift = 4711 };
	for (size_t i = 0; i < 5; i++) {
		uint64_t from = first + marks[i] * unit, to = from + length - 1;

		events[i] = from + length / 2 - recording->shift;
		assert_int_equal(vcpu_modes_add(&recording->spans, from, to, MODE_GUEST), 0);
		if (i < 4)
			assert_int_equal(vcpu_modes_add(&recording->spans, to + 1, first + marks[i + 1] * unit - 1,
							MODE_HOST), 0);
		else
			assert_int_equal(vcpu_modes_add(&recording->spans, to + 1, UINT64_MAX, MODE_UNKNOWN), 0);
	}
}

/* How many of 4000 searches with five events at random times find a shift with all of them in guest mode */
static size_t count_by_chance(const struct recording *recording, uint64_t *seed)
{
	uint64_t recorded = recording->events[4] - recording->events[0], events[5];
	struct recording other = { .spans = recording->spans, .events = events, .nr_events = 5 };
	size_t nr = 0;

	for (int n = 0; n < 4000; n++) {
		struct shift_found found;

		for (size_t i = 0; i < 5; i++)
			events[i] = prng_range(seed, 0, recorded);
		qsort(events, 5, sizeof(*events), compare_times);
		nr += !find(&other, &found) && !found.violations && found.inside == 5;
	}
	return nr;
}

/* A result that one search in a thousand would find by chance is not certain, even if no other shift comes close */
static void test_chance(void **state)
{
	enum { COPIES = 4 };
	uint64_t seed = 55, events[5], copies[5 * COPIES];

	for (uint64_t length = 2000; length <= 44000; length += 14000) {
		struct recording recording;
		struct shift_found found, copied;
		size_t by_chance;

		make_ruler(&recording, events, length);
		assert_int_equal(find(&recording, &found), 0);
		assert_true(is_in(&found, recording.shift) && !found.violations && found.inside == 5);
		by_chance = count_by_chance(&recording, &seed);
		print_message("spans of %" PRIu64 " cycles: by chance in %zu of 4000 searches\n", length, by_chance);
		if (by_chance > 4)
			assert_false(found.unique);
		/* More events in the same spans are no better proof */
		for (size_t i = 0; i < 5 * COPIES; i++)
			copies[i] = events[i / COPIES] + i % COPIES;
		recording.events = copies;
		recording.nr_events = 5 * COPIES;
		assert_int_equal(find(&recording, &copied), 0);
		assert_int_equal(copied.inside, 5 * COPIES);
		assert_int_equal(copied.unique, found.unique);
		/*
		 * The controls: with the longest spans results occur by chance, and
		 * with the shortest the result is certain
		 */
		assert_true(by_chance > 4 || length < 44000);
		assert_true(found.unique || length > 2000);
		vcpu_modes_release(&recording.spans);
	}
}

/* Events in the middle of long spans leave a wide range: it is reported, and the result is still accepted */
static void test_wide(void **state)
{
	enum { SPANS = 200, GUEST = 60000, MARGIN = 25000 };
	uint64_t time = 1000000, seed = 56, events[2 * SPANS];
	struct recording recording = { .events = events, .shift = 12345 };
	struct shift_found found;

	for (size_t i = 0; i < SPANS; i++) {
		uint64_t pause = prng_range(&seed, 10000, 70000);

		assert_int_equal(vcpu_modes_add(&recording.spans, time, time + GUEST - 1, MODE_GUEST), 0);
		events[recording.nr_events++] = time + MARGIN - recording.shift;
		events[recording.nr_events++] = time + GUEST - 1 - MARGIN - recording.shift;
		time += GUEST;
		assert_int_equal(vcpu_modes_add(&recording.spans, time, time + pause - 1, MODE_HOST), 0);
		time += pause;
	}
	assert_int_equal(vcpu_modes_add(&recording.spans, time, UINT64_MAX, MODE_UNKNOWN), 0);
	assert_int_equal(find(&recording, &found), 0);
	assert_int_equal(found.violations, 0);
	assert_true(found.low == recording.shift - MARGIN && found.high == recording.shift + MARGIN);
	assert_true(found.unique);
	vcpu_modes_release(&recording.spans);
}

/* Add spans in guest mode to the host, or an event in each to the guest, with random pauses between them */
static void add_job(struct recording *recording, uint64_t *time, size_t nr, bool host, uint64_t guest_shift,
		    uint64_t *seed)
{
	for (size_t i = 0; i < nr; i++) {
		uint64_t pause = prng_range(seed, 5000, 50000);

		if (host) {
			assert_int_equal(vcpu_modes_add(&recording->spans, *time, *time + 999, MODE_GUEST), 0);
			assert_int_equal(vcpu_modes_add(&recording->spans, *time + 1000, *time + 999 + pause,
							MODE_HOST), 0);
		} else {
			recording->events[recording->nr_events++] = *time + 500 - guest_shift;
		}
		*time += 1000 + pause;
	}
}

/*
 * A guest repeats the same job. Its recording ends with the job, and the host's recording begins with the next run of
 * it. All events of the job would fit, but earlier ones are outside the host's recording.
 */
static void test_same_job(void **state)
{
	enum { JOB = 20, OTHER = 200 };
	const uint64_t job_seed = 58, shift = 12345;

	for (int other = 0; other < 2; other++) {
		uint64_t events[OTHER + JOB], time = 1000000, seed = 59, job = job_seed;
		struct recording recording = { .events = events, .shift = shift };
		struct shift_found found;

		/* Other activity, which only one of the two recorded */
		if (other)
			add_job(&recording, &time, OTHER, false, shift, &seed);
		add_job(&recording, &time, JOB, false, shift, &job);
		job = job_seed;
		add_job(&recording, &time, JOB, true, 0, &job);
		if (other)
			add_job(&recording, &time, OTHER, true, 0, &seed);
		assert_int_equal(vcpu_modes_add(&recording.spans, time, UINT64_MAX, MODE_UNKNOWN), 0);
		assert_int_equal(find(&recording, &found), 0);
		assert_int_equal(found.violations, 0);
		assert_int_equal(found.inside, JOB);
		/* The control: without other activity nothing contradicts the result */
		assert_int_equal(found.unique, !other);
		vcpu_modes_release(&recording.spans);
	}
}

/* The host lost events after each span: a shift that moves the guest's events there has no violations either */
static void test_moved_into_the_unknown(void **state)
{
	enum { SPANS = 100 };
	uint64_t events[4 * SPANS], time = 1000000, seed = 60, inside, violations;
	struct recording recording = { .events = events, .shift = 12345 };
	struct shift_found found;

	for (size_t i = 0; i < SPANS; i++) {
		uint64_t pause = prng_range(&seed, 5000, 50000);

		for (int k = 0; k < 4; k++)
			events[recording.nr_events++] = time + prng_range(&seed, 0, 999) - recording.shift;
		assert_int_equal(vcpu_modes_add(&recording.spans, time, time + 999, MODE_GUEST), 0);
		assert_int_equal(vcpu_modes_add(&recording.spans, time + 1000, time + 2999, MODE_UNKNOWN), 0);
		assert_int_equal(vcpu_modes_add(&recording.spans, time + 3000, time + 2999 + pause, MODE_HOST), 0);
		time += 3000 + pause;
	}
	assert_int_equal(vcpu_modes_add(&recording.spans, time, UINT64_MAX, MODE_UNKNOWN), 0);
	qsort(events, recording.nr_events, sizeof(*events), compare_times);
	assert_int_equal(find(&recording, &found), 0);
	assert_true(found.unique && !found.violations && is_in(&found, recording.shift));
	/* Some events may be there, but not most */
	count(&recording, found.high, &inside, &violations);
	assert_true(!violations && 2 * inside >= found.inside);
	count(&recording, found.high + 1, &inside, &violations);
	assert_true(!violations && 2 * inside < found.inside);
	vcpu_modes_release(&recording.spans);
}

static void test_nothing(void **state)
{
	const struct kind kind = { "some", 50, 20000, 10000, 0, 3, 0, 100, 0, 100, 0, 0 };
	struct recording recording, none = { 0 };
	uint64_t far[2] = { 0, UINT64_MAX }, seed = 1;
	struct progress progress = { 0 };
	struct shift_search search;
	struct shift_found found;

	make_recording(&recording, &kind, &seed);
	assert_int_equal(find(&none, &found), -ENODATA);
	none.events = recording.events;
	none.nr_events = recording.nr_events;
	assert_int_equal(find(&none, &found), -ENODATA);
	none = (struct recording) { .spans = recording.spans };
	assert_int_equal(find(&none, &found), -ENODATA);
	assert_int_equal(shift_search_begin(&search, &recording.spans, far, 2, &progress, 0), -ERANGE);
	shift_search_release(&search);
	/* Nor may the host's times be further apart; only a damaged file has that */
	assert_int_equal(vcpu_modes_add(&recording.spans, 1ULL << 63, UINT64_MAX, MODE_GUEST), 0);
	assert_int_equal(vcpu_modes_add(&recording.spans, UINT64_MAX, UINT64_MAX, MODE_UNKNOWN), 0);
	assert_int_equal(shift_search_begin(&search, &recording.spans, far, 1, &progress, 0), -ERANGE);
	shift_search_release(&search);
	release_recording(&recording);

	/* The largest allowed distance: no number wraps, and the search ends */
	none = (struct recording) { .events = far, .nr_events = 2 };
	far[1] = 1ULL << 62;
	assert_int_equal(vcpu_modes_add(&none.spans, 1, 1ULL << 60, MODE_GUEST), 0);
	assert_int_equal(vcpu_modes_add(&none.spans, (1ULL << 60) + 1, 1ULL << 61, MODE_HOST), 0);
	assert_int_equal(vcpu_modes_add(&none.spans, (1ULL << 61) + 1, 1ULL << 62, MODE_GUEST), 0);
	assert_int_equal(vcpu_modes_add(&none.spans, (1ULL << 62) + 1, UINT64_MAX, MODE_UNKNOWN), 0);
	assert_int_equal(find(&none, &found), 0);
	assert_false(found.unique);
	vcpu_modes_release(&none.spans);

	/* Always in guest mode: any shift fits */
	none = (struct recording) { .events = far, .nr_events = 1 };
	assert_int_equal(vcpu_modes_add(&none.spans, 100, 200, MODE_GUEST), 0);
	assert_int_equal(vcpu_modes_add(&none.spans, 201, UINT64_MAX, MODE_UNKNOWN), 0);
	assert_int_equal(find(&none, &found), 0);
	assert_false(found.unique);
	assert_true(found.low <= 100 && found.high >= 200);
	vcpu_modes_release(&none.spans);
}

/* The largest size of an array */
static size_t most_memory;

void *__real_reallocarray(void *old, size_t nr, size_t size);
void *__wrap_reallocarray(void *old, size_t nr, size_t size);

void *__wrap_reallocarray(void *old, size_t nr, size_t size)
{
	if (nr * size > most_memory)
		most_memory = nr * size;
	return __real_reallocarray(old, nr, size);
}

/* Memory is bounded, however many events move between spans at the remaining shifts */
static void test_many_events(void **state)
{
	const struct kind kind = { "much lost", 3000, 20000, 10000, 0, 100, 0, 100, 0, 100, 90, 0 };
	struct recording recording;
	struct shift_found found;
	uint64_t seed = 50, inside, violations;

	make_recording(&recording, &kind, &seed);
	most_memory = 0;
	assert_int_equal(find(&recording, &found), 0);
	assert_true(most_memory > 8 << 20 && most_memory < 64 << 20);
	assert_true(found.unique && !found.violations && is_in(&found, recording.shift));
	count(&recording, recording.shift, &inside, &violations);
	assert_true(found.inside >= inside);
	count(&recording, found.low - 1, &inside, &violations);
	assert_true(violations);
	count(&recording, found.high + 1, &inside, &violations);
	assert_true(violations);
	print_message("%zu events, %zu MiB\n", recording.nr_events, most_memory >> 20);
	release_recording(&recording);
}

/* Overlapping spans of a damaged file: each cycle counts once; otherwise the sum of all cycles would wrap to 0 */
static void test_overlapping(void **state)
{
	uint64_t events[] = { 0, 100, 400, 900 };
	struct recording recording = { .events = events, .nr_events = 4, .shift = 100 };
	struct vcpu_modes *spans = &recording.spans;
	struct shift_found found;

	for (size_t i = 0; i < 4; i++) {
		const uint64_t from = events[i] + recording.shift;

		assert_int_equal(vcpu_modes_add(spans, from, from + (1ULL << 62) - 1, MODE_GUEST), 0);
		assert_int_equal(vcpu_modes_add(spans, from + 7, from + 9, MODE_UNKNOWN), 0);
	}
	assert_int_equal(find(&recording, &found), 0);
	assert_true(is_in(&found, recording.shift));
	assert_int_equal(found.inside, 4);
	assert_int_equal(spans->guest_time, 4 * 7);
	assert_int_equal(spans->host_time, 0);
	vcpu_modes_release(spans);
}

/* A sweep finds every shift without violations: compared with trying all shifts one by one */
static void test_sweep(void **state)
{
	uint64_t seed = 52, right = 0, left = 0, all = 0;
	static struct shift_ranges ranges;
	struct progress progress = { 0 };

	for (int n = 0; n < 300; n++) {
		const struct kind kind = {
			.spans = prng_range(&seed, 2, 40), .guest_cycles = prng_range(&seed, 2, 60),
			.host_cycles = prng_range(&seed, 2, 200), .events = 1, .host_to = 100,
			.guest_to = 100,
		};
		struct recording recording;
		uint64_t known, recorded, last, *before_last;
		struct shift_row row;

		make_recording(&recording, &kind, &seed);
		if (!recording.nr_events) {
			release_recording(&recording);
			continue;
		}
		last = recording.events[recording.nr_events - 1];
		recorded = last - recording.events[0];
		known = vcpu_modes_known(&recording.spans);
		before_last = calloc(recording.nr_events, sizeof(*before_last));
		assert_non_null(before_last);
		for (size_t i = 0; i < recording.nr_events; i++)
			before_last[i] = last - recording.events[recording.nr_events - 1 - i];
		assert_int_equal(shift_row_make(&row, &recording.spans, recorded), 0);
		assert_int_equal(shift_sweep(&row, before_last, recording.nr_events, &ranges, &progress, 0), 0);
		for (uint64_t x = 0; x <= known + recorded; x++) {
			uint64_t inside, violations;
			bool is_left = false;

			count(&recording, vcpu_modes_from(&recording.spans, 0) - last + x, &inside, &violations);
			for (size_t i = 0; i < ranges.nr; i++)
				is_left |= ranges.ranges[i].from <= x && x <= ranges.ranges[i].to;
			if (!violations && inside && !is_left && ranges.nr < SHIFT_RANGES)
				fail_msg("%d: shift %" PRIu64 " is not left", n, x);
			right += !violations && inside;
			left += is_left;
			all++;
		}
		free(before_last);
		shift_row_release(&row);
		release_recording(&recording);
	}
	print_message("%" PRIu64 " shifts, %" PRIu64 " of them without violations, %" PRIu64 " left\n", all,
		      right, left);
	assert_true(right && left < all / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sweep),
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_never_wrong),
		cmocka_unit_test(test_moved),
		cmocka_unit_test(test_periodic),
		cmocka_unit_test(test_same_tick),
		cmocka_unit_test(test_chance),
		cmocka_unit_test(test_wide),
		cmocka_unit_test(test_same_job),
		cmocka_unit_test(test_moved_into_the_unknown),
		cmocka_unit_test(test_many_events),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_overlapping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
