/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* The command line of a verb. One table defines its options, which of them go together, and the number of files. */
#ifndef TSC_OFFSET_OPTIONS_H
#define TSC_OFFSET_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "verb.h"

struct default_files;

#define OPTIONS_MOST		20
#define OPTIONS_WORDS_MOST	4
#define OPTIONS_OPERANDS_MOST	2

/* The number of a macro as text */
#define OPTION_TEXT(number)	OPTION_TEXT_(number)
#define OPTION_TEXT_(number)	#number

/**
 * struct verb_option - an option; the one member of @print to @parse that is set defines its kind
 * @name: without the dashes
 * @letter: its short form, 0 if none
 * @print: no value: calls this function, and the verb is done
 * @flag: no value: set to true
 * @string: set to the value
 * @number: set to the value, a decimal number from @min to @max
 * @word: set to the index of the value in @words
 * @parse: stores the value in @value; returns 0, or another value if it is wrong
 * @value: for @parse
 * @min: for @number
 * @max: for @number, 0 for any number
 * @words: for @word
 * @wants: describes a valid value of @number, @word or @parse, as in "--name requires ..."
 * @needed: the option is mandatory; this text stands for its value in the message
 * @requires: name of another option that must be present too
 * @excludes: name of another option that must be absent; one of the two names is enough
 * @min_operands: with this option, the least number of arguments that are not options
 * @max_operands: with this option, the greatest number of them, 0 for any
 *
 * If an option is given several times, the last value is used.
 */
struct verb_option {
	const char	*name;
	char		letter;
	void		(*print)(void);
	bool		*flag;
	const char	**string;
	uint64_t	*number;
	unsigned int	*word;
	int		(*parse)(void *value, const char *text);
	void		*value;
	uint64_t	min;
	uint64_t	max;
	const char	*words[OPTIONS_WORDS_MOST];
	const char	*wants;
	const char	*needed;
	const char	*requires;
	const char	*excludes;
	int		min_operands;
	int		max_operands;
};

/**
 * struct verb_options - a command line
 * @verb: name of the verb, NULL for the arguments of the command itself, which end at the verb
 * @operands: names of the arguments that are not options
 * @min_operands: how many of them must be given
 * @repeats: the last of @operands may be given several times
 * @files: if none is given, the default files are found here and become the operands; the caller releases them. NULL if
 *	at least @min_operands must be given
 * @options: the options, ended by one without a name
 */
struct verb_options {
	const char		*verb;
	const char		*operands[OPTIONS_OPERANDS_MOST + 1];
	int			min_operands;
	bool			repeats;
	struct default_files	*files;
	struct verb_option	options[OPTIONS_MOST + 1];
};

bool options_read(const struct verb_options *options, int *argc, char ***argv, enum exit_status *status);
enum exit_status misuse(const char *verb, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif /* TSC_OFFSET_OPTIONS_H */
