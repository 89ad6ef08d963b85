// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The modes of a vCPU in memory: lookups, queries for a range, and the join of two threads. First small lists with
 * known content, then random ones that are compared cycle by cycle.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "prng.h"
#include "vcpu_modes.h"

#define CYCLES	64

/*
 * One letter for the mode of each cycle: G guest mode, H not in guest mode,
 * '.' unknown. After the end the mode is unknown.
 */
static enum vcpu_mode mode_of(char letter)
{
	return letter == 'G' ? MODE_GUEST : letter == 'H' ? MODE_HOST : MODE_UNKNOWN;
}

/* Like the caller of a stream: one span for each run of equal letters, and an unknown one at the end */
static struct vcpu_modes spans_of(const char *letters)
{
	struct vcpu_modes spans = { 0 };
	size_t length = strlen(letters), from = 0;

	for (size_t i = 1; i <= length; i++) {
		if (i < length && letters[i] == letters[from])
			continue;
		assert_int_equal(vcpu_modes_add(&spans, from, i - 1, mode_of(letters[from])), 0);
		from = i;
	}
	assert_int_equal(vcpu_modes_add(&spans, length, UINT64_MAX, MODE_UNKNOWN), 0);
	return spans;
}

static void check_letters(const char *name, const struct vcpu_modes *spans, const char *letters)
{
	size_t length = strlen(letters);

	for (size_t i = 0; i < length + 2; i++) {
		enum vcpu_mode wanted = i < length ? mode_of(letters[i]) : MODE_UNKNOWN;

		/* The result must not depend on the hint */
		for (size_t hint = 0; hint <= spans->nr + 1; hint++) {
			size_t span = vcpu_modes_find(spans, i, hint);

			if (vcpu_modes_at(spans, span) != wanted)
				fail_msg("%s: cycle %zu with hint %zu is in mode %d", name, i, hint,
					 vcpu_modes_at(spans, span));
			if (span != MODE_SPAN_NONE)
				assert_true(vcpu_modes_from(spans, span) <= i &&
					    (span + 1 == spans->nr || vcpu_modes_from(spans, span + 1) > i));
		}
	}
	for (size_t i = 1; i < spans->nr; i++)
		assert_true(vcpu_modes_from(spans, i - 1) < vcpu_modes_from(spans, i) &&
			    vcpu_modes_at(spans, i - 1) != vcpu_modes_at(spans, i));
	if (spans->nr)
		assert_int_equal(vcpu_modes_at(spans, spans->nr - 1), MODE_UNKNOWN);
}

/* The sums count all letters, but not the last span */
static void check_sums(const char *name, const struct vcpu_modes *spans, const char *letters)
{
	uint64_t guest = 0, host = 0;
	size_t nr_guest = 0;

	for (size_t i = 0; letters[i]; i++) {
		guest += letters[i] == 'G';
		host += letters[i] == 'H';
		nr_guest += letters[i] == 'G' && (!i || letters[i - 1] != 'G');
	}
	if (spans->guest_time != guest || spans->host_time != host || spans->nr_guest != nr_guest)
		fail_msg("%s: %lu cycles in guest mode, %lu out of it, %zu spans", name,
			 (unsigned long)spans->guest_time, (unsigned long)spans->host_time, spans->nr_guest);
}

static void test_add(void **state)
{
	static const char *const cases[] = { "", "G", "H", "HHGG", "..GG..HH", "GHGHGH", "GGGG....GGGG" };

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct vcpu_modes spans = spans_of(cases[i]);

		check_letters(cases[i], &spans, cases[i]);
		check_sums(cases[i], &spans, cases[i]);
		vcpu_modes_release(&spans);
		assert_int_equal(spans.nr, 0);
	}
}

/*
 * A span that does not begin after the begin of the previous one is moved to begin one cycle after it; if it has no
 * cycle left, it is dropped
 */
static void test_add_out_of_order(void **state)
{
	struct vcpu_modes spans = { 0 };

	assert_int_equal(vcpu_modes_add(&spans, 10, 19, MODE_GUEST), 0);
	assert_int_equal(vcpu_modes_add(&spans, 10, 30, MODE_HOST), 0);
	assert_int_equal(spans.nr, 2);
	assert_int_equal(vcpu_modes_from(&spans, 1), 11);
	assert_int_equal(spans.guest_time, 1);
	assert_int_equal(vcpu_modes_add(&spans, 5, 11, MODE_GUEST), 0);
	assert_int_equal(spans.nr, 2);
	assert_int_equal(vcpu_modes_add(&spans, 5, 12, MODE_GUEST), 0);
	assert_int_equal(spans.nr, 3);
	assert_int_equal(vcpu_modes_from(&spans, 2), 12);
	assert_int_equal(spans.host_time, 1);
	vcpu_modes_release(&spans);
}

static void test_any_guest(void **state)
{
	static const struct { const char *letters; uint64_t from, to; bool may_be; } cases[] = {
		{ "HHHHGGHH", 0, 3, false },
		{ "HHHHGGHH", 0, 4, true },
		{ "HHHHGGHH", 5, 5, true },
		{ "HHHHGGHH", 6, 7, false },
		{ "HHHHGGHH", 6, 8, true },	/* unknown after the last cycle */
		{ "HHHH..HH", 0, 3, false },
		{ "HHHH..HH", 0, 4, true },
		{ "HHHH..HH", 5, 6, true },
		{ "..HHHH", 1, 3, true },
		{ "..HHHH", 2, 5, false },
		{ "", 0, 0, true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct vcpu_modes spans = spans_of(cases[i].letters);

		if (vcpu_modes_any_guest(&spans, cases[i].from, cases[i].to) != cases[i].may_be)
			fail_msg("%s, %lu to %lu: not %d", cases[i].letters, (unsigned long)cases[i].from,
				 (unsigned long)cases[i].to, cases[i].may_be);
		vcpu_modes_release(&spans);
	}
}

static void check_join(const char *name, const char *a, const char *b, const char *wanted)
{
	struct vcpu_modes spans_a = spans_of(a), spans_b = spans_of(b), joined = { 0 };

	assert_int_equal(vcpu_modes_join(&joined, &spans_a, &spans_b), 0);
	check_letters(name, &joined, wanted);
	check_sums(name, &joined, wanted);
	vcpu_modes_release(&joined);
	vcpu_modes_release(&spans_a);
	vcpu_modes_release(&spans_b);
}

static void test_join(void **state)
{
	static const struct { const char *name, *a, *b, *joined; } cases[] = {
		{ "one after the other", "GGHHHHHH", "HHHHGGHH", "GGHHGGHH" },
		{ "at the same time", "GGGHHH", "HGGGGH", "GGGGGH" },
		{ "nothing known of one", "......", "HHGGHH", "..GG.." },
		{ "one that ends before the other", "GGHH", "HHHHGG", "GGHHGG" },
		{ "one that ends out of guest mode", "GGHH", "HHHHHH", "GGHH.." },
		{ "the first cycle of both", "GH", "HG", "GG" },
		{ "one that is empty", "", "GHG", "G.G" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		check_join(cases[i].name, cases[i].a, cases[i].b, cases[i].joined);
		check_join(cases[i].name, cases[i].b, cases[i].a, cases[i].joined);
	}
}

static void make_letters(char *letters, uint64_t *seed)
{
	size_t length = prng_range(seed, 0, CYCLES - 1);
	char letter = '.';

	for (size_t i = 0; i < length; i++) {
		if (!(prng(seed) % 4))
			letter = "GH."[prng(seed) % 3];
		letters[i] = letter;
	}
	letters[length] = '\0';
}

static void test_join_random(void **state)
{
	char a[CYCLES], b[CYCLES], wanted[CYCLES];
	uint64_t seed = 61;

	for (int n = 0; n < 3000; n++) {
		size_t length_a, length_b, i;

		make_letters(a, &seed);
		make_letters(b, &seed);
		length_a = strlen(a);
		length_b = strlen(b);
		for (i = 0; i < length_a || i < length_b; i++) {
			char x = i < length_a ? a[i] : '.', y = i < length_b ? b[i] : '.';

			wanted[i] = x == 'G' || y == 'G' ? 'G' : x == 'H' && y == 'H' ? 'H' : '.';
		}
		wanted[i] = '\0';
		check_join(wanted, a, b, wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_add_out_of_order),
		cmocka_unit_test(test_any_guest),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_join_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
