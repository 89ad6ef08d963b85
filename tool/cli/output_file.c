// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "input_file.h"
#include "message.h"
#include "output_file.h"

/*
 * Would a file be among the devices, like one in the directory of /dev/stdin? File systems mounted in /dev, like
 * /dev/shm, are for files.
 */
static bool is_among_devices(const char *path)
{
	_cleanup_(freep) char *copy = strdup(path);
	struct stat of_root, of_dev, of_dir;

	if (!copy || stat("/", &of_root) || stat("/dev", &of_dev) || stat(dirname(copy), &of_dir))
		return false;
	if (of_dev.st_dev == of_root.st_dev)
		return of_dir.st_dev == of_dev.st_dev && of_dir.st_ino == of_dev.st_ino;
	return of_dir.st_dev == of_dev.st_dev;
}

/**
 * output_file_check - may a file be written?
 * @path: its final path
 * @over_recording: permit to replace a recording, which is an earlier result
 *
 * An existing file is replaced, unless it is a recording, which could be lost by a missing word on the command line, or
 * is not a regular file. Nothing is written among devices, and "-" is refused: for other programs it is standard
 * output.
 *
 * Returns: 0, or -EEXIST or -EINVAL after a message.
 */
int output_file_check(const char *path, bool over_recording)
{
	struct stat stat_of;
	bool is_there = !stat(path, &stat_of);

	/* A file is there as a whole or not at all, which a stream cannot be */
	if (!strcmp(path, "-")) {
		message("-: results cannot go to standard output; for a file of this name, give './-'");
		return -EINVAL;
	}
	if (is_there && !S_ISREG(stat_of.st_mode)) {
		message("%s: exists and is not a regular file", path);
		return -EEXIST;
	}
	if (is_among_devices(path)) {
		message("%s: is in a directory of devices; choose another output", path);
		return -EEXIST;
	}
	if (!is_there)
		return 0;
	if (over_recording)
		return 0;
	if (input_file_is_recording(path)) {
		message("%s: is a recording and is not replaced", path);
		return -EEXIST;
	}
	if (eaccess(path, R_OK)) {
		message("%s: cannot be read; it may be a recording and is not replaced", path);
		return -EEXIST;
	}
	return 0;
}

/**
 * output_file_same - do two paths name the same output file?
 * @a: a path
 * @b: another path
 *
 * Returns: true if they do, or will once it exists.
 */
bool output_file_same(const char *a, const char *b)
{
	_cleanup_(freep) char *a_path = strdup(a);
	_cleanup_(freep) char *b_path = strdup(b);
	_cleanup_(freep) char *a_copy = strdup(a);
	_cleanup_(freep) char *b_copy = strdup(b);

	if (input_file_same(a, b))
		return true;
	return a_path && b_path && a_copy && b_copy && !strcmp(basename(a_copy), basename(b_copy)) &&
	       input_file_same(dirname(a_path), dirname(b_path));
}

/**
 * output_file_fail - print that a file could not be written
 * @path: its final path
 * @error: a negative errno
 *
 * Returns: @error
 */
int output_file_fail(const char *path, int error)
{
	message("%s: cannot be written: %s", path, strerror(-error));
	return error;
}

/**
 * output_file_reported - check that the report on stdout about a written file was written too
 * @path: path of the file
 *
 * The file exists even if the report is lost, so the command has not failed.
 *
 * Returns: false after a message if the report is lost; then stdout has no pending error.
 */
bool output_file_reported(const char *path)
{
	if (!fflush(stdout) && !ferror(stdout))
		return true;
	message("%s: written, but the report on it failed: %s", path, strerror(errno));
	__fpurge(stdout);
	clearerr(stdout);
	return false;
}

/**
 * output_file_mode - the permissions of a file that is created normally
 *
 * Returns: the mode, without what the process's mask removes.
 */
mode_t output_file_mode(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return 0666 & ~mask;
}

/**
 * output_file_open - begin a file
 * @output: result; must be closed in any case
 * @path: its final path
 *
 * An existing file is replaced at the end, if output_file_check() permits it.
 *
 * Returns: 0, or a negative errno after a message.
 */
int output_file_open(struct output_file *output, const char *path)
{
	int ret;

	*output = (struct output_file) { .new.fd = -1, .mode = output_file_mode() };
	ret = output_file_check(path, false);
	if (ret)
		return ret;
	ret = atomic_file_open(&output->new, path);
	if (!ret) {
		/* The descriptor stays with the file: the stream gets its own */
		int fd = fcntl(output->new.fd, F_DUPFD_CLOEXEC, 0);

		output->stream = fd < 0 ? NULL : fdopen(fd, "w");
		ret = output->stream ? 0 : -errno;
		if (ret && fd >= 0)
			close(fd);
	}
	return ret ? output_file_fail(path, ret) : 0;
}

/**
 * output_file_restrict - remove permissions that another file does not have
 * @output: the open file
 * @fd: the other file, the source of its contents
 */
void output_file_restrict(struct output_file *output, int fd)
{
	struct stat stat_of;

	output->mode &= fstat(fd, &stat_of) ? S_IRUSR | S_IWUSR : stat_of.st_mode | S_IWUSR;
}

/**
 * output_file_say_unsynced - print a message if the directory of a file could not be synced
 * @path: path of the written file
 * @error: the errno; 0 without one
 */
void output_file_say_unsynced(const char *path, int error)
{
	if (error)
		message("%s: written, but syncing its directory failed; the file may be lost in a crash: %s", path,
			strerror(error));
}

/**
 * output_file_finish - give a file its name
 * @output: the file, with everything written to its stream
 *
 * Returns: 0, or a negative errno after a message; then the old file is unchanged.
 */
int output_file_finish(struct output_file *output)
{
	bool failed = ferror(output->stream);
	int ret = 0;

	errno = EIO;
	if (fclose(output->stream) || failed)
		ret = -errno;
	output->stream = NULL;
	if (!ret)
		ret = atomic_file_rename(&output->new, output->mode);
	if (ret)
		return output_file_fail(output->new.path, ret);
	output_file_say_unsynced(output->new.path, -atomic_file_sync_directory(&output->new));
	return 0;
}

/**
 * output_file_close - close a file; an unfinished one is removed
 * @output: the file, also after a failed open
 */
void output_file_close(struct output_file *output)
{
	if (output->stream)
		fclose(output->stream);
	output->stream = NULL;
	atomic_file_close(&output->new);
}
