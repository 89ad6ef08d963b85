/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Which files a recording wrote: those that were not there before, or are not what they were. The machine's clock does
 * not tell: a file system may count in whole seconds, or have a server's clock, and the machine's may be set.
 */
#ifndef TSC_OFFSET_RECORD_FILES_H
#define TSC_OFFSET_RECORD_FILES_H

#include <glob.h>
#include <stdbool.h>
#include <stddef.h>

struct old_file;

/**
 * struct record_files - the files of a recording, by their names
 * @host_path: the file of the host; the caller keeps it
 * @pattern: for glob(3): those of its guests; owned
 * @old: what was there before; owned
 * @nr_old: how many
 * @error: a negative errno if it is not known what was there
 */
struct record_files {
	const char	*host_path;
	char		*pattern;
	struct old_file	*old;
	size_t		nr_old;
	int		error;
};

void record_files_begin(struct record_files *files, const char *host_path);
void record_files_all(struct record_files *files, const char *host_path);
bool record_files_wrote(const struct record_files *files, const char *path);
int record_files_guests(const struct record_files *files, glob_t *guests);
void record_files_release(struct record_files *files);

#endif /* TSC_OFFSET_RECORD_FILES_H */
