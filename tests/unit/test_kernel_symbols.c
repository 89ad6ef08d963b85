// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/* The functions that we give to libtraceevent equal those that it parses from /proc/kallsyms itself. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event-parse.h>

#include "kernel_symbols.h"
#include "prng.h"

static const char symbols_text[] =
	"0000000000000000 A fixed_percpu_data\n"
	"0000000000001000 a cpu_debug_store\n"
	"ffffffff81000000 T startup_64\n"
	"ffffffff81000000 T _stext\n"
	"ffffffff81000000 T _text\n"
	"ffffffff81000060 t $x\n"
	"ffffffff81000110 T secondary\n"
	"ffffffff81000100 t verify\n"
	"\n"
	"ffffffffc0000000 t of_module\t[kvm]\n"
	"ffffffffc0000020 t last\t[kvm_intel]\n";

/* The name that libtraceevent has for an address */
static const char *name_of(struct tep_handle *tep, uint64_t address)
{
	const char *name = tep_find_function(tep, address);

	return name ? name : "nothing";
}

static void compare(struct tep_handle *ours, struct tep_handle *library, uint64_t address)
{
	assert_string_equal(name_of(ours, address), name_of(library, address));
	assert_int_equal(tep_find_function_address(ours, address), tep_find_function_address(library, address));
}

static void compare_all(const char *text)
{
	struct tep_handle *ours = tep_alloc(), *library = tep_alloc();
	struct kernel_symbols symbols;
	uint64_t seed = 1;

	assert_int_equal(kernel_symbols_take(&symbols, ours, strdup(text)), 0);
	tep_parse_kallsyms(library, text);
	for (uint64_t near = 0xffffffff80ffff00; near < 0xffffffff81000200; near += 8)
		compare(ours, library, near);
	for (uint64_t near = 0xffffffffbfffff00; near < 0xffffffffc0000100; near += 8)
		compare(ours, library, near);
	compare(ours, library, 0);
	for (size_t i = 0; i < 1000; i++)
		compare(ours, library, prng(&seed));
	tep_free(ours);
	tep_free(library);
	kernel_symbols_release(&symbols);
}

static void test_addresses(void **state)
{
	compare_all(symbols_text);
	compare_all("");
	compare_all("0000000000000000 T without\n0000000000000000 T permission\n");
}

/* A line that is not a symbol ends the list */
static void test_damage(void **state)
{
	static const char *const texts[] = {
		"ffffffff81000000 T first\nno symbol at all\nffffffff81000100 T second\n",
		"ffffffff81000000 T first\nffffffff81000100\nffffffff81000110 T second\n",
		"ffffffff81000000 T first\nffffffff81000100 T \nffffffff81000110 T second\n",
		"ffffffff81000000 T first\nffffffff81000100 T",
		"ffffffff81000000 T first",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct tep_handle *tep = tep_alloc();
		struct kernel_symbols symbols;

		assert_int_equal(kernel_symbols_take(&symbols, tep, strdup(texts[i])), 0);
		assert_int_equal(symbols.nr, 1);
		assert_string_equal(name_of(tep, 0xffffffff81000000), "first");
		tep_free(tep);
		kernel_symbols_release(&symbols);
	}
}

/* A format that computes with a function's address, as those of preemptirq do */
static void test_words(void **state)
{
	static const char format[] =
		"name: made_up\nID: 77\nformat:\n"
		"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n"
		"\tfield:u32 at;\toffset:4;\tsize:4;\tsigned:0;\n\n"
		"print fmt: \"%ps\", (void *)((unsigned long)(_stext) + REC->at)\n";
	uint16_t data[4] = { 77, 0, 0x110, 0 };
	struct tep_record record = { .data = data, .size = sizeof(data) };
	struct tep_handle *tep = tep_alloc();
	struct kernel_symbols symbols;
	struct trace_seq line;

	tep_set_long_size(tep, 8);
	tep_parse_event(tep, format, strlen(format), "test");
	assert_int_equal(kernel_symbols_take(&symbols, tep, strdup(symbols_text)), 0);
	trace_seq_init(&line);
	tep_print_event(tep, &line, &record, "%s", TEP_PRINT_INFO);
	assert_string_equal(line.buffer, "secondary");
	trace_seq_destroy(&line);
	tep_free(tep);
	kernel_symbols_release(&symbols);
}

static char *lines(size_t nr)
{
	char *text = malloc(6 * nr + 1), *at = text;

	assert_non_null(text);
	for (size_t i = 0; i < nr; i++)
		at = stpcpy(at, "1 t a\n");
	return text;
}

static void test_too_many(void **state)
{
	struct tep_handle *tep = tep_alloc();
	struct kernel_symbols symbols;

	assert_int_equal(kernel_symbols_take(&symbols, tep, lines(1 << 20)), 0);
	assert_int_equal(symbols.nr, 1 << 20);
	kernel_symbols_release(&symbols);
	assert_int_equal(kernel_symbols_take(&symbols, tep, lines((1 << 20) + 1)), -E2BIG);
	kernel_symbols_release(&symbols);
	tep_free(tep);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
