// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Which print formats the library may use: formats that can make it read outside a record are rejected. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <event-parse.h>

#include "print_fmt_check.h"

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
	/* A width that makes a line of gigabytes */
	{ "\"%1999999999d\", REC->number", false },
	/* A value that is not a position in the record is used as one */
	{ "\"%s\", __get_str(number)", false },
	{ "\"%s\", __get_bitmask(number)", false },
	{ "\"%s\", __get_str(nowhere)", false },
	{ "\"%d\", REC->nowhere", false },
	/* Divisions that trap. The library divides a zero by a constant zero while it parses. */
	{ "\"%d\", 1 / REC->number", false },
	{ "\"%d\", 1 % REC->number", false },
	{ "\"%d\", REC->number / 0", false },
	{ "\"%d\", REC->number % 0x0", false },
	{ "\"%d\", REC->number / (u32)2", false },
	{ "\"%d\", REC->number % nothing", false },
	{ "\"%s\", REC->number ? \"one\" : __print_symbolic(REC->number / 0, { 1, \"one\" })", false },
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
		/* Events that cannot be parsed are not printed by their formats */
		if (!event || event->flags & TEP_EVENT_FL_FAILED)
			assert_false(cases[i].bound);
		else if ((print_fmt_check_event(event, PRINT_FORMAT).way == PRINT_FORMAT) != cases[i].bound)
			fail_msg("%s", cases[i].print);
		tep_free(tep);
	}
}

/* Parse a made-up event; freeing @tep frees all of it */
static struct tep_event *parse(struct tep_handle *tep, const char *system, const char *text)
{
	tep_set_loglevel(TEP_LOG_NONE);
	tep_set_long_size(tep, 8);
	tep_parse_event(tep, text, strlen(text), system);
	return tep_find_event(tep, 77);
}

static struct print_fmt_check bounds_of(const char *print, enum print_way way)
{
	struct tep_handle *tep = tep_alloc();
	struct print_fmt_check bounds;
	struct tep_event *event;
	char text[2048];

	snprintf(text, sizeof(text), "%s%s\n", head, print);
	event = parse(tep, "test", text);
	assert_non_null(event);
	bounds = print_fmt_check_event(event, way);
	tep_free(tep);
	return bounds;
}

/* Which fallback is used for formats that are rejected */
static void test_ways(void **state)
{
	const char *hex = "\"%x %s\", REC->number, __print_hex(REC->array, REC->number)";

	assert_int_equal(bounds_of("\"%d\", REC->number", PRINT_FORMAT).way, PRINT_FORMAT);
	assert_int_equal(bounds_of("\"%d\", REC->number", PRINT_FIELDS).way, PRINT_FIELDS);
	assert_int_equal(bounds_of(hex, PRINT_FORMAT).way, PRINT_CONVERTED);
	/* A width from the record also affects the conversion of a field */
	assert_int_equal(bounds_of("\"%*d\", 1 / REC->number, REC->number", PRINT_FORMAT).way, PRINT_FIELDS);
}

/* The size of a line is known before it is printed */
static void test_lengths(void **state)
{
	struct print_fmt_check bounds = bounds_of("\"%999d%-999s\", REC->number, REC->array", PRINT_FORMAT);

	assert_true(bounds.length >= 2 * 999 && bounds.length < 4096);
	assert_int_equal(bounds.copies, 1);
	/* Each name can be padded to the width */
	bounds = bounds_of("\"%99s\", __print_flags(REC->number, \"|\", { 1, \"one\" }, { 2, \"two\" })", PRINT_FORMAT);
	assert_true(bounds.length >= 2 * (99 + strlen("one|")));
	assert_true(bounds.steps >= 2);
	/* The library searches all conversions for each field */
	bounds = bounds_of("\"%d%d%d%d %s\", 1, 2, 3, 4, __print_hex(REC->array, REC->number)", PRINT_FORMAT);
	assert_int_equal(bounds.way, PRINT_CONVERTED);
	assert_true(bounds.steps >= 3 * 5);
}

struct bprint_case {
	const char	*fields;
	bool		bound;
};

/* The library does not check that trace_printk()'s binary event has the fields that it reads */
static void test_bprint(void **state)
{
	static const struct bprint_case bprints[] = {
		{ "\tfield:unsigned long ip;\toffset:8;\tsize:8;\tsigned:0;\n"
		  "\tfield:const char * fmt;\toffset:16;\tsize:8;\tsigned:0;\n"
		  "\tfield:u32 buf[];\toffset:24;\tsize:0;\tsigned:0;\n", true },
		{ "\tfield:unsigned long ip;\toffset:8;\tsize:8;\tsigned:0;\n"
		  "\tfield:u32 buf[];\toffset:24;\tsize:0;\tsigned:0;\n", false },
		{ "\tfield:const char * fmt;\toffset:16;\tsize:8;\tsigned:0;\n"
		  "\tfield:u32 buf[];\toffset:24;\tsize:0;\tsigned:0;\n", false },
		{ "\tfield:unsigned long ip;\toffset:8;\tsize:8;\tsigned:0;\n"
		  "\tfield:const char * fmt;\toffset:16;\tsize:8;\tsigned:0;\n", false },
		{ "\tfield:unsigned long ip;\toffset:8;\tsize:3;\tsigned:0;\n"
		  "\tfield:const char * fmt;\toffset:16;\tsize:8;\tsigned:0;\n"
		  "\tfield:u32 buf[];\toffset:24;\tsize:0;\tsigned:0;\n", false },
		{ "\tfield:unsigned long ip;\toffset:8;\tsize:8;\tsigned:0;\n"
		  "\tfield:char fmt[8];\toffset:16;\tsize:8;\tsigned:0;\n"
		  "\tfield:u32 buf[];\toffset:24;\tsize:0;\tsigned:0;\n", false },
	};

	for (size_t i = 0; i < sizeof(bprints) / sizeof(*bprints); i++) {
		struct tep_handle *tep = tep_alloc();
		struct tep_event *event;
		char text[2048];

		snprintf(text, sizeof(text), "name: bprint\nID: 77\nformat:\n"
			 "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n%s\n"
			 "print fmt: \"%%ps: %%s\", (void *)REC->ip, REC->fmt\n", bprints[i].fields);
		event = parse(tep, "ftrace", text);
		assert_non_null(event);
		if ((print_fmt_check_event(event, PRINT_FORMAT).way == PRINT_FORMAT) != bprints[i].bound)
			fail_msg("%s", bprints[i].fields);
		tep_free(tep);
	}
}

static void test_texts(void **state)
{
	struct print_text text = print_fmt_check_text("%ps: %-16s %999d %8.3f");

	assert_true(print_fmt_check_text("").bound);
	assert_true(text.bound);
	assert_int_equal(text.conversions, 4);
	assert_int_equal(text.width, 16 + 999 + 8 + 3);
	assert_int_equal(text.widest, 999);
	assert_false(print_fmt_check_text("%*s").bound);
	assert_false(print_fmt_check_text("%.*s").bound);
	assert_false(print_fmt_check_text("%1000d").bound);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_ways),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_bprint),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
