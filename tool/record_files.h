/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Finds the files that a recording wrote: those that are new or changed. It does not compare with the machine's clock:
 * a file system may count whole seconds or have a server's clock, and the machine's clock may be set.
 */
#ifndef TSC_OFFSET_RECORD_FILES_H
#define TSC_OFFSET_RECORD_FILES_H

#include <glob.h>
#include <stdbool.h>
#include <stddef.h>

struct old_file;

/**
 * struct record_files - the files of a recording, by name
 * @host_path: the host's file; not owned
 * @pattern: pattern of its guests' files for glob(3); owned
 * @old: files that existed before; owned
 * @nr_old: number of @old
 * @error: a negative errno if the files before are unknown
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
char *record_files_guest(const char *host_path, const char *name);
void record_files_release(struct record_files *files);

#endif /* TSC_OFFSET_RECORD_FILES_H */
