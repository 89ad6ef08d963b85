// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stddef.h>
#include <string.h>

#include "trace_cmd_options.h"
#include "tsc_clock.h"

/*
 * Options of trace-cmd record and trace-cmd agent that take a value, of all releases from 3.0 to 3.4: none of them
 * takes one in one release and none in another. getopt() would do it, but trace-cmd is about to use that itself.
 */
static const char letters_with_value[] = "AbBCefglHmMnNoOpPrRsV";
static const char *const names_with_value[] = {
	"cmdlines-size", "compression", "file-version", "max-graph-depth", "module", "name", "proxy", "subbuf-size",
	"temp", "ts-offset", "tsync-interval", "user",
};

/* As getopt_long() does, take the beginning of a name for the name */
static bool name_takes_value(const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < sizeof(names_with_value) / sizeof(names_with_value[0]); i++) {
		if (!strncmp(names_with_value[i], name, length))
			return true;
	}
	return false;
}

/* One letter, with its value if it takes one */
static void take(struct trace_cmd_options *options, char letter, const char *value, bool is_agent)
{
	options->nr_guests += letter == 'A';
	options->tsc_clock |= letter == 'C' && value && strstr(value, TSC_CLOCK);
	if (letter == 'o' && value)
		options->output = value;
	options->is_proxy |= letter == 'P' && is_agent;
}

/**
 * trace_cmd_options_read - read a command line
 * @options: result
 * @argc: number of arguments
 * @argv: the arguments, which begin with the program and its command, record or agent
 *
 * The first word that is neither an option nor the value of one begins the traced command.
 */
void trace_cmd_options_read(struct trace_cmd_options *options, int argc, char **argv)
{
	bool is_agent = argc > 1 && !strcmp(argv[1], "agent");

	*options = (struct trace_cmd_options) { 0 };
	for (int i = 2; i < argc && argv[i]; i++) {
		const char *word = argv[i];

		if (word[0] != '-' || !word[1] || !strcmp(word, "--"))
			return;
		if (word[1] == '-') {
			i += !strchr(word, '=') && name_takes_value(word + 2);
			continue;
		}
		for (const char *letter = word + 1; *letter; letter++) {
			const char *value = NULL;

			if (strchr(letters_with_value, *letter)) {
				value = letter[1] ? letter + 1 : i + 1 < argc ? argv[++i] : NULL;
				take(options, *letter, value, is_agent);
				break;
			}
			take(options, *letter, NULL, is_agent);
		}
	}
}
