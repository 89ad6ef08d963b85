// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "default_files.h"
#include "error.h"
#include "input_file.h"
#include "message.h"
#include "number.h"
#include "options.h"
#include "spelling.h"

/* getopt_long() returns this plus the index for options without a letter */
#define FIRST_VALUE	256

/**
 * misuse - print what is wrong with a command line
 * @verb: the verb's name, NULL for the command itself
 * @format: what is wrong, as for printf(); words of the command line in single quotes, no full stop
 *
 * Returns: EXIT_USAGE.
 */
enum exit_status misuse(const char *verb, const char *format, ...)
{
	_cleanup_(freep) char *what = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&what, format, args) < 0)
		what = NULL;
	va_end(args);
	message("%s; see 'tsc-offset %s%s'", what ? what : "no memory", verb ? verb : "--help", verb ? " -h" : "");
	return EXIT_USAGE;
}

static int value_of(const struct verb_options *options, int i)
{
	return options->options[i].letter ? options->options[i].letter : FIRST_VALUE + i;
}

static const struct verb_option *find_value(const struct verb_options *options, int value)
{
	for (int i = 0; options->options[i].name; i++) {
		if (value_of(options, i) == value)
			return &options->options[i];
	}
	return NULL;
}

static bool takes_value(const struct verb_option *option)
{
	return !option->print && !option->flag;
}

/* For a name that getopt_long() refused: is it the beginning of several names? */
static bool is_ambiguous(const struct verb_options *options, const char *name)
{
	for (const struct verb_option *option = options->options; option->name; option++) {
		if (!strncmp(option->name, name, strcspn(name, "=")))
			return true;
	}
	return false;
}

static enum exit_status refuse_unknown(const struct verb_options *options, const char *argument)
{
	_cleanup_(freep) char *name = strndup(argument + strlen("--"), strcspn(argument + strlen("--"), "="));
	struct spelling spelling = { .word = name ? name : "" };
	char hint[SPELLING_HINT_SIZE];

	for (const struct verb_option *option = options->options; option->name; option++)
		spelling_try(&spelling, option->name);
	return misuse(options->verb, "unknown option '%s'%s", argument, spelling_hint(&spelling, "--", hint));
}

/*
 * Print why getopt_long() refused an option. optopt has the option's value: for an unknown letter the letter as a
 * signed char, for a long name 0; the argument is before optind then.
 */
static enum exit_status refuse(const struct verb_options *options, bool no_value, const char *argument)
{
	const struct verb_option *option = find_value(options, optopt);

	if (no_value)
		return misuse(options->verb, "option '--%s' requires a value", option->name);
	if (option)
		return misuse(options->verb, "option '--%s' takes no value", option->name);
	if (optopt)
		return misuse(options->verb, "unknown option '-%c'", optopt);
	if (is_ambiguous(options, argument + strlen("--")))
		return misuse(options->verb, "option '%s' is ambiguous", argument);
	return refuse_unknown(options, argument);
}

static bool is_word(const struct verb_option *option, const char *text)
{
	for (unsigned int i = 0; i < OPTIONS_WORDS_MOST && option->words[i]; i++) {
		if (!strcmp(option->words[i], text)) {
			*option->word = i;
			return true;
		}
	}
	return false;
}

static bool store(const struct verb_option *option, const char *text)
{
	if (option->flag)
		*option->flag = true;
	else if (option->string)
		*option->string = text;
	else if (option->number)
		return number_parse(text, option->number) && *option->number >= option->min &&
		       (!option->max || *option->number <= option->max);
	else if (option->word)
		return is_word(option, text);
	else
		return !option->parse(option->value, text);
	return true;
}

static bool is_given(const struct verb_options *options, uint32_t given, const char *name)
{
	for (int i = 0; name && options->options[i].name; i++) {
		if ((given >> i & 1) && !strcmp(options->options[i].name, name))
			return true;
	}
	return false;
}

/* Does an option go with the other options and the number of operands? */
static enum exit_status check_option(const struct verb_options *options, const struct verb_option *option,
				     uint32_t given, int nr_operands)
{
	if (!is_given(options, given, option->name))
		return option->needed ? misuse(options->verb, "missing --%s %s", option->name, option->needed) :
					EXIT_DONE;
	if (option->requires && !is_given(options, given, option->requires))
		return misuse(options->verb, "--%s requires --%s", option->name, option->requires);
	if (is_given(options, given, option->excludes))
		return misuse(options->verb, "--%s cannot be used with --%s", option->name, option->excludes);
	if (nr_operands < option->min_operands)
		return misuse(options->verb, "--%s requires %s", option->name,
			      options->operands[option->min_operands - 1]);
	if (option->max_operands && nr_operands > option->max_operands)
		return misuse(options->verb, "--%s requires a single %s", option->name,
			      options->operands[option->max_operands - 1]);
	return EXIT_DONE;
}

static bool is_default(const struct verb_options *options, char **operands)
{
	return options->files && operands == options->files->paths;
}

static enum exit_status refuse_too_few(const struct verb_options *options, int nr_operands, char **operands)
{
	const char *missing = options->operands[nr_operands];

	if (is_default(options, operands))
		return misuse(options->verb, "missing %s, and there is no %s of a guest of %s%s%s", missing,
			      options->files->guests, operands[0], *options->files->left_out ? "; left out: " : "",
			      options->files->left_out);
	if (options->files && !nr_operands)
		return misuse(options->verb, "missing %s, and there is no " DEFAULT_HOSTS " in this directory",
			      missing);
	return misuse(options->verb, "missing %s", missing);
}

static enum exit_status check(const struct verb_options *options, uint32_t given, int nr_operands, char **operands)
{
	int known = 0;

	for (const struct verb_option *option = options->options; option->name; option++) {
		enum exit_status status = check_option(options, option, given, nr_operands);

		if (status != EXIT_DONE)
			return status;
	}
	while (options->operands[known])
		known++;
	if (nr_operands < options->min_operands)
		return refuse_too_few(options, nr_operands, operands);
	if (nr_operands > known && !options->repeats)
		return misuse(options->verb, "unexpected argument '%s'", operands[known]);
	return EXIT_DONE;
}

/* @letters: room for three characters, and for two of each option */
static void describe(const struct verb_options *options, struct option *longs, char *letters)
{
	/* Words after a verb belong to the verb */
	letters = stpcpy(letters, options->verb ? ":" : "+:");
	for (int i = 0; options->options[i].name; i++) {
		const struct verb_option *option = &options->options[i];

		longs[i] = (struct option) { option->name, takes_value(option), NULL, value_of(options, i) };
		if (option->letter)
			letters += sprintf(letters, "%c%s", option->letter, takes_value(option) ? ":" : "");
	}
}

/* Returns: false after a message */
static bool find_files(const struct verb_options *options, int *argc, char ***argv)
{
	struct error error = { 0 };

	if (default_files_find(options->files, &error)) {
		input_file_fail(&error);
		return false;
	}
	if (options->files->nr) {
		*argc = (int)options->files->nr;
		*argv = options->files->paths;
	}
	return true;
}

/**
 * options_read - parse a command line
 * @options: its options; the values are set as far as the line was parsed, even if it is wrong
 * @argc: number of arguments, of which the first is the verb or the command; result: the number of operands
 * @argv: the arguments, which are permuted; result: the operands, followed by NULL
 * @status: exit status if there is nothing more to do
 *
 * Returns: true to continue; false if an option has printed everything, or after a message if the line is wrong.
 */
bool options_read(const struct verb_options *options, int *argc, char ***argv, enum exit_status *status)
{
	struct option longs[OPTIONS_MOST + 1] = { 0 };
	char letters[2 * OPTIONS_MOST + 3];
	const struct verb_option *option;
	uint32_t given = 0;
	int value;

	describe(options, longs, letters);
	/* 0 also makes glibc forget the "+" of an earlier call */
	optind = 0;
	opterr = 0;
	while ((value = getopt_long(*argc, *argv, letters, longs, NULL)) != -1) {
		option = find_value(options, value);
		if (!option) {
			*status = refuse(options, value == ':', (*argv)[optind - 1]);
			return false;
		}
		if (option->print) {
			option->print();
			*status = EXIT_DONE;
			return false;
		}
		if (!store(option, optarg)) {
			*status = misuse(options->verb, "--%s requires %s, not '%s'", option->name, option->wants,
					 optarg);
			return false;
		}
		given |= 1U << (option - options->options);
	}
	*argc -= optind;
	*argv += optind;
	if (!*argc && options->files && !find_files(options, argc, argv)) {
		*status = EXIT_FAILED;
		return false;
	}
	*status = check(options, given, *argc, *argv);
	if (*status == EXIT_DONE && is_default(options, *argv))
		default_files_print(options->files);
	return *status == EXIT_DONE;
}
