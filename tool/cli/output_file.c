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
 * Would a file lie among the devices, as one that is to lie beside /dev/stdin? What is mounted in /dev, like /dev/shm,
 * is for files.
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
 * @path: what it is to be called
 * @over_recording: yes if there is a recording already, an earlier result
 *
 * What is there is replaced, unless that is a recording, which nobody means to lose by a word left out of the
 * command line, or no file at all. Nothing is written among devices, and "-", which other programs take for standard
 * output, is not a name.
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
 * output_file_same - do two names mean one file?
 * @a: a name
 * @b: another
 *
 * Returns: true if they do, or will when it is there.
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
 * output_file_fail - say that a file could not be written
 * @path: what it was to be called
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
 * output_file_reported - make sure that what was said of a written file on stdout is written as well
 * @path: the file's name
 *
 * The file is there even if the report is lost, so the command has not failed.
 *
 * Returns: false after a message if the report is lost; then nothing of it is left for others to find.
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

/* As a file has that is made the ordinary way */
static mode_t default_mode(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return 0666 & ~mask;
}

/**
 * output_file_open - begin to write a file
 * @output: result; to be closed in any case
 * @path: what it is to be called
 *
 * What is there is replaced at the end, if output_file_check() allows it.
 *
 * Returns: 0, or a negative errno after a message.
 */
int output_file_open(struct output_file *output, const char *path)
{
	int ret;

	*output = (struct output_file) { .new.fd = -1, .mode = default_mode() };
	ret = output_file_check(path, false);
	if (ret)
		return ret;
	ret = atomic_file_open(&output->new, path);
	if (!ret) {
		/* Its descriptor stays the file's: the stream has one of its own */
		int fd = fcntl(output->new.fd, F_DUPFD_CLOEXEC, 0);

		output->stream = fd < 0 ? NULL : fdopen(fd, "w");
		ret = output->stream ? 0 : -errno;
		if (ret && fd >= 0)
			close(fd);
	}
	return ret ? output_file_fail(path, ret) : 0;
}

/**
 * output_file_restrict - let a file be for nobody whom another is not for
 * @output: open
 * @fd: the other, from which its content is
 */
void output_file_restrict(struct output_file *output, int fd)
{
	struct stat stat_of;

	output->mode &= fstat(fd, &stat_of) ? S_IRUSR | S_IWUSR : stat_of.st_mode | S_IWUSR;
}

/**
 * output_file_say_unsynced - print a message if the directory of a file could not be synced
 * @path: of the file, which is written
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
 * @output: all was written to its stream
 *
 * Returns: 0, or a negative errno after a message; then there is what was there before.
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
 * output_file_close - end the work on a file; if it was not finished it is gone
 * @output: opened, or failed to
 */
void output_file_close(struct output_file *output)
{
	if (output->stream)
		fclose(output->stream);
	output->stream = NULL;
	atomic_file_close(&output->new);
}
