// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "message.h"
#include "output_file.h"

static const char recording_begin[] = { 0x17, 0x08, 0x44, 't', 'r', 'a', 'c', 'i', 'n', 'g' };

static bool is_recording(const char *path)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char begin[sizeof(recording_begin)];

	return fd >= 0 && read(fd, begin, sizeof(begin)) == sizeof(begin) &&
	       !memcmp(begin, recording_begin, sizeof(begin));
}

static int fail(const char *path, int error)
{
	message("%s: cannot be written: %s", path, strerror(-error));
	return error;
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
 * What is there is replaced at the end, unless that is a recording, which nobody means to lose by a word
 * left out of the command line, or no file at all.
 *
 * Returns: 0, or a negative errno after a message.
 */
int output_file_open(struct output_file *output, const char *path)
{
	struct stat stat_of;
	int ret;

	*output = (struct output_file) { .new.fd = -1, .mode = default_mode() };
	if (!stat(path, &stat_of) && !S_ISREG(stat_of.st_mode)) {
		message("%s: there is something that is no file", path);
		return -EEXIST;
	}
	if (is_recording(path)) {
		message("%s: is a recording and is not replaced", path);
		return -EEXIST;
	}
	ret = new_file_open(&output->new, path);
	if (!ret) {
		/* Its descriptor stays the file's: the stream has one of its own */
		int fd = fcntl(output->new.fd, F_DUPFD_CLOEXEC, 0);

		output->stream = fd < 0 ? NULL : fdopen(fd, "w");
		ret = output->stream ? 0 : -errno;
		if (ret && fd >= 0)
			close(fd);
	}
	return ret ? fail(path, ret) : 0;
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
		ret = new_file_rename(&output->new, output->mode);
	if (!ret)
		ret = new_file_sync_directory(&output->new);
	return ret ? fail(output->new.path, ret) : 0;
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
	new_file_close(&output->new);
}
