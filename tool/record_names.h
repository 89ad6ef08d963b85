/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* Replaces names of guests, as in the output of vms, by the addresses that trace-cmd needs. */
#ifndef TSC_OFFSET_RECORD_NAMES_H
#define TSC_OFFSET_RECORD_NAMES_H

#include <stddef.h>

/**
 * struct record_names - new arguments
 * @words: the new words; owned
 * @nr: number of @words
 * @capacity: number of words that fit without growing
 */
struct record_names {
	char	**words;
	size_t	nr;
	size_t	capacity;
};

int record_names_fill(struct record_names *names, int argc, char **args);
void record_names_release(struct record_names *names);

#endif /* TSC_OFFSET_RECORD_NAMES_H */
