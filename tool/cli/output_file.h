/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* A file that a verb writes for its user: written as a whole or not at all, and never over a recording. */
#ifndef TSC_OFFSET_OUTPUT_FILE_H
#define TSC_OFFSET_OUTPUT_FILE_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#include "atomic_file.h"

/**
 * struct output_file - a file being written
 * @new: the file of @stream
 * @mode: its permissions when it is complete
 * @stream: for writing; owned
 */
struct output_file {
	struct atomic_file	new;
	mode_t		mode;
	FILE		*stream;
};

int output_file_check(const char *path, bool over_recording);
bool output_file_same(const char *a, const char *b);
int output_file_fail(const char *path, int error);
mode_t output_file_mode(void);
bool output_file_reported(const char *path);
int output_file_open(struct output_file *output, const char *path);
void output_file_restrict(struct output_file *output, int fd);
void output_file_say_unsynced(const char *path, int error);
int output_file_finish(struct output_file *output);
void output_file_close(struct output_file *output);

#endif /* TSC_OFFSET_OUTPUT_FILE_H */
