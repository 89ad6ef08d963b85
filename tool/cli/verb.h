/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * A verb of tsc-offset: what each of them gives to the table in tsc-offset.c, and how it ends.
 */
#ifndef TSC_OFFSET_VERB_H
#define TSC_OFFSET_VERB_H

struct error;
struct findings;

/**
 * enum exit_status - what every verb says at its end
 * @EXIT_DONE: all done
 * @EXIT_FAILED: not done; stderr says why
 * @EXIT_USAGE: not tried, the command line is wrong
 * @EXIT_INCOMPLETE: done, but a part of the result is in doubt, missing or wrong: a finding says which
 */
enum exit_status {
	EXIT_DONE	= 0,
	EXIT_FAILED	= 1,
	EXIT_USAGE	= 2,
	EXIT_INCOMPLETE	= 3,
};

/**
 * struct verb - one verb
 * @name: as typed
 * @summary: one line for tsc-offset --help, without a full stop
 * @run: gets the arguments from the verb on, so that argv[0] is @name; returns the exit status
 */
struct verb {
	const char		*name;
	const char		*summary;
	enum exit_status	(*run)(int argc, char **argv);
};

enum exit_status verb_status(int ret, const struct findings *findings);
enum exit_status verb_end(int ret, const struct error *error, struct findings *findings);

#endif /* TSC_OFFSET_VERB_H */
