// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "temporary_file.h"

/* One is written at a time, beside one that is read */
#define MAX_FILES	4

static const char *volatile unfinished[MAX_FILES];
/* Those that come from outside: from people, from readers that went away, from limits */
static const int ending_signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGXCPU, SIGXFSZ };
#define NR_ENDING_SIGNALS	(sizeof(ending_signals) / sizeof(ending_signals[0]))

/* What is called here may be called in a signal handler */
static void remove_unfinished(int number)
{
	for (size_t i = 0; i < MAX_FILES; i++) {
		const char *path = unfinished[i];

		if (path)
			unlink(path);
	}
	/* The default is back: so that who waits for us is told what ended us */
	raise(number);
}

static void watch_signals(void)
{
	const struct sigaction action = { .sa_handler = remove_unfinished, .sa_flags = SA_RESETHAND | SA_NODEFER };

	for (size_t i = 0; i < NR_ENDING_SIGNALS; i++) {
		struct sigaction before;

		/* What nohup ignores is ignored */
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
 * temporary_file_make - make a file; if a signal ends the process it is removed
 * @path: its name, ends with XXXXXX for mkostemp() to replace; stays where it is until it is forgotten
 *
 * Returns: a descriptor, to read and write, or a negative errno.
 */
int temporary_file_make(char *path)
{
	sigset_t ending, before;
	int fd;

	watch_signals();
	sigemptyset(&ending);
	for (size_t i = 0; i < NR_ENDING_SIGNALS; i++)
		sigaddset(&ending, ending_signals[i]);
	/* What a signal finds made it finds remembered */
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
 * temporary_file_forget - a file is finished, or gone
 * @path: as it was made; any other is none of ours
 */
void temporary_file_forget(const char *path)
{
	for (size_t i = 0; i < MAX_FILES; i++) {
		if (unfinished[i] == path)
			unfinished[i] = NULL;
	}
}
