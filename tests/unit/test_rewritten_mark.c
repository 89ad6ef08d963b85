// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The mark of a file whose pages have host times: it follows the recorder's
 * version. Which texts are recognised as marks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rewritten_mark.h"
#include "trace_dat.h"
#include "trace_dat_edit.h"

#define ID	0x0123456789abcdefULL
#define MARK	"times of 0123456789abcdef by tsc-offset"

static struct trace_dat_option version_option(const void *data, size_t size)
{
	return (struct trace_dat_option) { .id = TRACE_DAT_VERSION, .size = (uint32_t)size, .data = (uint8_t *)data,
					   .offset = 100 };
}

static bool read_text(const char *text, size_t size, uint64_t *id)
{
	struct trace_dat_option option = version_option(text, size);
	struct trace_dat dat = { .options = &option, .nr_options = 1 };

	return rewritten_mark_read(&dat, id);
}

/* The edit adds @wanted and retires the versions that exist; the mark is read back */
static void expect_added(struct trace_dat_option *options, size_t nr, const char *wanted)
{
	struct trace_dat dat = { .options = options, .nr_options = nr };
	struct trace_dat_edit edit = { 0 };
	uint64_t id = 0;

	assert_int_equal(rewritten_mark_add(&edit, &dat, ID), 0);
	assert_int_equal(edit.size, TRACE_DAT_OPTION_HEADER + strlen(wanted) + 1);
	assert_int_equal(edit.options[0] | edit.options[1] << 8, TRACE_DAT_VERSION);
	assert_string_equal((char *)edit.options + TRACE_DAT_OPTION_HEADER, wanted);
	assert_true(read_text(wanted, strlen(wanted) + 1, &id));
	assert_true(id == ID);
	for (size_t i = 0; i < nr; i++)
		assert_true(i < edit.nr_retired && edit.retired[i] == options[i].offset);
	trace_dat_edit_release(&edit);
}

static void test_added(void **state)
{
	/* Two versions, of which readers show the last. The other two are retired options of other kinds. */
	struct trace_dat_option options[] = {
		version_option("3.0\0", 4), version_option("3.1.6 (none)", 13), version_option("\1\2\3", 4),
		version_option("\0\0\0\0", 5),
	};
	char longest[258];

	memset(longest, 'v', sizeof(longest));
	longest[257] = '\0';
	expect_added(options, 0, MARK);
	expect_added(options, 1, "3.0; " MARK);
	expect_added(options, 4, "3.1.6 (none); " MARK);
	options[0] = version_option(longest, 258);
	/* This text is too long for a version */
	expect_added(options, 1, MARK);
	options[0] = version_option(MARK, sizeof(MARK));
	expect_added(options, 1, MARK "; " MARK);
}

static void test_longest(void **state)
{
	char longest[256 + 2 + sizeof(MARK)];
	struct trace_dat_option option = version_option(longest, 257);
	char text[257];

	memset(text, 'v', 256);
	text[256] = '\0';
	option.data = (uint8_t *)text;
	memcpy(longest, text, 256);
	strcpy(longest + 256, "; " MARK);
	expect_added(&option, 1, longest);
}

static void test_not_marks(void **state)
{
	static const char *const texts[] = {
		"", "3.1.6", "x" MARK, "3.1.6;" MARK, "3.1.6 " MARK, "; times of 0123456789abcdef by tsc-offse",
		MARK " ", MARK "; x", "times of 0123456789abcdeF by tsc-offset", "times of 0x23456789abcdef by tsc-offset",
		"times of 123456789abcdef by tsc-offset", "times of -123456789abcdef by tsc-offset",
		"times of  123456789abcdef by tsc-offset", "times of 0123456789abcdef0 by tsc-offset",
		"times  of 0123456789abcdef by tsc-offset", "3.1.6\n; " MARK, "\xff; " MARK,
	};
	uint64_t id = 7;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		if (read_text(texts[i], strlen(texts[i]) + 1, &id))
			fail_msg("%s", texts[i]);
	}
	/* Bytes follow the end of the text */
	assert_false(read_text(MARK "\0x", sizeof(MARK) + 1, &id));
	assert_true(id == 7);
	/* The option lacks the terminating zero; memory after it has one */
	assert_true(read_text(MARK, sizeof(MARK) - 1, &id));
	assert_true(id == ID);
}

static void test_other_options(void **state)
{
	struct trace_dat_option options[] = {
		version_option("v; " MARK, sizeof("v; " MARK)), version_option("\1\2", 3),
		version_option(MARK, sizeof(MARK)),
	};
	struct trace_dat dat = { .options = options, .nr_options = 0 };
	uint64_t id = 0;

	assert_false(rewritten_mark_read(&dat, &id));
	/* One option was retired later, one is of another kind */
	options[2].id = TRACE_DAT_UNAME;
	dat.nr_options = 3;
	assert_true(rewritten_mark_read(&dat, &id));
	assert_true(id == ID);
	/* Another recorder has written its version since */
	options[1] = version_option("3.3", 4);
	assert_false(rewritten_mark_read(&dat, &id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_added),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_not_marks),
		cmocka_unit_test(test_other_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
