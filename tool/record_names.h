/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Guests of a recording that are named as vms names them, for a trace-cmd that wants their address. */
#ifndef TSC_OFFSET_RECORD_NAMES_H
#define TSC_OFFSET_RECORD_NAMES_H

#include <stddef.h>

/**
 * struct record_names - arguments that were written anew
 * @words: owned
 * @nr: how many
 * @capacity: room for this many
 */
struct record_names {
	char	**words;
	size_t	nr;
	size_t	capacity;
};

int record_names_fill(struct record_names *names, int argc, char **args);
void record_names_release(struct record_names *names);

#endif /* TSC_OFFSET_RECORD_NAMES_H */
