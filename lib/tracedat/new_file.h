/* SPDX-License-Identifier: GPL-2.0 */
/* A file that is complete before it has a name: whoever opens it finds all of it, or what was there before. */
#ifndef TSC_OFFSET_NEW_FILE_H
#define TSC_OFFSET_NEW_FILE_H

#include <sys/types.h>

/**
 * struct new_file - a file while it is written
 * @path: what it is to be called; the caller's
 * @temporary: what it is called until then; owned
 * @fd: open for reading and writing
 */
struct new_file {
	const char	*path;
	char		*temporary;
	int		fd;
};

int new_file_open(struct new_file *file, const char *path);
int new_file_rename(struct new_file *file, mode_t mode);
void new_file_sync_directory(const struct new_file *file);
void new_file_close(struct new_file *file);

#endif /* TSC_OFFSET_NEW_FILE_H */
