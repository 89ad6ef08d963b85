// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * The mark of a copy: the added option is read back. The recorder's version
 * follows the mark, so that readers show that version.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "copy_mark.h"
#include "recorder_version.h"
#include "trace_dat.h"
#include "trace_dat_edit.h"

#define MARK		"tsc-offset copy 1\n"
#define MOST_OPTIONS	4

static struct trace_dat_option version_option(const void *data, size_t size)
{
	return (struct trace_dat_option) { .id = TRACE_DAT_VERSION, .size = (uint32_t)size, .data = (uint8_t *)data };
}

/* Returns the options of an edit in order; they point into the edit's payload */
static size_t options_of(const struct trace_dat_edit *edit, struct trace_dat_option *options)
{
	size_t nr = 0;

	for (size_t at = 0; at < edit->size; nr++) {
		uint32_t size;

		assert_true(nr < MOST_OPTIONS);
		assert_int_equal(edit->options[at] | edit->options[at + 1] << 8, TRACE_DAT_VERSION);
		memcpy(&size, edit->options + at + sizeof(uint16_t), sizeof(size));
		options[nr] = version_option(edit->options + at + TRACE_DAT_OPTION_HEADER, size);
		at += TRACE_DAT_OPTION_HEADER + size;
	}
	return nr;
}

static void expect_added(const char *version, size_t nr_wanted)
{
	struct trace_dat_option original = version_option(version, strlen(version) + 1), options[MOST_OPTIONS];
	struct trace_dat dat = { .options = &original, .nr_options = 1 };
	struct trace_dat copy = { .options = options };
	struct trace_dat_edit edit = { 0 };

	assert_false(copy_mark_read(&dat));
	assert_int_equal(copy_mark_add(&edit, &dat), 0);
	assert_int_equal(edit.nr_retired, 0);
	copy.nr_options = options_of(&edit, options);
	assert_int_equal(copy.nr_options, nr_wanted);
	assert_true(copy_mark_read(&copy));
	assert_string_equal(recorder_version(&copy), version);
	trace_dat_edit_release(&edit);
}

static void test_added(void **state)
{
	expect_added("3.1.6 (none)", 2);
	/* A recorder without a version still has none afterwards */
	expect_added("", 1);
}

static void test_not_marks(void **state)
{
	static const char *const texts[] = {
		"", "3.1.6", "tsc-offset copy 1", "tsc-offset copy 2\n", " " MARK, MARK "x", "3.1.6; " MARK,
		/* The mark of a rewritten file, which can be the only copy of a recording */
		"3.1.6; times of 0123456789abcdef by tsc-offset", "tsc-offset inexact 1\n",
	};
	struct trace_dat_option option;
	struct trace_dat dat = { .options = &option, .nr_options = 1 };

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		option = version_option(texts[i], strlen(texts[i]) + 1);
		if (copy_mark_read(&dat))
			fail_msg("%s", texts[i]);
	}
	/* Without its last byte, and as another option */
	option = version_option(MARK, sizeof(MARK) - 1);
	assert_false(copy_mark_read(&dat));
	option = version_option(MARK, sizeof(MARK));
	assert_true(copy_mark_read(&dat));
	option.id = TRACE_DAT_UNAME;
	assert_false(copy_mark_read(&dat));
	dat.nr_options = 0;
	assert_false(copy_mark_read(&dat));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_added),
		cmocka_unit_test(test_not_marks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
