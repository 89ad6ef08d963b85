// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "convert_v6.h"
#include "message.h"
#include "output_file.h"
#include "temporary_file.h"

/* Limit of CPU time for trace-cmd: it converts much faster, and starts in less */
#define START_SECONDS	3
#define BYTES_PER_SECOND	(4U << 20)

static int failed(const char *path)
{
	int error = errno;

	message("%s: it cannot be converted: %s", path, strerror(error));
	return -error;
}

/*
 * Only errors of trace-cmd are of interest. It opens the file descriptor, not the name, so that a file which a signal
 * handler removed does not come back.
 */
static void exec_trace_cmd(const char *from, int to_fd, int stderr_fd, rlim_t seconds)
{
	const struct rlimit limit = { seconds, seconds + 1 };
	const char *name = getenv("TRACE_CMD");
	char to[32];

	if (!name || !*name)
		name = "trace-cmd";
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	setrlimit(RLIMIT_CPU, &limit);
	snprintf(to, sizeof(to), "/dev/fd/%d", dup(to_fd));
	if (!freopen("/dev/null", "w", stdout) || dup2(stderr_fd, STDERR_FILENO) < 0)
		_exit(127);
	execlp(name, name, "convert", "--file-version", "7", "-i", from, "-o", to, NULL);
	dprintf(STDERR_FILENO, "%s: %s\n", name, strerror(errno));
	_exit(127);
}

/* Read to the end, even if the rest does not fit */
static void read_said(int fd, char *said, size_t size)
{
	char rest[512];
	size_t used = 0;
	ssize_t n;

	do {
		bool full = used + 1 == size;

		n = read(fd, full ? rest : said + used, full ? sizeof(rest) : size - 1 - used);
		if (n > 0 && !full)
			used += n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	said[used] = '\0';
}

/* The file may have formats that trace-cmd never finishes parsing */
static rlim_t seconds_for(const char *path)
{
	struct stat original;

	return START_SECONDS + (stat(path, &original) ? 0 : (rlim_t)original.st_size / BYTES_PER_SECOND);
}

static int run_trace_cmd(const char *from, int to_fd)
{
	rlim_t seconds = seconds_for(from);
	char said[4096], *rest = said, *line;
	int status, ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return failed(from);
	pid = fork();
	if (!pid)
		exec_trace_cmd(from, to_fd, ends[1], seconds);
	close(ends[1]);
	if (pid > 0)
		read_said(ends[0], said, sizeof(said));
	close(ends[0]);
	if (pid < 0)
		return failed(from);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return failed(from);
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU) {
		message("%s: trace-cmd convert did not finish within %lu s of CPU time: are its formats those of a kernel?",
			from, (unsigned long)seconds);
		return -EIO;
	}
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		while ((line = strsep(&rest, "\n"))) {
			if (*line)
				message("trace-cmd convert: %s", line);
		}
		message("%s: trace-cmd convert failed", from);
		return -EIO;
	}
	return 0;
}

/**
 * convert_v6 - make a copy of version 7, with the trace-cmd of TRACE_CMD, else the one in PATH
 * @path: a file of version 6
 * @beside: prefix of the copy's name
 * @converted: result: the copy's name, to be freed with free(). The caller must remove the file and forget it
 *	(temporary_file.h), also after an error. NULL without memory.
 *
 * Returns: 0, -ENOMEM, or another negative errno after a message.
 */
int convert_v6(const char *path, const char *beside, char **converted)
{
	_cleanup_(closep) int fd = -1;
	struct stat original;
	int ret;

	if (asprintf(converted, "%s.v7.XXXXXX", beside) < 0) {
		*converted = NULL;
		return -ENOMEM;
	}
	fd = temporary_file_make(*converted);
	if (fd < 0)
		return output_file_fail(beside, fd);
	ret = run_trace_cmd(path, fd);
	if (ret)
		return ret;
	/* A copy has the permissions of its original */
	if (stat(path, &original) || fchmod(fd, original.st_mode & 07777))
		return failed(path);
	return 0;
}
