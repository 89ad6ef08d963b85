/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Which files a verb means that is given none: trace.dat of the current directory and the files of its guests beside it,
 * as trace-cmd record -A names them.
 *
 * The names are those that the directory has, never those in a file: a recording cannot lead to another directory.
 */
#ifndef TSC_OFFSET_DEFAULT_FILES_H
#define TSC_OFFSET_DEFAULT_FILES_H

#include <stdbool.h>
#include <stddef.h>

struct error;

#define DEFAULT_HOST	"trace.dat"
#define DEFAULT_GUESTS	"trace-*.dat"

/**
 * struct default_files - the files; all zeros before they are looked for
 * @paths: the host's, those of its guests in the order of their names, and a NULL; owned
 * @nr: how many, without the NULL; 0 if there is no file of a host
 * @left_out: files with the name of a guest's that are of other recordings, as a text; "" without; owned
 */
struct default_files {
	char	**paths;
	size_t	nr;
	char	*left_out;
};

bool default_files_have_host(void);
int default_files_find(struct default_files *files, struct error *error);
void default_files_print(const struct default_files *files);
void default_files_release(struct default_files *files);

#endif /* TSC_OFFSET_DEFAULT_FILES_H */
