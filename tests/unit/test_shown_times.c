// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* What readers add to a file's times because of its options DATE, OFFSET, TSC2NSEC and TIME_SHIFT. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shown_times.h"
#include "time_shift.h"
#include "trace_dat.h"

struct option {
	int		id;
	const char	*text;
};

struct ahead_case {
	const char	*name;
	struct option	options[3];
	int64_t		added;
};

static struct error error;

static const struct ahead_case ahead_cases[] = {
	{ "no option", { { 0, NULL } }, 0 },
	{ "OFFSET is in the file's unit", { { TRACE_DAT_OFFSET, "-4711" } }, -4711 },
	{ "DATE is in microseconds", { { TRACE_DAT_DATE, "1234567" } }, 1234567000 },
	{ "DATE as trace-cmd writes it", { { TRACE_DAT_DATE, "0x10" } }, 16000 },
	{ "a leading zero is octal", { { TRACE_DAT_OFFSET, "010" } }, 8 },
	{ "what comes after a number does not count", { { TRACE_DAT_OFFSET, "12 and more" } }, 12 },
	{ "no number", { { TRACE_DAT_OFFSET, "x" } }, 0 },
	{ "both", { { TRACE_DAT_OFFSET, "5" }, { TRACE_DAT_DATE, "2" } }, 2005 },
	{ "all of them are added", { { TRACE_DAT_OFFSET, "5" }, { TRACE_DAT_OFFSET, "7" }, { TRACE_DAT_DATE, "-1" } },
	  -988 },
	{ "the product wraps", { { TRACE_DAT_DATE, "9223372036854775807" } }, -1000 },
	{ "another option", { { TRACE_DAT_TRACECLOCK, "12" } }, 0 },
};

static void add(struct trace_dat *dat, int id, const void *data, size_t size)
{
	dat->options[dat->nr_options++] = (struct trace_dat_option) { .id = id, .size = size, .data = (uint8_t *)data };
}

static void test_ahead(void **state)
{
	for (size_t i = 0; i < sizeof(ahead_cases) / sizeof(*ahead_cases); i++) {
		const struct ahead_case *c = &ahead_cases[i];
		struct trace_dat_option options[4];
		struct trace_dat dat = { .options = options, .error = &error };
		struct shown_times shown;

		for (size_t j = 0; j < 3 && c->options[j].text; j++)
			add(&dat, c->options[j].id, c->options[j].text, strlen(c->options[j].text) + 1);
		assert_int_equal(shown_times_read(&shown, &dat), 0);
		if (shown.added != c->added)
			fail_msg("%s: %ld", c->name, (long)shown.added);
		assert_true(!shown.has_shift && !shown.nanoseconds.mult);
		shown_times_release(&shown);
	}
}

/* An option with digits only, without a terminating zero */
static void test_end(void **state)
{
	char *text = strdup("123456");
	struct trace_dat_option options[1];
	struct trace_dat dat = { .options = options, .error = &error };
	struct shown_times shown;

	add(&dat, TRACE_DAT_OFFSET, text, 4);
	assert_int_equal(shown_times_read(&shown, &dat), 0);
	assert_int_equal(shown.added, 1234);
	shown_times_release(&shown);
	free(text);
}

static void test_time_shift(void **state)
{
	static const struct time_shift_point points[] = { { 100, 1000 }, { 200, 1000 } };
	const struct time_shift shift = { 1, 2, (struct time_shift_point *)points };
	struct trace_dat_option options[2];
	struct trace_dat dat = { .options = options, .error = &error };
	struct shown_times shown;
	void *option;
	size_t size;

	assert_int_equal(time_shift_encode(&shift, 4711, &option, &size), 0);
	add(&dat, TRACE_DAT_TIME_SHIFT, option, size);
	add(&dat, TRACE_DAT_OFFSET, "5", 2);
	assert_int_equal(shown_times_read(&shown, &dat), 0);
	assert_true(shown.has_shift && shown.added == 5);
	/* The offset that is added to all times is not a part of the shift */
	assert_int_equal(time_shift_apply(&shown.shift, 0, 150), 1150);
	shown_times_release(&shown);
	assert_false(shown.has_shift);

	options[0].size = size - 1;
	assert_int_equal(shown_times_read(&shown, &dat), -EBADMSG);
	shown_times_release(&shown);
	free(option);
}

static void test_units(void **state)
{
	static const struct { const char *name; struct tsc2nsec a, b; bool same; } cases[] = {
		{ "neither", { 0, 0, 0 }, { 0, 0, 0 }, true },
		{ "neither, whatever the shift is", { 0, 7, 0 }, { 0, 8, 0 }, true },
		{ "the same", { 3, 7, 0 }, { 3, 7, 9 }, true },
		{ "another factor", { 3, 7, 0 }, { 4, 7, 0 }, false },
		{ "another shift", { 3, 7, 0 }, { 3, 8, 0 }, false },
		{ "one of them", { 3, 7, 0 }, { 0, 7, 0 }, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct shown_times a = { .nanoseconds = cases[i].a }, b = { .nanoseconds = cases[i].b };

		if (shown_times_same_unit(&a, &b) != cases[i].same || shown_times_same_unit(&b, &a) != cases[i].same)
			fail_msg("%s: not %d", cases[i].name, cases[i].same);
	}
}

static void test_difference(void **state)
{
	static const struct { const char *name; int64_t guest, host; struct tsc2nsec unit; int64_t added; } cases[] = {
		{ "the same", 5000, 5000, { 0, 0, 0 }, 0 },
		{ "cycles", 5000, 2000, { 0, 0, 0 }, 3000 },
		{ "cycles, the host's are more", 2000, 5000, { 0, 0, 0 }, -3000 },
		{ "half a nanosecond for each cycle", 5000, 2000, { 1, 1, 0 }, 6000 },
		{ "nanoseconds, the host's are more", 2000, 5000, { 1, 1, 0 }, -6000 },
		{ "a third of them", 5000, 2000, { 3, 0, 0 }, 1000 },
		{ "only the lowest bits of a shift count", 5000, 2000, { 1, 33, 0 }, 6000 },
		{ "from one end to the other", INT64_MIN, INT64_MAX, { 0, 0, 0 }, 1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct shown_times guest = { .added = cases[i].guest };
		const struct shown_times host = { .added = cases[i].host, .nanoseconds = cases[i].unit };
		int64_t added = shown_times_difference(&guest, &host);

		if (added != cases[i].added)
			fail_msg("%s: %ld", cases[i].name, (long)added);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ahead),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_time_shift),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_difference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
