/* SPDX-License-Identifier: GPL-2.0-only */
/* Copyright (C) 2026 the tsc-offset maintainers */
/*
 * Guests without an agent: their trace-cmd is run through ssh or another program, and their files come back through the
 * same connection.
 */
#ifndef TSC_OFFSET_RECORD_SSH_H
#define TSC_OFFSET_RECORD_SSH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SSH_GUEST_SAID_SIZE	512

/**
 * struct ssh_guest - a guest and its connection
 * @host: [USER@]HOST; not owned
 * @path: its file; owned
 * @pid: the program that connects; 0 without a connection
 * @in: its standard input, whose end ends the recording; -1 if closed
 * @out: its standard output, where the file comes from; -1 if closed
 * @err: its standard error; -1 if closed
 * @said: the last line of @err
 * @said_length: length of @said
 * @said_ended: @said is a whole line
 * @is_here: the file is complete
 */
struct ssh_guest {
	const char	*host;
	char		*path;
	pid_t		pid;
	int		in;
	int		out;
	int		err;
	char		said[SSH_GUEST_SAID_SIZE];
	size_t		said_length;
	bool		said_ended;
	bool		is_here;
};

/**
 * struct record_ssh - the guests of a recording
 * @arguments: shell text: arguments of trace-cmd record in the guests, NULL for the default; not owned
 * @guests: the guests; owned
 * @nr: number of @guests
 * @capacity: number of guests that fit without growing
 */
struct record_ssh {
	const char		*arguments;
	struct ssh_guest	*guests;
	size_t			nr;
	size_t			capacity;
};

#define RECORD_SSH_ARGUMENTS	"-e sched"

int record_ssh_add(struct record_ssh *ssh, const char *host);
int record_ssh_name(struct record_ssh *ssh, const char *host_path);
void record_ssh_start(struct record_ssh *ssh);
void record_ssh_fetch(struct record_ssh *ssh);
bool record_ssh_has(const struct record_ssh *ssh, const char *path);
bool record_ssh_is_complete(const struct record_ssh *ssh);
void record_ssh_release(struct record_ssh *ssh);

#endif /* TSC_OFFSET_RECORD_SSH_H */
