// SPDX-License-Identifier: GPL-2.0
/* Which formats the library may print by: those that can make it leave a record are told from those that cannot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <event-parse.h>

#include "print_bounds.h"

struct format_case {
	const char	*print;
	bool		bound;
};

static const struct format_case cases[] = {
	{ "\"nothing\"", true },
	{ "\"%u 0x%016llx\", REC->number, REC->number + 1", true },
	{ "\"%s\", REC->number ? \"one\" : \"none\"", true },
	{ "\"%s\", __get_str(text)", true },
	{ "\"%s\", REC->array", true },
	{ "\"%s\", __print_symbolic(REC->number, { 1, \"one\" }, { 2, \"two\" })", true },
	{ "\"%s\", __print_flags(REC->number & 3, \"|\", { 1, \"one\" }, { 2, \"two\" })", true },
	{ "\"%lx\", (unsigned long)REC->array[0]", true },
	{ "\"%lx\", (unsigned long)REC->array[7]", true },
	{ "\"%d\", REC->number / 2", true },
	/* An index that the array does not have, or that the record chooses */
	{ "\"%lx\", (unsigned long)REC->array[8]", false },
	{ "\"%lx\", (unsigned long)REC->array[4294967296]", false },
	{ "\"%lx\", (unsigned long)REC->array[REC->number]", false },
	/* A length that the record chooses */
	{ "\"%s\", __print_hex(REC->array, REC->number)", false },
	{ "\"%s\", __print_hex_str(REC->array, REC->number)", false },
	{ "\"%s\", __print_array(REC->array, REC->number, 1)", false },
	{ "\"%*d\", REC->number, REC->number", false },
	/* A width of which a line gets gigabytes */
	{ "\"%1999999999d\", REC->number", false },
	/* What is no place in the record is taken for one */
	{ "\"%s\", __get_str(number)", false },
	{ "\"%s\", __get_bitmask(number)", false },
	{ "\"%s\", __get_str(nowhere)", false },
	{ "\"%d\", REC->nowhere", false },
	/* What the processor does not do. By a constant zero the library divides while it parses. */
	{ "\"%d\", 1 / REC->number", false },
	{ "\"%d\", 1 % REC->number", false },
	{ "\"%d\", REC->number / 0", false },
	{ "\"%d\", REC->number % 0x0", false },
	{ "\"%d\", REC->number % 2", true },
};

static const char head[] =
	"name: made_up\nID: 77\nformat:\n"
	"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
	"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"
	"\tfield:u32 number;\toffset:8;\tsize:4;\tsigned:0;\n"
	"\tfield:char array[8];\toffset:12;\tsize:8;\tsigned:0;\n"
	"\tfield:__data_loc char[] text;\toffset:20;\tsize:4;\tsigned:0;\n\n"
	"print fmt: ";

static void test_formats(void **state)
{
	tep_set_loglevel(TEP_LOG_NONE);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct tep_handle *tep = tep_alloc();
		struct tep_event *event;
		char text[2048];

		assert_non_null(tep);
		tep_set_long_size(tep, 8);
		snprintf(text, sizeof(text), "%s%s\n", head, cases[i].print);
		tep_parse_event(tep, text, strlen(text), "test");
		event = tep_find_event(tep, 77);
		/* Of what cannot be parsed nothing is printed by its format */
		if (!event || event->flags & TEP_EVENT_FL_FAILED)
			assert_false(cases[i].bound);
		else if (print_bounds_event(event) != cases[i].bound)
			fail_msg("%s", cases[i].print);
		tep_free(tep);
	}
}

static void test_texts(void **state)
{
	assert_true(print_bounds_text(""));
	assert_true(print_bounds_text("%ps: %-16s %999d"));
	assert_false(print_bounds_text("%*s"));
	assert_false(print_bounds_text("%.*s"));
	assert_false(print_bounds_text("%1000d"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
