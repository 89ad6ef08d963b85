// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "atomic_file.h"
#include "temporary_file.h"

/**
 * atomic_file_open - begin a file, which is removed if a signal ends the process
 * @file: result; must be closed in any case
 * @path: its final path
 *
 * Returns: 0 or a negative errno.
 */
int atomic_file_open(struct atomic_file *file, const char *path)
{
	*file = (struct atomic_file) { .path = path, .fd = -1 };
	if (asprintf(&file->temporary, "%s.XXXXXX", path) < 0) {
		file->temporary = NULL;
		return -ENOMEM;
	}
	file->fd = temporary_file_make(file->temporary);
	return file->fd < 0 ? file->fd : 0;
}

/**
 * atomic_file_rename - give a file its name, after all of it is on disk
 * @file: the completely written file
 * @mode: its permissions
 *
 * Returns: 0 or a negative errno; then an existing file of this name is unchanged.
 */
int atomic_file_rename(struct atomic_file *file, mode_t mode)
{
	if (fchmod(file->fd, mode) || fsync(file->fd) || rename(file->temporary, file->path))
		return -errno;
	temporary_file_forget(file->temporary);
	free(file->temporary);
	file->temporary = NULL;
	return 0;
}

/**
 * atomic_file_sync_directory - sync the directory, so that the new name survives a crash
 * @file: a renamed file
 *
 * The file has its name even if this fails.
 *
 * Returns: 0 or a negative errno.
 */
int atomic_file_sync_directory(const struct atomic_file *file)
{
	_cleanup_(freep) char *copy = strdup(file->path);
	_cleanup_(closep) int fd = -1;

	if (copy)
		fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Some file systems do not support this */
	return fd < 0 || (fsync(fd) && errno != EINVAL) ? -errno : 0;
}

/**
 * atomic_file_close - close a file; one without its name is removed
 * @file: the file, also after a failed open
 */
void atomic_file_close(struct atomic_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	/* It was created by this process */
	if (file->fd >= 0 && file->temporary) {
		unlink(file->temporary);
		temporary_file_forget(file->temporary);
	}
	free(file->temporary);
	*file = (struct atomic_file) { .fd = -1 };
}
