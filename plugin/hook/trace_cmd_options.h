/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * The parts of trace-cmd's command line that the hook and record need, without the words of the traced command.
 */
#ifndef TSC_OFFSET_TRACE_CMD_OPTIONS_H
#define TSC_OFFSET_TRACE_CMD_OPTIONS_H

#include <stdbool.h>

/**
 * struct trace_cmd_options - the options
 * @nr_guests: number of guests to record
 * @clock: a clock is named
 * @tsc_clock: the TSC is the clock of the host or of a guest
 * @is_proxy: it runs as the agent of a host, on behalf of guests
 * @output: the file to write, NULL for trace-cmd's default; points into the command line
 */
struct trace_cmd_options {
	unsigned int	nr_guests;
	bool		clock;
	bool		tsc_clock;
	bool		is_proxy;
	const char	*output;
};

void trace_cmd_options_read(struct trace_cmd_options *options, int argc, char **argv);
const char *trace_cmd_options_guest(int argc, char **argv, unsigned int number, int *word);

#endif /* TSC_OFFSET_TRACE_CMD_OPTIONS_H */
