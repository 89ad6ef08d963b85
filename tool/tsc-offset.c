// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
/*
 * tsc-offset: one command with verbs. This file knows which there are and nothing of what they do.
 */
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "export.h"
#include "instance_verb.h"
#include "message.h"
#include "record.h"
#include "show.h"
#include "stamp.h"
#include "verb.h"

/* In the order of --help */
static const struct verb *const verbs[] = {
	&record_verb,
	&show_verb,
	&stamp_verb,
	&check_verb,
	&export_verb,
	&instance_verb,
};

static const size_t nr_verbs = sizeof(verbs) / sizeof(verbs[0]);

static void print_help(void)
{
	size_t i;

	printf("Usage: tsc-offset VERB [ARGUMENTS]\n"
	       "       tsc-offset -h | --help | --version\n"
	       "\n"
	       "The TSC offsets of KVM guests: record them, and use what was recorded.\n"
	       "\n"
	       "Verbs:\n");
	for (i = 0; i < nr_verbs; i++)
		printf("  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
	printf("\n"
	       "Each verb has its own help: tsc-offset VERB -h\n"
	       "\n"
	       "Exit status: %d done, %d failed, %d wrong usage, %d done, but something is\n"
	       "in doubt or wrong\n",
	       EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_INCOMPLETE);
}

static enum exit_status run_verb(int argc, char **argv)
{
	size_t i;

	for (i = 0; i < nr_verbs; i++) {
		if (!strcmp(argv[0], verbs[i]->name))
			return verbs[i]->run(argc, argv);
	}
	message("unknown command '%s'; see 'tsc-offset --help'", argv[0]);
	return EXIT_USAGE;
}

static enum exit_status run(int argc, char **argv)
{
	enum { OPTION_VERSION = 256 };
	static const struct option options[] = {
		{ "help",	no_argument,	NULL,	'h' },
		{ "version",	no_argument,	NULL,	OPTION_VERSION },
		{ NULL,		0,		NULL,	0 },
	};

	/* "+": what follows the verb belongs to the verb */
	opterr = 0;
	switch (getopt_long(argc, argv, "+h", options, NULL)) {
	case -1:
		break;
	case 'h':
		print_help();
		return EXIT_DONE;
	case OPTION_VERSION:
		printf("tsc-offset %s\n", TSC_OFFSET_VERSION);
		return EXIT_DONE;
	default:
		/* Either the rest of a cluster of short options or the argument itself is wrong */
		if (optopt && optopt != OPTION_VERSION && optopt != 'h')
			message("unknown option '-%c'; see 'tsc-offset --help'", optopt);
		else
			message("invalid option '%s'; see 'tsc-offset --help'", argv[optind - 1]);
		return EXIT_USAGE;
	}
	if (optind == argc) {
		message("missing command; see 'tsc-offset --help'");
		return EXIT_USAGE;
	}

	argc -= optind;
	argv += optind;
	/* A verb that uses getopt starts afresh: 0 makes glibc forget the "+" as well */
	optind = 0;
	opterr = 1;
	return run_verb(argc, argv);
}

int main(int argc, char **argv)
{
	enum exit_status status = run(argc, argv);

	/* Data that did not reach its reader is not done */
	if (fflush(stdout) || ferror(stdout)) {
		message("cannot write to standard output: %m");
		return EXIT_FAILED;
	}
	return status;
}
