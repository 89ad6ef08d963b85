// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"
#include "message.h"
#include "usage.h"

/**
 * misuse - say what is wrong with a verb's command line
 * @verb: the verb's name
 * @format: what, as for printf(); words of the command line in single quotes, no full stop
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
	message("%s; see 'tsc-offset %s -h'", what ? what : "no memory", verb);
	return EXIT_USAGE;
}

static bool is_known(const struct option *options, int value)
{
	for (; options->name; options++) {
		if (options->val == value)
			return true;
	}
	return false;
}

/**
 * misuse_option - say which option getopt_long() did not take
 * @argv: the arguments, the verb's name first
 * @options: those that it knows by their long names, all of the short ones among them
 *
 * A letter may be one of several in an argument, and getopt_long() tells it in optopt, as a signed
 * char. There is 0 for a long option that is not known, and the option itself for one with a value
 * that it does not take: both are the whole argument before optind.
 *
 * Returns: EXIT_USAGE.
 */
enum exit_status misuse_option(char **argv, const struct option *options)
{
	char letter[] = { '-', (char)optopt, '\0' };

	return misuse(argv[0], "invalid option '%s'",
		      optopt && !is_known(options, optopt) ? letter : argv[optind - 1]);
}

/**
 * misuse_no_value - say which option has no value; for the ':' of getopt_long()
 * @argv: the arguments, the verb's name first
 *
 * Returns: EXIT_USAGE.
 */
enum exit_status misuse_no_value(char **argv)
{
	return misuse(argv[0], "no value for '%s'", argv[optind - 1]);
}
