// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "number.h"
#include "options.h"

#define MOST_ARGUMENTS	12

/* used: with -flto, gcc does not see the references that the linker makes */
void __wrap_message(const char *format, ...) __attribute__((used, format(printf, 1, 2)));

static char said[256];

void __wrap_message(const char *format, ...)
{
	size_t used = strlen(said);
	va_list args;

	va_start(args, format);
	vsnprintf(said + used, sizeof(said) - used, format, args);
	va_end(args);
}

static int nr_printed;

static void print(void)
{
	nr_printed++;
}

static int add_even(void *sum, const char *text)
{
	uint64_t number;

	if (!number_parse(text, &number) || number % 2)
		return -1;
	*(uint64_t *)sum += number;
	return 0;
}

/* The values of the options, and the rest of the command line */
struct values {
	bool		flag, other, in_place;
	const char	*string, *needed;
	uint64_t	number, size, sum;
	unsigned int	word;
	int		argc;
	char		**argv;
};

/* A verb with an option of each kind; "needed" is required if @needed is not NULL */
static bool read_as(struct values *values, const char *verb, const char *needed, bool repeats,
		    char *const *arguments, enum exit_status *status)
{
	const struct verb_options options = {
		.verb = verb, .operands = { "HOST", "GUEST" }, .min_operands = 1, .repeats = repeats,
		.options = {
			{ "flag", 'f', .flag = &values->flag },
			{ "other", .flag = &values->other, .excludes = "string" },
			{ "in-place", 'i', .flag = &values->in_place, .requires = "number" },
			{ "string", 's', .string = &values->string },
			{ "number", 'n', .number = &values->number, .wants = "any number" },
			{ "size", .number = &values->size, .min = 3, .max = 5, .wants = "a size" },
			{ "word", .word = &values->word, .words = { "red", "green", "blue", "black" },
			  .wants = "a color" },
			{ "sum", .parse = add_even, .value = &values->sum, .wants = "an even number",
			  .min_operands = 2 },
			{ "single", .flag = &(bool) { false }, .max_operands = 2 },
			{ "needed", .string = &values->needed, .needed = needed },
			{ "help", 'h', .print = print },
		},
	};
	static char *argv[MOST_ARGUMENTS + 1];
	static char name[] = "verb";

	*values = (struct values) { .argv = argv };
	argv[values->argc++] = name;
	for (; *arguments; arguments++) {
		assert_true(values->argc < MOST_ARGUMENTS);
		argv[values->argc++] = *arguments;
	}
	argv[values->argc] = NULL;
	said[0] = '\0';
	nr_printed = 0;
	return options_read(&options, &values->argc, &values->argv, status);
}

#define LINE(...)	((char *[]) { __VA_ARGS__, NULL })

static struct values accepted(char *const *arguments)
{
	enum exit_status status;
	struct values values;

	if (!read_as(&values, "verb", NULL, false, arguments, &status) || *said)
		fail_msg("%s...: %s", *arguments, said);
	assert_int_equal(status, EXIT_DONE);
	return values;
}

static void refused_as(const char *verb, const char *needed, char *const *arguments, const char *why)
{
	enum exit_status status = EXIT_DONE;
	struct values values;
	char wanted[256];

	snprintf(wanted, sizeof(wanted), "%s; see 'tsc-offset %s'", why, verb ? "verb -h" : "--help");
	assert_false(read_as(&values, verb, needed, false, arguments, &status));
	assert_int_equal(status, EXIT_USAGE);
	assert_string_equal(said, wanted);
}

static void refused(char *const *arguments, const char *why)
{
	refused_as("verb", NULL, arguments, why);
}

static void test_kinds(void **state)
{
	struct values values = accepted(LINE("a"));

	assert_true(!values.flag && !values.other && !values.string && !values.number && !values.word);
	values = accepted(LINE("-fs", "text", "a", "--number", "18446744073709551615", "--size=3", "--word", "green"));
	assert_true(values.flag);
	assert_string_equal(values.string, "text");
	assert_true(values.number == UINT64_MAX);
	assert_int_equal(values.size, 3);
	assert_int_equal(values.word, 1);
	assert_int_equal(accepted(LINE("--size", "5", "a")).size, 5);
	assert_int_equal(accepted(LINE("--word", "red", "a")).word, 0);
	assert_int_equal(accepted(LINE("--word", "black", "a")).word, 3);
	assert_int_equal(accepted(LINE("--sum", "4", "a", "b")).sum, 4);
	assert_string_equal(accepted(LINE("-s", "", "a")).string, "");
	assert_string_equal(accepted(LINE("--string", "--flag", "a")).string, "--flag");
}

/* The last value counts, but a parsing function may collect all of them */
static void test_repeated(void **state)
{
	assert_string_equal(accepted(LINE("-s", "one", "--string=two", "a")).string, "two");
	assert_int_equal(accepted(LINE("-n1", "-n", "2", "a")).number, 2);
	assert_int_equal(accepted(LINE("--word", "blue", "--word", "red", "a")).word, 0);
	assert_int_equal(accepted(LINE("--sum", "4", "a", "b", "--sum", "6")).sum, 10);
	assert_true(accepted(LINE("-ff", "a")).flag);
}

/* A unique prefix of a name is accepted */
static void test_abbreviations(void **state)
{
	assert_true(accepted(LINE("--fl", "a")).flag);
	assert_string_equal(accepted(LINE("--st", "text", "a")).string, "text");
	assert_int_equal(accepted(LINE("--nu=7", "a")).number, 7);
	refused(LINE("--s", "text", "a"), "option '--s' is ambiguous");
	refused(LINE("--s=text", "a"), "option '--s=text' is ambiguous");
	/* Errors name the option in full */
	refused(LINE("a", "--st"), "option '--string' requires a value");
	refused(LINE("--siz=2", "a"), "--size requires a size, not '2'");
}

static void test_unknown(void **state)
{
	refused(LINE("--nonsense", "a"), "unknown option '--nonsense'");
	refused(LINE("a", "--nonsense=3"), "unknown option '--nonsense=3'");
	refused(LINE("--flags", "a"), "unknown option '--flags' (did you mean '--flag'?)");
	refused(LINE("-x", "a"), "unknown option '-x'");
	refused(LINE("-fx", "a"), "unknown option '-x'");
	refused(LINE("-xf", "a"), "unknown option '-x'");
	refused(LINE("-\xff", "a"), "unknown option '-\xff'");
	/* The characters that getopt_long() returns for an error */
	refused(LINE("-?", "a"), "unknown option '-?'");
	refused(LINE("-:", "a"), "unknown option '-:'");
}

static void test_values(void **state)
{
	static char *const wrong[] = { "", "2", "6", "-4", "+4", "4x", " 4", "0x4", "18446744073709551616" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		char why[64];

		snprintf(why, sizeof(why), "--size requires a size, not '%s'", wrong[i]);
		refused(LINE("--size", wrong[i], "a"), why);
	}
	refused(LINE("-n", "1e3", "a"), "--number requires any number, not '1e3'");
	refused(LINE("--word", "re", "a"), "--word requires a color, not 're'");
	refused(LINE("--word", "", "a"), "--word requires a color, not ''");
	refused(LINE("--sum", "3", "a", "b"), "--sum requires an even number, not '3'");
	refused(LINE("a", "-s"), "option '--string' requires a value");
	refused(LINE("a", "-fs"), "option '--string' requires a value");
	refused(LINE("a", "--string"), "option '--string' requires a value");
	refused(LINE("a", "--flag=3"), "option '--flag' takes no value");
	refused(LINE("a", "--help="), "option '--help' takes no value");
	/* The first error is reported */
	refused(LINE("--size", "9", "--nonsense"), "--size requires a size, not '9'");
}

static void test_relations(void **state)
{
	assert_true(accepted(LINE("-i", "-n", "1", "a")).in_place);
	assert_true(accepted(LINE("-n1", "a", "-i")).in_place);
	refused(LINE("-i", "a"), "--in-place requires --number");
	assert_true(accepted(LINE("--other", "a")).other);
	/* In either order, also with an empty value */
	refused(LINE("--other", "-s", "x", "a"), "--other cannot be used with --string");
	refused(LINE("-s", "", "--other", "a"), "--other cannot be used with --string");
	refused_as("verb", "OUT", LINE("a"), "missing --needed OUT");
	refused_as("verb", "OUT", LINE("--flag"), "missing --needed OUT");
	refused_as("verb", "OUT", LINE("--needed", "x"), "missing HOST");
}

static void test_operands(void **state)
{
	enum exit_status status;
	struct values values = accepted(LINE("a", "-f", "b"));

	assert_int_equal(values.argc, 2);
	assert_string_equal(values.argv[0], "a");
	assert_string_equal(values.argv[1], "b");
	assert_null(values.argv[2]);
	values = accepted(LINE("-f", "--", "-n"));
	assert_int_equal(values.argc, 1);
	assert_string_equal(values.argv[0], "-n");
	refused(LINE("-f"), "missing HOST");
	refused(LINE("a", "b", "-f", "c", "d"), "unexpected argument 'c'");
	assert_true(read_as(&values, "verb", NULL, true, LINE("a", "b", "c", "d"), &status));
	assert_int_equal(values.argc, 4);
	/* Options that require more operands, or allow fewer */
	refused(LINE("--sum", "2", "a"), "--sum requires GUEST");
	accepted(LINE("--single", "a", "b"));
	refused(LINE("--single", "a", "b", "c"), "--single requires a single GUEST");
}

/* An option that prints ends parsing; everything before it must be correct */
static void test_printing(void **state)
{
	enum exit_status status = EXIT_USAGE;
	struct values values;

	assert_false(read_as(&values, "verb", "OUT", false, LINE("-fh", "--nonsense", "--sum"), &status));
	assert_int_equal(status, EXIT_DONE);
	assert_int_equal(nr_printed, 1);
	assert_string_equal(said, "");
	refused(LINE("--nonsense", "-h"), "unknown option '--nonsense'");
	assert_int_equal(nr_printed, 0);
}

/*
 * The command's options end at the verb. A verb's options may follow its
 * operands. Both work repeatedly in one process.
 */
static void test_command(void **state)
{
	enum exit_status status;
	struct values values;

	for (int i = 0; i < 2; i++) {
		assert_true(read_as(&values, NULL, NULL, true, LINE("-f", "show", "--nonsense", "-x"), &status));
		assert_true(values.flag);
		assert_int_equal(values.argc, 3);
		assert_string_equal(values.argv[0], "show");
		assert_true(accepted(LINE("a", "-f")).flag);
	}
	refused_as(NULL, NULL, LINE("--nonsense", "show"), "unknown option '--nonsense'");
	refused_as(NULL, NULL, LINE("--"), "missing HOST");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_repeated),
		cmocka_unit_test(test_abbreviations),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_relations),
		cmocka_unit_test(test_operands),
		cmocka_unit_test(test_printing),
		cmocka_unit_test(test_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
