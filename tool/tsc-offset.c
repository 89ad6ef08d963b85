// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * tsc-offset: one command with verbs. This file only has the list of verbs.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "explain.h"
#include "export.h"
#include "input_file.h"
#include "instance_verb.h"
#include "mark.h"
#include "merge.h"
#include "message.h"
#include "next_steps.h"
#include "options.h"
#include "record.h"
#include "show.h"
#include "spelling.h"
#include "stamp.h"
#include "verb.h"
#include "vms.h"

/* In the order of --help */
static const struct verb *const verbs[] = {
	&record_verb,
	&show_verb,
	&stamp_verb,
	&check_verb,
	&explain_verb,
	&export_verb,
	&merge_verb,
	&instance_verb,
	&vms_verb,
	&mark_verb,
};

static const size_t nr_verbs = sizeof(verbs) / sizeof(verbs[0]);

static void print_verbs(void)
{
	size_t i;

	printf("Usage: tsc-offset VERB [ARGUMENTS]\n"
	       "       tsc-offset help [VERB]\n"
	       "       tsc-offset -h | --help | --version\n"
	       "\n"
	       "Show the ftrace recordings of a KVM host and its guests on one timeline.\n"
	       "\n"
	       "Verbs:\n");
	for (i = 0; i < nr_verbs; i++)
		printf("  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
	printf("\n"
	       "For the options of a verb: tsc-offset VERB -h\n"
	       "To begin: man tsc-offset-tutorial\n");
}

static void print_help(void)
{
	print_verbs();
	printf("Without a verb, tsc-offset lists commands that suit the recordings in this\n"
	       "directory.\n"
	       "\n"
	       "Exit status: %d done, %d failed, %d wrong usage, %d done, but something is\n"
	       "in doubt or wrong\n",
	       EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INCOMPLETE);
}

static void print_version(void)
{
	printf("tsc-offset %s\n", TSC_OFFSET_VERSION);
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < nr_verbs; i++) {
		if (!strcmp(name, verbs[i]->name))
			return verbs[i];
	}
	return NULL;
}

static enum exit_status refuse(const char *name)
{
	struct spelling spelling = { .word = name };
	char hint[SPELLING_HINT_SIZE];

	if (input_file_is_recording(name))
		return misuse(NULL, "unknown command '%s' (did you mean 'show %s'?)", name, name);
	for (size_t i = 0; i < nr_verbs; i++)
		spelling_try(&spelling, verbs[i]->name);
	return misuse(NULL, "unknown command '%s'%s", name, spelling_hint(&spelling, "", hint));
}

static enum exit_status print_help_on(const char *name)
{
	const struct verb *verb = find_verb(name);
	char *argv[] = { (char *)name, "-h", NULL };

	return verb ? verb->run(2, argv) : refuse(name);
}

/* Without a verb nothing is done, so this is no success */
static enum exit_status print_all(void)
{
	print_verbs();
	printf("\n");
	next_steps_print();
	return EXIT_USAGE;
}

static enum exit_status run(int argc, char **argv)
{
	static const struct verb_options options = {
		.operands = { "command" }, .repeats = true,
		.options = {
			{ "help", 'h', .print = print_help },
			{ "version", .print = print_version },
		},
	};
	const struct verb *verb;
	enum exit_status status;

	if (!options_read(&options, &argc, &argv, &status))
		return status;
	if (!argc)
		return print_all();
	verb = find_verb(argv[0]);
	if (verb)
		return verb->run(argc, argv);
	if (strcmp(argv[0], "help"))
		return refuse(argv[0]);
	if (argc > 1)
		return print_help_on(argv[1]);
	print_help();
	return EXIT_DONE;
}

int main(int argc, char **argv)
{
	enum exit_status status = run(argc, argv);

	/* Data that were not written completely count as a failure */
	if (fflush(stdout) || ferror(stdout)) {
		message("cannot write to standard output: %m");
		return EXIT_FAILED;
	}
	return status;
}
