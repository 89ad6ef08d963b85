// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <stddef.h>
#include <string.h>

#include "any.h"
#include "trace_cmd_options.h"
#include "tsc_clock.h"

/*
 * Options of trace-cmd record and trace-cmd agent with a value, in all releases from 3.0 to 3.4: no option differs
 * between releases. getopt() is not usable, because trace-cmd will use it itself.
 */
static const char letters_with_value[] = "AbBCefglHmMnNoOpPrRsV";
static const char *const names_with_value[] = {
	"cmdlines-size", "compression", "file-version", "max-graph-depth", "module", "name", "proxy", "subbuf-size",
	"temp", "ts-offset", "tsync-interval", "user",
};

/* Accept the beginning of a name, like getopt_long() */
static bool name_takes_value(const char *name)
{
	size_t length = strlen(name);

	return any_of(i, sizeof(names_with_value) / sizeof(names_with_value[0]),
		      !strncmp(names_with_value[i], name, length));
}

/* Called for each option of trace-cmd on a command line: the letter with its value, NULL without */
typedef void (*take_func)(void *context, char letter, int word, const char *value);

static void walk(int argc, char **argv, take_func take, void *context)
{
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
				take(context, *letter, i, value);
				break;
			}
			take(context, *letter, i, NULL);
		}
	}
}

/**
 * struct asked - a command line being read
 * @options: result
 * @is_agent: the command is agent
 */
struct asked {
	struct trace_cmd_options	*options;
	bool				is_agent;
};

static void take_option(void *context, char letter, int word, const char *value)
{
	const struct asked *asked = context;
	struct trace_cmd_options *options = asked->options;

	options->nr_guests += letter == 'A';
	options->clock |= letter == 'C';
	options->tsc_clock |= letter == 'C' && value && strstr(value, TSC_CLOCK);
	if (letter == 'o' && value)
		options->output = value;
	options->is_proxy |= letter == 'P' && asked->is_agent;
}

/**
 * trace_cmd_options_read - read a command line
 * @options: result
 * @argc: number of arguments
 * @argv: the arguments, which begin with the program and its command, record or agent
 *
 * The first word that is neither an option nor a value begins the traced command.
 */
void trace_cmd_options_read(struct trace_cmd_options *options, int argc, char **argv)
{
	struct asked asked = { .options = options, .is_agent = argc > 1 && !strcmp(argv[1], "agent") };

	*options = (struct trace_cmd_options) { 0 };
	walk(argc, argv, take_option, &asked);
}

/**
 * struct guest_search - the search for a guest
 * @left: number of guests before it
 * @word: result: index of its word, 0 if it is not there
 * @value: result: the guest
 */
struct guest_search {
	unsigned int	left;
	int		word;
	const char	*value;
};

static void take_guest(void *context, char letter, int word, const char *value)
{
	struct guest_search *search = context;

	if (letter != 'A' || search->word || search->left--)
		return;
	search->word = word;
	search->value = value;
}

/**
 * trace_cmd_options_guest - find the value of an option -A
 * @argc: number of arguments
 * @argv: as for trace_cmd_options_read()
 * @number: index of the option, from 0 on
 * @word: result: index of the word that ends with the value
 *
 * Returns: the value, inside that word; NULL if there are fewer, or if the value is missing.
 */
const char *trace_cmd_options_guest(int argc, char **argv, unsigned int number, int *word)
{
	struct guest_search search = { .left = number };

	walk(argc, argv, take_guest, &search);
	*word = search.word;
	return search.value;
}
