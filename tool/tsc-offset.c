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
#include "instance_verb.h"
#include "mark.h"
#include "merge.h"
#include "message.h"
#include "options.h"
#include "record.h"
#include "show.h"
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

static void print_help(void)
{
	size_t i;

	printf("Usage: tsc-offset VERB [ARGUMENTS]\n"
	       "       tsc-offset -h | --help | --version\n"
	       "\n"
	       "Show the ftrace recordings of a KVM host and its guests on one timeline.\n"
	       "\n"
	       "Verbs:\n");
	for (i = 0; i < nr_verbs; i++)
		printf("  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
	printf("\n"
	       "For the options of a verb: tsc-offset VERB -h\n"
	       "To begin: man tsc-offset-tutorial\n"
	       "\n"
	       "Exit status: %d done, %d failed, %d wrong usage, %d done, but something is\n"
	       "in doubt or wrong\n",
	       EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INCOMPLETE);
}

static void print_version(void)
{
	printf("tsc-offset %s\n", TSC_OFFSET_VERSION);
}

static enum exit_status run(int argc, char **argv)
{
	static const struct verb_options options = {
		.operands = { "command" }, .min_operands = 1, .repeats = true,
		.options = {
			{ "help", 'h', .print = print_help },
			{ "version", .print = print_version },
		},
	};
	enum exit_status status;

	if (!options_read(&options, &argc, &argv, &status))
		return status;
	for (size_t i = 0; i < nr_verbs; i++) {
		if (!strcmp(argv[0], verbs[i]->name))
			return verbs[i]->run(argc, argv);
	}
	return misuse(NULL, "unknown command '%s'", argv[0]);
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
