// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "temporary_file.h"

/* One is written at a time, while another one is read */
#define MAX_FILES	4

static const char *volatile unfinished[MAX_FILES];
/* Signals from outside: from users, from closed pipes, from limits */
static const int ending_signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGXCPU, SIGXFSZ };
#define NR_ENDING_SIGNALS	(sizeof(ending_signals) / sizeof(ending_signals[0]))

/* Callees must be safe in a signal handler */
static void remove_unfinished(int number)
{
	for (size_t i = 0; i < MAX_FILES; i++) {
		const char *path = unfinished[i];

		if (path)
			unlink(path);
	}
	/* The default action is restored, so that the parent sees which signal ended this process */
	raise(number);
}

static void watch_signals(void)
{
	const struct sigaction action = { .sa_handler = remove_unfinished, .sa_flags = SA_RESETHAND | SA_NODEFER };

	for (size_t i = 0; i < NR_ENDING_SIGNALS; i++) {
		struct sigaction before;

		/* Signals that nohup ignores stay ignored */
		if (!sigaction(ending_signals[i], NULL, &before) && before.sa_handler == SIG_DFL)
			sigaction(ending_signals[i], &action, NULL);
	}
}

static void remember(const char *path)
{
	for (size_t i = 0; i < MAX_FILES; i++) {
		if (!unfinished[i]) {
			unfinished[i] = path;
			return;
		}
	}
}

/**
 * temporary_file_make - create a file that is removed if a signal ends the process
 * @path: its name, ends with XXXXXX for mkostemp() to replace; must stay valid until temporary_file_forget()
 *
 * Returns: a file descriptor for reading and writing, or a negative errno.
 */
int temporary_file_make(char *path)
{
	sigset_t ending, before;
	int fd;

	watch_signals();
	sigemptyset(&ending);
	for (size_t i = 0; i < NR_ENDING_SIGNALS; i++)
		sigaddset(&ending, ending_signals[i]);
	/* A signal must not arrive between the creation and the registration */
	sigprocmask(SIG_BLOCK, &ending, &before);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	else
		remember(path);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return fd;
}

/**
 * temporary_file_forget - unregister a file that is complete or removed
 * @path: the same pointer; other paths are ignored
 */
void temporary_file_forget(const char *path)
{
	for (size_t i = 0; i < MAX_FILES; i++) {
		if (unfinished[i] == path)
			unfinished[i] = NULL;
	}
}
