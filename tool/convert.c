// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "convert.h"
#include "message.h"
#include "output_file.h"

static int failed(const char *path)
{
	int error = errno;

	message("%s: it cannot be converted: %s", path, strerror(error));
	return -error;
}

static int run_trace_cmd(const char *from, const char *to)
{
	int status;
	pid_t pid;

	pid = fork();
	if (pid < 0)
		return failed(from);
	if (!pid) {
		/* What it prints is no concern of ours but for errors */
		if (!freopen("/dev/null", "w", stdout))
			_exit(127);
		execlp("trace-cmd", "trace-cmd", "convert", "--file-version", "7", "-i", from, "-o",
		       to, NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return failed(from);
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		message("%s: trace-cmd convert could not bring it to version 7", from);
		return -EIO;
	}
	return 0;
}

/**
 * convert_to_7 - make a copy of version 7
 * @path: a file of version 6
 * @beside: the copy gets a name that begins with this one
 * @converted: result: the copy's name, to be freed with free(); what is there is the caller's to
 *	remove, after an error as well. NULL without memory.
 *
 * Returns: 0, -ENOMEM, or another negative errno after a message.
 */
int convert_to_7(const char *path, const char *beside, char **converted)
{
	struct stat original;
	int fd, ret;

	if (asprintf(converted, "%s.v7.XXXXXX", beside) < 0) {
		*converted = NULL;
		return -ENOMEM;
	}
	fd = mkostemp(*converted, O_CLOEXEC);
	if (fd < 0)
		return output_file_fail(beside, -errno);
	close(fd);
	ret = run_trace_cmd(path, *converted);
	if (ret)
		return ret;
	/* A copy is as accessible as its original */
	if (stat(path, &original) || chmod(*converted, original.st_mode & 07777))
		return failed(path);
	return 0;
}
