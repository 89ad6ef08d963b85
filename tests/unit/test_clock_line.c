// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* One clock as a piecewise linear function of another: exact on straight lines, undefined where nothing is known. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "clock_line.h"

#define HZ	2500000000ULL
#define NS	1000000000ULL
#define DAY	86400ULL

static struct clock_line line;

static int teardown(void **state)
{
	clock_line_release(&line);
	return 0;
}

static void add(uint64_t from, uint64_t to, bool broken)
{
	assert_int_equal(clock_line_add(&line, from, to, broken), 0);
}

static uint64_t at(uint64_t from)
{
	line_time to;

	assert_true(clock_line_at(&line, line_time_of(from), &to));
	return (uint64_t)(to >> CLOCK_LINE_BITS);
}

static bool known(uint64_t from)
{
	line_time to;

	return clock_line_at(&line, line_time_of(from), &to);
}

static void test_straight(void **state)
{
	/* No precision is lost over days, with the largest values that are allowed */
	add(1ULL << 61, NS, false);
	add((1ULL << 61) + DAY * HZ, NS + DAY * NS, false);
	for (uint64_t second = 0; second < DAY; second += 4321)
		assert_int_equal(at((1ULL << 61) + second * HZ + 5), NS + second * NS + 2);
}

static void test_bits(void **state)
{
	line_time to;

	add(0, 0, false);
	add(3, 1, false);
	assert_true(clock_line_at(&line, line_time_of(1), &to));
	assert_true(to == (1 << CLOCK_LINE_BITS) / 3);
}

static void test_parts(void **state)
{
	add(1000, 10, false);
	add(2000, 20, false);
	add(3000, 40, false);
	assert_int_equal(at(1500), 15);
	assert_int_equal(at(2000), 20);
	assert_int_equal(at(2500), 30);
	/* Outside the readings the line continues with the slope of its nearest piece */
	assert_int_equal(at(3500), 50);
	assert_int_equal(at(500), 5);
	assert_true(clock_line_inside(&line, line_time_of(3000)));
	assert_false(clock_line_inside(&line, line_time_of(3001)));
	assert_false(clock_line_inside(&line, line_time_of(999)));
}

/* Two readings close to each other do not determine the slope far away from them */
static void test_end(void **state)
{
	add(1000, 1000, false);
	add(1010, 1011, false);
	add(5000, 5000, false);
	add(5010, 5009, false);
	assert_int_equal(at(9000), 8997);
	assert_int_equal(at(0), 0);
}

static void test_broken(void **state)
{
	assert_false(clock_line_usable(&line));
	assert_false(known(0));
	add(1000, 10, false);
	assert_false(clock_line_usable(&line));
	assert_false(known(1000));
	add(2000, 20, true);
	add(3000, 20, false);
	add(4000, 30, true);
	add(5000, 90, false);
	assert_true(clock_line_usable(&line));
	assert_int_equal(at(1999), 19);
	assert_false(known(2000));
	assert_false(known(2999));
	assert_int_equal(at(3500), 25);
	assert_false(known(4500));
	assert_false(known(6000));
}

static void test_refused(void **state)
{
	add(1000, 10, false);
	assert_int_equal(clock_line_add(&line, 1000, 20, false), -ERANGE);
	assert_int_equal(clock_line_add(&line, 2000, 10, false), -ERANGE);
	assert_int_equal(clock_line_add(&line, UINT64_MAX, 20, false), -ERANGE);
	assert_int_equal(clock_line_add(&line, 2000, UINT64_MAX, false), -ERANGE);
	assert_int_equal(line.nr, 1);
	/* So far apart that products would overflow */
	add(1ULL << 62, 20, false);
	assert_false(known(2000));
	assert_false(clock_line_usable(&line));
}

static void test_bend(void **state)
{
	uint64_t bend;

	add(0, 0, false);
	add(1000, 1000, false);
	assert_false(clock_line_bend(&line, &bend));
	add(2000, 1900, false);
	assert_true(clock_line_bend(&line, &bend));
	assert_int_equal(bend, 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_straight, teardown),
		cmocka_unit_test_teardown(test_bits, teardown),
		cmocka_unit_test_teardown(test_parts, teardown),
		cmocka_unit_test_teardown(test_end, teardown),
		cmocka_unit_test_teardown(test_broken, teardown),
		cmocka_unit_test_teardown(test_refused, teardown),
		cmocka_unit_test_teardown(test_bend, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
