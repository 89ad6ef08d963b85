/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A verb of tsc-offset: its entry in the table of tsc-offset.c, and its exit status.
 */
#ifndef TSC_OFFSET_VERB_H
#define TSC_OFFSET_VERB_H

struct error;
struct findings;

/**
 * enum exit_status - the exit status of every verb
 * @EXIT_DONE: all done
 * @EXIT_FAILED: not done; stderr has the reason
 * @EXIT_USAGE: not started, because the command line is wrong
 * @EXIT_INCOMPLETE: done, but a part of the result is doubtful, missing or wrong, as a finding says
 */
enum exit_status {
	EXIT_DONE	= 0,
	EXIT_FAILED	= 1,
	EXIT_USAGE	= 2,
	EXIT_INCOMPLETE	= 3,
};

/**
 * struct verb - a verb
 * @name: its name on the command line
 * @summary: one line for tsc-offset --help, without a full stop
 * @run: runs it; argv[0] is @name; returns the exit status
 */
struct verb {
	const char		*name;
	const char		*summary;
	enum exit_status	(*run)(int argc, char **argv);
};

enum exit_status verb_status(int ret, const struct findings *findings);
enum exit_status verb_end(int ret, const struct error *error, struct findings *findings);

#endif /* TSC_OFFSET_VERB_H */
