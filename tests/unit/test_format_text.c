// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* Which texts have the form of a kernel's formats, and what libtraceevent makes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event-parse.h>

#include "format_text.h"

#define HEAD	"name: made_up\nID: 77\nformat:\n"
#define COMMON	"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
#define FIELD	"\tfield:u32 number;\toffset:8;\tsize:4;\tsigned:0;\n"
#define PRINT	"\nprint fmt: \"%u\", REC->number\n"

struct text_case {
	const char	*text;
	bool		fields;
	bool		printed;
};

static const struct text_case cases[] = {
	{ HEAD COMMON "\n" FIELD PRINT, true, true },
	{ HEAD COMMON "\n" FIELD, true, false },
	{ HEAD COMMON PRINT, true, true },
	{ HEAD PRINT, true, true },
	/* Variants of old and new kernels */
	{ HEAD COMMON "\n\tfield:u32 number;\toffset:8;\tsize:4;\n" PRINT, true, true },
	{ HEAD COMMON "\n\tfield special:u32 number;\toffset:8;\tsize:4;\n" PRINT, true, true },
	{ HEAD "\tfield:const char __attribute__((btf_type_tag(\"user\"))) * a;\toffset:8;\tsize:8;\tsigned:0;\n" PRINT,
	  true, true },
	{ HEAD "\tfield:__data_loc char[] name;\toffset:8;\tsize:4;\tsigned:0;\n" PRINT, true, true },
	{ HEAD "\tfield:char comm[16];\toffset:8;\tsize:16;\tsigned:0;\n" PRINT, true, true },
	/* Texts that make libtraceevent read at address 0 */
	{ HEAD "\tfield:__attribute__((user)) int a;\toffset:8;\tsize:4;\tsigned:1;\n" PRINT, false, false },
	{ HEAD "\tfield:int a[\x01;\toffset:8;\tsize:4;\tsigned:1;\n" PRINT, false, false },
	{ HEAD "\tfield:int a[", false, false },
	{ HEAD "\tfield:int a[;\toffset:8;\tsize:4;\tsigned:1;\n" PRINT, false, false },
	{ HEAD "\tfield:int a[4[;\toffset:8;\tsize:4;\tsigned:1;\n" PRINT, false, false },
	{ HEAD "\tfield:int a];\toffset:8;\tsize:4;\tsigned:1;\n" PRINT, false, false },
	{ HEAD "\tfield:int a __attribute__(;\toffset:8;\tsize:4;\tsigned:1;\n" PRINT, false, false },
	{ HEAD "\tfield:int \"a;\toffset:8;\tsize:4;\tsigned:1;\n" PRINT, false, false },
	/* Invalid fields */
	{ HEAD "\tfield:;\toffset:8;\tsize:4;\tsigned:1;\n" PRINT, false, false },
	{ HEAD "\tfield:int a;\toffset:8;\tsigned:1;\n" PRINT, false, false },
	{ HEAD "\tfield:int a;\toffset:-8;\tsize:4;\tsigned:1;\n" PRINT, false, false },
	{ HEAD "\tfield:int a;\toffset:08;\tsize:4;\tsigned:1;\n" PRINT, false, false },
	{ HEAD "\tfield:int a;\toffset:1234567890;\tsize:4;\tsigned:1;\n" PRINT, false, false },
	{ HEAD "\tfield:int a;\toffset:8;\tsize:4;\tsigned:1; more\n" PRINT, false, false },
	{ HEAD "more\n" PRINT, false, false },
	{ HEAD COMMON "\n" FIELD "\n" FIELD PRINT, false, false },
	/* Invalid events */
	{ "", false, false },
	{ "name: \nID: 77\nformat:\n" PRINT, false, false },
	{ "name: a b\nID: 77\nformat:\n" PRINT, false, false },
	{ "name: a\nID: 65536\nformat:\n" PRINT, false, false },
	{ "name: a\nID: 077\nformat:\n" PRINT, false, false },
	{ "name: a\nID: -1\nformat:\n" PRINT, false, false },
	{ "name: a\nformat:\n" PRINT, false, false },
	/* Print formats that are too complex, or have bytes that are not text */
	{ HEAD FIELD "\nprint fmt: \"%u\", a b c d e f g h i j k l m n o p\n", true, true },
	{ HEAD FIELD "\nprint fmt: \"%u\", a b c d e f g h i j k l m n o p q\n", true, false },
	{ HEAD FIELD "\nprint fmt: \"%u\", ~~~~~~~~~~~~~~~~1\n", true, true },
	{ HEAD FIELD "\nprint fmt: \"%u\", ~~~~~~~~ ~~~~~~~~~1\n", true, false },
	{ HEAD FIELD "\nprint fmt: \"%u\n", true, false },
	{ HEAD FIELD "\nprint fmt: \"%u\", REC->\x01number\n", true, false },
	{ HEAD FIELD "\nprint fmt: \"\\\"\"\n", true, true },
};

static void test_texts(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct text_case *item = &cases[i];
		struct format_text format;
		bool fields = format_text_scan(&format, item->text, strlen(item->text));

		if (fields != item->fields || (fields && format.printed != item->printed))
			fail_msg("case %zu: %s", i, item->text);
	}
}

/* The scan reads nothing after the end of the text or after a zero byte */
static void test_ends(void **state)
{
	static const char text[] = HEAD COMMON "\n" FIELD PRINT;
	struct format_text format;

	for (size_t size = 0; size <= strlen(text); size++) {
		char *copy = malloc(size ? size : 1);

		memcpy(copy, text, size);
		format_text_scan(&format, copy, size);
		free(copy);
	}
	assert_true(format_text_scan(&format, HEAD COMMON "\0\tfield:int a[", sizeof(HEAD COMMON) + 10));
	assert_int_equal(format.size, strlen(HEAD COMMON));
}

static void test_numbers(void **state)
{
	static const char text[] = HEAD COMMON "\n" FIELD PRINT;
	struct format_text format;

	assert_true(format_text_scan(&format, text, strlen(text)));
	assert_int_equal(format.id, 77);
	assert_int_equal(format.name_length, strlen("made_up"));
	assert_memory_equal(format.name, "made_up", format.name_length);
	assert_int_equal(format.nr_fields, 2);
	assert_int_equal(format.nr_words, 6);
	assert_int_equal(format.nr_names, 1);
	assert_int_equal(format.fields_size, strlen(HEAD COMMON "\n" FIELD));
}

static void test_copy(void **state)
{
	static const char text[] = HEAD COMMON "\n" FIELD PRINT;
	struct format_text format;
	size_t size;
	char *copy;

	assert_true(format_text_scan(&format, text, strlen(text)));
	copy = format_text_copy(&format, true, &size);
	assert_string_equal(copy, text);
	assert_int_equal(size, strlen(text));
	free(copy);
	copy = format_text_copy(&format, false, &size);
	assert_string_equal(copy, HEAD COMMON "\n" FIELD "\nprint fmt: \"\"\n");
	assert_int_equal(size, strlen(copy));
	free(copy);
}

/* Returns @nr copies of @item between a head and a tail */
static char *repeated(const char *head, const char *item, size_t nr, const char *tail)
{
	char *text = malloc(strlen(head) + nr * strlen(item) + strlen(tail) + 1), *at = text;

	assert_non_null(text);
	at += sprintf(at, "%s", head);
	for (size_t i = 0; i < nr; i++)
		at += sprintf(at, "%s", item);
	sprintf(at, "%s", tail);
	return text;
}

struct bound_case {
	const char	*head;
	const char	*item;
	size_t		most;
	const char	*tail;
	bool		print;	/* the limit is on the print format, not on the fields */
};

/* The largest allowed number, and one more */
static void test_bounds(void **state)
{
	static const struct bound_case bounds[] = {
		{ HEAD, FIELD, 256, PRINT, false },
		{ "name: ", "n", 255, "\nID: 77\nformat:\n" PRINT, false },
		{ HEAD "\tfield:int ", "a", 1025 - sizeof("\tfield:int ;\toffset:8;\tsize:4;\tsigned:1;"),
		  ";\toffset:8;\tsize:4;\tsigned:1;\n" PRINT, false },
		{ HEAD FIELD "\nprint fmt: \"%u\"", ", 1", (16384 - 1) / 2, "\n", true },
		{ HEAD FIELD "\nprint fmt: \"", "x", 65536 - 4, "\"\n", true },
		{ HEAD FIELD "\nprint fmt: \"%u\", ", "(", 128, "1\n", true },
	};

	for (size_t i = 0; i < sizeof(bounds) / sizeof(*bounds); i++) {
		for (size_t more = 0; more < 2; more++) {
			char *text = repeated(bounds[i].head, bounds[i].item, bounds[i].most + more, bounds[i].tail);
			struct format_text format;
			bool fields = format_text_scan(&format, text, strlen(text));

			if (fields != (bounds[i].print || !more) || (fields && format.printed != !more))
				fail_msg("%zu of \"%s\": fields %d, printed %d", bounds[i].most + more, bounds[i].item,
					 fields, fields && format.printed);
			free(text);
		}
	}
}

/* Since 1.9 the library requires common fields and others to make an event */
static bool has_all_fields(const char *text)
{
	return strstr(text, "common_type") && strstr(text, "\n\n\tfield:");
}

/* The library makes an event of each text that has the form */
static void test_library(void **state)
{
	size_t nr = 0;

	tep_set_loglevel(TEP_LOG_NONE);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct tep_handle *tep = tep_alloc();
		struct format_text format;
		size_t size;
		char *copy;

		/* The library leaks memory for each attribute with a parenthesis */
		if (!format_text_scan(&format, cases[i].text, strlen(cases[i].text)) ||
		    strstr(cases[i].text, "__attribute__")) {
			tep_free(tep);
			continue;
		}
		copy = format_text_copy(&format, false, &size);
		tep_parse_event(tep, copy, size, "test");
		if (has_all_fields(cases[i].text)) {
			assert_non_null(tep_find_event(tep, 77));
			nr++;
		}
		free(copy);
		tep_free(tep);
	}
	assert_true(nr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_library),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
