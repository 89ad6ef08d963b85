/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/* A file that replaces another atomically: readers find either the complete new file or the old one. */
#ifndef TSC_OFFSET_ATOMIC_FILE_H
#define TSC_OFFSET_ATOMIC_FILE_H

#include <sys/types.h>

/**
 * struct atomic_file - a file being written
 * @path: its final path; not owned
 * @temporary: its path until then; owned
 * @fd: open for reading and writing
 */
struct atomic_file {
	const char	*path;
	char		*temporary;
	int		fd;
};

int atomic_file_open(struct atomic_file *file, const char *path);
int atomic_file_rename(struct atomic_file *file, mode_t mode);
int atomic_file_sync_directory(const struct atomic_file *file);
void atomic_file_close(struct atomic_file *file);

#endif /* TSC_OFFSET_ATOMIC_FILE_H */
